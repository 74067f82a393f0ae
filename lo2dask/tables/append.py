"""Adds columns to a Parquet part without decoding the ones that are there.

Enhancement learns the template id of each event when the whole tree has been read. To write a part again with one
column more would cost as much as loading it. But the bytes of a column lie together and the footer says where: the
new columns' bytes go behind the old ones, and a new footer behind those. Source of the field numbers:
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from lo2dask.errors import IntegrityError
from lo2dask.storage import editing, replacing
from lo2dask.tables.parts import PartWriter
from lo2dask.tables.thrift import Reader, Struct, write_struct

_MAGIC = b"PAR1"
# FileMetaData, SchemaElement, RowGroup, ColumnChunk, ColumnMetaData: the fields that change.
_SCHEMA, _ROW_GROUPS, _COLUMN_ORDERS = 2, 4, 7
_NAME, _CHILDREN = 4, 5
_COLUMNS, _BYTES, _ROWS, _COMPRESSED = 1, 2, 3, 6
_FILE_OFFSET, _META = 2, 3
_UNCOMPRESSED_SIZE, _COMPRESSED_SIZE = 6, 7
_OFFSETS = (9, 10, 11)


@dataclass
class Footer:
    """A file's metadata and the place where its column bytes end."""

    fields: Struct
    data_end: int

    def names(self) -> list[str]:
        """Name the file's columns, all of them flat."""
        return [element[_NAME][1].decode() for element in self.fields[_SCHEMA][1][1][1:]]

    def groups(self) -> list[Struct]:
        """Give the row groups."""
        return self.fields[_ROW_GROUPS][1][1]


def read_footer(file: BinaryIO) -> Footer:
    """Read the footer of a Parquet file.

    Raises
    ------
    IntegrityError : it is no Parquet file.
    """
    end = file.seek(-8, 2)
    size, magic = struct.unpack("<I4s", file.read(8))
    if magic != _MAGIC or size > end:
        raise IntegrityError("no Parquet footer")
    file.seek(end - size)
    return Footer(Reader(file.read(size)).struct(), end - size)


def add_columns(path: Path, groups: Iterable[pa.Table], schema: pa.Schema, base: list[str]) -> None:
    """Add the columns of ``schema`` to a part, by rename; ``groups`` are tables of them, one per row group.

    Columns beyond ``base`` that an earlier call added are replaced. An object is fetched, and put back whole.

    Raises
    ------
    IntegrityError : the new columns' rows are not those of the part's row groups.
    """
    with editing(path) as local:
        _add_columns(local, groups, schema, base)


def _add_columns(path: Path, groups: Iterable[pa.Table], schema: pa.Schema, base: list[str]) -> None:
    extra_path = path.with_name(f".{path.name}.extra.tmp")
    with PartWriter(extra_path, schema) as writer:
        for table in groups:
            writer.write(table)
    try:
        with open(path, "rb") as old, open(extra_path, "rb") as extra, replacing(path) as temporary:
            footer, added = read_footer(old), read_footer(extra)
            _keep_columns(footer, len(base))
            _check_rows(path, footer, added)
            with open(temporary, "wb") as new:
                old.seek(0)
                _copy(old, new, footer.data_end)
                extra.seek(len(_MAGIC))
                _copy(extra, new, added.data_end - len(_MAGIC))
                _merge(footer, added, footer.data_end - len(_MAGIC))
                body = write_struct(footer.fields)
                new.write(body + struct.pack("<I", len(body)) + _MAGIC)
    finally:
        extra_path.unlink(missing_ok=True)


def _keep_columns(footer: Footer, count: int) -> None:
    """Forget the columns behind the first ``count``, whose bytes lie behind all others."""
    if len(footer.names()) == count:
        return
    for group in footer.groups():
        chunks = group[_COLUMNS][1][1]
        dropped = [chunk[_META][1] for chunk in chunks[count:]]
        starts = [meta[number][1] for meta in dropped for number in _OFFSETS if number in meta and meta[number][1] > 0]
        footer.data_end = min(footer.data_end, *starts)
        _grow(group, dropped, -1)
        del chunks[count:]
    del footer.fields[_SCHEMA][1][1][count + 1 :]
    del footer.fields[_COLUMN_ORDERS][1][1][count:]
    _count_children(footer)


def _merge(footer: Footer, added: Footer, shift: int) -> None:
    """Take the other footer's columns over, moved by ``shift`` bytes."""
    for group, other in zip(footer.groups(), added.groups(), strict=True):
        metas = []
        for chunk in other[_COLUMNS][1][1]:
            meta = chunk[_META][1]
            for number in _OFFSETS:
                if number in meta and meta[number][1] > 0:
                    meta[number] = (meta[number][0], meta[number][1] + shift)
            if chunk[_FILE_OFFSET][1] > 0:
                chunk[_FILE_OFFSET] = (chunk[_FILE_OFFSET][0], chunk[_FILE_OFFSET][1] + shift)
            metas.append(meta)
            group[_COLUMNS][1][1].append(chunk)
        _grow(group, metas, 1)
    footer.fields[_SCHEMA][1][1].extend(added.fields[_SCHEMA][1][1][1:])
    footer.fields[_COLUMN_ORDERS][1][1].extend(added.fields[_COLUMN_ORDERS][1][1])
    _count_children(footer)


def _count_children(footer: Footer) -> None:
    root = footer.fields[_SCHEMA][1][1][0]
    root[_CHILDREN] = (root[_CHILDREN][0], len(footer.names()))


def _grow(group: Struct, metas: list[Struct], sign: int) -> None:
    for total, part in ((_BYTES, _UNCOMPRESSED_SIZE), (_COMPRESSED, _COMPRESSED_SIZE)):
        if total in group:
            size = sum(meta[part][1] for meta in metas)
            group[total] = (group[total][0], group[total][1] + sign * size)


def _check_rows(path: Path, footer: Footer, added: Footer) -> None:
    there, new = ([group[_ROWS][1] for group in one.groups()] for one in (footer, added))
    if there != new:
        raise IntegrityError(f"{path}: row groups of {there} rows, the new columns have {new}")


def _copy(source: BinaryIO, target: Any, count: int) -> None:
    while count > 0 and (block := source.read(min(count, 1 << 20))):
        target.write(block)
        count -= len(block)
