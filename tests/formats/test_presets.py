"""Presets: each finds headers in lines of its kind, is detected by them, and gives their fields."""

import json

import pytest

from lo2dask.formats.detect import detect, narrow
from lo2dask.formats.kinds import PLAIN, KindFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.formats.presets import PRESETS
from lo2dask.formats.user_format import lines_of
from lo2dask.ingest.formats import try_wrapped

from .canonical import canonical


@pytest.mark.parametrize("name", [name for name in PRESETS if name != PLAIN])
def test_each_preset_is_detected_by_its_example(name: str) -> None:
    choice = detect(lines_of([PRESETS[name].example]))
    assert (choice.kind.name, choice.share) == (name, 1.0)


@pytest.mark.parametrize(
    ("line", "name", "expected"),
    [
        (
            "2026-01-02 03:04:05.678 WARN  [http-1] a.B - x - y",
            "logback", "2026-01-02T03:04:05.678 [http-1]   WARN a.B - x - y",
        ),
        (
            "2026-01-02T03:04:05.678+01:00 ERROR 7 --- [nio-80-exec-1] c.e.Foo     : no",
            "spring", "2026-01-02T02:04:05.678 [nio-80-exec-1]   ERROR c.e.Foo - no",
        ),
        (
            "2026-01-02 03:04:05,678 - INFO  [Quorum[id=1]/0:0:2181:Election@774] - out: 1",
            "log4j", "2026-01-02T03:04:05.678 [Quorum[id=1]/0:0:2181]   INFO Election - out: 1",
        ),
        (
            "[2026-01-02 03:04:05 +0000] [12] [CRITICAL] worker gone",
            "python", "2026-01-02T03:04:05.000 [12]   CRITICAL - worker gone",
        ),
        (
            '<165>1 2026-01-02T03:04:05.678Z host app 8 ID47 [x@1 a="b]"] text',
            "syslog", '2026-01-02T03:04:05.678 [8]   NOTICE app ID47 - "] text',
        ),
        ("<11>Jan  2 03:04:05 host sshd[9]: no", "syslog", "2099-01-02T03:04:05.000 [9]   ERROR sshd - no"),
        ("E0102 03:04:05.678901 1 a.go:7] no", "klog", "2099-01-02T03:04:05.678 [1]   ERROR a.go:7 - no"),
        ("[Fri Jan 02 03:04:05 2026] [warn] low", "apache-error", "2026-01-02T03:04:05.000 []   WARN - low"),
        ("260102 030405 148 INFO dfs.Data$X: go", "timed", "2026-01-02T03:04:05.000 [148]   INFO dfs.Data$X - go"),
        (
            "- 1767323045 2026.01.02 n1 2026-01-02-03.04.05.678901 n1 RAS FATAL parity",
            "timed", "2026-01-02T03:04:05.678 [n1 RAS]   FATAL - parity",
        ),
        ("ERROR 2026-01-02 03:04:05.678 a WARN b", "timed", "2026-01-02T03:04:05.678 []   ERROR - a WARN b"),
        ("[warn] [2026-01-02 03:04:05] a.B: low", "timed", "2026-01-02T03:04:05.000 []   WARN a.B - low"),
        ("ERROR: 2026-01-02 03:04:05 INFO b", "timed", "2026-01-02T03:04:05.000 []   INFO - b"),
        ("2026/01/02 03:04:05 listening on :80", "timed", "2026-01-02T03:04:05.000 []   - listening on :80"),
        ('level=warning ts=1767323045.5 msg="a b" n=3', "logfmt", '2026-01-02T03:04:05.500 []   WARN - msg="a b" n=3'),
        (
            '{"@timestamp":"2026-01-02T03:04:05Z","log.level":"ERROR","message":"a\\nb","trace.id":"t1"}',
            "json", "2026-01-02T03:04:05.000 []  t1 ERROR - a\\nb",
        ),
        (
            '{"@timestamp":"2026-01-02T03:04:05Z","log":{"level":"error","logger":"a.B"},"message":"no"}',
            "json", "2026-01-02T03:04:05.000 []   ERROR a.B - no",
        ),
        (
            '{"@t":"2026-01-02T03:04:05Z","@l":"Warning","@mt":"low {n}","@m":"low 3","SourceContext":"a.B"}',
            "json", "2026-01-02T03:04:05.000 []   WARN a.B - low 3",
        ),
        ('{"@t":"2026-01-02T03:04:05Z","@mt":"ok {n}","n":3}', "json", "2026-01-02T03:04:05.000 []   INFO - ok {n}"),
        (
            '{"t":{"$date":"2026-01-02T04:04:05.678+01:00"},"s":"D2","c":"NETWORK","id":22943,"ctx":"conn7",'
            '"msg":"closed","attr":{"n":3}}',
            "json", "2026-01-02T03:04:05.678 [conn7]   DEBUG NETWORK - closed",
        ),
        ("02.01.2026 03:04:05,678 INFO a.B: x", "timed", "2026-01-02T03:04:05.678 []   INFO a.B - x"),
        ("2026-01-02 03:04:05.678 PM [m] WARN a.B - x", "logback", "2026-01-02T15:04:05.678 [m]   WARN a.B - x"),
        ("1/2/2026 12:04:05 AM ERROR x", "timed", "2026-01-02T00:04:05.000 []   ERROR - x"),
        ("Jan 02, 2026 3:04:05 PM a.B go", "timed", "2026-01-02T15:04:05.000 []   - a.B go"),
        ('{"time":1767323045678,"level":50,"name":"shop","msg":"no"}', "json",
         "2026-01-02T03:04:05.678 []   ERROR shop - no"),
        (
            '{"resourceLogs":[{"scopeLogs":[{"scope":{"name":"s"},"logRecords":[{"timeUnixNano":"1767323045678000000",'
            '"severityText":"Info","body":{"stringValue":"hi"},"traceId":"5b"},{"body":{"stringValue":"ho"}}]}]}]}',
            "json", "2026-01-02T03:04:05.678 []  5b INFO s - hi; ho",
        ),
    ],
)  # fmt: skip
def test_fields(line: str, name: str, expected: str) -> None:
    assert detect(lines_of([line])).kind.name == name
    assert canonical(line) == [expected]


