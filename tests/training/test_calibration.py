"""Run scores compare with those of normals that the model has not seen, and flag what is normal at the nominal rate."""

import numpy as np
import pytest

from lo2dask.models.conformal import p_values
from lo2dask.options import TrainOptions
from lo2dask.storage import read_json
from lo2dask.tables.layout import Layout
from lo2dask.training.left_out import ALONE, FOLDED, describe_calibrations
from lo2dask.training.limits import describe_options
from lo2dask.training.units import read_splits
from tests.trees import load_tree, make_tree, table_of, train_root

MODELS = ("oov_words", "drift_words", "lof_words")


def _flagged(folder, seed, held, models, **changes):
    """Train on all but the newest runs of a tree without errors; return the held-out share that each model flags."""
    root = load_tree(make_tree(folder / "raw", errors_per_run=0, seed=seed, **changes), folder / "out")
    train_root(root, sup_holdout_fraction=held, if_holdout_fraction=held, models=models)
    newest = read_splits(Layout(root))["sup"].runs
    assert newest == read_splits(Layout(root))["if"].runs
    tables = {key: table_of(root / f"{key}_runs.parquet") for key in ("if", *models)}
    keep = np.isin(tables["if"]["run"].to_pylist(), sorted(newest))
    return {key: table["pred_ano"].to_numpy()[keep] for key, table in tables.items()}


def test_models_with_few_normals_are_named_where_others_have_enough():
    def made(normals, own_limit=False):
        return {"normal_maxima": [0.0] * normals, "scored": ALONE, "own_limit": own_limit}

    notes = describe_calibrations({"one": made(4), "two": made(30), "excess": made(2, True)})
    assert [note.partition(" to compare")[0] for note in notes] == [
        "one: 4 normal cases", "p of runs: normals scored leave-one-run-out: two"
    ]  # fmt: skip
    assert describe_calibrations({"one": made(4), "two": made(4)})[0].startswith("4 normal cases to compare with: no")


def test_options_of_a_hold_out_are_without_effect_where_nothing_is_held_out():
    given = {"root": "x", "skip_if": True, "sup_holdout_fraction": 0.3}
    assert not describe_options(TrainOptions(**given))
    assert describe_options(TrainOptions(**given, holdout_by="folds")) == [
        "--sup-holdout-fraction is without effect: --holdout-by folds holds nothing out"
    ]


def test_training_normals_are_scored_without_their_run(tmp_path):
    root = load_tree(make_tree(tmp_path / "raw", runs=5), tmp_path / "out")
    summary = train_root(root, models=("oov_words", "lr_words"))
    assert any("4 normal cases to compare with: no run can be flagged" in note for note in summary.notes)
    table = table_of(root / "oov_words_runs.parquet").to_pylist()
    held = read_splits(Layout(root))["sup"].runs
    normal = [row for row in table if row["normal"] and row["run"] not in held]
    # Nothing is unknown of what a model has seen: its own run's words count only once they are left out.
    predictions = table_of(Layout(root).predictions / "oov_words").to_pylist()
    assert not any(row["score"] for row in predictions if row["normal"] and row["split"] == "train")
    assert any(row["score_run"] > 0 for row in normal)
    scores = np.array([row["score_run"] for row in normal])
    assert all(row["p"] >= 1 / (len(scores) + row["anomaly"]) for row in table if row["anomaly"] or row in normal)
    assert not any(row["pred_ano"] for row in table)
    assert sorted(read_splits(Layout(root))) == ["if", "sup"]
    assert [row["p"] for row in normal] == p_values(scores, scores, is_among=True).tolist()


def test_a_model_whose_scores_hang_on_the_number_of_rows_leaves_out_one_run_at_a_time(tmp_path):
    root = load_tree(make_tree(tmp_path / "raw", runs=14, errors_per_run=1, scale=0.02), tmp_path / "out")
    train_root(root, models=("lof_words", "oneclass_svm_words"), skip_if=True)
    scored = [
        read_json(root / "metrics" / f"{name}_words.json")["runs_calibration"] for name in ("lof", "oneclass_svm")
    ]
    assert [one["scored"] for one in scored] == [ALONE, FOLDED]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_normal_runs_are_flagged_at_the_nominal_rate(tmp_path):
    flagged, excess = {}, []
    for seed in range(20):
        found = _flagged(tmp_path / str(seed), seed, 0.3, (*MODELS, "excess"), runs=60, scale=0.05)
        excess += found.pop("excess").tolist()
        for key, values in found.items():
            flagged.setdefault(key, []).extend(values.tolist())
    rates = {key: float(np.mean(values)) for key, values in flagged.items()}
    print(rates, "excess", np.mean(excess))
    assert set(rates) == {"if", *MODELS}
    assert all(rate <= 0.08 for rate in rates.values()), rates
    # Observed: if .017, drift .033, lof .014 (in five folds .183), oov 0, excess 0. Ties, and scores at the bound,
    # flag less.
    assert all(rates[key] >= 0.01 for key in ("if", "drift_words")), rates
