"""How unusual each window of a log is: the score D, whose unit is the oddest window of normal logs.

Per window of a service, against its training normals:

- unseen: u lines of one statement that no normal log has (continuation lines do not count), or u such lines of an
  error level: 20 + log2(1 + u) for an error level, 10 + log2(1 + u) for others; a single line is no alarm: 1.25
- errors: e = max over statements of an error level of (count - c) / sqrt(c + 1), c the largest count in a normal window
- gap: g = log2((longest silence that ends in or spans it + 50 ms) / (longest normal silence + 50 ms))
- run: r = max of log2((equal lines in a row + 1) / (longest normal run of the statement + 1))

A window without a line has a gap alone.

Each of e, g and r is put on the scale of the normals, each judged without its own run: 0 is their median, 1 the largest
(a spread of at least 1); g on that of all services together. The largest is that of other runs than the judged one.
D is the largest of the four. It is an alarm above 1.25.
Many unseen statements with a line each are no burst: services that log how they are set up do so once, at any time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.features.statements import CONTINUATION, ERROR
from lo2dask.findings.ends import LEAST_CASES
from lo2dask.findings.normals import Normals, ServiceNormals, Statistics
from lo2dask.findings.part import PartWindows
from lo2dask.findings.read import ALARM
from lo2dask.models.largest import keep_largest, rows_of

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
    """The windows of a part: ``score`` is NaN for a service without normals, ``component`` a place in COMPONENTS.

    ``normal_silence`` is the longest silence of normal logs of its service in ms, -1 where there are too few.
    """

    score: np.ndarray
    component: Ints
    statement: Ints
    is_alarm: Bools
    normal_silence: Ints


@dataclass(frozen=True)
class Scales:
    """What figures of normals are put on, by service and figure: their median and their spread.

    ``without`` has the run that the largest figure is of, and the spread without it.
    """

    whole: Mapping[str, Mapping[str, tuple[float, float]]]
    without: Mapping[str, Mapping[str, tuple[str, float]]] = field(default_factory=dict)

    def of(self, service: str, figure: str, left_out: str | None = None) -> tuple[float, float]:
        """Return median and spread; without one run's largest (the median is that of all)."""
        median, spread = self.whole.get(service, {}).get(figure, (0.0, 1.0))
        run, other = self.without.get(service, {}).get(figure, (None, 1.0))
        return median, other if left_out is not None and left_out == run else spread


def learn_scales(part: PartWindows, normal: Bools, normals: Normals) -> Statistics:
    """Count the figures of a part's training normals, each judged without its run.

    Returns
    -------
    ``counts`` (columns of :data:`COUNTS`), and ``largest``: those of two runs (service, figure, run, value).
    """
    chosen = part.of_sequences(normal)
    own = Baselines.of(chosen, normal, normals)
    group = own.group[chosen.windows["sequence"]]
    figures = measure(chosen, own)
    known, heard = group >= 0, (group >= 0) & (chosen.windows["events"] > 0)
    ones = np.ones(len(group), dtype=np.int64)
    tables = [
        _count(own, (group[rows], value[rows], ones[rows]), figure)
        for figure, value, rows in (
            ("errors", figures.errors, heard), ("gap", figures.gap, known), ("run", figures.run, heard),
        )
    ]  # fmt: skip
    pairs = chosen.pairs
    of_pair = own.group[pairs["sequence"]]
    for service in dict.fromkeys(own.services):
        places = [place for place, name in enumerate(own.services) if name == service]
        rows = np.flatnonzero(np.isin(of_pair, places))
        before, statement, count = (pairs[name][rows] for name in ("before", "statement", "count"))
        value = normals.pairs(service).surprise(before, statement, (pairs["sequence"][rows], count))
        tables.append(_count(own, (of_pair[rows], value, count), "surprise"))
    return add_counts([{"counts": table, "largest": table.select(_LARGEST.names)} for table in tables])


def add_counts(counted: Sequence[Statistics]) -> Statistics:
    """Join counts of figures and the largest ones."""
    counts = pa.concat_tables([COUNTS.empty_table(), *(one["counts"].select(COUNTS.names) for one in counted)])
    summed = counts.group_by(COUNTS.names[:3]).aggregate([("count", "sum")]).rename_columns(COUNTS.names)
    largest = pa.concat_tables([_LARGEST.empty_table(), *(one["largest"] for one in counted)])
    of_run = largest.group_by(_LARGEST.names[:3]).aggregate([("value", "max")]).rename_columns(_LARGEST.names)
    return {
        "counts": summed.sort_by([(name, "ascending") for name in COUNTS.names[:3]]),
        "largest": keep_largest([of_run], _LARGEST.names[:2]),
    }


