"""Few logs are worked on without workers, unless somebody asks for some."""

import math
from pathlib import Path

import pytest

from lo2dask.commands.explain import explain
from lo2dask.commands.load import load
from lo2dask.commands.score import score
from lo2dask.commands.train import train
from lo2dask.commands.verify import verify
from lo2dask.execute import cluster
from lo2dask.execute.session import FEW_BYTES, FEW_FILES, Session
from lo2dask.options import CommonOptions, ExplainOptions, LoadOptions, ScoreOptions, TrainOptions, VerifyOptions
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import load_size
from tests.trees import load_tree, make_tree, train_root


class StartedError(Exception):
    """Raised in place of starting workers."""


@pytest.fixture(autouse=True)
def _no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(options: CommonOptions) -> None:
        raise StartedError

    monkeypatch.setattr(cluster, "open_client", start)


@pytest.mark.parametrize(("files", "size"), [(FEW_FILES + 1, 1), (1, FEW_BYTES + 1), (math.inf, math.inf)])
def test_many_logs_or_bytes_are_for_workers(files: float, size: float) -> None:
    session = Session(CommonOptions())
    session.work_here(files, size)
    assert not session.is_serial
    with pytest.raises(StartedError):
        session.map(str, [1], "text")


@pytest.mark.parametrize("asked", [{"workers": 1}, {"threads_per_worker": 2}, {"memory_limit": "1GB"}])
def test_an_option_of_workers_asks_for_them(asked: dict) -> None:
    session = Session(CommonOptions(**asked))
    session.work_here(1, 1)
    assert not session.is_serial


@pytest.mark.parametrize("how", [{"serial": False}, {"client": object()}])
def test_a_block_or_a_client_asks_for_workers(how: dict) -> None:
    session = Session(CommonOptions(), **how)
    session.work_here(1, 1)
    assert not session.is_serial


def test_a_small_tree_goes_through_all_commands_without_workers(tmp_path: Path) -> None:
    out = tmp_path / "out"
    load(LoadOptions(root=make_tree(tmp_path / "raw", scale=0.02), output_dir=out))
    train(TrainOptions(root=out, models=("excess",), skip_if=True))
    explain(ExplainOptions(root=out))
    assert not verify(VerifyOptions(output_dir=out)).problems


def test_lost_records_are_not_taken_for_few_logs(tmp_path: Path) -> None:
    out = load_tree(make_tree(tmp_path / "raw", scale=0.02), tmp_path / "out")
    assert load_size(Layout(out)) < (FEW_FILES, FEW_BYTES)
    Layout(out).record("load", 0).unlink()
    assert load_size(Layout(out)) == (math.inf, math.inf)


def test_metrics_may_be_many(tmp_path: Path) -> None:
    raw = make_tree(tmp_path / "raw", scale=0.02, with_metrics=True)
    with pytest.raises(StartedError):
        load(LoadOptions(root=raw, output_dir=tmp_path / "out", load_metrics=True))


def test_a_folder_within_may_be_larger_than_the_one_around_it(tmp_path: Path) -> None:
    raw, out = make_tree(tmp_path / "raw", scale=0.02), tmp_path / "out"
    train_root(load_tree(raw, out), models=("excess",), skip_if=True)
    options = ScoreOptions(bundle=Layout(out).models / "excess.joblib", root=raw, output_dir=tmp_path / "scores")
    score(options, Session.serial())
    with pytest.raises(StartedError):
        verify(VerifyOptions(output_dir=tmp_path / "scores"))
