"""``excess`` on the real slice of LO2: both error cases are found, by the service that failed, and nothing else."""

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lo2dask.findings.read import Finding, read_findings
from lo2dask.tables.layout import Layout
from tests.trees import load_tree, train_root

ERRORS = ("get_token_page_400_no_page", "register_user_400_no_password")


def found_in(raw: Path, root: Path, **changes: int) -> list[Finding]:
    """Load and train, and return the findings without the notices."""
    return trained_on(load_tree(raw, root, **changes))


def trained_on(root: Path, **changes: float) -> list[Finding]:
    """Train, and return the findings without the notices."""
    train_root(root, models=("excess",), skip_if=True, **changes)
    return [row for row in read_findings(Layout(root)) if not row.is_notice]


@pytest.fixture(scope="module")
def failing(sample_root: Path) -> dict[str, str]:
    """The service that answers with the error, of each error case of the slice."""
    with (sample_root / "errors.csv").open(encoding="utf-8") as file:
        return {row["test_case"]: row["service"] for row in csv.DictReader(file) if row["test_case"] in ERRORS}


@pytest.fixture(scope="module")
def root(sample_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The slice, loaded; tests only read it."""
    return load_tree(sample_root / "v1", tmp_path_factory.mktemp("slice") / "out")


@pytest.fixture(scope="module")
def findings(root: Path) -> list[Finding]:
    return trained_on(root)


def copied(raw: Path, to: Path, change: Callable[[str, str, str], str | None]) -> Path:
    """Copy the logs of a tree; ``change`` makes the new text of (case, service, text), None leaves the log out."""
    for path in raw.glob("*/*/*-oauth2-oauth2-*.log"):
        service = re.sub(r".*oauth2-oauth2-(.*)-\d+\.log", r"\1", path.name)
        text = change(path.parent.name, service, path.read_text(encoding="utf-8"))
        if text is not None:
            target = to / path.relative_to(raw)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    return to


def test_both_error_cases_are_found_and_no_correct_run(findings: list[Finding], failing: dict[str, str]) -> None:
    assert {row.test_case: row.service for row in findings} == failing
    assert len(findings) == len(ERRORS)
    assert all(row.start and row.end and row.start < row.end for row in findings)
    assert [row.score for row in findings] == sorted((row.score for row in findings), reverse=True)


def test_the_evidence_stands_in_the_raw_logs(findings: list[Finding], failing: dict[str, str]) -> None:
    for row in findings:
        assert row.evidence
        for line in row.evidence:
            assert f"oauth2-oauth2-{failing[row.test_case]}-1.log" in line.path
            assert row.test_case in line.path
            raw = Path(line.path).read_text(encoding="utf-8").split("\n")[line.line_no - 1]
            assert raw.strip() == line.text
            assert "ERR" in line.text
            assert line.time is not None
            assert row.start <= line.time


def test_without_the_logs_of_the_failing_service_nothing_stands_out(
    sample_root: Path, failing: dict[str, str], tmp_path: Path
) -> None:
    def innocent(case: str, service: str, text: str) -> str | None:
        return None if failing.get(case) == service else text

    raw = copied(sample_root / "v1", tmp_path / "raw", innocent)
    assert found_in(raw, tmp_path / "out") == []
    silent = {(row.test_case, row.service) for row in read_findings(Layout(tmp_path / "out"))}
    assert silent == set(failing.items())


def test_lines_written_twice_change_no_answer(
    sample_root: Path, findings: list[Finding], failing: dict[str, str], tmp_path: Path
) -> None:
    def doubled(case: str, service: str, text: str) -> str:
        return "".join(line + "\n" + line + "\n" for line in text.removesuffix("\n").split("\n"))

    raw = copied(sample_root / "v1", tmp_path / "raw", doubled)
    # Of the start-up lines, which are left out, there are twice as many too.
    twice = found_in(raw, tmp_path / "out", init_lines_to_skip=200)
    assert [(row.test_case, row.service, row.score) for row in twice] == [
        (row.test_case, row.service, row.score) for row in findings
    ]


def test_one_run_alone_has_nothing_to_be_compared_with(sample_root: Path, tmp_path: Path) -> None:
    run = "light-oauth2-data-1719592986"
    shutil.copytree(sample_root / "v1" / run, tmp_path / "raw" / run)
    for row in found_in(tmp_path / "raw", tmp_path / "out"):
        assert row.test_case in ERRORS


def test_evidence_has_the_day_of_its_log_in_no_unusual_window_too(root: Path, tmp_path: Path) -> None:
    found = trained_on(Path(shutil.copytree(root, tmp_path / "out")), excess_threshold=1.0)
    assert len(found) > len(ERRORS)
    days = {line.time.date().isoformat() for row in found for line in row.evidence if line.time}
    assert days == {"2024-06-28"}
