"""The text pass: what enhancement takes out of a batch's event rows while they are in memory.

It leaves small tables: ``bags`` (a row per sequence: figures, words, trigrams, its normalised lines by number),
``lines`` (a row per distinct normalised line), ``windows`` (a row per sequence: its seconds, see features.windows) and,
if events are kept, ``codes`` (the line number of each event).
Templates are joined on later, when the whole tree's distinct messages are known.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from lo2dask import schema
from lo2dask.buffers.arrays import Ints
from lo2dask.buffers.columns import join_dictionaries
from lo2dask.features.bags import add_blocks, coded_bags
from lo2dask.features.figures import TextFigures
from lo2dask.features.lines import TextBlock, masked_counts, raw_counts, read_text
from lo2dask.features.masks import Mask
from lo2dask.features.windows import WINDOW_COUNTS, WindowCounts
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.vocabulary.counts import TokenCounts, count_tokens

# Counts of so many blocks are added up as they come, so that one huge log does not pile them up.
MOST_BLOCKS = 3
LINE_BAG = pa.list_(pa.struct([pa.field("line", pa.int32()), pa.field("count", pa.int32())]))
LINES = pa.schema(
    [
        pa.field("line", pa.string()),
        pa.field("message", pa.string()),
        pa.field("is_continuation", pa.bool_()),
        pa.field("n_events", pa.int64()),
        pa.field("first_seen", schema.TIME),
    ]
)
CODES = pa.schema([pa.field("line", pa.int32())])
BAGS = pa.schema(
    [
        pa.field("seq_id", pa.string()),
        *(f for f in schema.FEATURES if f.name != "n_templates"),
        pa.field("first_exception", pa.string()),
        schema.ENHANCED.field("errors_by_logger"),
        pa.field("e_words", schema.BAG),
        pa.field("e_trigrams", schema.BAG),
        pa.field("lines", LINE_BAG),
    ]
)
_COUNTED = ("e_words", "e_trigrams")


def bags_schema(kinds: schema.TokenKinds) -> pa.Schema:
    """Return the schema of ``bags``; where there are both kinds, e_words_raw and e_trigrams_raw are added."""
    return pa.schema([*BAGS, *(pa.field(name, schema.BAG) for name in kinds.raw_columns.values())])


@dataclass(frozen=True)
class TextTables:
    """What the text pass makes of one batch; ``codes`` and ``windows`` are empty unless asked for.

    ``counted`` are the tokens of each bag column of ``bags`` over all its rows, in the order of the columns.
    """

    bags: pa.Table
    lines: pa.Table
    codes: pa.Table
    counted: list[pa.Table]
    windows: pa.Table


@dataclass
class TextPass:
    """Takes the blocks of one batch in order.

    ``n_files`` bounds the seq_id codes that they may carry; ``window_ms`` is the length of a window, 0 = not counted.
    """

    n_files: int
    masks: tuple[Mask, ...]
    kinds: schema.TokenKinds
    keep_codes: bool
    line_format: LineFormat = LO2
    window_ms: int = 0
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    counts: dict[str, list[tuple[Ints, TokenCounts]]] = field(init=False)
    by_line: list[tuple[Ints, Ints, Ints]] = field(default_factory=list)
    line_events: list[Ints] = field(default_factory=list)
    first_seen: dict[int, int] = field(default_factory=dict)
    timed: set[int] = field(default_factory=set)
    # The first line that has each message.
    messages: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the figures of all files; those without a line are left out at the end."""
        self.figures = TextFigures(self.n_files)
        self.windows = WindowCounts(self.n_files, self.window_ms) if self.window_ms else None
        self.counts = {name: [] for name in (*_COUNTED, *self.kinds.raw_columns.values())}

    @property
    def reads_ids(self) -> bool:
        """Whether the words of correlation ids are counted: those of raw tokens are; masks leave one word of all."""
        return bool(self.kinds.raw)

    def add(self, events: pa.Table) -> None:
        """Take a block of event rows (parse.columns.EVENTS, with m_message)."""
        if events.num_rows == 0:
            return
        # Lines are texts of their own, and so are correlation ids, whose words are those of raw tokens alone.
        for name in ("m_message",) if self.reads_ids else ("m_message", "correlation_id"):
            events = events.set_column(events.schema.get_field_index(name), name, join_dictionaries(events[name]))
        events = events.unify_dictionaries()
        rows, block = read_text(events, self.masks, self.line_format)
        for name, counts in self._count(events, block):
            self.counts[name].append((rows, counts))
            if len(self.counts[name]) > MOST_BLOCKS:
                self.counts[name] = [(np.arange(self.n_files), add_blocks(self.counts[name], self.n_files))]
        self.figures.add(events, block, rows)
        self._add_lines(events, block, rows)

    def tables(self, sequences: pa.Table, rows: Ints) -> TextTables:
        """Return the batch's tables; ``rows`` are the file numbers of the rows of ``sequences`` (schema.SEQUENCES)."""
        figures = self.figures.columns(rows, sequences)
        added = {name: add_blocks(parts, self.n_files) for name, parts in self.counts.items()}
        if len(rows) < self.n_files:
            added = {name: TokenCounts(counts.counts[rows], counts.tokens) for name, counts in added.items()}
        bags = {name: coded_bags(counts) for name, counts in added.items()}
        columns = {"seq_id": sequences["seq_id"], **figures, **bags, "lines": self._line_bags(rows)}
        codes = np.concatenate(self.line_events) if self.keep_codes and self.line_events else np.zeros(0, np.int32)
        return TextTables(
            pa.table({name: columns[name] for name in bags_schema(self.kinds).names}),
            self._line_table(),
            pa.table([pa.array(codes.astype(np.int32))], schema=CODES),
            [count_tokens(counts) for counts in added.values()],
            self._windows(sequences["seq_id"], rows),
        )

    def _count(self, events: pa.Table, block: TextBlock) -> Iterator[tuple[str, TokenCounts]]:
        """Count a block's words and trigrams by bag column; one after the other, so that few are held at once."""
        if self.kinds.masked:
            yield from masked_counts(block).items()
        if self.kinds.raw:
            names = self.kinds.raw_columns
            yield from ((names.get(name, name), counts) for name, counts in raw_counts(block, events).items())

    def _add_lines(self, events: pa.Table, block: TextBlock, rows: Ints) -> None:
        """Number the block's normalised lines within the batch and count them by sequence."""
        texts = zip(block.lines.to_pylist(), block.bodies.to_pylist(), strict=True)
        number = np.array([self.numbers.setdefault(pair, len(self.numbers)) for pair in texts], dtype=np.int64)
        by_line = block.by_line.tocoo()
        self.by_line.append((rows[by_line.row], number[by_line.col], by_line.data.astype(np.int64)))
        earliest = np.full(len(number), _LATEST)
        stamps = events["m_timestamp"].cast(pa.int64()).fill_null(_LATEST).to_numpy()
        np.minimum.at(earliest, block.line, stamps)
        for line, stamp in zip(number.tolist(), earliest.tolist(), strict=True):
            self.first_seen[line] = min(stamp, self.first_seen.get(line, _LATEST))
        timed = block.line[~events["is_continuation"].to_numpy()]
        self.timed.update(number[np.flatnonzero(np.bincount(timed))].tolist())
        if self.keep_codes:
            self.line_events.append(number[block.line].astype(np.int32))
        if self.windows:
            pairs = zip(block.bodies.to_pylist(), number.tolist(), strict=True)
            statement = np.array([self.messages.setdefault(body, line) for body, line in pairs], dtype=np.int64)
            self.windows.add(events, rows[block.sequence], statement[block.line], len(self.numbers))

    def _windows(self, ids: pa.ChunkedArray, rows: Ints) -> pa.Table:
        if self.windows is None:
            return WINDOW_COUNTS.empty_table()
        return pa.table({"seq_id": ids} | self.windows.columns(rows), schema=WINDOW_COUNTS)

    def _line_bags(self, rows: Ints) -> pa.Array:
        """Build the list column of (line number, count) of each sequence."""
        from scipy import sparse

        parts = self.by_line or [(np.zeros(0, np.int64),) * 3]
        row, line, count = (np.concatenate([part[field] for part in parts]) for field in range(3))
        shape = (self.n_files, max(len(self.numbers), 1))
        matrix = sparse.coo_matrix((count, (row, line)), shape=shape).tocsr()[rows]
        matrix.sort_indices()
        arrays = [pa.array(matrix.indices.astype(np.int32)), pa.array(matrix.data.astype(np.int32))]
        pairs = pa.StructArray.from_arrays(arrays, fields=list(LINE_BAG.value_type))
        return pa.ListArray.from_arrays(pa.array(matrix.indptr.astype(np.int32)), pairs, type=LINE_BAG)

    def _line_table(self) -> pa.Table:
        events = np.zeros(len(self.numbers), dtype=np.int64)
        for _, line, count in self.by_line:
            np.add.at(events, line, count)
        stamps = np.array([self.first_seen[line] for line in range(len(self.numbers))], dtype=np.int64)
        columns = [
            pa.array([line for line, _ in self.numbers], pa.string()),
            pa.array([message for _, message in self.numbers], pa.string()),
            pa.array([line not in self.timed for line in range(len(self.numbers))]),
            pa.array(events),
            pa.array(stamps, mask=stamps == _LATEST).cast(schema.TIME),
        ]
        return pa.table(columns, schema=LINES)


_LATEST = int(np.iinfo(np.int64).max)
