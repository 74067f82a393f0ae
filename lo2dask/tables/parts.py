"""Parts of a table: written whole by rename, read back with the columns that a task needs."""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lo2dask import schema as schemas
from lo2dask.storage import is_local, list_paths, open_read, remove_leftovers, replacing
from lo2dask.tables.pages import DELTAS

# Statistics cost a fifth of the writing time; only these columns are ever filtered by range.
WITH_STATISTICS = ["seq_id", "m_timestamp", "start_time"]
_DELTAS = dict.fromkeys(DELTAS, "DELTA_BINARY_PACKED")
_LOW_CARDINALITY = {
    *schemas.DICTIONARY,
    "representation",
    "metric_name",
    "job",
    "instance",
    "split",
    "labels",
    "operation",
}


class PartWriter:
    """Writes one part, row group by row group; the part appears when the writer closes without an error."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Begin a part that holds the columns of ``schema``, in its order."""
        self.rows = 0
        self._stack = contextlib.ExitStack()
        self._writer = _writer(self._stack.enter_context(replacing(path)), schema)

    def write(self, table: pa.Table) -> None:
        """Add a table as one row group; further columns than the schema's are left out."""
        _write_group(self._writer, table)
        self.rows += table.num_rows

    def __enter__(self) -> Self:
        """Enter the block that fills the part."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; it takes its place only if the block ended well."""
        self._writer.close()
        self._stack.__exit__(kind, error, trace)


def write_part(path: Path, table: pa.Table, schema: pa.Schema) -> int:
    """Write a whole part by rename; return its rows."""
    with PartWriter(path, schema) as writer:
        writer.write(table)
    return table.num_rows


def part_buffer(groups: Iterable[pa.Table], schema: pa.Schema) -> pa.Buffer:
    """Write a small part into memory, a row group for each table."""
    sink = pa.BufferOutputStream()
    with _writer(sink, schema) as writer:
        for table in groups:
            _write_group(writer, table)
    return sink.getvalue()


def part_paths(folder: Path) -> list[Path]:
    """List the parts of a table in their order; a single file is its own part."""
    # An object store tells a file from a folder by listing: it is asked only where the listing finds no part.
    if is_local(folder) and folder.is_file():
        return [folder]
    found = list_paths(folder, ".parquet")
    return [folder] if not found and not is_local(folder) and folder.is_file() else found


def read_part(path: Path, columns: Iterable[str] | None = None) -> pa.Table:
    """Read one part, or some of its columns, low-cardinality columns dictionary-encoded."""
    return _open(path).read(columns=None if columns is None else list(columns))


def read_parts(folder: Path, columns: Iterable[str] | None = None) -> Iterator[pa.Table]:
    """Read a table part by part; the caller holds one part at a time."""
    wanted = None if columns is None else list(columns)
    return (read_part(path, wanted) for path in part_paths(folder))


def read_row_groups(path: Path, columns: Iterable[str], dictionary: pa.Array | None = None) -> Iterator[pa.Table]:
    """Read a part row group by row group; with ``dictionary``, seq_id is encoded by it, so that codes mean its rows."""
    file = _open(path)
    wanted = list(columns)
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=wanted).unify_dictionaries()
        if dictionary is not None:
            own = table["seq_id"].combine_chunks()
            codes = pc.index_in(own.dictionary, dictionary).take(own.indices)
            encoded = pa.DictionaryArray.from_arrays(codes, dictionary)
            table = table.set_column(table.schema.get_field_index("seq_id"), "seq_id", encoded)
        yield table.select(wanted)


def group_rows(path: Path) -> list[int]:
    """Count the rows of each row group of a part."""
    footer = read_metadata(path)
    return [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]


def count_rows(folder: Path) -> int:
    """Count the rows of a table from its footers."""
    return sum(read_metadata(path).num_rows for path in part_paths(folder))


def prune_parts(folder: Path, keep: Iterable[str]) -> None:
    """Remove the parts that are not to keep, and what a killed process left."""
    wanted = set(keep)
    remove_leftovers(folder)
    for path in list_paths(folder, ".parquet"):
        if path.name not in wanted:
            path.unlink()


def ensure_part(folder: Path, schema: pa.Schema) -> None:
    """Write one empty part where a table has none, so that the table can be read and shows its columns."""
    if not part_paths(folder):
        write_part(folder / "part-000000.parquet", schema.empty_table(), schema)


def checksum(path: Path) -> str:
    """Hash a file's bytes (SHA-256, its first 16 hex digits), in blocks."""
    digest = hashlib.sha256()
    with open_read(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


def read_metadata(path: Path) -> pq.FileMetaData:
    """Read what the end of a part says of it."""
    if is_local(path):
        return pq.read_metadata(path)
    with open_read(path) as file:
        return pq.read_metadata(file)


def read_rows(place: Path | Sequence[Path], columns: Sequence[str] | None = None, filters: object = None) -> pa.Table:
    """Read a table, a part or some parts at once, filtered as ``pyarrow.parquet.read_table`` does."""
    paths = list(place) if isinstance(place, Sequence) else [place]
    if all(map(is_local, paths)):
        return pq.read_table(place, columns=columns, filters=filters)
    tables = []
    for part in (part for path in paths for part in part_paths(path)):
        with open_read(part) as file:
            tables.append(pq.read_table(pa.BufferReader(file.read()), columns=columns, filters=filters))
    return pa.concat_tables(tables)


def _writer(where: Path | pa.NativeFile, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        where,
        # Dictionary-encoded columns go to Parquet as they are, which is the fast way; on disk they are plain strings.
        schemas.in_memory(schema),
        compression="zstd",
        compression_level=1,
        use_dictionary=[field.name for field in schema if field.name in _LOW_CARDINALITY],
        column_encoding={field.name: _DELTAS[field.name] for field in schema if field.name in _DELTAS} or None,
        write_statistics=[field.name for field in schema if field.name in WITH_STATISTICS],
        store_schema=False,
    )


def _write_group(writer: pq.ParquetWriter, table: pa.Table) -> None:
    if table.num_rows:
        writer.write_table(fit(table, writer.schema), row_group_size=table.num_rows)


def _open(path: Path) -> pq.ParquetFile:
    footer = read_metadata(path)
    # Only whole columns: the leaves of a list or struct column may carry the same name.
    names = {footer.schema.column(place).path for place in range(footer.num_columns)}
    encoded = [n for n in schemas.DICTIONARY if n in names]
    if is_local(path):
        return pq.ParquetFile(path, metadata=footer, read_dictionary=encoded)
    with open_read(path) as file:
        # Fetched whole, a part is small: Arrow's own threads must not be left with a Python file when Python ends.
        return pq.ParquetFile(pa.BufferReader(file.read()), metadata=footer, read_dictionary=encoded)


def fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Bring a table to the schema's columns and types."""
    columns = []
    for field in schema:
        column = table[field.name]
        if pa.types.is_dictionary(field.type) and not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        columns.append(column if column.type == field.type else column.cast(field.type))
    return pa.table(columns, schema=schema)
