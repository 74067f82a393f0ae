"""Figures of sequences are sums over their lines, whatever the blocks that they come in."""

from datetime import UTC, datetime

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from lo2dask import schema
from lo2dask.features.figures import BaseFigures, TextFigures
from lo2dask.features.lines import read_text
from lo2dask.features.masks import MASKS
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2
from tests.examples import examples
from tests.formats.toys import ANGLED, TOY

from .plain import EXCEPTION, logs, plain_line, read_events, texts_of
from .test_textpass import keys


def figures_of(blocks: list[pa.Table], n_files: int, line_format: LineFormat = LO2) -> list[dict]:
    """Add blocks up; return the figures of each file that has a line, with its number."""
    base, text = BaseFigures(n_files), TextFigures(n_files)
    for events in blocks:
        rows, block = read_text(events, MASKS, line_format)
        base.add(events)
        text.add(events, block, rows)
    sequences = base.table(keys(n_files))
    columns = pa.table(text.columns(base.rows(), sequences))
    return [
        {"file": number, **one, **two}
        for number, one, two in zip(base.rows().tolist(), sequences.to_pylist(), columns.to_pylist(), strict=True)
    ]


def pieces(blocks: list[pa.Table], size: int) -> list[pa.Table]:
    return [block.slice(start, size).combine_chunks() for block in blocks for start in range(0, len(block), size)]


@examples(60)
@given(st.lists(logs, min_size=1, max_size=3), st.integers(1, 9), st.sampled_from(["fill", "keep", "merge"]))
def test_figures_do_not_depend_on_the_blocks(contents: list[str], size: int, policy: str) -> None:
    blocks = read_events(contents, policy)
    assert figures_of(blocks, len(contents)) == figures_of(pieces(blocks, size), len(contents))


@examples(60)
@given(st.lists(logs, min_size=1, max_size=3))
def test_sequences_have_the_times_of_their_lines(contents: list[str]) -> None:
    blocks = read_events(contents, "keep")
    for row in figures_of(blocks, len(contents)):
        name = f"run_1__correct__light-oauth2-oauth2-token-{row['file']}"
        own = [event for block in blocks for event in block.to_pylist() if event["seq_id"] == name]
        times = [event["m_timestamp"] for event in own if event["m_timestamp"]]
        assert (row["seq_id"], row["seq_len"]) == (name, len(own))
        assert (row["start_time"], row["end_time"]) == (min(times, default=None), max(times, default=None))
        wanted = round((max(times) - min(times)).total_seconds() * 1000) if times else 0
        assert (row["duration_ms"], row["duration_sec"]) == (wanted, wanted // 1000)


@examples(60)
@given(st.lists(logs, min_size=1, max_size=2), st.sampled_from(["fill", "merge"]))
def test_exceptions_are_counted_in_every_line_of_an_event(contents: list[str], policy: str) -> None:
    blocks = read_events(contents, policy)
    for row in figures_of(blocks, len(contents)):
        texts = [text for block in blocks for text in texts_of(block, row["file"])]
        lines = [line for text in texts for line in text.split("\n")]
        found = [name for line in lines for name in EXCEPTION.findall(plain_line(line)[1])]
        assert (row["n_exception"], row["first_exception"]) == (len(found), found[0] if found else None)


@pytest.mark.parametrize(
    ("line_format", "line"),
    [
        (LO2, "10:00:00.000 [main]  x {} a.B c - d"),
        (TOY, "2026-01-02 03:04:05.000|{}|a.B|c"),
        (ANGLED, "2026-01-02 03:04:05.000 <main> x {} a.B c"),
    ],
)
def test_errors_are_the_levels_that_the_format_says(line_format: LineFormat, line: str) -> None:
    levels = ["INFO", *line_format.error_levels, "INFO", *line_format.error_levels, "none of them"]
    (row,) = figures_of(read_events(["\n".join(map(line.format, levels))], "fill", line_format), 1, line_format)
    assert (row["n_error"], row["errors_by_logger"]) == (2, [{"token": "a.B", "count": 2}])
    assert row["n_threads"] == 1


def test_a_file_without_a_line_has_no_row() -> None:
    rows = figures_of(read_events(["", "10:00:00.000 x", "\n\n"]), 3)
    assert [row["file"] for row in rows] == [1]
    assert rows[0]["start_time"] == datetime(1970, 1, 1, 10, tzinfo=UTC)
    assert set(schema.SEQUENCES.names) <= set(rows[0])


def test_a_rate_is_finite_where_nothing_lasts() -> None:
    (row,) = figures_of(read_events(["no time\nat all"], "keep"), 1)
    assert (row["duration_ms"], row["rate"], row["start_time"]) == (0, 2000.0, None)
    assert np.isfinite(row["rate"])
