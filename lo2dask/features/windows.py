"""What a log's lines say about time: the statements of each of its windows, and its silences.

The text pass counts them, so that no line has to be read again to tell which second of which service is unusual, or
which statements follow each other. A statement is given by the number of a line of the batch (features.textpass.LINES)
that has it. Lines without a time are in no window, and nothing's neighbours.
"""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from lo2dask.buffers.arrays import Ints
from lo2dask.buffers.columns import milliseconds
from lo2dask.parse.clock import NO_TIME
from lo2dask.vocabulary.counts import count_pairs, distinct

_INT = pa.int32()
# A clock that was set makes years of silence.
_MOST = np.iinfo(np.int32).max
# ``window`` counts windows since 1970; ``silence`` is the longest one that ends in the window, in ms, -1 = none.
WINDOWS = pa.list_(pa.struct([("window", pa.int64()), ("first_line", _INT), ("last_line", _INT), ("silence", _INT)]))
# ``window`` is the place among the log's windows, ``line`` the distance of the first line from the window's first one.
CELLS = pa.list_(pa.struct([("window", _INT), ("statement", _INT), ("count", _INT), ("run", _INT), ("line", _INT)]))
# How often a statement followed another one.
PAIRS = pa.list_(pa.struct([("before", _INT), ("statement", _INT), ("count", _INT)]))
# ``first`` and ``last`` are the statements that a log begins and ends with, null where no line has a time.
WINDOW_COUNTS = pa.schema(
    [("seq_id", pa.string()), ("windows", WINDOWS), ("cells", CELLS), ("pairs", PAIRS), ("first", _INT), ("last", _INT)]
)


