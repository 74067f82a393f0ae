"""Trigrams of whole lines, counted by sequence without one string a trigram.

The bytes that occur in a slab are numbered (ASCII logs have some 85), so a trigram is a number below 85^3, and a
sequence's trigrams are counted in a table that fits the CPU's cache. Lines that are not ASCII are counted by
characters, one by one.
"""

from collections.abc import Iterator
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
    join_counts,
    text_bytes,
    unpack_trigrams,
)
from lo2dask.parse.lines import Bytes, Ints


@dataclass(frozen=True)
class Alphabet:
    """The bytes that occur: ``numbers`` maps a byte to its number, ``letters`` a number to its byte."""

    numbers: npt.NDArray[np.int32]
    letters: Ints

    @classmethod
    def of(cls, buffer: Bytes) -> "Alphabet":
        """Number the bytes of a buffer."""
        from lo2dask.features.compiled import mark_bytes

        seen = np.zeros(256, dtype=np.bool_)
        mark_bytes(buffer, seen)
        letters = np.flatnonzero(seen)
        numbers = np.zeros(256, dtype=np.int32)
        numbers[letters] = np.arange(len(letters))
        return cls(numbers, letters)

    @property
    def size(self) -> int:
        """The number of trigrams that the alphabet can write."""
        return len(self.letters) ** 3

    def packed(self, keys: Ints) -> Ints:
        """Turn window numbers into packed trigrams, three times seven bits."""
        rest, third = np.divmod(keys, len(self.letters))
        first, second = np.divmod(rest, len(self.letters))
        return self.letters[first] << 14 | self.letters[second] << 7 | self.letters[third]


def count_line_trigrams(lines: pa.Array, sequence: Ints, n_sequences: int) -> TokenCounts:
    """Count the trigrams of each sequence's lines: (n_sequences x trigrams), int32.

    ``sequence`` is the row of each line's sequence; the lines of a sequence stand together.
    """
    plain = pc.string_is_ascii(lines)
    if pc.all(plain).as_py() is not False:
        return _count_ascii(lines, sequence, n_sequences)
    wide = pc.invert(plain)
    rest = count_trigrams(lines.filter(wide))
    rows = np.repeat(sequence[wide.to_numpy(zero_copy_only=False)], np.diff(rest.counts.indptr))
    summed = sparse.coo_matrix((rest.counts.data, (rows, rest.counts.indices)), (n_sequences, len(rest.tokens)))
    ascii_lines = _count_ascii(lines.filter(plain), sequence[plain.to_numpy(zero_copy_only=False)], n_sequences)
    return join_counts([ascii_lines, TokenCounts(summed.tocsr(), rest.tokens)])


def _count_ascii(lines: pa.Array, sequence: Ints, n_sequences: int) -> TokenCounts:
    buffer, offsets = text_bytes(lines)
    alphabet = Alphabet.of(buffer[offsets[0] : offsets[-1]])
    runs = _runs(sequence)
    found = list(_count_runs(buffer, [offsets[first : last + 1] for _, first, last in runs], alphabet))
    rows = np.repeat([row for row, _, _ in runs] or [0], [len(cells) for cells, _ in found] or [0])
    cells = np.concatenate([cells for cells, _ in found]) if found else np.zeros(0, np.int64)
    counts = np.concatenate([count for _, count in found]) if found else np.zeros(0, np.int32)
    place = np.full(alphabet.size, -1, dtype=np.int32)
    place[cells] = 0
    present = np.flatnonzero(place == 0)
    packed = alphabet.packed(present)
    # A window with a newline, in an event that continuation lines were merged into, is of no line.
    whole = (packed >> 14 != NEWLINE) & (packed >> 7 & 0x7F != NEWLINE) & (packed & 0x7F != NEWLINE)
    place[present] = np.where(whole, np.cumsum(whole) - 1, -1)
    columns = place[cells]
    if not whole.all():
        rows, counts, columns = (values[columns >= 0] for values in (rows, counts, columns))
    matrix = sparse.coo_matrix((counts, (rows, columns)), shape=(n_sequences, int(whole.sum())), dtype=np.int32)
    return TokenCounts(matrix.tocsr(), unpack_trigrams(packed[whole]))


def _runs(sequence: Ints) -> list[tuple[int, int, int]]:
    """List the runs of lines of one sequence: (row, first line, behind the last line)."""
    if len(sequence) == 0:
        return []
    starts = np.flatnonzero(np.diff(sequence, prepend=-1))
    ends = np.append(starts[1:], len(sequence))
    return list(zip(sequence[starts].tolist(), starts.tolist(), ends.tolist(), strict=True))


def _count_runs(buffer: Bytes, runs: list[Ints], alphabet: Alphabet) -> Iterator[tuple[Ints, npt.NDArray[np.int32]]]:
    """Count the windows of each run of lines, given by its offsets: the windows' cells, and their counts."""
    # Compiled code is loaded by the workers that count, and by no other process.
    from lo2dask.features.compiled import count_windows

    table, cells = np.zeros(alphabet.size, dtype=np.int32), np.empty(alphabet.size, dtype=np.int64)
    for offsets in runs:
        distinct = cells[: count_windows(buffer, offsets, alphabet.numbers, table, cells)].copy()
        yield distinct, table[distinct]
        table[distinct] = 0
