"""Metric files to metric samples: Prometheus range queries (JSON) and the published sample's wide tables (CSV).

A range query is a few labels and very many numbers, so the numbers of many files are translated and cast at once;
only the labels go through a JSON parser. A file of any other shape is read by the JSON parser as a whole.
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
from lo2dask.parse.lines import padded, slices

COMMA = 0x2C
# Indentation is two thirds of a file: it goes first. Arrow reads no plus sign.
_BLANK = b" \t\r\n+"
_NUMBERS = b"0123456789.eE-NaInf"
_STRUCTURE = b'[]":'
# What is left of one sample when its numbers and all white space are gone.
_PAIR = b'[,""]'
_TIME_COLUMNS = ("timestamp", "time", "date", "datetime")
_CASE_COLUMN = "test_name"
_OWN_COLUMNS = ("__name__", "job", "instance")


class MetricError(ValueError):
    """A metric file is not what it should be; the message says what it is instead."""


@dataclass
class MetricSamples:
    """Gathers the series of many files; ``table`` casts all their numbers at once."""

    series: list[tuple[str | None, str | None, str, str | None, str | None, str]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    sections: list[bytes] = field(default_factory=list)

    def add(self, data: bytes, run: str, test_case: str | None) -> None:
        """Add one range query's answer.

        Raises
        ------
        MetricError : it is no JSON, or JSON of another shape.
        """
        found = _split_series(data)
        for labels, section, count in _parse_series(data) if found is None else found:
            self.series.append((run, test_case, *_own_columns(labels)))
            self.counts.append(count)
            self.sections.append(section)

    def table(self) -> pa.Table:
        """Give all samples (schema.METRICS, text dictionary-encoded) in the order in which they were added."""
        times, values = _cast(b",".join(section for section in self.sections if section))
        rows = np.repeat(np.arange(len(self.series), dtype=np.int32), self.counts)
        if len(rows) != len(values):
            raise MetricError(f"{len(values)} values for {len(rows)} samples")
        return sample_table(self.series, rows, times, values)


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
    times = _times(table[clock].combine_chunks()) if clock else pa.nulls(table.num_rows, pa.timestamp("ms"))
    there = filled.to_numpy(zero_copy_only=False)
    return sample_table(
        series, rows[there].astype(np.int32), times.take(pa.array(moments[there])), cells.filter(filled)
    )


def _split_series(data: bytes) -> list[tuple[dict[str, str], bytes, int]] | None:
    """Cut an answer at its ``"values"``, checking every byte's place; None if it is not exactly of that shape."""
    head, *pieces = data.split(b'"values"')
    head = head.lstrip()
    if not pieces or head[:1] != b"[":
        return None
    found = []
    rest = head[1:]
    for piece in pieces:
        close = piece.find(b"}")
        section = piece[: max(close, 0)].translate(None, _BLANK)
        count = section.count(b"[") - 1
        if section.translate(None, _NUMBERS) != b":[" + b",".join([_PAIR] * count) + b"]":
            return None
        try:
            entry = orjson.loads(rest + b'"values":0}')
        except orjson.JSONDecodeError:
            return None
        if not isinstance(entry, dict) or set(entry) != {"metric", "values"} or not isinstance(entry["metric"], dict):
            return None
        found.append((entry["metric"], section.translate(None, _STRUCTURE), count))
        rest = piece[close + 1 :].lstrip()
        if rest[:1] == b",":
            rest = rest[1:]
        elif rest.rstrip() != b"]":
            return None
    return found if rest.rstrip() == b"]" else None


def _parse_series(data: bytes) -> list[tuple[dict[str, str], bytes, int]]:
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


def _plain_series(entry: Any) -> tuple[dict[str, str], bytes, int]:
    labels = entry.get("metric") if isinstance(entry, dict) else None
    if not isinstance(labels, dict):
        raise MetricError("no range query: a series without its metric")
    pairs = entry.get("values", [entry["value"]] if "value" in entry else None)
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise MetricError("no range query: a series without a list of [time, value] pairs")
    try:
        texts = [f"{float(time)!r},{float(value)!r}" for time, value in pairs]
    except (TypeError, ValueError) as error:
        raise MetricError(f"no range query: {error}") from error
    return labels, ",".join(texts).replace("+", "").encode(), len(pairs)


def _own_columns(labels: dict[str, Any]) -> tuple[str, str | None, str | None, str]:
    """Give name, job and instance, which have their own columns, and all other labels as canonical JSON."""
    others = {key: value for key, value in labels.items() if key not in _OWN_COLUMNS}
    text = orjson.dumps(others, option=orjson.OPT_SORT_KEYS).decode()
    return str(labels.get("__name__", "")), labels.get("job"), labels.get("instance"), text


def _cast(numbers: bytes) -> tuple[pa.Array, pa.Array]:
    """Cast ``time,value,time,value`` text: (timestamps in ms, float64 values)."""
    buffer = padded(numbers + b"," if numbers else b"")
    ends = np.flatnonzero(buffer == COMMA)
    starts = np.append(0, ends[:-1] + 1) if len(ends) else ends
    try:
        cells = slices(buffer, starts, ends).cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid as error:
        raise MetricError(f"no number: {error}") from error
    return _from_seconds(cells[0::2]), pa.array(cells[1::2])


def _from_seconds(seconds: np.ndarray) -> pa.Array:
    return pa.array(np.round(seconds * 1000).astype(np.int64)).cast(pa.timestamp("ms"))


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
        return parse_iso(cells, "ms")


def parse_iso(cells: pa.Array, unit: str) -> pa.Array:
    """Cast ISO 8601 text, with or without an offset, to UTC; an empty cell is null.

    Raises
    ------
    MetricError : a cell is no time.
    """
    plain = _or_null(cells)
    offset = pc.match_substring_regex(plain, r"(?:Z|[+-]\d{2}:?\d{2})$").fill_null(True)
    aware = pc.if_else(offset, plain, pc.binary_join_element_wise(plain, "Z", ""))
    try:
        return aware.cast(pa.timestamp(unit, "UTC")).cast(pa.timestamp(unit))
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
