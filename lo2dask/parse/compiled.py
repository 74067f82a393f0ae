"""Loops over every byte of a buffer, compiled by Numba on first use and kept on disk for the next process.

A buffer comes as ``words``: the little-endian words that begin at each of its bytes, eight bytes of padding behind it.
Places in it are unsigned, as Numba then leaves out the test whether an index counts from the end. Importing this takes
half a second: functions that need it import it themselves.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]

_ZERO, _ONE, _FOUR, _EIGHT, _INLINE, _HALF = (np.uint64(n) for n in (0, 1, 4, 8, 12, 32))
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
# The bytes of a word below its nth.
BELOW = np.array([(1 << (8 * n)) - 1 for n in range(8)], dtype=np.uint64)
_FIRST_SLOTS = 1 << 10
# Slices of so many bytes are told apart by so many bits of a hash of few of them; all shorter ones are of one kind.
_LONG, _LIKES, _KIND_SHIFT = np.uint64(24), 1 << 12, np.uint64(52)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function on first use; keep the code for the next process where a folder for it can be written."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither beside the package nor in the user's cache folder
        return numba.njit(nogil=True)(function)


@compiled
def copy_slices(words: Words, starts: Ints, ends: Ints, offsets: Codes, copy: Words) -> None:
    """Copy slices one behind the other, eight bytes at a time.

    ``copy`` takes the words that begin at each byte of the copy, ``offsets`` where each slice begins there, and where
    the last one ends. What is written beyond a slice the next one writes over: the copy has eight bytes more.
    """
    to = _ZERO
    for number in range(len(starts)):
        offsets[number] = to
        start, end = np.uint64(starts[number]), np.uint64(ends[number])
        shift = to - start  # a negative one wraps round, and back
        for at in range(start, end, _EIGHT):
            copy[at + shift] = words[at]
        to += end - start
    offsets[len(starts)] = to


@compiled
def view_slices(words: Words, starts: Ints, ends: Ints, views: Words) -> None:
    """Write an Arrow view of each slice into a row of ``views`` (slices x 2): length, first bytes, place.

    A slice of up to twelve bytes lies in its view whole. Source:
    https://arrow.apache.org/docs/format/Columnar.html#variable-size-binary-view-layout
    """
    for number in range(len(starts)):
        start = np.uint64(starts[number])
        length = np.uint64(ends[number]) - start
        if length > _INLINE:
            views[number, 0] = length | words[start] << _HALF
            views[number, 1] = start << _HALF
        else:
            low = words[start] & BELOW[min(length, _FOUR)]
            views[number, 0] = length | low << _HALF
            high = length - min(length, _FOUR)
            views[number, 1] = words[start + _FOUR] if high == _EIGHT else words[start + _FOUR] & BELOW[high]


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
def hash_text(words: Words, start: np.uint64, end: np.uint64) -> np.uint64:
    """Hash a slice of a buffer; each bit of the hash depends on all of its text."""
    mixed = end - start
    while start + _EIGHT <= end:
        mixed = (mixed ^ words[start]) * _MULTIPLIER
        mixed ^= mixed >> _HALF
        start += _EIGHT
    mixed = (mixed ^ (words[start] & BELOW[end - start])) * _MULTIPLIER
    return mixed ^ (mixed >> _HALF)


@compiled
def same_text(words: Words, start: np.uint64, end: np.uint64, others: Words, other: np.uint64) -> bool:
    """Tell whether a slice has the bytes of another one of its size, which lies in a buffer of its own or the same."""
    while start + _EIGHT <= end:
        if words[start] != others[other]:
            return False
        start += _EIGHT
        other += _EIGHT
    return (words[start] ^ others[other]) & BELOW[end - start] == _ZERO


@compiled
def copy_text(words: Words, start: np.uint64, end: np.uint64, copy: Words, to: np.uint64) -> np.uint64:
    """Copy a slice by whole words; give the place behind it. Up to eight bytes beyond it are written over."""
    shift = to - start  # a negative one wraps round, and back
    for at in range(start, end, _EIGHT):
        copy[at + shift] = words[at]
    return to + end - start


@compiled
def encode_slices(words: Words, starts: Ints, ends: Ints, codes: Codes, firsts: Ints) -> int:
    """Number the distinct slices of a buffer in the order of their first places.

    ``codes`` takes each slice's number, ``firsts`` the first slice with each number; both have a place for each slice.
    Equal hashes are not taken for equal text: the bytes are compared.

    Returns
    -------
    how many distinct slices there are.
    """
    found = 0
    hashes = np.empty(_FIRST_SLOTS, dtype=np.uint64)
    slots = np.full(_FIRST_SLOTS, -1, dtype=np.int32)
    # What a log repeats it mostly repeats soon: the last number of each of so many kinds of slices is tried first.
    likes = np.full(_LIKES, -1, dtype=np.int32)
    for number in range(len(starts)):
        start, end = np.uint64(starts[number]), np.uint64(ends[number])
        kind = _ZERO
        if end - start >= _LONG:
            kind = (words[start + _EIGHT] ^ words[end - _EIGHT]) * _MULTIPLIER
            kind = (kind ^ (end - start)) * _MULTIPLIER >> _KIND_SHIFT
        if likes[kind] >= 0:
            first = firsts[likes[kind]]
            other = np.uint64(starts[first])
            if np.uint64(ends[first]) - other == end - start and same_text(words, start, end, words, other):
                codes[number] = likes[kind]
                continue
        mixed = hash_text(words, start, end)
        last = np.uint64(len(slots) - 1)
        slot = mixed & last
        while slots[slot] >= 0:
            first = firsts[slots[slot]]
            other = np.uint64(starts[first])
            if hashes[slot] == mixed and np.uint64(ends[first]) - other == end - start:
                if same_text(words, start, end, words, other):
                    break
            slot = (slot + _ONE) & last
        if slots[slot] < 0:
            slots[slot], hashes[slot], firsts[found] = found, mixed, number
            found += 1
        codes[number] = likes[kind] = slots[slot]
        if 2 * found > len(slots):
            slots, hashes = _grown(slots, hashes)
    return found


@compiled
def _grown(slots: Codes, hashes: Words) -> tuple[Codes, Words]:
    """Spread a hash table over four times the slots."""
    more = np.full(4 * len(slots), -1, dtype=np.int32)
    spread = np.empty(len(more), dtype=np.uint64)
    last = np.uint64(len(more) - 1)
    for old in range(len(slots)):
        if slots[old] >= 0:
            slot = hashes[old] & last
            while more[slot] >= 0:
                slot = (slot + _ONE) & last
            more[slot], spread[slot] = slots[old], hashes[old]
    return more, spread
