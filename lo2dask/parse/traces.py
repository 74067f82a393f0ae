"""Trace tables of Jaeger to spans: one CSV a service, tags kept as text."""

import io
import re

import pyarrow as pa
import pyarrow.csv as pc_csv

from lo2dask import schema
from lo2dask.domain import SERVICES
from lo2dask.parse.metrics import MetricError, parse_iso

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


def parse_spans(data: bytes, run: str, test_case: str | None, name: str) -> pa.Table:
    """Read one trace table (columns: schema.TRACES); ``name`` is its file's, which names the service.

    Raises
    ------
    MetricError : it is no trace table, or a time in it is none.
    """
    convert = pc_csv.ConvertOptions(column_types=dict.fromkeys(COLUMNS, pa.string()), strings_can_be_null=False)
    read = pc_csv.ReadOptions(use_threads=False, block_size=max(len(data), 1))
    parse = pc_csv.ParseOptions(newlines_in_values=True)
    try:
        table = pc_csv.read_csv(io.BytesIO(data), read_options=read, parse_options=parse, convert_options=convert)
    except pa.ArrowInvalid as error:
        raise MetricError(f"invalid CSV: {str(error).splitlines()[0]}") from error
    missing = [column for column in COLUMNS if column not in table.column_names]
    if missing:
        raise MetricError(f"no trace table: no column {missing[0]!r}")
    columns = {ours: table[theirs].combine_chunks() for theirs, ours in COLUMNS.items()}
    columns |= {name: parse_iso(columns[name]) for name in ("start", "end")}
    normal = None if test_case is None else schema.is_normal(test_case)
    same: dict[str, str | bool | None] = {"run": run, "test_case": test_case, "service": traced_service(name)}
    same |= {"normal": normal, "anomaly": None if normal is None else not normal}
    arrays = [
        columns[f.name] if f.name in columns else pa.repeat(pa.scalar(same[f.name], f.type), table.num_rows)
        for f in schema.TRACES
    ]
    return pa.table(arrays, schema=schema.TRACES)


def traced_service(name: str) -> str:
    """Name the service of a trace file: the short name of one of the seven, else Jaeger's own."""
    match = _FILE.fullmatch(name)
    traced = match["traced"] if match else name
    service = _SERVICE.fullmatch(traced)
    return service["service"] if service else traced
