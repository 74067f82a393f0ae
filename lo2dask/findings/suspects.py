"""Cases and services without a finding that are worth a look all the same, where nothing is labelled.

Of runs that are held against each other, a fault that several of them have is normal for all; fewer lines of an error
than ``excess`` asks for, and bursts of other lines, are no finding. What speaks for a case is one of, in this order:

- an error that no other case has
- lines of an error level: x of them in a service whose cases have m (the median; so much more as the log is longer
  than the median), (x - m) / sqrt(m + 1) > 3 and x > 2 m
- at least five unusual windows of a service
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import codes, strings
from lo2dask.findings.read import ALARM, Case, is_error_text
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import read_parts

NEW_ERROR, MORE_ERRORS, UNUSUAL = "new error", "more errors", "unusual"
MOST_SUSPECTS = 5
_LEAST_Z, _LEAST_WINDOWS = 3.0, 5
_KEY = ["run", "test_case", "service"]
# A case and a service.
Named = tuple[str, str, str]


@dataclass(frozen=True)
class Suspect:
    """A case, and what speaks for it: ``kind``, in which service, how often.

    ``count`` are lines of an error level (``usual``: the median of the service's cases), or unusual windows, together
    ``seconds`` long; ``start`` is the first one, ``statement`` that of the error or of the most unusual window.
    """

    run: str
    test_case: str
    service: str
    kind: str
    count: int
    usual: int = 0
    seconds: float = 0.0
    start: datetime | None = None
    statement: str | None = None


def find_suspects(
    layout: Layout, flagged: Set[Named], runs: Set[str] | None = None, service: str = ""
) -> tuple[Suspect, ...]:
    """Find cases, each once, in which something speaks for a service that no finding names: MOST_SUSPECTS at most.

    They are of some ``runs`` (None: of all), and of one ``service`` ("" = of all).
    """
    found: dict[Case, Suspect] = {}
    windows = _read_windows(layout)
    for suspects in (_of_windows(windows, NEW_ERROR), _more_errors(layout), _of_windows(windows, UNUSUAL)):
        for suspect in suspects:
            case = (suspect.run, suspect.test_case)
            is_asked = (runs is None or suspect.run in runs) and service in ("", suspect.service)
            if is_asked and (*case, suspect.service) not in flagged:
                found.setdefault(case, suspect)
    return tuple(found.values())[:MOST_SUSPECTS]


def _read_windows(layout: Layout) -> pa.Table:
    """Sum up, by log, the windows that are alarms, and those with an error that no other case has (``is_new``)."""
    columns = [*_KEY, "window_start", "window_end", "score", "component", "statement"]
    parts = []
    for part in read_parts(layout.windows, columns):
        table = pa.table({name: _plain(part[name]) for name in columns})
        is_error = pc.fill_null(is_error_text(table["statement"]), False)  # a silence has no statement
        is_new = pc.and_(pc.equal(table["component"], "unseen"), is_error)
        length = pc.subtract(table["window_end"], table["window_start"]).cast(pa.int64())
        kept = table.append_column("is_new", is_new).append_column("length", length)
        kept = kept.append_column("count", pa.array(np.ones(part.num_rows, dtype=np.int64)))
        parts.append(_sum_up(kept.filter(pc.or_(is_new, pc.greater(table["score"], ALARM)))))
    return _sum_up(pa.concat_tables(parts)) if parts else pa.table({"is_new": pa.array([], pa.bool_())})


def _sum_up(windows: pa.Table) -> pa.Table:
    """Add up windows, or sums of some, of each log; the statement is that of the one with the largest score."""
    sums = {"score": "max", "window_start": "min", "length": "sum", "count": "sum"}
    ordered = windows.sort_by([("score", "descending")]).group_by([*_KEY, "is_new"], use_threads=False)
    first = ("statement", "first", pc.ScalarAggregateOptions(skip_nulls=False))
    return ordered.aggregate([*sums.items(), first]).rename_columns([*_KEY, "is_new", *sums, "statement"])


def _of_windows(windows: pa.Table, kind: str) -> Iterator[Suspect]:
    """Yield a suspect for each log with a new error, or with many unusual windows; those with the most first."""
    chosen = windows.filter(pc.equal(windows["is_new"], kind == NEW_ERROR))
    if not chosen.num_rows:
        return
    order = [("count", "descending"), *((name, "ascending") for name in _KEY)]
    for row in chosen.sort_by(order).to_pylist():
        if kind == NEW_ERROR or row["count"] >= _LEAST_WINDOWS:
            names = {name: row[name] for name in (*_KEY, "count", "statement")}
            yield Suspect(**names, kind=kind, seconds=row["length"] / 1e6, start=row["window_start"])


def _more_errors(layout: Layout) -> Iterator[Suspect]:
    """Yield the cases and services with far more lines of an error level than others, the furthest first."""
    parts = []
    counts = ["n_error", "n_events"]
    for part in read_parts(layout.timeline, [*_KEY, *counts]):
        rows = pa.table({name: _plain(part[name]) for name in part.column_names})
        parts.append(rows.group_by(_KEY).aggregate([(name, "sum") for name in counts]))
    if not parts:
        return
    logs = pa.concat_tables(parts).group_by(_KEY).aggregate([(f"{name}_sum", "sum") for name in counts])
    code, names = codes(logs["service"])
    errors, lines = (logs[f"{name}_sum_sum"].to_numpy() for name in counts)
    usual = np.zeros(logs.num_rows)
    for own in (np.flatnonzero(code == place) for place in range(len(names))):
        usual[own] = np.median(errors[own]) * np.maximum(lines[own] / max(np.median(lines[own]), 1), 1)
    z = (errors - usual) / np.sqrt(usual + 1)
    many = logs.append_column("usual", pa.array(usual)).append_column("z", pa.array(z))
    many = many.filter(pa.array((z > _LEAST_Z) & (errors > 2 * usual)))
    for row in many.sort_by([("z", "descending"), *((name, "ascending") for name in _KEY)]).to_pylist():
        keys = {name: row[name] for name in _KEY}
        yield Suspect(**keys, kind=MORE_ERRORS, count=row["n_error_sum_sum"], usual=round(row["usual"]))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return strings(column) if pa.types.is_dictionary(column.type) else column
