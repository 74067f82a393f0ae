"""Metric files: the fast way equals a JSON parser, odd shapes are read, damaged ones refused."""

import json
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.parse import metrics
from lo2dask.parse.cells import MetricError
from lo2dask.parse.metrics import MetricSamples
from lo2dask.parse.traces import parse_spans, traced_service
from lo2dask.parse.wide_table import parse_wide_table
from tests.examples import examples

numbers = st.one_of(
    st.sampled_from(["NaN", "+Inf", "-Inf", "0", "1e-7", "1.5e+20", "26189824", "-3"]), st.floats().map(repr)
)
times = st.one_of(st.integers(0, 2_000_000_000), st.integers(0, 10**12).map(lambda ms: ms / 1000))
labels = st.dictionaries(
    st.sampled_from(["__name__", "job", "instance", "mode", "id", "b}"]),
    st.sampled_from(["node", 'a"b', "}", ']},"values":[', '"values"', "ä€", "", "\\"]),
)
answers = st.lists(st.tuples(labels, st.lists(st.tuples(times, numbers), max_size=5)), max_size=4)
writers: list[Callable[[object], str]] = [
    lambda value: json.dumps(value, indent=4),
    lambda value: json.dumps(value, separators=(",", ":")),
    lambda value: json.dumps(value, ensure_ascii=False) + "\n",
]


def rows(content: list[dict], run: str = "r", case: str | None = "correct") -> list[tuple]:
    """What a plain reader makes of an answer."""
    found = []
    for series in content:
        own = dict(series["metric"])
        name, job, instance = own.pop("__name__", ""), own.pop("job", None), own.pop("instance", None)
        for time, value in series["values"]:
            found.append((run, case, name, job, instance, json.loads(json.dumps(own)), time, float(value)))
    return found


def parsed(*files: bytes, case: str | None = "correct") -> list[tuple]:
    samples = MetricSamples()
    for data in files:
        samples.add(data, "r", case)
    names = ["run", "test_case", "metric_name", "job", "instance", "labels"]
    table = samples.table()
    columns = [table[name].to_pylist() for name in names]
    columns[5] = [json.loads(text) for text in columns[5]]
    stamps = [value / 1_000_000 for value in table["timestamp"].cast("int64").to_pylist()]
    return list(zip(*columns, stamps, table["value"].to_pylist(), strict=True))


def same(found: list[tuple], wanted: list[tuple]) -> bool:
    def key(row: tuple) -> tuple:
        return (*row[:6], "NaN" if math.isnan(row[7]) else row[7])

    near = all(abs(a[6] - b[6]) < 0.0011 for a, b in zip(found, wanted, strict=True))
    return near and [key(row) for row in found] == [key(row) for row in wanted]


@examples(150)
@given(st.lists(answers, min_size=1, max_size=3), st.sampled_from(writers))
def test_equals_a_json_parser(many: list[list], write: Callable[[object], str]) -> None:
    contents = [[{"metric": own, "values": pairs} for own, pairs in answer] for answer in many]
    assert same(parsed(*(write(content).encode() for content in contents)), sum(map(rows, contents), []))


def test_the_fast_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    content = [
        {"metric": {"__name__": "m", "job": "node"}, "values": [[1739745441, "NaN"], [1739745442.5, "+Inf"]]}
    ] * 3
    monkeypatch.setattr(metrics, "_parse_series", None)
    for write in writers:
        assert same(parsed(write(content).encode()), rows(content))


def test_labels_are_canonical_and_kept() -> None:
    samples = MetricSamples()
    for own in ({"b": "1", "a": "ä", "__name__": "m"}, {"__name__": "m", "a": "ä", "b": "1"}):
        samples.add(json.dumps([{"metric": own, "values": [[1, "2"]]}]).encode(), "r", None)
    table = samples.table()
    assert table["labels"].to_pylist() == ['{"a":"ä","b":"1"}'] * 2
    assert table["normal"].to_pylist() == table["anomaly"].to_pylist() == [None, None]


