"""Event columns of chunks: keys, fields, lengths, and events that continue."""

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from lo2dask.buffers.padded import padded
from lo2dask.formats.lo2 import LO2
from lo2dask.parse.clock import NO_TIME
from lo2dask.parse.columns import (
    EVENTS,
    SOME_ID,
    TEXT,
    FileKeys,
    event_columns,
    event_starts,
    merge_continuations,
    split_source,
    text_columns,
)
from lo2dask.parse.lines import KeptLines, find_lines
from lo2dask.parse.raw_lines import raw_line
from tests.examples import examples
from tests.formats.toys import TOY

from .conftest import V1, V2
from .test_lines import file

texts = st.sampled_from(
    [
        "10:00:00.000 [main]  x INFO  a.B c - text",
        "10:00:00.001 [main]   ERROR a.B c - é 😀",
        "10:00:00.002 none",
        "at a.B(C.java:1)",
        "日本",
    ]
)
rows = st.lists(st.tuples(st.integers(0, 2), texts), min_size=1, max_size=15).map(lambda pairs: sorted(pairs)[:15])


def keys() -> FileKeys:
    return FileKeys.of([file(f"light-oauth2-oauth2-token-{number}.log") for number in range(3)])


def kept_lines(pairs: list[tuple[int, str]]) -> tuple[np.ndarray, KeptLines]:
    buffer = padded("".join(text + "\n" for _, text in pairs).encode())
    lines = find_lines(buffer)
    header = LO2.find_headers(buffer, lines.starts, lines.ends)
    stamps = np.where(header.time_ms >= 0, header.time_ms, NO_TIME)
    owners, number = np.array([owner for owner, _ in pairs]), np.arange(len(pairs))
    return buffer, KeptLines(
        lines.starts, lines.ends, lines.words, owners, number, stamps, header, lines.is_ascii,
    )  # fmt: skip


@examples(80)
@given(rows)
def test_event_columns_say_what_the_lines_say(pairs: list[tuple[int, str]]) -> None:
    table = event_columns(*kept_lines(pairs), keys(), LO2, True)
    assert table.schema.equals(EVENTS)
    for number, ((owner, text), row) in enumerate(zip(pairs, table.to_pylist(), strict=True)):
        assert row["seq_id"] == f"run_1__correct__light-oauth2-oauth2-token-{owner}"
        assert (row["line_no"], raw_line(row), row["service"]) == (number + 1, text, "token")
        assert (row["normal"], row["anomaly"]) == (True, False)
        assert row["e_words_len"] == text.count(" ") + 1
        assert row["e_chars_len"] == len(text)
        assert row["e_trigrams_len"] == max(len(text) - 2, 0)
        assert row["is_continuation"] == (not text.startswith("10:"))
        assert (row["m_timestamp"] is None) == row["is_continuation"]
        has_header = "[main]" in text
        assert (row["thread"], row["logger"], row["method"]) == (("main", "a.B", "c") if has_header else (None,) * 3)


@given(rows)
def test_text_columns_are_those_of_the_events(pairs: list[tuple[int, str]]) -> None:
    buffer, lines = kept_lines(pairs)
    text = text_columns(buffer, lines.ends, lines.file, lines.header, keys())
    events = event_columns(buffer, lines, keys(), LO2, True)
    assert text.schema.equals(TEXT)
    for name in TEXT.names:
        assert text[name].to_pylist() == events[name].to_pylist()
    statements = [text.partition("  x ")[2] or text.partition("]   ")[2] or text for _, text in pairs]
    assert text["m_message"].to_pylist() == statements
    without = event_columns(buffer, lines, keys(), LO2, False)
    assert without.schema.equals(EVENTS)
    for name in EVENTS.names:
        is_text = name in {"thread", "correlation_id", "m_message", "level", "logger", "method"}
        assert without[name].to_pylist() == ([None] * len(pairs) if is_text else events[name].to_pylist())
    marked = event_columns(buffer, lines, keys(), LO2, True, with_ids=False)
    assert marked.drop_columns("correlation_id").equals(events.drop_columns("correlation_id"))
    wanted = [one and SOME_ID for one in events["correlation_id"].to_pylist()]
    assert marked["correlation_id"].to_pylist() == wanted


@examples(80)
@given(rows)
def test_continuations_join_the_event_above(pairs: list[tuple[int, str]]) -> None:
    buffer, lines = kept_lines(pairs)
    table = event_columns(buffer, lines, keys(), LO2, True)
    wanted: list[list[str]] = []
    owners: list[int] = []
    for owner, text in pairs:
        if owners[-1:] == [owner] and not text.startswith("10:"):
            wanted[-1].append(text)
        else:
            wanted.append([text])
            owners.append(owner)
    merged = merge_continuations(table)
    assert raw_line(merged).to_pylist() == ["\n".join(group) for group in wanted]
    assert merged["e_lines_len"].to_pylist() == [len(group) for group in wanted]
    assert merged["e_chars_len"].to_pylist() == [sum(map(len, group)) for group in wanted]
    assert len(event_starts(table)) == len(wanted)
    assert merge_continuations(merged.slice(0, 0)).num_rows == 0


@given(st.lists(st.sampled_from(["INFO  a.B c", "ERROR a.C <init>", "WARN x", "", "INFO|a.B"]), max_size=12))
def test_sources_are_split_by_their_format(sources: list[str]) -> None:
    encoded = pa.array(sources, pa.string()).dictionary_encode()
    for line_format, separator in ((LO2, None), (TOY, "|")):
        columns = split_source(encoded, line_format)
        parts = [[*source.split(separator), "", "", ""][:3] for source in sources]
        found = [columns[name].to_pylist() for name in ("level", "logger", "method")]
        assert found == [[part[index] for part in parts] for index in range(3)]
        assert all(len(column.dictionary) == len(set(column.dictionary.to_pylist())) for column in columns.values())


def test_keys_come_from_the_names_of_the_folders() -> None:
    files = [file("a.log"), file("b.log"), file("c.log")]
    named = [
        type(one)(**{**vars(one), "run": run, "test_case": case, "normal": case == "correct"})
        for one, run, case in zip(files, (V1, V2, "run_7"), ("correct", "get_user_404_no_user", "correct"), strict=True)
    ]
    found = FileKeys.of(named)
    assert found.begin_ms.tolist() == [1719592986_000 + 3_600_000 - 86_400_000, 1719592986_000 - 3_600_000, NO_TIME]
    columns = found.columns(np.array([2, 1, 1]))
    assert columns["run"].to_pylist() == ["run_7", V2, V2]
    assert columns["normal"].to_pylist() == [True, False, False]
    assert columns["anomaly"].to_pylist() == [False, True, True]


@pytest.mark.parametrize("name", ["seq_id", "run", "test_case", "service"])
def test_chunks_of_a_batch_share_their_keys(name: str) -> None:
    shared = keys()
    one, two = (shared.columns(np.array(rows))[name] for rows in ([0, 1], [2]))
    assert one.dictionary.equals(two.dictionary)
