"""JSON, one object a line: each field from the first of its names that the object has."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.buffers.padded import text_bytes
from lo2dask.buffers.slices import slices
from lo2dask.formats.fields import Fields, TextLines
from lo2dask.formats.levels import normalise_levels, status_levels
from lo2dask.formats.times import ISO, NO_TIME, SHAPE, read_times

KEYS = {
    "time": ("time", "ts", "@timestamp", "timestamp", "timeUnixNano", "observedTimeUnixNano", "Timestamp", "asctime",
             "datetime", "t", "@t", "__REALTIME_TIMESTAMP", "start_time",
             "time_iso8601", "time_local"),
    "level": ("level", "severity", "lvl", "log.level", "levelname", "severityText", "SeverityText", "severity_text",
              "@l", "PRIORITY", "LogLevel", "Level"),
    "logger": ("logger", "name", "log.logger", "logger_name", "loggerName", "component", "scope",
               "SourceContext", "SYSLOG_IDENTIFIER", "Category"),
    "thread": ("thread", "thread_name", "threadName", "process.thread.name"),
    "correlation_id": ("correlation_id", "correlationId", "trace_id", "traceId", "TraceId", "trace.id", "request_id",
                       "requestId", "@tr"),
    "message": ("msg", "message", "log", "body", "Body", "event", "text", "@m", "@mt", "MESSAGE",
                "RenderedMessage", "Message", "MessageTemplate", "textPayload"),
}  # fmt: skip
# Keys of a request's status of HTTP; after a dot, that of an object within.
STATUS_KEYS = (
    "status", "statusCode", "status_code", "response_code", "DownstreamStatus", "res.statusCode", "response.status",
    "response.status_code", "http.response.status_code", "http.status_code", "httpRequest.status",
)  # fmt: skip


# An escape as it may stand, or half of a character of two, where a text was cut.
_HALVES = re.compile(r"(\\[^u]|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)|\\u[dD][89a-fA-F][\da-fA-F]{2}")
_MOST_KEYS = 12
_SHAPES = ("epoch", "clf", "day-month", "month-day", "day-dots", "half-days", "slashed")
# Keys of the text in objects that stand for one value.
_INNER = ("stringValue", "name", "message", "$date")
# MongoDB's fields, whose time is an object.
_MONGO = {"level": "s", "logger": "c", "thread": "ctx"}


@dataclass(frozen=True)
class JsonFormat:
    """One JSON object a line, nested ones of OpenTelemetry and ECS too; one without a time is an event without one."""

    name: str = "json"
    example: str = '{"time":"2026-01-02T03:04:05.678Z","level":"info","logger":"shop.orders","msg":"order 17 paid"}'

    def read(self, lines: TextLines) -> Fields:
        """Return the headers of lines."""
        objects, rows, seen = _read_usual(lines)
        if not objects:
            return Fields.none()
        values = {field: _first(objects, [key for key in keys if key in seen]) for field, keys in KEYS.items()}
        times = _times(values.pop("time"), lines.timezone, len(rows))
        columns = {field: _texts(value) for field, value in values.items() if value}
        if "level" in columns:
            columns["level"] = normalise_levels(columns["level"])
        whole = lines.texts.take(pa.array(rows))
        # An object without a message says what it is by all of its keys.
        message = columns.get("message", whole)
        columns["message"] = pc.coalesce(pc.if_else(pc.equal(message, ""), None, message), whole)
        if (statuses := _statuses(objects, seen)) is not None:
            _add_status(columns, statuses)
        return Fields(rows, times, **columns).with_or_without_time()


def what_is_missing(lines: TextLines, fields: Sequence[str]) -> str:
    """Say for which of some fields no line has a key, and which keys there are; "" where each has one."""
    _, _, seen = _read_usual(lines)
    texts = {
        "time": f"no time is read from its objects: there is none of the keys {', '.join(KEYS['time'])}",
        "level": "no level is read from its objects",
        "message": "the message is the whole object, as there is no key of one",
    }
    missing = [texts[field] for field in fields if seen.isdisjoint(KEYS[field])]
    if not missing or not seen:
        return ""
    keys = sorted(seen)
    more = f" and {len(keys) - _MOST_KEYS} more" if len(keys) > _MOST_KEYS else ""
    return f"{'; '.join(missing)}; the keys there are: {', '.join(keys[:_MOST_KEYS])}{more}"


def read_told(text: str) -> str | None:
    """Return level and message of a line that is an object; None where it is none, or has no message."""
    one = _read_object(memoryview(text.encode()))
    if one is None:
        return None
    one = _usual(_flatten(one))
    level, message = (_text(_first([one], KEYS[field])[0]) for field in ("level", "message"))
    status = _statuses([one], set(one))
    if level and level.isdigit():
        level = normalise_levels(pa.array([level]))[0].as_py()
    end = f" status={status[0]}" if status is not None and status[0].is_valid else ""
    return f"{level or ''} {message}{end}".strip() if message else None


def have_several(lines: TextLines) -> Bools:
    """Return which lines (without wrappers) hold several OpenTelemetry records; each is one event all the same."""
    several = pc.match_substring(lines.texts, '"logRecords"').to_numpy(zero_copy_only=False)
    objects, rows = read_objects(lines, np.flatnonzero(several))
    several = np.zeros(len(several), dtype=bool)
    several[rows] = [len(_records(one)) > 1 for one in objects]
    return several


def read_objects(lines: TextLines, rows: Ints) -> tuple[list[dict[str, Any]], Ints]:
    """Return the objects of lines and their rows; all at once where every line is an object, else one by one."""
    import orjson

    if not len(rows):
        return [], rows
    try:
        found = orjson.loads(_as_list(lines, rows))
        if len(found) == len(rows) and set(map(type, found)) == {dict}:
            return found, rows
    except orjson.JSONDecodeError:
        pass  # one by one, then
    data = lines.buffer.data
    texts = [data[a:b] for a, b in zip(lines.starts[rows].tolist(), lines.ends[rows].tolist(), strict=True)]
    found = [
        (row, one) for row, text in zip(rows.tolist(), texts, strict=True) if (one := _read_object(text)) is not None
    ]
    return [one for _, one in found], np.array([row for row, _ in found], dtype=np.int64)


def _read_usual(lines: TextLines) -> tuple[list[dict[str, Any]], Ints, set[str]]:
    """Return the objects of lines in the usual form, their rows and all of their keys."""
    first = lines.buffer[np.minimum(lines.starts, len(lines.buffer) - 1)]
    objects, rows = read_objects(lines, np.flatnonzero((first == ord("{")) & (lines.ends > lines.starts)))
    seen = set(chain.from_iterable(objects))
    if "resourceLogs" in seen or "logRecords" in seen:
        objects = [_flatten(one) for one in objects]
        seen = set(chain.from_iterable(objects))
    if not seen.isdisjoint(("log", "@t", "ctx", "jsonPayload")):
        objects = [_usual(one) for one in objects]
        seen = set(chain.from_iterable(objects))
    return objects, rows, seen


def _read_object(text: memoryview) -> dict[str, Any] | None:
    """Read one object, None if it is none; with NaN, halves of characters or bare tabs as other tools write them."""
    import orjson

    try:
        one = orjson.loads(text)
    except orjson.JSONDecodeError:
        whole = _HALVES.sub(lambda match: match[1] or r"\ufffd", str(text, "utf-8", "replace"))
        try:
            one = json.loads(whole, strict=False, parse_constant=lambda _: None, parse_int=float)
        except (ValueError, RecursionError):
            return None
    return one if type(one) is dict else None


def _as_list(lines: TextLines, rows: Ints) -> bytes:
    """Return lines as one JSON list."""
    # With the byte behind each line, which becomes the comma.
    text, offsets = text_bytes(slices(lines.buffer, lines.starts[rows], lines.ends[rows] + 1))
    text = text[offsets[0] : offsets[-1]].copy()
    text[offsets[1:] - offsets[0] - 1] = ord(",")
    return b"[" + text[:-1].tobytes() + b"]"


def _first(objects: Sequence[dict[str, Any]], keys: Sequence[str]) -> list[Any]:
    """Return the first value that is there, and not "", of some keys; no list where there is no key."""
    values: list[Any] = []
    for key in keys:
        if not values:
            try:
                values = list(map(itemgetter(key), objects))
            except KeyError:
                values = [one.get(key) for one in objects]
        elif None in values or "" in values:
            pairs = zip(values, objects, strict=True)
            values = [one.get(key) if value is None or value == "" else value for value, one in pairs]
    return values


def _statuses(objects: Sequence[dict[str, Any]], seen: set[str]) -> pa.Array | None:
    """Return each object's status of HTTP, three digits, null without one; None where no object has its key."""
    found = []
    for path in STATUS_KEYS:
        outer, *inner = [path] if path in seen else path.split(".")
        if outer in seen:
            values = _first(objects, [outer])
            for key in inner:
                values = [value.get(key) if type(value) is dict else None for value in values]
            texts = _texts(values)
            found.append(pc.if_else(pc.match_substring_regex(texts, r"^[1-5]\d\d$"), texts, None))
    return pc.coalesce(*found) if found else None


