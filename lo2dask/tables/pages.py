"""The pages of one leaf column of a row group, and the footer entry that says where they are.

Source of the structs and their field numbers:
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lo2dask.tables.encodings import codes, differences, flags, hybrid, plain, suffixes, text, text_pages, validity
from lo2dask.tables.thrift import BINARY, FALSE, I32, I64, LIST, STRUCT, TRUE, Struct, write_struct

_ZSTD = 6
_PLAIN, _RLE, _DELTAS, _SUFFIXES, _CODES = 0, 3, 5, 7, 8
# PageType, and the field of PageHeader that each has its own header in.
_DICTIONARY_PAGE, _DATA_PAGE = (2, 7), (3, 8)
_TEXT, _CODED = pa.string(), pa.dictionary(pa.int32(), pa.string())
PHYSICAL = {
    pa.bool_(): 0,
    pa.int32(): 1,
    pa.int64(): 2,
    pa.timestamp("ms"): 2,
    pa.timestamp("us"): 2,
    pa.float64(): 5,
    _TEXT: 6,
    _CODED: 6,
}
# Ascending numbers: their differences take a tenth of the place, and need no codec to get there.
DELTAS = ("line_no", "m_timestamp", "timestamp")
# A dictionary pays where its strings are repeated so often on average.
_REPEATED = 2
# Pages of lists hold whole lists, and about so many items.
LIST_ITEMS = 1 << 20
# Definition levels of a list of structs: 1 = an empty list, 4 = an item's field. They take three bits.
_EMPTY, _PRESENT, _LEVEL_BITS = 1, 4, 3
_CODEC = pa.Codec("zstd", compression_level=1)


@dataclass(frozen=True)
class Levels:
    """What a page says of its rows next to their values: levels are encoded, nulls (or empty lists) are no values."""

    rows: int
    values: int
    nulls: int
    repetition: bytes
    definition: bytes


def list_pages(lists: pa.ListArray) -> list[tuple[Levels, slice]]:
    """Cut a column of lists of structs, nothing in it null, into pages: their levels, and the items that they hold.

    Raises
    ------
    ValueError : a list is null.
    """
    if lists.null_count:
        raise ValueError(f"{lists.null_count} null lists")
    offsets = lists.offsets.to_numpy() - lists.offsets[0].as_py()
    pages, first = [], 0
    while first < len(lists):
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + LIST_ITEMS, side="right")) - 1)
        pages.append((_levels(np.diff(offsets[first : last + 1])), slice(int(offsets[first]), int(offsets[last]))))
        first = last
    return pages


def _levels(lengths: npt.NDArray[np.int32]) -> Levels:
    """Return the levels of lists: repetition is 1 but for a list's first item, an empty list stands as one value."""
    places = np.maximum(lengths, 1)
    values = int(places.sum())
    begins = np.cumsum(places) - places
    repeats = np.ones(values, dtype=bool)
    repeats[begins] = False
    empty = lengths == 0
    definition = np.full(values, _PRESENT, dtype=np.int32)
    definition[begins[empty]] = _EMPTY
    return Levels(len(lengths), values, int(empty.sum()), flags(repeats), hybrid(definition, _LEVEL_BITS))


