"""Loops over text that numpy cannot do in one pass, compiled by Numba (parse.compiled says how and when)."""

import numpy as np
import numpy.typing as npt

from lo2dask.buffers.arrays import Codes, Ints, U64s
from lo2dask.buffers.kernels import compiled, copy_text, equal_bytes, first_byte, same_text

Bytes = npt.NDArray[np.uint8]

_ZERO, _ONE, _TWO, _EIGHT = (np.uint64(n) for n in (0, 1, 2, 8))
_SPACES, _NEWLINES = (np.uint64(0x0101010101010101 * byte) for byte in (0x20, 0x0A))
_SPACE, _NEWLINE, _DASH = np.uint8(0x20), np.uint8(0x0A), np.uint8(0x2D)
_AT = np.uint8(0x40)
# Beginnings of texts are told apart by so many bits of a hash of their 9th to 24th bytes: most are one logger's.
_MULTIPLIER, _LIKES, _KIND_BITS = np.uint64(0x9E3779B97F4A7C15), 1 << 10, np.uint64(54)
# What each byte is, as bits: a character of a word, a hexadecimal digit, one of lower case.
_WORD, _HEX, _LOW_HEX = 1, 2, 4
_KINDS = np.zeros(256, dtype=np.int64)
_KINDS[list(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")] = _WORD
_KINDS[list(b"0123456789abcdefABCDEF")] |= _HEX
_KINDS[list(b"0123456789abcdef")] |= _LOW_HEX
# A UUID: 8, 4, 4 and 4 digits, each group with a dash after it, then the tail of up to 12.
_DASHES, _TAIL, _LONGEST = (8, 13, 18, 23), 24, 36
# The runs of digits that an identifier may begin with.
_SHORTEST, _LONGEST_RUN = 5, 8


@compiled
def add_windows(
    text: Bytes, slices: Ints, numbers: npt.NDArray[np.uint64], counts: Codes, cells: Codes, filled: int
) -> int:
    """Add the windows of three bytes within each slice to ``counts``, and list the cells that were empty before.

    The rows of ``slices`` (3 x slices) say where each begins and ends, and how often it counts. ``numbers`` numbers the
    256 bytes; the last of it says how many numbers there are, n: the window of the numbers a, b, c has the cell
    ``(a * n + b) * n + c``.

    Returns
    -------
    how many places of ``cells`` are filled, of which ``filled`` were before.
    """
    size = numbers[256]
    square = size * size
    for number in range(slices.shape[1]):
        # Unsigned, as Numba then leaves out the test whether an index counts from the end.
        start, stop, weight = np.uint64(slices[0, number]), np.uint64(slices[1, number]), slices[2, number]
        if start + _TWO >= stop:
            continue
        first, second = numbers[text[start]], numbers[text[start + _ONE]]
        for at in range(start + _TWO, stop):
            third = numbers[text[at]]
            cell = first * square + second * size + third
            first, second = second, third
            if counts[cell] == 0:
                cells[filled] = cell
                filled += 1
            counts[cell] += weight
    return filled


@compiled
def mark_bytes(text: Bytes, slices: Ints, seen: npt.NDArray[np.bool_]) -> None:
    """Mark the bytes that occur in slices of a text."""
    for number in range(slices.shape[1]):
        for at in range(np.uint64(slices[0, number]), np.uint64(slices[1, number])):
            seen[text[at]] = True


@compiled
def count_gaps(text: Bytes) -> int:
    """Count the spaces and newlines of a text."""
    gaps = 0
    for byte in text:
        gaps += (byte == _SPACE) | (byte == _NEWLINE)
    return gaps


@compiled
def split_words(u64: U64s, offsets: Ints, borders: Ints, places: Ints, bounds: Ints) -> int:
    """Split texts on every space and newline; two of them hold an empty word between them.

    A word is the same slice as the word at its place of an earlier text with a like beginning, where the two agree:
    what one statement of the code wrote differs in few u64.

    Parameters
    ----------
    words : the words (in the machine's sense) that begin at each byte of the texts.
    offsets : the borders of the texts, one more than texts.
    borders : takes where each text's words begin among ``places``, and where the last one's end.
    places : takes the place of each word among the slices.
    bounds : takes the slices: where each begins and ends (2 x slices).

    Returns
    -------
    how many slices there are.
    """
    found, filled = 0, 0
    # The last text of each of so many kinds of beginnings.
    likes = np.full(_LIKES, -1, dtype=np.int64)
    borders[0] = 0
    for number in range(len(offsets) - 1):
        at, behind = np.uint64(offsets[number]), np.uint64(offsets[number + 1])
        kind = (u64[at + _EIGHT] ^ u64[at + _EIGHT + _EIGHT]) * _MULTIPLIER >> _KIND_BITS
        like, likes[kind] = likes[kind], number
        before, last_before = (borders[like], borders[like + 1]) if like >= 0 else (0, 0)
        while True:
            begin = at
            gaps = equal_bytes(u64[at], _SPACES) | equal_bytes(u64[at], _NEWLINES)
            while gaps == _ZERO and at < behind:
                at += _EIGHT
                gaps = equal_bytes(u64[at], _SPACES) | equal_bytes(u64[at], _NEWLINES)
            at = min(at + first_byte(gaps), behind) if gaps else behind
            same = False
            if before < last_before:
                place = places[before]
                other = np.uint64(bounds[0, place])
                if np.uint64(bounds[1, place]) - other == at - begin:
                    same = same_text(u64, begin, at, u64, other)
                before += 1
            if not same:
                place = found
                bounds[0, found], bounds[1, found] = begin, at
                found += 1
            places[filled] = place
            filled += 1
            if at == behind:
                break
            at += _ONE
        borders[number + 1] = filled
    return found


@compiled
def _uuid_end(u64: U64s, at: int, end: int) -> int:
    """Find where a UUID ends that begins at a place; the place itself if there is none."""
    if at + _TAIL >= end:
        return at
    for place in range(_TAIL):
        byte = np.uint8(u64[at + place])
        if byte != _DASH if place in _DASHES else not _KINDS[byte] & _HEX:
            return at
    last = at + _TAIL
    while last < end and last < at + _LONGEST and _KINDS[np.uint8(u64[last])] & _HEX:
        last += 1
    return last if last > at + _TAIL else at


@compiled
def _is(u64: U64s, at: int, kind: int) -> bool:
    return _KINDS[np.uint8(u64[at])] & kind != 0


@compiled
def _identifier(u64: U64s, first: int, begin: int, behind: int, end: int) -> tuple[int, int]:
    """Tell what a run of hexadecimal digits in the text ``first`` to ``end`` begins: (placeholder or -1, its end)."""
    is_longest = behind - begin == _LONGEST_RUN
    before = np.uint8(u64[begin - 1]) if begin > first else _SPACE
    if is_longest and behind < end and np.uint8(u64[behind]) == _DASH and not _KINDS[before] & _WORD:
        last = _uuid_end(u64, begin, end)
        if last > begin:
            return 0, last
    for at in range(begin, behind):
        if not _is(u64, at, _LOW_HEX):
            return -1, behind
    if before == _AT:
        return 1, behind
    return (2 if is_longest else -1), behind


@compiled
def mask_identifiers(u64: U64s, offsets: Ints, placeholders: U64s, copy: U64s, ends: Ints) -> None:
    r"""Copy texts consecutively, UUIDs, object hashes and hexadecimal identifiers in them replaced, in order.

    They are what these match: ``\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{1,12}``,
    ``@[0-9a-f]{5,8}\b`` and ``\b[0-9a-f]{8}\b``. Each begins with a run of five to eight digits that is no part of a
    longer word, and no such run lies between two bytes that are no digits and less than six apart: so one byte in five
    is looked at, and text is copied between what is replaced.

    Parameters
    ----------
    words : the words that begin at each byte of the texts.
    offsets : the borders of the texts, one more than texts.
    placeholders : 3 x 2, each placeholder (a hash's without its @) as a word, and its size.
    copy : takes the words that begin at each byte of the copies.
    ends : takes where each copy ends.
    """
    to = _ZERO
    for number in range(len(offsets) - 1):
        first, end = offsets[number], offsets[number + 1]
        copied = first  # what stands before it is copied or replaced
        at = first + _SHORTEST - 1
        while at < end:
            if not _is(u64, at, _HEX):
                at += _SHORTEST
                continue
            begin, behind = at, at + 1
            while begin > copied and _is(u64, begin - 1, _HEX):
                begin -= 1
            while behind < end and _is(u64, behind, _HEX):
                behind += 1
            at = behind + _SHORTEST
            if behind - begin < _SHORTEST or behind - begin > _LONGEST_RUN:
                continue
            if behind < end and _is(u64, behind, _WORD) or begin > copied and _is(u64, begin - 1, _WORD):
                continue
            found, last = _identifier(u64, first, begin, behind, end)
            if found >= 0:
                to = copy_text(u64, np.uint64(copied), np.uint64(begin), copy, to)
                copy[to] = placeholders[found, 0]
                to += placeholders[found, 1]
                # The masks after see a placeholder before what follows: it begins a word.
                copied, at = last, last + _SHORTEST - 1
        to = copy_text(u64, np.uint64(copied), np.uint64(end), copy, to)
        ends[number] = to
