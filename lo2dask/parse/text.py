"""Invalid UTF-8: kept, replaced, counted."""

from dataclasses import replace

from lo2dask.parse.chunks import Reading, Segment

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def repair_utf8(chunk: list[Segment], reading: Reading) -> list[Segment]:
    """Replace bytes that are no UTF-8 by U+FFFD, segment by segment, and record each file with their number."""
    return [segment if _is_utf8(segment.data) else _repair(segment, reading) for segment in chunk]


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _repair(segment: Segment, reading: Reading) -> Segment:
    text = segment.data.decode(errors="replace")
    count = text.count(REPLACEMENT) - segment.data.count(REPLACEMENT.encode())
    reading.reject(segment.file, "invalid UTF-8", "places replaced by U+FFFD, the lines kept: {}", count)
    return replace(segment, data=text.encode())