@pytest.mark.parametrize(
    "data",
    [
        {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "2"]]}]}},
        [{"values": [[1, "2"]], "metric": {}}],
        [{"metric": {}, "value": [1, "2"]}],
        [{"metric": {}, "values": [[1, 2]]}],
    ],
)
def test_other_shapes(data: object) -> None:
    assert parsed(json.dumps(data).encode()) == [("r", "correct", "", None, None, {}, 1.0, 2.0)]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b'[{"metric": {}, "values": [[1, "2"]', b'[{"metric": {}, "values": [[1, "2"]]}', b"null", b'"x"',
        b'[{"metric": {}, "values": [[1, ""]]}]', b'[{"metric": {}, "values": [[1, "1.2.3"]]}]', b"[1]",
        b'[{"metric": {}, "values": [[1]]}]', b'[{"metric": {}, "values": 5}]', b"\xff\xfe", b"<html>",
        b'[{"metric": {}, "values": [[1, "2"]]}] x', b'[{"metric": {}, "values": [[1, "2"]]} {"metric": {}}]',
    ],
)  # fmt: skip
def test_damaged_files_are_refused(data: bytes) -> None:
    """As a whole or, where the answer is a list of series, series by series."""
    try:
        rows = parsed(data)
    except MetricError:
        return
    assert rows == []
    assert MetricSamples().add(data, "r", "correct")


def test_nothing_to_read() -> None:
    assert parsed() == parsed(b"[]") == []
    assert parsed(b'[{"metric": {}, "values": []}]') == []


WIDE = b"timestamp,test_name,node_load1_0,node_load1_1,up{x},empty\n"
WIDE += b"10,correct,1.5,NaN,+Inf,\n20.5,get_token_404,2,3,,\n30,,7,8,9,\n"


def test_wide_table() -> None:
    table, problems = parse_wide_table(WIDE, "r")
    assert problems == []
    found = table.select(["test_case", "metric_name", "value", "anomaly"]).to_pylist()
    assert [tuple(row.values())[:2] for row in found] == [
        ("correct", "node_load1_0"), ("get_token_404", "node_load1_0"), (None, "node_load1_0"),
        ("correct", "node_load1_1"), ("get_token_404", "node_load1_1"), (None, "node_load1_1"),
        ("correct", "up"), (None, "up"),
    ]  # fmt: skip
    assert [row["anomaly"] for row in found[:3]] == [False, True, None]
    assert [row["value"] for row in found if not math.isnan(row["value"])] == [1.5, 2, 7, 3, 8, math.inf, 9]
    assert table["timestamp"].cast("int64").to_pylist()[:3] == [10_000_000, 20_500_000, 30_000_000]
    assert table["labels"].to_pylist()[-1] == '{"column":"up{x}"}'


def test_an_open_quote_in_a_wide_table_costs_its_row_alone() -> None:
    rows = b'timestamp,test_name,x\n10,correct,1\n11,"correct,2\n12,correct,3\n13,"correct",4\n'
    table, problems = parse_wide_table(rows, "r")
    assert table["value"].to_pylist() == [1, 3, 4]
    assert problems == ["line 3: a quote is not closed: '11,\"correct,2'"]


def test_wide_table_of_some_metrics() -> None:
    assert set(parse_wide_table(WIDE, "r", ["node_load1"])[0]["metric_name"].to_pylist()) == {
        "node_load1_0",
        "node_load1_1",
    }
    assert set(parse_wide_table(WIDE, "r", ["up"])[0]["metric_name"].to_pylist()) == {"up"}
    assert parse_wide_table(WIDE, "r", ["node"])[0].num_rows == 0


@pytest.mark.parametrize("data", [b"", b"a,b\n1,2\n"])
def test_wide_tables_that_are_none(data: bytes) -> None:
    with pytest.raises(MetricError):
        parse_wide_table(data, "r")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (b"30,correct,hello,5", "a cell is no number: 'hello'"),
        (b"30,correct", "a row has 2 cells, not 4"),
        (b"1740000301000,correct,1,2", "1740000301000 is no time in seconds since 1970, but perhaps in ms"),
        (b"timestamp,test_name,x,y", "no time: 'timestamp'"),
    ],
)
def test_a_bad_row_costs_only_itself(row: bytes, problem: str) -> None:
    table, problems = parse_wide_table(b"timestamp,test_name,x,y\n10,correct,1,2\n" + row + b"\n20,correct,3,4\n", "r")
    assert {1.0, 2.0, 3.0, 4.0} <= set(table["value"].to_pylist()) <= {1.0, 2.0, 3.0, 4.0, 5.0}
    assert [text for text in problems if text.startswith(problem)]


