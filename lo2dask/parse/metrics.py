"""Metric files to metric samples: Prometheus range queries (JSON) and the published sample's wide tables (CSV).

A range query is a few labels and very many numbers: the numbers are read by a compiled loop, only the labels go through
a JSON parser. A file of any other shape is read by the JSON parser as a whole.
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv

from lo2dask import schema
from lo2dask.buffers.arrays import Ints
from lo2dask.buffers.columns import microseconds
from lo2dask.buffers.padded import as_u64, padded
from lo2dask.buffers.slices import slices

_VALUES = b'"values"'
_TIME_COLUMNS = ("timestamp", "time", "date", "datetime")
_CASE_COLUMN = "test_name"
_OWN_COLUMNS = ("__name__", "job", "instance")


class MetricError(ValueError):
    """A metric file is not what it should be; the message is the reason."""


Floats = npt.NDArray[np.float64]
# The labels of a series that have columns of their own, and the others as canonical JSON.
Own = tuple[str, str | None, str | None, str]
# A series: its labels, times and values in turn, and the offsets and texts of the numbers still to be cast.
Series = tuple[Own, Floats, tuple[Ints, pa.StringArray] | None]


@dataclass
class MetricSamples:
    """Gathers the series of many files; the few numbers that take a general parser are cast together at the end."""

    series: list[tuple[Any, ...]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    numbers: list[Floats] = field(default_factory=list)
    inexact_rows: list[Ints] = field(default_factory=list)
    inexact_texts: list[pa.StringArray] = field(default_factory=list)
    filled: int = 0
    known: dict[bytes, Own] = field(default_factory=dict)

    def add(self, data: bytes, run: str, test_case: str | None) -> None:
        """Add one range query's answer.

        Raises
        ------
        MetricError : it is no JSON, or JSON of another shape.
        """
        series = _split_series(data, self.known)
        for own, numbers, inexact in _parse_series(data) if series is None else series:
            self.series.append((run, test_case, *own))
            self.counts.append(len(numbers) // 2)
            self.numbers.append(numbers)
            if inexact is not None:
                self.inexact_rows.append(inexact[0] + self.filled)
                self.inexact_texts.append(inexact[1])
            self.filled += len(numbers)

    def table(self) -> pa.Table:
        """Return all samples (schema.METRICS, text dictionary-encoded) in the order in which they were added.

        Raises
        ------
        MetricError : a text is no number.
        """
        cells = np.concatenate([np.zeros(0), *self.numbers])
        if self.inexact_texts:
            texts = pc.replace_substring(pa.concat_arrays(self.inexact_texts), "+", "")  # Arrow reads no plus sign
            try:
                cells[np.concatenate(self.inexact_rows)] = texts.cast(pa.float64()).to_numpy()
            except pa.ArrowInvalid as error:
                raise MetricError(f"no number: {error}") from error
        rows = np.repeat(np.arange(len(self.series), dtype=np.int32), self.counts)
        return sample_table(self.series, rows, _from_seconds(cells[0::2]), pa.array(cells[1::2].copy()))


def sample_table(
    series: Sequence[tuple[Any, ...]], rows: npt.NDArray[np.int32], times: pa.Array, values: pa.Array
) -> pa.Table:
    """Build samples (schema.METRICS) from series (run, test case, name, job, instance, labels) and each row's own."""
    run, case, name, job, instance, labels = zip(*series, strict=True) if series else [()] * 6
    normal = pa.array([None if value is None else schema.is_normal(value) for value in case], pa.bool_())
    index = pa.array(rows)
    text = {"run": run, "test_case": case, "metric_name": name, "job": job, "instance": instance, "labels": labels}
    columns = {key: _encoded(value, index) for key, value in text.items()}
    columns |= {"normal": normal.take(index), "anomaly": pc.invert(normal).take(index)}
    columns |= {"timestamp": times, "value": values}
    return pa.table([columns[key] for key in schema.METRICS.names], names=schema.METRICS.names)


