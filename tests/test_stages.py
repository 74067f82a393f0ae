"""Crash and damage of every stage: what depends on a record is done again, nothing else, and damage is told."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from lo2dask.commands.explain import explain
from lo2dask.commands.grid import GRID_STAGE, grid
from lo2dask.commands.load import load
from lo2dask.commands.score import SCORE, score
from lo2dask.commands.train import train
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.explanation.stale import EXPLAIN
from lo2dask.ingest.batch import TEXT
from lo2dask.ingest.metrics import METRICS
from lo2dask.ingest.text import ENHANCE
from lo2dask.options import ExplainOptions, GridOptions, LoadOptions, ScoreOptions, TrainOptions
from lo2dask.schema import LAYOUT_VERSION
from lo2dask.tables import records
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import LOAD
from lo2dask.tables.records import Stage, StageType
from lo2dask.tables.state import short_name
from lo2dask.training.exports import IF_PREDICTIONS
from lo2dask.training.units import TRAIN
from tests.damage import DAMAGED, OUTDATED
from tests.trees import make_tree


@dataclass(frozen=True)
class Folders:
    """The raw tree, the folder of all commands but score, and that of score."""

    raw: Path
    out: Path
    scores: Path


def run_load(at: Folders, session: Session) -> None:
    changes = {"save_events": True, "load_metrics": True, "partition_size": "100KB"}
    load(LoadOptions(root=at.raw, output_dir=at.out, **changes), session)


def run_train(at: Folders, session: Session) -> None:
    train(TrainOptions(root=at.out, models=("lr_words",), if_n_estimators=10), session)


def run_explain(at: Folders, session: Session) -> None:
    explain(ExplainOptions(root=at.out, skip_if=True, nn_source="lr_words"), session)


def run_score(at: Folders, session: Session) -> None:
    bundle = at.out / "_lo2dask" / "models" / "lr_words.joblib"
    score(ScoreOptions(bundle=bundle, root=at.raw, output_dir=at.scores), session)


def run_grid(at: Folders, session: Session) -> None:
    grid(GridOptions(root=at.out, algorithms=("oov",), representations=("words",), seeds=1), session)


COMMANDS = (run_load, run_train, run_explain, run_score, run_grid)


@dataclass(frozen=True)
class Case:
    """A record: how it is found, the command that redoes what it says, and the maps that are run for that.

    ``redone`` names maps by their label, each with its records (None: as many as there are).
    """

    run: Callable[[Folders, Session], None]
    type: StageType
    redone: dict[str, int | None]
    part: int | None = None
    in_scores: bool = False

    def stage(self, at: Folders) -> Stage:
        """Return the record: the whole stage, or the part of this number."""
        whole = Stage(Layout(at.scores if self.in_scores else at.out), self.type)
        return whole if self.part is None else whole.parts()[self.part]


CASES = {
    "load": Case(run_load, LOAD, {}),
    "a batch of the load": Case(run_load, LOAD, {"load": 1}, part=1),
    "a batch of the text pass": Case(run_load, TEXT, {"load": 1}, part=1),
    "a batch of the metrics": Case(run_load, METRICS, {"metrics": 1}, part=1),
    "the enhancement": Case(run_load, ENHANCE, {"enhance": None}),
    "a part of the enhancement": Case(run_load, ENHANCE, {"enhance": None}, part=1),
    "train": Case(run_train, TRAIN, {"score": None}),
    "the forest's predictions": Case(run_train, IF_PREDICTIONS, {"if predictions": None}),
    "a model's explanation": Case(run_explain, EXPLAIN, {"lr_words: survey": None}, part=0),
    "a bundle's scores": Case(run_score, SCORE, {"score": None}, part=0, in_scores=True),
    "a grid's cells": Case(run_grid, GRID_STAGE, {"score": None}, part=0),
}
# The cells of a grid are all in the record.
WITHOUT_OUTPUTS = [("a grid's cells", damage) for damage in OUTDATED if damage.startswith("an output")]
BATCHES = [name for name, case in CASES.items() if case.type in (LOAD, TEXT, METRICS) and case.part]
# The record that is damaged in every way by default.
OFTEN = "a batch of the text pass"
# The maps that are looked at: one or more of each stage.
LOOKED_AT = {"load", "metrics", "text", "enhance", "score", "if predictions", "lr_words: survey"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Everything done once, undisturbed."""
    base = tmp_path_factory.mktemp("whole")
    raw = make_tree(base / "raw", scale=0.01, runs=3, errors_per_run=1, with_metrics=True)
    at = Folders(raw, base / "out", base / "scores")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lo2dask.explanation.results.draw_plot", lambda kind, job: kind.encode())
        for command in COMMANDS:
            command(at, Session.serial())
    return at


