"""How sure a figure is: permutation p-values, bootstrap intervals, and what random scorers reach on the same units.

A unit is a case. Cases of one run are not independent, so runs are what is drawn and permuted: whole runs where each
run is of one class, else the cases within their runs where every run has both classes, else single cases. Everything
is drawn with a seed and in plain numpy, so that the same units give the same figures.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

# Classes of so few runs are judged by permutation, larger ones by bootstrap.
FEW_RUNS = 12
MOST_ASSIGNMENTS, PERMUTATIONS, DRAWS, LEVEL = 200_000, 20_000, 2_000, 0.95
# Cells of one array of draws x units, so that memory does not grow with the draws.
_CELLS = 2_000_000
# Cells of all random assignments: from 10,000 units on there are fewer, at least 1,000, which bounds the time.
_ASSIGNED, _LEAST = 200_000_000, 1_000
_TOLERANCE = 1e-9
RUNS, WITHIN, CASES = "whole runs", "cases within their runs", "cases"
# Two values to add up over the anomalous side: rank and number of cases.
_RANK, _SIZE = 0, 1
Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Units:
    """Cases to measure on: ``y`` bool (cases,), True = anomalous, and ``run``, the number of each one's run from 0."""

    y: np.ndarray
    run: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, run: np.ndarray) -> "Units":
        """Number the runs of cases in the order of their names."""
        return cls(np.asarray(y, dtype=bool), np.unique(np.asarray(run), return_inverse=True)[1])

    @property
    def scheme(self) -> str:
        """What is exchanged under the null hypothesis: :data:`RUNS`, :data:`WITHIN` or :data:`CASES`."""
        cases, anomalous = (np.bincount(self.run, weights=values) for values in (np.ones(len(self.y)), self.y))
        mixed = (anomalous > 0) & (anomalous < cases)
        return RUNS if not mixed.any() else WITHIN if mixed.all() else CASES

    @property
    def class_runs(self) -> tuple[int, int]:
        """The number of runs with a normal case, and of those with an anomalous one."""
        return len(set(self.run[~self.y].tolist())), len(set(self.run[self.y].tolist()))

    @property
    def has_both(self) -> bool:
        """Whether there is a case of each class."""
        return bool(self.y.any() and not self.y.all())


@dataclass(frozen=True)
class Permutation:
    """A one-sided p-value, from all assignments of labels (``is_exact``) or from so many random ones."""

    p: float
    assignments: int
    is_exact: bool
    scheme: str


@dataclass(frozen=True)
class Interval:
    """A figure with its interval; ``draws`` had both classes, of all that were made."""

    value: float
    low: float
    high: float
    draws: int


@dataclass(frozen=True)
class Draws:
    """How a bootstrap draws."""

    seed: int = 42
    draws: int = DRAWS
    level: float = LEVEL


def auc(y: np.ndarray, score: np.ndarray) -> float:
    """Return the area under the ROC curve: the share of pairs that are in order, ties counting half."""
    return float(_area(*_weights(_grouped(y, score), np.ones((1, len(y)))))[0])


def average_precision(y: np.ndarray, score: np.ndarray) -> float:
    """Return sum of (R_n - R_n-1) P_n over the distinct scores, the highest first."""
    return float(_precision(*_weights(_grouped(y, score), np.ones((1, len(y)))))[0])


