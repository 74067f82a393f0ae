"""Raw lines put together again from the columns of lo2_events.parquet."""

from collections.abc import Mapping
from typing import Any, overload

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import strings
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2

# The columns that a line is made of.
COLUMNS = ("m_timestamp", "thread", "correlation_id", "m_message")


@overload
def raw_line(events: Mapping[str, Any], line_format: LineFormat = LO2) -> str:
    """Return the line of one event."""


@overload
def raw_line(events: pa.Table, line_format: LineFormat = LO2) -> pa.ChunkedArray:
    """Return the lines of a table of events."""


def raw_line(events: Mapping[str, Any] | pa.Table, line_format: LineFormat = LO2) -> str | pa.ChunkedArray:
    """Return the line of an event, stripped of white space at its ends, or the lines of a table of events.

    Parameters
    ----------
    events : a row as a mapping, or an Arrow table, with the columns m_timestamp, thread, correlation_id and m_message.
    line_format : what the lines look like.

    Notes
    -----
    A line with a whole header has a thread, if only an empty one; of any other line m_message is all.
    """
    if not isinstance(events, pa.Table):
        table = pa.Table.from_pylist([{name: events[name] for name in COLUMNS}])
        return str(raw_line(table, line_format)[0].as_py())
    time, thread, correlation, message = (events[name] for name in COLUMNS)
    lines = line_format.join_lines(time, thread, correlation, message)
    return pa.chunked_array([pc.if_else(pc.is_valid(thread).combine_chunks(), lines, strings(message))])
