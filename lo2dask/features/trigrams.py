"""Trigrams of texts, counted by sequence without one string a trigram.

The bytes that occur in a block are numbered (ASCII logs have some 85), so a trigram is a number below 85^3, and a
sequence's trigrams are counted in a table that fits the CPU's cache. Lines that are not ASCII are counted by
characters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lo2dask.buffers.arrays import Bytes, Codes, Ints
from lo2dask.buffers.padded import text_bytes
from lo2dask.vocabulary.counts import TokenCounts, count_pairs, in_order, join_counts
from lo2dask.vocabulary.texts import encode_texts, unpack_trigrams

NEWLINE = 0x0A
# What parts words.
_GAPS = np.frombuffer(b" \n", dtype=np.uint8)
# So many bytes are looked at at once, as numpy makes eight bytes of each.
_BYTES_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Alphabet:
    """The bytes that occur: ``letters`` maps a number to its byte.

    The window of the numbers a, b, c of n has the cell ``(a * n + b) * n + c``. ``numbers`` maps each of the 256 bytes
    to its number, and has n after them.
    """

    numbers: npt.NDArray[np.uint64]
    letters: Ints

    @classmethod
    def number(cls, *texts: Bytes) -> "Alphabet":
        """Number the bytes of texts."""
        counts = np.zeros(256, dtype=np.int64)
        for text in texts:
            for start in range(0, len(text), _BYTES_AT_ONCE):
                counts += np.bincount(text[start : start + _BYTES_AT_ONCE], minlength=256)
        letters = np.flatnonzero(counts)
        numbers = np.zeros(257, dtype=np.uint64)
        numbers[letters] = np.arange(len(letters))
        numbers[256] = len(letters)
        return cls(numbers, letters)

    @property
    def is_ascii(self) -> bool:
        """Return whether all bytes are ASCII."""
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


@dataclass(frozen=True)
class _Slices:
    """Slices of a text by row: where each begins and ends, how often it counts (slices x 3), and the rows' borders."""

    text: Bytes
    bounds: Ints
    indptr: npt.NDArray[np.int32]

    def row(self, number: int) -> Ints:
        """Return the slices of a row."""
        return self.bounds[self.indptr[number] : self.indptr[number + 1]]


def count_trigrams(texts: pa.Array) -> TokenCounts:
    """Count the overlapping three-character windows of each line of each text: (texts x trigrams), int32."""
    each = sparse.identity(len(texts), np.int32, format="csr")
    counts = count_text_trigrams([TokenCounts(each, texts)])
    return counts or count_line_trigrams(texts, np.arange(len(texts)), len(texts))


def count_text_trigrams(parts: Sequence[TokenCounts], words: pa.Array | None = None) -> TokenCounts | None:
    """Count the trigrams of texts, which are counted by sequence: (sequences x trigrams), int32; None if not all ASCII.

    What a sequence's equal texts hold is counted once. ``words`` are those of the first texts, where they are known:
    they are shorter, and have the same bytes.
    """
    texts = [text_bytes(part.tokens) for part in parts]
    lettered = texts if words is None else [text_bytes(words), *texts[1:]]
    letters = [text[borders[0] : borders[-1]] for text, borders in lettered]
    alphabet = Alphabet.number(*letters, *([] if words is None else [_GAPS]))
    if not alphabet.is_ascii:
        return None
    return _count_rows([_of_texts(part, *text) for part, text in zip(parts, texts, strict=True)], alphabet)


