"""The heads of a block's lines, ``HH:MM:SS.mmm [thread]  correlation-id``, field by field.

A field's distinct values are few next to the lines: what a head holds is taken from them, and counts travel by sparse
products. No head is looked at line by line but where it meets the statement.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.buffers.columns import milliseconds
from lo2dask.buffers.padded import text_bytes
from lo2dask.features.words import count_words
from lo2dask.sources.names import DAY_MS
from lo2dask.vocabulary.counts import TokenCounts, count_pairs, distinct
from lo2dask.vocabulary.texts import row_texts, whole

_CLOCK_SIZE = len("HH:MM:SS.mmm")
_SPACE = ord(" ")


@dataclass(frozen=True)
class Heads:
    """The times of day, thread names and correlation ids of lines, each counted by sequence.

    ``sequence`` is the row of each line's sequence; ``correlation`` numbers its correlation id among those of ``ids``.
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
        thread, correlation = whole(events["thread"]), whole(events["correlation_id"])
        threads = thread.indices.fill_null(0).to_numpy()[headed]
        codes = correlation.indices.fill_null(0).to_numpy()[headed]
        stamps = milliseconds(events["m_timestamp"], 0)
        return cls(
            rows,
            _count_times(rows, stamps[headed], n_sequences),
            _count(rows, threads, n_sequences, thread.dictionary.cast(pa.string())),
            _count(rows, codes, n_sequences, correlation.dictionary.cast(pa.string())),
            codes,
        )

    def words(self) -> list[TokenCounts]:
        """Count the words of the heads, field by field: (sequences x words)."""
        # Of the two spaces after a thread, the second ends an empty word.
        framed = pc.binary_join_element_wise("[", self.threads.tokens, "] ", "")
        return [self.times, count_words(framed, self.threads.counts), self.ids]

    def texts(self, statements: pa.Array, statement: Ints) -> list[TokenCounts]:
        """Cut the heads into texts of which each window of three bytes belongs to just one: (sequences x texts).

        ``statement`` numbers the text after each head in ``statements``; the last windows reach into it.
        """
        return [
            TokenCounts(self.times.counts, row_texts(self._framed_times())),
            TokenCounts(self.threads.counts, pc.binary_join_element_wise(" [", self.threads.tokens, "]  ", "")),
            TokenCounts(self.ids.counts, pc.binary_join_element_wise("  ", self.ids.tokens, " ", "")),
            self._joints(statements, statement),
        ]

    def _framed_times(self) -> npt.NDArray[np.uint8]:
        """Write a time of day, a space and a bracket in each row."""
        letters = np.empty((len(self.times.tokens), _CLOCK_SIZE + 2), dtype=np.uint8)
        letters[:, :_CLOCK_SIZE] = text_bytes(self.times.tokens)[0].reshape(-1, _CLOCK_SIZE)
        letters[:, _CLOCK_SIZE:] = np.frombuffer(b" [", dtype=np.uint8)
        return letters

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


def _count_times(rows: Ints, stamps: Ints, n_rows: int) -> TokenCounts:
    """Count the times of day of time stamps (ms) by row, of which equal ones mostly stand together."""
    from lo2dask.features.compiled_heads import count_times, write_clocks

    cells, counts = np.empty((2, len(rows)), dtype=np.int64)
    runs = count_times(rows, stamps, DAY_MS, cells, counts)
    order = np.argsort(cells[:runs])
    cells, ends = cells[order], np.cumsum(counts[order])
    last = np.flatnonzero(np.diff(cells, append=-1))
    cell_rows, times = np.divmod(cells[last], DAY_MS)
    values, columns = distinct(times)
    indptr = np.searchsorted(cell_rows, np.arange(n_rows + 1)).astype(np.int32)
    sums = np.diff(ends[last], prepend=0).astype(np.int32)
    matrix = sparse.csr_matrix((sums, columns.astype(np.int32), indptr), shape=(n_rows, len(values)))
    letters = np.empty((len(values), _CLOCK_SIZE), dtype=np.uint8)
    write_clocks(values, letters)
    return TokenCounts(matrix, row_texts(letters))
