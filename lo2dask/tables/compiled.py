"""The loops of Parquet's encodings, compiled by Numba (parse.compiled says how)."""

import numpy as np
import numpy.typing as npt

from lo2dask.buffers.kernels import common_bytes, compiled, copy_text

Bytes = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
U64s = npt.NDArray[np.uint64]

_BLOCK, _MINIBLOCK = 128, 32
_FOUR, _SEVEN, _EIGHT = (np.uint64(n) for n in (4, 7, 8))
_INLINE, _HALF, _WORD, _LOW_HALF = (np.uint64(n) for n in (12, 32, 64, 0xFFFFFFFF))
_LOW_SEVEN, _MORE, _ZERO, _ONE = (np.uint64(n) for n in (0x7F, 0x80, 0, 1))


@compiled
def _word(u64: U64s, at: np.uint64, last: np.uint64) -> np.uint64:
    """Return the word that begins at a byte of a text; one that begins after the last whole one is its upper bytes."""
    return u64[at] if at <= last else u64[last] >> (_EIGHT * (at - last))


@compiled
def put_text(u64: U64s, size: int, offsets: Codes, valid: Bools, row: int, page: U64s) -> tuple[int, int]:
    """Fill a page with strings from a row on, each after its length; return the first row left out and the page's size.

    ``u64`` and ``page`` are the words that begin at each byte; the text has ``size`` bytes. Text is copied by whole
    words where that does not read beyond it; what is written beyond a string the next one writes over. ``valid`` tells
    which strings are not null, and is empty where none is.
    """
    at, room, last = _ZERO, np.uint64(len(page) - 1), np.uint64(max(size - 8, 0))
    rows = len(offsets) - 1
    while row < rows:
        if len(valid) and not valid[row]:
            row += 1
            continue
        start, end = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        length = end - start
        if at + _FOUR + length > room:
            break
        page[at] = length
        at += _FOUR
        shift = at - start  # a negative one wraps round, and back
        for place in range(start, end, _EIGHT):
            page[place + shift] = _word(u64, place, last)
        at += length
        row += 1
    return row, int(at)


@compiled
def put_views(u64: U64s, size: int, views: U64s, row: int, page: U64s) -> tuple[int, int]:
    """Do what :func:`put_text` does for Arrow's views, all of one buffer; ``views`` holds their words at each byte."""
    at, room, last = _ZERO, np.uint64(len(page) - 1), np.uint64(max(size - 8, 0))
    rows = (len(views) + 7) // 16
    while row < rows:
        view = np.uint64(16 * row)
        length = views[view] & _LOW_HALF
        if at + _FOUR + length > room:
            break
        page[at] = length
        at += _FOUR
        if length <= _INLINE:
            page[at] = views[view + _FOUR]
            if length > _EIGHT:  # there may be no room for a second word that is not needed
                page[at + _EIGHT] = views[view + _EIGHT] >> _HALF
        else:
            start = views[view + _EIGHT] >> _HALF
            shift = at - start
            for place in range(start, start + length, _EIGHT):
                page[place + shift] = _word(u64, place, last)
        at += length
        row += 1
    return row, int(at)


@compiled
def put_suffixes(u64: U64s, offsets: Ints, lengths: Codes, page: U64s) -> int:
    """Fill a page with what strings of a padded text do not share with the one before; return the page's size.

    The rows of ``lengths`` (2 x strings) take how many bytes each shares, and how many it does not.
    """
    at = before = before_size = _ZERO
    for row in range(len(offsets) - 1):
        start, end = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        shared = common_bytes(u64, start, before, min(end - start, before_size))
        lengths[0, row], lengths[1, row] = shared, end - start - shared
        at = copy_text(u64, start + shared, end, page, at)
        before, before_size = start, end - start
    return int(at)


@compiled
def put_varint(value: np.uint64, out: Bytes, at: int) -> int:
    """Write a number seven bits a byte, the lowest first; return the place after it."""
    while value > _LOW_SEVEN:
        out[at] = (value & _LOW_SEVEN) | _MORE
        value >>= _SEVEN
        at += 1
    out[at] = value
    return at + 1


