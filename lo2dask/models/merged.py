"""Rarity, out-of-vocabulary and drift: statistics of all training normals, by map and associative merge.

They read :class:`Rows` made over the full vocabulary of the training part's normal sequences, with counts
(``to_matrix(part, columns, binary=False)``), and what lies outside it (``unknown(part, columns)``). To fit::

    merging, state = spec.behaviour.merging, None
    for _ in range(merging.passes):
        parts = [merging.partial(rows_of_training_normals, state) for each part]
        state = merging.finish(functools.reduce(merging.merge, parts), state)

A state is a plain dict of numpy arrays, numbers and names, and is the model itself: it loads without lo2dask. All
sums are of whole numbers (shares in fixed point), so a state is the same, bit by bit, for any partitioning.
"""

import operator
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import numpy as np

from lo2dask.buffers.columns import codes
from lo2dask.models.rows import Rows
from lo2dask.models.spec import Behaviour, Cost, Merging, Scoring, Setup, State, Statistics

COMMON_SHARE = 0.01
# Shares are summed in units of 2**-40, which leaves room for 4 million normal sequences of one service.
_FIXED = 2.0**40


def count_tokens(rows: Rows, _: State | None) -> Statistics:
    """Count the tokens of one part's training normals: ``rows``, ``counts`` int64 and ``run`` uint64 (features,).

    ``run`` is a hash of the only run that has a token: 0 of no run, 1 of several.
    """
    counts = np.asarray(rows.matrix.sum(axis=0, dtype=np.int64)).ravel()
    only = np.zeros(len(counts), dtype=np.uint64)
    code, names = codes(rows.run)
    row = np.repeat(code, np.diff(rows.matrix.indptr))
    for index, name in enumerate(names):
        own = np.unique(rows.matrix.indices[row == index])
        only[own] = _join_runs(only[own], np.uint64(_hash(name)))
    return {"rows": len(rows), "counts": counts, "run": only}


def sum_shares(rows: Rows, state: State | None) -> Statistics:
    """Sum up each service's token shares (first pass), then find its largest distance from the mean (second)."""
    return _shares_sum(rows) if state is None else _spread(rows, state)


def merge_tokens(left: Statistics, right: Statistics) -> Statistics:
    """Join the token counts of two parts; associative and commutative."""
    sums = {name: left[name] + right[name] for name in ("rows", "counts")}
    return sums | {"run": _join_runs(left["run"], right["run"])}


def merge_shares(left: Statistics, right: Statistics) -> Statistics:
    """Join what two parts have of each service: sums, or the largest distances; associative and commutative."""
    return {name: _join(max if name == "max" else operator.add, of, right[name]) for name, of in sorted(left.items())}


