"""LO2's line: ``HH:MM:SS.mmm [thread]  correlation-id LEVEL logger method - message``."""

import numpy as np
import pyarrow as pa

from lo2dask.buffers.arrays import Bytes, Ints
from lo2dask.buffers.padded import as_u64
from lo2dask.formats.header import Header
from lo2dask.formats.line_format import LineFormat

_FRAME = ("", " [", "]  ", " ")
_CLOCK_BYTES = len("HH:MM:SS.mmm")
_THREAD_AT, _THREAD_CLOSE = _CLOCK_BYTES + len(_FRAME[1]), len(_FRAME[2])


def find_headers(buffer: Bytes, starts: Ints, ends: Ints) -> Header:
    """Parse ``HH:MM:SS.mmm [thread]  correlation-id LEVEL logger method - message`` on every line of a padded buffer.

    The thread ends at the first closing bracket with two spaces after it.
    """
    # Compiled code is loaded by the workers that parse, and by no other process.
    from lo2dask.formats import lo2_kernels

    time_ms, fields = np.empty_like(starts), np.empty((4, len(starts)), dtype=np.int64)
    count = lo2_kernels.find_headers(as_u64(buffer), starts, ends, time_ms, fields)
    rows, thread_end, correlation_end, method_end = fields[:, :count]
    level = correlation_end + len(_FRAME[3])
    statement = starts.copy()
    statement[rows] = level
    return Header(
        time_ms, statement, rows,
        (starts[rows] + _THREAD_AT, thread_end), (thread_end + _THREAD_CLOSE, correlation_end), (level, method_end),
    )  # fmt: skip


def write_times(times: pa.Array) -> pa.Array:
    """Write the times of day of timestamps as ``HH:MM:SS.mmm``."""
    return times.cast(pa.timestamp("ms")).cast(pa.time32("ms")).cast(pa.string())


LO2 = LineFormat(
    name="lo2",
    find_headers=find_headers,
    write_times=write_times,
    frame=_FRAME,
    levels=("TRACE", "DEBUG", "INFO", "WARN", "ERROR"),
    after_level=r" +\S+ \S+ -(?: |$)",
    example="21:25:00.000 [main]  correlation-id DEBUG logger method - message",
    error_code=r"\bERR\d{5}\b",
)
