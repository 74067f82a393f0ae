"""Counted tokens on disk: each part spills its own, in buckets by the tokens' places, and a task adds up one share.

A file is an Arrow file of record batches (columns: COUNTED, its numbers as narrow as they may be): those of its first
table, one a bucket, then those of the next. Its metadata says how many buckets each table has. Buckets are equal parts
of all places, and their number is a power of two, so that any share is found in few of them. Nothing is compressed:
identifiers hardly are, and lz4 took two thirds of the time for a quarter of the bytes.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.padded import padded_text
from lo2dask.buffers.slices import slices
from lo2dask.storage import is_local, open_read, replacing
from lo2dask.vocabulary.adding import TOKEN_BYTES, Share, TokenSums, list_places
from lo2dask.vocabulary.limits import COUNTED

# Distinct tokens other than trigrams that an adding task holds, as text and sums.
MOST_BYTES = 64 << 20
_MOST_SHARES = 1 << 10
# A bucket of a part has about so many tokens.
_BUCKET_ROWS = 1 << 12
# Buckets of a part that are read, and added up, at once.
_READ_AT_ONCE = 16
_BUCKETS, _WORK = b"buckets", b"work"


def spill(path: Path, tables: Iterable[pa.Table], durable: bool = False) -> list[int]:
    """Write counted tables (columns: COUNTED); return what adding each up takes (:func:`count_work`).

    ``durable`` must survive a crash.
    """
    whole = list(tables)
    work = [count_work(table) for table in whole]
    buckets = [1 << max(0, (table.num_rows // _BUCKET_ROWS).bit_length() - 1) for table in whole]
    counted = _narrow(whole)
    schema = counted.with_metadata({_BUCKETS: _numbers(buckets), _WORK: _numbers(work)})
    with (
        replacing(path, durable=durable) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        for table, number in zip(whole, buckets, strict=True):
            for piece in _in_buckets(table.combine_chunks().cast(counted), number):
                writer.write_batch(piece)
    return work


def count_work(table: pa.Table) -> int:
    """Count the tokens of a table, eight trigrams as one: theirs is a fixed table, which they fill in its order."""
    lengths = pc.binary_length(table["token"]).to_numpy()
    trigrams = int(np.count_nonzero(lengths == 3))
    return table.num_rows - trigrams + trigrams // 8


def read_work(path: Path) -> list[int]:
    """Return what adding up each table takes that a part has spilled."""
    with open_counts(path) as file:
        return _read_numbers(file, _WORK)


def read_share(path: Path, table: int, share: Share) -> Iterator[pa.Table]:
    """Read a share of the n-th table that a part has spilled, some buckets at once; its numbers may be narrow ones."""
    with open_counts(path) as file:
        buckets = _read_numbers(file, _BUCKETS)
        first, of = sum(buckets[:table]), buckets[table]
        # Either a bucket holds whole shares, or a share holds whole buckets.
        lowest, highest = share.number * of // share.of, (share.number * of + of - 1) // share.of
        for start in range(lowest, highest + 1, _READ_AT_ONCE):
            some = range(start, min(start + _READ_AT_ONCE, highest + 1))
            found = pa.Table.from_batches([file.get_batch(first + bucket) for bucket in some])
            yield share.take(found) if share.of > of else found.combine_chunks()


def add_shares(
    paths: Sequence[Path], table: int, share: Share, most: int = MOST_BYTES, room: int = 0
) -> Iterator[TokenSums]:
    """Add up a share of the n-th table of all spilled parts; ``room`` guesses how many tokens it has, from above.

    Where its distinct tokens take more than ``most`` bytes, it comes in several shares, each a reading of its own.
    """
    waiting = [share]
    while waiting:
        wanted = waiting.pop()
        sums = _add(paths, table, TokenSums(wanted, min(room, most // TOKEN_BYTES)), most)
        waiting += wanted.rest(sums.share)
        yield sums


def _add(paths: Sequence[Path], table: int, sums: TokenSums, most: int) -> TokenSums:
    """Add up the share of some sums of all parts; it is halved whenever it outgrows ``most``."""
    for path in paths:
        wanted = sums.share
        for counted in read_share(path, table, wanted):
            sums.add(counted if sums.share == wanted else sums.share.take(counted))
            while sums.nbytes > most and len(sums) > 1 and sums.share.of < _MOST_SHARES:
                half = TokenSums(sums.share.half())
                half.add(half.share.take(sums.table()))
                sums = half
    return sums


@contextlib.contextmanager
def open_counts(path: Path) -> Iterator[pa.ipc.RecordBatchFileReader]:
    """Open a file of counted tokens."""
    # Not mapped: a mapping's pages count as memory until it is closed.
    with pa.OSFile(str(path)) if is_local(path) else pa.PythonFile(open_read(path), "r") as source:
        yield pa.ipc.open_file(source)


def _numbers(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def _read_numbers(file: pa.ipc.RecordBatchFileReader, name: bytes) -> list[int]:
    return [int(number) for number in file.schema.metadata[name].split(b",")]


def _narrow(tables: Sequence[pa.Table]) -> pa.Schema:
    """Return COUNTED with the narrowest numbers that hold the tables' counts."""
    fields = [COUNTED.field("token")]
    for name in COUNTED.names[1:]:
        most = max((pc.max(table[name]).as_py() or 0 for table in tables), default=0)
        fields.append(pa.field(name, pa.from_numpy_dtype(np.min_scalar_type(most))))
    return pa.schema(fields)


def _in_buckets(whole: pa.Table, buckets: int) -> Iterator[pa.RecordBatch]:
    """Cut a table into its buckets, each one batch; within one the order stays."""
    borders = [0, whole.num_rows]
    if buckets > 1:
        tokens = whole["token"].combine_chunks()
        bucket = (list_places(tokens) >> np.uint64(65 - buckets.bit_length())).astype(np.uint16)
        # Trigrams mostly come in the order of their places.
        if (bucket[1:] < bucket[:-1]).any():
            order = np.argsort(bucket, kind="stable")
            text, offsets = padded_text(tokens)
            columns = (whole[name].to_numpy()[order] for name in COUNTED.names[1:])
            whole = pa.table(
                [slices(text, offsets[order], offsets[order + 1]), *map(pa.array, columns)], schema=whole.schema
            )
        borders = [0, *np.cumsum(np.bincount(bucket, minlength=buckets)).tolist()]
    empty = pa.RecordBatch.from_pylist([], schema=whole.schema)
    for start, stop in pairwise(borders):
        batches = whole.slice(start, stop - start).to_batches()
        yield batches[0] if batches else empty
