"""The heads of a slab's lines, ``HH:MM:SS.mmm [thread]  correlation-id``, field by field.

A field's distinct values are few beside the lines: what a head holds is taken from them, and counts travel by sparse
products. No head is looked at line by line but where it meets the statement.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lo2dask.features.tokens import TokenCounts, count_pairs, distinct, padded_text, text_bytes
from lo2dask.features.words import count_words
from lo2dask.parse.lines import Bools, Ints, encode_slices
from lo2dask.sources.names import DAY_MS

# Each digit of HH:MM:SS.mmm: its place in the text, its unit in ms, and how many of it there are.
_CLOCK_PLACES = (
    (0, 36_000_000, 10), (1, 3_600_000, 10), (3, 600_000, 6), (4, 60_000, 10),
    (6, 10_000, 6), (7, 1_000, 10), (9, 100, 10), (10, 10, 10), (11, 1, 10),
)  # fmt: skip
_SPACE = ord(" ")


@dataclass(frozen=True)
class Heads:
    """The times of day, thread names and correlation ids of lines, each counted by sequence.

    ``sequence`` is the row of each line's sequence; ``thread`` and ``correlation`` number its values among the tokens.
    """

    sequence: Ints
    times: TokenCounts
    threads: TokenCounts
    ids: TokenCounts
    correlation: Ints

    @classmethod
    def of(cls, events: pa.Table, headed: Bools, sequence: Ints, n_sequences: int) -> "Heads":
        """Read the heads of the ``headed`` among event rows (columns m_timestamp, thread, correlation_id)."""
        rows = sequence[headed]
        thread, correlation = _whole(events["thread"]), _whole(events["correlation_id"])
        threads = thread.indices.fill_null(0).to_numpy()[headed]
        text, offsets = padded_text(correlation)
        ids = encode_slices(text, offsets[:-1][headed], offsets[1:][headed])
        codes = ids.indices.to_numpy()
        stamps = _whole(events["m_timestamp"]).cast(pa.int64()).fill_null(0).to_numpy()
        return cls(
            rows,
            _count_times(rows, stamps[headed] % DAY_MS, n_sequences),
            _count(rows, threads, n_sequences, thread.dictionary.cast(pa.string())),
            _count(rows, codes, n_sequences, ids.dictionary),
            codes,
        )

    def words(self) -> list[TokenCounts]:
        """Count the words of the heads, field by field: (sequences x words)."""
        # Of the two spaces behind a thread, the second ends an empty word.
        framed = pc.binary_join_element_wise("[", self.threads.tokens, "] ", "")
        return [self.times, count_words(framed, self.threads.counts), self.ids]

    def texts(self, statements: pa.Array, statement: Ints) -> list[TokenCounts]:
        """Cut the heads into texts of which each window of three bytes belongs to just one: (sequences x texts).

        ``statement`` numbers the text behind each head in ``statements``; the last windows reach into it.
        """
        return [
            TokenCounts(self.times.counts, pc.binary_join_element_wise(self.times.tokens, "[", " ")),
            TokenCounts(self.threads.counts, pc.binary_join_element_wise(" [", self.threads.tokens, "]  ", "")),
            TokenCounts(self.ids.counts, pc.binary_join_element_wise("  ", self.ids.tokens, " ", "")),
            self._joints(statements, statement),
        ]

    def _joints(self, statements: pa.Array, statement: Ints) -> TokenCounts:
        """Count the texts where heads end: a correlation id's last byte (a space if it is empty), a space, two more."""
        text, offsets = text_bytes(self.ids.tokens)
        lengths = np.diff(offsets)
        last = np.full(len(lengths), _SPACE)
        last[lengths > 0] = text[offsets[1:][lengths > 0] - 1]
        begins, begin = _beginnings(statements)
        keys, code = distinct(last[self.correlation] * len(begins) + begin[statement])
        joints = [bytes([key // len(begins), _SPACE]) + begins[key % len(begins)] for key in keys.tolist()]
        return _count(self.sequence, code, self.times.counts.shape[0], pa.array(joints, pa.binary()).cast(pa.string()))


def _beginnings(texts: pa.Array) -> tuple[list[bytes], Ints]:
    """List the distinct first two bytes of texts, fewer of a shorter one; tell which each text has."""
    text, offsets = text_bytes(texts)
    lengths = np.diff(offsets)
    letters = np.zeros((2, len(lengths)), dtype=np.int64)
    for place in range(2):
        there = lengths > place
        letters[place, there] = text[offsets[:-1][there] + place]
    keys, codes = distinct((np.minimum(lengths, 2) << 16) | (letters[0] << 8) | letters[1])
    return [bytes([key >> 8 & 0xFF, key & 0xFF])[: key >> 16] for key in keys.tolist()], codes


def _count(rows: Ints, codes: Ints, n_rows: int, tokens: pa.Array) -> TokenCounts:
    return TokenCounts(count_pairs(rows, codes, (n_rows, len(tokens))), tokens)


def _count_times(rows: Ints, time_ms: Ints, n_rows: int) -> TokenCounts:
    """Count times of day (ms) by row; each row's are in order, and mostly were."""
    cells = np.sort(rows * DAY_MS + time_ms)
    starts = np.flatnonzero(np.diff(cells, prepend=-1))
    counts = np.diff(starts, append=len(cells)).astype(np.int32)
    cell_rows, times = np.divmod(cells[starts], DAY_MS)
    values, columns = distinct(times)
    indptr = np.searchsorted(cell_rows, np.arange(n_rows + 1)).astype(np.int32)
    matrix = sparse.csr_matrix((counts, columns.astype(np.int32), indptr), shape=(n_rows, len(values)))
    return TokenCounts(matrix, _clock_texts(values))


def _clock_texts(time_ms: Ints) -> pa.StringArray:
    """Write times of day (ms) as ``HH:MM:SS.mmm``."""
    letters = np.tile(np.frombuffer(b"00:00:00.000", dtype=np.uint8), (len(time_ms), 1))
    for place, unit, base in _CLOCK_PLACES:
        letters[:, place] += (time_ms // unit % base).astype(np.uint8)
    offsets = np.arange(len(time_ms) + 1, dtype=np.int32) * letters.shape[1]
    return pa.StringArray.from_buffers(len(time_ms), pa.py_buffer(offsets), pa.py_buffer(letters.tobytes()))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
