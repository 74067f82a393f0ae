"""Finds the lines of a chunk and the fields of their headers, all lines at once, as offsets into one byte buffer."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

SPACE, OPENING, CLOSING, DASH = 0x20, 0x5B, 0x5D, 0x2D
# Bytes behind the buffer, so that no gather of a header's fixed part or of a UUID leaves it.
PADDING = 48
_WHITESPACE = np.zeros(256, dtype=bool)
_WHITESPACE[list(b" \t\r\n\v\f")] = True
_CAPITAL = np.zeros(256, dtype=bool)
_CAPITAL[0x41:0x5B] = True
# A time of day as two overlapping little-endian words, "HH:MM:SS" and "M:SS.mmm", and the least and the most that
# each of their bytes may be.
_TIME_WORDS = ((0, b"00:00:00", b"29:59:59"), (4, b"0:00.000", b"9:59.999"))
_HIGH_BITS = np.uint64(0x8080808080808080)
_CAPITALS = np.frombuffer(b"AAAAZZZZ\x80\x80\x80\x80", dtype="<u4")
_CLOCK_DIGITS = np.uint64(0x0F0F000F0F000F0F)
# Spaces that a thread's name may hold before the fast way of finding its end gives up: "XNIO-1 task-2" has one.
_THREAD_SPACES = 2


@dataclass(frozen=True)
class Header:
    """Where the fields of a chunk's headers lie.

    ``time_ms`` is the time of day of each line, -1 on a line without one. ``statement`` is where the text begins that
    a statement of the code wrote ("LEVEL logger method - message"): the line's start where there is no well-formed
    header. ``rows`` are the lines with such a header, ascending; ``thread``, ``correlation`` and ``source`` are the
    (start, end) offsets of those lines' fields. ``words`` counts the words of each line, as parted by one space.
    """

    time_ms: Ints
    statement: Ints
    words: Ints
    rows: Ints
    thread: tuple[Ints, Ints]
    correlation: tuple[Ints, Ints]
    source: tuple[Ints, Ints]

    def take(self, keep: Bools) -> "Header":
        """Give the headers of the lines to keep, numbered anew."""
        if keep.all():
            return self
        chosen = keep[self.rows]
        rows = (np.cumsum(keep) - 1)[self.rows[chosen]]
        thread, correlation, source = (
            (low[chosen], high[chosen]) for low, high in (self.thread, self.correlation, self.source)
        )
        return Header(self.time_ms[keep], self.statement[keep], self.words[keep], rows, thread, correlation, source)


@dataclass(frozen=True)
class KeptLines:
    """The kept lines of a chunk, each array one value a line; whether the whole chunk is ASCII."""

    starts: Ints
    ends: Ints
    file: Ints
    number: Ints
    stamps: Ints
    header: Header
    is_ascii: bool


def padded(*data: bytes) -> Bytes:
    """Join bytes into one read-only array with PADDING zero bytes behind them."""
    return np.frombuffer(b"".join((*data, bytes(PADDING))), dtype=np.uint8)


def split_lines(buffer: Bytes) -> tuple[Ints, Ints]:
    """Find the lines of a padded buffer that ends with a newline: (start, end) offsets, the newline left out."""
    ends = np.flatnonzero(buffer == 0x0A)
    starts = np.empty_like(ends)
    starts[:1] = 0
    starts[1:] = ends[:-1] + 1
    return starts, ends


def strip_lines(buffer: Bytes, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Move the bounds of each line past white space (ASCII) at both ends; a blank line becomes empty."""
    starts, ends = starts.copy(), ends.copy()
    todo = np.flatnonzero((buffer[starts] <= SPACE) & (starts < ends))
    while (todo := todo[_WHITESPACE[buffer[starts[todo]]]]).size:
        starts[todo] += 1
        todo = todo[starts[todo] < ends[todo]]
    todo = np.flatnonzero((buffer[ends - 1] <= SPACE) & (starts < ends))
    while (todo := todo[_WHITESPACE[buffer[ends[todo] - 1]]]).size:
        ends[todo] -= 1
        todo = todo[starts[todo] < ends[todo]]
    return starts, ends


def slices(buffer: Bytes, starts: Ints, ends: Ints) -> pa.StringArray:
    """Copy slices of a buffer into one string column; the slices must be in order and must not overlap.

    Their borders, interleaved, are the offsets of a column over the whole buffer; every second value is a slice.
    """
    if len(starts) == 0:
        return pa.array([], pa.string())
    borders = np.empty(2 * len(starts), dtype=np.int32)
    borders[0::2], borders[1::2] = starts, ends
    whole = pa.StringArray.from_buffers(len(borders) - 1, pa.py_buffer(borders), pa.py_buffer(buffer))
    return whole.take(pa.array(np.arange(0, len(borders) - 1, 2, dtype=np.int32)))


