"""Findings in logs that nothing is labelled in: the faulty run is among those that it is compared with."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from lo2dask.cli.findings import notice_text
from lo2dask.findings.read import Finding, first_ranked, read_findings
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
    assert first_ranked(Layout(tmp_path / "out"))[0] == ("run-6", "unlabelled")


def test_a_service_that_says_nothing_more_is_a_notice(tmp_path: Path) -> None:
    for run in range(8):
        for service, last in (("payments", 180), ("basket", 60 if run == 5 else 179)):
            path = tmp_path / "in" / f"run-{run}" / f"{service}.log"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [f"{START + timedelta(seconds=at):%F %T},000 INFO [main] shop - paid {at}" for at in range(last)]
            path.write_text("\n".join(lines) + "\n")
    root = load_tree(tmp_path / "in", tmp_path / "out")
    train_root(root, models=("excess",), skip_if=True)
    (row,) = (row for row in read_findings(Layout(root)) if row.is_notice)
    assert (row.run, row.service, row.kind) == ("run-5", "basket", "stopped")
    assert (row.start, row.end) == (START + timedelta(seconds=59), START + timedelta(seconds=179))
    assert notice_text(row) == "notice: basket ends at 09:00:59, 120 s before the last line"
