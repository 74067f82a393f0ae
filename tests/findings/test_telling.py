"""When a finding is: where its statement is densest in the log."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.findings.part import PartWindows
from lo2dask.findings.telling import densest_span


@pytest.mark.parametrize(
    ("windows", "excess", "span"),
    [
        ([*range(0, 1800, 180), *range(900, 960)], 60, (900, 959)),
        (list(range(0, 1800, 60)), 15, (0, 1740)),
        (list(range(1800)), 900, (0, 1799)),
        ([5], 1, (5, 5)),
        ([*range(0, 1800, 300), *range(900, 960), *range(1500, 1560)], 115, (900, 959)),
    ],
    ids=[
        "a burst among what is normal",
        "spread over the log",
        "in every window",
        "one line",
        "the first of two bursts",
    ],
)
def test_a_finding_lasts_as_long_as_its_burst(windows: list[int], excess: int, span: tuple[int, int]) -> None:
    window, count = np.unique(windows, return_counts=True)
    found = window[densest_span(*part_of(window, count, 1800), excess)]
    assert (found[0], found[-1]) == span


def test_silence_of_hours_is_no_time_of_the_log() -> None:
    """An ordinary line a minute before the burst is not of it, whatever the log is silent for."""
    window, count = np.unique([0, 245, *range(300, 340)], return_counts=True)
    part, own = part_of(window, count, 20_000)
    part.windows["events"][20_000:] = part.windows["window"][20_000:] < 400
    assert window[densest_span(part, own, 40)].tolist() == list(range(300, 340))


def part_of(window: np.ndarray, count: np.ndarray, length: int) -> tuple[PartWindows, np.ndarray]:
    """Make a part of two logs with so many windows; the second has a statement so often in some of them."""
    windows = {"sequence": np.repeat([0, 1], length), "window": np.tile(np.arange(length), 2)}
    windows["events"] = np.ones(2 * length, dtype=np.int64)
    cells = {"window": length + window, "count": count}
    return PartWindows(pa.table({}), pa.array([], pa.string()), np.zeros(0), windows, cells, {}), np.arange(len(window))


@given(st.dictionaries(st.integers(0, 60), st.integers(1, 9), min_size=1), st.integers(1, 40))
def test_no_span_has_more_lines_over_twice_the_mean_rate(counts: dict[int, int], excess: int) -> None:
    window = np.array(sorted(counts))
    count = np.array([counts[at] for at in window.tolist()])

    def surplus(first: int, last: int) -> float:
        return count[first : last + 1].sum() - 2 * count.sum() / 61 * (window[last] + 1 - window[first])

    pairs = [(first, last) for last in range(len(window)) for first in range(last + 1)]
    chosen = np.arange(len(window))[densest_span(*part_of(window, count, 61), excess)]
    best = max(surplus(*pair) for pair in pairs)
    ties = [(first, last) for first, last in pairs if surplus(first, last) == pytest.approx(best)]
    if len(chosen) < len(window):
        assert surplus(chosen[0], chosen[-1]) == pytest.approx(best)
        assert 2 * count[chosen].sum() >= excess
    else:
        whole = (0, len(window) - 1)
        assert whole in ties or any(2 * count[first : last + 1].sum() < excess for first, last in ties)