def _join(join: Callable[[Any, Any], Any], left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """Join the values that both have; those of one alone stay."""
    names = sorted({*left, *right})
    return {n: join(left[n], right[n]) if n in left and n in right else left.get(n, right.get(n)) for n in names}


def finish_rarity(statistics: Statistics, _: State | None) -> State:
    """Score each token: 0 for one with more than 1 % of all counts, else (-ln share)^3; (ln N)^3 for one never seen."""
    counts = statistics["counts"]
    total = int(counts.sum())
    with np.errstate(divide="ignore"):
        scores = np.where(counts > COMMON_SHARE * total, 0.0, (-np.log(counts / max(total, 1))) ** 3)
    unseen = float(np.log(max(total, 1)) ** 3)
    scores[counts == 0] = unseen
    found = {"rows": statistics["rows"], "scores": scores, "unseen": unseen, "total": total}
    return found | {"counts": counts, "run": statistics["run"]}


def finish_oov(statistics: Statistics, _: State | None) -> State:
    """Count the known tokens; the vocabulary is in the model's columns."""
    return {"rows": statistics["rows"], "known": int((statistics["counts"] > 0).sum()), "run": statistics["run"]}


def finish_drift(statistics: Statistics, state: State | None) -> State:
    """Average each service's shares (first pass), then add its largest leave-one-out distance, the unit (second)."""
    if state is None:
        count, sums = statistics["count"], statistics["sums"]
        means = {name: sums[name] / (_FIXED * max(count[name], 1)) for name in sorted(sums)}
        pooled = sum(sums.values()) / (_FIXED * max(sum(count.values()), 1))
        return {"count": count, "means": means, "pooled": pooled, "rows": sum(count.values())}
    largest = {name: value for name, value in statistics["max"].items() if value > 0}
    return state | {"scale": dict(sorted(largest.items())), "widest": max(largest.values(), default=1.0)}


def score_rarity(state: State, _: Scoring, rows: Rows) -> np.ndarray:
    """Score rows by the mean score of their distinct tokens."""
    seen = _per_row(rows.matrix, state["scores"][rows.matrix.indices])
    distinct = np.diff(rows.matrix.indptr) + rows.unknown_distinct
    return (seen + rows.unknown_distinct * state["unseen"]) / np.maximum(distinct, 1)


def score_oov(_: State, scoring: Scoring, rows: Rows) -> np.ndarray:
    """Count the distinct unknown tokens of rows, or with ``occurrences`` every one, as the predecessor did."""
    unknown = rows.unknown_occurrences if scoring.get("occurrences") else rows.unknown_distinct
    return np.asarray(unknown, dtype=np.float64)


def score_rarity_left_out(state: State, rows: Rows) -> np.ndarray:
    """Score training normals by rarity as if each had not been counted, nor what its run alone has: float64 (rows,)."""
    matrix = rows.matrix
    own = matrix.data.astype(np.int64)
    others = np.where(_is_alone(state, rows), 0, state["counts"][matrix.indices] - own)
    total = np.repeat(state["total"] - _per_row(matrix, own), np.diff(matrix.indptr))
    with np.errstate(divide="ignore"):
        scores = np.where(others > COMMON_SHARE * total, 0.0, (-np.log(others / np.maximum(total, 1))) ** 3)
    scores = np.where(others > 0, scores, np.log(np.maximum(total, 1)) ** 3)
    return _per_row(matrix, scores) / np.maximum(np.diff(matrix.indptr), 1)


def score_oov_left_out(state: State, rows: Rows) -> np.ndarray:
    """Count the distinct tokens of training normals that no other run has: float64 (rows,)."""
    return _per_row(rows.matrix, _is_alone(state, rows).astype(np.float64))


def score_drift(state: State, _: Scoring, rows: Rows) -> np.ndarray:
    """Score rows by their distance from their service's mean, in units of its largest among the training normals."""
    return _drift(state, rows)


def score_drift_left_out(state: State, rows: Rows) -> np.ndarray:
    """Score training normals by drift as if each had not been in the training part: float64 (rows,)."""
    return _drift(state, rows, left_out=True)


def note_occurrences(_: Any, __: Any, setup: Setup) -> dict[str, Any]:
    """Return whether every unknown token counts, or the distinct ones."""
    return {"occurrences": setup.occurrences}


def _hash(run: str) -> int:
    """Return a hash of a run's name, neither 0 nor 1."""
    return int.from_bytes(sha256(run.encode()).digest()[:8], "big") | 2


def _join_runs(left: np.ndarray, right: np.ndarray | np.uint64) -> np.ndarray:
    """Return the only run of tokens over two sets of rows: associative and commutative."""
    several = (left != 0) & (right != 0) & (left != right)
    return np.where(several, np.uint64(1), np.maximum(left, right))


def _is_alone(state: State, rows: Rows) -> np.ndarray:
    """Tell of each stored count whether its row's run alone has the token: bool (cells,)."""
    code, names = codes(rows.run)
    hashes = np.array([_hash(name) for name in names], dtype=np.uint64)
    row = np.repeat(code, np.diff(rows.matrix.indptr))
    return state["run"][rows.matrix.indices] == hashes[row]


def _shares(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of each stored count in its row, and of each row's unknown tokens; an empty row has none."""
    data = rows.matrix.data.astype(np.float64)
    total = np.maximum(_per_row(rows.matrix, data) + rows.unknown_occurrences, 1.0)
    return data / np.repeat(total, np.diff(rows.matrix.indptr)), rows.unknown_occurrences / total


def _shares_sum(rows: Rows) -> Statistics:
    shares, _ = _shares(rows)
    code, names = codes(rows.service)
    fixed = np.rint(shares * _FIXED).astype(np.int64)
    row = np.repeat(np.arange(len(rows)), np.diff(rows.matrix.indptr))
    filled = np.diff(rows.matrix.indptr) > 0
    sums, count = {}, {}
    for index, name in enumerate(names):
        own = code[row] == index
        sums[name] = np.zeros(rows.matrix.shape[1], np.int64)
        np.add.at(sums[name], rows.matrix.indices[own], fixed[own])
        count[name] = int((filled & (code == index)).sum())
    return {"sums": sums, "count": count}


def _spread(rows: Rows, state: State) -> Statistics:
    """Return the largest leave-one-out distance of each service's rows: a row against the mean of the others."""
    code, names = codes(rows.service)
    distances = _service_distances(state, rows, left_out=True)
    largest = {name: float(distances[code == index].max()) for index, name in enumerate(names)}
    return {"max": {name: value for name, value in largest.items() if state["count"].get(name, 0) > 1}}


def _drift(state: State, rows: Rows, left_out: bool = False) -> np.ndarray:
    # A service that has a single normal, or normals without any spread, is measured by the widest spread among the
    # other services.
    code, names = codes(rows.service)
    scale = np.array([state["scale"].get(name, state["widest"]) for name in names])
    return _service_distances(state, rows, left_out) / scale[code] if len(rows) else np.empty(0)


def _service_distances(state: State, rows: Rows, left_out: bool) -> np.ndarray:
    """Return each row's Jensen-Shannon distance (base 2) from its service's mean, without the row when left out.

    A service without training normals is compared with the mean of all services; a row without tokens has distance 1,
    the most. Only the row's own tokens are computed: of the mean's mass, what is on other tokens adds half a bit each,
    and so does the row's mass on unknown tokens.
    """
    p, outside = _shares(rows)
    indices, lengths = rows.matrix.indices, np.diff(rows.matrix.indptr)
    code, names = codes(rows.service)
    q = np.empty(len(p))
    for index, name in enumerate(names):
        own, n = np.repeat(code == index, lengths), state["count"].get(name, 0)
        mean = state["means"].get(name, state["pooled"])[indices[own]]
        q[own] = np.maximum((n * mean - p[own]) / (n - 1), 0.0) if left_out and n > 1 else mean
    middle = (p + q) / 2
    inside = _per_row(rows.matrix, p * np.log2(p / middle) + q * np.log2(np.where(q > 0, q, 1.0) / middle))
    elsewhere = np.maximum(1.0 - _per_row(rows.matrix, q), 0.0)
    distances = np.sqrt(np.maximum(inside + elsewhere + outside, 0.0) / 2)
    return np.where((lengths == 0) & (outside == 0), 1.0, distances)


def _per_row(matrix: Any, values: np.ndarray) -> np.ndarray:
    """Sum one value per stored cell over each row: float64 (rows,)."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return np.bincount(row, weights=values, minlength=matrix.shape[0])


# Parts are read one at a time, so rows bound nothing; the figures are those of a sparse sample.
_COST = Cost(cell=40, row=256, dense=2, fixed=0)
_MERGED: dict[str, Any] = {"cost": _COST, "seed_parameter": None, "threads_parameter": None}
RARITY = Behaviour(
    **_MERGED,
    score=score_rarity,
    merging=Merging(count_tokens, merge_tokens, finish_rarity),
    score_normals=score_rarity_left_out,
)
OOV = Behaviour(
    **_MERGED,
    score=score_oov,
    merging=Merging(count_tokens, merge_tokens, finish_oov),
    facts=note_occurrences,
    score_normals=score_oov_left_out,
)
DRIFT = Behaviour(
    **_MERGED,
    score=score_drift,
    merging=Merging(sum_shares, merge_shares, finish_drift, passes=2),
    score_normals=score_drift_left_out,
)
