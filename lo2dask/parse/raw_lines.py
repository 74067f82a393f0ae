"""Raw lines put together again from the columns of lo2_events.parquet."""

from collections.abc import Mapping
from typing import Any, overload

import pyarrow as pa
import pyarrow.compute as pc

# The columns that a line is made of.
COLUMNS = ("m_timestamp", "thread", "correlation_id", "m_message")


@overload
def raw_line(events: Mapping[str, Any]) -> str: ...
@overload
def raw_line(events: pa.Table) -> pa.ChunkedArray: ...
def raw_line(events: Mapping[str, Any] | pa.Table) -> str | pa.ChunkedArray:
    """Return the line of an event, stripped of white space at its ends, or the lines of a table of events.

    Parameters
    ----------
    events : a row as a mapping, or an Arrow table, with the columns m_timestamp, thread, correlation_id and m_message.

    Notes
    -----
    A line with a whole header has a thread, if only an empty one; of any other line m_message is all.
    """
    if not isinstance(events, pa.Table):
        return str(raw_line(pa.Table.from_pylist([{name: events[name] for name in COLUMNS}]))[0].as_py())
    thread, correlation, message = (events[name].cast(pa.string()) for name in COLUMNS[1:])
    # With a resolution of milliseconds, %S writes them too.
    clock = pc.strftime(events["m_timestamp"].cast(pa.timestamp("us")).cast(pa.timestamp("ms")), "%H:%M:%S")
    lines = pc.binary_join_element_wise(clock, " [", thread, "]  ", correlation, " ", message, "")
    return pc.if_else(pc.is_valid(thread), lines, message)
