"""Some raw lines of a log by their numbers, without parsing what lies between them."""

from codecs import BOM_UTF8, getincrementaldecoder
from collections.abc import Iterator, Sequence
from io import RawIOBase
from itertools import chain

import numpy as np

from lo2dask.parse.chunks import LONGEST_LINE
from lo2dask.parse.text import without_colours
from lo2dask.sources.tree import SourceFile
from lo2dask.storage import open_at

# What stands after a line of which only the first LONGEST_LINE bytes are given.
CUT_MARK = " … (cut)"
_BLOCK_BYTES = 4 << 20
_NEWLINE = 0x0A


def read_line_ranges(file: SourceFile, ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, str]]:
    """Read the lines of a log, or of a tar's member, whose numbers lie in one of the ranges, in their order.

    Parameters
    ----------
    file : a row of the manifest; no more than its ``size`` bytes are read.
    ranges : (first, last) line numbers, inclusive, counted from 1 as ``line_no`` of lo2_events.parquet.

    Returns
    -------
    (line_no, text): decoded as load does it, without the line's end; of a line over LONGEST_LINE bytes its beginning
    and CUT_MARK. At most a block and a line are held.

    Raises
    ------
    OSError : the file is gone, or cannot be read.
    """
    numbers = chain.from_iterable(_distinct(ranges))
    wanted = next(numbers, 0)
    if not wanted:
        return
    number, carry = 1, b""
    with open_at(file.path, file.offset) as raw:
        for block in _blocks(raw, file.size):
            count = block.count(b"\n")
            if wanted > number + count:
                number, carry = number + count, b""
                continue
            ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == _NEWLINE)
            while wanted < number + count:
                at = wanted - number
                line = _joined(carry, block, 0, ends[0]) if at == 0 else _joined(b"", block, ends[at - 1] + 1, ends[at])
                yield wanted, _text(line, wanted)
                wanted = next(numbers, 0)
                if not wanted:
                    return
            start = int(ends[-1]) + 1 if count else 0
            is_begun = wanted == number + count
            carry = _joined(b"" if count else carry, block, start, len(block)) if is_begun else b""
            number += count
    if carry:
        yield wanted, _text(carry, wanted)


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


def _text(line: bytes, number: int) -> str:
    if number == 1:
        line = line.removeprefix(BOM_UTF8)
    if len(line) <= LONGEST_LINE:
        return without_colours(line).removesuffix(b"\r").decode(errors="replace")
    # The cut may be within a character, of which nothing is shown.
    decoder = getincrementaldecoder("utf-8")(errors="replace")
    return decoder.decode(without_colours(line[:LONGEST_LINE])) + CUT_MARK
