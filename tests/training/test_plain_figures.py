"""Figures of train against plain scikit-learn and numpy, from the enhanced table and the predictions alone."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import StandardScaler

from lo2dask.cli.summary import train_text
from lo2dask.commands.score import score
from lo2dask.execute.session import Session
from lo2dask.models import bundle
from lo2dask.options import ScoreOptions
from lo2dask.tables.layout import Layout
from lo2dask.training import fitting
from tests.trees import load_tree, make_tree, table_of, train_root

FOREST = {"phase": "if", "if_holdout_fraction": 0.25, "if_n_estimators": 20}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("tree") / "raw", scale=0.05, runs=5, errors_per_run=3)


@pytest.fixture(scope="module")
def loaded(raw):
    return load_tree(raw, raw.parent / "out")


@pytest.fixture
def root(loaded, tmp_path):
    return Path(shutil.copytree(loaded, tmp_path / "out"))


def sides(table: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return whether rows are normal, in the training part, held out."""
    split = np.asarray(table["split"].to_pylist())
    return np.asarray(table["normal"]), split == "train", split == "holdout"


def measures_of(root: Path, key: str = "if_metrics") -> dict:
    return json.loads((root / "metrics" / f"{key}.json").read_text())


@pytest.mark.parametrize(
    "model", ["if", "lof_e_trigrams+rate", pytest.param("oneclass_svm_e_words+seq_len", marks=pytest.mark.thorough)]
)
def test_vocabulary_and_scales_of_a_model_of_normals_come_from_training_normals_alone(root, model):
    key, numeric = ("if", ["seq_len", "n_error"]) if model == "if" else (model, [model.partition("+")[2]])
    if model == "if":
        train_root(root, phase="if", if_numeric=tuple(numeric))
    else:
        train_root(root, models=(model,), skip_if=True)
    table, predictions = table_of(Layout(root).enhanced), table_of(Layout(root).predictions / key)
    normal, training, _ = sides(predictions)
    bag = "e_trigrams" if "trigrams" in model else "e_words"
    bags = [[entry["token"] for entry in row] for row in table[bag].to_pylist()]
    learned = [bags[row] for row in np.flatnonzero(normal & training)]
    expected = CountVectorizer(analyzer=lambda tokens: tokens, min_df=2, max_df=0.9, binary=True).fit(learned)
    columns = bundle.load(Layout(root).models / f"{key}.joblib")["columns"]
    assert set(next(iter(columns["tokens"].values()))) == set(expected.vocabulary_)
    numbers = np.column_stack([np.asarray(table[name], dtype=float) for name in numeric])[normal & training]
    assert columns["scale"] == pytest.approx(StandardScaler().fit(numbers).scale_, abs=1e-3)


def test_scores_and_limit_of_the_forest_are_scikit_learns(root):
    train_root(root, **FOREST)
    table, predictions = table_of(Layout(root).enhanced), table_of(Layout(root).predictions / "if")
    content = bundle.load(Layout(root).models / "if.joblib")
    normal, training, _ = sides(predictions)
    rows = [{entry["token"]: 1 for entry in row} for row in table["e_words"].to_pylist()]
    matrix = content["vectorizer"].transform(rows)
    forest = IsolationForest(n_estimators=20, random_state=42).fit(matrix[normal & training])
    plain = -forest.score_samples(matrix)
    assert np.asarray(predictions["score"]) == pytest.approx(plain, abs=1e-9)
    limit = np.quantile(plain[normal & training], 0.9)
    assert content["scoring"]["threshold"] == pytest.approx(limit)
    assert np.array_equal(np.asarray(predictions["pred_ano"]), plain > limit)


