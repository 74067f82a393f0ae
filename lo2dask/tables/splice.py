"""Makes a Parquet part of columns of other parts without decoding them.

Enhancement learns the template id of each event when the whole tree has been read. To write a part again with one
column more would cost as much as loading it. But the bytes of a column lie together and the footer says where: they are
copied as they are, column by column, and a new footer goes after them. Source of the field numbers:
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

import contextlib
import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from lo2dask.errors import IntegrityError
from lo2dask.storage import is_local, open_read, replacing
from lo2dask.tables.thrift import Reader, Struct, write_struct

MAGIC = b"PAR1"
# FileMetaData, SchemaElement, RowGroup, ColumnChunk, ColumnMetaData: the fields that change.
_SCHEMA, _ROW_GROUPS, _KEY_VALUES, _COLUMN_ORDERS = 2, 4, 5, 7
_NAME, _CHILDREN = 4, 5
_COLUMNS, _BYTES, _ROWS, _GROUP_OFFSET, _COMPRESSED = 1, 2, 3, 5, 6
_FILE_OFFSET, _META = 2, 3
_UNCOMPRESSED_SIZE, _COMPRESSED_SIZE = 6, 7
_OFFSETS = (9, 10, 11)
# Where page indexes and Bloom filters lie, which are not copied: ColumnChunk 4 to 7, ColumnMetaData 14 and 15.
_PAGE_INDEX, _BLOOM_FILTER = (4, 5, 6, 7), (14, 15)


@dataclass(frozen=True)
class Column:
    """A column of a file: its schema elements, and for each leaf its order and its chunk in each row group."""

    file: BinaryIO
    elements: list[Struct]
    orders: list[Any]
    chunks: list[list[Struct]]


@dataclass
class Footer:
    """A file's metadata and the place where its column bytes end."""

    fields: Struct
    data_end: int

    def groups(self) -> list[Struct]:
        """Return the row groups."""
        return self.fields[_ROW_GROUPS][1][1]

    def rows(self) -> list[int]:
        """Count the rows of each row group."""
        return [group[_ROWS][1] for group in self.groups()]

    def columns(self, file: BinaryIO) -> dict[str, Column]:
        """Take the footer apart by the names of its columns; a nested one has several leaves."""
        elements, orders = self.fields[_SCHEMA][1][1], self.fields[_COLUMN_ORDERS][1][1]
        found, at, leaf = {}, 1, 0
        while at < len(elements):
            end = _behind(elements, at)
            leaves = slice(leaf, leaf + sum(_CHILDREN not in element for element in elements[at:end]))
            chunks = [group[_COLUMNS][1][1][leaves] for group in self.groups()]
            found[elements[at][_NAME][1].decode()] = Column(file, elements[at:end], orders[leaves], chunks)
            at, leaf = end, leaves.stop
        return found


def read_footer(file: BinaryIO) -> Footer:
    """Read the footer of a Parquet file.

    Raises
    ------
    IntegrityError : it is no Parquet file.
    """
    end = file.seek(0, 2) - 8
    file.seek(max(end, 0))
    tail = file.read(8)
    size, magic = struct.unpack("<I4s", tail) if len(tail) == 8 else (0, b"")
    if magic != MAGIC or size > end:
        raise IntegrityError("no Parquet footer")
    file.seek(end - size)
    try:
        fields = Reader(file.read(size)).struct()
    except (IndexError, ValueError) as error:  # it ends too early, or has types that Parquet has not
        raise IntegrityError("no Parquet footer") from error
    return Footer(fields, end - size)


def add_columns(path: Path, added: pa.Buffer, names: list[str], base: list[str]) -> None:
    """Add the columns ``names`` of another part (parts.part_buffer) to a part, by rename.

    Columns beyond ``base`` that an earlier call added are replaced.

    Raises
    ------
    IntegrityError : the new columns' rows are not those of the part's row groups.
    """
    splice(path, [path, added], [*base, *names])


