"""Compiling ahead: after it no command compiles anything, and the folder is the one that Numba writes to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lo2dask.buffers.compiled import are_compiled, kernel_folder

LOAD = """
import sys
from pathlib import Path
from lo2dask.commands.run import run
from lo2dask.execute.session import Session
from lo2dask.options import RunOptions
o = RunOptions(root=Path(sys.argv[1]), output_dir=Path(sys.argv[2]), tokens=sys.argv[3], load_metrics=True)
run(o, Session.serial(o))
"""


def kernels(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*.nbc")}


@pytest.mark.slow
def test_nothing_is_compiled_after_it(tiny_tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder)}
    subprocess.run([sys.executable, "-m", "lo2dask", "warmup", "--quiet"], env=environment, check=True)
    compiled = kernels(folder)
    assert compiled
    assert are_compiled(folder)
    for tokens in ("masked", "raw", "both"):
        words = [sys.executable, "-c", LOAD, str(tiny_tree), str(tmp_path / tokens), tokens]
        subprocess.run(words, env=environment, check=True)
        assert kernels(folder) == compiled, tokens


def test_the_folder_is_that_of_numba(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from lo2dask.buffers import kernels as own

    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    assert Path(own.copy_slices._cache.cache_path) == kernel_folder()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert kernel_folder() == tmp_path
    assert not are_compiled(tmp_path)


def test_a_folder_that_cannot_be_written_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert kernel_folder() is None
