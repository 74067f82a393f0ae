"""Counts of tokens: as sparse matrices (texts x tokens), and as tables of sums over texts."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.vocabulary.texts import encode_texts, order_texts

Keys = npt.NDArray[np.int32] | Ints
COUNTED = pa.schema(
    [pa.field("token", pa.string()), pa.field("document_frequency", pa.int64()), pa.field("count", pa.int64())]
)

# Numbers are numbered by a table of their range where that is at most so many times as long as there are numbers.
_SMALL_RANGE = 4


@dataclass(frozen=True)
class TokenCounts:
    """Counts of tokens: ``counts`` is (texts x tokens), int32; ``tokens`` names its columns, without repetition."""

    counts: sparse.csr_matrix
    tokens: pa.Array


def count_pairs(rows: Ints, columns: Keys, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Count (row, column) pairs into a CSR matrix of int32, no pair repeated; columns of a row are in no order."""
    if (np.diff(rows) < 0).any():
        return in_order(sparse.coo_matrix((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=shape))
    # Compiled code is loaded by the workers that count, and by no other process.
    from lo2dask.vocabulary.kernels import count_rows

    cells = np.empty((2, len(rows)), dtype=np.int32)
    borders, table = np.empty(shape[0] + 1, dtype=np.int32), np.zeros(shape[1], dtype=np.int32)
    # One type of columns: the kernel is compiled once.
    filled = count_rows(rows, columns.astype(np.int32, copy=False), table, cells, borders)
    return sparse.csr_matrix((cells[1, :filled], cells[0, :filled], borders), shape=shape)


def distinct(values: Ints) -> tuple[Ints, Ints]:
    """Do what np.unique with return_inverse does, for numbers from 0; without sorting where their range is small."""
    if values.max(initial=0) > _SMALL_RANGE * (len(values) + 1):
        values, codes = np.unique(values, return_inverse=True)
        return values, codes
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
    """Return counts as a canonical CSR matrix: ordered by columns and then by rows, both in linear time."""
    matrix = counts.tocsc().tocsr()
    matrix.sum_duplicates()
    return matrix


def count_tokens(counts: TokenCounts, rows: Bools | None = None) -> pa.Table:
    """Sum a part's counts (columns: COUNTED) over all rows, or those chosen; tokens of no chosen row are left out."""
    matrix = counts.counts if rows is None else counts.counts[np.flatnonzero(rows)]
    return _sum_cells(counts.tokens, matrix.indices, matrix.data)


def count_bags(bags: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Sum the counts of a bag column (columns: COUNTED) over all rows, without taking it apart by sequence."""
    column = bags.combine_chunks() if isinstance(bags, pa.ChunkedArray) else bags
    pairs = column.flatten()
    encoded = encode_texts(pairs.field("token"))
    return _sum_cells(encoded.dictionary, encoded.indices.to_numpy(), pairs.field("count").to_numpy())


def _sum_cells(tokens: pa.Array, columns: npt.NDArray[np.integer], counts: npt.NDArray[np.int32]) -> pa.Table:
    """Sum cells by column (columns: COUNTED); each row has a column once, so its cells are the rows that have it."""
    columns = columns.astype(np.intp)  # once, not in each of the sums
    frequency = np.bincount(columns, minlength=len(tokens))
    # Doubles are exact up to 2^53.
    total = np.bincount(columns, weights=counts, minlength=len(tokens)).astype(np.int64)
    table = pa.table([tokens.cast(pa.string()), pa.array(frequency), pa.array(total)], schema=COUNTED)
    return table if frequency.all() else table.filter(pa.array(frequency > 0))
