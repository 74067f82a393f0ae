"""Simple baselines: what a detector has to be better than, scored per log and merged in any order.

Each compares a log with the training part's normal logs of its service; a service without one has no score. A training
normal is scored without its run. For the length or the duration of a log::

    score = |x - mean| / spread,    x = log(lines) or log(1 + seconds)

with mean and standard deviation over the normal logs. ``unseen`` counts the distinct statements that no normal log has
(continuation lines left out). ``ecvc`` is the distance of count vectors of Landauer et al. (arXiv 2309.02854), the
least over the normal logs (at most 500 of a service)::

    score = sum |a - b| / sum max(a, b)

``2gram`` is the share of a log's pairs of neighbouring statements, a start and an end among them, that no normal log
has; a log whose lines have no times has no pairs, and no score.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lo2dask.buffers.columns import codes
from lo2dask.features.statements import CONTINUATION, kinds_of
from lo2dask.models.largest import Largest, keep_largest, name_cells, rows_of
from lo2dask.models.rows import Rows, count_statements
from lo2dask.models.spec import Behaviour, Cost, Merging, Scoring, State, Statistics

if TYPE_CHECKING:
    from scipy import sparse

MOST_VECTORS = 500
# Least spread of logarithms: lengths within 5 % of each other are alike.
LEAST_SPREAD = 0.05
_SEED = 42
# Logarithms are summed as whole numbers in units of 2**-20, so that their order is without effect.
_FIXED = 2.0**20
_KEY = ("service", "statement")
Score = Callable[[State, Rows, bool], np.ndarray]


def sum_logs(rows: Rows, _: State | None) -> Statistics:
    """Add up count, sum and sum of squares of the matrix' only column by service and run."""
    sums: dict[str, dict[str, tuple[int, int, int]]] = defaultdict(dict)
    values = _column(rows)
    for (service, run), chosen in _by_log(rows):
        fixed = np.rint(values[chosen] * _FIXED)
        whole = [int(value) for value in fixed[np.isfinite(fixed)]]
        if whole:
            sums[service][run] = (len(whole), sum(whole), sum(value * value for value in whole))
    return {"rows": len(rows), "sums": dict(sums)}


def merge_logs(left: Statistics, right: Statistics) -> Statistics:
    """Join the sums of two parts; associative and commutative."""
    sums = {service: dict(runs) for service, runs in left["sums"].items()}
    for service, runs in right["sums"].items():
        own = sums.setdefault(service, {})
        for run, values in runs.items():
            own[run] = tuple(map(sum, zip(own.get(run, (0, 0, 0)), values, strict=True)))
    return {"rows": left["rows"] + right["rows"], "sums": sums}


def finish_logs(statistics: Statistics, _: State | None) -> State:
    """Add up each service's runs, and find the spread of a usual service, for those with one normal log."""
    totals = {
        service: tuple(map(sum, zip(*runs.values(), strict=True))) for service, runs in statistics["sums"].items()
    }
    spreads = [_moments(total)[1] for _, total in sorted(totals.items()) if total[0] > 1]
    return {**statistics, "totals": totals, "usual": float(np.median(spreads)) if spreads else LEAST_SPREAD}


def score_logs(state: State, rows: Rows, left_out: bool) -> np.ndarray:
    """Score rows by the distance of their logarithm from their service's mean, in its spread."""
    scores, values = np.full(len(rows), np.nan), _column(rows)
    for (service, run), chosen in _by_log(rows, left_out):
        total: tuple[int, ...] = state["totals"].get(service, (0, 0, 0))
        if left_out:
            own = state["sums"].get(service, {}).get(run, (0, 0, 0))
            total = tuple(a - b for a, b in zip(total, own, strict=True))
        if total[0]:
            mean, spread = _moments(total)
            known = spread if total[0] > 1 else state["usual"]
            scores[chosen] = np.abs(values[chosen] - mean) / max(known, LEAST_SPREAD)
    return scores


def collect_seen(rows: Rows, __: State | None) -> Statistics:
    """Collect which statements (or pairs) the normal logs of each service have, and two runs of each and of all."""
    cells, tokens = count_statements(rows)
    names = name_cells(rows, cells, tokens)
    seen = keep_largest([pa.table({**names, "value": np.ones(cells.nnz)})], _KEY)
    runs: dict[str, set[str]] = defaultdict(set)
    for (service, run), chosen in _by_log(rows):
        if cells[chosen].nnz:
            runs[service].add(run)
    return {"rows": len(rows), "seen": seen, "runs": {service: _first_two(of) for service, of in runs.items()}}