@dataclass
class WindowCounts:
    """Counts the statements of each window of the files of a batch, block by block.

    Attributes
    ----------
    n_files : files of the batch
    milliseconds : length of a window
    """

    n_files: int
    milliseconds: int
    groups: list[Ints] = field(default_factory=list)
    cells: list[Ints] = field(default_factory=list)
    pairs: list[Ints] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin before the first line of every file."""
        self.state = np.full((self.n_files, 3), -1, dtype=np.int64)
        self.first = np.full(self.n_files, -1, dtype=np.int64)
        self._counted = 0

    def add(self, events: pa.Table, file: Ints, statement: Ints, n_statements: int) -> None:
        """Take a block of event rows (columns m_timestamp, line_no), each with its file and statement."""
        from lo2dask.features.kernels import count_windows

        lines = np.empty((4, len(file)), dtype=np.int64)
        lines[0], lines[1], lines[3] = file, statement, events["line_no"].to_numpy()
        np.concatenate([milliseconds(chunk, NO_TIME) for chunk in events["m_timestamp"].chunks], out=lines[2])
        timed = lines[2] != NO_TIME
        if not timed.all():
            lines = lines[:, timed].copy()
        self._add_pairs(lines, n_statements)
        groups, cells = np.empty((2, lines.shape[1], 5), dtype=np.int64)
        slots = np.zeros((n_statements, 2), dtype=np.int64)
        found = count_windows(lines, self.milliseconds, self.state, slots, groups, cells)
        groups, cells = groups[: found[0]].copy(), cells[: found[1]].copy()
        cells[:, 0] += self._counted
        self._counted += len(groups)
        self.groups.append(groups)
        self.cells.append(cells)

    def columns(self, rows: Ints) -> dict[str, pa.Array]:
        """Return the columns of :data:`WINDOW_COUNTS` but seq_id for the files that have a line, in ascending order."""
        groups, cells = self._joined()
        group = cells[:, 0]
        first = np.searchsorted(groups[:, 0], groups[:, 0])
        own = {
            "window": groups[:, 1],
            "first_line": groups[:, 2],
            "last_line": groups[:, 3],
            "silence": np.minimum(groups[:, 4], _MOST),
        }
        counted = {
            "window": group - first[group],
            "statement": cells[:, 1],
            "count": cells[:, 2],
            "run": cells[:, 3],
            "line": cells[:, 4] - groups[group, 2],
        }
        pairs = np.concatenate(self.pairs or [np.zeros((4, 0), np.int64)], axis=1)
        order = np.lexsort(pairs[2::-1])
        file, before, statement, count = _sum_equal(pairs[:, order])
        followed = {"before": before, "statement": statement, "count": count}
        ends = {"first": self.first[rows], "last": self.state[rows, 0]}
        return {
            "windows": _lists(rows, groups[:, 0], own, WINDOWS),
            "cells": _lists(rows, groups[group, 0], counted, CELLS),
            "pairs": _lists(rows, file, followed, PAIRS),
            **{name: pa.array(of, _INT, mask=of < 0) for name, of in ends.items()},
        }

    def _joined(self) -> tuple[Ints, Ints]:
        """Join windows that blocks, or a clock that went back, have cut: by file, window and first line."""
        groups = np.concatenate(self.groups or [np.zeros((0, 5), np.int64)])
        cells = np.concatenate(self.cells or [np.zeros((0, 5), np.int64)])
        step = np.diff(groups[:, :2], axis=0)
        if ((step[:, 0] > 0) | ((step[:, 0] == 0) & (step[:, 1] > 0))).all():
            return groups, cells
        keys, group = np.unique(groups[:, :2], axis=0, return_inverse=True)
        joined = np.column_stack([keys, np.full(len(keys), np.iinfo(np.int64).max), np.zeros((len(keys), 2), np.int64)])
        joined[:, 4] = -1
        np.minimum.at(joined[:, 2], group, groups[:, 2])
        np.maximum.at(joined[:, 3], group, groups[:, 3])
        np.maximum.at(joined[:, 4], group, groups[:, 4])
        cells = np.column_stack([group[cells[:, 0]], cells[:, 1:]])
        cells = cells[np.lexsort((cells[:, 4], cells[:, 1], cells[:, 0]))]
        first = np.flatnonzero((np.diff(cells[:, :2], axis=0, prepend=-1) != 0).any(axis=1))
        merged = cells[first]
        merged[:, 2] = np.add.reduceat(cells[:, 2], first)
        merged[:, 3] = np.maximum.reduceat(cells[:, 3], first)
        return joined, merged[np.lexsort((merged[:, 4], merged[:, 0]))]

    def _add_pairs(self, lines: Ints, n_statements: int) -> None:
        """Count the pairs of neighbouring statements of a block, before its lines are in ``state``."""
        file, statement = lines[:2]
        starts = np.flatnonzero(np.diff(file, prepend=-1))
        before = np.empty_like(statement)
        before[1:], before[starts] = statement[:-1], self.state[file[starts], 0]
        begins = starts[before[starts] < 0]
        self.first[file[begins]] = statement[begins]
        follows = before >= 0
        pairs, code = distinct(before[follows] * n_statements + statement[follows])
        counts = count_pairs(file[follows], code, (self.n_files, len(pairs))).tocoo()
        self.pairs.append(np.stack([counts.row, *np.divmod(pairs[counts.col], n_statements), counts.data]))


def _sum_equal(sorted_rows: Ints) -> Ints:
    """Add up the last row of columns whose other rows are equal; they are sorted."""
    first = np.flatnonzero((np.diff(sorted_rows[:-1], prepend=-1) != 0).any(axis=0))
    if not len(first):
        return sorted_rows
    return np.vstack([sorted_rows[:-1, first], np.add.reduceat(sorted_rows[-1], first)])


def _lists(rows: Ints, row: Ints, columns: dict[str, Ints], kind: pa.DataType) -> pa.Array:
    """Build a list column of the files ``rows``; the items, in their order, belong to the files ``row``."""
    offsets = np.append(np.searchsorted(row, rows), len(row)).astype(np.int32)
    fields = list(kind.value_type)
    items = pa.StructArray.from_arrays([pa.array(columns[f.name]).cast(f.type) for f in fields], fields=fields)
    return pa.ListArray.from_arrays(pa.array(offsets), items, type=kind)
