"""Permutations of labels among cases, and areas under the curve of all of them at once.

Labels are arrays (draws + 1, cases) of which the first row is the true one: every statistic is computed for all rows,
and its p is the share of rows, the true one included, that reach the true one's value.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats

from lo2dask.buffers.arrays import Bools, Ints

Floats = npt.NDArray[np.float64]

# Columns of a presence matrix that are worked on at once.
_CHUNK = 1_000
_SAME = 1e-9


def draw_labels(run: Ints, normal: Bools, draws: int, seed: int) -> Bools:
    """Permute the labels: among the cases of each run that has both classes, else among runs as wholes.

    Parameters
    ----------
    run : the number of each case's run, ascending.
    normal : whether each case is normal.
    """
    rng = np.random.default_rng(seed)
    labels = np.tile(normal, (draws + 1, 1))
    both = _has_both(run, normal)
    inside, whole = np.flatnonzero(both[run]), np.flatnonzero(~both[run])
    if len(inside):
        # Runs are blocks of cases: random numbers within a run's own unit interval stay in its block when sorted.
        order = np.argsort(rng.random((draws, len(inside)), dtype=np.float64) + run[inside], axis=1)
        labels[1:, inside] = normal[inside][order]
    if len(whole):
        _, first, place = np.unique(run[whole], return_index=True, return_inverse=True)
        order = np.argsort(rng.random((draws, len(first))), axis=1)
        labels[1:, whole] = normal[whole][first][order][:, place]
    return labels


def least_p(run: Ints, normal: Bools) -> float:
    """Return the least p that permutations of these labels can reach: one over the number of arrangements."""
    both = _has_both(run, normal)
    cases, normals = np.bincount(run), np.bincount(run, weights=normal)
    log = sum(_log_choose(int(cases[one]), int(normals[one])) for one in np.flatnonzero(both & (cases > 0)))
    alone = np.flatnonzero(~both & (cases > 0))
    log += _log_choose(len(alone), int((normals[alone] > 0).sum()))
    return math.exp(-log)


def areas(values: Floats, labels: Bools) -> Floats:
    """Return the AUC of anomalous against normal cases of each column (cases, columns): (draws + 1, columns).

    Above .5, anomalous cases have larger values. Cases without a value (NaN) are left out of their column; .5 where
    one class has none.
    """
    found = np.full((len(labels), values.shape[1]), 0.5)
    for column, one in enumerate(values.T):
        there = ~np.isnan(one)
        anomalous = (~labels[:, there]).astype(np.float64)
        count = anomalous.sum(axis=1)
        pairs = count * (there.sum() - count)
        above = anomalous @ stats.rankdata(one[there]) - count * (count + 1) / 2
        np.divide(above, pairs, out=found[:, column], where=pairs > 0)
    return found


def presence_gaps(presence: sparse.csr_matrix, labels: Bools) -> tuple[Floats, Floats, Floats]:
    """Compare in how many cases of each class a word is, for each column of a presence matrix (cases x words).

    Returns
    -------
    The largest abs(AUC - .5) over the columns in each row of the labels, and, for the true labels, the share of normal
    and of anomalous cases that have each column. The AUC of a presence is .5 plus half the gap between the shares.
    """
    # Counts are whole numbers, which 32 bits hold exactly: equal gaps are equal to the last bit.
    anomalous = (~labels).astype(np.float32)
    anomalies = np.maximum(anomalous.sum(axis=1, dtype=np.float64), 1e-9)[:, None]
    normals = np.maximum(labels.sum(axis=1, dtype=np.float64), 1e-9)[:, None]
    of_both = np.logical_and((~labels).any(axis=1), labels.any(axis=1)).reshape(-1, 1)
    largest, shares = np.zeros(len(labels)), np.zeros((2, presence.shape[1]))
    columns = presence.astype(np.float32).tocsc()
    for start in range(0, columns.shape[1], _CHUNK):
        dense = columns[:, start : start + _CHUNK].toarray()
        counts = (anomalous @ dense).astype(np.float64)
        rest = dense.sum(axis=0, dtype=np.float64) - counts
        gaps = np.where(of_both, np.abs(counts / anomalies - rest / normals), 0.0)
        np.maximum(largest, gaps.max(axis=1) / 2, out=largest)
        shares[:, start : start + _CHUNK] = rest[0] / normals[0], counts[0] / anomalies[0]
    return largest, shares[0], shares[1]


def p_value(statistic: Floats) -> float:
    """Return the share of the rows, the true one included, whose statistic is at least the true one's."""
    return float((statistic >= statistic[0] - _SAME).mean())


def _has_both(run: Ints, normal: Bools) -> Bools:
    """Tell for each run number whether it has normal and anomalous cases."""
    cases, normals = np.bincount(run), np.bincount(run, weights=normal)
    return (normals > 0) & (normals < cases)


def _log_choose(of: int, chosen: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(chosen + 1) - math.lgamma(of - chosen + 1)