def merge_seen(left: Statistics, right: Statistics) -> Statistics:
    """Join what two parts have; associative and commutative."""
    names = {*left["runs"], *right["runs"]}
    runs = {name: _first_two(left["runs"].get(name, set()) | right["runs"].get(name, set())) for name in names}
    seen = keep_largest([left["seen"], right["seen"]], _KEY)
    return {"rows": left["rows"] + right["rows"], "seen": seen, "runs": runs}


def _first_two(runs: set[str]) -> set[str]:
    """Keep two runs: whether there is another than one is all that is asked of them."""
    return set(sorted(runs)[:2])


def keep(statistics: Statistics, _: State | None) -> State:
    """Take the merged statistics for the model."""
    return statistics


def score_unseen(state: State, rows: Rows, left_out: bool) -> np.ndarray:
    """Count the distinct statements of rows that no normal log of their service has, continuation lines left out."""
    cells, tokens = count_statements(rows)
    counts = kinds_of(tokens) != CONTINUATION
    return _sum_unseen(state, rows, left_out, (cells[:, counts].astype(bool), tokens.filter(pa.array(counts))))


def score_pairs(state: State, rows: Rows, left_out: bool) -> np.ndarray:
    """Return the share of the pairs of rows that no normal log of their service has; NaN where there is no pair."""
    cells, tokens = count_statements(rows)
    total = np.asarray(cells.sum(axis=1), dtype=np.float64).ravel()
    return _sum_unseen(state, rows, left_out, (cells, tokens)) / np.where(total > 0, total, np.nan)


def _sum_unseen(state: State, rows: Rows, left_out: bool, counted: "tuple[sparse.csr_matrix, pa.Array]") -> np.ndarray:
    """Add up the cells of the tokens that no normal log of a row's service has."""
    cells, tokens = counted
    (service, names), run = codes(rows.service), codes(rows.run)
    row, is_new = np.repeat(np.arange(len(rows)), np.diff(cells.indptr)), np.zeros(cells.nnz, dtype=bool)
    for index, name in enumerate(names):
        own, seen = np.flatnonzero(service[row] == index), rows_of(state["seen"], service=name)
        without = (run[0][row[own]], run[1]) if left_out else None
        is_new[own] = Largest.of(seen, seen["statement"], tokens).of_cells(cells.indices[own], without) == 0
    scores = np.bincount(row, cells.data * is_new, len(rows)).astype(np.float64)
    for (name, out), chosen in _by_log(rows, left_out):
        if not state["runs"].get(name, set()) - {out}:
            scores[chosen] = np.nan
    return scores


def collect_vectors(rows: Rows, _: State | None) -> Statistics:
    """Collect the count vectors of the normal logs of each service, at most :data:`MOST_VECTORS` by their hash."""
    cells, tokens = count_statements(rows)
    names = np.array(tokens.to_pylist(), dtype=object)
    kept: dict[str, dict[str, Any]] = defaultdict(dict)
    for (service, run), chosen in _by_log(rows):
        for row in chosen.tolist():
            own = slice(cells.indptr[row], cells.indptr[row + 1])
            vector = dict(zip(names[cells.indices[own]].tolist(), cells.data[own].tolist(), strict=True))
            text = repr((_SEED, service, run, sorted(vector.items())))
            kept[service][hashlib.blake2b(text.encode(), digest_size=16).hexdigest()] = (run, vector)
    return {"rows": len(rows), "kept": {service: _first(vectors) for service, vectors in kept.items()}}


def merge_vectors(left: Statistics, right: Statistics) -> Statistics:
    """Join the vectors of two parts; associative and commutative."""
    names = {*left["kept"], *right["kept"]}
    kept = {name: _first(left["kept"].get(name, {}) | right["kept"].get(name, {})) for name in names}
    return {"rows": left["rows"] + right["rows"], "kept": kept}