def count_line_trigrams(lines: pa.Array, sequence: Ints, n_sequences: int) -> TokenCounts:
    """Count the trigrams of lines of which some are not ASCII: (sequences x trigrams), int32.

    ``sequence`` is the row of each line's sequence.
    """
    plain = pc.string_is_ascii(lines)
    wide = pc.invert(plain)
    rest = _wide_trigrams(lines.filter(wide).to_pylist())
    rows = np.repeat(sequence[wide.to_numpy(zero_copy_only=False)], np.diff(rest.counts.indptr))
    summed = sparse.coo_matrix((rest.counts.data, (rows, rest.counts.indices)), (n_sequences, len(rest.tokens)))
    text, borders = text_bytes(lines.filter(plain))
    owners = sequence[plain.to_numpy(zero_copy_only=False)]
    order = np.argsort(owners, kind="stable")
    bounds = np.stack([borders[:-1][order], borders[1:][order], np.ones_like(order)], axis=1)
    indptr = np.searchsorted(owners[order], np.arange(n_sequences + 1)).astype(np.int32)
    found = _count_rows([_Slices(text, bounds, indptr)], Alphabet.number(text[borders[0] : borders[-1]]))
    return join_counts([found, TokenCounts(in_order(summed), rest.tokens)])


def _of_texts(part: TokenCounts, text: Bytes, borders: Ints) -> _Slices:
    cells = part.counts.indices
    bounds = np.stack([borders[:-1][cells], borders[1:][cells], part.counts.data], axis=1)
    return _Slices(text, bounds, part.counts.indptr)


def _count_rows(parts: Sequence[_Slices], alphabet: Alphabet) -> TokenCounts:
    """Count the windows of all parts' slices by row: (rows x trigrams)."""
    # Compiled code is loaded by the workers that count, and by no other process.
    from lo2dask.features.kernels import add_windows

    table, cells, seen = np.zeros((3, alphabet.size), dtype=np.int32)
    found, counts = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    n_rows = len(parts[0].indptr) - 1
    for row in range(n_rows):
        filled = 0
        for part in parts:
            filled = add_windows(part.text, part.row(row), alphabet.numbers, table, cells, filled)
        found.append(np.sort(cells[:filled]))
        at = found[-1].astype(np.intp)  # once, not at each indexing
        counts.append(table[at])
        table[at], seen[at] = 0, 1
    indptr = np.cumsum([len(part) for part in found], dtype=np.int32)
    shape = (n_rows, alphabet.size)
    return _gather(sparse.csr_matrix((np.concatenate(counts), np.concatenate(found), indptr), shape), seen, alphabet)


def _gather(counts: sparse.csr_matrix, seen: Codes, alphabet: Alphabet) -> TokenCounts:
    """Leave those of an alphabet's trigrams that were seen: (rows x trigrams); both stand in the same order."""
    present = np.flatnonzero(seen)
    packed = alphabet.packed(present)
    # A window with a newline, in an event that continuation lines were merged into, is of no line.
    whole = (packed >> 14 != NEWLINE) & (packed >> 7 & 0x7F != NEWLINE) & (packed & 0x7F != NEWLINE)
    if not whole.all():
        seen[present[~whole]] = 0
        kept = seen[counts.indices] > 0
        indptr = np.append(0, np.cumsum(kept))[counts.indptr]
        counts = sparse.csr_matrix((counts.data[kept], counts.indices[kept], indptr), counts.shape)
    seen[present[whole]] = np.arange(whole.sum())
    shape = (counts.shape[0], int(whole.sum()))
    matrix = sparse.csr_matrix((counts.data, seen[counts.indices], counts.indptr), shape)
    return TokenCounts(matrix, unpack_trigrams(packed[whole]))


def _wide_trigrams(texts: list[str]) -> TokenCounts:
    """Count windows of characters, not bytes, of the few texts that are not ASCII."""
    rows, windows = [], []
    for row, text in enumerate(texts):
        for line in text.split("\n"):
            found = [line[i : i + 3] for i in range(len(line) - 2)]
            rows.extend([row] * len(found))
            windows.extend(found)
    encoded = encode_texts(pa.array(windows, pa.string()))
    shape = (len(texts), len(encoded.dictionary))
    return TokenCounts(count_pairs(np.array(rows, np.int64), encoded.indices.to_numpy(), shape), encoded.dictionary)
