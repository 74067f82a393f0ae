"""Invalid UTF-8: kept, replaced, counted."""

from dataclasses import replace

from lo2dask.buffers.padded import padded
from lo2dask.parse.chunks import Chunk, Reading, Segment

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def repair_utf8(chunk: Chunk, reading: Reading) -> Chunk:
    """Replace bytes that are no UTF-8 by U+FFFD, segment by segment, and record each file with their number."""
    texts = chunk.texts()
    repaired = [_repaired(text, segment, reading) for text, segment in zip(texts, chunk.segments, strict=True)]
    if all(new is old for new, old in zip(repaired, texts, strict=True)):
        return chunk
    sized = [replace(segment, size=len(text)) for text, segment in zip(repaired, chunk.segments, strict=True)]
    return Chunk(sized, padded(*repaired))


def _repaired(data: bytes, segment: Segment, reading: Reading) -> bytes:
    if data.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        text = data.decode(errors="replace")
        count = text.count(REPLACEMENT) - data.count(REPLACEMENT.encode())
        reading.reject(segment.file, "invalid UTF-8", "byte sequences replaced by U+FFFD, lines kept: {}", count)
        return text.encode()
    return data