def score_vectors(state: State, rows: Rows, left_out: bool) -> np.ndarray:
    """Score rows by the least distance of their counts from those of a normal log of their service."""
    cells, tokens = count_statements(rows)
    column = {name: place for place, name in enumerate(tokens.to_pylist())}
    scores = np.full(len(rows), np.nan)
    references: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    for (service, run), chosen in _by_log(rows, left_out):
        if service not in state["kept"]:
            continue
        if service not in references:
            references[service] = _reference(state["kept"][service], column)
        counts, totals, runs = references[service]
        others = runs != run if left_out else np.ones(len(runs), dtype=bool)
        if not others.any():
            continue
        counts, totals = counts[:, others], totals[others]
        for row in chosen.tolist():
            own = slice(cells.indptr[row], cells.indptr[row + 1])
            shared = np.minimum(counts[cells.indices[own]], cells.data[own][:, None].astype(np.int32)).sum(axis=0)
            both = totals + cells.data[own].sum()
            # |a - b| = a + b - 2 min(a, b), and max(a, b) = a + b - min(a, b).
            scores[row] = ((both - 2 * shared) / np.maximum(both - shared, 1)).min()
    return scores


def count_rows(rows: Rows, _: State | None) -> Statistics:
    """Count rows, which is all that flagging everything learns."""
    return {"rows": len(rows)}


def merge_rows(left: Statistics, right: Statistics) -> Statistics:
    """Add up the rows of two parts."""
    return {"rows": left["rows"] + right["rows"]}


def score_all_alike(_: State, rows: Rows, __: bool) -> np.ndarray:
    """Score every row alike."""
    return np.ones(len(rows))


def log_lines(values: np.ndarray) -> np.ndarray:
    """Return log(lines), an empty log taken for one line."""
    return np.log(np.maximum(values, 1.0))


def _column(rows: Rows) -> np.ndarray:
    return np.asarray(rows.matrix.todense(), dtype=np.float64).ravel()


def _moments(total: tuple[int, ...]) -> tuple[float, float]:
    """Turn count, sum and sum of squares into mean and standard deviation (n - 1)."""
    count, first, second = total
    squares = (second * count - first * first) / (count * max(count - 1, 1))
    return first / count / _FIXED, math.sqrt(max(squares, 0)) / _FIXED


def _by_log(rows: Rows, by_run: bool = True) -> list[tuple[tuple[str, str], np.ndarray]]:
    """Return the rows of each service and run, sorted by both, or of each service with a run that has no name."""
    service, services = codes(rows.service)
    run, runs = codes(rows.run) if by_run else (np.zeros(len(rows), dtype=np.int64), [""])
    if not len(rows):
        return []
    key = service * len(runs) + run
    order = np.argsort(key, kind="stable")
    distinct, starts = np.unique(key[order], return_index=True)
    names = [(services[one // len(runs)], runs[one % len(runs)]) for one in distinct.tolist()]
    return list(zip(names, np.split(order, starts[1:]), strict=True))


def _first(vectors: dict[str, Any]) -> dict[str, Any]:
    return {name: vectors[name] for name in sorted(vectors)[:MOST_VECTORS]}


def _reference(vectors: dict[str, Any], column: dict[str, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the vectors' counts of some statements (statements x vectors), their sums over all, and their runs."""
    counts = np.zeros((len(column), len(vectors)), dtype=np.int32)
    for place, (_, vector) in enumerate(vectors.values()):
        for name, count in vector.items():
            if name in column:
                counts[column[name], place] = count
    totals = np.array([sum(vector.values()) for _, vector in vectors.values()], dtype=np.int64)
    return counts, totals, np.array([run for run, _ in vectors.values()], dtype=object)


def _score(model: Any, _: Scoring, rows: Rows, by: Score) -> np.ndarray:
    return by(model, rows, False)


def _score_normals(model: Any, rows: Rows, by: Score) -> np.ndarray:
    return by(model, rows, True)


def _behaviour(merging: Merging, by: Score) -> Behaviour:
    return Behaviour(
        cost=Cost(cell=40, row=256, dense=2, fixed=0),
        seed_parameter=None,
        threads_parameter=None,
        score=partial(_score, by=by),
        merging=merging,
        score_normals=partial(_score_normals, by=by),
        unexplained="A baseline reads one thing.",
    )


LENGTH = _behaviour(Merging(sum_logs, merge_logs, finish_logs), score_logs)
UNSEEN = _behaviour(Merging(collect_seen, merge_seen, keep), score_unseen)
PAIRS = _behaviour(Merging(collect_seen, merge_seen, keep), score_pairs)
ECVC = _behaviour(Merging(collect_vectors, merge_vectors, keep), score_vectors)
FLAG_ALL = _behaviour(Merging(count_rows, merge_rows, keep), score_all_alike)
# What the baselines read of a numeric column.
TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"seq_len": log_lines, "duration_sec": np.log1p}
