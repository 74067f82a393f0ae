"""Parquet's encodings of one column's values as the bytes of a page.

Source: https://parquet.apache.org/docs/file-format/data-pages/encodings/
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lo2dask.buffers.padded import as_u64, padded_text
from lo2dask.tables.thrift import varint

Bytes = npt.NDArray[np.uint8]
# Fills a page from a row on: the first row left out, and the page's size.
PutPage = Callable[[int, npt.NDArray[np.uint64]], tuple[int, int]]

# Text is cut into pages that stay in the CPU's cache from their making to their compression.
PAGE_BYTES = 1 << 20
# Equal codes are written as runs where those are so long on average.
_LONG_RUN = 16
# A block of differences: 128 of them in 4 miniblocks, each with a width of its own. It takes at most a number of ten
# bytes, the widths, and eight bytes a difference.
_BLOCK, _MINIBLOCKS = 128, 4
_BLOCK_MOST = 10 + _MINIBLOCKS + 8 * _BLOCK
_VARINT_MOST = 10


def text_pages(column: pa.StringArray | pa.StringViewArray, size: int = PAGE_BYTES) -> Iterator[tuple[int, Bytes]]:
    """Encode the strings of a column that are not null, page by page (PLAIN): (rows, bytes); the rows count nulls too.

    A page takes ``size`` bytes, or one string that is longer. Its bytes are overwritten by those of the next.
    """
    if len(column) == 0:
        return
    if pa.types.is_string(column.type):
        longest, put = _from_offsets(column)
    elif column.null_count == 0 and len(column.buffers()) == 3:
        longest, put = _from_views(column)
    else:
        longest, put = _from_offsets(column.cast(pa.string()))
    # A string's last word may reach beyond it.
    page = np.empty(max(size, 4 + longest) + 16, dtype=np.uint8)
    row = 0
    while row < len(column):
        end, size = put(row, as_u64(page, writeable=True))
        yield end - row, page[:size]
        row = end


def _from_offsets(column: pa.StringArray) -> tuple[int, PutPage]:
    """Return the longest string's size and how a page is filled with strings that lie consecutively."""
    from lo2dask.tables.compiled import put_text

    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int32)[column.offset : column.offset + len(column) + 1]
    valid = _truths(column.is_valid()) if column.null_count else np.empty(0, dtype=bool)
    text = _eight(data)
    return int(np.diff(bounds).max()), partial(put_text, as_u64(text), len(text), bounds, valid)


def _from_views(column: pa.StringViewArray) -> tuple[int, PutPage]:
    """Do the same for views of one buffer, of which none is null."""
    from lo2dask.tables.compiled import put_views

    _, found, data = column.buffers()
    views = np.frombuffer(found, dtype=np.uint8)[16 * column.offset : 16 * (column.offset + len(column))]
    text = _eight(data)
    longest = int(views.view(np.int32)[::4].max())
    return longest, partial(put_views, as_u64(text), len(text), as_u64(views))


def _eight(data: pa.Buffer | None) -> Bytes:
    """View a buffer's bytes; one of less than a word is copied into one."""
    text = np.frombuffer(data, dtype=np.uint8) if data else np.empty(0, dtype=np.uint8)
    return text if len(text) >= 8 else np.append(text, np.zeros(8 - len(text), dtype=np.uint8))


def text(column: pa.StringArray) -> Bytes:
    """Encode the strings of a column without nulls as one page (PLAIN)."""
    if len(column) == 0:
        return np.empty(0, dtype=np.uint8)
    bounds = np.frombuffer(column.buffers()[1], dtype=np.int32)
    size = int(bounds[column.offset + len(column)] - bounds[column.offset]) + 4 * len(column)
    return next(page for _, page in text_pages(column, size))


def suffixes(column: pa.StringArray) -> Bytes:
    """Encode the strings of a column without nulls by what each shares with the one before (DELTA_BYTE_ARRAY)."""
    from lo2dask.tables.compiled import put_suffixes

    text, offsets = padded_text(column)
    lengths, page = np.empty((2, len(column)), dtype=np.int32), np.empty_like(text)
    size = put_suffixes(as_u64(text), offsets, lengths, as_u64(page, writeable=True))
    return np.concatenate([differences(lengths[0]), differences(lengths[1]), page[:size]])


def codes(column: pa.Array, most: int) -> bytes:
    """Encode codes below ``most`` (RLE_DICTIONARY): their width, then the codes."""
    width = max(1, (most - 1).bit_length())
    return bytes([width]) + hybrid(column.to_numpy(), width)


def hybrid(values: npt.NDArray[np.int32], width: int) -> bytes:
    """Encode numbers of ``width`` bits (RLE): as runs of equal ones, or all packed bit by bit where runs are short."""
    from lo2dask.tables.compiled import pack_bits, put_runs

    runs = 1 + np.count_nonzero(values[1:] != values[:-1])
    if runs * _LONG_RUN <= len(values):
        out = np.empty(runs * (_VARINT_MOST + 4), dtype=np.uint8)
        return bytes(out[: put_runs(values, (width + 7) // 8, out)])
    groups = -(-len(values) // 8)
    packed = np.zeros(groups * width // 4 + 1, dtype="<u4")
    pack_bits(values, width, packed)
    return varint(groups << 1 | 1) + packed.tobytes()[: groups * width]


def repeated(value: int, count: int) -> bytes:
    """Encode ``count`` times one number of at most eight bits (RLE)."""
    return varint(count << 1) + bytes([value])


def flags(mask: npt.NDArray[np.bool_]) -> bytes:
    """Encode mask as numbers of one bit (RLE), all of them packed."""
    bits = np.packbits(mask, bitorder="little")
    return varint(len(bits) << 1 | 1) + bytes(bits)


def validity(column: pa.Array) -> bytes:
    """Encode which rows of a column are not null, as definition levels of one bit."""
    if column.null_count == 0:
        return repeated(1, len(column))
    if column.offset:
        return flags(_truths(column.is_valid()))
    # Arrow packs them as Parquet does, but for what lies after the last one.
    bits = np.frombuffer(column.buffers()[0], dtype=np.uint8)[: -(-len(column) // 8)].copy()
    bits[-1] &= 0xFF >> -len(column) % 8
    return varint(len(bits) << 1 | 1) + bytes(bits)


def differences(values: npt.NDArray[np.int32 | np.int64]) -> Bytes:
    """Encode whole numbers by their differences (DELTA_BINARY_PACKED)."""
    from lo2dask.tables.compiled import put_differences

    head = np.frombuffer(varint(_BLOCK) + varint(_MINIBLOCKS) + varint(len(values)), dtype=np.uint8)
    out = np.empty(len(head) + _VARINT_MOST + -(-len(values) // _BLOCK) * _BLOCK_MOST + 8, dtype=np.uint8)
    out[: len(head)] = head
    return out[: put_differences(values, out, as_u64(out, writeable=True), len(head))]


def plain(column: pa.Array) -> npt.NDArray[Any]:
    """Encode numbers or mask (PLAIN): a number as it lies in memory, a truth as one bit."""
    return np.packbits(_truths(column), bitorder="little") if pa.types.is_boolean(column.type) else column.to_numpy()


def _truths(column: pa.BooleanArray) -> npt.NDArray[np.bool_]:
    return column.to_numpy(zero_copy_only=False)
