import numpy as np
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from lo2dask.reporting.curves import POINTS, confusion, curves, histogram


def test_curves_have_the_area_of_sklearns():
    rng = np.random.default_rng(3)
    anomaly = rng.random(5000) < 0.2
    score = np.round(rng.normal(size=5000) + anomaly, 2)
    found = curves(score, anomaly, "hold-out")
    assert len(found.roc[0]) <= POINTS + 1
    assert abs(auc(*found.roc) - roc_auc_score(anomaly, score)) < 0.002
    recall, precision = found.precision_recall
    area = np.sum(np.diff(np.concatenate([[0.0], recall])) * precision)
    assert abs(area - average_precision_score(anomaly, score)) < 0.01


def test_one_class_or_no_score_gives_no_picture():
    assert curves(np.arange(3.0), np.zeros(3, bool), "hold-out") is None
    assert curves(np.array([np.nan, 1.0]), np.array([True, False]), "hold-out") is None
    assert histogram(np.array([np.nan]), np.array([True])) is None
    assert confusion(np.zeros(0, bool), [], [], "hold-out") is None


def test_histogram_counts_every_scored_row_once():
    score = np.array([0.0, 0.5, 1.0, np.nan, 0.5])
    anomaly = np.array([False, True, True, True, False])
    found = histogram(score, anomaly)
    assert (found.normal.sum(), found.anomaly.sum()) == (2, 2)
    same = histogram(np.ones(4), np.array([True, False, False, False]))
    assert same.normal.sum() == 3


def test_confusion_counts_by_case_and_service():
    found = confusion(np.array([True, False, True]), ["b", "a", "b"], ["s", "s", "t"], "hold-out")
    assert found.cases == ("a", "b")
    assert found.flagged.tolist() == [[0, 0], [1, 1]]
    assert found.total.tolist() == [[1, 0], [1, 1]]
