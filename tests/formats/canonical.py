"""Canonical lines in tests: texts translated, and read back as LineFormat sees them."""

from dataclasses import dataclass

import numpy as np

from lo2dask.buffers.padded import padded
from lo2dask.formats.canonical import CANONICAL
from lo2dask.formats.detect import detect
from lo2dask.formats.header import Header
from lo2dask.formats.kinds import KindFormat
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.user_format import lines_of
from lo2dask.parse.clock import Days
from lo2dask.parse.translate import translate_lines


@dataclass(frozen=True)
class Event:
    """A line as it is read again: ms since 1970 (-1 continues, -2 is an event without one) and its fields."""

    time: int
    thread: str = ""
    correlation_id: str = ""
    level: str = ""
    logger: str = ""
    method: str = ""
    message: str = ""


def canonical(*lines: str, kind: KindFormat | None = None) -> list[str]:
    """Translate lines, in the format that is found in them if none is given."""
    some = lines_of(list(lines))
    written = translate_lines(some, kind or detect(some).kind, Days())[0].to_pylist()
    assert all(text.count("\n") == 1 and text.endswith("\n") for text in written)
    return [text.removesuffix("\n") for text in written]


def find(texts: list[str], line_format: LineFormat = CANONICAL) -> tuple[bytes, Header, np.ndarray]:
    """Find the headers of lines without the blanks around them; return the bytes, the headers, where lines end."""
    buffer = padded("".join(f"{text}\n" for text in texts).encode())
    begins = np.cumsum([0, *(len(text.encode()) + 1 for text in texts)], dtype=np.int64)[:-1]
    starts = begins + np.array([len(text) - len(text.lstrip(" ")) for text in texts], dtype=np.int64)
    ends = starts + np.array([len(text.strip(" ").encode()) for text in texts], dtype=np.int64)
    return buffer.tobytes(), line_format.find_headers(buffer, starts, ends), ends


def events(texts: list[str]) -> list[Event]:
    """Read canonical lines back."""
    data, header, ends = find(texts)
    found = [Event(time, message=text.strip(" ")) for time, text in zip(header.time_ms.tolist(), texts, strict=True)]
    for at, row in enumerate(header.rows.tolist()):
        thread, correlation, source = (
            data[low[at] : high[at]].decode() for low, high in (header.thread, header.correlation, header.source)
        )
        rest = data[header.source[1][at] : ends[row]].decode()
        fields = CANONICAL.split_source(f"{source} -")
        message = rest.removeprefix(" ").removeprefix("-").removeprefix(" ")
        found[row] = Event(found[row].time, thread, correlation, *fields, message)
    return found


def read(*lines: str, kind: KindFormat | None = None) -> list[Event]:
    """Translate lines and read them back."""
    return events(canonical(*lines, kind=kind))