def parse_wide_table(data: bytes, run: str, names: Iterable[str] = ()) -> pa.Table:
    """Read one run's wide table: a row per moment, a ``test_name`` column, a column per series; empty cells are none.

    ``names`` are the metrics to keep, none = all: a column belongs to a metric whose name it begins with, up to a
    label part (``{...}`` or ``_<number>``).

    Raises
    ------
    MetricError : it is no such table.
    """
    table = _read_text_table(data)
    if _CASE_COLUMN not in table.column_names:
        raise MetricError(f"no column {_CASE_COLUMN!r} in the table")
    clock = next((name for name in table.column_names if name.lower() in _TIME_COLUMNS), None)
    wanted = tuple(names)
    kept = [n for n in table.column_names if n not in (_CASE_COLUMN, clock) and _belongs(n, wanted)]
    distinct = _or_null(table[_CASE_COLUMN].combine_chunks()).dictionary_encode()
    codes = distinct.indices.fill_null(len(distinct.dictionary)).to_numpy()
    known = [*distinct.dictionary.to_pylist(), None]
    series = [(run, case, *_column_parts(name)) for name in kept for case in known]
    cells = _numbers(pa.concat_arrays([table[name].combine_chunks() for name in kept])) if kept else pa.array([], "f8")
    rows = (np.arange(len(kept))[:, None] * len(known) + codes[None, :]).ravel()
    moments = np.tile(np.arange(table.num_rows), len(kept))
    filled = pc.is_valid(cells)
    times = _times(table[clock].combine_chunks()) if clock else pa.nulls(table.num_rows, schema.TIME)
    there = filled.to_numpy(zero_copy_only=False)
    return sample_table(
        series, rows[there].astype(np.int32), times.take(pa.array(moments[there])), cells.filter(filled)
    )


def _split_series(data: bytes, known: dict[bytes, Own]) -> list[Series] | None:
    """Read an answer whose series are each ``{"metric": {...}, "values": [...]}``; None if it is not all of that shape.

    ``known`` caches what the text before ``"values"`` means: most series are asked for again in the next test case.
    """
    # Compiled code is loaded by the workers that parse, and by no other process.
    from lo2dask.parse.kernels import read_samples

    buffer = padded(data)
    u64 = as_u64(buffer)
    # A sample takes six bytes at least.
    numbers, inexact = np.empty(len(data) // 3 + 2), np.empty((3, len(data) // 3 + 2), dtype=np.int64)
    series: list[Series] = []
    at = data.find(b"[") + 1
    if at == 0 or data[: at - 1].strip():
        return None
    while (end := data.find(_VALUES, at)) >= 0:
        own = known.get(head := data[at:end].strip())
        if own is None and (own := _read_head(head)) is None:
            return None
        known[head] = own
        after, count, n_inexact = read_samples(u64, end + len(_VALUES), numbers, inexact)
        close = data.find(b"}", after)
        if after < 0 or close < 0 or data[after:close].strip():
            return None
        rows, begins, stops = inexact[:, :n_inexact]
        texts = (rows.copy(), slices(buffer, begins, stops)) if n_inexact else None
        series.append((own, numbers[:count].copy(), texts))
        # The next series begins after a comma, or the list ends.
        at = close + 1
        mark = _skip_white(data, at)
        if data[mark : mark + 1] == b",":
            at = mark + 1
        elif data[mark:].strip() == b"]":
            return series
        else:
            return None
    return None


def _skip_white(data: bytes, at: int) -> int:
    while data[at : at + 1].isspace():
        at += 1
    return at


def _read_head(head: bytes) -> Own | None:
    """Read a series up to its values."""
    try:
        entry = orjson.loads(head + b'"values":0}')
    except orjson.JSONDecodeError:
        return None
    if not isinstance(entry, dict) or set(entry) != {"metric", "values"} or not isinstance(entry["metric"], dict):
        return None
    return _own_columns(entry["metric"])


def _parse_series(data: bytes) -> list[Series]:
    """Read an answer of another shape: a whole HTTP answer, instant queries, other spacing or order of keys."""
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise MetricError(f"invalid JSON: {error}") from error
    if isinstance(content, dict):
        content = content.get("data", content)
        content = content.get("result") if isinstance(content, dict) else content
    if not isinstance(content, list):
        raise MetricError("no range query: not a list of series")
    return [_plain_series(entry) for entry in content]


def _plain_series(entry: Any) -> Series:
    labels = entry.get("metric") if isinstance(entry, dict) else None
    if not isinstance(labels, dict):
        raise MetricError("no range query: a series without its metric")
    pairs = entry.get("values", [entry["value"]] if "value" in entry else None)
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise MetricError("no range query: a series without a list of [time, value] pairs")
    try:
        numbers = np.array([float(cell) for pair in pairs for cell in pair])
    except (TypeError, ValueError) as error:
        raise MetricError(f"no range query: {error}") from error
    return _own_columns(labels), numbers, None


def _own_columns(labels: dict[str, Any]) -> Own:
    """Return name, job and instance, which have their own columns, and all other labels as canonical JSON."""
    others = {key: value for key, value in labels.items() if key not in _OWN_COLUMNS}
    text = orjson.dumps(others, option=orjson.OPT_SORT_KEYS).decode()
    return str(labels.get("__name__", "")), labels.get("job"), labels.get("instance"), text


def _from_seconds(seconds: np.ndarray) -> pa.Array:
    return microseconds(np.round(seconds * 1000).astype(np.int64))


def _encoded(values: Iterable[str | None], rows: pa.Array) -> pa.DictionaryArray:
    encoded = pa.array(list(values), pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices.take(rows), encoded.dictionary)


def _read_text_table(data: bytes) -> pa.Table:
    """Read CSV with every cell as text."""
    names = data.split(b"\n", 1)[0]
    try:
        header = pc_csv.read_csv(io.BytesIO(names + b"\n")).column_names
        convert = pc_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False)
        read = pc_csv.ReadOptions(use_threads=False, block_size=max(len(data), 1))
        return pc_csv.read_csv(io.BytesIO(data), read_options=read, convert_options=convert)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise MetricError(f"invalid CSV: {str(error).splitlines()[0]}") from error