@pytest.mark.parametrize(
    "trace",
    [
        [
            "java.lang.IllegalStateException: no",
            "\tat a.B.c(B.java:1)",
            "Caused by: java.io.IOException",
            "\t... 3 more",
        ],
        ["Traceback (most recent call last):", '  File "a.py", line 1, in f', "ValueError: no"],
        ["panic: no", "", "goroutine 1 [running]:", "main.main()", "\t/src/main.go:7 +0x1d"],
        ["TypeError: no", "    at f (/srv/a.js:1:2)", "    at node:internal/main:3"],
    ],
)
def test_stack_traces_continue_the_event_above(trace: list[str]) -> None:
    headed = "2026-01-02 03:04:05,678 [main] ERROR shop.Orders - failed"
    lines = canonical(headed, *trace, kind=KindFormat("logback"))
    assert lines[1:] == [line.strip() for line in trace]
    assert LO2.name not in lines[0]


@pytest.mark.parametrize(
    ("before", "wrappers"),
    [
        ("token-1  | ", ("compose",)),
        ("[pod/shop-7d/app] ", ("kubectl",)),
        ("2026-01-02T03:04:06.678901234Z stdout F ", ("cri",)),
        ("2026-01-02T03:04:06.678901234Z ", ("docker",)),
        ("shop-1  | 2026-01-02T03:04:06.678901234Z ", ("compose", "docker")),
        ("[pod/shop-7d/app] 2026-01-02T03:04:06.678901234Z stderr F ", ("kubectl", "cri")),
    ],
)
def test_wrappers_come_off_first_and_stack(before: str, wrappers: tuple[str, ...]) -> None:
    inner = [PRESETS["json"].example, PRESETS["json"].example, "  at f"]
    some = lines_of([before + line for line in inner])
    choice = detect(some)
    assert (choice.kind.name, choice.kind.wrappers) == ("json", wrappers)
    assert canonical(*(before + line for line in inner)) == canonical(*inner)


def test_where_nothing_is_in_the_wrapper_its_time_counts() -> None:
    lines = [f"2026-01-02T03:04:0{n}.678901234Z ready {n}" for n in range(3)]
    choice = detect(lines_of(lines))
    assert (choice.kind.name, choice.kind.wrappers, choice.share) == ("timed", (), 1.0)


CRI_PLAIN = [f"2026-01-02T03:04:0{n}.678901234Z stdout F " + text
             for n, text in enumerate(["hello", "ERROR shop.Pay: no", "", "  at f", "bye"])]  # fmt: skip


def json_file(*inner: str) -> list[str]:
    times = (f"2026-01-02T03:04:0{n}.678901234Z" for n in range(len(inner)))
    return [json.dumps({"log": text + "\n", "stream": "stdout", "time": time}, separators=(",", ":"))
            for text, time in zip(inner, times, strict=True)]  # fmt: skip


