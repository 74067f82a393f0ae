"""train end to end on a tiny made-up tree, serially: every model, any partitioning, bundles, hold-outs, resuming."""

import json
import math
import shutil
import threading
from pathlib import Path

import joblib
import numpy as np
import pyarrow.compute as pc
import pytest
import yaml

from lo2dask.domain import CORRECT
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.models import bundle
from lo2dask.models.registry import from_plain, names, register, spec
from lo2dask.models.split import Split
from lo2dask.options import TrainOptions
from lo2dask.storage import locked
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part
from lo2dask.training.scoring import list_fitted, score_part_rows
from lo2dask.training.train import train_models as train
from tests.models.toys import MERGED_TOY, TOY
from tests.trees import SERVICES, load_tree, make_tree, table_of, train_root

PAIRS = ("drift_words", "drift_trigrams", "oov_templates", "xgb_templates", "lr_all", "dt_numeric", "if_templates")
MODELS = (*names(), *PAIRS)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("tree") / "raw", scale=0.04)


@pytest.fixture(scope="module")
def one(raw, tmp_path_factory):
    """A tree in one part, with all models trained and a forest's hold-out."""
    root = load_tree(raw, tmp_path_factory.mktemp("one") / "out")
    summary = train_root(root, models=MODELS, if_holdout_fraction=0.25)
    return root, summary


@pytest.fixture
def fresh(one, tmp_path):
    """A loaded tree of which nothing is trained."""
    root = Path(shutil.copytree(one[0], tmp_path / "out"))
    layout = Layout(root)
    layout.marker("train").unlink()
    for folder in (layout.models, layout.predictions, layout.measures, layout.if_predictions):
        shutil.rmtree(folder)
    return root


def _measures(root, key):
    return json.loads((root / "metrics" / f"{key}.json").read_text())


def test_every_model_trains_and_leaves_predictions_measures_and_run_scores(one):
    root, summary = one
    layout = Layout(root)
    assert [line.key for line in summary.models] == ["if", *MODELS]
    expected = table_of(layout.sequences)
    for line in summary.models:
        assert line.fitted, line
        predictions = table_of(layout.predictions / line.key)
        assert predictions["seq_id"].equals(expected["seq_id"])
        assert not any(map(math.isnan, predictions["score"].to_pylist()))
        assert set(predictions["pred_ano"].to_pylist()) <= {0, 1}
        runs = table_of(root / f"{line.key}_runs.parquet")
        assert runs["top_service"].null_count == runs.num_rows, "nobody can tell without excess"
        measures = _measures(root, "if_metrics" if line.key == "if" else line.key)
        assert measures["holdout"]["f1"] == line.f1
        assert set(measures["holdout"]["per_service"]) == set(SERVICES)
        assert measures["leakage"]["holdout"]["baseline"] == "sequence length alone"
        assert measures["fit"][0]["seconds"] >= 0
    assert not (layout.internal / "train").exists()


def test_ranks_are_dense_and_follow_the_scores(one):
    predictions = table_of(Layout(one[0]).predictions / "event_oov_words")
    scores, ranks = predictions["score"].to_numpy(), predictions["rank"].to_numpy()
    assert sorted(set(ranks)) == list(range(1, len(set(scores)) + 1))
    assert (np.argsort(-scores, kind="stable") == np.argsort(ranks, kind="stable")).all()


@pytest.mark.thorough
def test_any_partitioning_gives_the_same_results(one, raw, tmp_path):
    root, summary = one
    other = load_tree(raw, tmp_path / "out", partition_size="300KB")
    assert len(part_paths(Layout(other).enhanced)) >= 3
    again = train_root(other, models=MODELS, if_holdout_fraction=0.25)
    for ours, theirs in zip(summary.models, again.models, strict=True):
        assert (ours.key, ours.f1, ours.auc_roc, ours.average_precision) == (
            theirs.key, theirs.f1, theirs.auc_roc, theirs.average_precision,
        )  # fmt: skip
        left, right = (table_of(Layout(folder).predictions / ours.key) for folder in (root, other))
        assert left.equals(right), ours.key
        runs = [table_of(folder / f"{ours.key}_runs.parquet") for folder in (root, other)]
        assert runs[0].equals(runs[1]), ours.key
        contents = [bundle.load(Layout(folder).models / f"{ours.key}.joblib") for folder in (root, other)]
        assert contents[0]["columns"] == contents[1]["columns"]
        assert contents[0]["calibration"] == contents[1]["calibration"]


