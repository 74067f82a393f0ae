import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from lo2dask.models import evaluate
from lo2dask.models.evaluate import Scored


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=1, max_size=50))
def test_measures_equal_scikit_learns_with_ties(rows):
    y, score = np.array([row[0] for row in rows]), np.array([row[1] / 3 for row in rows])
    label = (score > 0).astype(np.int8)
    found = evaluate.measures(y, score, label)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(y, label))
    tn, fp, fn, tp = metrics.confusion_matrix(y, label, labels=[0, 1]).ravel()
    assert found["confusion"] == {"tn": tn, "fp": fp, "fn": fn, "tp": tp}
    if y.all() or not y.any():
        assert found["auc_roc"] is None
        assert found["f1"] is None
        assert "no " in found["reason"]
        return
    assert found["reason"] is None
    assert found["auc_roc"] == pytest.approx(metrics.roc_auc_score(y, score))
    assert found["average_precision"] == pytest.approx(metrics.average_precision_score(y, score))
    for name in ("precision", "recall", "f1"):
        expected = getattr(metrics, f"{name}_score")(y, label, zero_division=0)
        assert found[name] == pytest.approx(expected)


def _scored():
    case = np.array(["correct", "correct", "get_403", "del_404", "correct", "get_403"])
    return Scored(
        y=case != "correct",
        score=np.array([0.1, 0.9, 0.8, 0.2, 0.3, 0.7]),
        label=np.array([0, 1, 1, 0, 0, 1]),
        service=np.array(["token", "user", "token", "user", "token", "user"]),
        test_case=case,
        split=np.array(["train", "train", "train", "train", "holdout", "holdout"]),
    )


def test_both_sides_are_measured_whole_per_service_and_per_error_type():
    found = evaluate.evaluate(_scored())
    assert found["train"]["support"] == {"rows": 4, "normal": 2, "anomaly": 2}
    assert found["holdout"]["f1"] == 1.0
    assert set(found["train"]["per_service"]) == {"token", "user"}
    assert found["train"]["per_service"]["token"]["f1"] == 1.0
    assert found["train"]["per_service"]["user"]["f1"] == 0.0
    by_type = found["train"]["per_error_type"]
    assert by_type["get_403"]["support"] == {"rows": 3, "normal": 2, "anomaly": 1}
    assert by_type["del_404"]["recall"] == 0.0
    assert found["holdout"]["per_service"]["token"]["reason"] == "no anomaly among the sequences"
    assert found["holdout"]["per_service"]["user"]["reason"] == "no normal sequence among the sequences"
    assert found["holdout"]["per_service"]["user"]["recall"] == 1.0


def test_an_empty_side_is_null_with_a_reason():
    found = evaluate.measure_groups(_scored().side("unused"))
    assert found["accuracy"] is None
    assert found["reason"] == "no sequence"
    assert found["per_service"] == {} == found["per_error_type"]


def test_precision_at_k_and_false_positives_at_alpha():
    y = np.array([True, False, True, False, False, False, False, False, False, False])
    score = np.array([9, 8, 7, 6, 5, 4, 3, 2, 1, 0.0])
    assert evaluate.precision_at_k(y, score, 3)["precision"] == pytest.approx(2 / 3)
    assert evaluate.precision_at_k(y, score, 200) == {"k": 10, "anomalies": 2, "precision": 0.2, "reason": None}
    found = evaluate.false_positives_at(y, score, 0.31)
    assert (found["rows"], found["false_positives"], found["fp_rate"]) == (4, 2, 2 / 8)
    assert evaluate.false_positives_at(np.zeros(100, bool), np.arange(100.0), 0.07)["rows"] == 7
    without = evaluate.precision_at_k(np.zeros(4, bool), np.arange(4.0), 2)
    assert (without["precision"], without["reason"]) == (None, "no anomaly among the sequences")
    assert evaluate.precision_at_k(np.empty(0, bool), np.empty(0), 2)["reason"] == "no sequence"
    assert evaluate.precision_at_k(~y, score, 1)["precision"] == 0.0
    assert evaluate.false_positives_at(np.ones(4, bool), np.arange(4.0), 0.5)["fp_rate"] is None


def test_stability_index_by_hand_and_at_rest():
    train = np.arange(100.0)
    assert evaluate.stability_index(train, train)["psi"] == pytest.approx(0.0)
    moved = evaluate.stability_index(train, np.full(50, 1000.0))
    expected = 9 * (0.1 - 1e-8) * np.log(0.1 / 1e-8) + (0.1 - 1.0) * np.log(0.1)
    assert moved["psi"] == pytest.approx(expected)
    assert moved["bins"] == 10
    assert evaluate.stability_index(train, np.empty(0))["psi"] is None
    assert evaluate.stability_index(np.ones(9), np.ones(3))["psi"] == pytest.approx(0.0)


def test_the_stability_index_of_one_or_two_distinct_scores_sees_a_drift():
    few = np.repeat([0.0, 1.0], [6, 4])
    assert evaluate.stability_index(few, few)["psi"] == pytest.approx(0.0)
    moved = evaluate.stability_index(few, np.repeat([0.0, 1.0], [4, 6]))
    assert moved["psi"] == pytest.approx(2 * 0.2 * np.log(0.6 / 0.4))
    for other in (np.full(3, 2.0), np.full(3, 0.5)):
        assert evaluate.stability_index(np.ones(9), other)["psi"] > 10


def test_the_threshold_is_the_hold_outs_percentile_else_the_trainings():
    train, held = np.arange(101.0), np.arange(1001.0)
    assert evaluate.percentile_threshold(train, held, 95)["threshold"] == 950
    found = evaluate.percentile_threshold(train, np.empty(0), 95)
    assert (found["threshold"], found["source"]) == (95, "train")


def test_a_model_no_better_than_length_alone_is_said_in_words():
    good = {"auc_roc": 0.99, "average_precision": 0.98, "f1": 0.97, "reason": None}
    bad = {"auc_roc": 0.6, "average_precision": 0.5, "f1": 0.4, "reason": None}
    assert evaluate.leakage_line(good, bad)["warning"] is None
    assert "auc_roc 0.600 against 0.990" in evaluate.leakage_line(bad, good)["warning"]
    assert evaluate.leakage_line(good, good)["warning"]
    null = {"auc_roc": None, "average_precision": None, "f1": None, "reason": "no anomaly among the sequences"}
    line = evaluate.leakage_line(null, good)
    assert line["warning"] is None
    assert line["reason"] == "no anomaly among the sequences"


def test_measures_hold_no_python_object_a_row():
    rows = 20_000
    names = [pa.array(["a", "b", "train"]).take(pa.array(np.resize(at, rows))) for at in ([0, 1], [0, 0, 1], [2])]
    columns = [name.dictionary_encode() for name in names]
    y, score = np.resize([False, False, True], rows), np.random.default_rng(1).random(rows)
    tracemalloc.start()
    try:
        evaluate.evaluate(Scored(y, score, y, *columns))
        assert tracemalloc.get_traced_memory()[1] < 120 * rows
    finally:
        tracemalloc.stop()