def to_scales(counted: Statistics) -> Scales:
    """Return the scales: the spread is largest - median, at least 1; of gaps, of those of all services."""
    whole: dict[str, dict[str, tuple[float, float]]] = {}
    without: dict[str, dict[str, tuple[str, float]]] = {}
    for service in pc.unique(counted["counts"]["service"]).to_pylist():
        for figure in _SCALED:
            of = {"figure": figure} if figure == _POOLED else {"figure": figure, "service": service}
            counts, largest = (rows_of(counted[name], **of) for name in ("counts", "largest"))
            if counts.num_rows:
                counts = counts.sort_by("value")
                middle = np.searchsorted(np.cumsum(counts["count"]), (pc.sum(counts["count"]).as_py() + 1) // 2)
                median = counts["value"][middle].as_py() * STEP
                top, *others = keep_largest([largest], ["figure"]).to_pylist()
                spreads = [max(one["value"] * STEP - median, 1.0) for one in (top, *others)]
                whole.setdefault(service, {})[figure] = (median, spreads[0])
                without.setdefault(service, {})[figure] = (top["run"], spreads[1] if others else 1.0)
    return Scales(whole, without)


def judge(part: PartWindows, own: "Baselines", scales: Scales) -> Judged:
    """Score all windows of a part, each by the normals of its sequence."""
    group, figures = own.group[part.windows["sequence"]], measure(part, own)
    none = np.full(len(group), -1, dtype=np.int64)
    scores = np.stack([figures.unseen, *(
        own.scaled(getattr(figures, name), group, scales, name) for name in COMPONENTS[1:]
    )])  # fmt: skip
    statements = np.stack([figures.statements.get(name, none) for name in COMPONENTS])
    component = scores.argmax(axis=0)
    at = np.arange(len(group))
    score = np.where(group >= 0, scores[component, at], np.nan)
    return Judged(score, component, statements[component, at], score > ALARM, own.normal_silence(group))


@dataclass(frozen=True)
class Baselines:
    """What each sequence of a part is judged by: the normals of its service, those of its own run left out or not.

    ``group`` is the place of a sequence's normals, -1 where there are none; ``owners`` are the normals of each group,
    ``services`` names their service, ``left_out`` the run they are without, ``runs`` counts their runs; ``count`` and
    ``run`` (groups x statements) are the largest counts and runs, ``silence`` (groups,) in ms.
    """

    group: Ints
    services: list[str]
    left_out: list[str | None]
    owners: list[ServiceNormals]
    runs: Ints
    count: np.ndarray
    run: np.ndarray
    silence: np.ndarray

    @classmethod
    def of(cls, part: PartWindows, left_out: Bools, normals: Normals) -> "Baselines":
        """Gather the normals of a part's sequences; of a bool mask (sequences,) the run is left out."""
        places: dict[tuple[str, str | None], int] = {}
        group = np.full(len(left_out), -1, dtype=np.int64)
        columns = zip(part.names("service"), part.names("run"), left_out.tolist(), strict=True)
        for row, (service, run, out) in enumerate(columns):
            own = normals.of(service)
            if own is not None and own.runs > int(out):
                group[row] = places.setdefault((service, run if out else None), len(places))
        owners = [own for service, _ in places if (own := normals.of(service)) is not None]
        shape = (len(places), len(part.ids))
        count, longest = (np.zeros(shape) for _ in range(2))
        silence, runs = np.zeros(len(places)), np.zeros(len(places), dtype=np.int64)
        for row, (own, (_, left)) in enumerate(zip(owners, places, strict=True)):
            count[row], longest[row] = own.count.without(left), own.run.without(left)
            silence[row] = own.silence.without(left)[0]
            runs[row] = own.runs - (left is not None)
        services, runs_out = [service for service, _ in places], [run for _, run in places]
        return cls(group, services, runs_out, owners, runs, count, longest, silence)

    def totals(self, group: Ints, statement: Ints) -> tuple[np.ndarray, np.ndarray]:
        """Return the largest count of statements in a normal log of groups, and the most lines of one: (pairs,)."""
        total, lines = np.zeros(len(group)), np.zeros(len(group))
        for place in np.unique(group).tolist():
            rows, own, run = np.flatnonzero(group == place), self.owners[place], self.left_out[place]
            total[rows], lines[rows] = own.total.without(run)[statement[rows]], own.lines.without(run)[0]
        return total, lines

    def normal_silence(self, group: Ints) -> Ints:
        """Return the longest silence of the normals of groups in ms, -1 where enough runs are not known."""
        if not self.services:
            return np.full(len(group), -1, dtype=np.int64)
        known = np.where(self.runs >= LEAST_CASES, self.silence, -1).astype(np.int64)
        return np.where(group >= 0, known[group], -1)

    def scaled(self, values: np.ndarray, group: Ints, scales: Scales, figure: str) -> np.ndarray:
        """Put the figures of windows on the scale of the normals of their groups."""
        if not self.services:
            return values
        owners = zip(self.services, self.left_out, strict=True)
        median, spread = np.array([scales.of(service, figure, run) for service, run in owners]).T
        return (values - median[group]) / spread[group]


def weigh_unseen(count: Ints, is_error: Bools) -> np.ndarray:
    """Return what lines of unseen statements count on the scale of D, given how many there are: float64 (counts,)."""
    level = np.where(is_error, UNSEEN[True], UNSEEN[False])
    return np.where(count >= LEAST_UNSEEN, level + np.log2(1 + count), ALARM)


def measure(part: PartWindows, own: Baselines) -> Figures:
    """Compute the raw figures of a part's windows; those of a sequence without normals mean nothing."""
    size, cells = len(part.windows["window"]), part.cells
    window, statement = cells["window"], cells["statement"]
    group = own.group[part.windows["sequence"]]
    if not own.services:
        nothing, none = np.zeros(size), np.full(size, -1, dtype=np.int64)
        return Figures(nothing, nothing, nothing, nothing, dict.fromkeys(("unseen", "errors", "run"), none))
    count, length, of_cell = cells["count"], cells["run"], group[window]
    longest, most = own.run[of_cell, statement], own.count[of_cell, statement]
    kind = part.kinds[statement]
    is_new = (longest == 0) & (kind != CONTINUATION)
    excess = np.where(kind == ERROR, (count - most) / np.sqrt(most + 1), 0.0)
    refused = np.bincount(window, np.where(is_new & (kind == ERROR), count, 0), size)
    unseen = weigh_unseen(np.where(kind == ERROR, refused[window], count), kind == ERROR)
    values = {
        "unseen": np.where(is_new, unseen, 0.0),
        "errors": np.maximum(excess, 0.0),
        "run": np.log2((length + 1) / (longest + 1)),
    }
    strongest = {name: _strongest(size, window, value, statement) for name, value in values.items()}
    silence = np.maximum(part.windows["silence"], 0) + _SILENCE
    gap = np.log2(silence / (own.silence[group] + _SILENCE))
    statements = {name: at for name, (_, at) in strongest.items()}
    # A window without a line has no errors and no run, not even few: only its silence speaks.
    errors, run = (np.where(part.windows["events"] > 0, strongest[name][0], -np.inf) for name in ("errors", "run"))
    return Figures(strongest["unseen"][0], errors, gap, run, statements)


def _strongest(size: int, window: Ints, value: np.ndarray, statement: Ints) -> tuple[np.ndarray, Ints]:
    """Return the largest value of each window (0 where it has none), and its statement, the first of equal ones.

    The rows are in the order of their windows.
    """
    largest, at = np.zeros(size), np.full(size, -1, dtype=np.int64)
    starts = np.flatnonzero(np.diff(window, prepend=-1))
    if len(starts):
        there = window[starts]
        largest[there] = np.maximum.reduceat(value, starts)
        rest = np.where(value == largest[window], statement, np.iinfo(np.int64).max)
        at[there] = np.minimum.reduceat(rest, starts)
    return largest, at


def _count(own: Baselines, rows: tuple[Ints, np.ndarray, Ints], figure: str) -> pa.Table:
    """Count figures, given as (place of the baseline, value, count), in steps of STEP."""
    group, values, counts = rows
    steps = np.rint(values / STEP).astype(np.int64)
    service, run = (pa.array(names, pa.string()).take(pa.array(group)) for names in (own.services, own.left_out))
    figures = pa.array([figure] * len(group), pa.string())
    return pa.table({"service": service, "figure": figures, "run": run, "value": steps, "count": counts})


COUNTS = pa.schema([("service", pa.string()), ("figure", pa.string()), ("value", pa.int64()), ("count", pa.int64())])
_LARGEST = pa.schema([*((name, pa.string()) for name in ("service", "figure", "run")), ("value", pa.int64())])