def test_whole_runs_are_held_out_and_none_is_on_both_sides(one):
    for key in ("event_lr_words", "if"):
        predictions = table_of(Layout(one[0]).predictions / key)
        runs = {side: set(predictions.filter(pc.equal(predictions["split"], side))["run"].to_pylist())
                for side in ("train", "holdout")}  # fmt: skip
        assert len(runs["holdout"]) == 1
        assert not runs["train"] & runs["holdout"]
        assert max(runs["train"]) < min(runs["holdout"])


def test_a_caller_may_choose_the_hold_out(fresh):
    first = min(table_of(Layout(fresh).sequences)["run"].to_pylist())
    splits = {"sup": Split("run", runs=frozenset({first}))}
    options = TrainOptions(root=fresh, models=("lr_words",), skip_if=True)
    assert not train(options, Session.serial(), splits).current
    predictions = table_of(Layout(fresh).predictions / "lr_words")
    held = predictions.filter(pc.equal(predictions["split"], "holdout"))
    assert set(held["run"].to_pylist()) == {first}
    assert train(options, Session.serial(), splits).current
    assert not train(options, Session.serial()).current


def test_a_process_that_trains_twice_keeps_nothing_of_the_first_training(fresh):
    """The files between the maps have the same names in both trainings; they must not come from a cache."""
    options = TrainOptions(root=fresh, models=("if_words", "oov_words", "lr_numeric"), skip_if=True, if_n_estimators=3)
    contents = []
    for run in sorted(set(table_of(Layout(fresh).sequences)["run"].to_pylist()))[:2]:
        train(options, Session.serial(), {"sup": Split("run", runs=frozenset({run}))})
        contents.append([bundle.load(Layout(fresh).models / f"{key}.joblib")["columns"] for key in options.models])
        learned = table_of(Layout(fresh).enhanced)
        learned = learned.filter(pc.and_(pc.not_equal(learned["run"], run), learned["normal"]))
        known = {entry["token"] for bag in learned["e_words"].to_pylist() for entry in bag}
        assert set(contents[-1][1]["tokens"]["words"]) == known
    assert any(first != second for first, second in zip(*contents, strict=True))


@pytest.mark.parametrize("by", ["group", "test-case"])
def test_other_hold_outs_hold_out_something_and_not_all(fresh, by):
    train_root(fresh, models=("lr_words",), skip_if=True, holdout_by=by)
    predictions = table_of(Layout(fresh).predictions / "lr_words")
    sides = predictions["split"].to_pylist()
    assert {"train", "holdout"} == set(sides)
    cases = {side: {case for case, s in zip(predictions["test_case"].to_pylist(), sides, strict=True) if s == side}
             for side in ("train", "holdout")}  # fmt: skip
    if by == "test-case":
        assert cases["train"] & cases["holdout"] == {CORRECT}


def test_saved_models_load_and_score_the_same(one, tmp_path):
    """Bundles are read from another place, whole and unhelped, and score every row as train did."""
    root = one[0]
    layout = Layout(root)
    part = read_part(part_paths(layout.enhanced)[0])
    for key in ("if", *MODELS):
        kept = layout.models / f"{key}.joblib"
        for path in (kept, bundle.hash_path(kept)):
            shutil.copy(path, tmp_path)
        content = bundle.load(tmp_path / kept.name)
        assert spec(key).representation == content["spec"]["representation"] if key != "if" else True
        scores, labels = score_part_rows(part, from_plain(content["spec"]), list_fitted(content), 7)
        predictions = read_part(part_paths(layout.predictions / key)[0])
        assert np.array_equal(scores, predictions["score"].to_numpy()), key
        assert np.array_equal(labels, predictions["pred_ano"].to_numpy()), key


