"""Reads the numbers of a range query's ``"values"`` in one pass (parse.compiled says what words are)."""

import numpy as np
import numpy.typing as npt

from lo2dask.buffers.arrays import Ints, U64s
from lo2dask.buffers.kernels import compiled

Floats = npt.NDArray[np.float64]

_SPACE, _TAB, _RETURN, _QUOTE, _COMMA, _COLON = (np.uint8(ord(c)) for c in ' \t\r",:')
_OPENING, _CLOSING, _PLUS, _MINUS, _POINT, _ZERO, _NINE = (np.uint8(ord(c)) for c in "[]+-.09")
_EXPONENTS = (np.uint8(ord("e")), np.uint8(ord("E")))
_SPACES, _ONE, _EIGHT = np.uint64(0x2020202020202020), np.uint64(1), np.uint64(8)
_IN_NUMBER = np.zeros(256, dtype=np.bool_)
_IN_NUMBER[list(b"0123456789.eE-+NaInf")] = True
# A number is exact where its digits and its power of ten are doubles: one division or multiplication rounds once.
# Source: W. D. Clinger, How to Read Floating Point Numbers Accurately, PLDI 1990.
_MOST_DIGITS, _LARGEST, _TOP_POWER = 18, 1 << 53, 22
_POWERS = 10.0 ** np.arange(_TOP_POWER + 1)


@compiled
def _byte(u64: U64s, at: np.uint64) -> np.uint8:
    return np.uint8(u64[at])


@compiled
def _skip_white(u64: U64s, at: np.uint64) -> np.uint64:
    """Find the first byte that is no white space; indentation is most of a file."""
    while True:
        if u64[at] == _SPACES:
            at += _EIGHT
        elif _byte(u64, at) == _SPACE or (_TAB <= _byte(u64, at) and _byte(u64, at) <= _RETURN):
            at += _ONE
        else:
            return at


@compiled
def _digits(u64: U64s, at: np.uint64, number: int, count: int) -> tuple[np.uint64, int, int]:
    """Read on in a number's digits: the place after them, the number, and how many digits it has."""
    byte = _byte(u64, at)
    while _ZERO <= byte and byte <= _NINE:
        if count < _MOST_DIGITS:
            number = number * 10 + int(byte - _ZERO)
        count += 1
        at += _ONE
        byte = _byte(u64, at)
    return at, number, count


@compiled
def _read_number(u64: U64s, at: np.uint64) -> tuple[np.uint64, float, bool]:
    """Read a number: the place after it, its value, and whether that is exact."""
    is_negative = _byte(u64, at) == _MINUS
    if is_negative or _byte(u64, at) == _PLUS:
        at += _ONE
    at, number, count = _digits(u64, at, 0, 0)
    power = 0
    if _byte(u64, at) == _POINT:
        before = count
        at, number, count = _digits(u64, at + _ONE, number, count)
        power = before - count
    is_exact = 0 < count and count <= _MOST_DIGITS
    if _byte(u64, at) in _EXPONENTS:
        at += _ONE
        is_down = _byte(u64, at) == _MINUS
        if is_down or _byte(u64, at) == _PLUS:
            at += _ONE
        at, exponent, places = _digits(u64, at, 0, 0)
        power += -exponent if is_down else exponent
        is_exact = is_exact and 0 < places and places <= 3
    while _IN_NUMBER[_byte(u64, at)]:
        at += _ONE
        is_exact = False
    if not is_exact or number > _LARGEST or power > _TOP_POWER or power < -_TOP_POWER:
        return at, 0.0, False
    value = number / _POWERS[-power] if power < 0 else number * _POWERS[power]
    return at, -value if is_negative else value, True


@compiled
def read_samples(u64: U64s, at: int, numbers: Floats, odd: Ints) -> tuple[int, int, int]:
    """Read ``: [[time, "value"], ...]`` from a place on, with white space anywhere.

    The buffer has room for a word after its end, of which no byte is white or in a number.

    Parameters
    ----------
    numbers : takes time and value of each sample, consecutively.
    odd : 3 x numbers, takes the place in ``numbers``, begin and end of each text that is not read exactly here.

    Returns
    -------
    the place after the list, -1 where the text is of another shape; how many numbers and how many odd ones there are.
    """
    place, count, strange = _skip_white(u64, np.uint64(at)), 0, 0
    if _byte(u64, place) != _COLON:
        return -1, 0, 0
    place = _skip_white(u64, place + _ONE)
    if _byte(u64, place) != _OPENING:
        return -1, 0, 0
    place = _skip_white(u64, place + _ONE)
    while _byte(u64, place) != _CLOSING:
        if count:
            if _byte(u64, place) != _COMMA:
                return -1, 0, 0
            place = _skip_white(u64, place + _ONE)
        if _byte(u64, place) != _OPENING:
            return -1, 0, 0
        place = _skip_white(u64, place + _ONE)
        for quoted in range(2):
            if quoted:
                place = _skip_white(u64, place)
                if _byte(u64, place) != _COMMA:
                    return -1, 0, 0
                place = _skip_white(u64, place + _ONE)
                if _byte(u64, place) != _QUOTE:
                    return -1, 0, 0
                place += _ONE
            begin = place
            place, numbers[count], is_exact = _read_number(u64, begin)
            if not is_exact:
                odd[0, strange], odd[1, strange], odd[2, strange] = count, begin, place
                strange += 1
            count += 1
        if _byte(u64, place) != _QUOTE:
            return -1, 0, 0
        place = _skip_white(u64, place + _ONE)
        if _byte(u64, place) != _CLOSING:
            return -1, 0, 0
        place = _skip_white(u64, place + _ONE)
    return int(np.int64(place)) + 1, count, strange  # signed, as the -1 is
