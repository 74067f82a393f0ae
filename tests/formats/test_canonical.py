"""Canonical lines: any fields come back, lines are put together exactly, and what has no header stays as it is."""

from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given

from lo2dask.formats.canonical import CANONICAL, NO_TIME_TEXT
from lo2dask.formats.fields import Fields, join_fields, write_canonical, write_untimed
from lo2dask.formats.header import UNTIMED
from lo2dask.formats.levels import ERRORS, KNOWN, LEVELS, normalise_levels
from lo2dask.formats.lo2 import LO2
from tests.examples import examples

from .canonical import Event, events, find

LATEST = 253_402_300_799_999
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\n\r")
texts = st.text(characters, max_size=20)
some_text = st.text(st.sampled_from("ab -]["), max_size=12) | texts
words = st.text(st.sampled_from("abC.$[]:-é"), max_size=8)
rows = st.tuples(
    st.integers(-1, LATEST), some_text, some_text, st.sampled_from(["", *LEVELS]), words, words, some_text
)  # fmt: skip


def one_blank(text: str, blank: str) -> str:
    """Put one blank in place of RE2's white space."""
    out, is_blank = "", False
    for char in text.strip():
        is_blank, before = char in " \t\n\f\r", is_blank
        out += blank if is_blank and not before else "" if is_blank else char
    return out


@examples(200)
@given(st.lists(rows, min_size=1, max_size=6))
@example([(0, "a]  b", "c d", "INFO", "-", "m", "- x")])
@example([(LATEST, "]", "[", "", "", "", "")])
def test_any_fields_come_back(many: list[tuple]) -> None:
    columns = list(zip(*many, strict=True))
    names = ("thread", "correlation_id", "level", "logger", "method", "message")
    arrays = {name: pa.array(column, pa.string()) for name, column in zip(names, columns[1:], strict=True)}
    fields = Fields(np.arange(len(many)), np.array(columns[0]), **arrays)
    lines = write_canonical(pa.array(["x"] * len(many)), fields).to_pylist()
    for line, found, (time, thread, correlation, level, logger, method, message) in zip(
        lines, events(lines), many, strict=True
    ):
        logger, method = (one_blank(word, "_").removeprefix("-" if word == "-" else "") for word in (logger, method))
        if not level and logger in LEVELS:
            continue
        assert found.time == (time if time >= 0 else UNTIMED)
        assert found.thread == one_blank(thread, " ")
        assert found.correlation_id == one_blank(correlation, "_")
        # Where a part of the source is missing, the next one takes its place.
        wanted = [part for part in (level, logger, method) if part]
        assert [part for part in (found.level, found.logger, found.method) if part] == wanted
        assert found.message.strip() == message.strip()
        assert "\n" not in line


@examples(200)
@given(st.lists(rows, min_size=1, max_size=6))
def test_canonical_lines_are_put_together_as_they_were(many: list[tuple]) -> None:
    columns = list(zip(*many, strict=True))
    names = ("thread", "correlation_id", "level", "logger", "method", "message")
    arrays = {name: pa.array(column, pa.string()) for name, column in zip(names, columns[1:], strict=True)}
    fields = Fields(np.arange(len(many)), np.abs(np.array(columns[0])), **arrays)
    lines = [line.strip(" ") for line in write_canonical(pa.array(["x"] * len(many)), fields).to_pylist()]
    data, header, ends = find(lines)
    assert header.rows.tolist() == list(range(len(many)))
    parts = (
        pa.array([data[low:high].decode() for low, high in zip(*bounds, strict=True)], pa.string())
        for bounds in (header.thread, header.correlation, (header.statement, ends))
    )
    stamps = pa.array(header.time_ms).cast(pa.timestamp("ms")).cast(pa.timestamp("us", "UTC"))
    assert CANONICAL.join_lines(stamps, *parts).to_pylist() == lines


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)))
@example(datetime(2000, 2, 29, 23, 59, 59, 999_000))
@example(datetime(2100, 3, 1))
def test_dates_are_those_of_the_calendar(moment: datetime) -> None:
    line = f"{moment.isoformat(timespec='milliseconds')} []   - x"
    assert events([line])[0].time == (moment - datetime(1970, 1, 1)) // timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "line",
    [
        "2026-00-01T00:00:00.000 []   - x", "2026-13-01T00:00:00.000 []   - x", "2026-01-32T00:00:00.000 []   - x",
        "1969-12-31T00:00:00.000 []   - x", "2026-01-01 00:00:00.000 []   - x", "2026-01-01T24:00:00.000 []   - x",
        "2026-01-01T00:00:00,000 []   - x", "2026-01-01T00:00:00.000 []  - x", "2026-01-01T00:00:00.000 []   a b c d -",
        "2026-01-01T00:00:00.000 []   x", "2026-01-01T00:00:00.000 [", "2026-01-01T00:00:00.000", "2026", "-", "", "--",
        "0000-00-00T00:00:00.001 []   - x", "0100-00-00T00:00:00.000 []   - x", "-x",
    ],
)  # fmt: skip
def test_what_is_no_canonical_header(line: str) -> None:
    _, header, _ = find([line])
    assert (header.rows.tolist(), header.time_ms.tolist(), header.statement.tolist()) == ([], [-1], [0])
    assert header.continues.tolist() == [True]


