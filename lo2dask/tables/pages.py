"""The pages of one column of a row group, and the footer entry that says where they are.

Source of the structs and their field numbers:
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pyarrow as pa

from lo2dask.tables.encodings import codes, differences, plain, text_pages, validity
from lo2dask.tables.thrift import BINARY, I32, I64, LIST, STRUCT, Struct, write_struct

_ZSTD = 6
_PLAIN, _RLE, _DELTAS, _CODES = 0, 3, 5, 8
# PageType, and the field of PageHeader that each has its own header in.
_DICTIONARY_PAGE, _DATA_PAGE = (2, 7), (3, 8)
_TEXT, _CODED = pa.string(), pa.dictionary(pa.int32(), pa.string())
PHYSICAL = {
    pa.bool_(): 0,
    pa.int32(): 1,
    pa.int64(): 2,
    pa.timestamp("ms"): 2,
    pa.float64(): 5,
    _TEXT: 6,
    _CODED: 6,
}
# Ascending numbers: their differences take a tenth of the place, and need no codec to get there.
DELTAS = ("line_no", "m_timestamp")
_CODEC = pa.Codec("zstd", compression_level=1)


@dataclass
class ColumnChunk:
    """The pages of one column of a row group, written to a file one behind the other."""

    file: BinaryIO
    name: str
    kind: pa.DataType
    rows: int = 0
    uncompressed: int = 0
    compressed: int = 0
    places: dict[tuple[int, int], int] = field(default_factory=dict)
    encodings: set[int] = field(default_factory=lambda: {_RLE})
    statistics: Struct | None = None

    def write(self, column: pa.ChunkedArray) -> None:
        """Write a whole column."""
        if self.kind == _TEXT:
            for piece in column.chunks:
                self._write_text(piece)
            return
        # Of a column that is not text a page holds all rows: they are few bytes.
        whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        levels, nulls = validity(whole), whole.null_count
        values = whole.drop_null() if nulls else whole
        if self.kind == _CODED:
            self._write_dictionary(whole.dictionary)
            self._write_data(len(whole), nulls, _CODES, levels, codes(values.indices, len(whole.dictionary)))
        elif self.name in DELTAS:
            self._write_data(len(whole), nulls, _DELTAS, levels, differences(values.cast(pa.int64())))
        else:
            self._write_data(len(whole), nulls, _PLAIN, levels, plain(values))

    def entry(self) -> Struct:
        """Give the footer's ColumnChunk."""
        meta: Struct = {
            1: (I32, PHYSICAL[self.kind]),
            2: (LIST, (I32, sorted(self.encodings))),
            3: (LIST, (BINARY, [self.name.encode()])),
            4: (I32, _ZSTD),
            5: (I64, self.rows),
            6: (I64, self.uncompressed),
            7: (I64, self.compressed),
            9: (I64, self.places[_DATA_PAGE]),
        }
        if _DICTIONARY_PAGE in self.places:
            meta[11] = (I64, self.places[_DICTIONARY_PAGE])
        if self.statistics:
            meta[12] = (STRUCT, self.statistics)
        return {2: (I64, 0), 3: (STRUCT, meta)}

    def _write_text(self, column: pa.StringArray) -> None:
        """Write text in pages that stay in the CPU's cache from their making to their compression."""
        row = 0
        for rows, page in text_pages(column):
            piece = column.slice(row, rows)
            self._write_data(rows, piece.null_count, _PLAIN, validity(piece), page)
            row += rows

    def _write_dictionary(self, values: pa.StringArray) -> None:
        text = b"".join(bytes(page) for _, page in text_pages(values))
        self._write(_DICTIONARY_PAGE, {1: (I32, len(values)), 2: (I32, _PLAIN)}, b"", text)
        self.encodings.add(_PLAIN)

    def _write_data(self, rows: int, nulls: int, encoding: int, levels: bytes, values: Any) -> None:
        head: Struct = {
            1: (I32, rows),
            2: (I32, nulls),
            3: (I32, rows),
            4: (I32, encoding),
            5: (I32, len(levels)),
            6: (I32, 0),
        }
        self._write(_DATA_PAGE, head, levels, values)
        self.rows += rows
        self.encodings.add(encoding)

    def _write(self, kind: tuple[int, int], head: Struct, levels: bytes, values: Any) -> None:
        body = pa.py_buffer(values)
        packed = _CODEC.compress(body)
        size, packed_size = len(levels) + body.size, len(levels) + packed.size
        header = write_struct({1: (I32, kind[0]), 2: (I32, size), 3: (I32, packed_size), kind[1]: (STRUCT, head)})
        self.places.setdefault(kind, self.file.tell())
        for part in (header, levels, packed):
            self.file.write(part)
        self.uncompressed += len(header) + size
        self.compressed += len(header) + packed_size
