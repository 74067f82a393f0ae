"""Verify names every file below a finished output folder that is flipped, cut off, missing, swapped or too many."""

import os
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from lo2dask.cli.summary import verify_text
from lo2dask.commands.explain import explain
from lo2dask.commands.grid import grid
from lo2dask.commands.report import report
from lo2dask.commands.score import score
from lo2dask.commands.verify import verify
from lo2dask.execute.session import Session
from lo2dask.options import ExplainOptions, GridOptions, ReportOptions, ScoreOptions, VerifyOptions
from lo2dask.storage import read_json
from lo2dask.tables.parts import part_paths, read_part, write_part
from lo2dask.tables.records import describe_outputs
from lo2dask.tables.state import state_bytes
from tests.damage import edit
from tests.trees import load_tree, make_tree, train_root

FOLDERS = ("out", "scored")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder that every command has written into, and one of score."""
    folder = tmp_path_factory.mktemp("finished")
    raw = make_tree(folder / "tree", scale=0.02, runs=4, with_metrics=True, faults=True)
    out = load_tree(raw, folder / "out", save_events=True, load_metrics=True, partition_size="250KB")
    train_root(out, save_model=out / "models" / "lo2_if.joblib", save_sup_models=out / "models", dump_metadata=True)
    # Another forest than train's: fitted in a side folder.
    with pytest.MonkeyPatch.context() as patch:
        # What a plot shows is nothing to verify, and drawing takes longest.
        patch.setattr("lo2dask.explanation.results.draw_plot", lambda kind, job: kind.encode())
        explain(ExplainOptions(root=out, if_n_estimators=10), Session.serial())
    report(ReportOptions(root=out), Session.serial())
    grid(GridOptions(root=out, algorithms=("lr",), representations=("words",), seeds=1), Session.serial())
    bundle = out / "models" / "lo2_if.joblib"
    score(ScoreOptions(bundle=bundle, root=raw, output_dir=folder / "scored"), Session.serial())
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy to damage; files that are linked in the folder are files of their own here."""
    return Path(shutil.copytree(finished / request.param, tmp_path / "copy"))


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def is_state(path: Path) -> bool:
    return path.suffix == ".json" and b'"digest"' in path.read_bytes()


def problems(root: Path) -> list[str]:
    return list(verify(VerifyOptions(output_dir=root), Session.serial()).problems)


def unnoticed(root: Path, damaged: list[Path]) -> list[str]:
    """List the damaged files that verify does not name."""
    named = {line.split(": ")[0] for line in problems(root)}
    return [name for path in damaged if (name := path.relative_to(root).as_posix()) not in named]


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << offset % 8
    path.write_bytes(data)


@pytest.mark.parametrize("copy", FOLDERS, indirect=True)
def test_a_whole_folder_is_ok(copy: Path) -> None:
    assert problems(copy) == []


@pytest.mark.parametrize("copy", ["scored"], indirect=True)
def test_the_tables_of_a_scored_tree_are_compared_and_counted(copy: Path) -> None:
    found = verify(VerifyOptions(output_dir=copy), Session.serial())
    rows = sum(read_part(path).num_rows for path in part_paths(copy / "lo2_if_predictions.parquet"))
    assert (found.scored, found.sequences, found.models) == (rows, rows, 1)
    assert found.files > rows > 0
    said = ", ".join(verify_text(found))
    assert f"{rows} rows scored" in said
    assert "finding" not in said
    part = part_paths(copy / "lo2_if_predictions.parquet")[0]
    table = read_part(part)
    write_part(part, table.slice(1), table.schema)
    (record,) = (copy / "_lo2dask" / "score").glob("*.json")
    name = part.relative_to(copy).as_posix()
    described = {name: asdict(describe_outputs(copy, [part])[name])}
    edit(record, outputs=read_json(record)["outputs"] | described)
    assert problems(copy) == [f"lo2_if_predictions.parquet: {rows - 1} rows for {rows} sequences"]


@pytest.mark.parametrize("copy", ["scored"], indirect=True)
def test_without_checksums_damaged_scores_are_listed_beside_other_damage(copy: Path) -> None:
    part = part_paths(copy / "lo2_if_predictions.parquet")[0]
    damaged = bytearray(part.read_bytes())
    damaged[-20] ^= 255
    part.write_bytes(damaged)
    (copy / "lo2_if_predictions.parquet" / "part-000999.parquet").write_bytes(b"stray")
    found = verify(VerifyOptions(output_dir=copy, checksums=False), Session.serial()).problems
    assert any(line.startswith("lo2_if_predictions.parquet:") and "is damaged" in line for line in found)
    assert any("part-000999.parquet: no record names it" in line for line in found)


@pytest.mark.parametrize("copy", ["out"], indirect=True)
def test_a_training_that_did_not_finish_is_one_line(copy: Path) -> None:
    left = copy / "_lo2dask" / "train" / "units" / "0123abcd.pickle"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert problems(copy) == ["train: it did not finish; run the same command again, it resumes"]


