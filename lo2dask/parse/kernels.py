"""Kernels that find lines and read the numbers of metrics (arguments: see buffers.kernels)."""

import numpy as np
import numpy.typing as npt

from lo2dask.buffers.arrays import Ints, U64s
from lo2dask.buffers.kernels import BELOW, byte_at, compiled, equal_bytes, first_byte

Floats = npt.NDArray[np.float64]

_TAB, _RETURN, _SPACE = (np.uint8(ord(c)) for c in "\t\r ")
_ZERO, _ONE, _EIGHT = (np.uint64(n) for n in (0, 1, 8))
_TO_LOW_BIT, _TO_LOW_BYTE = np.uint64(7), np.uint64(56)
_ONES, _HIGHS = (np.uint64(0x0101010101010101 * byte) for byte in (0x01, 0x80))
_NEWLINES, _SPACES, _ESCAPES = (np.uint64(0x0101010101010101 * byte) for byte in (0x0A, 0x20, 0x1B))
_QUOTE, _COMMA, _COLON = (np.uint8(ord(c)) for c in '",:')
_OPENING, _CLOSING, _PLUS, _MINUS, _POINT, _NOUGHT, _NINE = (np.uint8(ord(c)) for c in "[]+-.09")
_EXPONENTS = (np.uint8(ord("e")), np.uint8(ord("E")))
_IN_NUMBER = np.zeros(256, dtype=np.bool_)
_IN_NUMBER[list(b"0123456789.eE-+NaInf")] = True
# A number is exact where its digits and its power of ten are doubles: one division or multiplication rounds once.
# Source: W. D. Clinger, How to Read Floating Point Numbers Accurately, PLDI 1990.
_MOST_DIGITS, _LARGEST, _TOP_POWER = 18, 1 << 53, 22
_POWERS = 10.0 ** np.arange(_TOP_POWER + 1)


@compiled
def _borrows(bytes8: np.uint64) -> np.uint64:
    """Set the high bit of a byte if some of the eight bytes is NUL, and of none if there is none."""
    return (bytes8 - _ONES) & ~bytes8


@compiled
def _count(highs: np.uint64) -> np.uint64:
    """Count the bytes whose high bit is set; no other bit is."""
    return ((highs >> _TO_LOW_BIT) * _ONES) >> _TO_LOW_BYTE


@compiled
def _is_white(byte: np.uint8) -> np.bool:
    """Return whether a byte is white space: space, or tab to carriage return."""
    return byte == _SPACE or (_TAB <= byte and byte <= _RETURN)


@compiled
def find_lines(u64: U64s, size: int, bounds: Ints, spaces: Ints) -> tuple[int, bool, bool, bool]:
    """Find the lines of a buffer of ``size`` bytes that ends with a newline; strip white space (ASCII) at their ends.

    The rows of ``bounds`` (3 x lines) take where each stripped line begins and ends, and where its newline is; a blank
    line is empty. ``spaces`` takes the spaces within each stripped line. Lines beyond their length are counted alone.

    Returns
    -------
    how many lines there are, whether they are ASCII, and whether there is a NUL and an escape byte.
    """
    at, seen, nul, escape, line, stop = _ZERO, _ZERO, _ZERO, _ZERO, 0, np.uint64(size)
    while at < stop:
        low, inner = at, _ZERO
        newlines = equal_bytes(u64[at], _NEWLINES)
        while newlines == _ZERO:
            seen |= u64[at]
            nul |= _borrows(u64[at])
            escape |= _borrows(u64[at] ^ _ESCAPES)
            inner += _count(equal_bytes(u64[at], _SPACES))
            at += _EIGHT
            newlines = equal_bytes(u64[at], _NEWLINES)
        rest = first_byte(newlines)
        last = u64[at] & BELOW[rest]
        seen |= last
        nul |= _borrows(u64[at] | ~BELOW[rest])
        escape |= _borrows(last ^ _ESCAPES)
        inner += _count(equal_bytes(last, _SPACES))
        at += rest
        high = end = at
        at += _ONE
        line += 1
        if line > len(spaces):
            continue
        while low < end and _is_white(byte_at(u64, low)):
            inner -= np.uint64(byte_at(u64, low) == _SPACE)
            low += _ONE
        while low < end and _is_white(byte_at(u64, end - _ONE)):
            end -= _ONE
            inner -= np.uint64(byte_at(u64, end) == _SPACE)
        bounds[0, line - 1], bounds[1, line - 1], bounds[2, line - 1], spaces[line - 1] = low, end, high, inner
    return line, seen & _HIGHS == _ZERO, nul & _HIGHS != _ZERO, escape & _HIGHS != _ZERO


