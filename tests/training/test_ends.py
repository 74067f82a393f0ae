"""Logs that end long before the others of their case: as plain loops say it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lo2dask import schema
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import write_part
from lo2dask.training.ends import LogEnds

START = datetime(2026, 3, 6, 9, tzinfo=UTC)
KIND = pa.schema(
    [(name, pa.string()) for name in ("run", "test_case", "service")]
    + [("start_time", schema.TIME), ("end_time", schema.TIME), ("seq_len", pa.int64())]
)


def made(folder: Path, logs: list[tuple[str, str, float | None]], lines: int = 100) -> Layout:
    """Make a table of logs (run, service, second of the last line or None), two parts long."""
    rows = [
        {
            "run": run, "test_case": "all", "service": service, "seq_len": lines,
            "start_time": None if end is None else START,
            "end_time": None if end is None else START + timedelta(seconds=end),
        }
        for run, service, end in logs
    ]  # fmt: skip
    for number, some in enumerate((rows[: len(rows) // 2], rows[len(rows) // 2 :])):
        write_part(Layout(folder).enhanced / f"part-{number:06d}.parquet", pa.Table.from_pylist(some, KIND), KIND)
    return Layout(folder)


@pytest.mark.parametrize("seed", range(5))
def test_rests_are_those_of_plain_loops(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logs = [
        (f"r{run}", name, None if rng.random() < 0.1 else round(rng.uniform(50, 100), 3))
        for run in range(8)
        for name in "xyzx"
    ]
    chosen = np.array([run != "r3" for run, _, _ in logs])
    ends = LogEnds.read(made(tmp_path, logs), chosen)
    last: dict[tuple[str, str], float] = {}
    for run, name, end in logs:
        if end is not None:
            last[run, name] = max(last.get((run, name), 0), end)
    rests = {key: max(end for (run, _), end in last.items() if run == key[0]) - end for key, end in last.items()}
    named = [(ends.cases[case][0], ends.services[at]) for case, at in zip(ends.case, ends.service, strict=True)]
    assert dict(zip(named, ends.rest.tolist(), strict=True)) == {key: round(1000 * rest) for key, rest in rests.items()}
    for passed_over in (0, 2):
        expected = {
            name: round(1000 * sorted(rest for (run, own), rest in rests.items() if own == name and run != "r3")[at])
            for name, at in ((name, -1 - passed_over) for name in "xyz")
        }
        assert ends.longest_rests(passed_over) == expected


@pytest.mark.parametrize(
    ("rest", "lines", "is_told"),
    [(19, 1000, False), (21, 1000, True), (100, 1000, True), (100, 100, True), (100, 3, False)],
)
def test_a_log_that_ends_early_is_told_with_its_last_line(
    tmp_path: Path, rest: float, lines: int, is_told: bool
) -> None:
    """Normal rests are 2 s at most: ten seconds and five times that are left alone, and so are ten mean pauses."""
    logs = [(f"r{run}", "x", 600.0) for run in range(5)] + [(f"r{run}", "y", 598 + run / 2) for run in range(4)]
    ends = LogEnds.read(made(tmp_path, [*logs, ("r4", "y", 600 - rest)], lines))
    notices = list(ends.stopped(ends.longest_rests(1)))
    times = {"start": START + timedelta(seconds=600 - rest), "end": START + timedelta(seconds=600)}
    told = [{"run": "r4", "test_case": "all", "service": "y", "kind": "stopped", **times}]
    assert notices == (told if is_told else [])


def test_two_normal_cases_tell_nothing(tmp_path: Path) -> None:
    logs = [(f"r{run}", name, 600.0) for run in range(2) for name in "xy"]
    ends = LogEnds.read(
        made(tmp_path, [*logs, ("r2", "x", 600.0), ("r2", "y", 1.0)]), np.array([True] * 4 + [False] * 2)
    )
    assert ends.longest_rests(0) == {}
    assert list(ends.stopped({})) == []


def test_logs_without_times_tell_nothing(tmp_path: Path) -> None:
    ends = LogEnds.read(made(tmp_path, [(f"r{run}", "x", None) for run in range(5)]))
    assert ends.longest_rests(0) == {}
    assert list(ends.stopped({"x": 1})) == []
