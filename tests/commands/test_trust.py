"""Models in another user's output folder are not unpickled without --trust."""

import os
import pickle

import pytest

from lo2dask.commands.explain import explain
from lo2dask.commands.grid import grid
from lo2dask.commands.report import report
from lo2dask.commands.score import score
from lo2dask.commands.train import train
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.options import ExplainOptions, GridOptions, ReportOptions, ScoreOptions, TrainOptions
from tests.trees import load_tree, make_tree, train_root


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree")
    root = load_tree(make_tree(folder / "raw", runs=2, services=("key",)), folder / "out")
    train_root(root, phase="if", save_model=folder / "lo2_if.joblib")
    return root


COMMANDS = {
    "train": lambda root, **trust: train(TrainOptions(root=root, models=("lr_words",), **trust), Session.serial()),
    "explain": lambda root, **trust: explain(ExplainOptions(root=root, **trust), Session.serial()),
    "seq-id": lambda root, **trust: explain(ExplainOptions(root=root, seq_id="x", **trust), Session.serial()),
    "grid": lambda root, **trust: grid(GridOptions(root=root, algorithms=("lr",), seeds=1, **trust), Session.serial()),
    "report": lambda root, **trust: report(ReportOptions(root=root, **trust)),
    "score": lambda root, **trust: score(
        ScoreOptions(bundle=root.parent / "lo2_if.joblib", root=root.parent / "raw", output_dir=root, **trust)
    ),
}


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owner here")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_of_another_user_is_refused_before_anything_is_unpickled(root, command, monkeypatch):
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    monkeypatch.setattr(pickle, "Unpickler", lambda *_, **__: pytest.fail("unpickled"))
    with pytest.raises(InputError, match=f"uid {uid}.*--trust"):
        COMMANDS[command](root)


@pytest.mark.parametrize("command", ["train", "explain", "report"])
def test_a_trusted_folder_is_read(root, command, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: -1, raising=False)
    COMMANDS[command](root, trust=True)
