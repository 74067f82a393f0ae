"""Loops over every byte of a buffer, compiled by Numba on first use and kept on disk for the next process.

A buffer comes as ``u64``: the little-endian 64-bit numbers that begin at each of its bytes (buffers.padded).
Offsets into it are unsigned, as Numba then leaves out the test whether an index counts from the end. Importing this
takes half a second: functions that need it import it themselves.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from lo2dask.buffers.arrays import Codes, Ints, U64s

_ZERO, _ONE, _EIGHT, _HALF = (np.uint64(n) for n in (0, 1, 8, 32))
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
# The bits of the first n bytes of a number.
BELOW = np.array([(1 << (8 * n)) - 1 for n in range(8)], dtype=np.uint64)
_ONES, _LOWS = (np.uint64(0x0101010101010101 * byte) for byte in (0x01, 0x7F))
_TO_LOW_BYTE = np.uint64(56)
_FIRST_SLOTS = 1 << 10
# Slices of so many bytes are told apart by so many bits of a hash of few of them; all shorter ones are of one kind.
_LONG, _LIKES, _KIND_SHIFT = np.uint64(24), 1 << 12, np.uint64(52)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function on first use; keep the code for the next process where a folder for it can be written."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither next to the package nor in the user's cache folder
        return numba.njit(nogil=True)(function)


@compiled
def copy_slices(u64: U64s, starts: Ints, ends: Ints, offsets: Codes, copy: U64s) -> None:
    """Copy slices consecutively, eight bytes at a time.

    ``copy`` takes the words that begin at each byte of the copy, ``offsets`` where each slice begins there, and where
    the last one ends. What is written beyond a slice the next one writes over: the copy has eight bytes more.
    """
    to = _ZERO
    for number in range(len(starts)):
        offsets[number] = to
        start, end = np.uint64(starts[number]), np.uint64(ends[number])
        shift = to - start  # a negative one wraps round, and back
        for at in range(start, end, _EIGHT):
            copy[at + shift] = u64[at]
        to += end - start
    offsets[len(starts)] = to


@compiled
def hash_text(u64: U64s, start: np.uint64, end: np.uint64) -> np.uint64:
    """Hash a slice of a buffer; each bit of the hash depends on all of its text."""
    mixed = end - start
    while start + _EIGHT <= end:
        mixed = (mixed ^ u64[start]) * _MULTIPLIER
        mixed ^= mixed >> _HALF
        start += _EIGHT
    mixed = (mixed ^ (u64[start] & BELOW[end - start])) * _MULTIPLIER
    return mixed ^ (mixed >> _HALF)


@compiled
def same_text(u64: U64s, start: np.uint64, end: np.uint64, others: U64s, other: np.uint64) -> bool:
    """Return whether a slice has the bytes of another one of its size, in the same buffer or in another."""
    while start + _EIGHT <= end:
        if u64[start] != others[other]:
            return False
        start += _EIGHT
        other += _EIGHT
    return (u64[start] ^ others[other]) & BELOW[end - start] == _ZERO


@compiled
def copy_text(u64: U64s, start: np.uint64, end: np.uint64, copy: U64s, to: np.uint64) -> np.uint64:
    """Copy a slice by whole words; return the place after it. Up to eight bytes beyond it are written over."""
    shift = to - start  # a negative one wraps round, and back
    for at in range(start, end, _EIGHT):
        copy[at + shift] = u64[at]
    return to + end - start


@compiled
def encode_slices(u64: U64s, starts: Ints, ends: Ints, codes: Codes, firsts: Ints) -> int:
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
            kind = (u64[start + _EIGHT] ^ u64[end - _EIGHT]) * _MULTIPLIER
            kind = (kind ^ (end - start)) * _MULTIPLIER >> _KIND_SHIFT
        if likes[kind] >= 0:
            first = firsts[likes[kind]]
            other = np.uint64(starts[first])
            if np.uint64(ends[first]) - other == end - start and same_text(u64, start, end, u64, other):
                codes[number] = likes[kind]
                continue
        mixed = hash_text(u64, start, end)
        last = np.uint64(len(slots) - 1)
        slot = mixed & last
        while slots[slot] >= 0:
            first = firsts[slots[slot]]
            other = np.uint64(starts[first])
            if hashes[slot] == mixed and np.uint64(ends[first]) - other == end - start:
                if same_text(u64, start, end, u64, other):
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
def _grown(slots: Codes, hashes: U64s) -> tuple[Codes, U64s]:
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


@compiled
def byte_at(u64: U64s, at: np.uint64) -> np.uint8:
    """Return one byte of a buffer."""
    return np.uint8(u64[at])


@compiled
def equal_bytes(word: np.uint64, pattern: np.uint64) -> np.uint64:
    """Set the high bit of each byte of a word that equals the pattern's."""
    apart = word ^ pattern
    return ~(((apart & _LOWS) + _LOWS) | apart | _LOWS)


@compiled
def first_byte(highs: np.uint64) -> np.uint64:
    """Number the lowest byte whose high bit is set; there is one."""
    below = (highs & (~highs + _ONE)) - _ONE
    return (((below & _ONES) * _ONES) >> _TO_LOW_BYTE) - _ONE
