"""JSON lines: any object is read or left as text, whatever the types of its values; nothing makes the reader fail."""

import json
import math

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from lo2dask.formats.json_lines import KEYS, JsonFormat, have_several, read_told
from lo2dask.formats.kinds import KindFormat
from lo2dask.formats.user_format import lines_of
from tests.examples import examples

from .canonical import Event, read

JSON = KindFormat("json")
NOW, MS = "2026-01-02T03:04:05.678Z", 1767323045678
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8) | st.just(NOW)
keys = st.sampled_from(
    [*(key for some in KEYS.values() for key in some), "resourceLogs", "scopeLogs",
     "logRecords", "ctx", "s", "c", "$date", "stringValue"]
)  # fmt: skip
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
objects = st.dictionaries(keys, anything, max_size=5)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(lambda text: f"m{text}m")


@examples(60)
@given(
    st.lists(objects, min_size=1, max_size=4),
    st.sampled_from(["", "{", '{"a":', "null", "[1]", '{"a":1} x', "{'a': 1}"]),
)
@example([{"resourceLogs": 5, "time": NOW}], "")
@example([{"resourceLogs": [{"scopeLogs": [{"logRecords": [1]}]}]}], "")
@example([{}], "")
def test_objects_of_any_types_are_events(many: list[dict], other: str) -> None:
    lines = [*map(json.dumps, many), other]
    fields = JsonFormat().read(lines_of(lines))
    assert fields.rows.tolist() == list(range(len(many)))
    found = read(*lines, kind=JSON)
    assert [event.time == -1 for event in found] == [False] * len(many) + [True]


