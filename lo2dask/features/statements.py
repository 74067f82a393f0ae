"""The column ``_statement``: the text after each line's head, encoded while its chunk lies in the CPU's cache.

A statement is what the code wrote, "LEVEL logger method - message", or the whole line where there is no head.
"""

from itertools import pairwise

import numpy as np
import pyarrow as pa

from lo2dask.buffers.arrays import Ints
from lo2dask.buffers.padded import padded, text_bytes
from lo2dask.buffers.slices import encode_slices
from lo2dask.formats.lo2 import HEAD_BYTES
from lo2dask.parse.chunks import CHUNK_BYTES
from lo2dask.parse.columns import STATEMENT
from lo2dask.vocabulary.texts import text_sizes, whole


def with_statements(events: pa.Table) -> pa.Table:
    """Add ``_statement`` to event rows that come from disk (columns m_message, thread, correlation_id)."""
    text, offsets = text_bytes(events["m_message"].combine_chunks())
    starts = offsets[:-1] + _head_sizes(events)
    parts = []
    for first, last in pairwise(_borders(offsets)):
        begin, end = offsets[first], offsets[last]
        rows = slice(first, last)
        parts.append(encode_slices(padded(text[begin:end].data), starts[rows] - begin, offsets[1:][rows] - begin))
    return events.append_column(STATEMENT, pa.chunked_array(parts, STATEMENT.type))


def _head_sizes(events: pa.Table) -> Ints:
    """Return the bytes of each line's head: a line with one has a thread and a correlation id, if only empty ones."""
    thread = whole(events["thread"])
    sizes = text_sizes(thread) + text_sizes(whole(events["correlation_id"]))
    headed = thread.is_valid().to_numpy(zero_copy_only=False)
    return np.where(headed, HEAD_BYTES + sizes, 0).astype(np.int64)


def _borders(offsets: Ints) -> list[int]:
    """Cut messages, given by their offsets, into runs of about CHUNK_BYTES of text; return the rows between them."""
    borders = [0]
    while borders[-1] < len(offsets) - 1:
        end = int(np.searchsorted(offsets, offsets[borders[-1]] + CHUNK_BYTES, side="right")) - 1
        borders.append(max(end, borders[-1] + 1))
    return borders
