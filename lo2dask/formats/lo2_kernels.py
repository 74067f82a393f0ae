"""Kernels that find the headers of LO2's lines and of canonical ones (arguments: see buffers.kernels)."""

import numpy as np

from lo2dask.buffers.arrays import Ints, U64s
from lo2dask.buffers.kernels import byte_at, compiled, equal_bytes, first_byte

_SPACE, _OPENING, _CLOSING, _DASH, _A, _Z = (np.uint8(ord(c)) for c in " []-AZ")
_ZERO, _ONE, _TWO, _THREE, _EIGHT = (np.uint64(n) for n in (0, 1, 2, 3, 8))
_HIGHS, _SPACES = (np.uint64(0x0101010101010101 * byte) for byte in (0x80, 0x20))
# A time of day as two overlapping u64, "HH:MM:SS" and "M:SS.mmm", and the least and the most that each of their bytes
# may be.
_TIME_SIZE, _TIME_TAIL = np.uint64(12), np.uint64(4)
_LEAST, _MOST, _TAIL_LEAST, _TAIL_MOST = (
    np.frombuffer(text, dtype="<u8")[0] for text in (b"00:00:00", b"29:59:59", b"0:00.000", b"9:59.999")
)
_DIGITS, _THOUSANDTHS = np.uint64(0x0F0F000F0F000F0F), np.uint64(40)
_T, _0, _9 = (np.uint8(ord(c)) for c in "T09")
_DATE_SIZE, _DAY_MS, _DAYS_BEFORE_1970 = np.uint64(11), 86_400_000, 719_468
_SHORTEST_LEVEL, _LONGEST_LEVEL = np.uint64(4), np.uint64(5)


@compiled
def _time_of_day(u64: U64s, at: np.uint64) -> int:
    """Read ``HH:MM:SS.mmm`` in ms; -1 if it is none.

    All eight bytes are checked at once: where one is below its least or above its most, the lowest such byte sets
    its high bit in one of the two differences, and only then can a borrow touch the others.
    """
    head, tail = u64[at], u64[at + _TIME_TAIL]
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
def _next_space(u64: U64s, at: np.uint64, end: np.uint64) -> np.uint64:
    """Find the first space from an offset on, at most the end."""
    while at < end:
        found = equal_bytes(u64[at], _SPACES)
        if found != _ZERO:
            return min(at + first_byte(found), end)
        at += _EIGHT
    return end


@compiled
def _thread_end(u64: U64s, at: np.uint64, end: np.uint64) -> np.uint64:
    """Find the first closing bracket with two spaces after it; the end if there is none."""
    space = _next_space(u64, at, end)
    while space + _ONE < end:
        if space > at and byte_at(u64, space - _ONE) == _CLOSING and byte_at(u64, space + _ONE) == _SPACE:
            return space - _ONE
        space = _next_space(u64, space + _ONE, end)
    return end


@compiled
def _method_end(u64: U64s, level: np.uint64, end: np.uint64) -> np.uint64:
    """Find where the method of ``LEVEL logger method - message`` ends; the end if it is no such text."""
    level_end = _next_space(u64, level, end)
    if level_end < level + _SHORTEST_LEVEL or level_end > level + _LONGEST_LEVEL:
        return end
    for at in range(level, level_end):
        if byte_at(u64, at) < _A or byte_at(u64, at) > _Z:
            return end
    logger = level_end + _ONE
    if logger < end and byte_at(u64, logger) == _SPACE:  # "INFO " and "WARN " are padded to five characters
        logger += _ONE
    logger_end = _next_space(u64, logger, end)
    method_end = _next_space(u64, logger_end + _ONE, end)
    if logger_end == logger or method_end <= logger_end + _ONE:
        return end
    # A line that ends after its dash has an empty message, stripped of the space before it.
    dash = method_end + _ONE
    if dash < end and byte_at(u64, dash) == _DASH and (dash + _ONE == end or byte_at(u64, dash + _ONE) == _SPACE):
        return method_end
    return end