def permutation_p(units: Units, score: np.ndarray, seed: int = 42) -> Permutation:
    """Return the share of assignments of labels to units whose AUC is at least the observed one.

    All assignments that keep the number of anomalous units (Fisher's permutation test), the observed one among them,
    where there are at most :data:`MOST_ASSIGNMENTS`; else (1 + hits) / (1 + draws) over seeded ones: 20,000, fewer
    where more than 10,000 units are exchanged.
    """
    blocks = list(_blocks(units, _midranks(score)))
    observed = auc(units.y, score) - _TOLERANCE
    total = math.prod(math.comb(len(values), k) for values, k in blocks)
    if total <= MOST_ASSIGNMENTS:
        sums = np.zeros((1, 2))
        for values, k in blocks:
            sums = (sums[:, None] + _all_sums(values, k)[None]).reshape(-1, 2)
        return Permutation(float((_areas(sums, len(score)) >= observed).mean()), total, True, units.scheme)
    exchanged = sum(len(values) for values, _ in blocks)
    draws = int(np.clip(_ASSIGNED // exchanged, _LEAST, PERMUTATIONS))
    sums = _random_sums(blocks, draws, np.random.default_rng(seed))
    hits = int((_areas(sums, len(score)) >= observed).sum())
    return Permutation((1 + hits) / (1 + draws), draws, False, units.scheme)


def bootstrap(units: Units, score: np.ndarray, measure: str, how: Draws | None = None) -> Interval | None:
    """Return a measure (``auc`` or ``average_precision``) with the percentile interval of a bootstrap over runs.

    Runs are drawn with replacement, with all their cases (Field & Welsh 2007); draws without both classes are left out.
    None where no draw has both.
    """
    return _interval(units, [score], measure, how or Draws())


def bootstrap_difference(
    units: Units, scores: tuple[np.ndarray, np.ndarray], measure: str, how: Draws | None = None
) -> Interval | None:
    """Return how far the first score is ahead of the second in a measure, on the same draws of runs (paired)."""
    return _interval(units, list(scores), measure, how or Draws())


def bootstrap_mean(samples: Sequence[tuple[Units, np.ndarray]], measure: str, how: Draws) -> np.ndarray:
    """Return the mean of a measure over several hold-outs in each draw of runs: float64 (draws,).

    Units of all hold-outs number the same runs. A hold-out without both classes in a draw is left out of its mean, NaN
    where all are. Scores on the same units have the same draws (paired).
    """
    runs = max(int(units.run.max()) for units, _ in samples) + 1
    grouped = [_grouped(units.y, score) for units, score in samples]
    drawn = []
    for counts in _drawn_runs(runs, max(len(units.y) for units, _ in samples), how):
        found = np.stack(
            [
                _MEASURES[measure](*_weights(group, counts[:, units.run]))
                for (units, _), group in zip(samples, grouped, strict=True)
            ]
        )
        known = ~np.isnan(found)
        sums = np.where(known, found, 0.0).sum(axis=0)
        drawn.append(np.where(known.any(axis=0), sums / np.maximum(known.sum(axis=0), 1), np.nan))
    return np.concatenate(drawn)


def holm(p: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm): none falls below one that was smaller before."""
    order = sorted(range(len(p)), key=p.__getitem__)
    corrected, highest = [0.0] * len(p), 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, p[index] * (len(p) - place)))
        corrected[index] = highest
    return corrected


def random_areas(units: Units, seed: int = 42) -> np.ndarray:
    """Return the AUC of seeded random scorers on these units, ascending: 20,000, fewer where there are many units.

    A scorer draws a number for each run where runs are of one class, else for each case.
    """
    group = units.run if units.scheme == RUNS else np.arange(len(units.y))
    positive, negative = (np.bincount(group, weights=side) for side in (units.y, ~units.y))
    draws = int(np.clip(2 * _CELLS // len(positive), 2_000, PERMUTATIONS))
    rng, areas = np.random.default_rng(seed), []
    for size in _chunks(draws, len(positive)):
        order = rng.random((size, len(positive))).argsort(axis=1)
        own = negative[order]
        # A case of a single group has one class, so nothing within it is in order or out of it.
        areas.append((positive[order] * (own.cumsum(axis=1) - own)).sum(axis=1))
    return np.sort(np.concatenate(areas) / (positive.sum() * negative.sum()))


def chance_of_best(areas: np.ndarray, area: float, models: int) -> float:
    """Return the chance that the best of so many random scorers reaches an AUC: 1 - (1 - p)^k.

    p = (1 + scorers at least as good) / (1 + scorers), of those of :func:`random_areas`.
    """
    hits = len(areas) - int(np.searchsorted(areas, area - _TOLERANCE))
    return float(1 - (1 - (1 + hits) / (1 + len(areas))) ** models)


def _blocks(units: Units, ranks: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Yield what labels are exchanged within: float64 (members, 2) of rank sum and cases, and how many are anomalous.

    The members of a block are runs, or cases.
    """
    values = np.column_stack([ranks, np.ones(len(ranks))])
    if units.scheme == RUNS:
        sums = np.column_stack([np.bincount(units.run, weights=column) for column in values.T])
        yield sums, len(set(units.run[units.y].tolist()))
    elif units.scheme == CASES:
        yield values, int(units.y.sum())
    else:
        for run in range(int(units.run.max()) + 1):
            own = units.run == run
            yield values[own], int(units.y[own].sum())


def _all_sums(values: np.ndarray, k: int) -> np.ndarray:
    """Add up every choice of k members: float64 (choices, 2)."""
    chosen = np.array(list(combinations(range(len(values)), k)), dtype=np.int64).reshape(-1, k)
    return values[chosen].sum(axis=1)


def _random_sums(blocks: list[tuple[np.ndarray, int]], draws: int, rng: np.random.Generator) -> np.ndarray:
    """Add up random choices of k members of each block: float64 (draws, 2)."""
    total = np.zeros((draws, 2))
    for values, k in blocks:
        if k == len(values):
            total += values.sum(axis=0)
            continue
        start = 0
        for size in _chunks(draws, len(values)):
            chosen = np.argpartition(rng.random((size, len(values))), k, axis=1)[:, :k]
            total[start : start + size] += values[chosen].sum(axis=1)
            start += size
    return total


def _areas(sums: np.ndarray, n: int) -> np.ndarray:
    """Turn rank sums and numbers of the anomalous side into AUCs: (R - m(m + 1)/2) / (m(n - m)) (Mann & Whitney)."""
    m = sums[:, _SIZE]
    return (sums[:, _RANK] - m * (m + 1) / 2) / (m * (n - m))


def _midranks(score: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[place]


@dataclass(frozen=True)
class _Grouped:
    """Cases by falling score: their order, where each distinct score begins, and their classes in that order."""

    order: np.ndarray
    starts: np.ndarray
    y: np.ndarray


def _grouped(y: np.ndarray, score: np.ndarray) -> _Grouped:
    order = np.argsort(-np.asarray(score, dtype=np.float64), kind="stable")
    ordered = score[order]
    return _Grouped(order, np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])), np.asarray(y, bool)[order])


