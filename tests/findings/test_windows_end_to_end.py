"""lo2_windows, lo2_timeline, lo2_lines and lo2_findings of whole trees: beside plain formulas, and however cut."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lo2dask.commands.load import load
from lo2dask.commands.train import train
from lo2dask.execute.session import Session
from lo2dask.findings import make
from lo2dask.options import CommonOptions, LoadOptions, TrainOptions
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths
from tests.findings.plain_windows import Key, Line, judge, score_lines
from tests.trees import make_tree, plant_errors, table_of

MIDNIGHT = datetime(2024, 6, 28, tzinfo=UTC)
CORRECT, BAD = "correct", "get_token_page_400_no_page"
RUNS = tuple(f"light-oauth2-data-{1719592986 + 3600 * n}" for n in range(4))
ANSWERS = ("windows", "timeline", "lines", "findings")


def made(raw: Path, out: Path, session: Session | None = None, windows: bool = True, **changes: Any) -> Path:
    """Load, with or without windows, and train ``excess``, whose windows are always judged."""
    own = session or Session.serial()
    load(LoadOptions(root=raw, output_dir=out, windows=windows, **changes), own)
    train(TrainOptions(root=out, models=("excess",), skip_if=True), own)
    return out


def answers_of(root: Path) -> dict[str, list[dict]]:
    """Return the rows of the four tables; those of windows and of the timeline lie in parts, in any order."""
    found = {name: table_of(root / f"lo2_{name}.parquet").to_pylist() for name in ANSWERS}
    for name in ("windows", "timeline"):
        time = "window_start" if name == "windows" else "start"
        found[name].sort(key=lambda row: (*key_of(row), row[time]))
    return found


def differing(first: dict[str, list[dict]], second: dict[str, list[dict]]) -> list[str]:
    return [name for name in ANSWERS if first[name] != second[name]]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("windows") / "raw", scale=0.03, errors_per_run=1)


@pytest.fixture(scope="module")
def wanted(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict]]:
    return answers_of(made(raw, tmp_path_factory.mktemp("wanted") / "out"))


def test_something_is_there_to_compare(wanted: dict[str, list[dict]]) -> None:
    assert [name for name in ANSWERS if not wanted[name]] == []


def test_of_further_findings_only_the_lines_that_carry_them_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = make_tree(tmp_path / "raw", scale=0.03, errors_per_run=1)
    plant_errors(raw)
    wanted = answers_of(made(raw, tmp_path / "wanted"))
    first, *further = wanted["findings"]
    assert any(row["evidence"] for row in further)
    monkeypatch.setattr(make, "MOST_CASES", 1)
    found = answers_of(made(raw, tmp_path / "out"))
    assert differing(found, wanted) == ["lines"]
    assert [row for row in found["lines"] if of_case(row, first)] == [
        row for row in wanted["lines"] if of_case(row, first)
    ]
    others = [(row["text"], row["score"]) for row in found["lines"] if not of_case(row, first)]
    assert sorted(others) == sorted((line["text"], 0.0) for row in further for line in row["evidence"])


def of_case(row: dict, finding: dict) -> bool:
    return (row["run"], row["test_case"]) == (finding["run"], finding["test_case"])


@pytest.mark.parametrize(
    ("size", "save_events", "windows"),
    [
        ("100KB", True, True),
        pytest.param("400KB", False, True, marks=pytest.mark.thorough),
        pytest.param("150KB", True, False, marks=pytest.mark.thorough),
        ("64MB", False, False),
    ],
)
def test_partitions_events_and_a_text_pass_made_again_change_nothing(
    raw: Path, wanted: dict[str, list[dict]], tmp_path: Path, size: str, save_events: bool, windows: bool
) -> None:
    """Loaded without windows, ``train`` reads the text again: from the events, or from the raw logs."""
    root = made(raw, tmp_path / "out", windows=windows, partition_size=size, save_events=save_events)
    assert len(part_paths(root / "lo2_windows.parquet")) > 1 or size == "64MB"
    assert differing(answers_of(root), wanted) == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_change_nothing(raw: Path, wanted: dict[str, list[dict]], tmp_path: Path, workers: int) -> None:
    with Session(CommonOptions(workers=workers, memory_limit="1GB")) as session:
        for size in ("100KB", "64MB"):
            root = made(raw, tmp_path / size, session, partition_size=size)
            assert differing(answers_of(root), wanted) == [], size


STATEMENTS = {
    "s1": "DEBUG c.n.Some run - begun",
    "s2": "DEBUG c.n.Some run - ended",
    "s3": "WARN c.n.Other wait - slow answer",
    "s4": "INFO c.n.Other wait - never in a normal log",
    "e1": "ERROR c.n.Some run - refused",
    "e2": "ERROR c.n.Some run - broken",
    "c1": "at c.n.Some.run(Some.java)",
    "c2": "at c.n.Rare.run(Rare.java)",
}


def made_logs(seed: int) -> dict[Key, list[Line]]:
    """Draw logs of two services: four correct cases and a bad one; ``user`` has one normal log alone."""
    generator = np.random.default_rng(seed)
    cases = [*((run, CORRECT) for run in RUNS), (RUNS[0], BAD)]
    logs = {}
    for run, case in cases:
        for service in ("token", "user") if run == RUNS[0] else ("token",):
            names = ["s1", "s2", "s3", "e1", "c1"] + (["s4", "e2", "c2"] if case == BAD else [])
            share = np.array([8, 8, 2, 1, 1, 0.5, 2, 1][: len(names)])
            time = 60_000_000
            lines: list[Line] = []
            for name in generator.choice(names, size=60, p=share / share.sum()).tolist():
                step = int(generator.choice([0, 40, 300, 900, 3200], p=[0.3, 0.3, 0.2, 0.15, 0.05]))
                # A continuation line has the time of the line above.
                time += 0 if name.startswith("c") or not lines else step
                lines.append((time, name if lines else "s1"))
            logs[run, case, service] = lines
    return logs


def write_logs(raw: Path, logs: dict[Key, list[Line]]) -> None:
    for (run, case, service), lines in logs.items():
        path = raw / run / case / f"light-oauth2-oauth2-{service}-1.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        texts = []
        for time, name in lines:
            clock = f"{datetime.fromtimestamp(time / 1000, UTC):%H:%M:%S}.{time % 1000:03}"
            head = "\t" if name.startswith("c") else f"{clock} [XNIO-1 task-1]  abc "
            texts.append(head + STATEMENTS[name])
        path.write_text("\n".join(texts) + "\n")


def since_midnight(time: datetime) -> int:
    return int((time - MIDNIGHT).total_seconds())


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in (1, 2))])
def test_windows_are_what_the_formulas_make_of_them(tmp_path: Path, seed: int) -> None:
    logs = made_logs(seed)
    write_logs(tmp_path / "raw", logs)
    root = tmp_path / "out"
    load(LoadOptions(root=tmp_path / "raw", output_dir=root, trim_init_lines=False), Session.serial())
    options = TrainOptions(root=root, models=("excess",), skip_if=True, sup_holdout_fraction=0.0)
    train(options, Session.serial())
    plain = judge(logs, {key for key in logs if key[1] == CORRECT})
    found = {
        (key_of(row), since_midnight(row["window_start"])): (row["score"], row["component"], row["statement"])
        for row in table_of(Layout(root).windows).to_pylist()
    }
    # Medians are counted in steps of 1/1024.
    clear = {at: value for at, value in plain.items() if abs(value[0] - 0.5) > 0.005}
    assert {at for at in found if at in clear} == {at for at, (score, *_) in clear.items() if score > 0.5}
    assert [at for at, (score, *_) in found.items() if abs(score - plain[at][0]) > 0.005] == []
    assert [at for at in found if at in clear and found[at][1] != plain[at][1]] == []
    assert {component for _, component, _ in found.values()} >= {"unseen", "run"}
    new = {statement for _, component, statement in found.values() if component == "unseen"}
    assert new <= {STATEMENTS["s4"], STATEMENTS["e2"]}
    check_timeline(table_of(Layout(root).timeline), logs, plain)
    check_spans(table_of(Layout(root).findings), logs, plain)
    check_lines(table_of(Layout(root).lines), logs, plain)


def key_of(row: dict) -> Key:
    return row["run"], row["test_case"], row["service"]


def check_timeline(table: pa.Table, logs: dict[Key, list[Line]], plain: dict) -> None:
    """Ten seconds have the sum of their lines and errors, and the largest score of their windows."""
    rows = {(key_of(row), since_midnight(row["start"])): row for row in table.to_pylist()}
    for key, lines in logs.items():
        steps = {time // 10_000 * 10 for time, _ in lines}
        for step in steps:
            within = [name for time, name in lines if time // 10_000 * 10 == step]
            row = rows[key, step]
            assert row["n_events"] == len(within)
            assert row["n_error"] == sum(name.startswith("e") for name in within)
            scores = [score for (of, at), (score, *_) in plain.items() if of == key and step <= at < step + 10]
            assert row["score"] == (pytest.approx(max(scores), abs=0.005) if scores else None)


def check_spans(table: pa.Table, logs: dict[Key, list[Line]], plain: dict) -> None:
    """A finding lasts from the first to the last alarm of its service (each has some); a new statement tells too."""
    rows = [row for row in table.to_pylist() if row["score"] is not None]
    assert rows
    for row in rows:
        tell = [at for (of, at), (*_, is_alarm) in plain.items() if of == key_of(row) and is_alarm]
        if not row["normal_max"]:
            tell += [time // 1000 for time, name in logs[key_of(row)] if STATEMENTS[name] == row["statement"]]
        assert (since_midnight(row["start"]), since_midnight(row["end"])) == (min(tell), max(tell) + 1)


def check_lines(table: pa.Table, logs: dict[Key, list[Line]], plain: dict) -> None:
    """All lines of the bad case's windows above 1.25 that have a score are there, with it."""
    key = (RUNS[0], BAD, "token")
    scores = score_lines(logs, {one for one in logs if one[1] == CORRECT}, key)
    seconds = {at for (of, at), (score, *_) in plain.items() if of == key and score > 1.25}
    wanted = {place + 1: score for place, score in enumerate(scores) if logs[key][place][0] // 1000 in seconds}
    found = {row["line_no"]: row["score"] for row in table.to_pylist() if key_of(row) == key}
    assert len([score for score in found.values() if score > 20]) >= 3
    assert all(wanted.get(line, 0.0) == pytest.approx(score, abs=0.01) for line, score in found.items())
    assert all(score < 0.01 for line, score in wanted.items() if line not in found)


def test_empty_lines_count_for_no_statement(tmp_path: Path) -> None:
    logs = made_logs(0)
    found = []
    for name in ("dense", "spaced"):
        raw = tmp_path / name / "raw"
        write_logs(raw, logs)
        for path in raw.glob(f"*/{BAD}/*.log") if name == "spaced" else ():
            path.write_text(path.read_text().replace("\n", "\n\n"))
        made(raw, tmp_path / name / "out", trim_init_lines=False)
        rows = table_of(tmp_path / name / "out" / "lo2_lines.parquet").to_pylist()
        places = Counter((row["run"], row["test_case"], row["time"], row["text"], row["score"]) for row in rows)
        found.append(places)
    assert found[0] == found[1]
