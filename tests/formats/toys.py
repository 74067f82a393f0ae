"""Line formats that are made in the tests, of numpy and pyarrow alone."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Bytes, Ints
from lo2dask.buffers.slices import slices
from lo2dask.formats.header import Header
from lo2dask.formats.line_format import LineFormat

DATE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
PIPES = rf"^(?P<time>{DATE})\|(?P<source>(?:INFO|FAIL)\|[^|]+)\|"
ANGLES = rf"^(?P<time>{DATE}) <(?P<thread>[^>]*)> (?P<correlation>[^ ]*) (?P<source>(?:INFO|FAIL) [^ ]+) "


def _scan(pattern: str, buffer: Bytes, starts: Ints, ends: Ints) -> tuple[Ints, Ints, pa.StructArray]:
    """Return the time of each line (-1 = none), the rows that match, and their groups."""
    groups = pc.extract_regex(slices(buffer, starts, ends), pattern)
    rows = np.flatnonzero(pc.is_valid(groups).to_numpy(zero_copy_only=False))
    matched = groups.take(pa.array(rows))
    time_ms = np.full(len(starts), -1)
    time_ms[rows] = pc.struct_field(matched, "time").cast(pa.timestamp("ms")).cast(pa.int64()).to_numpy()
    return time_ms, rows, matched


def _sizes(groups: pa.StructArray, name: str) -> Ints:
    return pc.binary_length(pc.struct_field(groups, name)).to_numpy().astype(np.int64)


def find_pipes(buffer: Bytes, starts: Ints, ends: Ints) -> Header:
    """Find ``date time|LEVEL|logger|message``."""
    time_ms, rows, groups = _scan(PIPES, buffer, starts, ends)
    begin = starts[rows] + _sizes(groups, "time") + 1
    statement = starts.copy()
    statement[rows] = begin
    return Header(time_ms, statement, rows, (begin, begin), (begin, begin), (begin, begin + _sizes(groups, "source")))


def find_angles(buffer: Bytes, starts: Ints, ends: Ints) -> Header:
    """Find ``date time <thread> correlation-id LEVEL logger message``."""
    time_ms, rows, groups = _scan(ANGLES, buffer, starts, ends)
    thread = starts[rows] + _sizes(groups, "time") + 2
    thread_end = thread + _sizes(groups, "thread")
    correlation = thread_end + 2
    correlation_end = correlation + _sizes(groups, "correlation")
    begin = correlation_end + 1
    statement = starts.copy()
    statement[rows] = begin
    source = (begin, begin + _sizes(groups, "source"))
    return Header(time_ms, statement, rows, (thread, thread_end), (correlation, correlation_end), source)


def write_dates(times: pa.Array) -> pa.Array:
    """Write timestamps as ``2026-01-02 03:04:05.678``."""
    return times.cast(pa.timestamp("ms")).cast(pa.string())


TOY = LineFormat(
    name="toy",
    find_headers=find_pipes,
    write_times=write_dates,
    frame=("", "|", "", ""),
    levels=("INFO", "FAIL"),
    after_level=r"\|[^|]+\|",
    source_separator="|",
    has_date=True,
    error_levels=("FAIL",),
)
ANGLED = LineFormat(
    name="angled",
    find_headers=find_angles,
    write_times=write_dates,
    frame=("", " <", "> ", " "),
    levels=("INFO", "FAIL"),
    after_level=r" [^ ]+ ",
    has_date=True,
    error_levels=("FAIL",),
)
