"""The windows of the logs of a group of parts as flat arrays, as the text pass counted them (features.windows)."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.buffers.columns import strings
from lo2dask.features.statements import are_templates, in_order, kinds_of
from lo2dask.ingest.mining import read_line_statements
from lo2dask.tables.groups import Group
from lo2dask.tables.layout import Layout

# Windows. A silence that is longer is left as it is, without rows for the windows in it.
LONGEST_SILENCE = 3600


@dataclass(frozen=True)
class PartWindows:
    """The windows of a group's sequences, those without a line among them.

    ``keys`` are the sequences (columns seq_id, run, test_case, service, anomaly). ``ids`` are statement ids in order,
    ``kinds`` what they are (features.statements). Each further dict holds one array a column: ``windows`` (sequence,
    window, first_line, last_line, silence in ms, events), in order; ``cells`` (window: a place in ``windows``,
    statement: a place in ``ids``, count, run, line), by window; ``pairs`` (sequence, before, statement, count).
    """

    keys: pa.Table
    ids: pa.Array
    kinds: np.ndarray
    windows: dict[str, Ints]
    cells: dict[str, Ints]
    pairs: dict[str, Ints]

    @classmethod
    def read(cls, layout: Layout, group: Group, rows: Bools | None = None) -> "PartWindows":
        """Read the windows of a group's sequences, or of those of a bool mask (sequences,) alone."""
        keys = read_keys(layout, group)
        counted = group.read(layout.window_counts, ["windows", "cells", "pairs"])
        ids, statement, begin = _read_statements(layout, group)
        if rows is not None:
            keys, counted, begin = keys.filter(pa.array(rows)), counted.filter(pa.array(rows)), begin[rows]
        windows, cells, pairs = (flatten_lists(counted[column]) for column in ("windows", "cells", "pairs"))
        starts, sequence = np.searchsorted(windows["sequence"], np.arange(counted.num_rows)), cells.pop("sequence")
        cells["window"] += starts[sequence]
        cells["statement"] = statement[begin[sequence] + cells["statement"]]
        for column in ("before", "statement"):
            pairs[column] = statement[begin[pairs["sequence"]] + pairs[column]]
        if are_templates(ids.to_pylist()):
            cells = _merged(cells, ("window", "statement"), {"count": np.add, "run": np.maximum, "line": np.minimum})
            pairs = _merged(pairs, ("sequence", "before", "statement"), {"count": np.add})
        windows["events"] = np.bincount(cells["window"], cells["count"], len(windows["window"])).astype(np.int64)
        windows, place = _with_silent_windows(windows)
        cells["window"] = place[cells["window"]]
        return cls(keys, ids, kinds_of(ids), windows, cells, pairs)

    def names(self, column: str) -> list[str]:
        """Return a key of all sequences."""
        values: list[str] = strings(self.keys[column]).to_pylist()
        return values

    def of_sequences(self, mask: Bools) -> "PartWindows":
        """Keep the windows, cells and pairs of some sequences, a bool mask (sequences,); all keep their places."""
        kept = mask[self.windows["sequence"]]
        place = np.cumsum(kept) - 1
        in_cells = kept[self.cells["window"]]
        cells = {name: values[in_cells] for name, values in self.cells.items()}
        cells["window"] = place[cells["window"]]
        in_pairs = mask[self.pairs["sequence"]]
        return PartWindows(
            self.keys, self.ids, self.kinds,
            {name: values[kept] for name, values in self.windows.items()}, cells,
            {name: values[in_pairs] for name, values in self.pairs.items()},
        )  # fmt: skip


def read_keys(layout: Layout, group: Group) -> pa.Table:
    """Read the keys of a group's sequences."""
    return group.read(layout.sequences, ["seq_id", "run", "test_case", "service", "anomaly"])


def _read_statements(layout: Layout, group: Group) -> tuple[pa.Array, Ints, Ints]:
    """Return the statement ids of a group in order, each line's place among them, where a sequence's lines begin."""
    line_ids, begin = read_line_statements(layout, group)
    order = np.array(in_order(line_ids.dictionary.to_pylist()), dtype=np.int64)
    ids = line_ids.dictionary.cast(pa.string()).take(pa.array(order))
    return ids, np.argsort(order)[line_ids.indices.to_numpy()], begin


def _merged(columns: dict[str, Ints], keys: tuple[str, ...], joined: dict[str, np.ufunc]) -> dict[str, Ints]:
    """Join the rows of equal keys, in the order of the keys: the lines of a template are those of all its messages."""
    order = np.lexsort([columns[name] for name in reversed(keys)])
    ordered = {name: values[order] for name, values in columns.items()}
    changed = np.zeros(len(order), dtype=bool)
    for name in keys:
        changed |= np.diff(ordered[name], prepend=-1) != 0
    first = np.flatnonzero(changed)
    if len(first) == len(order):
        return ordered
    rows = {name: ordered[name][first] for name in keys}
    return rows | {name: join.reduceat(ordered[name], first) for name, join in joined.items()}


def flatten_lists(column: pa.ChunkedArray) -> dict[str, Ints]:
    """Return the fields of a list column, and the row that each item belongs to."""
    lists = column.combine_chunks()
    items = lists.flatten()
    rows = np.repeat(np.arange(len(lists)), np.diff(lists.offsets.to_numpy()))
    fields = {field.name: items.field(field.name).to_numpy().astype(np.int64) for field in items.type}
    return {"sequence": rows, **fields}


def _with_silent_windows(windows: dict[str, Ints]) -> tuple[dict[str, Ints], Ints]:
    """Add the windows between two others, which have no line: the silence that spans them ends in the next one.

    Returns
    -------
    the windows, and the new place of each of the old ones.
    """
    same = np.diff(windows["sequence"], prepend=-1) == 0
    between = np.where(same, np.diff(windows["window"], prepend=0) - 1, 0)
    # A clock that was set would make years of silence.
    between[between > LONGEST_SILENCE] = 0
    place = np.arange(len(same)) + np.cumsum(between)
    owner = np.repeat(np.arange(len(same)), between + 1)
    added = place[owner] - np.arange(len(owner))
    whole = {name: values[owner] for name, values in windows.items()}
    whole["window"] = whole["window"] - added
    is_silent = added > 0
    whole["events"][is_silent] = 0
    # The line before the silence, and the one after it.
    whole["last_line"][is_silent] = windows["first_line"][owner[is_silent]]
    whole["first_line"][is_silent] = windows["first_line"][owner[is_silent]] - 1
    return whole, place
