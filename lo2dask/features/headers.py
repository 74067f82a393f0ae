"""The headers of a block's lines (time, thread, correlation id), field by field.

A field's distinct values are few next to the lines: what a header holds is taken from them, and counts travel by sparse
products. No header is looked at line by line but where it meets the statement.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.buffers.padded import text_bytes
from lo2dask.features.words import count_words
from lo2dask.formats.line_format import LineFormat
from lo2dask.sources.names import DAY_MS
from lo2dask.vocabulary.counts import TokenCounts, count_pairs, distinct
from lo2dask.vocabulary.texts import whole

_SPACE = ord(" ")


@dataclass(frozen=True)
class Headers:
    """The times, thread names and correlation ids of lines, each counted by sequence.

    ``sequence`` is the row of each line's sequence; ``correlation`` numbers its correlation id among those of ``ids``.
    The format has a separable header.
    """

    line_format: LineFormat
    sequence: Ints
    times: TokenCounts
    threads: TokenCounts
    ids: TokenCounts
    correlation: Ints

    @classmethod
    def read(
        cls, events: pa.Table, headed: Bools, sequence: Ints, n_sequences: int, line_format: LineFormat
    ) -> "Headers":
        """Read the headers of the ``headed`` among event rows (columns m_timestamp, thread, correlation_id)."""
        rows = sequence[headed]
        thread, correlation = whole(events["thread"]), whole(events["correlation_id"])
        threads = thread.indices.fill_null(0).to_numpy()[headed]
        codes = correlation.indices.fill_null(0).to_numpy()[headed]
        stamps = whole(events["m_timestamp"]).cast(pa.timestamp("ms")).cast(pa.int64()).fill_null(0).to_numpy()
        return cls(
            line_format,
            rows,
            _count_times(rows, stamps[headed], n_sequences, line_format),
            _count(rows, threads, n_sequences, thread.dictionary.cast(pa.string())),
            _count(rows, codes, n_sequences, correlation.dictionary.cast(pa.string())),
            codes,
        )

    def words(self) -> list[TokenCounts]:
        """Count the words of the headers, field by field: (sequences x words)."""
        # The spaces at the ends of a frame part words; of two spaces, the second ends an empty word.
        _, before, after, _ = self.line_format.frame
        framed = pc.binary_join_element_wise(before[1:], self.threads.tokens, after[:-1], "")
        times = count_words(self.times.tokens, self.times.counts) if self.line_format.has_date else self.times
        return [times, count_words(framed, self.threads.counts), self.ids]

    def texts(self, statements: pa.Array, statement: Ints) -> list[TokenCounts]:
        """Cut the headers into texts of which each window of three bytes belongs to just one: (sequences x texts).

        ``statement`` numbers the text after each header in ``statements``; the last windows reach into it.
        """
        _, thread, correlation, end = self.line_format.frame
        frames = (("", thread), (thread[-2:], correlation), (correlation[-2:], end))
        fields = (self.times, self.threads, self.ids)
        return [
            *(
                TokenCounts(field.counts, pc.binary_join_element_wise(before, field.tokens, after, ""))
                for field, (before, after) in zip(fields, frames, strict=True)
            ),
            self._joints(statements, statement),
        ]

    def _joints(self, statements: pa.Array, statement: Ints) -> TokenCounts:
        """Count the texts where headers end.

        Each is a correlation id's last byte (a space if it is empty), a space, and two bytes of the statement.
        """
        text, offsets = text_bytes(self.ids.tokens)
        lengths = np.diff(offsets)
        last = np.full(len(lengths), _SPACE)
        last[lengths > 0] = text[offsets[1:][lengths > 0] - 1]
        begins, begin = _beginnings(statements)
        keys, code = distinct(last[self.correlation] * len(begins) + begin[statement])
        joints = [bytes([key // len(begins), _SPACE]) + begins[key % len(begins)] for key in keys.tolist()]
        return _count(self.sequence, code, self.times.counts.shape[0], pa.array(joints, pa.binary()).cast(pa.string()))


def _beginnings(texts: pa.Array) -> tuple[list[bytes], Ints]:
    """List the distinct first two bytes of texts, fewer of a shorter one, and return which each text has."""
    text, offsets = text_bytes(texts)
    lengths = np.diff(offsets)
    letters = np.zeros((2, len(lengths)), dtype=np.int64)
    for index in range(2):
        is_long = lengths > index
        letters[index, is_long] = text[offsets[:-1][is_long] + index]
    keys, codes = distinct((np.minimum(lengths, 2) << 16) | (letters[0] << 8) | letters[1])
    return [bytes([key >> 8 & 0xFF, key & 0xFF])[: key >> 16] for key in keys.tolist()], codes


def _count(rows: Ints, codes: Ints, n_rows: int, tokens: pa.Array) -> TokenCounts:
    return TokenCounts(count_pairs(rows, codes, (n_rows, len(tokens))), tokens)


def _count_times(rows: Ints, stamps: Ints, n_rows: int, line_format: LineFormat) -> TokenCounts:
    """Count the times that lines show, of time stamps (ms), by row; equal ones mostly stand together."""
    times = stamps if line_format.has_date else stamps % DAY_MS
    least = int(times.min(initial=times.max(initial=0)))
    width = int(times.max(initial=0)) - least + 1
    cells = rows * width + (times - least)
    runs = np.flatnonzero(np.diff(cells, prepend=-1))
    order = np.argsort(cells[runs])
    cells, ends = cells[runs][order], np.cumsum(np.diff(runs, append=len(cells))[order])
    last = np.flatnonzero(np.diff(cells, append=-1))
    cell_rows, since = np.divmod(cells[last], width)
    values, columns = distinct(since)
    indptr = np.searchsorted(cell_rows, np.arange(n_rows + 1)).astype(np.int32)
    sums = np.diff(ends[last], prepend=0).astype(np.int32)
    matrix = sparse.csr_matrix((sums, columns.astype(np.int32), indptr), shape=(n_rows, len(values)))
    return TokenCounts(matrix, line_format.write_times(pa.array(values + least).cast(pa.timestamp("ms"))))
