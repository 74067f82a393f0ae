"""Vocabularies with exact document frequencies, out of core: counted per part, spilled by bucket, reduced per bucket.

Order: tokens rank by count, highest first, ties by token in byte order; the first ``max_features`` are kept and then
sorted by token. Limits are those of scikit-learn's CountVectorizer (min_df as a number of rows, max_df as a share).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.features.tokens import TokenCounts, text_bytes
from lo2dask.parse.lines import Bools
from lo2dask.storage import is_local, open_read, replacing

COUNTED = pa.schema(
    [pa.field("token", pa.string()), pa.field("document_frequency", pa.int64()), pa.field("count", pa.int64())]
)
_PRIMES = np.random.default_rng(0).integers(1, 1 << 31, 64, dtype=np.uint64) | np.uint64(1)


@dataclass(frozen=True)
class Limits:
    """Which tokens are kept: min_df rows, at most the share max_df of rows, the first max_features by count.

    ``binary`` ranks by document frequency, as a vectoriser of ones and zeros does; 0 features = no cap.
    """

    min_df: int = 2
    max_df: float = 0.9
    max_features: int = 100_000
    binary: bool = True


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
    added = total.group_by("token").aggregate([("document_frequency", "sum"), ("count", "sum")])
    return added.select(["token", "document_frequency_sum", "count_sum"]).rename_columns(COUNTED.names)


def spill(path: Path, table: pa.Table, buckets: int) -> None:
    """Write counted tokens as one Arrow file with one record batch per bucket of a hash of the token."""
    bucket = _hash(table["token"].combine_chunks()) % np.uint64(buckets)
    order = np.argsort(bucket, kind="stable")
    borders = np.searchsorted(bucket[order], np.arange(buckets + 1, dtype=np.uint64))
    by_bucket = table.take(pa.array(order)).combine_chunks()
    with (
        replacing(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, COUNTED) as writer,
    ):
        for start, stop in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
            piece = by_bucket.slice(start, stop - start).combine_chunks().to_batches()
            writer.write_batch(piece[0] if piece else pa.RecordBatch.from_pylist([], schema=COUNTED))


def reduce_bucket(paths: Sequence[Path], bucket: int, limits: Limits, n_rows: int) -> pa.Table:
    """Add one bucket of all spilled parts and keep what may still be chosen; holds one bucket's distinct tokens."""
    total = COUNTED.empty_table()
    waiting: list[pa.Table] = []
    for path in paths:
        with pa.memory_map(str(path)) if is_local(path) else pa.PythonFile(open_read(path), "r") as source:
            waiting.append(pa.Table.from_batches([pa.ipc.open_file(source).get_batch(bucket)]))
            if sum(table.num_rows for table in waiting) > max(total.num_rows, 100_000):
                total, waiting = merge_counts([total, *waiting]), []
    return choose(merge_counts([total, *waiting]), limits, n_rows)


def choose(table: pa.Table, limits: Limits, n_rows: int) -> pa.Table:
    """Apply the limits to exact counts; rows come in byte order of the token."""
    frequency = table["document_frequency"]
    fits = pc.and_(pc.greater_equal(frequency, limits.min_df), pc.less_equal(frequency, limits.max_df * n_rows))
    kept = table.filter(fits)
    if limits.max_features and kept.num_rows > limits.max_features:
        rank = "document_frequency" if limits.binary else "count"
        order = pc.sort_indices(kept, sort_keys=[(rank, "descending"), ("token", "ascending")])
        kept = kept.take(order[: limits.max_features])
    return kept.sort_by("token")


def _hash(tokens: pa.Array) -> np.ndarray:
    """Hash each token's bytes; only its spread matters, it never leaves the spill."""
    if len(tokens) == 0:
        return np.zeros(0, dtype=np.uint64)
    buffer, offsets = text_bytes(tokens)
    window = buffer[offsets[0] : offsets[-1]].astype(np.uint64)
    lengths = np.diff(offsets)
    place = np.arange(len(window)) - np.repeat(offsets[:-1] - offsets[0], lengths)
    weighted = np.append((window + np.uint64(1)) * _PRIMES[place % 64], np.uint64(0))
    sums = np.add.reduceat(weighted, (offsets[:-1] - offsets[0]))
    sums[lengths == 0] = 0
    return sums ^ (sums >> np.uint64(17))
