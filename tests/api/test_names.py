"""The Python API: one function per command, imported when it is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

import lo2dask


def test_every_name_is_there() -> None:
    for name in lo2dask.__all__:
        assert getattr(lo2dask, name) is not None
        assert name in dir(lo2dask)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        lo2dask.laod  # noqa: B018


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = (
        "import sys, lo2dask; lo2dask.LoadOptions; print(*sorted({'dask', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("", "")


@pytest.mark.parametrize(
    "first",
    [
        "lo2dask.commands.explain",
        *(
            pytest.param(one, marks=pytest.mark.thorough)
            for one in ("lo2dask.synthesis.tree", "lo2dask.explanation.lists")
        ),
    ],
)
def test_no_package_hides_a_command_whatever_is_imported_first(first: str) -> None:
    script = (
        f"import {first}, lo2dask, lo2dask.explanation.lists, lo2dask.cli.main\n"
        "for name in lo2dask._FUNCTIONS:\n"
        "    assert type(getattr(lo2dask, name)).__name__ == 'function', name\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_functions_do_what_the_commands_do(tmp_path: Path) -> None:
    made = lo2dask.synth(lo2dask.SynthOptions(out=tmp_path / "tree", runs=1, scale=0.01, errors_per_run=1, jobs=1))
    assert made.runs == 1
    from lo2dask.execute.session import Session

    options = lo2dask.LoadOptions(root=tmp_path / "tree", output_dir=tmp_path / "out")
    summary = lo2dask.load(options, Session.serial(options))
    assert summary.summary.sequences == len(summary.sequences()) == 14
    assert summary.summary.enhanced
    with pytest.raises(lo2dask.InputError):
        lo2dask.load(lo2dask.LoadOptions(root=tmp_path / "none"))
