"""Bags: the tokens of each sequence with their counts, sorted by token, as one list column."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lo2dask import schema
from lo2dask.buffers.arrays import Ints, U64s
from lo2dask.vocabulary.counts import TokenCounts, in_order, join_counts
from lo2dask.vocabulary.texts import encode_texts, order_texts

# Shorter logs are often equal by chance.
LEAST_LINES = 20
_MIX = np.uint64(0xBF58476D1CE4E5B9)


def to_bags(counts: TokenCounts) -> pa.ListArray:
    """Turn (sequences x tokens) counts into a bag column (schema.BAG): tokens in byte order, no zero counts."""
    return coded_bags(counts).cast(schema.BAG)


def coded_bags(counts: TokenCounts) -> pa.ListArray:
    """Do the same with tokens dictionary-encoded: a part is written so without copying one."""
    matrix, tokens = counts.counts, counts.tokens.cast(pa.string())
    if not pc.all(pc.less(tokens[:-1], tokens[1:])).as_py():
        ordered = order_texts(tokens)
        order, tokens = ordered.indices.to_numpy(), ordered.dictionary
        matrix = in_order(sparse.csr_matrix((matrix.data, order[matrix.indices], matrix.indptr), matrix.shape))
    if not matrix.has_canonical_format or (matrix.data == 0).any():
        matrix = matrix.copy()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    named = pa.DictionaryArray.from_arrays(pa.array(matrix.indices.astype(np.int32, copy=False)), tokens)
    pairs = pa.StructArray.from_arrays(
        [named, pa.array(matrix.data.astype(np.int32, copy=False))], names=["token", "count"]
    )
    return pa.ListArray.from_arrays(pa.array(matrix.indptr.astype(np.int32)), pairs)


def from_bags(bags: pa.Array | pa.ChunkedArray) -> TokenCounts:
    """Turn a bag column back into (sequences x tokens) counts, int32, columns in byte order."""
    column = bags.combine_chunks() if isinstance(bags, pa.ChunkedArray) else bags
    encoded = encode_texts(column.flatten().field("token"))
    ordered = order_texts(encoded.dictionary)
    columns = ordered.indices.to_numpy()[encoded.indices.to_numpy()]
    data = column.flatten().field("count").to_numpy().astype(np.int32)
    offsets = column.offsets.to_numpy()
    shape = (len(column), len(ordered.dictionary))
    return TokenCounts(sparse.csr_matrix((data, columns, offsets - offsets[0]), shape), ordered.dictionary)


def to_token_lists(bags: pa.ListArray) -> pa.ListArray:
    """Write each bag as the predecessor did: every occurrence of every token, here in the tokens' order."""
    flat = bags.flatten()
    counts = flat.field("count").to_numpy()
    tokens = flat.field("token").take(pa.array(np.repeat(np.arange(len(counts)), counts)))
    ends = np.concatenate([[0], np.cumsum(counts)])[bags.offsets.to_numpy()]
    return pa.ListArray.from_arrays(pa.array((ends - ends[0]).astype(np.int32)), tokens)


def from_token_lists(lists: pa.Array | pa.ChunkedArray) -> TokenCounts:
    """Count the tokens of full lists, (sequences x tokens)."""
    column = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    encoded = column.flatten().dictionary_encode()
    rows = np.repeat(np.arange(len(column)), np.diff(column.offsets.to_numpy()))
    ones = np.ones(len(rows), dtype=np.int32)
    shape = (len(column), len(encoded.dictionary))
    matrix = sparse.coo_matrix((ones, (rows, encoded.indices.to_numpy())), shape=shape).tocsr()
    return join_counts([TokenCounts(matrix, encoded.dictionary)])


def read_counts(column: pa.Array | pa.ChunkedArray) -> TokenCounts:
    """Read a bag or a token-list column, whichever the enhanced table holds."""
    return from_bags(column) if pa.types.is_struct(column.type.value_type) else from_token_lists(column)


def add_blocks(blocks: Sequence[tuple[Ints, TokenCounts]], n_rows: int) -> TokenCounts:
    """Add the counts of several blocks of a batch; each comes with the row of the batch that its rows belong to."""
    moved = [TokenCounts(_spread(part.counts, rows, n_rows), part.tokens) for rows, part in blocks]
    if len(moved) == 1:
        return moved[0]
    return (
        join_counts(moved)
        if moved
        else TokenCounts(sparse.csr_matrix((n_rows, 0), dtype=np.int32), pa.array([], pa.string()))
    )


def _spread(counts: sparse.csr_matrix, rows: Ints, n_rows: int) -> sparse.csr_matrix:
    lengths = np.zeros(n_rows, dtype=np.int64)
    lengths[rows] = np.diff(counts.indptr)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return sparse.csr_matrix((counts.data, counts.indices, indptr), shape=(n_rows, counts.shape[1]))


def bag_numbers(bags: pa.ChunkedArray) -> U64s:
    """Return a number of 64 bits for each bag, which equal bags share: uint64 (rows,)."""
    counts = from_bags(bags)
    tokens = (hashlib.blake2b(token.encode(), digest_size=8).digest() for token in counts.tokens.to_pylist())
    mixed = np.frombuffer(b"".join(tokens), np.uint64)[counts.counts.indices]
    # Multiplied by odd numbers, and folded in between, so that sums of different bags are not equal by design.
    mixed = (mixed ^ (counts.counts.data.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))) * _MIX
    mixed = (mixed ^ (mixed >> np.uint64(31))) * _MIX
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    return total[counts.counts.indptr[1:]] - total[counts.counts.indptr[:-1]]