def _weights(grouped: _Grouped, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add up weights (draws, cases) of both classes by distinct score: float64 (draws, scores) each."""
    ordered = weights[:, grouped.order]
    sides = (np.where(side, ordered, 0.0) for side in (grouped.y, ~grouped.y))
    positive, negative = (np.add.reduceat(side, grouped.starts, axis=1) for side in sides)
    return positive, negative


def _area(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    above = negative.cumsum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1 - (positive * (above - negative / 2)).sum(axis=1) / pairs


def _precision(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    found = positive.cumsum(axis=1)
    seen = found + negative.cumsum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = np.where(positive > 0, positive * found / np.maximum(seen, 1e-300), 0.0)
        return np.where(seen[:, -1] > found[:, -1], parts.sum(axis=1) / found[:, -1], np.nan)


_MEASURES: dict[str, Measure] = {"auc": _area, "average_precision": _precision}


def _interval(units: Units, scores: list[np.ndarray], measure: str, how: Draws) -> Interval | None:
    """Bootstrap a measure of one score, or of the first less the second."""
    if not units.has_both:
        return None
    groups, of = [_grouped(units.y, score) for score in scores], _MEASURES[measure]
    values = [float(of(*_weights(group, np.ones((1, len(units.y)))))[0]) for group in groups]
    drawn = []
    for counts in _drawn_runs(int(units.run.max()) + 1, len(units.y), how):
        weights = counts[:, units.run]
        results = [of(*_weights(group, weights)) for group in groups]
        drawn.append(results[0] - results[1] if len(results) > 1 else results[0])
    known = np.concatenate(drawn)
    known = known[~np.isnan(known)]
    if not len(known):
        return None
    value, tail = values[0] - (values[1] if len(values) > 1 else 0.0), (1 - how.level) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    if high - low < _TOLERANCE:
        low, high = _widened(value, min(units.class_runs), tail, len(scores) > 1)
    return Interval(value, float(low), float(high), len(known))


def _drawn_runs(n_runs: int, n_cases: int, how: Draws) -> Iterator[np.ndarray]:
    """Draw runs with replacement: how often each one is in a draw, float64 (draws, runs), in chunks."""
    rng = np.random.default_rng(how.seed)
    for size in _chunks(how.draws, max(n_runs, n_cases)):
        picked = rng.integers(0, n_runs, (size, n_runs)) + np.arange(size)[:, None] * n_runs
        yield np.bincount(picked.ravel(), minlength=size * n_runs).reshape(size, n_runs).astype(np.float64)


def _widened(value: float, runs: int, tail: float, is_difference: bool) -> tuple[float, float]:
    """Give an interval that the draws leave without a width the one of as many successes in a row.

    1 - tail^(1/n) is the most that can go wrong unseen in n trials (Clopper & Pearson 1934).
    """
    room = 1 - tail ** (1 / max(runs, 1))
    return max(value - room, -1.0 if is_difference else 0.0), min(value + room, 1.0)


def _chunks(draws: int, width: int) -> Iterator[int]:
    """Cut draws into chunks of a bounded number of cells; the width alone decides, so that a seed gives one result."""
    size = max(_CELLS // max(width, 1), 1)
    for start in range(0, draws, size):
        yield min(size, draws - start)