def scan_headers(buffer: Bytes, starts: Ints, ends: Ints) -> Header:
    """Parse ``HH:MM:SS.mmm [thread]  correlation-id LEVEL logger method - message`` on every line.

    Lines may stand one behind the other without a separator; ``starts`` ascends. The thread ends at the first closing
    bracket with two spaces behind it.
    """
    time_ms = _times(buffer, starts, ends)
    spaces = np.flatnonzero(buffer == SPACE)
    first = np.searchsorted(spaces, starts)
    words = np.searchsorted(spaces, ends) - first + 1
    # Fields are found by counting spaces; behind the last one there are none.
    stops = np.append(spaces, np.full(_THREAD_SPACES + 8, len(buffer) - PADDING))
    rows = np.flatnonzero((time_ms >= 0) & (buffer[starts + 12] == SPACE) & (buffer[starts + 13] == OPENING))
    at = _thread_ends(buffer, stops, first[rows] + 1)
    rows, at = rows[at >= 0], at[at >= 0]
    good, level, method_end = _sources(buffer, stops, at + 1, ends[rows])
    rows, at, level, method_end = rows[good], at[good], level[good], method_end[good]
    statement = starts.copy()
    statement[rows] = level
    thread_end = stops[at] - 1
    return Header(
        time_ms, statement, words, rows,
        (starts[rows] + 14, thread_end), (thread_end + 3, level - 1), (level, method_end),
    )  # fmt: skip


def _times(buffer: Bytes, starts: Ints, ends: Ints) -> Ints:
    """Read the time of day at each line's start in ms; -1 where there is none.

    All bytes of a word are checked at once: where one is below its least or above its most, the lowest such byte
    sets its high bit in one of the two differences, and only then can a borrow touch the others.
    """
    words = _windows(buffer, "<u8")
    timed = ends - starts >= 12
    heads = []
    for offset, least, most in _TIME_WORDS:
        word = words[starts + offset]
        low, high = (np.frombuffer(text, dtype="<u8")[0] for text in (least, most))
        timed &= ((word - low) | (high - word)) & _HIGH_BITS == 0
        heads.append(word)
    clock = (heads[0] & _CLOCK_DIGITS) * np.uint64(10) + ((heads[0] & _CLOCK_DIGITS) >> np.uint64(8))
    hours, minutes, seconds = (_bits(clock, shift, 0xFF) for shift in (0, 24, 48))
    tenths, hundredths, thousandths = (_bits(heads[1], shift, 0x0F) for shift in (40, 48, 56))
    times = ((hours * 60 + minutes) * 60 + seconds) * 1000 + tenths * 100 + hundredths * 10 + thousandths
    return np.where(timed & (hours < 24), times, -1)


def _bits(words: npt.NDArray[np.uint64], shift: int, mask: int) -> Ints:
    return ((words >> np.uint64(shift)) & np.uint64(mask)).view(np.int64)


def _thread_ends(buffer: Bytes, stops: Ints, at: Ints) -> Ints:
    """Find the first "]" with two spaces behind it: the number in ``stops`` of the first of the two, -1 if none.

    ``at`` is the number of the first space that may be meant, ascending. A line without such a bracket takes one of a
    later line: what stands around it then tells that the header is none.
    """
    for _ in range(_THREAD_SPACES):
        at = at + ~_closes(buffer, stops, at)
    if _closes(buffer, stops, at).all():
        return at
    closing = np.flatnonzero(_closes(buffer, stops, np.arange(len(stops) - 1)))
    return np.append(closing, -1)[np.searchsorted(closing, at)]


def _closes(buffer: Bytes, stops: Ints, at: Ints) -> Bools:
    space = stops[at]
    return (stops[at + 1] == space + 1) & (buffer[space - 1] == CLOSING)


def _sources(buffer: Bytes, stops: Ints, at: Ints, ends: Ints) -> tuple[Bools, Ints, Ints]:
    """Find "LEVEL logger method" behind the two spaces of which ``at`` numbers the second: (good, start, end)."""
    level = stops[at + 1] + 1
    level_end = stops[at + 2]
    pad = (buffer[level_end + 1] == SPACE).astype(np.int64)  # "INFO " and "WARN " are padded to five characters
    method_end = stops[at + 4 + pad]
    # A line that ends behind its dash has an empty message, stripped of the space before it.
    dashed = (buffer[method_end + 1] == DASH) & (buffer[method_end + 2] == SPACE) & (method_end + 2 < ends)
    bare = (buffer[method_end + 1] == DASH) & (method_end + 2 == ends)
    size = level_end - level
    good = (bare | dashed) & (size >= 4) & (size <= 5)
    named = _windows(buffer, "<u4")[level]
    outside = (named - _CAPITALS[0]) | (_CAPITALS[1] - named)
    return good & (outside & _CAPITALS[2] == 0), level, method_end


def _windows(buffer: Bytes, word: str) -> npt.NDArray:
    """View the buffer as the words that begin at each of its bytes."""
    kind = np.dtype(word)
    return np.lib.stride_tricks.as_strided(buffer[: kind.itemsize].view(kind), (len(buffer) - kind.itemsize + 1,), (1,))