@given(texts, st.booleans())
def test_messages_come_back_escaped_or_not(text: str, ascii_only: bool) -> None:
    line = json.dumps({"time": NOW, "level": "warn", "msg": text}, ensure_ascii=ascii_only)
    assert read(line, kind=JSON) == [Event(MS, level="WARN", message=text)]


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"a\ud83d", "a\ufffd"), (r"\ude00b", "\ufffdb"), (r"\ud83d\ude00\ud83d", "😀\ufffd"), (r"\\ud83d", r"\ud83d"),
        (r"\\\ud83d", "\\\ufffd"), ("a\tb", "a\tb"), (r"\u0041\n", r"A\n"), (r"a\u0000b", "a\0b"), (r"\"q\"", '"q"'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("x", ["1", "NaN"])
def test_escapes(escaped: str, text: str, x: str) -> None:
    line = f'{{"time":"{NOW}","msg":"{escaped}","x":{x}}}'
    assert [event.message for event in read(line, kind=JSON)] == [text]


@pytest.mark.parametrize("x", ["NaN", "-Infinity", "1e999", "[NaN]", '{"a":Infinity}', "9" * 40])
def test_numbers_that_are_no_json(x: str) -> None:
    assert read(f'{{"time":"{NOW}","msg":"a","x":{x}}}', kind=JSON) == [Event(MS, message="a")]
    assert read(f'{{"time":"{NOW}","event":{{"n":{x}}}}}', kind=JSON)[0].time == MS


@pytest.mark.parametrize("line", ['{"a":' * 2000 + "1" + "}" * 2000, '{"a":' + "[" * 200_000, "{" * 100, '{"msg":"a"'])
def test_what_is_no_object_is_text(line: str) -> None:
    assert read(line, f'{{"time":"{NOW}","msg":"a"}}', kind=JSON)[0].time == -1


@given(st.integers(1_000_000_000_000, 1_999_999_999_999), st.sampled_from(["time", "ts", "timestamp", "@timestamp"]))
@example(1767323045000, "ts")
def test_times_as_numbers_of_any_unit_whole_or_not(ms: int, key: str) -> None:
    for number in (ms, float(ms), ms + 0.25, ms / 1000, ms * 1000, ms * 1000 + 0.5, ms * 1_000_000, str(ms)):
        (event,) = read(json.dumps({key: number, "msg": "a"}), kind=JSON)
        assert math.isclose(event.time, ms, abs_tol=1 if number == ms / 1000 else 0), number
    # A double of nanoseconds is exact to some hundred of them.
    assert abs(read(json.dumps({key: ms * 1e6, "msg": "a"}), kind=JSON)[0].time - ms) <= 1


@pytest.mark.parametrize("field", KEYS)
def test_the_first_name_that_has_a_value_counts(field: str) -> None:
    names = [name for name in KEYS[field] if name != "log"]
    for at, name in enumerate(names):
        value = {"time": NOW, "level": "ERROR"}.get(field, "value")
        one = {"time": NOW} | {other: None for other in names[:at]} | {name: value}
        one |= {other: {"time": "2001-01-01T00:00:00Z", "level": "INFO"}.get(field, "no") for other in names[at + 1 :]}
        (event,) = read(json.dumps(one), kind=JSON)
        assert getattr(event, field) == (MS if field == "time" else value), name


def test_an_export_of_the_journal_has_time_level_and_unit() -> None:
    line = {"__REALTIME_TIMESTAMP": f"{MS}000", "PRIORITY": "3", "SYSLOG_IDENTIFIER": "cart", "MESSAGE": "disk full"}
    assert read(json.dumps(line), kind=JSON) == [Event(MS, level="ERROR", logger="cart", message="disk full")]


def record(body: object, **more: object) -> dict:
    return {"timeUnixNano": f"{MS}000000", "severityText": "WARN", "body": body, "traceId": "5b", **more}


def test_records_of_opentelemetry_in_any_depth() -> None:
    scope = {
        "scope": {"name": "shop.Pay"},
        "logRecords": [record({"stringValue": "a"}), record({"intValue": 3}), record(None)],
    }
    wanted = Event(MS, "", "5b", "WARN", "shop.Pay", "", 'a; {"intValue":3}; ')
    whole = {"resourceLogs": [{"scopeLogs": [scope]}, None, {"scopeLogs": None}]}
    assert read(json.dumps(whole), kind=JSON)[0].message.strip() == wanted.message.strip()
    alone = read(json.dumps(scope), json.dumps(whole), kind=JSON)
    assert alone[0] == alone[1]
    assert (alone[0].level, alone[0].logger) == ("WARN", "shop.Pay")
    # Of one record, the text may be one of several.
    one = {"logRecords": [record({"stringValue": json.dumps(whole)})]}
    lines = lines_of([json.dumps(whole), json.dumps(scope), json.dumps(one), "body", ""])
    assert have_several(lines).tolist() == [True, True, False, False, False]


def test_values_that_are_objects_are_their_text() -> None:
    line = {
        "time": {"$date": NOW},
        "level": {"name": "error"},
        "logger": {"a": 1},
        "msg": [1, {"b": None}],
        "thread": 7,
    }
    assert read(json.dumps(line), kind=JSON) == [Event(MS, "7", "", "ERROR", '{"a":1}', "", '[1,{"b":null}]')]
    for value, text in ((True, "true"), (1.5, "1.5"), (3.0, "3"), (2**63, str(2**63))):
        assert read(json.dumps({"time": NOW, "msg": value}), kind=JSON)[0].message == text


@pytest.mark.parametrize(
    "key",
    [
        "status", "statusCode", "status_code", "response_code", "DownstreamStatus", "res.statusCode", "response.status",
        "http.response.status_code", "httpRequest.status",
    ],
)  # fmt: skip
@pytest.mark.parametrize("nested", [True, False])
def test_the_status_of_a_request_is_in_its_message_and_tells_the_level(key: str, nested: bool) -> None:
    def line(status: object, **more: object) -> str:
        *outer, last = key.split(".") if nested else [key]
        inner = {last: status}
        for name in reversed(outer):
            inner = {name: inner}
        return json.dumps({"time": NOW, "msg": "done", **inner, **more})

    wanted = {200: "INFO", 404: "WARN", "503": "ERROR"}
    for level in ({}, {"level": "info"}, {"level": 30}):
        found = read(*[line(status, **level) for status in wanted], kind=JSON)
        assert found == [Event(MS, level=wanted[n], message=f"done status={n}") for n in wanted]
    (event,) = read(line(503, level="debug"), kind=JSON)
    assert (event.level, event.message) == ("DEBUG", "done status=503")


def test_what_is_no_status_of_http_is_not_told() -> None:
    values = ["running", 7, 1200, {"a": 1}, None, True, "50x"]
    found = read(*[json.dumps({"time": NOW, "msg": "a", "status": value}) for value in values], kind=JSON)
    assert found == [Event(MS, message="a")] * len(values)
    line = {"time": NOW, "msg": "a", "status": "failed", "res": {"statusCode": 500}}
    assert read(json.dumps(line), kind=JSON) == [Event(MS, level="ERROR", message="a status=500")]
    assert read_told(json.dumps(line)) == "a status=500"


def test_an_empty_message_counts_as_none() -> None:
    line = json.dumps({"time": NOW, "msg": "", "event": "paid"})
    assert read(line, kind=JSON) == [Event(MS, message="paid")]
    assert read_told(line) == "paid"
    alone = json.dumps({"time": NOW, "msg": "", "path": "/x"})
    assert read(alone, kind=JSON) == [Event(MS, message=alone)]
    assert read_told(alone) is None


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (
            {"Timestamp": NOW, "LogLevel": "Error", "Category": "Shop.Pay", "Message": "a", "State": {"Message": "b"}},
            Event(MS, level="ERROR", logger="Shop.Pay", message="a"),
        ),
        (
            {"Timestamp": NOW, "Level": "Warning", "MessageTemplate": "{n} paid", "RenderedMessage": "1 paid"},
            Event(MS, level="WARN", message="1 paid"),
        ),
        ({"Timestamp": NOW, "Level": "Fatal", "MessageTemplate": "{n}"}, Event(MS, level="FATAL", message="{n}")),
        (
            {"jsonPayload": {"message": "a", "logger": "shop", "level": ""}, "timestamp": NOW, "severity": "ERROR"},
            Event(MS, level="ERROR", logger="shop", message="a"),
        ),
        ({"textPayload": "a", "timestamp": NOW, "severity": "INFO"}, Event(MS, level="INFO", message="a")),
        ({"start_time": NOW, "msg": "a"}, Event(MS, message="a")),
        ({"time_iso8601": "2026-01-02T03:04:05+00:00", "msg": "a"}, Event(MS - 678, message="a")),
        ({"time_local": "02/Jan/2026:03:04:05 +0000", "msg": "a"}, Event(MS - 678, message="a")),
    ],
)  # fmt: skip
def test_objects_of_other_tools_have_time_level_logger_and_message(line: dict, event: Event) -> None:
    assert read(json.dumps(line), kind=JSON) == [event]
