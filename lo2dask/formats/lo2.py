"""LO2's line: ``HH:MM:SS.mmm [thread]  correlation-id LEVEL logger method - message``."""

import numpy as np

from lo2dask.buffers.arrays import Bytes, Ints
from lo2dask.buffers.padded import as_u64
from lo2dask.formats.header import Header

# "HH:MM:SS.mmm [" stands before a thread's name, "]  " after it.
_THREAD_AT, _THREAD_CLOSE = 14, 3
# What stands before a statement next to thread and correlation id: the above, and a space.
HEAD_BYTES = _THREAD_AT + _THREAD_CLOSE + 1


def scan_headers(buffer: Bytes, starts: Ints, ends: Ints) -> Header:
    """Parse ``HH:MM:SS.mmm [thread]  correlation-id LEVEL logger method - message`` on every line of a padded buffer.

    The thread ends at the first closing bracket with two spaces after it.
    """
    # Compiled code is loaded by the workers that parse, and by no other process.
    from lo2dask.formats import lo2_kernels

    time_ms, fields = np.empty_like(starts), np.empty((4, len(starts)), dtype=np.int64)
    found = lo2_kernels.find_headers(as_u64(buffer), starts, ends, time_ms, fields)
    rows, thread_end, correlation_end, method_end = fields[:, :found]
    level = correlation_end + 1
    statement = starts.copy()
    statement[rows] = level
    return Header(
        time_ms, statement, rows,
        (starts[rows] + _THREAD_AT, thread_end), (thread_end + _THREAD_CLOSE, correlation_end), (level, method_end),
    )  # fmt: skip
