"""Reduces a model's predictions to what charts and tables show, part by part: two passes, never a row per sequence."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import is_true, strings
from lo2dask.reporting.data import HOLDOUT, Confusion, Curves, Floats, Histogram
from lo2dask.tables.parts import read_parts

BINS = 40
# Points of the curves as they are drawn; the scores that they may be taken at; the distinct scores held in between.
POINTS = 200
EDGES = 2_000
KEPT = 50_000
WHOLE = "whole table, training part and all, as the hold-out lacks a class"

Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
_COLUMNS = ("test_case", "service", "anomaly", "pred_ano", "score", "split")


@dataclass(frozen=True)
class Scores:
    """What a model's predictions come to; ``threshold`` is None where flagged and unflagged scores overlap."""

    rows: int
    flagged: int
    threshold: float | None
    histogram: Histogram | None
    curves: Curves | None
    confusion: Confusion | None


@dataclass
class Span:
    """What the first pass finds: counts, the range of the scores, and scores to count at."""

    rows: int = 0
    flagged: int = 0
    unflagged_high: float = -np.inf
    flagged_low: float = np.inf
    held: set[bool] = field(default_factory=set)
    values: Floats = field(default_factory=lambda: np.empty(0))

    def add(self, part: pa.Table) -> None:
        """Take in a part."""
        score, flags, known = _score(part), _flags(part), np.isfinite(_score(part))
        self.rows += part.num_rows
        self.flagged += int(flags.sum())
        self.unflagged_high = max(self.unflagged_high, score[known & ~flags].max(initial=-np.inf))
        self.flagged_low = min(self.flagged_low, score[known & flags].min(initial=np.inf))
        self.held |= set(_anomaly(part)[_is_held(part)].tolist())
        values = np.union1d(self.values, score[known])
        # Thinned by rank with both ends kept, so that the range stays exact.
        self.values = _thin(values, KEPT // 2) if len(values) > KEPT else values

    @property
    def over(self) -> str:
        """Name the rows that curves are drawn over: the hold-out, if it has both classes, else all."""
        return HOLDOUT if len(self.held) == 2 else WHOLE

    @property
    def threshold(self) -> float | None:
        """Return the score between flagged and unflagged, where one score parts them."""
        if not np.isfinite([self.unflagged_high, self.flagged_low]).all() or self.flagged_low < self.unflagged_high:
            return None
        return float((self.flagged_low + self.unflagged_high) / 2)


class Tally:
    """What the second pass counts: scores by class in bins and at the edges, and flags by test case and service."""

    def __init__(self, span: Span) -> None:
        """Begin with the range and the edges of the first pass."""
        self._over = span.over
        self._bins = np.histogram_bin_edges(span.values, BINS) if len(span.values) else np.empty(0)
        self._edges = _thin(span.values, EDGES)
        self._histogram = np.zeros((2, BINS), np.int64)
        self._counts = np.zeros((2, len(self._edges)), np.int64)
        self._flags: dict[tuple[str, str], list[int]] = {}

    def add(self, part: pa.Table) -> None:
        """Count a part."""
        score, anomaly = _score(part), _anomaly(part)
        known = np.isfinite(score) & ~is_true(pc.is_null(part["anomaly"]))
        side = _is_held(part) if self._over == HOLDOUT else np.ones(len(score), bool)
        if len(self._edges):
            for row, of_class in enumerate((~anomaly, anomaly)):
                self._histogram[row] += np.histogram(score[known & of_class], self._bins)[0]
                place = np.searchsorted(self._edges, score[known & of_class & side], side="right") - 1
                self._counts[row] += np.bincount(place, minlength=len(self._edges))
        self._add_flags(part.filter(pa.array(side)))

    def _add_flags(self, part: pa.Table) -> None:
        plain = pa.table(
            {
                "case": strings(part["test_case"]),
                "service": strings(part["service"]),
                "flag": _flags(part).astype(np.int64),
            }
        )
        grouped = plain.group_by(["case", "service"]).aggregate([("flag", "sum"), ("flag", "count")])
        for row in grouped.to_pylist():
            total = self._flags.setdefault((row["case"], row["service"]), [0, 0])
            total[0] += row["flag_sum"]
            total[1] += row["flag_count"]

    def histogram(self) -> Histogram | None:
        """Return the bins; None where no row has a score and a label."""
        return Histogram(self._bins, *self._histogram) if self._histogram.any() else None

    def curves(self) -> Curves | None:
        """Return points of both curves, at most one per distinct score; None for a single class."""
        # From the highest score downwards.
        normal, anomaly = (np.cumsum(counts[::-1]) for counts in self._counts)
        if not len(normal) or not normal[-1] or not anomaly[-1]:
            return None
        used = np.flatnonzero(np.diff(normal + anomaly, prepend=0))
        keep = _thin(used, POINTS)
        recall, wrong = anomaly[keep] / anomaly[-1], normal[keep] / normal[-1]
        precision = anomaly[keep] / (normal[keep] + anomaly[keep])
        roc = (np.concatenate([[0.0], wrong]), np.concatenate([[0.0], recall]))
        return Curves(self._over, roc, (recall, precision))

    def confusion(self) -> Confusion | None:
        """Return flagged and all sequences by test case and service; None without a row."""
        if not self._flags:
            return None
        cases, services = (tuple(sorted({key[i] for key in self._flags})) for i in range(2))
        counts = np.zeros((2, len(cases), len(services)), np.int64)
        for (case, service), pair in self._flags.items():
            counts[:, cases.index(case), services.index(service)] = pair
        return Confusion(self._over, cases, services, *counts)


def read_scores(folder: Path) -> Scores:
    """Read a model's predictions twice, part by part."""
    span = Span()
    for part in _parts(folder):
        span.add(part)
    tally = Tally(span)
    for part in _parts(folder):
        tally.add(part)
    return Scores(span.rows, span.flagged, span.threshold, tally.histogram(), tally.curves(), tally.confusion())


def _parts(folder: Path) -> Iterator[pa.Table]:
    return (part for part in read_parts(folder, _COLUMNS) if part.num_rows)


def _score(part: pa.Table) -> Floats:
    return part["score"].to_numpy().astype(np.float64)


def _flags(part: pa.Table) -> Flags:
    return pc.fill_null(part["pred_ano"], 0).to_numpy() == 1


def _anomaly(part: pa.Table) -> Flags:
    return is_true(part["anomaly"])


def _is_held(part: pa.Table) -> Flags:
    return pc.equal(strings(part["split"]), "holdout").to_numpy(zero_copy_only=False).astype(bool)


def _thin(values: npt.NDArray, most: int) -> npt.NDArray:
    """Keep so many of sorted values, evenly spaced, the first and the last among them."""
    if len(values) <= most:
        return values
    return values[np.unique(np.linspace(0, len(values) - 1, most).round().astype(np.int64))]
