"""Where a spill goes, that it goes away, and that a disk without room for it is refused."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lo2dask.errors import InputError
from lo2dask.execute import spill
from lo2dask.execute.session import Session
from lo2dask.execute.spill import spill_folder
from lo2dask.options import CommonOptions
from lo2dask.storage.scratch import scratch_folder


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system's folder for scratch of our own, on a disk."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(spill, "file_system", lambda path: "ext4")
    return folder


def test_it_is_local_and_gone_at_the_end(tmp_path: Path, scratch: Path) -> None:
    left = tmp_path / "out" / "_lo2dask" / "spill" / "of an earlier run"
    left.mkdir(parents=True)
    for session in (Session.serial(), Session(CommonOptions(workers=1, memory_limit="1GB"))):
        with session, spill_folder(session, left.parent, 1000) as folder:
            assert scratch in folder.parents
            folder.mkdir()
            (folder / "file").write_text("")
        assert not left.parent.exists()
        assert not list(scratch.glob("lo2dask-*"))


def test_what_a_dead_process_left_is_removed(tmp_path: Path, scratch: Path) -> None:
    kill = "import os, sys; from lo2dask.storage.scratch import scratch_folder as make\n"
    kill += "with make(sys.argv[1]) as folder: (folder / 'spill').mkdir(); print(folder, flush=True); os._exit(9)"
    dead = subprocess.run([sys.executable, "-c", kill, str(scratch)], stdout=subprocess.PIPE, text=True)
    old = Path(dead.stdout.strip())
    assert (old / "spill").is_dir()
    with scratch_folder(scratch) as other, spill_folder(Session.serial(), tmp_path / "spill", 0):
        assert not old.exists()
        assert other.stat().st_mode & 0o777 == 0o700
        # As from another process namespace, where the owner's number says nothing.
        words = [sys.executable, "-c", kill.splitlines()[0] + "\nwith make(sys.argv[1]): pass", str(scratch)]
        subprocess.run(words, check=True)
        assert other.is_dir()
    assert list(scratch.iterdir()) == []


def test_scratch_in_memory_and_workers_elsewhere_take_the_output_folder(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere:
        is_serial = False

        class client:
            cluster = None

            class scheduler:
                address = "tls://10.0.0.1:8786"

    with spill_folder(Elsewhere(), tmp_path / "spill", 0) as folder:
        assert folder == tmp_path / "spill"
    monkeypatch.setattr(spill, "file_system", lambda path: "tmpfs")
    with spill_folder(Session.serial(), tmp_path / "spill", 0) as folder:
        assert folder == tmp_path / "spill"


def test_a_disk_without_room_is_refused(tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "free_bytes", lambda folder: 999)
    with pytest.raises(InputError, match=r"999 B free, but counting the tokens takes about 1\.0 kB of scratch there"):
        spill_folder(Session.serial(), tmp_path / "spill", 1000).__enter__()
    monkeypatch.setattr(spill, "free_bytes", lambda folder: None)
    with spill_folder(Session.serial(), tmp_path / "spill", 1000):
        pass


@pytest.mark.thorough
def test_a_load_is_refused_before_its_work(
    command: Callable, tiny_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spill, "free_bytes", lambda folder: 10)
    out = tmp_path / "out"
    line = ("load", "--root", tiny_tree, "--output-dir", out, "--workers", 1, "--memory-limit", "1GB")
    answer = command(*line, "--quiet")
    assert (answer.code, len(answer.lines)) == (2, 1), answer.err
    assert "10 B free" in answer.err
    assert not list(out.glob("lo2_*.parquet"))
    assert "of scratch" in command(*line, "--dry-run").out
    assert command(*line, "--quiet", "--no-enhance").code == 0
