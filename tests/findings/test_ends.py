"""Logs that end long before the others of their case: as plain loops say it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lo2dask import schema
from lo2dask.findings.ends import LogEnds, is_end
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import write_part

START = datetime(2026, 3, 6, 9, tzinfo=UTC)
KIND = pa.schema(
    [(name, pa.string()) for name in ("seq_id", "run", "test_case", "service")]
    + [("start_time", schema.TIME), ("end_time", schema.TIME), ("seq_len", pa.int64())]
)


def made(folder: Path, logs: list[tuple[str, str, float | None]], lines: int = 100) -> Layout:
    """Make a table of logs (run, name, second of the last line or None), two parts long; x-1 is of the service x."""
    rows = [
        {
            "seq_id": f"{run}__all__{name}", "run": run, "test_case": "all", "service": name.partition("-")[0],
            "start_time": None if end is None else START, "seq_len": lines,
            "end_time": None if end is None else START + timedelta(seconds=end),
        }
        for run, name, end in logs
    ]  # fmt: skip
    for number, some in enumerate((rows[: len(rows) // 2], rows[len(rows) // 2 :])):
        write_part(Layout(folder).enhanced / f"part-{number:06d}.parquet", pa.Table.from_pylist(some, KIND), KIND)
    return Layout(folder)


def stopped(layout: Layout, longest: dict) -> dict[str, tuple[datetime, datetime]]:
    return {row["seq_id"]: (row["start"], row["end"]) for row in LogEnds.read(layout).stopped(longest)}


@pytest.mark.parametrize("passed_over", [0, 2])
@pytest.mark.parametrize("seed", range(5))
def test_rests_are_those_of_plain_loops(tmp_path: Path, seed: int, passed_over: int) -> None:
    rng = np.random.default_rng(seed)
    names = ("x", "y-1", "y-2", "z")
    logs = [
        (f"r{run}", name, None if rng.random() < 0.1 else round(rng.uniform(50, 100), 3))
        for run in range(8)
        for name in names
    ]
    chosen = np.array([run != "r3" for run, _, _ in logs])
    ends = {(run, name): end for run, name, end in logs if end is not None and run != "r3"}
    case_end = {run: max(end for (own, _), end in ends.items() if own == run) for run, _ in ends}
    expected: dict[str, dict[str, list[float]]] = {"logs": {}, "services": {}}
    for (run, name), end in ends.items():
        expected["logs"].setdefault(name, []).append(case_end[run] - end)
    for run in case_end:
        for service in "xyz":
            own = [end for (of, name), end in ends.items() if of == run and name[0] == service]
            if own:
                expected["services"].setdefault(service, []).append(case_end[run] - max(own))
    found = LogEnds.read(made(tmp_path, logs), chosen).longest_rests(passed_over)
    assert found.pop("cases") == {"longest": round(1000 * max(case_end.values()))}
    assert found == {
        what: {name: round(1000 * sorted(rests)[-1 - passed_over]) for name, rests in of.items()}
        for what, of in expected.items()
    }


@pytest.mark.parametrize(
    ("rest", "lines", "is_told"),
    [(19, 1000, False), (21, 1000, True), (100, 1000, True), (100, 100, True), (100, 3, False)],
)
def test_a_log_that_ends_early_is_told_with_its_last_line(
    tmp_path: Path, rest: float, lines: int, is_told: bool
) -> None:
    """Normal rests are 2 s at most: ten seconds and five times that are left alone, and so are ten mean pauses."""
    logs = [(f"r{run}", "x", 600.0) for run in range(5)] + [(f"r{run}", "y", 598 + run / 2) for run in range(4)]
    layout = made(tmp_path, [*logs, ("r4", "y", 600 - rest)], lines)
    found = stopped(layout, LogEnds.read(layout).longest_rests(1))
    told = {"r4__all__y": (START + timedelta(seconds=600 - rest), START + timedelta(seconds=600))}
    assert found == (told if is_told else {})


def test_replicas_are_judged_one_by_one_and_pods_together(tmp_path: Path) -> None:
    """The name of a replica comes again, that of a pod does not."""
    logs = [(f"r{run}", name, 600.0) for run in range(6) for name in ("x", "y-1", "y-2", f"z-a{run}", f"z-b{run}")]
    early = {("r2", "y-2"), ("r3", "z-a3"), ("r4", "z-a4"), ("r4", "z-b4")}
    layout = made(tmp_path, [(run, name, 100.0 if (run, name) in early else end) for run, name, end in logs], 1000)
    longest = LogEnds.read(layout).longest_rests(1)
    assert set(longest["logs"]) == {"x", "y-1", "y-2"}
    assert set(longest["services"]) == {"x", "y", "z"}
    assert set(stopped(layout, longest)) == {"r2__all__y-2", "r4__all__z-b4"}


def test_two_normal_cases_tell_nothing(tmp_path: Path) -> None:
    logs = [(f"r{run}", name, 600.0) for run in range(2) for name in "xy"]
    layout = made(tmp_path, [*logs, ("r2", "x", 600.0), ("r2", "y", 1.0)])
    longest = LogEnds.read(layout, np.array([True] * 4 + [False] * 2)).longest_rests(0)
    assert longest == {"logs": {}, "services": {}, "cases": {"longest": 600_000}}
    assert stopped(layout, longest) == stopped(layout, {}) == {}


def test_logs_without_times_tell_nothing(tmp_path: Path) -> None:
    layout = made(tmp_path, [(f"r{run}", "x", None) for run in range(5)])
    assert LogEnds.read(layout).longest_rests(0) == {"logs": {}, "services": {}, "cases": {"longest": 0}}
    assert stopped(layout, {"logs": {"x": 1}, "services": {"x": 1}}) == {}


def test_where_a_case_is_longer_than_normal_ones_so_is_the_rest_of_a_short_log(tmp_path: Path) -> None:
    """A log of the start of 3 s is as long in a case of 300 s as in normal ones of 20 s."""
    logs = [(f"r{run}", name, end) for run in range(5) for name, end in (("init", 3.0), ("x", 20.0), ("y", 20.0))]
    layout = made(tmp_path, [*logs, ("r5", "init", 3.0), ("r5", "x", 300.0), ("r5", "y", 15.0)], 1000)
    longest = LogEnds.read(layout, np.array([True] * 15 + [False] * 3)).longest_rests(0)
    assert set(stopped(layout, longest)) == {"r5__all__y"}


@pytest.mark.parametrize(("early", "is_told"), [(("y", "z"), True), (("x", "y", "z"), False)])
def test_where_most_services_end_early_none_is_told(tmp_path: Path, early: tuple[str, ...], is_told: bool) -> None:
    """The clock of one log may be wrong, which makes its end the last one; replicas are one service."""
    logs = [(f"r{run}", name, 600.0) for run in range(6) for name in ("w", "x", "y", "z", "z-2")]
    ends = [(run, name, 100.0 if run == "r5" and name.partition("-")[0] in early else end) for run, name, end in logs]
    layout = made(tmp_path, ends, 1000)
    found = {
        name.rpartition("__")[2].partition("-")[0] for name in stopped(layout, LogEnds.read(layout).longest_rests(1))
    }
    assert found == (set(early) if is_told else set())


@pytest.mark.parametrize(
    ("silence", "normal_silence", "is_told"),
    [(None, None, True), (20_000, None, True), (30_000, None, False), (1000, 8_000, True), (1000, 9_000, False)],
)
def test_a_log_that_was_silent_for_as_long_before_has_not_ended(
    silence: int | None, normal_silence: int | None, is_told: bool
) -> None:
    notice = {"start": START, "end": START + timedelta(seconds=55)}
    assert is_end(notice, {"silence": silence, "normal_silence": normal_silence}) is is_told
    assert is_end(notice, None)


@pytest.mark.parametrize(("pause", "length", "is_told"), [(19, 600, False), (21, 600, True), (21, 1200, False)])
def test_a_pause_is_longer_than_what_follows_the_end_of_normal_logs(
    tmp_path: Path, pause: int, length: int, is_told: bool
) -> None:
    """A service that speaks at the start alone is silent until the end of its case."""
    logs = [(f"r{run}", name, end) for run in range(4) for name, end in (("x", 600.0), ("y", 590.0))]
    layout = made(tmp_path, [*logs, ("r4", "x", float(length)), ("r4", "y", 1.0 * length)])
    longest = LogEnds.read(layout, np.array([True] * 8 + [False] * 2)).longest_rests(0)
    row = {"run": "r4", "test_case": "all", "service": "y", "pause": pause * 1000, "normal_silence": 2_000}
    assert LogEnds.read(layout).is_pause(row, longest) is is_told