def test_a_model_of_one_specification_trains_and_scores_like_any_other(fresh):
    with register(TOY), register(MERGED_TOY):
        keys = ("toy_words", "toy_e_event_drain_id+seq_len", "merged_toy_words")
        summary = train_root(fresh, models=keys, skip_if=True, memory_budget="400MB")
        assert [(line.key, line.fitted) for line in summary.models] == [(key, True) for key in keys]
        part = read_part(part_paths(Layout(fresh).enhanced)[0])
        for key in keys:
            content = bundle.load(Layout(fresh).models / f"{key}.joblib")
            scores, labels = score_part_rows(part, from_plain(content["spec"]), list_fitted(content), 7)
            predictions = read_part(part_paths(Layout(fresh).predictions / key)[0])
            assert np.array_equal(scores, predictions["score"].to_numpy())
            assert np.array_equal(labels, predictions["pred_ano"].to_numpy())
            assert len(set(scores)) > 1
    with pytest.raises(InputError, match="toy_words"):
        train_root(fresh, models=keys)


def test_a_vectorizer_makes_the_matrix_from_plain_dicts(one):
    content = bundle.load(Layout(one[0]).models / "sequence_lr_words.joblib")
    part = read_part(part_paths(Layout(one[0]).enhanced)[0])
    dicts = [{entry["token"]: 1 for entry in bag} for bag in part["e_words"].to_pylist()]
    probability = content["model"].predict_proba(content["vectorizer"].transform(dicts))[:, 1]
    predictions = read_part(part_paths(Layout(one[0]).predictions / "sequence_lr_words")[0])
    assert probability == pytest.approx(predictions["score"].to_numpy(), abs=1e-6)


def test_a_second_training_has_nothing_to_do(one, monkeypatch):
    root, summary = one

    def refuse(*_, **__):
        raise AssertionError("there is nothing to do")

    monkeypatch.setattr(Session, "map", refuse)
    again = train_root(root, models=MODELS, if_holdout_fraction=0.25)
    assert again.current
    assert [line.f1 for line in again.models] == [line.f1 for line in summary.models]


@pytest.mark.parametrize(
    "lost",
    [
        "lr_words_runs.parquet",
        *(
            pytest.param(path, marks=pytest.mark.thorough)
            for path in ("metrics/lr_words.json", "_lo2dask/models/lr_words.joblib")
        ),
    ],
)
def test_what_was_lost_is_made_again(fresh, lost):
    train_root(fresh, models=("lr_words",), skip_if=True)
    path = fresh / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert not train_root(fresh, models=("lr_words",), skip_if=True).current
    assert path.exists()


def test_numeric_columns_work_beside_a_token_column(fresh):
    train_root(fresh, phase="if", if_item="e_event_drain_id", if_numeric=("seq_len", "rate"))
    content = bundle.load(Layout(fresh).models / "if.joblib")
    assert content["columns"]["numeric"] == ["seq_len", "rate"]
    assert content["columns"]["tokens"]["templates"]
    assert content["model"].n_features_in_ == len(content["columns"]["tokens"]["templates"]) + 2


def test_models_are_trained_on_columns_by_name(fresh):
    keys = ("lr_e_event_drain_id+n_error", "dt_seq_len+rate", "drift_e_words")
    summary = train_root(fresh, models=keys, if_item="n_error")
    assert [line.key for line in summary.models] == ["if", *keys]
    assert all(line.fitted for line in summary.models)
    columns = {key: bundle.load(Layout(fresh).models / f"{key}.joblib")["columns"] for key in ("if", *keys)}
    assert columns["if"]["numeric"] == ["n_error"]
    assert columns["dt_seq_len+rate"] == columns["dt_seq_len+rate"] | {"tokens": {}, "numeric": ["seq_len", "rate"]}
    assert list(columns[keys[0]]["tokens"]) == ["templates"]
    assert _measures(fresh, keys[0])["train"]["support"]["rows"] > 0


