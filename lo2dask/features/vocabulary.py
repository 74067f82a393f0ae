"""Vocabularies with exact document frequencies, out of core: counted per part, spilled by bucket, reduced per bucket.

Order: tokens rank by count, highest first, ties by token in byte order; the first ``max_features`` are kept and then
sorted by token. Limits are those of scikit-learn's CountVectorizer (min_df as a number of rows, max_df as a share).
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.features.tokens import TokenCounts, encode_texts, packed_trigrams, padded_text, unpack_trigrams
from lo2dask.parse.lines import Bools, hash_slices
from lo2dask.storage import is_local, open_read, replacing

COUNTED = pa.schema(
    [pa.field("token", pa.string()), pa.field("document_frequency", pa.int64()), pa.field("count", pa.int64())]
)
# Distinct tokens that a reducing task holds, as text and counts; adding them up takes some five times as much.
MOST_BYTES = 32 << 20
_MOST_SHARES = 1 << 10
# So many trigrams are added up in a table of all that ASCII can write; fewer by a hash table, as other tokens are.
_MANY_TOKENS = 1 << 17


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
    frequency = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.int64)
    total = np.bincount(matrix.indices, weights=matrix.data, minlength=matrix.shape[1]).astype(np.int64)
    found = np.flatnonzero(frequency)
    tokens = counts.tokens.take(pa.array(found))
    return pa.table([tokens, pa.array(frequency[found]), pa.array(total[found])], schema=COUNTED)


def merge_counts(tables: Iterable[pa.Table]) -> pa.Table:
    """Add counted tokens of several parts."""
    total = pa.concat_tables([COUNTED.empty_table(), *tables])
    added = total["token"].combine_chunks()
    keys = packed_trigrams(added) if len(added) >= _MANY_TOKENS else None
    if keys is None:
        encoded = encode_texts(added)
        codes, tokens = encoded.indices.to_numpy(), encoded.dictionary
    else:
        codes, tokens = keys, None
    sums = [np.bincount(codes, weights=total[name].to_numpy()).astype(np.int64) for name in COUNTED.names[1:]]
    if tokens is None:
        found = np.flatnonzero(sums[0])
        tokens, sums = unpack_trigrams(found), [column[found] for column in sums]
    return pa.table([tokens, *map(pa.array, sums)], schema=COUNTED)


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


def spill(path: Path, tables: Iterable[pa.Table], buckets: int, durable: bool = False) -> None:
    """Write counted tables as one Arrow file: for each, one record batch per bucket of a hash of the token.

    ``durable`` where the file is to outlive the machine's next fall.
    """
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        replacing(path, durable=durable) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, COUNTED, options=options) as writer,
    ):
        for table in tables:
            for piece in _in_buckets(table, buckets):
                batches = piece.combine_chunks().to_batches()
                writer.write_batch(batches[0] if batches else pa.RecordBatch.from_pylist([], schema=COUNTED))


def reduce_bucket(
    paths: Sequence[Path], batch: int, limits: Limits, n_rows: int, most: int = MOST_BYTES
) -> Iterator[pa.Table]:
    """Add one record batch of all spilled parts and keep what may still be chosen, rows in byte order of the token.

    Where a bucket's distinct tokens take more than ``most`` bytes, it comes in shares, each a reading of its own.
    """
    waiting = [Share()]
    while waiting:
        wanted = waiting.pop()
        table, share = _add_share(paths, batch, wanted, most)
        waiting += wanted.rest(share)
        yield choose(table, limits, n_rows)


@dataclass(frozen=True)
class Share:
    """Those tokens of a bucket whose second hash is ``place`` modulo ``of``."""

    place: int = 0
    of: int = 1

    def take(self, table: pa.Table) -> pa.Table:
        """Keep the share's rows."""
        if self.of == 1 or table.num_rows == 0:
            return table
        chosen = _hash(table["token"].combine_chunks()) >> np.uint64(40) & np.uint64(self.of - 1)
        return table.filter(pa.array(chosen == np.uint64(self.place)))

    def half(self) -> "Share":
        """Give the first half of the share."""
        return Share(self.place, 2 * self.of)

    def rest(self, half: "Share") -> list["Share"]:
        """Give what is left of the share beside one of its halves, quarters and so on."""
        return [Share(self.place + number * self.of, half.of) for number in range(1, half.of // self.of)]


def _add_share(paths: Sequence[Path], batch: int, share: Share, most: int) -> tuple[pa.Table, Share]:
    """Add up a share of all parts; it is halved whenever it outgrows ``most``. Give the counts and what they are of."""
    total = COUNTED.empty_table()
    waiting: list[pa.Table] = []
    for path in paths:
        with open_counts(path) as file:
            waiting.append(share.take(pa.Table.from_batches([file.get_batch(batch)])))
        # Few and large additions: each costs as much as there is already.
        if sum(table.num_rows for table in waiting) > max(total.num_rows, 100_000) or path is paths[-1]:
            total, waiting = merge_counts([total, *waiting]), []
            while total.nbytes > most and total.num_rows > 1 and share.of < _MOST_SHARES:
                share = share.half()
                total = share.take(total)
    return total, share


@contextlib.contextmanager
def open_counts(path: Path) -> Iterator[pa.ipc.RecordBatchFileReader]:
    """Open a file of counted tokens."""
    # Not mapped: what is compressed is copied anyway, and a mapping's pages count as memory until it is closed.
    with pa.OSFile(str(path)) if is_local(path) else pa.PythonFile(open_read(path), "r") as source:
        yield pa.ipc.open_file(source)


def _in_buckets(table: pa.Table, buckets: int) -> Iterator[pa.Table]:
    if buckets == 1:
        yield table
        return
    bucket = _hash(table["token"].combine_chunks()) % np.uint64(buckets)
    order = np.argsort(bucket, kind="stable")
    borders = np.searchsorted(bucket[order], np.arange(buckets + 1, dtype=np.uint64)).tolist()
    by_bucket = table.take(pa.array(order))
    yield from (by_bucket.slice(start, stop - start) for start, stop in pairwise(borders))


def choose(table: pa.Table, limits: Limits, n_rows: int) -> pa.Table:
    """Apply the limits to exact counts; rows come in byte order of the token."""
    frequency = table["document_frequency"]
    fits = pc.and_(pc.greater_equal(frequency, limits.min_df), pc.less_equal(frequency, limits.max_df * n_rows))
    kept = table.filter(fits)
    if not limits.max_features or kept.num_rows <= limits.max_features:
        return kept.sort_by("token")
    rank = kept[limits.rank].to_numpy()
    lowest = np.partition(rank, -limits.max_features)[-limits.max_features]
    kept = kept.filter(pa.array(rank >= lowest)).sort_by("token")
    # Of the tokens that tie at the cut, the first in byte order.
    tied = kept[limits.rank].to_numpy() == lowest
    ties = limits.max_features - int((~tied).sum())
    return kept.filter(pa.array(~tied | (np.cumsum(tied) <= ties)))


def _hash(tokens: pa.Array) -> npt.NDArray[np.uint64]:
    """Hash each token's bytes; only its spread matters, it never leaves the spill."""
    text, offsets = padded_text(tokens)
    return hash_slices(text, offsets[:-1], offsets[1:])
