"""Trigrams of whole lines, counted by sequence without one string a trigram.

The bytes that occur in a slab are numbered (ASCII logs have some 85), so a trigram is a number below 85^3, and a
sequence's trigrams are counted in a table that fits the CPU's cache. Lines that are not ASCII are counted by
characters, one by one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lo2dask.features.tokens import (
    NEWLINE,
    TokenCounts,
    count_trigrams,
    in_order,
    join_counts,
    text_bytes,
    unpack_trigrams,
)
from lo2dask.parse.lines import Bytes, Ints


@dataclass(frozen=True)
class Alphabet:
    """The bytes that occur: ``letters`` maps a number to its byte.

    The window of the numbers a, b, c of n has the cell ``(a * n + b) * n + c``. ``numbers`` maps each of the 256 bytes
    to its number, and has n behind them.
    """

    numbers: npt.NDArray[np.uint64]
    letters: Ints

    @classmethod
    def of(cls, *texts: tuple[Bytes, Ints]) -> "Alphabet":
        """Number the bytes of slices of texts."""
        from lo2dask.features.compiled import mark_bytes

        seen = np.zeros(256, dtype=np.bool_)
        for text, slices in texts:
            mark_bytes(text, slices, seen)
        letters = np.flatnonzero(seen)
        numbers = np.zeros(257, dtype=np.uint64)
        numbers[letters] = np.arange(len(letters))
        numbers[256] = len(letters)
        return cls(numbers, letters)

    @property
    def is_ascii(self) -> bool:
        """Tell whether all bytes are ASCII."""
        return self.letters.max(initial=0) < 0x80

    @property
    def size(self) -> int:
        """The number of trigrams that the alphabet can write."""
        return len(self.letters) ** 3

    def packed(self, keys: Ints) -> Ints:
        """Turn window numbers into packed trigrams, three times seven bits."""
        rest, third = np.divmod(keys, len(self.letters))
        first, second = np.divmod(rest, len(self.letters))
        return self.letters[first] << 14 | self.letters[second] << 7 | self.letters[third]


def count_message_trigrams(
    messages: pa.Array, sequence: Ints, statement: Ints, statements: pa.Array, by_statement: sparse.csr_matrix
) -> TokenCounts:
    """Count the trigrams of lines by sequence: (sequences x trigrams), int32.

    ``messages`` are the lines as they stand, ``sequence`` is the row of each one's sequence; the lines of a sequence
    stand together. ``statement`` numbers the text with which each line ends in ``statements``; ``by_statement`` counts
    those by sequence: what a sequence's equal statements hold is counted once.
    """
    text, offsets = text_bytes(messages)
    ends, borders = text_bytes(statements)
    heads = np.diff(offsets) - np.diff(borders)[statement]
    # Two more bytes, for the windows that begin in the head and end in the statement.
    lines = _slices(offsets[:-1], np.minimum(offsets[:-1] + heads + 2 * (heads > 0), offsets[1:]))
    alphabet = Alphabet.of((text, lines), (ends, borders[[0, -1]][:, None]))
    if not alphabet.is_ascii:
        return _count_by_line(messages, sequence, by_statement.shape[0])
    texts = np.stack([borders[:-1][by_statement.indices], borders[1:][by_statement.indices], by_statement.data])
    runs = [
        (row, [(text, lines[:, first:last]), (ends, texts[:, slice(*by_statement.indptr[row : row + 2])])])
        for row, first, last in _runs(sequence)
    ]
    return _count_runs(runs, alphabet, by_statement.shape[0])


def _count_by_line(lines: pa.Array, sequence: Ints, n_sequences: int) -> TokenCounts:
    """Count lines of which some are not ASCII."""
    plain = pc.string_is_ascii(lines)
    wide = pc.invert(plain)
    rest = count_trigrams(lines.filter(wide))
    rows = np.repeat(sequence[wide.to_numpy(zero_copy_only=False)], np.diff(rest.counts.indptr))
    summed = sparse.coo_matrix((rest.counts.data, (rows, rest.counts.indices)), (n_sequences, len(rest.tokens)))
    text, offsets = text_bytes(lines.filter(plain))
    owners = sequence[plain.to_numpy(zero_copy_only=False)]
    bounds = _slices(offsets[:-1], offsets[1:])
    runs = [(row, [(text, bounds[:, first:last])]) for row, first, last in _runs(owners)]
    ascii_lines = _count_runs(runs, Alphabet.of((text, bounds)), n_sequences)
    return join_counts([ascii_lines, TokenCounts(in_order(summed), rest.tokens)])


def _slices(starts: Ints, ends: Ints) -> Ints:
    return np.stack([starts, ends, np.ones_like(starts)])


def _runs(sequence: Ints) -> list[tuple[int, int, int]]:
    """List the runs of lines of one sequence: (row, first line, behind the last line)."""
    if len(sequence) == 0:
        return []
    starts = np.flatnonzero(np.diff(sequence, prepend=-1))
    ends = np.append(starts[1:], len(sequence))
    return list(zip(sequence[starts].tolist(), starts.tolist(), ends.tolist(), strict=True))


def _count_runs(runs: list[tuple[int, list[tuple[Bytes, Ints]]]], alphabet: Alphabet, n_rows: int) -> TokenCounts:
    """Count the windows of texts and their slices, given for each row in ascending order: (n_rows x trigrams)."""
    # Compiled code is loaded by the workers that count, and by no other process.
    from lo2dask.features.compiled import add_windows

    table, cells = np.zeros(alphabet.size, dtype=np.int32), np.empty(alphabet.size, dtype=np.int64)
    found, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    for _, texts in runs:
        filled = 0
        for text, slices in texts:
            filled = add_windows(text, slices, alphabet.numbers, table, cells, filled)
        found.append(np.sort(cells[:filled]))
        counts.append(table[found[-1]])
        table[found[-1]] = 0
    rows = np.repeat([row for row, _ in runs], [len(part) for part in found[1:]])
    return _gather(rows.astype(np.int64), np.concatenate(found), np.concatenate(counts), (alphabet, n_rows))


def _gather(rows: Ints, cells: Ints, counts: npt.NDArray[np.int32], form: tuple[Alphabet, int]) -> TokenCounts:
    alphabet, n_rows = form
    place = np.full(alphabet.size, -1, dtype=np.int32)
    place[cells] = 0
    present = np.flatnonzero(place == 0)
    packed = alphabet.packed(present)
    # A window with a newline, in an event that continuation lines were merged into, is of no line.
    whole = (packed >> 14 != NEWLINE) & (packed >> 7 & 0x7F != NEWLINE) & (packed & 0x7F != NEWLINE)
    place[present] = np.where(whole, np.cumsum(whole) - 1, -1)
    columns = place[cells]
    if not whole.all():
        kept = columns >= 0
        rows, counts, columns = rows[kept], counts[kept], columns[kept]
    # Cells ascend within each row and rows do, and both stand for what they number in its order.
    indptr = np.append(0, np.cumsum(np.bincount(rows, minlength=n_rows))).astype(np.int32)
    matrix = sparse.csr_matrix((counts, columns, indptr), shape=(n_rows, int(whole.sum())))
    return TokenCounts(matrix, unpack_trigrams(packed[whole]))
