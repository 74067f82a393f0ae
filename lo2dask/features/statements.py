"""The column ``_statement``: the text behind each line's head, encoded while its chunk lies in the CPU's cache.

A statement is what the code wrote, "LEVEL logger method - message", or the whole line where there is no head.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from lo2dask.features.tokens import NEWLINE, text_bytes
from lo2dask.parse.chunks import CHUNK_BYTES
from lo2dask.parse.columns import STATEMENT
from lo2dask.parse.lines import Bytes, Ints, encode_slices, padded, scan_headers


def with_statements(events: pa.Table) -> pa.Table:
    """Add ``_statement`` to event rows that come from disk (columns m_message and thread)."""
    messages = events["m_message"].combine_chunks()
    buffer, offsets = text_bytes(messages)
    parts = [encode_slices(*_statements(buffer, borders)) for borders in _pieces(offsets)]
    column = pa.chunked_array(parts, STATEMENT.type).unify_dictionaries()
    return events.append_column(STATEMENT, column)


def _statements(buffer: Bytes, borders: Ints) -> tuple[Bytes, Ints, Ints]:
    """Find the statements of consecutive messages: (padded buffer, starts, ends)."""
    text = padded(buffer[borders[0] : borders[-1]].tobytes())
    starts, ends = borders[:-1] - borders[0], borders[1:] - borders[0]
    # The header is on a merged event's first line.
    newlines = np.append(np.flatnonzero(text == NEWLINE), len(text))
    first_ends = np.minimum(ends, newlines[np.searchsorted(newlines[:-1], starts)])
    return text, scan_headers(text, starts, first_ends).statement, ends


def _pieces(offsets: Ints) -> Iterator[Ints]:
    """Cut the offsets of messages into runs of about CHUNK_BYTES of text, each with both of its borders."""
    start = 0
    while start < len(offsets) - 1:
        end = int(np.searchsorted(offsets, offsets[start] + CHUNK_BYTES, side="right"))
        end = min(max(end, start + 2), len(offsets))
        yield offsets[start:end]
        start = end - 1
