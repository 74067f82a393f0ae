"""Headers counted field by field say what whole lines say, in every format with a separable header."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.features import lines as module
from lo2dask.features.headers import Headers
from lo2dask.features.lines import masked_counts, raw_counts, read_text
from lo2dask.features.masks import MASKS
from lo2dask.features.startup import StartupWords
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.parse.columns import TEXT
from tests.examples import examples
from tests.formats.toys import ANGLED, TOY

from .plain import (
    as_counters,
    lines_of,
    logs,
    messages,
    plain_line,
    plain_mask,
    plain_trigrams,
    plain_words,
    read_events,
)

dates = st.builds("2026-01-0{} 03:04:05.{:03}".format, st.integers(1, 9), st.integers(0, 3))
threads = st.sampled_from(["", "main", "é 1"])
angled = st.builds("{} <{}> {} {} a.B {}".format, dates, threads, st.sampled_from(["", "x7"]),
                   st.sampled_from(["INFO", "FAIL", "WARN"]), messages)  # fmt: skip
piped = st.builds("{}|{}|a.B|{}".format, dates, st.sampled_from(["INFO", "FAIL", "x"]), messages)
logs_of = {
    form.name: st.lists(line, min_size=1, max_size=8).map("\n".join)
    for form, line in ((ANGLED, st.one_of(angled, messages)), (TOY, st.one_of(piped, messages)))
}


def check_raw(contents: list[str], policy: str, line_format: LineFormat) -> None:
    for events in read_events(contents, policy, line_format):
        _, block = read_text(events, MASKS, line_format)
        counted = raw_counts(block, events)
        texts = lines_of(events, line_format)
        for name, plain in (("e_words", plain_words), ("e_trigrams", plain_trigrams)):
            wanted = [Counter() for _ in range(block.n_sequences)]
            for row, text in zip(block.sequence.tolist(), texts, strict=True):
                wanted[row] += plain(text)
            assert as_counters(counted[name]) == wanted


@examples(60)
@given(st.lists(logs, min_size=1, max_size=3), st.sampled_from(["fill", "merge", "drop"]))
def test_raw_counts_of_lo2(contents: list[str], policy: str) -> None:
    check_raw(contents, policy, LO2)


@examples(60)
@given(st.lists(logs_of["angled"], min_size=1, max_size=2), st.sampled_from(["fill", "merge"]))
def test_raw_counts_of_a_format_with_dates_and_a_separable_header(contents: list[str], policy: str) -> None:
    check_raw(contents, policy, ANGLED)


@examples(40)
@given(st.lists(logs_of["toy"], min_size=1, max_size=2), st.sampled_from(["fill", "merge"]))
def test_raw_counts_of_a_format_that_counts_whole_lines(contents: list[str], policy: str) -> None:
    check_raw(contents, policy, TOY)


class Inseparable(LineFormat):
    has_separable_header = False


@examples(40)
@given(st.lists(logs, min_size=1, max_size=2))
def test_both_ways_of_lo2_agree(contents: list[str]) -> None:
    """The same lines are counted whole where a format's header is not separable."""
    fields = {name: getattr(LO2, name) for name in LO2.__dataclass_fields__}
    for events in read_events(contents):
        _, block = read_text(events, MASKS)
        whole = replace(block, line_format=Inseparable(**fields))
        for name, counts in raw_counts(block, events).items():
            assert as_counters(counts) == as_counters(raw_counts(whole, events)[name])