@pytest.mark.parametrize(
    ("asked", "percentile"),
    [
        (80.0, 80),
        (1.0, 100),
        pytest.param(0.8, 80, marks=pytest.mark.thorough),
        pytest.param(0.995, 99.5, marks=pytest.mark.thorough),
    ],
)
def test_there_is_one_alert_limit_everywhere(root, raw, tmp_path, asked, percentile):
    saved = tmp_path / "models" / "lo2_if.joblib"
    summary = train_root(root, **FOREST, if_threshold_percentile=asked, save_model=saved)
    predictions = table_of(Layout(root).if_predictions)
    normal, _, held = sides(predictions)
    scores = np.asarray(predictions["score_if"])
    limit = np.percentile(scores[normal & held], percentile)
    flagged = (scores > limit).astype(int).tolist()
    assert predictions["pred_ano"].to_pylist() == predictions["pred_if_threshold"].to_pylist() == flagged
    found = measures_of(root)
    assert found["threshold"] == {"percentile": percentile, "threshold": limit, "source": "holdout", "reason": None}
    confusion = found["holdout"]["confusion"]
    assert confusion["fp"] == sum(np.asarray(flagged)[normal & held])
    assert bundle.load(saved)["scoring"]["threshold"] == limit
    assert yaml.safe_load((saved.parent / "model.yml").read_text())["threshold"] == limit
    assert any("is a fraction" in note for note in summary.notes) == (asked <= 1)
    told = score(ScoreOptions(bundle=saved, root=raw, output_dir=tmp_path / "scored"), Session.serial())
    assert table_of(told.predictions)["pred_ano"].to_pylist() == flagged


def test_a_forest_with_another_limit_is_another_model(root, tmp_path):
    saved = tmp_path / "lo2_if.joblib"
    train_root(root, **FOREST, save_model=saved, if_threshold_percentile=90)
    train_root(root, **FOREST, save_model=saved, if_threshold_percentile=50, overwrite_model=True)
    predictions = table_of(Layout(root).if_predictions)
    normal, _, held = sides(predictions)
    limit = np.percentile(np.asarray(predictions["score_if"])[normal & held], 50)
    assert bundle.load(saved)["scoring"]["threshold"] == limit


def test_each_service_has_its_own_limit_where_it_has_its_own_forest(root):
    train_root(root, **FOREST, per_service=True, if_threshold_percentile=75)
    predictions = table_of(Layout(root).if_predictions)
    normal, _, held = sides(predictions)
    scores, services = np.asarray(predictions["score_if"]), np.asarray(predictions["service"].to_pylist())
    content = bundle.load(Layout(root).models / "if.joblib")
    for service in sorted(set(services)):
        own = services == service
        limit = np.percentile(scores[own & normal & held], 75)
        assert content["scoring"][service]["threshold"] == limit
        assert measures_of(root)["threshold"]["per_service"][service]["threshold"] == limit
        assert np.array_equal(np.asarray(predictions["pred_ano"])[own] == 1, scores[own] > limit)


def test_the_stability_index_compares_normals_with_normals(root):
    train_root(root, **FOREST, report_psi=True)
    predictions = table_of(Layout(root).if_predictions)
    normal, training, held = sides(predictions)
    scores = np.asarray(predictions["score_if"])
    inner = np.unique(np.quantile(scores[training & normal], np.linspace(0, 1, 11)))[1:-1]
    edges = [-np.inf, *np.nextafter(inner, np.inf), np.inf]  # a score equal to an edge belongs to the bin below it
    shares = [np.histogram(scores[rows & normal], edges)[0] / (rows & normal).sum() for rows in (training, held)]
    train, other = (np.maximum(share, 1e-8) for share in shares)
    assert measures_of(root)["psi"]["psi"] == pytest.approx(((train - other) * np.log(train / other)).sum())


