"""What is not plain text in logs: invalid UTF-8 is replaced and counted, colours and byte order marks are removed."""

import re
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import replace

from lo2dask.buffers.padded import padded
from lo2dask.parse.chunks import Chunk, Reading, Segment

_ESCAPE = 0x1B
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\))")
# Where files were joined, a mark stands before a line within the new one.
_MARKS = re.compile(rb"^(?:\xef\xbb\xbf)+", re.MULTILINE)
_JOINED = ("byte order mark", "within lines, which are kept: {}; were files joined without an end of line?")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def repair_utf8(chunk: Chunk, reading: Reading) -> Chunk:
    """Replace bytes that are no UTF-8 by U+FFFD, segment by segment, and record each file with their number.

    Each file with a byte order mark within a line is recorded too.
    """
    texts = chunk.texts()
    repaired = [_repaired(text, segment, reading) for text, segment in zip(texts, chunk.segments, strict=True)]
    return _with_texts(chunk, texts, repaired)


def remove_marks(chunk: Chunk) -> Chunk:
    """Remove what hides times and levels: a line's BOM, and control sequences of terminals (ANSI X3.64: colours)."""
    texts = chunk.texts()
    return _with_texts(chunk, texts, list(map(without_marks, texts)))


def without_marks(text: bytes) -> bytes:
    """Return text without the control sequences of terminals and without a byte order mark before a line."""
    text = _SEQUENCE.sub(b"", text) if _ESCAPE in text else text
    return _MARKS.sub(b"", text) if BOM_UTF8 in text else text


def _with_texts(chunk: Chunk, old: Sequence[bytes], new: Sequence[bytes]) -> Chunk:
    """Return the chunk with other texts of its segments; itself if they are the same."""
    if all(map(bytes.__eq__, old, new)):
        return chunk
    sized = [replace(segment, size=len(text)) for text, segment in zip(new, chunk.segments, strict=True)]
    return Chunk(sized, padded(*new))


def _repaired(data: bytes, segment: Segment, reading: Reading) -> bytes:
    if data.isascii():
        return data
    if marks := data.count(BOM_UTF8):
        reading.reject(segment.file, *_JOINED, marks)
    try:
        data.decode()
    except UnicodeDecodeError:
        text = data.decode(errors="replace")
        count = text.count(REPLACEMENT) - data.count(REPLACEMENT.encode())
        reading.reject(segment.file, "invalid UTF-8", "byte sequences replaced by U+FFFD, lines kept: {}", count)
        return text.encode()
    return data
