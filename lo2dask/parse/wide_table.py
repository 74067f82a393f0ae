"""The published sample's wide tables of metrics (CSV): a row per moment, a column per series."""

from collections.abc import Iterable

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.buffers.columns import strings
from lo2dask.parse.cells import MetricError, or_null, read_numbers, read_text_table, read_times
from lo2dask.parse.metrics import sample_table
from lo2dask.sources.labels import Labels

_TIME_COLUMNS = ("timestamp", "time", "date", "datetime")
_CASE_COLUMN = "test_name"


def parse_wide_table(
    data: bytes, run: str, names: Iterable[str] = (), labels: Labels | None = None
) -> tuple[pa.Table, list[str]]:
    """Read one run's wide table: a row per moment, a ``test_name`` column, a column per series; empty cells are none.

    ``names`` are the metrics to keep, none = all: a column belongs to a metric whose name it begins with, up to a
    label part (``{...}`` or ``_<number>``). Returns the samples, and what is wrong with rows and cells left out.

    Raises
    ------
    MetricError : it is no such table.
    """
    table, problems = read_text_table(data)
    if _CASE_COLUMN not in table.column_names:
        raise MetricError(f"no column {_CASE_COLUMN!r} in the table")
    clock = next((name for name in table.column_names if name.lower() in _TIME_COLUMNS), None)
    wanted = tuple(names)
    kept = [n for n in table.column_names if n not in (_CASE_COLUMN, clock) and _belongs(n, wanted)]
    times = pa.nulls(table.num_rows, schema.TIME)
    if clock:
        times, is_time, why = read_times(table[clock].combine_chunks())
        table, times = table.filter(is_time), times.filter(is_time)
        problems += why
    distinct = or_null(table[_CASE_COLUMN].combine_chunks()).dictionary_encode()
    codes = distinct.indices.fill_null(len(distinct.dictionary)).to_numpy()
    known = [*distinct.dictionary.to_pylist(), None]
    series = [(run, case, *_column_parts(name)) for name in kept for case in known]
    cells, why = read_numbers(pa.concat_arrays([pa.array([], pa.string()), *(strings(table[name]) for name in kept)]))
    problems += why
    rows = (np.arange(len(kept))[:, None] * len(known) + codes[None, :]).ravel()
    moments = np.tile(np.arange(table.num_rows), len(kept))
    filled = pc.is_valid(cells)
    there = filled.to_numpy(zero_copy_only=False)
    times, cells = times.take(pa.array(moments[there])), cells.filter(filled)
    return sample_table(series, rows[there].astype(np.int32), times, cells, labels or Labels()), problems


def _belongs(column: str, names: tuple[str, ...]) -> bool:
    if not names:
        return True
    name = column.split("{", 1)[0]
    return name in names or (name.rpartition("_")[2].isdigit() and name.rpartition("_")[0] in names)


def _column_parts(column: str) -> tuple[str, str | None, str | None, str]:
    """Take a column's name apart: ``name{labels}``, or the name alone."""
    name, _, labels = column.partition("{")
    return name, None, None, orjson.dumps({"column": column} if labels else {}).decode()
