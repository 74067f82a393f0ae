"""Statements that a log has far more often than normal logs have: told, not flagged.

A program that starts again and again says nothing new, and nothing of an error level. A statement that normal logs of
the service have at most m times, in n lines, is told where a log of N lines has it more than 5 m max(1, N / n) + 5
times, in at least five windows; m and n are the largest of the normal logs of other runs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lo2dask.buffers.arrays import Ints
from lo2dask.features.statements import CONTINUATION
from lo2dask.findings.ends import LEAST_CASES, TIMES
from lo2dask.findings.judge import Baselines
from lo2dask.findings.part import PartWindows
from lo2dask.findings.read import REPEATED
from lo2dask.findings.telling import densest_span
from lo2dask.schema import TIME

# What counts beside so many times the normal count, and in how many windows.
LEAST, LEAST_WINDOWS = 5, 5
# Windows whose first line with the statement is shown.
MOST_SHOWN = 3


@dataclass(frozen=True)
class _Counts:
    """How often sequences have statements: a row for each of both, ``windows`` counts those that have it."""

    sequence: Ints
    statement: Ints
    count: Ints
    windows: Ints

    @classmethod
    def of(cls, part: PartWindows) -> "_Counts":
        """Count over all windows of a sequence."""
        cells, size = part.cells, max(len(part.ids), 1)
        keys = part.windows["sequence"][cells["window"]] * size + cells["statement"]
        pairs, at, windows = np.unique(keys, return_inverse=True, return_counts=True)
        count = np.bincount(at, cells["count"], len(pairs)).astype(np.int64)
        return cls(pairs // size, pairs % size, count, windows)


def find_repeats(part: PartWindows, own: Baselines, window_ms: int) -> dict[str, pa.Array]:
    """Return columns of tasks.JUDGED: the statement that each sequence repeats most, over what is normal for it.

    These are its id, its counts here and in the normal log that has most, where it is densest, and first lines of that.
    """
    counts, size = _Counts.of(part), part.keys.num_rows
    group = own.group[counts.sequence]
    lines = np.bincount(part.windows["sequence"], part.windows["events"], size)
    frequent = (counts.count > TIMES + LEAST) & (counts.windows >= LEAST_WINDOWS)
    rows = np.flatnonzero(frequent & (group >= 0) & (part.kinds[counts.statement] != CONTINUATION))
    rows = rows[own.runs[group[rows]] >= LEAST_CASES]
    normal, most_lines = own.totals(group[rows], counts.statement[rows])
    longer = np.maximum(lines[counts.sequence[rows]] / np.maximum(most_lines, 1), 1)
    told = (normal > 0) & (counts.count[rows] > TIMES * normal * longer + LEAST)
    rows, normal, times = rows[told], normal[told], counts.count[rows][told] / (normal * longer)[told]
    # Of each sequence the one that is repeated most is the last; of equal ones the first in the order of statements.
    order = np.lexsort((-counts.statement[rows], times, counts.sequence[rows]))
    last = order[np.flatnonzero(np.diff(counts.sequence[rows][order], append=-1))]
    chosen, sequence = rows[last], counts.sequence[rows[last]]
    statement, count, most = np.full(size, -1), np.zeros(size, np.int64), np.zeros(size, np.int64)
    statement[sequence], count[sequence], most[sequence] = counts.statement[chosen], counts.count[chosen], normal[last]
    return _columns(part, statement, {"repeats": count, "normal_repeats": most}, window_ms)


def repeated(row: dict[str, Any]) -> dict[str, Any]:
    """Make the notice of a row of tasks.JUDGED that has a repeated statement."""
    names = {"repeated": "statement_id", "repeats": "count", "normal_repeats": "normal_max"}
    names |= {"repeat_start": "start", "repeat_end": "end"}
    keys = {name: row[name] for name in ("run", "test_case", "service")}
    return {**keys, "kind": REPEATED, **{name: row[column] for column, name in names.items()}}


def _columns(part: PartWindows, statement: Ints, counts: dict[str, Ints], window_ms: int) -> dict[str, pa.Array]:
    """Return the columns, given the statement of each sequence (-1 = none) and the columns of its counts."""
    size, cells, windows = len(statement), part.cells, part.windows
    none = statement < 0
    owner = windows["sequence"][cells["window"]]
    having = np.flatnonzero(cells["statement"] == statement[owner])
    borders = np.searchsorted(owner[having], np.arange(size + 1))
    start, end = np.zeros(size, np.int64), np.zeros(size, np.int64)
    lines: list[list[int]] = [[] for _ in range(size)]
    for row in np.flatnonzero(~none).tolist():
        own = having[borders[row] : borders[row + 1]]
        own = own[densest_span(part, own, int(counts["repeats"][row] - counts["normal_repeats"][row]))]
        at = cells["window"][own]
        start[row], end[row] = windows["window"][at[[0, -1]]] * window_ms + (0, window_ms)
        lines[row] = (windows["first_line"][at] + cells["line"][own])[:MOST_SHOWN].tolist()
    times = {"repeat_start": start, "repeat_end": end}
    return {
        "repeated": part.ids.take(pa.array(statement, mask=none)),
        **{name: pa.array(values, mask=none) for name, values in counts.items()},
        **{name: pa.array(values * 1000, mask=none).cast(TIME) for name, values in times.items()},
        "repeat_lines": pa.array(lines, pa.list_(pa.int64())),
    }
