"""How unusual each window of a log is: the score D, whose unit is the oddest window of normal logs.

Per window of a service, against its training normals:

- unseen: u lines of one statement that no normal log has (continuation lines do not count), or u such lines of an
  error level: 20 + log2(1 + u) for an error level, 10 + log2(1 + u) for others; a single line is no alarm: 1.25
- errors: e = max over statements of an error level of (count - c) / sqrt(c + 1), c the largest count in a normal window
- gap: g = log2((longest silence that ends in or spans it + 50 ms) / (longest normal silence + 50 ms))
- run: r = max of log2((equal lines in a row + 1) / (longest normal run of the statement + 1))

Each of e, g and r is put on the scale of the normals, each judged without its own run: 0 is their median, 1 the largest
(a spread of at least 1); g on that of all services together. D is the largest of the four. It is an alarm above 1.25.
Many unseen statements with a line each are no burst: services that log how they are set up do so once, at any time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.features.statements import CONTINUATION, ERROR
from lo2dask.findings.normals import Normals, PairCounts, ServiceNormals, Statistics
from lo2dask.findings.part import PartWindows

ALARM = 1.25
# By whether the statement is of an error level.
UNSEEN = {True: 20.0, False: 10.0}
LEAST_UNSEEN = 2
# Figures are counted in steps of this, so that the median of many is found without keeping them.
STEP = 1 / 1024
_SILENCE = 50.0
# What speaks for a window, by its place: names in lo2_windows.parquet.
COMPONENTS = ("unseen", "errors", "gap", "run")
# Silences are told in octaves of the service's own longest one; their scale is that of all services together, since a
# service of few lines has silences of one length, whose spread is small.
_POOLED = "gap"
_SCALED = ("errors", "gap", "run", "surprise")


@dataclass(frozen=True)
class Figures:
    """The raw figures of windows, float64 (windows,) each; ``statements`` are places among the part's, -1 = none.

    ``unseen`` is on the scale of D already.
    """

    unseen: np.ndarray
    errors: np.ndarray
    gap: np.ndarray
    run: np.ndarray
    statements: dict[str, Ints]


@dataclass(frozen=True)
class Judged:
    """The windows of a part: ``score`` is NaN for a service without normals, ``component`` a place in COMPONENTS."""

    score: np.ndarray
    component: Ints
    statement: Ints
    is_alarm: Bools


def learn_scales(part: PartWindows, normal: Bools, statistics: Statistics) -> pa.Table:
    """Count the figures of a part's training normals, each judged without its run (columns of :data:`COUNTS`)."""
    chosen = part.of_sequences(normal)
    normals, counts = Normals(statistics, part.ids), []
    for service, run, sequences, own in _groups(chosen, normal, normals):
        if run is None or own is None or own.runs < 2:
            continue
        windows = np.flatnonzero(np.isin(chosen.windows["sequence"], sequences))
        figures = measure(chosen, windows, own, run)
        is_heard = chosen.windows["events"][windows] > 0
        values = {"errors": figures.errors[is_heard], "gap": figures.gap, "run": figures.run[is_heard]}
        for name, value in values.items():
            counts.append(_count(service, name, value, np.ones(len(value), np.int64)))
        counts += [_surprises(chosen, int(sequence), service, own) for sequence in sequences]
    return add_counts(counts)


def add_counts(tables: list[pa.Table]) -> pa.Table:
    """Add up counts of figures."""
    joined = pa.concat_tables([COUNTS.empty_table(), *tables]).group_by(["service", "figure", "value"])
    summed = joined.aggregate([("count", "sum")]).rename_columns(COUNTS.names)
    return summed.sort_by([(name, "ascending") for name in COUNTS.names[:3]])


