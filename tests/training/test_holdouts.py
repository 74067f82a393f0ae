"""Where nothing is held out every run is scored by models without it, and training ends with figures."""

import json
import shutil

import numpy as np
import pytest

from lo2dask.execute.session import Session
from lo2dask.models.split import Split
from lo2dask.options import TrainOptions
from lo2dask.tables.layout import Layout
from lo2dask.training.train import train_models
from lo2dask.training.units import read_splits
from tests.trees import load_tree, make_tree, table_of, train_root


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("holdouts")
    return load_tree(make_tree(folder / "raw", runs=4, scale=0.04), folder / "out")


def _measures(root, key):
    return json.loads((root / "metrics" / f"{key}.json").read_text())


@pytest.mark.thorough
def test_leaving_one_run_out_is_what_a_training_without_it_scores(root, tmp_path):
    models = ("lr_words", "oov_words", "excess")
    summary = train_root(root, models=models, skip_if=True, holdout_by="loro")
    assert read_splits(Layout(root))["sup"].by == "loro"
    assert all(line.average_precision is not None for line in summary.models)
    held = _measures(root, "lr_words")["holdout"]
    assert (held["by"], held["support"]["rows"]) == ("loro", 36)
    trust = _measures(root, "lr_words")["trust"]
    assert (trust["cases"], trust["runs"]) == (12, 4)
    kept = {(r["run"], r["test_case"]): r["score_run"] for r in table_of(root / "oov_words_runs.parquet").to_pylist()}
    assert len(kept) == 12
    # The last run, held out by itself.
    run = sorted(set(table_of(Layout(root).enhanced)["run"].to_pylist()))[-1]
    options = TrainOptions(root=root, models=("lr_words",), skip_if=True)
    train_models(options, Session.serial(), {"sup": Split("run", runs=frozenset({run}))})
    alone = _measures(root, "lr_words")["holdout"]
    assert alone["support"]["rows"] == 9
    folds = train_root(root, models=("lr_words",), skip_if=True, holdout_by="folds")
    assert folds.models[0].auc_roc == held["auc_roc"]  # four folds of four runs


def test_a_newest_run_without_errors_is_no_end(tmp_path):
    raw = make_tree(tmp_path / "raw", runs=4, errors_per_run=1, scale=0.04)
    for case in max(raw.glob("light-oauth2-data-*")).iterdir():
        if case.is_dir() and case.name != "correct":
            shutil.rmtree(case)
    root = load_tree(raw, tmp_path / "out")
    summary = train_root(root, models=("lr_words", "excess"))
    assert any(note.startswith("the hold-out has no error, so ") for note in summary.notes)
    for key in ("lr_words", "excess"):
        assert _measures(root, key)["holdout"]["auc_roc"] is not None
        assert _measures(root, key)["trust"]["reason"] is None
    assert np.isfinite(_measures(root, "if_metrics")["trust"]["auc"]["value"])
