"""Notices of what a log repeats: a program that starts again and again within one file, retries without an error."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from lo2dask.cli.findings import findings_text, notice_text
from lo2dask.findings.read import Finding, read_findings
from lo2dask.tables.layout import Layout
from tests.trees import load_tree, train_root

START = datetime(2026, 3, 6, 9, tzinfo=UTC)
BANNER = ["INFO [main] shop.Boot - boot version 3", "INFO [main] shop.Boot - port 8080 open"]
Lines = list[tuple[int, str]]


def usual(run: int, seconds: int = 300) -> Lines:
    """A start, then an order a second."""
    orders = [(at, f"INFO [main] shop.Cart - order {at + run} paid") for at in range(1, seconds)]
    return [*((0, text) for text in BANNER), *orders]


def starting(run: int, every: int) -> Lines:
    """A program that starts so often (seconds)."""
    return [*usual(run), *((at, text) for at in range(every, 300, every) for text in BANNER)]


def notices_of(folder: Path, services: dict[str, dict[int, Lines]], findings: int = 0) -> list[Finding]:
    """Load and judge ten runs of some services, usual ones but for those given, and return the notices."""
    for service, logs in services.items():
        for run in range(10):
            path = folder / "in" / f"run-{run}" / f"{service}.log"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = sorted(logs.get(run, usual(run)), key=lambda line: line[0])
            path.write_text("".join(f"{START + timedelta(seconds=at):%F %T},000 {text}\n" for at, text in lines))
    root = load_tree(folder / "in", folder / "out")
    train_root(root, models=("excess",), skip_if=True)
    found = list(read_findings(Layout(root)))
    assert sum(not row.is_notice for row in found) == findings
    return [row for row in found if row.is_notice]


def test_a_program_that_starts_again_and_again_is_a_notice_with_its_first_starts(tmp_path: Path) -> None:
    """Where nothing is labelled, each run is held against all others: two that repeat are normal for each other."""
    (row,) = notices_of(tmp_path, {
        "cart": {4: starting(4, 15)},
        "few": {4: starting(4, 40), 5: starting(5, 60)},
        "at-once": {4: [*usual(4), *((at, BANNER[0]) for at in (100, 101, 102) for _ in range(10))]},
        "two": {4: starting(4, 15), 6: starting(6, 15)},
    })  # fmt: skip
    said = "INFO shop.Boot - boot version <NUM>"
    assert (row.run, row.service, row.kind, row.statement) == ("run-4", "cart", "repeated", said)
    assert (row.count, row.normal_max) == (20, 1)
    assert (row.start, row.end) == (START, START + timedelta(seconds=286))
    assert [line.line_no for line in row.evidence] == [1, 18, 35]
    said = f"notice: cart repeats itself from 09:00:00 to 09:04:46: 20 × {said} (normal: at most 1)"
    assert notice_text(row) == said
    shown = findings_text(Layout(tmp_path / "out"), 10, 200)
    assert f"{said}, in run-4 / unlabelled" in shown
    assert any("cart.log:1  INFO" in line for line in shown)


def test_a_log_that_is_so_much_longer_repeats_nothing(tmp_path: Path) -> None:
    hours = [(300 * hour + at, text) for hour in range(10) for at, text in usual(4)]
    assert [row for row in notices_of(tmp_path, {"cart": {4: hours}}) if row.kind == "repeated"] == []


def test_what_is_repeated_is_told_beside_what_is_missing(tmp_path: Path) -> None:
    lines = [line for line in starting(4, 15) if "paid" not in line[1] or line[0] % 15 == 1]
    (row,) = notices_of(tmp_path, {"cart": {4: lines}}, findings=1)
    assert (row.kind, row.count) == ("repeated", 20)


def test_a_burst_of_warnings_is_told_where_it_is(tmp_path: Path) -> None:
    warning = "WARN [main] shop.Queue - above soft limit"
    logs = {run: [*usual(run), *((at, warning) for at in range(0, 300, 60))] for run in range(10)}
    logs[4] += [(at, warning) for at in range(100, 140) for _ in range(2)]
    (row,) = notices_of(tmp_path, {"cart": logs})
    assert (row.kind, row.count, row.normal_max) == ("repeated", 85, 5)
    assert (row.start, row.end) == (START + timedelta(seconds=100), START + timedelta(seconds=140))
    assert row.evidence[0].time == START + timedelta(seconds=100)


def test_an_error_that_is_found_is_not_told_again(tmp_path: Path) -> None:
    failing = [(at, "ERROR [main] shop.Boot - no disk left") for at in range(15, 300, 15)]
    assert notices_of(tmp_path, {"cart": {4: [*starting(4, 15), *failing]}}, findings=1) == []
