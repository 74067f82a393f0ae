"""Trace tables of Jaeger to spans: one CSV a service, tags kept as text."""

import itertools
import re

import numpy as np
import pyarrow as pa

from lo2dask import schema
from lo2dask.domain import SERVICES
from lo2dask.parse.cells import MetricError, parse_times, read_text_table
from lo2dask.sources.labels import Labels

COLUMNS = {
    "Trace ID": "trace_id",
    "Span ID": "span_id",
    "Operation Name": "operation",
    "Start Time": "start",
    "End Time": "end",
    "Tags": "tags",
}
_FILE = re.compile(r"traces?_(?P<traced>.+)\.csv")
_SERVICE = re.compile(r"(?:light-)?(?:oauth2-){1,2}(?P<service>" + "|".join(SERVICES) + r")(?:-service)?")


def parse_spans(
    data: bytes, run: str, test_case: str | None, name: str, labels: Labels | None = None
) -> tuple[pa.Table, list[str]]:
    """Read one trace table (columns: schema.TRACES); return it, and what is wrong with the rows left out.

    ``name`` is its file's, which names the service.

    Raises
    ------
    MetricError : it is no trace table.
    """
    table, problems = read_text_table(data, newlines=True)
    missing = [column for column in COLUMNS if column not in table.column_names]
    if missing:
        raise MetricError(f"no trace table: no column {missing[0]!r}")
    columns = {ours: table[theirs].combine_chunks() for theirs, ours in COLUMNS.items()}
    kept = np.ones(table.num_rows, dtype=bool)
    for moment in ("start", "end"):
        columns[moment], is_time, why = parse_times(columns[moment])
        # A row with two bad times is left out once.
        problems += itertools.compress(why, kept[~is_time])
        kept &= is_time
    columns = {column: values.filter(pa.array(kept)) for column, values in columns.items()}
    service = traced_service(name)
    normal = None if test_case is None else (labels or Labels()).normal(run, test_case, service)
    same: dict[str, str | bool | None] = {"run": run, "test_case": test_case, "service": service}
    same |= {"normal": normal, "anomaly": None if normal is None else not normal}
    arrays = [
        columns[f.name] if f.name in columns else pa.repeat(pa.scalar(same[f.name], f.type), int(kept.sum()))
        for f in schema.TRACES
    ]
    return pa.table(arrays, schema=schema.TRACES), problems


def traced_service(name: str) -> str:
    """Name the service of a trace file: the short name of one of the seven, else Jaeger's own."""
    match = _FILE.fullmatch(name)
    traced = match["traced"] if match else name
    service = _SERVICE.fullmatch(traced)
    return service["service"] if service else traced