@pytest.mark.parametrize("copy", ["scored"], indirect=True)
def test_a_scoring_that_did_not_finish_is_one_line(copy: Path) -> None:
    (record,) = (copy / "_lo2dask" / "score").glob("*.json")
    record.unlink()
    (copy / "_lo2dask" / "score" / record.stem / "_lo2dask" / "score.json").unlink()
    assert problems(copy) == [
        f"_lo2dask/score/{record.name}: the scoring did not finish; run the same command again, it resumes"
    ]


@pytest.mark.parametrize("flips", [2, pytest.param(20, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("copy", FOLDERS, indirect=True)
def test_a_flipped_bit_is_found_in_every_file(copy: Path, flips: int) -> None:
    rng = np.random.default_rng(5)
    damaged = [path for path in files(copy) if path.stat().st_size and not is_state(path)]
    for _ in range(flips):
        offsets = [int(rng.integers(path.stat().st_size)) for path in damaged]
        for path, offset in zip(damaged, offsets, strict=True):
            flip(path, offset)
        assert unnoticed(copy, damaged) == []
        for path, offset in zip(damaged, offsets, strict=True):
            flip(path, offset)
    assert problems(copy) == []


@pytest.mark.parametrize("copy", FOLDERS, indirect=True)
def test_a_flipped_bit_is_found_in_every_record(copy: Path) -> None:
    rng = np.random.default_rng(6)
    damaged = [path for path in files(copy) if is_state(path)]
    assert len(damaged) > 5
    for path in damaged:
        flip(path, int(rng.integers(path.stat().st_size)))
    assert unnoticed(copy, damaged) == []


@pytest.mark.parametrize("copy", FOLDERS, indirect=True)
def test_a_file_that_is_cut_off_is_found(copy: Path) -> None:
    for are_states in (False, True):
        damaged = [path for path in files(copy) if path.stat().st_size and is_state(path) == are_states]
        for path in damaged:
            os.truncate(path, path.stat().st_size // 2)
        assert unnoticed(copy, damaged) == []


@pytest.mark.parametrize("copy", FOLDERS, indirect=True)
def test_a_missing_file_is_found(copy: Path) -> None:
    damaged = [path for path in files(copy) if not is_state(path)]
    for path in damaged:
        path.unlink()
    assert unnoticed(copy, damaged) == []


@pytest.mark.thorough
@pytest.mark.parametrize("copy", FOLDERS, indirect=True)
def test_a_missing_record_is_found(copy: Path) -> None:
    # What is only kept to save time may be missing.
    kept = ("timings.json", "spec.json", "trained_options.json")
    needed = [path for path in files(copy) if is_state(path) and path.name not in kept and path.parent.name != "grid"]
    for path in needed:
        content = path.read_bytes()
        path.unlink()
        assert problems(copy), path
        path.write_bytes(content)


@pytest.mark.parametrize("copy", FOLDERS, indirect=True)
def test_files_too_many_are_found(copy: Path) -> None:
    folders = {path.parent for path in files(copy)} - {copy, copy / "models"}
    for name in ("part-000999.parquet", "block.parquet"):
        for folder in folders:
            (folder / name).write_bytes(b"PAR1")
        assert unnoticed(copy, [folder / name for folder in folders]) == []


@pytest.mark.parametrize("copy", FOLDERS, indirect=True)
def test_swapped_files_are_found(copy: Path) -> None:
    for are_states in (False, True):
        paths = [path for path in files(copy) if path.stat().st_size and is_state(path) == are_states]
        contents = [path.read_bytes() for path in paths]
        for path, content in zip(paths, [*contents[1:], contents[0]], strict=True):
            path.write_bytes(content)
        swapped = [path for path, content in zip(paths, contents, strict=True) if path.read_bytes() != content]
        assert unnoticed(copy, swapped) == []


@pytest.mark.parametrize("copy", ["out"], indirect=True)
@pytest.mark.parametrize("content", ["[]", "{}", '{"version": 9}', "", "[" * 5_000, '{"layout": 7, "type": "load"}'])
def test_records_of_another_shape_are_listed_whatever_they_hold(copy: Path, content: str) -> None:
    damaged = [path for path in files(copy) if is_state(path)]
    for path in damaged:
        path.write_text(content)
    assert unnoticed(copy, damaged) == []


@pytest.mark.parametrize("copy", ["out"], indirect=True)
def test_a_record_of_another_layout_is_listed(copy: Path) -> None:
    path = copy / "_lo2dask" / "train.json"
    path.write_bytes(state_bytes({"layout": 99, "type": "train"}))
    assert any("_lo2dask/train.json: the record is of another version" in line for line in problems(copy))


def test_a_training_with_fewer_models_names_what_stays_of_the_earlier_one(tmp_path: Path) -> None:
    raw = make_tree(tmp_path / "raw", scale=0.01, runs=2, errors_per_run=1)
    root = load_tree(raw, tmp_path / "out")
    for models, skip_if in ((("lr_words", "excess"), False), (("lr_words",), True)):
        train_root(root, models=models, skip_if=skip_if)
        assert problems(root) == []
    assert (root / "_lo2dask" / "models" / "excess.joblib").is_file()