@pytest.fixture
def at(whole: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    monkeypatch.setattr("lo2dask.explanation.results.draw_plot", lambda kind, job: kind.encode())
    copied = [Path(shutil.copytree(path, tmp_path / path.name)) for path in (whole.out, whole.scores)]
    return Folders(whole.raw, *copied)


def run(case: Case, at: Folders) -> dict[str, int]:
    """Run a case's command; return its maps by their labels, each with its records."""
    maps: dict[str, int] = {}
    session = Session.serial()
    session.listeners.append(lambda label, done, total, result: maps.update({label: total}))
    case.run(at, session)
    return {label: total for label, total in maps.items() if label in LOOKED_AT}


def tables_of(at: Folders) -> dict[str, bytes]:
    """Read all Parquet files."""
    files = [(root, path) for root in (at.out, at.scores) for path in root.rglob("*.parquet") if path.is_file()]
    return {f"{root.name}/{path.relative_to(root).as_posix()}": path.read_bytes() for root, path in files}


def check(case: Case, at: Folders, whole: Folders) -> None:
    """Check that a case's command does what depends on its record again, and nothing else; then nothing is to do."""
    maps = run(case, at)
    # What is enhanced from a batch that was loaded again is done again as well.
    assert set(maps) == set(case.redone) | ({"enhance"} if "load" in case.redone else set())
    assert all(maps[label] == count for label, count in case.redone.items() if count)
    before, after = tables_of(whole), tables_of(at)
    assert set(before) == set(after)
    assert [name for name, data in after.items() if before[name] != data] == []
    assert run(case, at) == {}


def _pairs(damages: list[str]) -> list[Any]:
    """List every record with every damage; those of one record and one of another are not thorough."""
    return [
        pytest.param(*pair, marks=[] if pair[0] == OFTEN or pair == ("train", damages[0]) else pytest.mark.thorough)
        for pair in product(CASES, damages)
        if pair not in WITHOUT_OUTPUTS
    ]


@pytest.mark.parametrize(("name", "damage"), _pairs(["truncated", "a list", "no fields", "other fields"]))
def test_a_damaged_record(name: str, damage: str, at: Folders, whole: Folders, caplog) -> None:
    case = CASES[name]
    path = case.stage(at).path
    DAMAGED[damage](path)
    check(case, at, whole)
    assert [message for message in caplog.messages if message.startswith(short_name(path))] == [
        f"{short_name(path)} is damaged: {case.stage(at).again}"
    ]


@pytest.mark.parametrize(("name", "damage"), _pairs(list(OUTDATED)))
def test_an_outdated_record(name: str, damage: str, at: Folders, whole: Folders) -> None:
    case = CASES[name]
    stage = case.stage(at)
    OUTDATED[damage](stage)
    check(case, at, whole)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in ("load", OFTEN, "train") else pytest.mark.thorough) for name in CASES],
)
def test_killed_between_outputs_and_record(name: str, at: Folders, whole: Folders, monkeypatch) -> None:
    case = CASES[name]
    stage = case.stage(at)
    stage.invalidate()
    write = records.write_state

    def killed(path: Path, *more: object) -> None:
        if path == stage.path:
            raise KeyboardInterrupt
        write(path, *more)

    with monkeypatch.context() as patch:
        patch.setattr(records, "write_state", killed)
        with pytest.raises(KeyboardInterrupt):
            run(case, at)
    assert not stage.path.exists()
    check(case, at, whole)


@pytest.mark.parametrize("name", BATCHES)
def test_swapped_records(name: str, at: Folders, whole: Folders) -> None:
    case = CASES[name]
    one, other = case.stage(at).path, Stage(Layout(at.out), case.type).parts()[0].path
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    (label,) = case.redone
    assert run(case, at)[label] == 2
    assert tables_of(at) == tables_of(whole)
    assert run(case, at) == {}


def test_the_text_pass_of_train_does_the_damaged_batch_again(at: Folders, whole: Folders, caplog) -> None:
    part = Stage(Layout(at.out), TEXT).parts()[1]
    part.path.write_text("[]")
    Layout(at.out).marker("enhance").unlink()
    case = Case(run_train, TEXT, {"text": 1, "enhance": None}, part=1)
    check(case, at, whole)
    assert f"{short_name(part.path)} is damaged: the text pass of its batch is done again" in caplog.messages


@pytest.mark.parametrize("command", [run_load, run_train, run_explain, run_grid])
def test_a_folder_of_another_layout_is_left_alone(command: Callable, at: Folders) -> None:
    marker = Layout(at.out).marker("load")
    marker.write_text(marker.read_text().replace(f'"layout": {LAYOUT_VERSION}', '"layout": 1'))
    before = {path: path.stat().st_mtime_ns for path in at.out.rglob("*")}
    with pytest.raises(InputError, match=rf"earlier version \(layout 1, now {LAYOUT_VERSION}\).*--no-resume"):
        command(at, Session.serial())
    assert {path: path.stat().st_mtime_ns for path in at.out.rglob("*")} == before