def _numbers(cells: pa.Array) -> pa.Array:
    """Cast text to float64; an empty cell is null."""
    try:
        return _or_null(pc.replace_substring(cells, "+", "")).cast(pa.float64())
    except pa.ArrowInvalid as error:
        raise MetricError(f"no number: {error}") from error


def _times(cells: pa.Array) -> pa.Array:
    """Read moments: seconds since 1970, or ISO 8601."""
    try:
        return _from_seconds(cells.cast(pa.float64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        return parse_iso(cells)


def parse_iso(cells: pa.Array) -> pa.Array:
    """Cast ISO 8601 text, with or without an offset, to UTC; an empty cell is null.

    Raises
    ------
    MetricError : a cell is no time.
    """
    plain = _or_null(cells)
    # The form that Jaeger writes is recognised without a regular expression on each cell.
    aware = plain
    if not pc.all(pc.ends_with(plain, "+00:00")).as_py():
        offset = pc.match_substring_regex(plain, r"(?:Z|[+-]\d{2}:?\d{2})$").fill_null(True)
        aware = pc.if_else(offset, plain, pc.binary_join_element_wise(plain, "Z", ""))
    try:
        return aware.cast(schema.TIME)
    except pa.ArrowInvalid as error:
        raise MetricError(f"no time: {error}") from error


def _or_null(cells: pa.Array) -> pa.Array:
    """Turn empty cells into nulls."""
    return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)


def _belongs(column: str, names: tuple[str, ...]) -> bool:
    if not names:
        return True
    name = column.split("{", 1)[0]
    return name in names or (name.rpartition("_")[2].isdigit() and name.rpartition("_")[0] in names)


def _column_parts(column: str) -> tuple[str, str | None, str | None, str]:
    """Take a column's name apart: ``name{labels}``, or the name alone."""
    name, _, labels = column.partition("{")
    return name, None, None, orjson.dumps({"column": column} if labels else {}).decode()
