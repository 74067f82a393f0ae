"""Scales of figures: by service, and of silences over all services."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.findings.judge import STEP, add_counts, to_scales
from lo2dask.findings.normals import Statistics

STEPS = int(1 / STEP)


def test_silences_of_all_services_share_a_scale_and_other_figures_do_not() -> None:
    rows = [
        *((service, figure, "a", value * STEPS, 1) for service, top in (("key", 2), ("token", 8))
          for figure in ("gap", "run") for value in (0, 0, 0, top)),
    ]  # fmt: skip
    scales = to_scales(counted(rows))
    assert scales.of("key", "gap") == scales.of("token", "gap") == pytest.approx((0, 8))
    assert scales.of("key", "run") == pytest.approx((0, 2))
    assert scales.of("token", "run") == pytest.approx((0, 8))


def test_the_largest_figure_is_that_of_other_runs_for_the_run_that_has_it() -> None:
    rows = [("key", "run", run, value * STEPS, 1) for run, value in (("a", 0), ("a", 9), ("b", 4), ("c", 3))]
    rows += [("key", "errors", "a", value * STEPS, 1) for value in (0, 0, 6)]
    scales = to_scales(counted(rows))
    assert [scales.of("key", "run", run)[1] for run in ("a", "b", None)] == pytest.approx([1, 6, 6])
    assert scales.of("key", "errors", "a") == (0, 1), "no other run has the figure"
    assert scales.of("other", "run", "a") == (0, 1)


def test_the_largest_gap_of_one_run_is_left_out_for_each_of_its_services() -> None:
    rows = [("key", "gap", "a", 0, 5), ("key", "gap", "b", 2 * STEPS, 1), ("token", "gap", "a", 8 * STEPS, 1)]
    scales = to_scales(counted(rows))
    assert scales.of("key", "gap", "a") == scales.of("token", "gap", "a") == (0, 2)
    assert scales.of("key", "gap", "b") == scales.of("token", "gap", "b") == (0, 8)


@given(st.lists(st.tuples(*(st.sampled_from(names) for names in ("xy", ("run", "gap"), "abc")), st.integers(0, 9))),
       st.integers(1, 4))  # fmt: skip
def test_scales_are_the_same_however_the_figures_are_cut(figures: list[tuple[str, str, str, int]], parts: int) -> None:
    rows = [(*one[:3], one[3] * STEPS, 1) for one in figures]
    whole = add_counts([counted(rows)])
    cut = add_counts([add_counts([counted(rows[part::parts])]) for part in range(parts)])
    assert to_scales(whole) == to_scales(cut)


def counted(rows: list[tuple[str, str, str, int, int]]) -> Statistics:
    """Make counts of figures: service, figure, run, value in steps, count."""
    fields = {
        "service": pa.string(),
        "figure": pa.string(),
        "run": pa.string(),
        "value": pa.int64(),
        "count": pa.int64(),
    }
    table = pa.table(
        {name: pa.array([row[at] for row in rows], kind) for at, (name, kind) in enumerate(fields.items())}
    )
    return {"counts": table, "largest": table.select(["service", "figure", "run", "value"])}