def to_scales(counts: pa.Table) -> dict[str, dict[str, tuple[float, float]]]:
    """Return the median and the spread (largest - median, at least 1) of each figure of a service; of gaps, of all."""
    scales: dict[str, dict[str, tuple[float, float]]] = {}
    rows: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in counts.to_pylist():
        rows.setdefault((row["service"], row["figure"]), []).append((row["value"], row["count"]))
    pooled = sorted(pair for (_, figure), own in rows.items() if figure == _POOLED for pair in own)
    for (service, figure), own in rows.items():
        pairs = pooled if figure == _POOLED else own
        values, numbers = (np.array(column) for column in zip(*pairs, strict=True))
        middle = np.searchsorted(np.cumsum(numbers), (numbers.sum() + 1) // 2)
        median = float(values[middle] * STEP)
        scales.setdefault(service, {})[figure] = (median, max(float(values[-1] * STEP) - median, 1.0))
    return scales


def judge(part: PartWindows, normals: Normals, scales: Mapping[str, Any], training: Bools) -> Judged:
    """Score all windows of a part; a training normal, a bool mask (sequences,), is judged without its run."""
    size = len(part.windows["window"])
    scores = np.full((len(COMPONENTS), size), -np.inf)
    statements = np.full((len(COMPONENTS), size), -1, dtype=np.int64)
    known = np.zeros(size, dtype=bool)
    for service, run, sequences, own in _groups(part, training, normals):
        if own is None or own.runs <= int(run is not None):
            continue
        windows = np.flatnonzero(np.isin(part.windows["sequence"], sequences))
        figures = measure(part, windows, own, run)
        known[windows] = True
        own_scales = scales.get(service, {})
        scores[0, windows] = figures.unseen
        for index, name in enumerate(COMPONENTS[1:], 1):
            scores[index, windows] = to_scale(getattr(figures, name), own_scales, name)
        for index, name in enumerate(COMPONENTS):
            if name in figures.statements:
                statements[index, windows] = figures.statements[name]
    component = scores.argmax(axis=0)
    at = np.arange(size)
    score = np.where(known, scores[component, at], np.nan)
    return Judged(score, component, statements[component, at], score > ALARM)


def weigh_unseen(count: Ints, is_error: Bools) -> np.ndarray:
    """Return what lines of unseen statements count on the scale of D, given how many there are: float64 (counts,)."""
    level = np.where(is_error, UNSEEN[True], UNSEEN[False])
    return np.where(count >= LEAST_UNSEEN, level + np.log2(1 + count), ALARM)


def to_scale(values: np.ndarray, scales: Mapping[str, Any], figure: str) -> np.ndarray:
    """Put figures on the scale of a service's normals: 0 is their median, 1 their largest."""
    median, spread = scales.get(figure, (0.0, 1.0))
    return (values - median) / spread


def measure(part: PartWindows, windows: Ints, own: ServiceNormals, run: str | None) -> Figures:
    """Compute the raw figures of some windows of one service, in order, without the normals of a run (None: of all)."""
    place = np.full(len(part.windows["window"]), -1, dtype=np.int64)
    place[windows] = np.arange(len(windows))
    chosen = place[part.cells["window"]] >= 0
    window, statement = place[part.cells["window"][chosen]], part.cells["statement"][chosen]
    count, length = part.cells["count"][chosen], part.cells["run"][chosen]
    longest, most = own.run.without(run)[statement], own.count.without(run)[statement]
    kind = part.kinds[statement]
    is_new = (longest == 0) & (kind != CONTINUATION)
    excess = np.where(kind == ERROR, (count - most) / np.sqrt(most + 1), 0.0)
    errors = np.bincount(window, np.where(is_new & (kind == ERROR), count, 0), len(windows))
    unseen = weigh_unseen(np.where(kind == ERROR, errors[window], count), kind == ERROR)
    rows = {
        "unseen": (window, np.where(is_new, unseen, 0.0), statement),
        "errors": (window, np.maximum(excess, 0.0), statement),
        "run": (window, np.log2((length + 1) / (longest + 1)), statement),
    }
    strongest = {name: _strongest(len(windows), *values) for name, values in rows.items()}
    silence = np.maximum(part.windows["silence"][windows], 0) + _SILENCE
    gap = np.log2(silence / (own.silence.without(run)[0] + _SILENCE))
    statements = {name: at for name, (_, at) in strongest.items()}
    return Figures(strongest["unseen"][0], strongest["errors"][0], gap, strongest["run"][0], statements)


def _strongest(size: int, window: Ints, value: np.ndarray, statement: Ints) -> tuple[np.ndarray, Ints]:
    """Return the largest value of each window (0 where it has none), and its statement, the first of equal ones."""
    order = np.lexsort((statement, -value, window))
    first = order[np.diff(window[order], prepend=-1) != 0] if len(order) else order
    largest, at = np.zeros(size), np.full(size, -1, dtype=np.int64)
    largest[window[first]], at[window[first]] = value[first], statement[first]
    return largest, at


def _groups(
    part: PartWindows, left_out: Bools, normals: Normals
) -> list[tuple[str, str | None, Ints, ServiceNormals | None]]:
    """Group sequences by service and, of those whose run is left out, by run."""
    groups: dict[tuple[str, str | None], list[int]] = {}
    for index, (service, run, out) in enumerate(
        zip(part.names("service"), part.names("run"), left_out.tolist(), strict=True)
    ):
        groups.setdefault((service, run if out else None), []).append(index)
    return [(service, run, np.array(rows), normals.of(service)) for (service, run), rows in groups.items()]


def _surprises(part: PartWindows, sequence: int, service: str, own: ServiceNormals) -> pa.Table:
    """Count how surprising each line of a normal log is after the line before it, without the log itself."""
    chosen = part.pairs["sequence"] == sequence
    before, statement, count = (part.pairs[name][chosen] for name in ("before", "statement", "count"))
    pairs = dict(zip(zip(before.tolist(), statement.tolist(), strict=True), count.tolist(), strict=True))
    size = len(part.ids)
    mine = PairCounts(pairs, np.bincount(before, count, size), np.bincount(statement, count, size), int(count.sum()), 0)
    return _count(service, "surprise", own.pairs.surprise(before, statement, mine), count)


def _count(service: str, figure: str, values: np.ndarray, counts: Ints) -> pa.Table:
    steps, place = np.unique(np.rint(values / STEP).astype(np.int64), return_inverse=True)
    numbers = np.bincount(place, counts, len(steps)).astype(np.int64)
    names = {
        name: pa.array([text] * len(steps), pa.string()) for name, text in (("service", service), ("figure", figure))
    }
    return pa.table({**names, "value": steps, "count": numbers}, schema=COUNTS)


COUNTS = pa.schema([("service", pa.string()), ("figure", pa.string()), ("value", pa.int64()), ("count", pa.int64())])
