"""The one line that all formats but LO2's are translated into: LO2's with a date.

``YYYY-MM-DDTHH:MM:SS.mmm [thread]  correlation-id LEVEL logger method - message``, in UTC. Thread and correlation id
may be empty; level, logger and method may be missing, the dash before the message never is. An event without a time has
NO_TIME_TEXT in its place, or UNTIMED_MARK before it where nothing is known of it; a line that goes on with an event and
begins as that mark has a blank before it, which is not the line's.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Bytes, Ints
from lo2dask.buffers.padded import as_u64
from lo2dask.formats.header import Header
from lo2dask.formats.levels import ERRORS, LEVELS
from lo2dask.formats.line_format import LineFormat

_FRAME = ("", " [", "]  ", " ")
_TIME_BYTES = len("YYYY-MM-DDTHH:MM:SS.mmm")
# What stands before the text of an event without a time.
UNTIMED_MARK = "- "
# How an exception begins that is printed above its trace, in Java, .NET, Python, JavaScript, PHP and Go.
EXCEPTION = (
    r"^(?:Exception in thread |Unhandled |Uncaught |Traceback \(|panic: |fatal error: "
    r"|(?:[\w$]+[.\\:]+)*[\w$]*(?:Exception|Error|Throwable)(?::|$))"
)
NO_TIME_TEXT = "0000-00-00T00:00:00.000"


def find_headers(buffer: Bytes, starts: Ints, ends: Ints) -> Header:
    """Parse canonical lines of a padded buffer."""
    # Compiled code is loaded by the workers that parse, and by no other process.
    from lo2dask.formats import lo2_kernels

    time_ms, fields = np.empty_like(starts), np.empty((4, len(starts)), dtype=np.int64)
    count = lo2_kernels.find_canonical(as_u64(buffer), starts, ends, time_ms, fields)
    rows, thread_end, correlation_end, source_end = fields[:, :count]
    level = correlation_end + len(_FRAME[3])
    statement = starts.copy()
    statement[rows] = level
    return Header(
        time_ms, statement, rows, (starts[rows] + _TIME_BYTES + len(_FRAME[1]), thread_end),
        (thread_end + len(_FRAME[2]), correlation_end), (level, source_end),
    )  # fmt: skip


def write_times(times: pa.Array) -> pa.Array:
    """Write timestamps as ``YYYY-MM-DDTHH:MM:SS.mmm``."""
    texts = times.cast(pa.timestamp("ms")).cast(pa.string()).cast(pa.binary())
    return pc.binary_replace_slice(texts, 10, 11, b"T").cast(pa.string())


CANONICAL = LineFormat(
    name="canonical",
    find_headers=find_headers,
    write_times=write_times,
    frame=_FRAME,
    levels=LEVELS,
    after_level=r"(?: ?\S+){0,2}? ?-(?: |$)",
    has_date=True,
    has_whole_source=False,
    error_levels=ERRORS,
    error_code=r"\bERR\d{5}\b",
    own_start=EXCEPTION,
    example="2026-01-02T03:04:05.678 [main]  correlation-id DEBUG logger method - message",
)