def test_a_json_file_of_docker_is_a_wrapper() -> None:
    inner = [PRESETS["logback"].example, "\x1b[31m" + PRESETS["logback"].example + "\x1b[0m", "", "\tat a.B.c", 'é "x"']
    lines = [*json_file(*inner), '{"log":"cut off']
    assert detect(lines_of(lines)).kind == KindFormat("logback", ("json-file",))
    head = "2026-01-02T03:04:05.678 [main]   INFO shop.Orders - order 17 paid"
    assert canonical(*lines) == [head, head, "", "at a.B.c", 'é "x"', '{"log":"cut off']


def test_lines_of_a_json_file_are_the_same_all_at_once_and_one_by_one() -> None:
    inner = [PRESETS["logback"].example + end for end in (' "é"', "\\n\t<b>", "", "\nmore")]
    lines = [line.replace('"stream"', '"attrs":{"a":[1]},"stream"') for line in json_file(*inner)]
    kind = KindFormat("logback", ("json-file",))
    assert canonical(*lines, kind=kind) == canonical(*lines, '{"log":"cut off', kind=kind)[:-1]
    assert canonical(*lines, kind=kind)[1].endswith("order 17 paid\\n\t<b>")


def test_the_time_of_a_json_file_is_that_of_plain_text_within() -> None:
    lines = json_file("hello", "ERROR a\nb", "", "  at f")
    assert detect(lines_of(lines)).kind == KindFormat("timed", ("json-file-time",))
    assert canonical(*lines) == [
        "2026-01-02T03:04:00.678 []   - hello", "2026-01-02T03:04:01.678 []   ERROR - a\\nb", "", "at f",
    ]  # fmt: skip


@pytest.mark.parametrize("before", ["", "[pod/shop-7d/app] "])
def test_the_time_of_cri_is_that_of_plain_text_within(before: str) -> None:
    lines = [before + line for line in CRI_PLAIN]
    choice = detect(lines_of(lines))
    assert (choice.kind.name, choice.kind.wrappers[-1], choice.headed, choice.lines) == ("timed", "cri-time", 3, 3)
    assert try_wrapped(KindFormat("timed"), lines_of(lines)).kind == choice.kind
    assert try_wrapped(KindFormat(PLAIN), lines_of(lines)).kind == KindFormat(PLAIN)
    assert canonical(*lines) == [
        "2026-01-02T03:04:00.678 []   - hello", "2026-01-02T03:04:01.678 []   ERROR shop.Pay - no", "", "at f",
        "2026-01-02T03:04:04.678 []   - bye",
    ]  # fmt: skip


def test_a_column_of_a_csv_file_holds_the_line() -> None:
    inner = PRESETS["json"].example.replace('"', '""')
    lines = ["node,pod,log,n", *[f'n{n},p,"{inner}",{n}' for n in range(4)]]
    choice = detect(lines_of(lines))
    assert (choice.kind.name, choice.kind.wrappers, choice.headed) == ("json", ("csv:2",), 4)


def test_the_shapes_seen_are_looked_for_first_and_others_all_the_same() -> None:
    some = lines_of(["260102 030405 a", "260102 030406 b"])
    kind = narrow(KindFormat("timed"), some)
    assert kind.name == "timed:digits"
    assert canonical("260102 030405 a", "26/01/02 03:04:05 b", kind=kind) == [
        "2026-01-02T03:04:05.000 []   - a", "2026-01-02T03:04:05.000 []   - b",
    ]  # fmt: skip


def test_plain_lines_are_events_without_a_time() -> None:
    assert canonical("a", "", "b", kind=KindFormat(PLAIN)) == ["- a", "", "- b"]


def test_json_without_a_message_keeps_its_line_among_others_that_have_one() -> None:
    begin, bare = '{"time":"2026-01-02T03:04:05Z","level":"error",', '"error":"disk full"}'
    head = "2026-01-02T03:04:05.000 []   ERROR - "
    lines = (begin + '"msg":"a"}', begin + bare, begin + '"msg":null}')
    assert canonical(*lines) == [head + "a", head + begin + bare, head + begin + '"msg":null}']


def test_an_empty_scope_is_no_logger() -> None:
    record = '{"timeUnixNano":"1767323045678000000","severityText":"Info","body":{"stringValue":"hi"}}'
    line = f'{{"resourceLogs":[{{"scopeLogs":[{{"scope":{{}},"logRecords":[{record}]}}]}}]}}'
    assert canonical(line) == ["2026-01-02T03:04:05.678 []   INFO - hi"]
