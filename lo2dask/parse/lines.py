"""The lines of a chunk, as offsets into its byte buffer, and which of them are kept."""

from dataclasses import dataclass

import numpy as np

from lo2dask.buffers.arrays import Bytes, Ints
from lo2dask.buffers.padded import PADDING, as_u64
from lo2dask.formats.header import Header

# Lines of this length on average are found in one pass, shorter ones in two.
_SHORT_LINE = 32


@dataclass(frozen=True)
class Lines:
    """The lines of a buffer, each array one value a line.

    ``starts`` and ``ends`` bound each line without the white space (ASCII) at its ends, a blank one is empty;
    ``raw_ends`` are the offsets of the newlines; ``words`` counts the words, separated by one space. ``is_ascii``,
    ``has_nul`` and ``has_escape`` (the byte that terminals' control sequences begin with) are of the whole buffer.
    """

    starts: Ints
    ends: Ints
    raw_ends: Ints
    words: Ints
    is_ascii: bool
    has_nul: bool
    has_escape: bool


@dataclass(frozen=True)
class KeptLines:
    """The kept lines of a chunk, each array one value a line; whether the whole chunk is ASCII."""

    starts: Ints
    ends: Ints
    words: Ints
    file: Ints
    number: Ints
    stamps: Ints
    header: Header
    is_ascii: bool


def find_lines(buffer: Bytes) -> Lines:
    """Find the lines of a padded buffer that ends with a newline."""
    # Compiled code is loaded by the workers that parse, and by no other process.
    from lo2dask.parse import kernels

    u64, size = as_u64(buffer), len(buffer) - PADDING
    room = size // _SHORT_LINE + 1
    while True:
        bounds, spaces = np.empty((3, room), dtype=np.int64), np.empty(room, dtype=np.int64)
        count, *flags = kernels.find_lines(u64, size, bounds, spaces)
        if count <= room:
            break
        room = count
    starts, ends, raw_ends = bounds[:, :count]
    return Lines(starts, ends, raw_ends, spaces[:count] + 1, *flags)
