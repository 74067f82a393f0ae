"""Reduces the scores of any number of sequences to what a chart can show."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lo2dask.reporting.data import Confusion, Curves, Floats, Histogram

BINS = 40
POINTS = 200

Flags = npt.NDArray[np.bool_]


def histogram(score: Floats, anomaly: Flags, bins: int = BINS) -> Histogram | None:
    """Count scores by class in bins of equal width; None where no row has a score."""
    known = np.isfinite(score)
    if not known.any():
        return None
    edges = np.histogram_bin_edges(score[known], bins)
    normal, _ = np.histogram(score[known & ~anomaly], edges)
    wrong, _ = np.histogram(score[known & anomaly], edges)
    return Histogram(edges, normal, wrong)


def curves(score: Floats, anomaly: Flags, over: str) -> Curves | None:
    """Return at most :data:`POINTS` points of each curve, at most one per distinct score; None for a single class."""
    known = np.isfinite(score)
    score, anomaly = score[known], anomaly[known]
    if anomaly.all() or not anomaly.any():
        return None
    values, index = np.unique(-score, return_inverse=True)
    hits = np.cumsum(np.bincount(index[anomaly], minlength=len(values)))
    flagged = np.cumsum(np.bincount(index, minlength=len(values)))
    recall, precision = hits / hits[-1], hits / flagged
    false_rate = (flagged - hits) / (flagged[-1] - hits[-1])
    keep = _thin(len(values))
    roc = (np.concatenate([[0.0], false_rate[keep]]), np.concatenate([[0.0], recall[keep]]))
    return Curves(over, roc, (recall[keep], precision[keep]))


def confusion(flagged: Flags, case: Sequence[str], service: Sequence[str], over: str) -> Confusion | None:
    """Count flagged and all sequences by test case and service; None without a row."""
    if not len(flagged):
        return None
    cases, row = np.unique(np.asarray(case, dtype=str), return_inverse=True)
    services, column = np.unique(np.asarray(service, dtype=str), return_inverse=True)
    shape = (len(cases), len(services))
    total, wrong = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    np.add.at(total, (row, column), 1)
    np.add.at(wrong, (row, column), flagged.astype(np.int64))
    return Confusion(over, tuple(cases.tolist()), tuple(services.tolist()), wrong, total)


def _thin(count: int) -> npt.NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(np.int64))
