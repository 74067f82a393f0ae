"""Finds the lines of a chunk and the fields of their headers, all lines at once, as offsets into one byte buffer."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

SPACE, CLOSING, DASH = 0x20, 0x5D, 0x2D
# Bytes behind the buffer, so that a gather of a header's fixed part never leaves it.
PADDING = 32
_WHITESPACE = np.zeros(256, dtype=bool)
_WHITESPACE[list(b" \t\r\n\v\f")] = True
_CAPITAL = np.zeros(256, dtype=bool)
_CAPITAL[0x41:0x5B] = True
_TIME_LOW = np.frombuffer(b"00:00:00.000", dtype=np.uint8)
_TIME_HIGH = np.frombuffer(b"29:59:59.999", dtype=np.uint8)
_TIME_WEIGHTS = np.array([36_000_000, 3_600_000, 0, 600_000, 60_000, 0, 10_000, 1_000, 0, 100, 10, 1], dtype=np.int64)


@dataclass(frozen=True)
class Header:
    """Where the fields of each line lie, as (start, end) offsets; empty where a line does not have the field.

    ``time_ms`` is the time of day, -1 on a line without one. ``statement`` is where the text begins that a statement
    of the code wrote ("LEVEL logger method - message"): the line's start on a line without a well-formed header.
    ``spaces`` are the places of all spaces of the buffer, ascending.
    """

    time_ms: Ints
    thread: tuple[Ints, Ints]
    correlation: tuple[Ints, Ints]
    source: tuple[Ints, Ints]
    statement: Ints
    spaces: Ints


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
    while (todo := np.flatnonzero((starts < ends) & _WHITESPACE[buffer[starts]])).size:
        starts[todo] += 1
    while (todo := np.flatnonzero((starts < ends) & _WHITESPACE[buffer[ends - 1]])).size:
        ends[todo] -= 1
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

    Lines may stand one behind the other without a separator; ``starts`` ascends.
    """
    time_ms = _times(buffer, starts, ends)
    spaces = np.flatnonzero(buffer == SPACE)
    rows = np.flatnonzero((time_ms >= 0) & (buffer[starts + 12] == SPACE) & (buffer[starts + 13] == 0x5B))
    bounds = _fields(buffer, starts[rows], ends[rows], spaces)
    good = bounds.pop("good")
    rows = rows[good]
    empty = starts.copy()

    def spread(start: str, end: str) -> tuple[Ints, Ints]:
        low, high = empty.copy(), empty.copy()
        low[rows], high[rows] = bounds[start][good], bounds[end][good]
        return low, high

    source = spread("level", "method_end")
    thread, correlation = spread("thread", "thread_end"), spread("correlation", "correlation_end")
    return Header(time_ms, thread, correlation, source, source[0], spaces)


def _times(buffer: Bytes, starts: Ints, ends: Ints) -> Ints:
    """Read the time of day at each line's start in ms; -1 where there is none."""
    windows = np.lib.stride_tricks.as_strided(buffer, (len(buffer) - 11, 12), (1, 1))
    heads = windows[starts]
    timed = ((heads >= _TIME_LOW) & (heads <= _TIME_HIGH)).all(axis=1) & (ends - starts >= 12)
    times = np.full(len(starts), -1, dtype=np.int64)
    read = (heads[timed].astype(np.int64) - 0x30) @ _TIME_WEIGHTS
    times[timed] = np.where(read < 86_400_000, read, -1)
    return times


def _fields(buffer: Bytes, starts: Ints, ends: Ints, spaces: Ints) -> dict[str, npt.NDArray]:
    """Find the header's fields on lines that begin with a time and an opening bracket."""
    closings = np.append(np.flatnonzero(buffer == CLOSING), len(buffer) - PADDING)
    stops = np.append(spaces, np.full(5, len(buffer) - PADDING))
    thread_end = closings[np.searchsorted(closings[:-1], starts + 14)]
    correlation = np.minimum(thread_end + 3, ends)
    at = np.searchsorted(spaces, correlation)
    level = stops[at] + 1
    level_end = stops[at + 1]
    pad = (buffer[level_end + 1] == SPACE).astype(np.int64)  # "INFO " and "WARN " are padded to five characters
    method_end = stops[at + 3 + pad]
    # A line that ends behind its dash has an empty message, stripped of the space before it.
    bare = (method_end + 2 == ends) & (buffer[method_end + 1] == DASH)
    dashed = (method_end + 2 < ends) & (buffer[method_end + 1] == DASH) & (buffer[method_end + 2] == SPACE)
    spaced = (buffer[thread_end + 1] == SPACE) & (buffer[thread_end + 2] == SPACE)
    good = spaced & (bare | dashed) & (level_end - level >= 4) & (level_end - level <= 5)
    for place in range(4):
        good &= _CAPITAL[buffer[np.minimum(level + place, len(buffer) - 1)]]
    return {
        "good": good,
        "thread": starts + 14,
        "thread_end": thread_end,
        "correlation": correlation,
        "correlation_end": stops[at],
        "level": level,
        "method_end": method_end,
    }