def test_wide_table_with_dates() -> None:
    data = b"test_name,time,x\ncorrect,2024-06-28T16:43:06Z,1\ncorrect,2024-06-28T18:43:06+02:00,1\n"
    assert set(parse_wide_table(data, "r")[0]["timestamp"].cast("int64").to_pylist()) == {1_719_592_986_000_000}


HEADER = b"Trace ID,Span ID,Operation Name,Start Time,End Time,Tags\n"


def test_spans() -> None:
    line = b"t,s,GET,2025-02-16T22:38:01.619686+00:00,2025-02-16T22:38:02+00:00,\"{'a': 'x, y', \n 'b': 1}\"\n"
    (row,) = parse_spans(HEADER + line, "r", "get_token_404", "traces_oauth2-token-service.csv")[0].to_pylist()
    assert (row["service"], row["anomaly"], row["tags"]) == ("token", True, "{'a': 'x, y', \n 'b': 1}")
    assert (row["end"] - row["start"]).microseconds == 380_314
    assert parse_spans(HEADER, "r", None, "traces_x.csv")[0].num_rows == 0


@pytest.mark.parametrize("row", [b"t,s,GET,yesterday,today,x\n", b"t,s\n", HEADER])
def test_a_bad_span_costs_only_itself(row: bytes) -> None:
    good = b"t,s,GET,2025-02-16T22:38:01+00:00,2025-02-16T22:38:02+00:00,x\n"
    spans, problems = parse_spans(HEADER + good + row + good, "r", "correct", "traces_x.csv")
    assert spans.num_rows == 2
    assert len(problems) == 1


OPEN = (b't,s,GET,2025-02-16T22:38:01,2025-02-16T22:38:02,"x\n', b't,s,"GET\n', b't,s,G,1,2,"' + b"x" * 200_000 + b"\n")


@pytest.mark.parametrize("open_row", OPEN, ids=["tags", "operation", "long"])
@pytest.mark.parametrize("tags", [b"x", b"\"{'a': 1, \n ''b'': 2,,,,}\""])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_open_quote_costs_its_row_alone(open_row: bytes, tags: bytes, after: int) -> None:
    good = b"t,s,GET,2025-02-16T22:38:01+00:00,2025-02-16T22:38:02+00:00," + tags + b"\n"
    spans, problems = parse_spans(HEADER + good + open_row + good * after, "r", "correct", "traces_x.csv")
    assert spans["tags"].to_pylist() == [tags.decode().strip('"')] * (1 + after)
    (problem,) = problems
    assert f"line {2 + good.count(10)}: a quote is not closed: 't,s," in problem


GOOD = '{"metric": {"__name__": "good"}, "values": [[1, "2"], [2, "3"]]}'


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ('{"metric": {"__name__": "h"}, "histograms": [[1, {"count": "1"}]]}', "series 'h': a native histogram"),
        ('{"metric": {"__name__": "ms"}, "values": [[1740000301000, "2"]]}', "series 'ms': 1740000301000 is no time"),
        ('{"metric": {"__name__": "n"}, "values": [[1, "x"]]}', "no range query: series 'n': could not convert"),
        ('{"metric": {"__name__": "v"}, "values": 5}', "no range query: series 'v' without a list"),
        ("7", "no range query: a series without its metric"),
    ],
)
def test_a_bad_series_costs_only_itself(bad: str, problem: str) -> None:
    samples = MetricSamples()
    (found,) = samples.add(f"[{GOOD}, {bad}, {GOOD}]".encode(), "r", "correct", plain=True)
    assert found.startswith(problem)
    assert samples.table()["value"].to_pylist() == [2.0, 3.0, 2.0, 3.0]


def test_what_prometheus_answered_is_told() -> None:
    with pytest.raises(MetricError, match="bad_data: exceeded maximum resolution"):
        parsed(b'{"status": "error", "errorType": "bad_data", "error": "exceeded maximum resolution"}')


@pytest.mark.parametrize("data", [b"", b"a,b\n1,2\n"])
def test_traces_that_are_none(data: bytes) -> None:
    with pytest.raises(MetricError):
        parse_spans(data, "r", "correct", "traces_x.csv")


def test_traced_services() -> None:
    names = ["traces_oauth2-refresh-token-service.csv", "traces_jaeger-all-in-one.csv", "trace_oauth2-service.csv"]
    assert [traced_service(name) for name in names] == ["refresh-token", "jaeger-all-in-one", "service"]
