"""Finds lines and headers in one pass each over the words of a buffer (parse.compiled says what those are).

A pass that stops where a field ends replaces a dozen numpy passes that each find all places of one kind.
"""

import numpy as np

from lo2dask.parse.compiled import BELOW, Ints, Words, compiled

_NEWLINE, _TAB, _RETURN, _SPACE, _OPENING, _CLOSING, _DASH, _A, _Z = (np.uint8(ord(c)) for c in "\n\t\r []-AZ")
_ZERO, _ONE, _THREE, _EIGHT = (np.uint64(n) for n in (0, 1, 3, 8))
_TO_LOW_BIT, _TO_LOW_BYTE = np.uint64(7), np.uint64(56)
_ONES, _HIGHS, _LOWS = (np.uint64(0x0101010101010101 * byte) for byte in (0x01, 0x80, 0x7F))
_NEWLINES, _SPACES = (np.uint64(0x0101010101010101 * byte) for byte in (0x0A, 0x20))
# A time of day as two overlapping words, "HH:MM:SS" and "M:SS.mmm", and the least and the most that each of their bytes
# may be.
_TIME_SIZE, _TIME_TAIL = np.uint64(12), np.uint64(4)
_LEAST, _MOST, _TAIL_LEAST, _TAIL_MOST = (
    np.frombuffer(text, dtype="<u8")[0] for text in (b"00:00:00", b"29:59:59", b"0:00.000", b"9:59.999")
)
_DIGITS, _THOUSANDTHS = np.uint64(0x0F0F000F0F000F0F), np.uint64(40)
_SHORTEST_LEVEL, _LONGEST_LEVEL = np.uint64(4), np.uint64(5)


@compiled
def equal_bytes(word: np.uint64, pattern: np.uint64) -> np.uint64:
    """Set the high bit of each byte of a word that equals the pattern's."""
    apart = word ^ pattern
    return ~(((apart & _LOWS) + _LOWS) | apart | _LOWS)


@compiled
def _borrows(word: np.uint64) -> np.uint64:
    """Set the high bit of a byte if some byte of the word is NUL, and of none if there is none."""
    return (word - _ONES) & ~word


@compiled
def _count(highs: np.uint64) -> np.uint64:
    """Count the bytes whose high bit is set; no other bit is."""
    return ((highs >> _TO_LOW_BIT) * _ONES) >> _TO_LOW_BYTE


@compiled
def first_byte(highs: np.uint64) -> np.uint64:
    """Number the lowest byte whose high bit is set; there is one."""
    below = (highs & (~highs + _ONE)) - _ONE
    return (((below & _ONES) * _ONES) >> _TO_LOW_BYTE) - _ONE


@compiled
def common_bytes(words: Words, one: np.uint64, other: np.uint64, most: np.uint64) -> np.uint64:
    """Count the bytes, at most so many, in which two texts agree before the first one in which they do not."""
    for at in range(_ZERO, most, _EIGHT):
        others = equal_bytes(words[one + at], words[other + at]) ^ _HIGHS
        if others != _ZERO:
            return min(at + first_byte(others), most)
    return most


@compiled
def _is_white(byte: np.uint8) -> np.bool:
    """Tell whether a byte is white space: space, or tab to carriage return."""
    return byte == _SPACE or (_TAB <= byte and byte <= _RETURN)


@compiled
def _byte(words: Words, at: np.uint64) -> np.uint8:
    return np.uint8(words[at])


@compiled
def find_lines(words: Words, size: int, bounds: Ints, spaces: Ints) -> tuple[int, bool, bool]:
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
        found = equal_bytes(words[at], _NEWLINES)
        while found == _ZERO:
            seen |= words[at]
            nul |= _borrows(words[at])
            inner += _count(equal_bytes(words[at], _SPACES))
            at += _EIGHT
            found = equal_bytes(words[at], _NEWLINES)
        place = first_byte(found)
        last = words[at] & BELOW[place]
        seen |= last
        nul |= _borrows(words[at] | ~BELOW[place])
        inner += _count(equal_bytes(last, _SPACES))
        at += place
        high = end = at
        at += _ONE
        line += 1
        if line > len(spaces):
            continue
        while low < end and _is_white(_byte(words, low)):
            inner -= np.uint64(_byte(words, low) == _SPACE)
            low += _ONE
        while low < end and _is_white(_byte(words, end - _ONE)):
            end -= _ONE
            inner -= np.uint64(_byte(words, end) == _SPACE)
        bounds[0, line - 1], bounds[1, line - 1], bounds[2, line - 1], spaces[line - 1] = low, end, high, inner
    return line, seen & _HIGHS == _ZERO, nul & _HIGHS != _ZERO


