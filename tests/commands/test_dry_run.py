"""``load --dry-run`` says what load then does, and writes nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lo2dask.commands.dry_run import dry_run
from lo2dask.commands.load import load
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.memory import parse_bytes
from lo2dask.options import LoadOptions
from lo2dask.sizing.timings import tree_bytes
from tests.trees import make_tree


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("raw") / "tree", scale=0.02, runs=3, with_metrics=True)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"runs": 2, "errors_per_run": 1},
        {"single_service": "token", "partition_size": "50KB"},
        {"single_error_type": "random", "allow_duplicates": False, "save_events": True},
    ],
)
def test_the_numbers_are_those_of_the_load(raw: Path, tmp_path: Path, changes: dict) -> None:
    options = LoadOptions(root=raw, output_dir=tmp_path / "out", **changes)
    planned = dry_run(options, Session.serial())
    assert not options.output_dir.exists()
    done = load(options, Session.serial())
    assert (planned.runs, planned.files, planned.batches) == (done.runs, done.files, done.batches)
    assert (planned.bytes, planned.test_cases, planned.ignored) == (done.bytes, done.test_cases, done.ignored)
    assert 0 < planned.largest_batch <= planned.bytes
    assert planned.largest_batch <= max(parse_bytes(options.partition_size), max_log(raw))
    assert planned.memory > planned.worker_memory > 0
    assert planned.disk > 0


def max_log(raw: Path) -> int:
    return max(path.stat().st_size for path in raw.rglob("*.log"))


def test_more_is_written_with_events_and_less_without_enhancement(raw: Path, tmp_path: Path) -> None:
    needs = {
        name: dry_run(LoadOptions(root=raw, output_dir=tmp_path / "out", **changes), Session.serial())
        for name, changes in {
            "plain": {},
            "events": {"save_events": True},
            "bare": {"enhance": False},
            "both": {"tokens": "both"},
        }.items()
    }
    assert needs["bare"].disk < needs["plain"].disk < needs["events"].disk
    assert needs["plain"].disk < needs["both"].disk
    assert needs["bare"].spill == 0 < needs["plain"].spill < needs["both"].spill
    assert len({need.bytes for need in needs.values()}) == 1


def test_a_root_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for root, said in ((tmp_path / "missing", "no such folder"), (tmp_path / "empty", "the folder is empty")):
        with pytest.raises(InputError, match=said):
            dry_run(LoadOptions(root=root, output_dir=tmp_path / "out"), Session.serial())
    with pytest.raises(InputError, match="--partition-size"):
        dry_run(LoadOptions(root=make_tree(tmp_path / "t", scale=0.01, runs=1), partition_size="x"), Session.serial())


def test_the_command_prints_it_and_leaves_the_folder_alone(raw: Path, tmp_path: Path, command: Callable) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    before = tree_bytes(tmp_path)
    answer = command("load", "--root", raw, "--output-dir", tmp_path / "out", "--dry-run", "--workers", 1)
    assert answer.code == 0, answer.err
    assert "3 runs" in answer.out
    assert tree_bytes(tmp_path) == before