@dataclass
class ColumnChunk:
    """The pages of one leaf column of a row group, written to a file consecutively."""

    file: BinaryIO
    path: tuple[str, ...]
    kind: pa.DataType
    values: int = 0
    uncompressed: int = 0
    compressed: int = 0
    places: dict[tuple[int, int], int] = field(default_factory=dict)
    encodings: set[int] = field(default_factory=lambda: {_RLE})
    statistics: Struct | None = None

    def write(self, column: pa.ChunkedArray) -> None:
        """Write a flat column."""
        if self.kind == _TEXT:
            for piece in column.chunks:
                self._write_text(piece)
            return
        # Of a column that is not text a page holds all rows: they are few bytes.
        whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        if self.kind == _CODED:
            self._write_dictionary(whole.dictionary)
            self._write_data(_CODES, _flat(whole), codes(whole.indices.drop_null(), len(whole.dictionary)))
            return
        found = whole.drop_null() if whole.null_count else whole
        if self.path[0] in DELTAS:
            numbers = found.cast(pa.int64()) if pa.types.is_timestamp(found.type) else found
            self._write_data(_DELTAS, _flat(whole), differences(numbers.to_numpy()))
        else:
            self._write_data(_PLAIN, _flat(whole), plain(found))

    def write_items(self, pages: list[tuple[Levels, slice]], items: pa.Array) -> None:
        """Write one field, never null, of the structs that the lists of a column hold."""
        if self.kind == _CODED and len(items.dictionary) * _REPEATED > len(items):
            items = items.cast(_TEXT)
        if items.type == _CODED:
            self._write_dictionary(items.dictionary)
        for levels, place in pages:
            if items.type == _CODED:
                # Packed codes are as short as zstd would make them.
                body = codes(items.indices[place], len(items.dictionary))
                self._write_data(_CODES, levels, body, is_compressed=False)
            elif items.type == _TEXT:
                # Tokens come in byte order, and share half of their bytes with the one before.
                self._write_data(_SUFFIXES, levels, suffixes(items[place]))
            elif pa.types.is_integer(items.type):
                # Small numbers: packed they take little more place than zstd leaves, and a fifth of its time.
                self._write_data(_DELTAS, levels, differences(items[place].to_numpy()), is_compressed=False)
            else:
                self._write_data(_PLAIN, levels, plain(items[place]))

    def entry(self) -> Struct:
        """Return the footer's ColumnChunk."""
        meta: Struct = {
            1: (I32, PHYSICAL[self.kind]),
            2: (LIST, (I32, sorted(self.encodings))),
            3: (LIST, (BINARY, [name.encode() for name in self.path])),
            4: (I32, _ZSTD),
            5: (I64, self.values),
            6: (I64, self.uncompressed),
            7: (I64, self.compressed),
            9: (I64, self.places[_DATA_PAGE]),
        }
        if _DICTIONARY_PAGE in self.places:
            meta[11] = (I64, self.places[_DICTIONARY_PAGE])
        if self.statistics:
            meta[12] = (STRUCT, self.statistics)
        return {2: (I64, 0), 3: (STRUCT, meta)}

    def _write_text(self, column: pa.StringArray | pa.StringViewArray) -> None:
        """Write text in pages that stay in the CPU's cache from their making to their compression."""
        row = 0
        for rows, page in text_pages(column):
            self._write_data(_PLAIN, _flat(column.slice(row, rows)), page)
            row += rows

    def _write_dictionary(self, values: pa.StringArray) -> None:
        self._write(_DICTIONARY_PAGE, {1: (I32, len(values)), 2: (I32, _PLAIN)}, b"", text(values), True)
        self.encodings.add(_PLAIN)

    def _write_data(self, encoding: int, levels: Levels, body: Any, is_compressed: bool = True) -> None:
        head: Struct = {
            1: (I32, levels.values),
            2: (I32, levels.nulls),
            3: (I32, levels.rows),
            4: (I32, encoding),
            5: (I32, len(levels.definition)),
            6: (I32, len(levels.repetition)),
            7: (TRUE, TRUE) if is_compressed else (FALSE, FALSE),
        }
        self._write(_DATA_PAGE, head, levels.repetition + levels.definition, body, is_compressed)
        self.values += levels.values
        self.encodings.add(encoding)

    def _write(self, kind: tuple[int, int], head: Struct, levels: bytes, values: Any, is_compressed: bool) -> None:
        body = pa.py_buffer(values)
        stored = _CODEC.compress(body) if is_compressed else body
        size, stored_size = len(levels) + body.size, len(levels) + stored.size
        header = write_struct({1: (I32, kind[0]), 2: (I32, size), 3: (I32, stored_size), kind[1]: (STRUCT, head)})
        self.places.setdefault(kind, self.file.tell())
        for part in (header, levels, stored):
            self.file.write(part)
        self.uncompressed += len(header) + size
        self.compressed += len(header) + stored_size


def _flat(column: pa.Array) -> Levels:
    return Levels(len(column), len(column), column.null_count, b"", validity(column))
