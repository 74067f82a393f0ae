"""Vocabularies: the tokens that limits leave of exact counts (spilling.py counts out of core).

Order: tokens rank by count, highest first, ties by token in byte order; the first ``max_features`` are kept and then
sorted by token. Limits are those of scikit-learn's CountVectorizer (min_df as a number of rows, max_df as a share).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.vocabulary.tokens import TokenCounts, encode_texts

COUNTED = pa.schema(
    [pa.field("token", pa.string()), pa.field("document_frequency", pa.int64()), pa.field("count", pa.int64())]
)


@dataclass(frozen=True)
class Limits:
    """Which tokens are kept: min_df rows, at most the share max_df of rows, the first max_features by count.

    ``binary`` ranks by document frequency, as a vectoriser of ones and zeros does; 0 features = no cap.
    """

    min_df: int = 2
    max_df: float = 0.9
    max_features: int = 100_000
    binary: bool = True

    @property
    def rank(self) -> str:
        """Name the column by which tokens rank."""
        return "document_frequency" if self.binary else "count"


def count_tokens(counts: TokenCounts, rows: Bools | None = None) -> pa.Table:
    """Count a part's tokens (columns: COUNTED) over all rows, or those chosen; tokens of no chosen row are left out."""
    matrix = counts.counts if rows is None else counts.counts[np.flatnonzero(rows)]
    # Compiled code is loaded by the workers that count, and by no other process.
    from lo2dask.vocabulary.compiled_counts import sum_columns

    frequency, total = sums = np.zeros((2, matrix.shape[1]), dtype=np.int64)
    sum_columns(matrix.indices, matrix.data, sums)
    if frequency.all():
        return pa.table([counts.tokens, pa.array(frequency), pa.array(total)], schema=COUNTED)
    found = np.flatnonzero(frequency)
    tokens = counts.tokens.take(pa.array(found))
    return pa.table([tokens, pa.array(frequency[found]), pa.array(total[found])], schema=COUNTED)


def count_bags(bags: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Count the tokens of a bag column (columns: COUNTED) over all rows, without taking it apart by sequence."""
    column = bags.combine_chunks() if isinstance(bags, pa.ChunkedArray) else bags
    pairs = column.flatten()
    encoded = encode_texts(pairs.field("token"))
    codes, width = encoded.indices.to_numpy(), len(encoded.dictionary)
    # A bag names a token once, so each pair is a row that has it.
    frequency = np.bincount(codes, minlength=width)
    total = np.bincount(codes, weights=pairs.field("count").to_numpy(), minlength=width).astype(np.int64)
    return pa.table([encoded.dictionary, pa.array(frequency), pa.array(total)], schema=COUNTED)


def choose(table: pa.Table, limits: Limits, n_rows: int) -> pa.Table:
    """Apply the limits to exact counts; rows come in byte order of the token."""
    kept = candidates(table, limits, n_rows).sort_by("token")
    if not limits.max_features or kept.num_rows <= limits.max_features:
        return kept
    # Of the tokens that tie at the cut, the first in byte order.
    rank = kept[limits.rank].to_numpy()
    tied = rank == rank.min()
    ties = limits.max_features - int((~tied).sum())
    return kept.filter(pa.array(~tied | (np.cumsum(tied) <= ties)))


def candidates(table: pa.Table, limits: Limits, n_rows: int) -> pa.Table:
    """Keep what may be chosen of some tokens with exact counts: with the last one's rank, all that have it."""
    counts = np.stack([table[name].to_numpy() for name in COUNTED.names[1:]])
    return table.take(pa.array(find_candidates(counts, limits, n_rows)))


def find_candidates(counts: Ints, limits: Limits, n_rows: int) -> Ints:
    """Find them by their counts alone: document frequencies and totals (2 x tokens)."""
    frequency = counts[0]
    found = np.flatnonzero((frequency >= limits.min_df) & (frequency <= limits.max_df * n_rows))
    if not limits.max_features or len(found) <= limits.max_features:
        return found
    rank = counts[COUNTED.names.index(limits.rank) - 1, found]
    return found[rank >= np.partition(rank, -limits.max_features)[-limits.max_features]]