@compiled
def _time_of_day(words: Words, at: np.uint64) -> int:
    """Read ``HH:MM:SS.mmm`` in ms; -1 if it is none.

    All bytes of a word are checked at once: where one is below its least or above its most, the lowest such byte sets
    its high bit in one of the two differences, and only then can a borrow touch the others.
    """
    head, tail = words[at], words[at + _TIME_TAIL]
    apart = (head - _LEAST) | (_MOST - head) | (tail - _TAIL_LEAST) | (_TAIL_MOST - tail)
    if apart & _HIGHS != _ZERO:
        return -1
    digits = int(head & _DIGITS)
    pairs = digits * 10 + (digits >> 8)
    hours, minutes, seconds = pairs & 0xFF, (pairs >> 24) & 0xFF, (pairs >> 48) & 0xFF
    rest = int(tail >> _THOUSANDTHS)
    ms = (rest & 0x0F) * 100 + ((rest >> 8) & 0x0F) * 10 + ((rest >> 16) & 0x0F)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms if hours < 24 else -1


@compiled
def _next_space(words: Words, at: np.uint64, end: np.uint64) -> np.uint64:
    """Find the first space from a place on, at most the end."""
    while at < end:
        found = equal_bytes(words[at], _SPACES)
        if found != _ZERO:
            return min(at + first_byte(found), end)
        at += _EIGHT
    return end


@compiled
def _thread_end(words: Words, at: np.uint64, end: np.uint64) -> np.uint64:
    """Find the first closing bracket with two spaces behind it; the end if there is none."""
    space = _next_space(words, at, end)
    while space + _ONE < end:
        if space > at and _byte(words, space - _ONE) == _CLOSING and _byte(words, space + _ONE) == _SPACE:
            return space - _ONE
        space = _next_space(words, space + _ONE, end)
    return end


@compiled
def _method_end(words: Words, level: np.uint64, end: np.uint64) -> np.uint64:
    """Find where the method of ``LEVEL logger method - message`` ends; the end if it is no such text."""
    level_end = _next_space(words, level, end)
    if level_end < level + _SHORTEST_LEVEL or level_end > level + _LONGEST_LEVEL:
        return end
    for at in range(level, level_end):
        if _byte(words, at) < _A or _byte(words, at) > _Z:
            return end
    logger = level_end + _ONE
    if logger < end and _byte(words, logger) == _SPACE:  # "INFO " and "WARN " are padded to five characters
        logger += _ONE
    logger_end = _next_space(words, logger, end)
    method_end = _next_space(words, logger_end + _ONE, end)
    if logger_end == logger or method_end <= logger_end + _ONE:
        return end
    # A line that ends behind its dash has an empty message, stripped of the space before it.
    dash = method_end + _ONE
    if dash < end and _byte(words, dash) == _DASH and (dash + _ONE == end or _byte(words, dash + _ONE) == _SPACE):
        return method_end
    return end


@compiled
def find_headers(words: Words, starts: Ints, ends: Ints, time_ms: Ints, fields: Ints) -> int:
    """Find ``HH:MM:SS.mmm [thread]  correlation-id LEVEL logger method - message`` in each slice of a buffer.

    ``time_ms`` takes each slice's time of day, -1 without one. The rows of ``fields`` (4 x slices) take, for each slice
    with a whole header: its number, and where thread, correlation id and method end.

    Returns
    -------
    how many slices have a whole header.
    """
    found = 0
    for line in range(len(starts)):
        start, end = np.uint64(starts[line]), np.uint64(ends[line])
        bracket = start + _TIME_SIZE + _ONE
        time_ms[line] = _time_of_day(words, start) if start + _TIME_SIZE <= end else -1
        if time_ms[line] < 0 or bracket >= end:
            continue
        if _byte(words, bracket - _ONE) != _SPACE or _byte(words, bracket) != _OPENING:
            continue
        thread_end = _thread_end(words, bracket + _ONE, end)
        if thread_end == end:
            continue
        correlation_end = _next_space(words, thread_end + _THREE, end)
        if correlation_end == end:
            continue
        method_end = _method_end(words, correlation_end + _ONE, end)
        if method_end == end:
            continue
        fields[0, found], fields[1, found] = line, thread_end
        fields[2, found], fields[3, found] = correlation_end, method_end
        found += 1
    return found