def test_events_without_a_time() -> None:
    _, header, _ = find([f"{NO_TIME_TEXT} [a]  b INFO c - x", "- any text", "- -", "text"])
    assert header.time_ms.tolist() == [UNTIMED, UNTIMED, UNTIMED, -1]
    assert header.rows.tolist() == [0]
    assert header.continues.tolist() == [False, False, False, True]


def test_items_of_a_list_go_on_with_their_event() -> None:
    fields = Fields(np.array([0]), np.array([5]), pa.array(["items:"]))
    lines = write_canonical(pa.array(["x", "- first", "-second", "-  third", "- - 4"]), fields).to_pylist()
    assert [event.time for event in events(lines)] == [5, -1, -1, -1, -1]
    assert [event.message for event in events(lines)[1:]] == ["- first", "-second", "-  third", "- - 4"]
    # So where no line has a header: the log goes on with an event of its chunk before.
    assert write_canonical(pa.array(["- a"]), Fields.none()).to_pylist() == [" - a"]


@given(st.lists(texts.map(str.strip), max_size=5))
def test_lines_of_plain_text_are_events_but_blank_ones(many: list[str]) -> None:
    lines = write_untimed(pa.array(many, pa.string())).to_pylist()
    for text, line in zip(many, lines, strict=True):
        assert line == (f"- {text}" if text else "")
        if text:
            assert events([line]) == [Event(UNTIMED, message=line)]


def test_lines_within_a_message_become_one() -> None:
    fields = Fields(np.array([0]), np.array([5]), pa.array(["a\r\nb\nc"]), thread=pa.array(["t\nu"]))
    assert events(write_canonical(pa.array(["x"]), fields).to_pylist()) == [Event(5, "t u", message="a\\nb\\nc")]


def test_headers_of_several_patterns_are_joined_in_the_order_of_lines() -> None:
    first = Fields(np.array([2, 4]), np.array([20, 40]), pa.array(["c", "e"]), level=pa.array(["INFO", "WARN"]))
    second = Fields(np.array([0, 3]), np.array([0, 30]), pa.array(["a", "d"]), thread=pa.array(["t", "u"]))
    joined = join_fields([first, second])
    assert (joined.rows.tolist(), joined.time_ms.tolist()) == ([0, 2, 3, 4], [0, 20, 30, 40])
    assert joined.message.to_pylist() == ["a", "c", "d", "e"]
    assert joined.level.to_pylist() == ["", "INFO", "", "WARN"]
    assert joined.thread.to_pylist() == ["t", "", "u", ""]
    assert joined.logger is None
    assert join_fields([first]) is first
    assert len(join_fields([]).rows) == 0


def test_times_that_cannot_be_written_make_no_header_or_an_event_without_one() -> None:
    fields = Fields(np.arange(4), np.array([-5, 0, LATEST, LATEST + 1]), pa.array(list("abcd")))
    assert fields.with_time().rows.tolist() == [1, 2]
    assert fields.with_or_without_time().time_ms.tolist() == [-1, 0, LATEST, -1]


@pytest.mark.parametrize("line_format", [CANONICAL, LO2], ids=["canonical", "lo2"])
@pytest.mark.parametrize(
    "many", [[], [""], ["", ""], ["\0"], ["\0" * 60], ["x" * 300_000], ["[" * 99], ["é" * 50], ["- "[:1]]]
)
def test_edges_of_the_kernels(line_format, many: list[str]) -> None:
    _, header, _ = find(many, line_format)
    assert header.time_ms.tolist() == [-1] * len(many)
    assert len(header.rows) == 0
    assert header.statement.tolist() == np.cumsum([0, *(len(text.encode()) + 1 for text in many)])[:-1].tolist()


@pytest.mark.parametrize(
    ("line_format", "time"), [(CANONICAL, "2026-01-02T03:04:05.678"), (LO2, "03:04:05.678")], ids=["canonical", "lo2"]
)
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 15, 16, 17, 100_000])
def test_fields_of_every_length_end_where_they_do(line_format, time: str, size: int) -> None:
    thread, correlation, method = "t" * size, "c" * size, "m" * max(size, 1)
    lines = [f"{time} [{thread}]  {correlation} INFO a.B {method} - {'x' * size}".strip(), f"{time} [{thread}]  "]
    data, header, _ = find(lines, line_format)
    assert header.rows.tolist() == [0]
    for (low, high), wanted in zip(
        (header.thread, header.correlation, header.source), (thread, correlation, f"INFO a.B {method}"), strict=True
    ):
        assert data[low[0] : high[0]].decode() == wanted
    # No header reaches into the line behind: cut after any byte it has none, or ends there.
    for end in range(0, min(len(lines[0]), 80)):
        _, header, _ = find([lines[0][:end], lines[0]], line_format)
        assert header.rows.tolist() in ([1], [0, 1])
        assert (header.source[1] <= end + np.array([0, len(lines[0])])[header.rows]).all()


def test_levels() -> None:
    names = [*LEVELS, "warning", "Err", "[crit]", "<info>", "trace3", "50", "3", "I", "", "boom"]
    wanted = [*LEVELS, "WARN", "ERROR", "CRITICAL", "INFO", "TRACE", "ERROR", "ERROR", "INFO", "", ""]
    assert normalise_levels(pa.array(names)).to_pylist() == wanted
    assert normalise_levels(pa.array(["boom", None]), {"boom": "error"}).to_pylist() == ["ERROR", ""]
    assert set(KNOWN.values()) == set(LEVELS) > set(ERRORS)
    assert datetime.fromtimestamp(LATEST / 1000, UTC).year == 9999
