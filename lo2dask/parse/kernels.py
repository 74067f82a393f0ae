"""Loops over lines, compiled by Numba on first use (buffers.kernels says how and when)."""

import numpy as np

from lo2dask.buffers.arrays import Ints, U64s
from lo2dask.buffers.kernels import BELOW, compiled, equal_bytes, first_byte

_NEWLINE, _TAB, _RETURN, _SPACE = (np.uint8(ord(c)) for c in "\n\t\r ")
_ZERO, _ONE, _EIGHT = (np.uint64(n) for n in (0, 1, 8))
_TO_LOW_BIT, _TO_LOW_BYTE = np.uint64(7), np.uint64(56)
_ONES, _HIGHS = (np.uint64(0x0101010101010101 * byte) for byte in (0x01, 0x80))
_NEWLINES, _SPACES = (np.uint64(0x0101010101010101 * byte) for byte in (0x0A, 0x20))


@compiled
def place_times(time_ms: Ints, begin_ms: Ints, day: int, none: int, stamps: Ints) -> int:
    """Place times of day (-1 = no time) in the day-long window that begins at each line's ``begin_ms``.

    ``stamps`` takes the times, ``none`` where a line has none or its file tells no window.

    Returns
    -------
    how many lines have a time and no window.
    """
    lost = 0
    for line in range(len(time_ms)):
        stamps[line] = none
        if time_ms[line] >= 0:
            if begin_ms[line] == none:
                lost += 1
            else:
                stamps[line] = begin_ms[line] + (time_ms[line] - begin_ms[line]) % day
    return lost


@compiled
def fill_gaps(stamps: Ints, heads: Ints, tails: Ints, before: int, none: int, filled: Ints) -> None:
    """Fill a file's gaps with the time above, at its head with the first one below; clock.fill_times says more."""
    last = before
    for line in range(len(stamps)):
        if line > 0 and heads[line] == line:
            last = none
        if stamps[line] != none:
            last = stamps[line]
        filled[line] = last
    below = none
    for line in range(len(stamps) - 1, -1, -1):
        if tails[line] == line + 1:
            below = none
        if stamps[line] != none:
            below = stamps[line]
        if filled[line] == none:
            filled[line] = below


@compiled
def _borrows(word: np.uint64) -> np.uint64:
    """Set the high bit of a byte if some byte of the word is NUL, and of none if there is none."""
    return (word - _ONES) & ~word


@compiled
def _count(highs: np.uint64) -> np.uint64:
    """Count the bytes whose high bit is set; no other bit is."""
    return ((highs >> _TO_LOW_BIT) * _ONES) >> _TO_LOW_BYTE


@compiled
def _is_white(byte: np.uint8) -> np.bool:
    """Return whether a byte is white space: space, or tab to carriage return."""
    return byte == _SPACE or (_TAB <= byte and byte <= _RETURN)


@compiled
def _byte(u64: U64s, at: np.uint64) -> np.uint8:
    return np.uint8(u64[at])


@compiled
def find_lines(u64: U64s, size: int, bounds: Ints, spaces: Ints) -> tuple[int, bool, bool]:
    """Find the lines of a buffer of ``size`` bytes that ends with a newline; strip white space (ASCII) at their ends.

    The rows of ``bounds`` (3 x lines) take where each stripped line begins and ends, and where its newline is; a blank
    line is empty. ``spaces`` takes the spaces within each stripped line. Lines beyond their length are counted alone.

    Returns
    -------
    how many lines there are, whether they are ASCII, and whether there is a NUL byte.
    """
    at, seen, nul, line, behind = _ZERO, _ZERO, _ZERO, 0, np.uint64(size)
    while at < behind:
        low, inner = at, _ZERO
        found = equal_bytes(u64[at], _NEWLINES)
        while found == _ZERO:
            seen |= u64[at]
            nul |= _borrows(u64[at])
            inner += _count(equal_bytes(u64[at], _SPACES))
            at += _EIGHT
            found = equal_bytes(u64[at], _NEWLINES)
        place = first_byte(found)
        last = u64[at] & BELOW[place]
        seen |= last
        nul |= _borrows(u64[at] | ~BELOW[place])
        inner += _count(equal_bytes(last, _SPACES))
        at += place
        high = end = at
        at += _ONE
        line += 1
        if line > len(spaces):
            continue
        while low < end and _is_white(_byte(u64, low)):
            inner -= np.uint64(_byte(u64, low) == _SPACE)
            low += _ONE
        while low < end and _is_white(_byte(u64, end - _ONE)):
            end -= _ONE
            inner -= np.uint64(_byte(u64, end) == _SPACE)
        bounds[0, line - 1], bounds[1, line - 1], bounds[2, line - 1], spaces[line - 1] = low, end, high, inner
    return line, seen & _HIGHS == _ZERO, nul & _HIGHS != _ZERO