def test_precision_at_k_is_null_with_a_reason_where_the_hold_out_has_no_anomaly(tmp_path):
    raw = make_tree(tmp_path / "raw", runs=4, errors_per_run=1, services=("key",))
    newest = sorted(raw.glob("light-oauth2-data-*"))[-1]
    for case in newest.iterdir():
        if case.is_dir() and case.name != "correct":
            for path in case.iterdir():
                path.unlink()
            case.rmdir()
    root = load_tree(raw, tmp_path / "out")
    train_root(root, **FOREST, report_precision_at=2)
    found = measures_of(root)
    assert found["rows_reported"] == "holdout"
    assert found["precision_at_k"]["precision"] is None
    assert found["precision_at_k"]["reason"] == "no anomaly among the sequences"


def test_a_model_that_is_not_fitted_predicts_nothing(tmp_path):
    raw = make_tree(tmp_path / "raw", runs=3, errors_per_run=0, services=("key", "user"))
    root = load_tree(raw, tmp_path / "out")
    line = {line.key: line for line in train_root(root, models=("lr_words",)).models}["lr_words"]
    assert not line.fitted
    predictions = table_of(Layout(root).predictions / "lr_words")
    assert len(predictions) > 0
    for column in ("pred_ano", "score", "rank"):
        assert predictions[column].null_count == len(predictions), column
    assert table_of(root / "lr_words_runs.parquet").num_rows == 0


def test_models_that_differ_in_their_name_alone_are_fitted_once(root, monkeypatch):
    fitted, fit = [], fitting.fit_model
    monkeypatch.setattr(fitting, "fit_model", lambda spec, *rest: fitted.append(spec.key) or fit(spec, *rest))
    keys = ("event_lr_words", "sequence_shap_lr_words", "lr_e_words", "lr_trigrams")
    summary = train_root(root, models=keys, skip_if=True)
    assert sorted(set(fitted)) == ["baseline_seq_len_sup", "event_lr_words", "lr_trigrams"]
    assert fitted.count("event_lr_words") == fitted.count("lr_trigrams")  # once, and once for each fold
    assert [line.same_as for line in summary.models] == [None, keys[0], keys[0], None]
    assert f"{keys[1]} is the same model as {keys[0]}" in summary.notes
    first, *others = (table_of(Layout(root).predictions / key) for key in keys[:3])
    assert all(other.equals(first) for other in others)
    assert [measures_of(root, key)["fit"][0]["key"] for key in keys] == list(keys)
    text = "\n".join(train_text(summary))
    assert sum(line.startswith(keys[1]) for line in text.splitlines()) == 0
    assert train_root(root, models=keys, skip_if=True).models == summary.models


def test_the_predecessors_own_numeric_columns_are_accepted(root):
    train_root(root, phase="if", if_numeric=("e_chars_len", "e_words_len", "seq_len"))
    table = table_of(Layout(root).enhanced)
    assert (np.asarray(table["e_chars_len"]) > np.asarray(table["e_trigrams_len"])).all()
    assert bundle.load(Layout(root).models / "if.joblib")["columns"]["numeric"][0] == "e_chars_len"


def test_options_of_the_forest_without_effect_are_said(root):
    summary = train_root(root, models=("lr_words",), skip_if=True, report_psi=True, if_threshold_percentile=99)
    assert {note.partition(" ")[0] for note in summary.notes if "--skip-if" in note} == {
        "--report-psi",
        "--if-threshold-percentile",
    }
    assert any(note.startswith("--report-psi") for note in train_root(root, phase="if", report_psi=True).notes)
    assert measures_of(root)["psi"]["reason"] == "no scored normal sequence in the hold-out"


@pytest.mark.parametrize("guarded", [True, False])
def test_a_bundle_says_how_many_trees_were_grown(root, guarded, monkeypatch):
    monkeypatch.setattr("lo2dask.models.guard.CAPS", {"n_estimators": 10})
    train_root(root, **FOREST, save_model=root / "b.joblib", disable_memory_guard=not guarded)
    content = bundle.load(root / "b.joblib")
    trees = len(content["model"].estimators_)
    assert content["spec"]["params"]["n_estimators"] == trees == (10 if guarded else 20)
