"""Cases that are worth a look though they are no finding."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lo2dask import schema
from lo2dask.findings.suspects import MOST_SUSPECTS, find_suspects
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import write_part
from tests.trees import table_of

START = datetime(2026, 3, 6, 9, tzinfo=UTC)


def made(folder: Path, windows: list[dict[str, Any]], errors: dict[tuple[str, str], int]) -> Layout:
    """Write windows, and a timeline with so many errors by run and service."""
    layout = Layout(folder)
    keys = {"test_case": "all", "n_events": 9}
    write_rows(layout.windows, [keys | row for row in windows], schema.WINDOWS)
    ticks = [
        {"run": run, "test_case": "all", "service": service, "start": START, "n_events": 99, "n_error": part}
        for (run, service), count in errors.items()
        for part in (count // 2, count - count // 2)
    ]
    write_rows(layout.timeline, ticks, schema.TIMELINE)
    return layout


def write_rows(folder: Path, rows: list[dict[str, Any]], columns: pa.Schema) -> None:
    write_part(folder / "part-000000.parquet", pa.Table.from_pylist(rows, schema=columns), columns)


def window(
    run: str, second: int, score: float = 2.0, component: str = "run", statement: str = "WARN a - b"
) -> dict[str, Any]:
    at = START + timedelta(seconds=second)
    ends = at + timedelta(seconds=1)
    found = {"run": run, "service": "cart", "window_start": at, "window_end": ends, "score": score}
    return found | {"component": component, "statement": statement}


QUIET = {(f"r{run}", "cart"): 8 for run in range(9)}


@pytest.mark.parametrize(("errors", "is_one"), [(17, False), (18, True), (16, False)])
def test_a_case_with_far_more_errors_than_the_median_is_one(tmp_path: Path, errors: int, is_one: bool) -> None:
    """From 18 on: (x - 8) / sqrt(9) > 3."""
    found = find_suspects(made(tmp_path, [], QUIET | {("r4", "cart"): errors}), set())
    assert [(one.run, one.kind, one.count, one.usual) for one in found] == [("r4", "more errors", errors, 8)] * is_one


def test_the_fault_of_four_of_nine_runs_is_seen(tmp_path: Path) -> None:
    faulty = {(f"r{run}", "cart"): 60 + run for run in (1, 3, 5, 7)}
    assert [one.run for one in find_suspects(made(tmp_path, [], QUIET | faulty), set())] == ["r7", "r5", "r3", "r1"]


def test_an_error_that_no_other_has_comes_first_and_few_odd_seconds_are_none(tmp_path: Path) -> None:
    windows = [window("r1", at) for at in range(4)]
    windows += [window("r2", at, 1.3 + at / 10) for at in range(5)]
    windows += [window("r3", 7, 1.25, "unseen", "ERROR a - no disk left")]
    windows += [window("r5", 7, 1.25, "unseen", "INFO a - hello")]
    found = find_suspects(made(tmp_path, windows, QUIET | {("r4", "cart"): 80}), set())
    assert [(one.run, one.kind, one.count) for one in found] == [
        ("r3", "new error", 1),
        ("r4", "more errors", 80),
        ("r2", "unusual", 5),
    ]
    assert (found[0].start, found[0].statement) == (START + timedelta(seconds=7), "ERROR a - no disk left")
    assert (found[2].start, found[2].statement, found[2].seconds) == (START, "WARN a - b", 5.0)


def test_a_silence_that_is_unusual_has_no_statement(tmp_path: Path) -> None:
    gap = [window("r2", at, 2.8, "gap") | {"statement": None} for at in range(30)]
    (one,) = find_suspects(made(tmp_path, [*gap, window("r2", 40)], QUIET), set())
    assert (one.run, one.kind, one.count, one.statement) == ("r2", "unusual", 31, None)


def test_a_longer_log_has_so_many_more_errors(tmp_path: Path) -> None:
    layout = made(tmp_path, [], QUIET | {("r4", "cart"): 24})
    ticks = table_of(layout.timeline).to_pylist()
    longer = [row | {"n_events": row["n_events"] * (3 if row["run"] == "r4" else 1)} for row in ticks]
    assert len(find_suspects(layout, set())) == 1
    write_rows(layout.timeline, longer, schema.TIMELINE)
    assert find_suspects(layout, set()) == ()


def test_only_what_is_asked_for(tmp_path: Path) -> None:
    layout = made(tmp_path, [], QUIET | {("r4", "cart"): 80, ("r5", "cart"): 90})
    assert [one.run for one in find_suspects(layout, set(), {"r4"})] == ["r4"]
    assert find_suspects(layout, set(), None, "auth") == ()
    assert len(find_suspects(layout, set(), None, "cart")) == 2


def test_of_a_finding_another_service_is_one(tmp_path: Path) -> None:
    errors = QUIET | {("r4", "cart"): 80} | {(run, "auth"): 40 if run == "r4" else 2 for run, _ in QUIET}
    layout = made(tmp_path, [], errors)
    assert [(one.run, one.service) for one in find_suspects(layout, {("r4", "all", "cart")})] == [("r4", "auth")]
    assert find_suspects(layout, {("r4", "all", "cart"), ("r4", "all", "auth")}) == ()


def test_there_are_no_more_than_some_and_none_without_tables(tmp_path: Path) -> None:
    many = {(f"r{run}", "cart"): 8 if run < 20 else 90 for run in range(29)}
    assert len(find_suspects(made(tmp_path / "a", [], many), set())) == MOST_SUSPECTS
    assert find_suspects(Layout(tmp_path / "b"), set()) == ()