def _add_status(columns: dict[str, pa.Array], statuses: pa.Array) -> None:
    """Put statuses behind messages; where no level is above INFO, they tell it."""
    columns["message"] = pc.binary_join_element_wise(
        columns["message"], pc.fill_null(pc.binary_join_element_wise(" status=", statuses, ""), ""), ""
    )
    levels = status_levels(pc.utf8_slice_codeunits(statuses, 0, 1))
    if "level" in columns:
        is_told = pc.or_(pc.equal(levels, ""), pc.invert(pc.is_in(columns["level"], pa.array(["", "INFO"]))))
        levels = pc.if_else(is_told, columns["level"], levels)
    columns["level"] = levels


def _texts(values: Sequence[Any]) -> pa.Array:
    """Return values as strings (rows,), null for none."""
    try:
        return pa.array(values, pa.string())
    except pa.ArrowException:  # not all are strings
        pass
    if set(map(type, values)) <= {int, type(None)}:
        try:
            return pa.array(values, pa.int64()).cast(pa.string())
        except OverflowError:  # a number of 64 bits without a sign
            pass
    return pa.array(list(map(_text, values)), pa.string())


def _text(value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    import orjson

    if type(value) is dict:
        inner = next((value[key] for key in _INNER if type(value.get(key)) is str), None)
        return inner if inner is not None else orjson.dumps(value).decode()
    # A number of milliseconds may have become 1.767323045678e12.
    is_whole = type(value) is float and value.is_integer()
    return str(int(value)) if is_whole else orjson.dumps(value).decode()


def _records(one: dict[str, Any]) -> list[dict[str, Any]]:
    """List the log records of an OpenTelemetry export, each with its scope."""
    return [
        {"scope": scope.get("scope") or None, **record}
        for resource in _objects(one.get("resourceLogs")) or [{"scopeLogs": [one]}]
        for scope in _objects(resource.get("scopeLogs"))
        for record in _objects(scope.get("logRecords"))
    ]


def _flatten(one: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenTelemetry export as its first log record; the others' bodies follow in its message."""
    records = _records(one)
    if not records:
        return one
    return {**records[0], "body": "; ".join(_text(record.get("body")) or "" for record in records)}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if type(one) is dict] if type(value) is list else []


def _usual(one: dict[str, Any]) -> dict[str, Any]:
    """Return an object with ECS's ``log`` as ``log.level`` and so on, GCP's payload, CLEF's level, MongoDB's names."""
    if type(one.get("jsonPayload")) is dict:
        return {**one["jsonPayload"], **{key: value for key, value in one.items() if key != "jsonPayload"}}
    if "@t" in one:
        return {"@l": "Information", **one}
    if type(one.get("t")) is dict:
        return {**{name: one.get(key) for name, key in _MONGO.items()}, **one}
    nested = one.get("log")
    if type(nested) is not dict:
        return one
    rest = {key: value for key, value in one.items() if key != "log"}
    return {**{f"log.{key}": value for key, value in nested.items()}, **rest}


def _times(values: Sequence[Any], timezone: str, n: int) -> Ints:
    """Return ms since 1970 (n,), NO_TIME for none: numbers by their size, texts by their shape."""
    if not values:
        return np.full(n, NO_TIME)
    texts = _texts(values).fill_null("")
    times = np.full(len(texts), NO_TIME)
    for shape in (ISO, *(SHAPE[name] for name in _SHAPES)):
        missing = np.flatnonzero(times == NO_TIME)
        if len(missing):
            times[missing] = read_times(texts.take(pa.array(missing)), shape, timezone)
    return times