def splice(path: Path, sources: Sequence[Path | pa.Buffer], names: Sequence[str]) -> None:
    """Write a part, by rename, of the columns ``names`` of parts with the same row groups; later sources go first.

    A column that replaces another must have its type. Key-value metadata is left out: an Arrow schema in it would be
    that of one source, and some readers see the columns that it names alone.

    Raises
    ------
    IntegrityError : the sources' row groups have other rows than the first one's.
    """
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(_open(source)) for source in sources]
        footers = [read_footer(file) for file in files]
        columns: dict[str, Column] = {}
        for file, footer in zip(files, footers, strict=True):
            if footer.rows() != footers[0].rows():
                raise IntegrityError(
                    f"{path}: row groups of {footers[0].rows()} rows, the new columns have {footer.rows()}"
                )
            columns |= footer.columns(file)
        with replacing(path) as temporary, open(temporary, "wb") as new:
            _write(new, footers[0].fields, [columns[name] for name in names])


def _open(source: Path | pa.Buffer) -> BinaryIO:
    if isinstance(source, pa.Buffer):
        return io.BytesIO(source)
    if is_local(source):
        return open_read(source)
    # Asked for piece by piece, an object would cost a request for each column.
    with open_read(source) as file:
        return io.BytesIO(file.read())


def _behind(elements: list[Struct], at: int) -> int:
    """Return the place after a schema element and all that is below it."""
    end = at + 1
    for _ in range(elements[at][_CHILDREN][1] if _CHILDREN in elements[at] else 0):
        end = _behind(elements, end)
    return end


def _write(new: BinaryIO, fields: Struct, columns: list[Column]) -> None:
    """Write the columns' chunks and a footer, which is ``fields`` with all that says where and what columns are."""
    new.write(MAGIC)
    for number, group in enumerate(fields[_ROW_GROUPS][1][1]):
        start = new.tell()
        chunks = []
        for column in columns:
            for chunk in column.chunks[number]:
                _copy_chunk(column.file, chunk, new)
                chunks.append(chunk)
        group[_COLUMNS][1][1][:] = chunks
        totals = {_BYTES: _sum(chunks, _UNCOMPRESSED_SIZE), _COMPRESSED: _sum(chunks, _COMPRESSED_SIZE)}
        for field, value in (totals | {_GROUP_OFFSET: start}).items():
            if field in group:
                group[field] = (group[field][0], value)
    elements = fields[_SCHEMA][1][1]
    elements[0][_CHILDREN] = (elements[0][_CHILDREN][0], len(columns))
    elements[1:] = [element for column in columns for element in column.elements]
    fields.pop(_KEY_VALUES, None)
    fields[_COLUMN_ORDERS][1][1][:] = [order for column in columns for order in column.orders]
    body = write_struct(fields)
    new.write(body + struct.pack("<I", len(body)) + MAGIC)


def _copy_chunk(file: BinaryIO, chunk: Struct, new: BinaryIO) -> None:
    """Copy a chunk's pages, and let its footer entry say where they now are."""
    meta = chunk[_META][1]
    for fields, dropped in ((chunk, _PAGE_INDEX), (meta, _BLOOM_FILTER)):
        for number in dropped:
            fields.pop(number, None)
    places = [number for number in _OFFSETS if number in meta and meta[number][1] > 0]
    start = min(meta[number][1] for number in places)
    shift = new.tell() - start
    for fields, numbers in ((meta, places), (chunk, [_FILE_OFFSET] if chunk[_FILE_OFFSET][1] > 0 else [])):
        for number in numbers:
            fields[number] = (fields[number][0], fields[number][1] + shift)
    file.seek(start)
    left = meta[_COMPRESSED_SIZE][1]
    while left > 0 and (block := file.read(min(left, 1 << 20))):
        new.write(block)
        left -= len(block)


def _sum(chunks: list[Struct], field: int) -> int:
    return sum(chunk[_META][1][field][1] for chunk in chunks)
