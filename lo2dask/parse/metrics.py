"""Metric files to metric samples: Prometheus range queries (JSON).

A range query is a few labels and very many numbers: the numbers are read by a compiled loop, only the labels go through
a JSON parser. A file of any other shape is read by the JSON parser as a whole.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.buffers.arrays import Ints
from lo2dask.buffers.padded import as_u64, padded
from lo2dask.buffers.slices import slices
from lo2dask.parse.cells import Floats, MetricError, from_seconds, time_problem, without_plus
from lo2dask.sources.labels import Labels

_VALUES = b'"values"'
_OWN_COLUMNS = ("__name__", "job", "instance")
_HISTOGRAMS = {"histogram", "histograms"}


# The labels of a series that have columns of their own, and the others as canonical JSON.
Own = tuple[str, str | None, str | None, str]
# A series: its labels, times and values in turn, and the offsets and texts of the numbers still to be cast.
Series = tuple[Own, Floats, tuple[Ints, pa.StringArray] | None]


@dataclass
class MetricSamples:
    """Gathers the series of many files; the few numbers that take a general parser are cast together at the end."""

    labels: Labels = field(default_factory=Labels)
    series: list[tuple[Any, ...]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    numbers: list[Floats] = field(default_factory=list)
    inexact_rows: list[Ints] = field(default_factory=list)
    inexact_texts: list[pa.StringArray] = field(default_factory=list)
    filled: int = 0
    known: dict[bytes, Own] = field(default_factory=dict)

    def add(self, data: bytes, run: str, test_case: str | None, plain: bool = False) -> list[str]:
        """Add the series of one range query's answer; return what is wrong with those that are left out.

        ``plain`` reads every number by the general parser, so that one that is none costs its series only.

        Raises
        ------
        MetricError : it is no JSON, or JSON of another shape.
        """
        series = None if plain else _split_series(data, self.known)
        problems: list[str] = []
        if series is None:
            series, problems = _parse_series(data)
        for own, numbers, inexact in series:
            if inexact is None and (problem := time_problem(numbers[0::2])):
                problems.append(f"series {own[0]!r}: {problem}")
                continue
            self.series.append((run, test_case, *own))
            self.counts.append(len(numbers) // 2)
            self.numbers.append(numbers)
            if inexact is not None:
                self.inexact_rows.append(inexact[0] + self.filled)
                self.inexact_texts.append(inexact[1])
            self.filled += len(numbers)
        return problems

    def table(self) -> pa.Table:
        """Return all samples (schema.METRICS, text dictionary-encoded) in the order in which they were added.

        Raises
        ------
        MetricError : a text is no number, or a time is none of our days.
        """
        cells = np.concatenate([np.zeros(0), *self.numbers])
        if self.inexact_texts:
            texts = without_plus(pa.concat_arrays(self.inexact_texts))
            try:
                cells[np.concatenate(self.inexact_rows)] = texts.cast(pa.float64()).to_numpy()
            except pa.ArrowInvalid as error:
                raise MetricError(f"no number: {error}") from error
        if problem := time_problem(cells[0::2]):
            raise MetricError(problem)
        rows = np.repeat(np.arange(len(self.series), dtype=np.int32), self.counts)
        return sample_table(self.series, rows, from_seconds(cells[0::2]), pa.array(cells[1::2].copy()), self.labels)


def sample_table(
    series: Sequence[tuple[Any, ...]], rows: npt.NDArray[np.int32], times: pa.Array, values: pa.Array, labels: Labels
) -> pa.Table:
    """Build samples (schema.METRICS) from series (run, test case, name, job, instance, labels) and each row's own."""
    run, case, name, job, instance, others = zip(*series, strict=True) if series else [()] * 6
    known = [None if own is None else labels.normal(of, own) for of, own in zip(run, case, strict=True)]
    normal = pa.array(known, pa.bool_())
    index = pa.array(rows)
    text = {"run": run, "test_case": case, "metric_name": name, "job": job, "instance": instance, "labels": others}
    columns = {key: _encoded(value, index) for key, value in text.items()}
    columns |= {"normal": normal.take(index), "anomaly": pc.invert(normal).take(index)}
    columns |= {"timestamp": times, "value": values}
    return pa.table([columns[key] for key in schema.METRICS.names], names=schema.METRICS.names)


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


def _parse_series(data: bytes) -> tuple[list[Series], list[str]]:
    """Read an answer of another shape: a whole HTTP answer, instant queries, other spacing or order of keys."""
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise MetricError(f"invalid JSON: {error}") from error
    if isinstance(content, dict) and content.get("status") == "error":
        raise MetricError(f"Prometheus answered with an error: {content.get('errorType')}: {content.get('error')}")
    if isinstance(content, dict):
        content = content.get("data", content)
        content = content.get("result") if isinstance(content, dict) else content
    if not isinstance(content, list):
        raise MetricError("no range query: not a list of series")
    series, problems = [], []
    for entry in content:
        try:
            series.append(_plain_series(entry))
            if entry.keys() & _HISTOGRAMS:
                problems.append(f"series {series[-1][0][0]!r}: its native histogram is left out")
        except MetricError as error:
            problems.append(str(error))
    return series, problems


def _plain_series(entry: Any) -> Series:
    labels = entry.get("metric") if isinstance(entry, dict) else None
    if not isinstance(labels, dict):
        raise MetricError("no range query: a series without its metric")
    own = _own_columns(labels)
    pairs = entry.get("values", [entry["value"]] if "value" in entry else None)
    if pairs is None and entry.keys() & _HISTOGRAMS:
        raise MetricError(f"series {own[0]!r}: a native histogram, which has no single values")
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise MetricError(f"no range query: series {own[0]!r} without a list of [time, value] pairs")
    try:
        return own, np.array([float(cell) for pair in pairs for cell in pair]), None
    except (TypeError, ValueError) as error:
        raise MetricError(f"no range query: series {own[0]!r}: {error}") from error


def _own_columns(labels: dict[str, Any]) -> Own:
    """Return name, job and instance, which have their own columns, and all other labels as canonical JSON."""
    others = {key: value for key, value in labels.items() if key not in _OWN_COLUMNS}
    text = orjson.dumps(others, option=orjson.OPT_SORT_KEYS).decode()
    return str(labels.get("__name__", "")), labels.get("job"), labels.get("instance"), text


def _encoded(values: Iterable[str | None], rows: pa.Array) -> pa.DictionaryArray:
    encoded = pa.array(list(values), pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices.take(rows), encoded.dictionary)