def test_without_a_forest_it_is_said_that_there_is_no_model_yml(fresh):
    summary = train_root(fresh, models=("lr_words",), skip_if=True, dump_metadata=True)
    assert any("model.yml" in note and "--skip-if" in note for note in summary.notes)
    assert not list(fresh.rglob("model.yml"))


def test_the_forest_leaves_all_that_the_guide_lists(fresh, tmp_path):
    saved = tmp_path / "models" / "lo2_if.joblib"
    train_root(
        fresh, phase="if", save_model=saved, save_if=tmp_path / "if.parquet", if_holdout_fraction=0.25,
        if_threshold_percentile=90.0, report_precision_at=5, report_fp_alpha=0.1, report_psi=True,
    )  # fmt: skip
    measures = _measures(fresh, "if_metrics")
    assert {"precision_at_k", "fp_rate_at_alpha", "psi", "threshold"} <= set(measures)
    assert (fresh / "metrics" / "if_metrics.csv").read_text().startswith("side,group,measure,value\n")
    predictions = table_of(tmp_path / "if.parquet")
    above = pc.greater(predictions["score_if"], measures["threshold"]["threshold"]).to_pylist()
    assert predictions["pred_if_threshold"].to_pylist() == [int(value) for value in above]
    told = yaml.safe_load((saved.parent / "model.yml").read_text())
    assert told["contamination"] == 0.1
    assert told["sha256"] == bundle.hash_path(saved).read_text().split()[0]
    assert {"parameters", "versions", "data_fingerprint", "git_commit"} <= set(told)
    assert set(joblib.load(saved)) >= {"model", "vectorizer"}


def test_a_given_bundle_scores_as_it_did_and_only_a_forest_is_taken(fresh, tmp_path):
    saved = tmp_path / "lo2_if.joblib"
    train_root(fresh, phase="if", save_model=saved)
    before = table_of(Layout(fresh).if_predictions)
    again = train_root(fresh, phase="if", load_model=saved, if_n_estimators=99)
    assert not again.current
    assert table_of(Layout(fresh).if_predictions).equals(before)
    train_root(fresh, models=("lr_words",), skip_if=True, save_sup_models=tmp_path)
    with pytest.raises(InputError, match="lr_words"):
        train_root(fresh, phase="if", load_model=tmp_path / "lr_words.joblib")
    with pytest.raises(InputError, match="no such bundle"):
        train_root(fresh, phase="if", load_model=tmp_path / "none.joblib")


def test_a_bundle_of_other_text_is_refused(fresh, tmp_path):
    saved = tmp_path / "lo2_if.joblib"
    train_root(fresh, phase="if", save_model=saved)
    content = bundle.load(saved)
    bundle.save(saved, content | {"raw_tokens": True}, overwrite=True)
    with pytest.raises(InputError, match="raw tokens"):
        train_root(fresh, phase="if", load_model=saved)


def test_a_bundle_is_replaced_only_where_it_would_differ_and_only_when_told_to(fresh, tmp_path):
    saved = tmp_path / "lo2_if.joblib"
    train_root(fresh, phase="if", save_model=saved)
    before = saved.stat().st_mtime_ns
    train_root(fresh, phase="if", save_model=saved, report_psi=True)
    assert saved.stat().st_mtime_ns == before
    with pytest.raises(InputError, match="--overwrite-model"):
        train_root(fresh, phase="if", save_model=saved, sample_seed=7)
    train_root(fresh, phase="if", save_model=saved, sample_seed=7, overwrite_model=True)
    assert bundle.load(saved)["setup"]["sample_seed"] == 7


