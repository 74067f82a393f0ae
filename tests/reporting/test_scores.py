from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from lo2dask.reporting import scores
from lo2dask.reporting.data import HOLDOUT
from lo2dask.reporting.scores import POINTS, WHOLE, read_scores
from lo2dask.schema import PREDICTIONS
from lo2dask.tables.parts import write_part


def write(folder: Path, score, anomaly, parts: int = 1, **columns) -> Path:
    rows = len(score)
    table = {
        **{name: ["x"] * rows for name in ("seq_id", "run", "test_case", "service")},
        "normal": ~np.asarray(anomaly),
        "anomaly": np.asarray(anomaly),
        "pred_ano": np.zeros(rows, np.int8),
        "score": pa.array(score, pa.float64(), from_pandas=True),
        "score_held_out": pa.array(score, pa.float64(), from_pandas=True),
        "rank": np.arange(rows),
        "split": ["train"] * rows,
        **columns,
    }
    whole = pa.table(table, schema=PREDICTIONS)
    for index, rows in enumerate(np.array_split(np.arange(len(score)), parts)):
        write_part(folder / f"part-{index:06d}.parquet", whole.take(pa.array(rows)), PREDICTIONS)
    return folder


def scattered(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    anomaly = rng.random(rows) < 0.2
    return rng.normal(size=rows) + anomaly, anomaly


@pytest.mark.parametrize("kept", [scores.KEPT, 600])
def test_curves_have_the_area_of_sklearns(tmp_path, monkeypatch, kept):
    monkeypatch.setattr(scores, "KEPT", kept)
    score, anomaly = scattered(5000)
    found = read_scores(write(tmp_path, score, anomaly, 7)).curves
    assert found.over == WHOLE
    assert len(found.roc[0]) <= POINTS + 1
    assert abs(auc(*found.roc) - roc_auc_score(anomaly, score)) < 0.005
    recall, precision = found.precision_recall
    area = np.sum(np.diff(np.concatenate([[0.0], recall])) * precision)
    assert abs(area - average_precision_score(anomaly, score)) < 0.01


def test_the_parts_do_not_matter(tmp_path):
    score, anomaly = scattered(1000)
    one, many = (read_scores(write(tmp_path / str(parts), score, anomaly, parts)) for parts in (1, 9))
    assert (one.histogram.normal == many.histogram.normal).all()
    assert (one.curves.roc[1] == many.curves.roc[1]).all()
    assert one.confusion.total.tolist() == many.confusion.total.tolist() == [[1000]]


def test_one_class_or_no_score_gives_no_picture(tmp_path):
    assert read_scores(write(tmp_path / "one", np.arange(3.0), np.zeros(3, bool))).curves is None
    none = read_scores(write(tmp_path / "none", [np.nan], np.array([True])))
    assert (none.histogram, none.curves, none.threshold, none.rows) == (None, None, None, 1)
    empty = read_scores(write(tmp_path / "empty", [], np.zeros(0, bool)))
    assert (empty.rows, empty.confusion) == (0, None)


def test_histogram_counts_every_scored_row_once(tmp_path):
    found = read_scores(write(tmp_path / "a", [0.0, 0.5, 1.0, np.nan, 0.5], np.array([0, 1, 1, 1, 0], bool))).histogram
    assert (found.normal.sum(), found.anomaly.sum()) == (2, 2)
    same = read_scores(write(tmp_path / "b", np.ones(4), np.array([1, 0, 0, 0], bool))).histogram
    assert same.normal.sum() == 3


def test_confusion_counts_the_holdout_by_case_and_service_where_it_has_both_classes(tmp_path):
    found = read_scores(
        write(
            tmp_path,
            [3.0, 1.0, 2.5, 9.0],
            np.array([1, 0, 1, 1], bool),
            test_case=["b", "a", "b", "c"],
            service=["s", "s", "t", "s"],
            pred_ano=np.array([1, 0, 1, 1], np.int8),
            split=["holdout", "holdout", "holdout", "train"],
        )
    )
    assert found.confusion.over == HOLDOUT
    assert found.confusion.cases == ("a", "b")
    assert found.confusion.flagged.tolist() == [[0, 0], [1, 1]]
    assert found.confusion.total.tolist() == [[1, 0], [1, 1]]
    assert found.flagged == 3
    assert 1.0 <= found.threshold <= 2.5


def test_a_threshold_is_drawn_where_one_score_parts_the_flags(tmp_path):
    flags = np.array([1, 0, 0], np.int8)
    assert read_scores(write(tmp_path, [0.5, 0.7, 0.1], np.array([1, 0, 0], bool), pred_ano=flags)).threshold is None