def test_only_a_separable_header_is_counted_by_field(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = Headers.read
    monkeypatch.setattr(module.Headers, "read", lambda *args: seen.append(args[-1].name) or real(*args))
    for line_format, line in (
        (LO2, "10:00:00.000 [main]  x INFO a.B c - d"),
        (ANGLED, "2026-01-02 03:04:05.000 <main> x INFO a.B c"),
        (TOY, "2026-01-02 03:04:05.000|INFO|a.B|c"),
    ):
        (events,) = read_events([line], "fill", line_format)
        raw_counts(read_text(events, MASKS, line_format)[1], events)
    assert seen == ["lo2", "angled"]


@examples(60)
@given(st.lists(logs, min_size=1, max_size=3), st.sampled_from(["fill", "drop"]))
def test_normalised_lines_equal_plain_masks(contents: list[str], policy: str) -> None:
    for events in read_events(contents, policy):
        codes, block = read_text(events, MASKS)
        wanted = [plain_line(text) for text in lines_of(events)]
        lines, bodies = block.lines.to_pylist(), block.bodies.to_pylist()
        assert [(lines[code], bodies[code]) for code in block.line.tolist()] == wanted
        statements = [block.statements[code].as_py() for code in block.statement.tolist()]
        assert [plain_mask(text) for text in statements] == [body for _, body in wanted]
        owner = events["seq_id"].combine_chunks().indices.to_pylist()
        assert [codes[row] for row in block.sequence.tolist()] == owner
        by_line = block.by_line.toarray()
        assert by_line.sum() == len(wanted)
        assert np.array_equal(by_line.sum(axis=0), np.bincount(block.line, minlength=len(lines)))


@examples(40)
@given(st.lists(logs_of["angled"], min_size=1, max_size=2))
def test_normalised_lines_of_another_format(contents: list[str]) -> None:
    for events in read_events(contents, "fill", ANGLED):
        _, block = read_text(events, MASKS, ANGLED)
        columns = [events[name].cast(pa.string()).to_pylist() for name in ("thread", "correlation_id", "m_message")]
        wanted = []
        for text, thread, correlation, statement in zip(lines_of(events, ANGLED), *columns, strict=True):
            cid = "<CID>" if correlation else ""
            header = "" if thread is None else f"<TIME> {plain_mask(f'<{thread}>')} {cid} "
            assert thread is not None or text == statement
            wanted.append(header + plain_mask(statement))
        assert block.lines.take(pa.array(block.line)).to_pylist() == wanted


@examples(40)
@given(st.lists(logs, min_size=1, max_size=2))
def test_masked_counts_are_those_of_normalised_lines(contents: list[str]) -> None:
    for events in read_events(contents):
        _, block = read_text(events, MASKS)
        counted = masked_counts(block)
        lines = block.lines.take(pa.array(block.line)).to_pylist()
        for name, plain in (("e_words", plain_words), ("e_trigrams", plain_trigrams)):
            wanted = [Counter() for _ in range(block.n_sequences)]
            for row, line in zip(block.sequence.tolist(), lines, strict=True):
                wanted[row] += plain(line)
            assert as_counters(counted[name]) == wanted


@examples(30)
@given(st.lists(logs, min_size=1, max_size=3), st.integers(1, 5))
def test_startup_words_are_those_of_the_lines_given(contents: list[str], size: int) -> None:
    startup, wanted = StartupWords(len(contents), MASKS), [Counter() for _ in contents]
    for events in read_events(contents):
        rows = events.select(TEXT.names)
        startup.add([])
        for start in range(0, rows.num_rows, size):
            startup.add([rows.slice(start, size)])
        owner = events["seq_id"].combine_chunks().indices.to_pylist()
        for row, text in zip(owner, lines_of(events), strict=True):
            wanted[row] += plain_words(plain_line(text)[0])
    found = [{pair["token"]: pair["count"] for pair in bag} for bag in startup.bags().to_pylist()]
    assert found == wanted


@pytest.mark.parametrize("days", [0, 1, 400])
def test_times_are_counted_by_what_the_line_shows(days: int) -> None:
    """LO2's lines show no date: the same time of another day is the same word."""
    stamps = pa.array([1000, 1000 + days * 86_400_000, 2000]).cast(pa.timestamp("ms"))
    text = pa.array(["main"] * 3).dictionary_encode()
    events = pa.table({"m_timestamp": stamps, "thread": text, "correlation_id": text})
    for line_format, words in ((LO2, {"00:00:01.000": 2, "00:00:02.000": 1}), (ANGLED, None)):
        headers = Headers.read(events, np.ones(3, bool), np.zeros(3, np.int64), 1, line_format)
        (found,) = as_counters(headers.times)
        assert found == words if words else sum(found.values()) == 3 and len(found) == (3 if days else 2)
