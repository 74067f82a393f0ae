"""Cells of text tables and times: each good one is kept, each bad one is named."""

import datetime as dt
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.parse.cells import MetricError, parse_times, read_numbers, read_text_table, read_times, time_problem

UTC = dt.UTC
NUMBERS = st.one_of(st.floats(allow_nan=False).map(repr), st.sampled_from(["", "+1.5", "1e+5", "x", "1,5", "1+2"]))
MOMENTS = st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2100, 1, 1))


@given(st.lists(NUMBERS))
def test_numbers_are_those_of_python_and_the_others_are_named(texts: list[str]) -> None:
    values, problems = read_numbers(pa.array(texts, pa.string()))
    wanted: list[float | None] = []
    for text in texts:
        try:
            wanted.append(float(text))
        except ValueError:
            wanted.append(None)
    assert values.to_pylist() == wanted
    assert len(problems) == sum(text in ("x", "1,5", "1+2") for text in texts)


@given(st.lists(MOMENTS, max_size=20), st.sampled_from(["", "Z", "+00:00"]))
def test_moments_in_iso_are_those_of_python(moments: list[dt.datetime], offset: str) -> None:
    times, are_times, problems = parse_times(pa.array([m.isoformat() + offset for m in moments], pa.string()))
    assert times.to_pylist() == [moment.replace(tzinfo=UTC) for moment in moments]
    assert are_times.all()
    assert problems == []


def test_an_offset_is_subtracted_and_a_bad_cell_costs_only_itself() -> None:
    cells = ["2025-02-19T21:25:01+02:00", "yesterday", "", "2025-02-19 21:25:01.5"]
    times, are_times, problems = parse_times(pa.array(cells))
    assert are_times.tolist() == [True, False, True, True]
    assert times.to_pylist() == [
        dt.datetime(2025, 2, 19, 19, 25, 1, tzinfo=UTC), None, None, dt.datetime(2025, 2, 19, 21, 25, 1, 500_000, UTC)
    ]  # fmt: skip
    assert problems == ["no time: 'yesterday'"]


@given(st.lists(st.integers(0, 4_000_000_000_000), min_size=1, max_size=20))
def test_seconds_are_times_to_the_millisecond(millis: list[int]) -> None:
    times, are_times, problems = read_times(pa.array([f"{value / 1000:.3f}" for value in millis]))
    epoch = dt.datetime(1970, 1, 1, tzinfo=UTC)
    assert times.to_pylist() == [epoch + dt.timedelta(milliseconds=value) for value in millis]
    assert are_times.all()
    assert problems == []


def test_a_second_header_and_times_in_ms_are_named_one_by_one() -> None:
    times, are_times, problems = read_times(pa.array(["1740000301", "time", "1.2.3", "1740000302.25", "1740000301000"]))
    assert are_times.tolist() == [True, False, False, True, False]
    assert problems == [
        "no time: 'time'",
        "no time: '1.2.3'",
        "1740000301000 is no time in seconds since 1970, but perhaps in ms",
    ]
    assert times.to_pylist()[3] == dt.datetime(2025, 2, 19, 21, 25, 2, 250_000, UTC)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, 1e11])
def test_what_is_no_time(value: float) -> None:
    assert "no time in seconds since 1970" in time_problem(np.array([1.0, value]))
    assert time_problem(np.array([0.0, 99_999_999_999.0])) == ""


def test_a_row_of_another_length_costs_only_itself() -> None:
    table, problems = read_text_table(b"a,b\n1,2\n3\n4,,5\n,6\n")
    assert table.to_pydict() == {"a": ["1", ""], "b": ["2", "6"]}
    assert problems == ["a row has 1 cells, not 2: '3'", "a row has 3 cells, not 2: '4,,5'"]


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(MetricError, match="invalid CSV"):
        read_text_table(b"")
