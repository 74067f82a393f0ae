"""Parts of a table: written whole by rename, read back with the columns that a task needs."""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lo2dask import schema as schemas
from lo2dask.storage import is_local, list_paths, name_damage, open_read, remove_leftovers, replacing

# Statistics cost a fifth of the writing time; only these columns are ever filtered by range.
_WITH_STATISTICS = ("seq_id", "m_timestamp", "start_time")
# Ascending numbers: their differences take a tenth of the space.
_ASCENDING = ("line_no", "m_timestamp", "timestamp")
# Sorted text, of which each value shares a prefix with the one before.
_SORTED_TEXT = ("token",)
_LOW_CARDINALITY = {
    *schemas.DICTIONARY,
    *("representation", "split", "operation"),
    *("e_words_len", "e_trigrams_len", "e_chars_len", "e_lines_len"),
}
# A dictionary of tokens pays where each is repeated so often on average; others share prefixes with their neighbours.
_REPEATED = 2
# All of a block's distinct texts make one dictionary: beyond the limit Parquet falls back to plain text.
_DICTIONARY_BYTES = 1 << 30


class PartWriter:
    """Writes one part, row group by row group; the part appears when the writer closes without an error.

    Pages carry checksums (CRC). The encodings of bags follow from the first rows.
    """

    def __init__(self, where: Path | pa.NativeFile, schema: pa.Schema) -> None:
        """Begin a part, in a file or in memory, that holds the columns of ``schema`` in its order."""
        self.rows = 0
        self._schema = schema
        self._stack = contextlib.ExitStack()
        # A path of an object store is no pathlib.Path.
        in_memory = isinstance(where, pa.NativeFile)
        self._where = where if in_memory else self._stack.enter_context(replacing(where))
        self._writer: pq.ParquetWriter | None = None
        # Run before the file is renamed: an error while closing leaves no part either.
        self._stack.callback(self._close)

    def write(self, table: pa.Table) -> None:
        """Add a table as one row group; further columns than the schema's are left out."""
        if table.num_rows == 0:
            return
        table = fit(table, self._schema)
        writer = self._open(table)
        writer.write_table(table.cast(writer.schema), row_group_size=table.num_rows)
        self.rows += table.num_rows

    def _open(self, first: pa.Table) -> pq.ParquetWriter:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._where, first.schema, **_encodings(first))
        return self._writer

    def __enter__(self) -> Self:
        """Enter the block that fills the part."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; it takes its place only if the block ended well."""
        self._stack.__exit__(kind, error, trace)

    def _close(self) -> None:
        self._open(fit(self._schema.empty_table(), self._schema)).close()


def open_part(path: Path, schema: pa.Schema) -> PartWriter:
    """Open a part for writing: ``with open_part(path, schema) as part: part.write(rows)``.

    Raises
    ------
    OSError : the folder cannot be written, or the disk is full.
    """
    return PartWriter(path, schema)


def write_part(path: Path, table: pa.Table, schema: pa.Schema) -> int:
    """Write a whole part by rename; return its rows."""
    with open_part(path, schema) as part:
        part.write(table)
    return table.num_rows


def part_buffer(groups: Iterable[pa.Table], schema: pa.Schema) -> pa.Buffer:
    """Write a small part into memory, a row group for each table."""
    sink = pa.BufferOutputStream()
    with PartWriter(sink, schema) as part:
        for table in groups:
            part.write(table)
    return sink.getvalue()


def part_paths(folder: Path) -> list[Path]:
    """List the parts of a table in their order; a single file is its own part."""
    # An object store tells a file from a folder by listing: it is asked only where the listing finds no part.
    if is_local(folder) and folder.is_file():
        return [folder]
    found = list_paths(folder, ".parquet")
    return [folder] if not found and not is_local(folder) and folder.is_file() else found


def read_part(path: Path, columns: Iterable[str] | None = None) -> pa.Table:
    """Read one part, or some of its columns, low-cardinality columns dictionary-encoded.

    Raises
    ------
    IntegrityError : the part is damaged, or has no such column; the checksums of its pages are verified.
    """
    wanted = None if columns is None else list(columns)
    with name_damage(path):
        table = _open(path).read(columns=wanted)
        if missing := set(wanted or ()).difference(table.column_names):  # Arrow leaves them out
            raise ValueError(f"no column {min(missing)}")
    return table


def read_parts(folder: Path, columns: Iterable[str] | None = None) -> Iterator[pa.Table]:
    """Read a table part by part; the caller holds one part at a time."""
    wanted = None if columns is None else list(columns)
    return (read_part(path, wanted) for path in part_paths(folder))


def read_row_groups(path: Path, columns: Iterable[str], dictionary: pa.Array | None = None) -> Iterator[pa.Table]:
    """Read a part row group by row group; with ``dictionary``, seq_id is encoded by it, so that codes mean its rows."""
    file = _open(path)
    wanted = list(columns)
    for group in range(file.num_row_groups):
        with name_damage(path):
            table = file.read_row_group(group, columns=wanted, use_threads=False).unify_dictionaries()
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
    """Read the footer of a part: its schema, and the rows and columns of its row groups."""
    with name_damage(path):
        if is_local(path):
            return pq.read_metadata(path)
        with open_read(path) as file:
            return pq.read_metadata(file)


