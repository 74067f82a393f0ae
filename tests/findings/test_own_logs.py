"""Findings in logs that nothing is labelled in: the faulty run is among those that it is compared with."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from lo2dask.cli.findings import findings_text, notice_text, what_text
from lo2dask.findings.read import ALARM, Finding, read_findings
from lo2dask.findings.suspects import find_suspects
from lo2dask.tables.layout import Layout
from tests.trees import load_tree, train_root

START = datetime(2026, 3, 6, 9, tzinfo=UTC)


def found_in(folder: Path, lines: dict[int, list[tuple[int, str]]]) -> list[Finding]:
    """Load and judge runs of one log; of each the lines are (second, what follows the time, or a whole line)."""
    for run, some in lines.items():
        texts = [
            text if text[0].isspace() else f"{START + timedelta(seconds=at):%F %T},000 {text}" for at, text in some
        ]
        path = folder / "in" / f"run-{run}" / "payments.log"
        path.parent.mkdir(parents=True)
        path.write_text("".join(f"{text.strip() if text[0] == ' ' else text}\n" for text in texts))
    root = load_tree(folder / "in", folder / "out")
    train_root(root, models=("excess",), skip_if=True)
    return [row for row in read_findings(Layout(root)) if not row.is_notice]


def quiet(run: int) -> list[tuple[int, str]]:
    """Ten lines a second for three minutes; a minute begins with an error."""
    some = [(at // 10, f"INFO [main] shop.payments - order {at * 7 + run} paid") for at in range(1800)]
    for minute in (0, 1, 2):
        some[600 * minute] = (60 * minute, "ERROR [main] shop.payments - gateway timeout")
    return some


def test_a_burst_of_an_error_that_all_runs_have_is_told_where_it_is(tmp_path: Path) -> None:
    lines = {run: quiet(run) for run in range(8)}
    for at in range(700, 900, 2):
        lines[5][at] = (at // 10, "ERROR [main] shop.payments - gateway timeout")
    (row,) = found_in(tmp_path, lines)
    assert (row.run, row.statement) == ("run-5", "ERROR shop.payments - gateway timeout")
    assert (row.start, row.end) == (START + timedelta(seconds=70), START + timedelta(seconds=90))
    assert [line.line_no for line in row.evidence] == [701, 711, 721, 731, 741]
    windows = pq.read_table(Layout(tmp_path / "out").windows).to_pylist()
    alarms = {(one["run"], (one["window_start"] - START).seconds) for one in windows if one["score"] > ALARM}
    assert alarms == {("run-5", at) for at in range(70, 90)}, "the run itself is no measure of how unusual it is"


def test_a_burst_of_an_error_that_is_in_every_second_is_told_where_it_is(tmp_path: Path) -> None:
    lines = {run: quiet(run) for run in range(8)}
    for some in lines.values():
        some[::10] = [(at, "ERROR [main] shop.payments - gateway timeout") for at in range(180)]
    for at in range(700, 900, 2):
        lines[5][at] = (at // 10, "ERROR [main] shop.payments - gateway timeout")
    (row,) = found_in(tmp_path, lines)
    assert (row.start, row.end) == (START + timedelta(seconds=70), START + timedelta(seconds=90))


def test_an_error_a_second_is_told_from_its_first_second(tmp_path: Path) -> None:
    """What is unusual is how often it is repeated, which its last second has the most of."""
    lines = {run: [(at, "INFO [main] shop.payments - paid") for at in range(180)] for run in range(8)}
    for run, some in lines.items():
        some[10 + run] = (10 + run, "ERROR [main] shop.payments - gateway timeout")
    for at in range(100, 140):
        lines[5][at] = (at, "ERROR [main] shop.payments - gateway timeout")
    (row,) = found_in(tmp_path, lines)
    assert (row.start, row.end) == (START + timedelta(seconds=100), START + timedelta(seconds=140))
    assert row.evidence[0].line_no == 101


def test_exceptions_that_are_printed_without_a_header_are_found(tmp_path: Path) -> None:
    lines = {run: quiet(run) for run in range(8)}
    trace = [" java.lang.IllegalStateException: no gateway", "\tat shop.Cart.pay(Cart.java:7)"]
    lines[5][700:700] = [(70, text) for _ in range(30) for text in trace]
    (row,) = found_in(tmp_path, lines)
    assert (row.run, row.statement) == ("run-5", "java.lang.IllegalStateException: no gateway")
    assert row.evidence[0].line_no == 701


def test_a_run_with_one_error_that_no_other_has_is_looked_at_first(tmp_path: Path) -> None:
    """One line is no finding, but it may be the last thing that a service said."""
    lines = {run: quiet(run) for run in range(8)}
    lines[3].append((180, "INFO [main] shop.payments - stopped once"))
    lines[6].append((180, "ERROR [main] shop.payments - no disk left"))
    assert found_in(tmp_path, lines) == []
    (suspect,) = find_suspects(Layout(tmp_path / "out"), set())
    assert (suspect.run, suspect.service, suspect.kind) == ("run-6", "payments", "new error")
    shown = findings_text(Layout(tmp_path / "out"), 10, 100)
    assert "   run-6  payments  09:03:00  no other has: ERROR shop.payments - no disk left" in shown


def notices_of(folder: Path, baskets: dict[int, list[tuple[int, str]]]) -> list[Finding]:
    """Load and judge eight runs of two services, of which one speaks all the time, and return the notices."""
    for run in range(8):
        usual = [(at, f"INFO [main] shop - paid {at}") for at in range(180)]
        for service, some in (("payments", usual), ("basket", baskets.get(run, usual[:-1]))):
            path = folder / "in" / f"run-{run}" / f"{service}.log"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{START + timedelta(seconds=at):%F %T},000 {text}\n" for at, text in some))
    root = load_tree(folder / "in", folder / "out")
    train_root(root, models=("excess",), skip_if=True)
    return [row for row in read_findings(Layout(root)) if row.is_notice]


def test_a_service_that_says_nothing_more_is_a_notice_with_its_last_error(tmp_path: Path) -> None:
    some = [(at, f"INFO [main] shop - paid {at}") for at in range(60)]
    last = [(59, "CRITICAL [main] shop - no disk left"), (59, "INFO [main] shop - good bye")]
    (row,) = notices_of(tmp_path, {5: [*some, *last]})
    assert (row.run, row.service, row.kind, row.is_notice) == ("run-5", "basket", "stopped", True)
    assert (row.start, row.end) == (START + timedelta(seconds=59), START + timedelta(seconds=179))
    assert [(line.line_no, line.text.partition(" - ")[2]) for line in row.evidence] == [(61, "no disk left")]
    assert notice_text(row) == "notice: basket ends at 09:00:59, 120 s before the last line"
    lines = findings_text(Layout(tmp_path / "out"), 10, 100)
    assert lines[1:3] == [
        "notice: basket ends at 09:00:59, 120 s before the last line, in run-5 / unlabelled",
        "   basket.log:61  CRITICAL [main] shop - no disk left",
    ]


def test_the_last_line_of_a_service_is_told_where_it_is_no_error(tmp_path: Path) -> None:
    (row,) = notices_of(tmp_path, {5: [(at, f"INFO [main] shop - paid {at}") for at in range(60)]})
    assert [(line.line_no, line.text.partition(" - ")[2]) for line in row.evidence] == [(60, "paid 59")]


def test_a_service_that_pauses_for_long_is_a_notice(tmp_path: Path) -> None:
    """Normal logs are silent for a second; what is told is ten seconds and five times that."""
    usual = [(at, f"INFO [main] shop - paid {at}") for at in range(180)]
    (row,) = notices_of(tmp_path, {2: usual[:40] + usual[43:], 5: usual[:60] + usual[100:]})
    assert (row.run, row.service, row.kind) == ("run-5", "basket", "paused")
    assert (row.start, row.end) == (START + timedelta(seconds=59), START + timedelta(seconds=100))
    assert notice_text(row) == "notice: basket says nothing for 41 s from 09:00:59 on"


def test_a_statement_that_only_one_log_has_is_told_from_its_first_to_its_last_line(tmp_path: Path) -> None:
    """One a second is no alarm by itself; two in one second are."""
    lines = {run: quiet(run) for run in range(8)}
    new = [(at, "ERROR [main] shop.payments - deadlock") for at in (30, 60, 90, 90, 120)]
    lines[5] = sorted([*lines[5], *new], key=lambda line: line[0])
    (row,) = found_in(tmp_path, lines)
    assert (row.start, row.end) == (START + timedelta(seconds=30), START + timedelta(seconds=121))
    assert row.evidence[0].text.endswith("deadlock")
    assert row.evidence[0].time == START + timedelta(seconds=30)


def test_what_a_log_lacks_is_lacking_all_over_it(tmp_path: Path) -> None:
    lines = {run: quiet(run) for run in range(12)}
    for run, some in lines.items():
        lines[run] = [(at, f"INFO [main] shop.payments - heartbeat {at}") for at in range(run != 5 and 170)] + some
        lines[run].sort(key=lambda line: line[0])
    (row,) = found_in(tmp_path, lines)
    assert (row.run, row.kind, row.evidence) == ("run-5", "lack", ())
    assert (row.start, row.end) == (START, START + timedelta(seconds=180))
    assert what_text(row, 100).startswith("missing: ")


def test_without_a_normal_log_nothing_is_found_and_nothing_fails(tmp_path: Path) -> None:
    for run in range(3):
        path = tmp_path / "in" / f"run-{run}" / "basket.log"
        path.parent.mkdir(parents=True)
        path.write_text("".join(f"{START + timedelta(seconds=at):%F %T},000 INFO [main] x - y\n" for at in range(9)))
    (tmp_path / "labels.csv").write_text("run,label\n" + "".join(f"run-{run},fault\n" for run in range(3)))
    root = load_tree(tmp_path / "in", tmp_path / "out", labels=tmp_path / "labels.csv")
    train_root(root, models=("excess",), skip_if=True)
    assert list(read_findings(Layout(root))) == []


def test_a_finding_and_a_notice_each_have_lines_of_their_own_log(tmp_path: Path) -> None:
    """Of two replicas that both stop, one has an error; a third service goes on."""
    for run in range(8):
        for name in ("api-1", "api-2", "payments"):
            usual = [(at // 2, f"INFO [main] shop - paid {at}") for at in range(360)]
            if run == 5 and name != "payments":
                usual = usual[:120]
            if run == 5 and name == "api-2":
                usual[60:60] = [(30, f"ERROR [main] shop - ledger {at} broken") for at in range(9)]
            path = tmp_path / "in" / f"run-{run}" / f"{name}.log"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{START + timedelta(seconds=at):%F %T},000 {text}\n" for at, text in usual))
    root = load_tree(tmp_path / "in", tmp_path / "out")
    train_root(root, models=("excess",), skip_if=True)
    finding, *notices = read_findings(Layout(root))
    assert (finding.service, finding.start) == ("api", START + timedelta(seconds=30))
    assert all("api-2.log" in line.path and "broken" in line.text for line in finding.evidence)
    shown = [(row.kind, Path(line.path).name, line.line_no) for row in notices for line in row.evidence]
    assert shown == [("stopped", "api-1.log", 120), ("stopped", "api-2.log", 129)]


def test_a_clock_that_is_far_ahead_for_a_line_does_not_stop_the_load(tmp_path: Path) -> None:
    lines = {run: quiet(run) for run in range(4)}
    lines[2].append((40 * 86_400, "INFO [main] shop.payments - order 3 paid"))
    # In a log of forty days, lines of all other logs are rare.
    assert [(row.run, row.kind) for row in found_in(tmp_path, lines)] == [("run-2", "lack")]
