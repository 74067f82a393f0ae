"""Some raw lines of a log by their numbers, without parsing what lies between them."""

from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from io import RawIOBase
from typing import Any

import numpy as np

from lo2dask.buffers.arrays import Ints
from lo2dask.parse.chunks import LONGEST_LINE
from lo2dask.parse.text import without_marks
from lo2dask.sources.tree import SourceFile

# What stands after a line of which only the first LONGEST_LINE bytes are given.
CUT_MARK = " … (cut)"
_BLOCK_BYTES = 4 << 20
_NEWLINE = 0x0A


def read_line_ranges(file: SourceFile, ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, str]]:
    """Read the lines of a log, or of a tar's member, whose numbers lie in one of the ranges, in their order.

    Parameters
    ----------
    file : a row of the manifest; no more than its ``limit`` bytes are read.
    ranges : (first, last) line numbers, inclusive, counted from 1 as ``line_no`` of lo2_events.parquet.

    Returns
    -------
    (line_no, text): decoded as load does it, without the line's end; of a line over LONGEST_LINE bytes its beginning
    and CUT_MARK. At most a block and a line are held beyond what is given.

    Raises
    ------
    OSError : the file is gone, or cannot be read.
    """
    for first, data in read_line_bytes(file, ranges):
        for number, line in enumerate(data.removesuffix(b"\n").split(b"\n"), first):
            yield number, _text(line)


def read_line_bytes(file: SourceFile, ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
    """Read the bytes of some lines: (number of the first one, whole lines that follow one another).

    A range may come in pieces. Of a line over LONGEST_LINE bytes, one more than those are given, without an end.
    """
    wanted = list(_distinct(ranges))
    number, carry = 1, b""
    with file.open() as raw:
        for block in _blocks(raw, file.limit):
            if not wanted:
                return
            count = block.count(b"\n")
            if wanted[0].start > number + count:
                number, carry = number + count, b""
                continue
            ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == _NEWLINE)
            while wanted and wanted[0].start < number + count:
                first, stop = wanted[0].start, min(wanted[0].stop, number + count)
                start = int(ends[first - number - 1]) + 1 if first > number else 0
                end = int(ends[stop - 1 - number]) + 1
                yield first, _cut(carry if first == number else b"", block, (start, end), ends)
                wanted[0] = range(stop, wanted[0].stop)
                if not wanted[0]:
                    del wanted[0]
            tail = int(ends[-1]) + 1 if count else 0
            is_begun = bool(wanted) and wanted[0].start == number + count
            carry = _joined(b"" if count else carry, block, tail, len(block)) if is_begun else b""
            number += count
    if carry and wanted:
        yield wanted[0].start, carry


def locate(file: SourceFile, numbers: Ints) -> tuple[list[str], Ints, Ints]:
    """Find the files that lines of a log lie in, of a rotated one its parts: paths, each line's place in them, number.

    Raises
    ------
    OSError : a file is gone, or cannot be read.
    """
    if len(file.parts) < 2 or not len(numbers):
        return [file.place], np.zeros(len(numbers), dtype=np.int64), numbers
    starts = [1]
    for part in file.parts[:-1]:
        if starts[-1] > numbers.max():
            break
        starts.append(starts[-1] + _count_lines(file.of_part(part)))
    where = np.searchsorted(starts, numbers, "right") - 1
    return [part.path for part in file.parts], where, numbers - np.array(starts)[where] + 1


def locate_rows(file: SourceFile, rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield rows of lines (line_no in the whole log) with path and line_no of the file that each lies in."""
    paths, where, numbers = locate(file, np.array([row["line_no"] for row in rows], dtype=np.int64))
    for row, at, number in zip(rows, where.tolist(), numbers.tolist(), strict=True):
        yield {**row, "path": paths[at], "line_no": number}


def _count_lines(file: SourceFile) -> int:
    count, last = 0, b"\n"
    with file.open() as raw:
        for block in _blocks(raw, file.limit):
            count, last = count + block.count(b"\n"), block[-1:]
    return count + (last != b"\n")


def _cut(carry: bytes, block: bytes, span: tuple[int, int], ends: Ints) -> bytes:
    """Join the beginning of a line and whole lines of a block, each cut to the longest one."""
    start, end = span
    inside = ends[(ends >= start) & (ends < end)]
    lengths = np.diff(inside, prepend=start - 1)
    lengths[0] += len(carry)
    if lengths.max() <= LONGEST_LINE + 1:
        return carry + block[start:end]
    lines = (carry + block[start:end]).removesuffix(b"\n").split(b"\n")
    return b"\n".join(line[: LONGEST_LINE + 1] for line in lines) + b"\n"


def _distinct(ranges: Sequence[tuple[int, int]]) -> Iterator[range]:
    """Sort ranges and cut what they share; line numbers below 1 are no lines."""
    after = 1
    for first, last in sorted(ranges):
        first = max(first, after)
        if first <= last:
            yield range(first, last + 1)
            after = last + 1


def _blocks(raw: RawIOBase, size: int) -> Iterator[bytes]:
    while size > 0 and (block := raw.read(min(size, _BLOCK_BYTES))):
        size -= len(block)
        yield block


def _joined(carry: bytes, block: bytes, start: int, end: int) -> bytes:
    """Join a line's beginning and what a block has of it; a byte over the longest line shows that it is too long."""
    return carry + block[start : min(end, start + LONGEST_LINE + 1 - len(carry))]


def _text(line: bytes) -> str:
    if len(line) <= LONGEST_LINE:
        return without_marks(line).removesuffix(b"\r").decode(errors="replace")
    # The cut may be within a character, of which nothing is shown.
    decoder = getincrementaldecoder("utf-8")(errors="replace")
    return decoder.decode(without_marks(line[:LONGEST_LINE])) + CUT_MARK