def read_rows(where: Path | Sequence[Path], columns: Sequence[str] | None = None, filters: object = None) -> pa.Table:
    """Read a table, a part or some parts, filtered as ``pyarrow.parquet.read_table`` does."""
    options = {"columns": columns, "filters": filters, "partitioning": None, "page_checksum_verification": True}
    # A row group at a time: Arrow's threads would hold a whole part, of which a filter leaves little.
    options["use_threads"] = False
    tables = []
    for part in (part for path in (where if isinstance(where, Sequence) else [where]) for part in part_paths(path)):
        with name_damage(part):
            tables.append(pq.read_table(_source(part), **options))
    return pa.concat_tables(tables)


def _encodings(table: pa.Table) -> dict[str, Any]:
    """Return the options of Parquet's writer for a table: zstd, and the encoding of each leaf column."""
    schema = table.schema
    delta = {name: "DELTA_BINARY_PACKED" for name in _ASCENDING if name in schema.names}
    delta |= {name: "DELTA_BYTE_ARRAY" for name in _SORTED_TEXT if name in schema.names}
    encoded = [field.name for field in schema if field.name in _LOW_CARDINALITY]
    for field in schema:
        if pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type):
            path = f"{field.name}.list.element."
            for item in field.type.value_type:
                if pa.types.is_integer(item.type):
                    delta[path + item.name] = "DELTA_BINARY_PACKED"
                elif _repeats(table[field.name], item.name):
                    encoded.append(path + item.name)
                elif pa.types.is_string(getattr(item.type, "value_type", item.type)):
                    delta[path + item.name] = "DELTA_BYTE_ARRAY"
    # Packed counts are as short as zstd would make them; of raw trigrams, without what they share with the one before,
    # it would save a seventh in half as much time again.
    codecs = {path: "NONE" for path in delta if path.endswith(".count")}
    codecs |= {path: "SNAPPY" for path in delta if path.startswith("e_trigrams_raw.") and path.endswith(".token")}
    return {
        "compression": {path: codecs.get(path, "ZSTD") for path in _leaves(schema)},
        "compression_level": {path: 1 for path in _leaves(schema) if path not in codecs},
        "use_dictionary": encoded,
        "column_encoding": delta or None,
        "dictionary_pagesize_limit": _DICTIONARY_BYTES,
        "write_statistics": [name for name in _WITH_STATISTICS if name in schema.names],
        "write_page_checksum": True,
        "store_schema": False,
    }


def _leaves(schema: pa.Schema) -> Iterator[str]:
    """List the leaf columns as Parquet names them."""
    for field in schema:
        items = field.type.value_type if pa.types.is_list(field.type) else None
        if items is None:
            yield field.name
        elif pa.types.is_struct(items):
            yield from (f"{field.name}.list.element.{item.name}" for item in items)
        else:
            yield f"{field.name}.list.element"


def _repeats(bags: pa.ChunkedArray, name: str) -> bool:
    """Return whether the dictionary-encoded tokens of bags are repeated often enough for a dictionary in the file."""
    items = [chunk.flatten().field(name) for chunk in bags.chunks]
    if not all(pa.types.is_dictionary(item.type) for item in items):
        return False
    return sum(len(item.dictionary) for item in items) * _REPEATED <= sum(len(item) for item in items)


def _open(path: Path) -> pq.ParquetFile:
    with name_damage(path):
        source = _source(path)
        footer = pq.read_metadata(source)
        # Only whole columns: the leaves of a list or struct column may carry the same name.
        names = {footer.schema.column(index).path for index in range(footer.num_columns)}
        encoded = [n for n in schemas.DICTIONARY if n in names]
        return pq.ParquetFile(source, metadata=footer, read_dictionary=encoded, page_checksum_verification=True)


def _source(path: Path) -> Path | pa.BufferReader:
    """Return what Arrow reads a part from: its path or, in an object store, its bytes, which are fetched at once."""
    if is_local(path):
        return path
    # Arrow's own threads must not be left with a Python file when Python ends.
    with open_read(path) as file:
        return pa.BufferReader(file.read())


def fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Bring a table to the columns of a schema, as they are written.

    Text of low cardinality comes as one dictionary, which Parquet takes as it is; on disk they are plain strings. The
    tokens of bags stay dictionary-encoded where they are.
    """
    columns = [_fitted(table[field.name], field.type) for field in schemas.in_memory(schema)]
    return pa.table(columns, names=schema.names)


def _fitted(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_dictionary(kind):
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        encoded = encoded if encoded.type == kind else encoded.cast(kind)
        # To unify dictionaries that are one already costs as much as to make it.
        is_one = all(chunk.dictionary.equals(encoded.chunk(0).dictionary) for chunk in encoded.chunks[1:])
        return encoded if is_one else encoded.unify_dictionaries()
    # Tokens of one block are one dictionary already.
    if kind == schemas.BAG and column.num_chunks == 1 and column.type == schemas.CODED_BAG:
        return column
    return column if column.type == kind else column.cast(kind)
