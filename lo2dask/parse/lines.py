"""The lines of a chunk and the fields of their headers, as offsets into one byte buffer, and columns made of slices."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int32]

# Bytes behind the buffer, so that no word that is read at one of its places leaves it.
PADDING = 48
# Lines are looked for once where they are this long on average, else twice.
_SHORT_LINE = 32
# "HH:MM:SS.mmm [" stands before a thread's name, "]  " behind it.
_THREAD_AT, _THREAD_CLOSE = 14, 3
# What stands before a statement beside thread and correlation id: the above, and a space.
HEAD_BYTES = _THREAD_AT + _THREAD_CLOSE + 1


@dataclass(frozen=True)
class Lines:
    """The lines of a buffer, each array one value a line.

    ``starts`` and ``ends`` bound each line without the white space (ASCII) at its ends, a blank one is empty;
    ``raw_ends`` are the places of the newlines; ``words`` counts the words, as parted by one space. ``is_ascii`` and
    ``has_nul`` are of the whole buffer.
    """

    starts: Ints
    ends: Ints
    raw_ends: Ints
    words: Ints
    is_ascii: bool
    has_nul: bool


@dataclass(frozen=True)
class Header:
    """Where the fields of a chunk's headers lie.

    ``time_ms`` is the time of day of each line, -1 on a line without one. ``statement`` is where the text begins that
    a statement of the code wrote ("LEVEL logger method - message"): the line's start where there is no well-formed
    header. ``rows`` are the lines with such a header, ascending; ``thread``, ``correlation`` and ``source`` are the
    (start, end) offsets of those lines' fields.
    """

    time_ms: Ints
    statement: Ints
    rows: Ints
    thread: tuple[Ints, Ints]
    correlation: tuple[Ints, Ints]
    source: tuple[Ints, Ints]

    def take(self, keep: Bools) -> "Header":
        """Give the headers of the lines to keep, numbered anew."""
        if keep.all():
            return self
        # Numbers of rows, found once: to take a column by them is a third faster than by truths.
        kept, chosen = np.flatnonzero(keep), np.flatnonzero(keep.take(self.rows))
        rows = (np.cumsum(keep) - 1).take(self.rows.take(chosen))
        thread, correlation, source = (
            (low.take(chosen), high.take(chosen)) for low, high in (self.thread, self.correlation, self.source)
        )
        return Header(self.time_ms.take(kept), self.statement.take(kept), rows, thread, correlation, source)


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


def padded(*data: bytes | memoryview) -> Bytes:
    """Join bytes into one read-only array with PADDING zero bytes behind them."""
    return np.frombuffer(b"".join((*data, bytes(PADDING))), dtype=np.uint8)


def text_bytes(texts: pa.Array) -> tuple[Bytes, Ints]:
    """View a string column's bytes and the offsets of its texts (one more than texts)."""
    texts = texts.cast(pa.string())  # strings stay as they are, views are copied
    _, offsets, data = texts.buffers()
    borders = np.frombuffer(offsets, dtype=np.int32, count=len(texts) + 1, offset=4 * texts.offset).astype(np.int64)
    return np.frombuffer(data, dtype=np.uint8) if data else np.zeros(0, np.uint8), borders


def padded_text(texts: pa.Array) -> tuple[Bytes, Ints]:
    """Copy a string column's bytes, padded as compiled code wants them, and give the offsets of its texts there."""
    text, offsets = text_bytes(texts)
    return padded(text[offsets[0] : offsets[-1]].data), offsets - offsets[0]


def find_lines(buffer: Bytes) -> Lines:
    """Find the lines of a padded buffer that ends with a newline."""
    # Compiled code is loaded by the workers that parse, and by no other process.
    from lo2dask.parse import scan

    words, size = as_words(buffer), len(buffer) - PADDING
    room = size // _SHORT_LINE + 1
    while True:
        bounds, spaces = np.empty((3, room), dtype=np.int64), np.empty(room, dtype=np.int64)
        count, is_ascii, has_nul = scan.find_lines(words, size, bounds, spaces)
        if count <= room:
            break
        room = count
    starts, ends, raw_ends = bounds[:, :count]
    return Lines(starts, ends, raw_ends, spaces[:count] + 1, is_ascii, has_nul)


def scan_headers(buffer: Bytes, starts: Ints, ends: Ints) -> Header:
    """Parse ``HH:MM:SS.mmm [thread]  correlation-id LEVEL logger method - message`` on every line of a padded buffer.

    The thread ends at the first closing bracket with two spaces behind it.
    """
    from lo2dask.parse import scan

    time_ms, fields = np.empty_like(starts), np.empty((4, len(starts)), dtype=np.int64)
    found = scan.find_headers(as_words(buffer), starts, ends, time_ms, fields)
    rows, thread_end, correlation_end, method_end = fields[:, :found]
    level = correlation_end + 1
    statement = starts.copy()
    statement[rows] = level
    return Header(
        time_ms, statement, rows,
        (starts[rows] + _THREAD_AT, thread_end), (thread_end + _THREAD_CLOSE, correlation_end), (level, method_end),
    )  # fmt: skip


def slices(buffer: Bytes, starts: Ints, ends: Ints) -> pa.StringArray:
    """Copy slices of a padded buffer into one string column."""
    from lo2dask.parse.compiled import copy_slices

    size = int((ends - starts).sum())
    # The last slice is copied by whole words too.
    data, offsets = np.empty(size + 8, dtype=np.uint8), np.empty(len(starts) + 1, dtype=np.int32)
    copy_slices(as_words(buffer), starts, ends, offsets, as_words(data, writeable=True))
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(data[:size]))


def views(buffer: Bytes, starts: Ints, ends: Ints) -> pa.StringViewArray:
    """Make one string column of slices of a padded buffer, whose bytes stay where they are."""
    from lo2dask.parse.compiled import view_slices

    found = np.empty((len(starts), 2), dtype=np.uint64)
    view_slices(as_words(buffer), starts, ends, found)
    return pa.Array.from_buffers(pa.string_view(), len(starts), [None, pa.py_buffer(found), pa.py_buffer(buffer)])


def encode_slices(buffer: Bytes, starts: Ints, ends: Ints) -> pa.DictionaryArray:
    """Encode slices of a padded buffer as a dictionary column; its values stand in the order of their first places."""
    from lo2dask.parse import compiled

    codes, firsts = np.empty(len(starts), dtype=np.int32), np.empty(len(starts), dtype=np.int64)
    found = compiled.encode_slices(as_words(buffer), starts, ends, codes, firsts)
    chosen = firsts[:found]
    return pa.DictionaryArray.from_arrays(pa.array(codes), slices(buffer, starts[chosen], ends[chosen]))


def as_words(buffer: Bytes, writeable: bool = False) -> npt.NDArray[np.uint64]:
    """View a buffer as the words that begin at each of its bytes."""
    words: npt.NDArray[np.uint64] = np.ndarray((len(buffer) - 7,), "<u8", buffer.data, strides=(1,))
    # What is only read is always read-only: to Numba that is a type, and each has code of its own.
    words.flags.writeable = writeable
    return words