def test_one_model_per_service_in_one_bundle(fresh, tmp_path):
    models = ("dt_words", "drift_words")
    summary = train_root(fresh, models=models, per_service=True, save_sup_models=tmp_path / "sup")
    assert [line.key for line in summary.models] == ["if", *models]
    for key in models:
        content = bundle.load(tmp_path / "sup" / f"{key}.joblib")
        assert set(content["model"]) == set(content["columns"]) == set(SERVICES)
        predictions = table_of(Layout(fresh).predictions / key)
        assert not any(map(math.isnan, predictions["score"].to_pylist()))
        assert len(_measures(fresh, key)["fit"]) == len(SERVICES)
    forest = table_of(Layout(fresh).if_predictions)
    assert forest["pred_if_threshold"].equals(forest["pred_ano"])
    assert sum(forest["pred_ano"].to_pylist()) > 0


def test_a_service_that_cannot_be_learned_is_said_and_its_rows_are_unused(tmp_path):
    """Of one run, held out are no others: without a second class a supervised model is not fitted."""
    raw = make_tree(tmp_path / "raw", runs=2, errors_per_run=0, services=("key",))
    root = load_tree(raw, tmp_path / "out")
    summary = train_root(root, models=("lr_words", "lof_words"), save_sup_models=tmp_path / "sup", per_service=True)
    line = {line.key: line for line in summary.models}["lr_words"]
    assert not line.fitted
    assert "both classes" in line.reason
    assert any(note.startswith("lr_words: saved without a model for key:") for note in summary.notes)
    assert set(table_of(Layout(root).predictions / "lr_words")["split"].to_pylist()) == {"unused"}
    measures = _measures(root, "if_metrics")["holdout"]
    assert measures["f1"] is None
    assert measures["reason"]


def test_a_hold_out_of_one_class_has_no_f1_but_a_reason(tmp_path):
    raw = make_tree(tmp_path / "raw", runs=3, errors_per_run=1, services=("key", "user"))
    last = sorted(raw.glob("light-oauth2-data-*"))[-1]
    for case in last.iterdir():
        if case.is_dir() and case.name != CORRECT:
            shutil.rmtree(case)
    root = load_tree(raw, tmp_path / "out")
    line = train_root(root, models=("lr_words",), skip_if=True, holdout_by="group").models[0]
    assert line.fitted
    assert (line.f1, line.auc_roc, line.average_precision) == (None, None, None)
    assert line.reason == "no anomaly among the sequences"


def test_a_fit_over_budget_takes_a_sample_that_is_recorded(fresh, monkeypatch):
    monkeypatch.setattr("lo2dask.models.guard.bound_rows", lambda *_: (10, ("sample of 10",)))
    train_root(fresh, models=("lr_words", "kmeans_words"), skip_if=True)
    for key in ("lr_words", "kmeans_words"):
        record = _measures(fresh, key)["fit"][0]
        assert record["rows"] == record["sample"]["rows"] == 10
        sample = Layout(fresh).models / "samples" / f"{record['sample']['sha256'][:16]}.parquet"
        ids = read_part(sample)["seq_id"].to_pylist()
        predictions = table_of(Layout(fresh).predictions / key)
        held = predictions.filter(pc.equal(predictions["split"], "holdout"))["seq_id"].to_pylist()
        assert len(ids) == 10
        assert not set(ids) & set(held)


def test_bad_options_end_before_any_work(one, tmp_path):
    root = one[0]
    with pytest.raises(InputError, match="--models: 'nonsense' is not known"):
        train_root(root, models=("nonsense",))
    with pytest.raises(InputError, match="--if-numeric"):
        train_root(root, if_numeric=("nonsense",))
    with pytest.raises(InputError, match="--skip-if"):
        train_root(root, phase="if", skip_if=True)
    with pytest.raises(InputError, match="no finished load in it"):
        train(TrainOptions(root=tmp_path), Session.serial())


def test_a_load_that_runs_is_named_though_there_is_no_finished_load(tmp_path: Path) -> None:
    said = []

    def train_there() -> None:
        with pytest.raises(InputError) as raised:
            train_root(tmp_path / "out")
        said.append(str(raised.value))

    with locked(tmp_path / "out", "lo2dask load"):
        thread = threading.Thread(target=train_there)
        thread.start()
        thread.join(30)
    assert "is in use: lo2dask load is at work there" in said[0]
