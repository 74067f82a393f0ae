"""Times of day become timestamps: against a line-by-line reference."""

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from lo2dask.parse.clock import NO_TIME, continue_day, fill_times, to_timestamps
from lo2dask.sources.names import DAY_MS, HOUR_MS

times = st.one_of(st.just(-1), st.integers(0, DAY_MS - 1))
files = st.lists(st.lists(times, min_size=1, max_size=8), min_size=1, max_size=4)


def laid_out(parts: list[list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lines of several files after one another: their times, the first row and the row after each line's file."""
    sizes = [len(part) for part in parts]
    ends = np.cumsum(sizes)
    heads, tails = np.repeat(ends - sizes, sizes), np.repeat(ends, sizes)
    return np.array([time for part in parts for time in part], dtype=np.int64), heads, tails


@given(parts=files, begin=st.integers(10**12, 2 * 10**12))
def test_a_known_window_holds_every_time(parts: list[list[int]], begin: int) -> None:
    lines, heads, _ = laid_out(parts)
    stamps = to_timestamps(lines, np.full(len(lines), begin), heads)
    timed = lines >= 0
    assert (stamps[~timed] == NO_TIME).all()
    assert ((stamps[timed] >= begin) & (stamps[timed] < begin + DAY_MS)).all()
    assert (stamps[timed] % DAY_MS == lines[timed]).all()


@given(parts=files)
def test_without_an_epoch_days_begin_with_each_file(parts: list[list[int]]) -> None:
    lines, heads, _ = laid_out(parts)
    stamps = to_timestamps(lines, np.full(len(lines), NO_TIME), heads)
    for head in sorted(set(heads.tolist())):
        rows = np.flatnonzero((heads == head) & (lines >= 0))
        day, before = 0, None
        for row in rows:
            step = 0 if before is None else lines[row] - before
            day += int(step < -DAY_MS // 2) - int(step > DAY_MS - HOUR_MS)
            before = lines[row]
            assert stamps[row] == lines[row] + day * DAY_MS


@given(parts=files, before=st.one_of(st.just(NO_TIME), st.integers(0, 10**9)))
def test_filling_takes_the_line_above_then_the_first_below(parts: list[list[int]], before: int) -> None:
    lines, heads, tails = laid_out(parts)
    stamps = np.where(lines >= 0, lines, NO_TIME)
    found = fill_times(stamps, heads, tails, before)
    for number, part in enumerate(parts):
        last = before if number == 0 else NO_TIME
        first = next((time for time in part if time >= 0), NO_TIME)
        start = int(np.unique(heads)[number])
        for place, time in enumerate(part):
            last = time if time >= 0 else last
            assert found[start + place] == (last if last != NO_TIME else first)


@given(last=st.integers(0, 10 * DAY_MS), time=st.integers(0, DAY_MS - 1))
def test_a_later_block_goes_on_with_the_day(last: int, time: int) -> None:
    (found,) = continue_day(np.array([time]), last)
    assert found % DAY_MS == time
    assert -DAY_MS // 2 <= found - last <= DAY_MS - HOUR_MS


def test_nothing_is_filled_or_moved_where_there_is_nothing() -> None:
    empty = np.zeros(0, dtype=np.int64)
    assert len(fill_times(empty, empty, empty, NO_TIME)) == 0
    assert continue_day(np.array([NO_TIME]), 5).tolist() == [NO_TIME]
    assert continue_day(np.array([5]), NO_TIME).tolist() == [5]


@given(parts=files, begin=st.integers(10**12, 2 * 10**12))
def test_files_with_and_without_a_window_lie_side_by_side(parts: list[list[int]], begin: int) -> None:
    """Every second file has no epoch: each is placed as if it were alone."""
    lines, heads, _ = laid_out(parts)
    file = np.unique(heads, return_inverse=True)[1]
    begins = np.where(file % 2 == 0, begin, NO_TIME)
    together = to_timestamps(lines, begins, heads)
    for number in range(len(parts)):
        own = np.flatnonzero(file == number)
        alone = to_timestamps(lines[own], begins[own], np.zeros(len(own), np.int64))
        assert together[own].tolist() == alone.tolist()


@given(parts=files)
def test_where_every_line_has_a_time_nothing_is_filled(parts: list[list[int]]) -> None:
    lines, heads, tails = laid_out([[abs(time) for time in part] for part in parts])
    assert fill_times(lines, heads, tails, NO_TIME).tolist() == lines.tolist()
    assert fill_times(lines, heads, tails, 7).tolist() == lines.tolist()


@given(parts=files, before=st.one_of(st.just(NO_TIME), st.integers(0, 10**9)))
def test_what_is_filled_stays_filled(parts: list[list[int]], before: int) -> None:
    lines, heads, tails = laid_out(parts)
    once = fill_times(np.where(lines >= 0, lines, NO_TIME), heads, tails, before)
    assert fill_times(once, heads, tails, before).tolist() == once.tolist()
    for head in np.unique(heads).tolist():
        own = once[heads == head]
        assert (own == NO_TIME).all() or (own != NO_TIME).all()