@compiled
def _skip_white(u64: U64s, at: np.uint64) -> np.uint64:
    """Find the first byte that is no white space; indentation is most of a file."""
    while True:
        if u64[at] == _SPACES:
            at += _EIGHT
        elif _is_white(byte_at(u64, at)):
            at += _ONE
        else:
            return at


@compiled
def _digits(u64: U64s, at: np.uint64, number: np.int64, count: np.int64) -> tuple[np.uint64, np.int64, np.int64]:
    """Read on in a number's digits; return the offset after them, the number, and how many digits it has."""
    byte = byte_at(u64, at)
    while _NOUGHT <= byte and byte <= _NINE:
        if count < _MOST_DIGITS:
            number = number * 10 + np.int64(byte - _NOUGHT)
        count += 1
        at += _ONE
        byte = byte_at(u64, at)
    return at, number, count


@compiled
def _read_number(u64: U64s, at: np.uint64) -> tuple[np.uint64, float, bool]:
    """Read a number; return the offset after it, its value, and whether that is exact."""
    is_negative = byte_at(u64, at) == _MINUS
    if is_negative or byte_at(u64, at) == _PLUS:
        at += _ONE
    at, number, count = _digits(u64, at, np.int64(0), np.int64(0))
    power = 0
    if byte_at(u64, at) == _POINT:
        before = count
        at, number, count = _digits(u64, at + _ONE, number, count)
        power = before - count
    is_exact = 0 < count and count <= _MOST_DIGITS
    if byte_at(u64, at) in _EXPONENTS:
        at += _ONE
        is_down = byte_at(u64, at) == _MINUS
        if is_down or byte_at(u64, at) == _PLUS:
            at += _ONE
        at, exponent, digits = _digits(u64, at, np.int64(0), np.int64(0))
        power += -exponent if is_down else exponent
        is_exact = is_exact and 0 < digits and digits <= 3
    while _IN_NUMBER[byte_at(u64, at)]:
        at += _ONE
        is_exact = False
    if not is_exact or number > _LARGEST or power > _TOP_POWER or power < -_TOP_POWER:
        return at, 0.0, False
    value = number / _POWERS[-power] if power < 0 else number * _POWERS[power]
    return at, -value if is_negative else value, True


@compiled
def read_samples(u64: U64s, start: int, numbers: Floats, inexact: Ints) -> tuple[int, int, int]:
    """Read ``: [[time, "value"], ...]`` from an offset on, with white space anywhere.

    The buffer has eight bytes after its end, of which none is white or in a number.

    Parameters
    ----------
    numbers : takes time and value of each sample, consecutively.
    inexact : 3 x numbers, takes the index in ``numbers``, begin and end of each text that is not read exactly here.

    Returns
    -------
    the offset after the list, -1 where the text is of another shape; how many numbers and inexact ones there are.
    """
    at, count, n_inexact = _skip_white(u64, np.uint64(start)), 0, 0
    if byte_at(u64, at) != _COLON:
        return -1, 0, 0
    at = _skip_white(u64, at + _ONE)
    if byte_at(u64, at) != _OPENING:
        return -1, 0, 0
    at = _skip_white(u64, at + _ONE)
    while byte_at(u64, at) != _CLOSING:
        if count:
            if byte_at(u64, at) != _COMMA:
                return -1, 0, 0
            at = _skip_white(u64, at + _ONE)
        if byte_at(u64, at) != _OPENING:
            return -1, 0, 0
        at = _skip_white(u64, at + _ONE)
        for quoted in range(2):
            if quoted:
                at = _skip_white(u64, at)
                if byte_at(u64, at) != _COMMA:
                    return -1, 0, 0
                at = _skip_white(u64, at + _ONE)
                if byte_at(u64, at) != _QUOTE:
                    return -1, 0, 0
                at += _ONE
            begin = at
            at, numbers[count], is_exact = _read_number(u64, begin)
            if not is_exact:
                inexact[0, n_inexact], inexact[1, n_inexact], inexact[2, n_inexact] = count, begin, at
                n_inexact += 1
            count += 1
        if byte_at(u64, at) != _QUOTE:
            return -1, 0, 0
        at = _skip_white(u64, at + _ONE)
        if byte_at(u64, at) != _CLOSING:
            return -1, 0, 0
        at = _skip_white(u64, at + _ONE)
    return int(np.int64(at)) + 1, count, n_inexact  # signed, as the -1 is
