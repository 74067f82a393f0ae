"""Loops over text that numpy cannot do in one pass, compiled by Numba (parse.compiled says how and when)."""

import numpy as np
import numpy.typing as npt

from lo2dask.parse.compiled import Codes, Ints, compiled

Bytes = npt.NDArray[np.uint8]

_ONE, _TWO = np.uint64(1), np.uint64(2)
_SPACE, _NEWLINE, _DASH = np.uint8(0x20), np.uint8(0x0A), np.uint8(0x2D)
_IS_HEX = np.zeros(256, dtype=np.bool_)
_IS_HEX[list(b"0123456789abcdefABCDEF")] = True
_IS_WORD = np.zeros(256, dtype=np.bool_)
_IS_WORD[list(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")] = True
# A UUID: 8, 4, 4 and 4 digits, each group with a dash behind it, then the tail of up to 12.
_DASHES, _TAIL, _LONGEST = (8, 13, 18, 23), 24, 36
_FIRST_DASH = _DASHES[0]


@compiled
def add_windows(
    text: Bytes, slices: Ints, numbers: npt.NDArray[np.uint64], counts: Codes, cells: Ints, filled: int
) -> int:
    """Add the windows of three bytes within each slice to ``counts``, and list the cells that were empty before.

    The rows of ``slices`` (3 x slices) say where each begins and ends, and how often it counts. The columns of
    ``numbers`` (256 x 3) say what a byte at a window's first, second and third place adds to the number of its cell.

    Returns
    -------
    how many places of ``cells`` are filled, of which ``filled`` were before.
    """
    for number in range(slices.shape[1]):
        # Unsigned, as Numba then leaves out the test whether an index counts from the end.
        start, stop, weight = np.uint64(slices[0, number]), np.uint64(slices[1, number]), slices[2, number]
        for at in range(start + _TWO, stop):
            cell = numbers[text[at - _TWO], 0] + numbers[text[at - _ONE], 1] + numbers[text[at], 2]
            if counts[cell] == 0:
                cells[filled] = cell
                filled += 1
            counts[cell] += weight
    return filled


@compiled
def mark_bytes(text: Bytes, seen: npt.NDArray[np.bool_]) -> None:
    """Mark the bytes that occur in a text."""
    for byte in text:
        seen[byte] = True


@compiled
def count_gaps(text: Bytes) -> int:
    """Count the spaces and newlines of a text."""
    gaps = 0
    for byte in text:
        gaps += (byte == _SPACE) | (byte == _NEWLINE)
    return gaps


@compiled
def split_words(text: Bytes, offsets: Ints, bounds: Ints) -> None:
    """Split each of several texts on every space and newline; two of them hold an empty word between them.

    ``offsets`` are the borders of the texts, one more than texts. The rows of ``bounds`` (3 x words) take where each
    word begins and ends, and the number of its text.
    """
    word = 0
    for number in range(len(offsets) - 1):
        bounds[0, word] = offsets[number]
        for at in range(offsets[number], offsets[number + 1]):
            if text[at] == _SPACE or text[at] == _NEWLINE:
                bounds[1, word], bounds[2, word] = at, number
                word += 1
                bounds[0, word] = at + 1
        bounds[1, word], bounds[2, word] = offsets[number + 1], number
        word += 1


@compiled
def _uuid_end(text: Bytes, at: int, end: int) -> int:
    """Find where a UUID ends that begins at a place; the place itself if there is none."""
    if at + _TAIL >= end:
        return at
    for place in range(_TAIL):
        byte = text[at + place]
        if byte != _DASH if place in _DASHES else not _IS_HEX[byte]:
            return at
    last = at + _TAIL
    while last < end and last < at + _LONGEST and _IS_HEX[text[last]]:
        last += 1
    return last if last > at + _TAIL else at


@compiled
def replace_uuids(text: Bytes, offsets: Ints, placeholder: Bytes, copy: Bytes, ends: Ints) -> None:
    r"""Copy texts one behind the other, each UUID in them replaced.

    A UUID is what ``\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{1,12}`` matches, and
    the placeholder is not longer than the shortest. ``offsets`` are the borders of the texts in ``text``, one more than
    texts; ``ends`` takes where each copy ends.
    """
    to = 0
    for number in range(len(offsets) - 1):
        at, end = offsets[number], offsets[number + 1]
        free = at  # behind the last UUID: none begins before it
        while at < end:
            begin = at - _FIRST_DASH
            if text[at] == _DASH and begin >= free and (begin == offsets[number] or not _IS_WORD[text[begin - 1]]):
                behind = _uuid_end(text, begin, end)
                if behind > begin:
                    to -= _FIRST_DASH
                    for byte in placeholder:
                        copy[to] = byte
                        to += 1
                    at = free = behind
                    continue
            copy[to] = text[at]
            to += 1
            at += 1
        ends[number] = to