@compiled
def find_headers(u64: U64s, starts: Ints, ends: Ints, time_ms: Ints, fields: Ints) -> int:
    """Find ``HH:MM:SS.mmm [thread]  correlation-id LEVEL logger method - message`` in each slice of a buffer.

    ``time_ms`` takes each slice's time of day, -1 without one. The rows of ``fields`` (4 x slices) take, for each slice
    with a whole header: its number, and where thread, correlation id and method end.

    Returns
    -------
    how many slices have a whole header.
    """
    count = 0
    for line in range(len(starts)):
        start, end = np.uint64(starts[line]), np.uint64(ends[line])
        bracket = start + _TIME_SIZE + _ONE
        time_ms[line] = _time_of_day(u64, start) if start + _TIME_SIZE <= end else -1
        if time_ms[line] < 0 or bracket >= end:
            continue
        if byte_at(u64, bracket - _ONE) != _SPACE or byte_at(u64, bracket) != _OPENING:
            continue
        thread_end = _thread_end(u64, bracket + _ONE, end)
        if thread_end == end:
            continue
        correlation_end = _next_space(u64, thread_end + _THREE, end)
        if correlation_end == end:
            continue
        method_end = _method_end(u64, correlation_end + _ONE, end)
        if method_end == end:
            continue
        fields[0, count], fields[1, count] = line, thread_end
        fields[2, count], fields[3, count] = correlation_end, method_end
        count += 1
    return count


@compiled
def _date_ms(u64: U64s, at: np.uint64) -> int:
    """Read ``YYYY-MM-DDT`` in ms since 1970; -1 if it is none."""
    year, month, day = 0, 0, 0
    for place in range(_DATE_SIZE):
        byte = byte_at(u64, at + np.uint64(place))
        if place == 4 or place == 7:
            if byte != _DASH:
                return -1
        elif place == 10:
            if byte != _T:
                return -1
        elif byte < _0 or byte > _9:
            return -1
        elif place < 4:
            year = year * 10 + int(byte - _0)
        elif place < 7:
            month = month * 10 + int(byte - _0)
        else:
            day = day * 10 + int(byte - _0)
    if year < 1970 or month < 1 or month > 12 or day < 1 or day > 31:
        return -1
    # Days of the civil calendar, its years begun in March.
    shifted = year - 1 if month <= 2 else year
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    days = 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400 + of_year - _DAYS_BEFORE_1970
    return days * _DAY_MS


@compiled
def _source_end(u64: U64s, at: np.uint64, end: np.uint64) -> np.uint64:
    """Find where at most three words before a dash end; the end if there is no dash after them."""
    start = at
    for _ in range(4):
        if at < end and byte_at(u64, at) == _DASH and (at + _ONE == end or byte_at(u64, at + _ONE) == _SPACE):
            return at - _ONE if at > start else start
        at = _next_space(u64, at, end) + _ONE
        if at >= end:
            break
    return end


@compiled
def find_canonical(u64: U64s, starts: Ints, ends: Ints, time_ms: Ints, fields: Ints) -> int:
    """Find canonical headers (see canonical.py) in each slice of a buffer.

    ``time_ms`` takes each slice's ms since 1970, -1 without a time, -2 of an event without one. The rows of ``fields``
    are those of :func:`find_headers`, the last one where level, logger and method end.

    Returns
    -------
    how many slices have a whole header.
    """
    count = 0
    for line in range(len(starts)):
        start, end = np.uint64(starts[line]), np.uint64(ends[line])
        clock = start + _DATE_SIZE
        bracket = clock + _TIME_SIZE + _ONE
        time_ms[line] = -1
        if start < end and byte_at(u64, start) == _DASH and byte_at(u64, start + _ONE) == _SPACE:
            # A blank is before items of lists in a text, which are no events.
            time_ms[line] = -1 if start and byte_at(u64, start - _ONE) == _SPACE else -2
            continue
        if bracket >= end or byte_at(u64, bracket - _ONE) != _SPACE or byte_at(u64, bracket) != _OPENING:
            continue
        date, of_day = _date_ms(u64, start), _time_of_day(u64, clock)
        is_untimed = byte_at(u64, start) == _0 and byte_at(u64, start + _ONE) == _0 and of_day == 0
        if of_day < 0 or (date < 0 and not is_untimed):
            continue
        thread_end = _thread_end(u64, bracket + _ONE, end)
        correlation_end = _next_space(u64, thread_end + _THREE, end) if thread_end < end else end
        source_end = _source_end(u64, correlation_end + _ONE, end) if correlation_end < end else end
        if source_end == end:
            continue
        time_ms[line] = -2 if is_untimed else date + of_day
        fields[0, count], fields[1, count] = line, thread_end
        fields[2, count], fields[3, count] = correlation_end, source_end
        count += 1
    return count
