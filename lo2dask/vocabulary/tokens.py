"""Counts of tokens as sparse matrices (texts x tokens), and the tokens as text."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lo2dask.buffers.arrays import Ints
from lo2dask.buffers.padded import as_u64, padded_text
from lo2dask.buffers.slices import encode_slices, slices

Keys = npt.NDArray[np.int32] | Ints

# Numbers are told apart in a table of their range where that is so many times as long as they are many.
_SMALL_RANGE = 4


@dataclass(frozen=True)
class TokenCounts:
    """Counts of tokens: ``counts`` is (texts x tokens), int32; ``tokens`` names its columns, without repetition."""

    counts: sparse.csr_matrix
    tokens: pa.Array


def count_pairs(rows: Ints, columns: Keys, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Count (row, column) pairs into a CSR matrix of int32, no pair twice; columns of a row are in no order."""
    if (np.diff(rows) < 0).any():
        return in_order(sparse.coo_matrix((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=shape))
    # Compiled code is loaded by the workers that count, and by no other process.
    from lo2dask.vocabulary.compiled_counts import count_rows

    found, counts = np.empty((2, len(rows)), dtype=np.int32)
    borders, table = np.empty(shape[0] + 1, dtype=np.int32), np.zeros(shape[1], dtype=np.int32)
    filled = count_rows(rows, columns, table, found, counts, borders)
    return sparse.csr_matrix((counts[:filled], found[:filled], borders), shape=shape)


def distinct(values: Ints) -> tuple[Ints, Ints]:
    """Do what np.unique with return_inverse does, for numbers from 0; without sorting where their range is small."""
    if values.max(initial=0) > _SMALL_RANGE * (len(values) + 1):
        found, codes = np.unique(values, return_inverse=True)
        return found, codes
    present = np.bincount(values) > 0
    return np.flatnonzero(present), (np.cumsum(present) - 1)[values]


def join_counts(parts: list[TokenCounts]) -> TokenCounts:
    """Add counts over the same texts whose columns are different tokens, or the same; tokens come in byte order."""
    ordered = order_texts(pa.concat_arrays([part.tokens.cast(pa.string()) for part in parts]))
    codes = ordered.indices.to_numpy()
    starts = np.cumsum([0, *(len(part.tokens) for part in parts)])
    found = [part.counts.tocoo() for part in parts]
    columns = np.concatenate([codes[start + part.col] for start, part in zip(starts[:-1], found, strict=True)])
    rows, counts = (np.concatenate([getattr(part, name) for part in found]) for name in ("row", "data"))
    shape = (parts[0].counts.shape[0], len(ordered.dictionary))
    return TokenCounts(in_order(sparse.coo_matrix((counts, (rows, columns)), shape=shape)), ordered.dictionary)


def in_order(counts: sparse.coo_matrix | sparse.csr_matrix) -> sparse.csr_matrix:
    """Return counts as a canonical CSR matrix: by columns and then by rows, twice linear, where sorting is not."""
    matrix = counts.tocsc().tocsr()
    matrix.sum_duplicates()
    return matrix


def encode_texts(texts: pa.Array) -> pa.DictionaryArray:
    """Encode a string column without nulls as a dictionary one, its values in the order of their first places."""
    text, offsets = padded_text(texts.cast(pa.string()))
    return encode_slices(text, offsets[:-1], offsets[1:])


def order_texts(texts: pa.Array) -> pa.DictionaryArray:
    """Encode a string column without nulls as a dictionary one, its values in byte order."""
    from lo2dask.vocabulary.compiled_counts import list_prefixes, number_ordered, order_slices

    text, offsets = padded_text(texts)
    words, starts, ends = as_u64(text), offsets[:-1], offsets[1:]
    prefixes = np.empty(len(texts), dtype=np.uint64)
    list_prefixes(words, starts, ends, prefixes)
    order = np.argsort(prefixes)
    order_slices(words, starts, ends, order, prefixes[order])
    codes, firsts = np.empty(len(texts), dtype=np.int32), np.empty(len(texts), dtype=np.int64)
    chosen = firsts[: number_ordered(words, starts, ends, order, codes, firsts)]
    return pa.DictionaryArray.from_arrays(pa.array(codes), slices(text, starts[chosen], ends[chosen]))


def unpack_trigrams(keys: Ints) -> pa.StringArray:
    """Turn packed trigrams back into text."""
    letters = np.empty((len(keys), 3), dtype=np.uint8)
    letters[:, 0], letters[:, 1], letters[:, 2] = keys >> 14, keys >> 7 & 0x7F, keys & 0x7F
    return row_texts(letters)


def row_texts(letters: npt.NDArray[np.uint8]) -> pa.StringArray:
    """Make a text of each row of bytes (texts x bytes)."""
    count, size = letters.shape
    offsets = np.arange(count + 1, dtype=np.int32) * size
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(letters.tobytes()))


def text_sizes(texts: pa.DictionaryArray) -> Ints:
    """Return the bytes of each of some dictionary-encoded texts, of a null 0."""
    sizes = np.append(pc.binary_length(texts.dictionary).to_numpy(), 0)
    return sizes[texts.indices.fill_null(-1).to_numpy()].astype(np.int64)


def whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, without a copy where it is one."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
