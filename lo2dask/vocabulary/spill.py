"""Counted tokens on disk: each part spills its own, in buckets by the hash of the token.

A file is an Arrow IPC file of record batches (columns: COUNTED, its numbers as narrow as they may be): those of its
first table, one a bucket, then those of the next. Its metadata holds the rows and the buckets of each table, as JSON
lists. Numbers of buckets are powers of two, so that bucket b of n is every n-th batch, or a selection of one batch.
Nothing is compressed: identifiers hardly are, and lz4 took two thirds of the time for a quarter of the bytes.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.errors import IntegrityError
from lo2dask.storage import is_local, link_file, list_paths, open_read, replacing
from lo2dask.vocabulary.counts import COUNTED
from lo2dask.vocabulary.texts import hash_texts, whole

# A part has at least so many buckets, and more where they would have more rows.
_FEWEST_BUCKETS, _MOST_BUCKETS = 16, 1 << 10
_BUCKET_ROWS = 1 << 12
_ROWS, _BUCKETS = b"rows", b"buckets"


@dataclass(frozen=True)
class Bucket:
    """The tokens whose hash modulo ``of``, a power of two, is ``number``."""

    number: int = 0
    of: int = 1

    def halves(self) -> tuple["Bucket", "Bucket"]:
        """Split the bucket by one more bit of the hash."""
        return Bucket(self.number, 2 * self.of), Bucket(self.number + self.of, 2 * self.of)

    def select(self, table: pa.Table) -> pa.Table:
        """Return the bucket's rows of a table with a column ``token``."""
        return table.filter(pa.array(_hash_modulo(table, self.of) == self.number))


@dataclass(frozen=True)
class Spill:
    """A folder to which each part spills counted tables of the same ``names``."""

    folder: Path
    names: tuple[str, ...]

    def add(self, part: str, tables: Iterable[pa.Table]) -> list[int]:
        """Spill a part's counted tables, which come in the order of their names; return the rows of each."""
        return write_counts(self._path(part), tables)

    def take(self, part: str, path: Path) -> list[int]:
        """Take over the file that a part has spilled elsewhere; return the rows of each table.

        Raises
        ------
        IntegrityError : the file is not readable.
        """
        rows = read_rows(path)
        link_file(path, self._path(part))
        path.unlink()
        return rows

    def parts(self) -> list[Path]:
        """List the files that the parts have spilled."""
        return list_paths(self.folder, ".arrow")

    def _path(self, part: str) -> Path:
        return self.folder / f"{part}.arrow"


def write_counts(path: Path, tables: Iterable[pa.Table], durable: bool = False) -> list[int]:
    """Write counted tables (columns: COUNTED) in buckets; return the rows of each. ``durable`` must survive a crash."""
    counted = list(tables)
    rows = [table.num_rows for table in counted]
    buckets = [fit_buckets(number, _BUCKET_ROWS, _FEWEST_BUCKETS, _MOST_BUCKETS) for number in rows]
    narrow = _narrow_schema(counted)
    batches = (
        batch for table, number in zip(counted, buckets, strict=True) for batch in _split(table.cast(narrow), number)
    )
    write_batches(
        path, narrow.with_metadata({_ROWS: json.dumps(rows), _BUCKETS: json.dumps(buckets)}), batches, durable
    )
    return rows


def write_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], durable: bool = False) -> None:
    """Write record batches as an Arrow IPC file; it appears whole or not at all."""
    with (
        replacing(path, durable=durable) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)


def fit_buckets(rows: int, most_rows: int, fewest: int, most: int) -> int:
    """Return the power of two of buckets, between two others, that leaves each about ``most_rows`` rows or fewer."""
    return min(max(1 << (max(rows - 1, 0) // most_rows).bit_length(), fewest), most)


def read_rows(path: Path) -> list[int]:
    """Return the rows of each table that a part has spilled."""
    with open_counts(path) as file:
        return _read_numbers(file, _ROWS)


def read_bucket(path: Path, table: int, bucket: Bucket) -> pa.Table:
    """Read a bucket of the n-th table that a part has spilled (columns: COUNTED)."""
    with open_counts(path) as file:
        buckets = _read_numbers(file, _BUCKETS)
        first, own = sum(buckets[:table]), buckets[table]
        step = min(bucket.of, own)
        found = read_batches(file, range(first + bucket.number % step, first + own, step))
    return bucket.select(found) if bucket.of > own else found


def read_batches(file: pa.ipc.RecordBatchFileReader, numbers: Sequence[int]) -> pa.Table:
    """Read some batches of a file (columns: COUNTED)."""
    batches = [file.get_batch(number) for number in numbers]
    return pa.Table.from_batches(batches, file.schema).cast(COUNTED)


@contextlib.contextmanager
def open_counts(path: Path) -> Iterator[pa.ipc.RecordBatchFileReader]:
    """Open a file of counted tokens.

    Raises
    ------
    IntegrityError : it is not readable.
    """
    # Not mapped: a mapping's pages count as memory until it is closed.
    with pa.OSFile(str(path)) if is_local(path) else pa.PythonFile(open_read(path), "r") as source:
        try:
            yield pa.ipc.open_file(source)
        except (pa.ArrowInvalid, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise IntegrityError(
                f"{path}: not readable ({reason}); remove it and run the same command again"
            ) from error


def _read_numbers(file: pa.ipc.RecordBatchFileReader, name: bytes) -> list[int]:
    numbers: list[int] = json.loads(file.schema.metadata[name])
    return numbers


def _narrow_schema(tables: Sequence[pa.Table]) -> pa.Schema:
    """Return COUNTED with the narrowest numbers that hold the tables' counts."""
    fields = [COUNTED.field("token")]
    for name in COUNTED.names[1:]:
        most = max((pc.max(table[name]).as_py() or 0 for table in tables), default=0)
        fields.append(pa.field(name, pa.from_numpy_dtype(np.min_scalar_type(most))))
    return pa.schema(fields)


def _split(table: pa.Table, buckets: int) -> Iterator[pa.RecordBatch]:
    """Split a table into its buckets, each one batch."""
    numbers = _hash_modulo(table, buckets)
    # A stable sort of 16-bit numbers is a radix sort.
    ordered = table.take(pa.array(np.argsort(numbers, kind="stable"))).combine_chunks()
    borders = np.cumsum(np.bincount(numbers, minlength=buckets))
    empty = pa.RecordBatch.from_pylist([], schema=table.schema)
    for start, stop in pairwise([0, *borders.tolist()]):
        yield next(iter(ordered.slice(start, stop - start).to_batches()), empty)


def _hash_modulo(table: pa.Table, of: int) -> np.ndarray:
    """Return the hash of each row's token modulo a power of two."""
    low = hash_texts(whole(table["token"])) & np.uint64(of - 1)
    return low.astype(np.min_scalar_type(of - 1))