@compiled
def put_runs(codes: Codes, width_bytes: int, out: Bytes) -> int:
    """Write codes as runs: twice the length, then the code in whole bytes; return the size."""
    at, row = 0, 0
    while row < len(codes):
        end = row + 1
        while end < len(codes) and codes[end] == codes[row]:
            end += 1
        at = put_varint(np.uint64(2 * (end - row)), out, at)
        for byte in range(width_bytes):
            out[at] = (codes[row] >> (8 * byte)) & 0xFF
            at += 1
        row = end
    return at


@compiled
def pack_bits(codes: Codes, width: int, out: Codes) -> None:
    """Write the low ``width`` bits of each code, at most 32, from the lowest bit on; ``out`` has room for them all."""
    waiting, bits, at, wide = _ZERO, _ZERO, 0, np.uint64(width)
    for code in codes:
        waiting |= np.uint64(code) << bits
        bits += wide
        if bits >= _HALF:
            out[at] = waiting & _LOW_HALF
            waiting >>= _HALF
            bits -= _HALF
            at += 1
    if bits > _ZERO:
        out[at] = waiting & _LOW_HALF


@compiled
def _zigzag(value: np.int64) -> np.uint64:
    return (np.uint64(value) << _ONE) ^ np.uint64(value >> np.int64(63))


@compiled
def _bit_length(value: np.uint64) -> np.uint64:
    bits = _ZERO
    while value > _ZERO:
        value >>= _ONE
        bits += _ONE
    return bits


@compiled
def put_differences(values: Ints | Codes, out: Bytes, u64: U64s, at: int) -> int:
    """Write the first value, and the differences in blocks; return the place after them.

    Differences wrap round at 64 bits, as the format has it. ``u64`` are those that begin at each byte of ``out``.
    """
    at = put_varint(_zigzag(np.int64(values[0])) if len(values) else _ZERO, out, at)
    steps = np.empty(_BLOCK, dtype=np.uint64)
    for first in range(1, len(values), _BLOCK):
        count = min(_BLOCK, len(values) - first)
        before, least, most = np.int64(values[first - 1]), np.int64(0x7FFFFFFFFFFFFFFF), np.int64(-0x8000000000000000)
        for place in range(np.uint64(count)):
            value = np.int64(values[np.uint64(first) + place])
            step = value - before
            steps[place] = np.uint64(step)
            least, most, before = min(least, step), max(most, step), value
        at = put_varint(_zigzag(least), out, at)
        widths = at
        out[widths : widths + _BLOCK // _MINIBLOCK] = 0
        at += _BLOCK // _MINIBLOCK
        if least == most:
            continue
        for place in range(np.uint64(count)):
            steps[place] -= np.uint64(least)
        steps[count:] = 0
        for mini in range(-(-count // _MINIBLOCK)):
            block = steps[mini * _MINIBLOCK : (mini + 1) * _MINIBLOCK]
            bits = _ZERO
            for step in block:
                bits |= step
            width = _bit_length(bits)
            out[widths + mini] = width
            _put_bits(block, width, u64, at)
            at += _MINIBLOCK // 8 * int(width)
    return at


@compiled
def _put_bits(values: U64s, width: np.uint64, u64: U64s, at: int) -> None:
    """Write 32 numbers of ``width`` bits from the lowest bit on.

    ``u64`` are those that begin at each byte of what is written.
    """
    if width == _ZERO:
        return
    place, waiting, bits = np.uint64(at), _ZERO, _ZERO
    for value in values:
        waiting |= value << bits
        bits += width
        if bits >= _WORD:
            u64[place] = waiting
            place += _EIGHT
            bits -= _WORD
            waiting = value >> (width - bits) if bits > _ZERO else _ZERO
    if bits > _ZERO:  # half a word
        u64[place] = waiting
