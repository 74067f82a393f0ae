"""score with ``excess``: what stands out among new runs, in the folder of the scores, as train would say it."""

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from lo2dask.cli.show import show_text
from lo2dask.commands.score import score
from lo2dask.commands.show import show
from lo2dask.execute.session import Session
from lo2dask.findings.read import read_findings
from lo2dask.options import ScoreOptions, ShowOptions
from lo2dask.tables.layout import Layout
from tests.trees import load_tree, make_tree, plant_errors, table_of, train_root

TABLES = ("findings", "windows", "lines", "timeline")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs with two error cases each, in all of which ``token`` fails."""
    made = make_tree(tmp_path_factory.mktemp("tree") / "raw", scale=0.03)
    assert len(plant_errors(made)) == 8
    return made


@pytest.fixture(scope="module")
def trained(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where ``excess`` was trained, with the newest runs held out, and its bundle below ``bundles``."""
    return trained_on(raw, tmp_path_factory.mktemp("trained") / "out")


def trained_on(raw: Path, root: Path, windows: bool = True) -> Path:
    load_tree(raw, root, windows=windows)
    train_root(root, models=("excess",), skip_if=True, windows=windows, save_sup_models=root / "bundles")
    return root


def scored(trained: Path, raw: Path, out: Path) -> Layout:
    options = ScoreOptions(bundle=trained / "bundles" / "excess.joblib", root=raw, output_dir=out)
    score(options, Session.serial())
    return Layout(out)


def rows_of(root: Path, table: str, run: str = "") -> list[dict[str, Any]]:
    """Return the rows of a table, of one run if it is named, but for what names the place of a log or a statement."""
    rows = [row for row in table_of(root / f"lo2_{table}.parquet").to_pylist() if run in ("", row["run"])]
    for row in rows:
        # Statements that training normals do not have are numbered anew.
        row.pop("statement_id", None)
        for line in (row, *(row.get("evidence") or ())):
            if "path" in line:
                line["path"] = line["path"].rpartition("light-oauth2-data-")[2]
    return sorted(rows, key=lambda row: [str(row.get(name)) for name in row])


def held_out(root: Path) -> str:
    from lo2dask.training.units import read_splits

    return max(read_splits(Layout(root))["sup"].runs)


def test_a_run_held_out_is_judged_as_train_judged_it(trained: Path, raw: Path, tmp_path: Path) -> None:
    run = held_out(trained)
    shutil.copytree(raw / run, tmp_path / "new" / run)
    found = scored(trained, tmp_path / "new", tmp_path / "out")
    for table in TABLES:
        assert rows_of(found.root, table), table
    lines = show_text(show(ShowOptions(root=found.root, case="1")), 80)
    at = lines.index("no normal case to compare with: a folder of score holds none")
    assert lines[at + 1] == "  those that the model learned from are in the folder that train wrote"
    for table in ("windows", "timeline", "lines"):
        assert rows_of(found.root, table) == rows_of(trained, table, run), table
    ours, theirs = rows_of(found.root, "findings"), rows_of(trained, "findings", run)
    assert ours == theirs


def test_all_findings_are_those_of_train_but_for_its_own_normals(trained: Path, raw: Path, tmp_path: Path) -> None:
    found = scored(trained, raw, tmp_path / "out")
    errors = [row for row in rows_of(trained, "findings") if row["test_case"] != "correct"]
    assert {row["service"] for row in errors if row["kind"] != "silent"} == {"token"}
    assert [row for row in rows_of(found.root, "findings") if row["test_case"] != "correct"] == errors


def test_a_service_that_training_never_saw_is_neither_judged_nor_flagged(tmp_path: Path) -> None:
    trained = trained_on(make_tree(tmp_path / "old", scale=0.03, services=("key", "token")), tmp_path / "trained")
    new = make_tree(tmp_path / "new", scale=0.03, runs=1, test_cases=("get_user_404_no_user",))
    found = scored(trained, new, tmp_path / "out")
    scores = table_of(found.root / "excess_predictions.parquet").to_pylist()
    assert {row["service"] for row in scores if row["score_excess"] is None} == {"user"}
    plain = [row for row in rows_of(found.root, "findings") if row["kind"] != "silent"]
    assert [row for row in plain if row["service"] not in ("key", "token")] == []
    assert not [row for row in rows_of(found.root, "windows") if row["service"] == "user"]
    ticks = [row for row in rows_of(found.root, "timeline") if row["service"] == "user"]
    assert ticks
    assert {row["score"] for row in ticks} == {None}


def test_logs_that_have_moved_are_findings_without_evidence_and_one_warning(
    raw: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(raw, tmp_path / "raw")
    root = load_tree(tmp_path / "raw", tmp_path / "out")
    (tmp_path / "raw").rename(tmp_path / "moved")
    with caplog.at_level(logging.WARNING):
        train_root(root, models=("excess",), skip_if=True)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([text for text in said if "not where they were loaded from" in text]) == 1, said
    findings = [row for row in read_findings(Layout(root)) if not row.is_notice]
    assert findings
    assert [row.evidence for row in findings] == [()] * len(findings)
    assert all(row.start and row.end for row in findings)
    assert not rows_of(root, "lines")
    moved = tmp_path / "moved"
    train_root(root, models=("excess",), skip_if=True, raw_root=moved, resume=False)
    again = [row for row in read_findings(Layout(root)) if not row.is_notice]
    assert [(row.case, row.score) for row in again] == [(row.case, row.score) for row in findings]
    for line in (line for row in again for line in row.evidence):
        assert Path(line.path).is_relative_to(moved)
        assert Path(line.path).read_text().split("\n")[line.line_no - 1].strip() == line.text
    assert all(row.evidence for row in again)
    assert rows_of(root, "lines")


def test_without_windows_findings_have_no_time_and_no_line(raw: Path, trained: Path, tmp_path: Path) -> None:
    root = trained_on(raw, tmp_path / "out", windows=False)
    new = scored(root, raw, tmp_path / "scored").root
    for folder in (root, new):
        findings = [row for row in read_findings(Layout(folder)) if not row.is_notice]
        assert findings
        assert {(row.start, row.end, row.evidence) for row in findings} == {(None, None, ())}
        assert [rows_of(folder, table) for table in TABLES[1:]] == [[], [], []]
    assert [(row.case, row.score) for row in read_findings(Layout(root))] == [
        (row.case, row.score) for row in read_findings(Layout(trained))
    ]


def test_templates_take_the_place_of_too_many_statements(
    raw: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lo2dask.ingest.mining.are_too_many", lambda statements, lines: True)
    root = trained_on(raw, tmp_path / "out")
    templates = set(table_of(root / "lo2_templates.parquet")["e_event_drain_id"].to_pylist())
    ids = table_of(root / "lo2_statements.parquet").select(["statement_id", "e_event_drain_id"]).to_pylist()
    assert {row["statement_id"][1:] for row in ids} == {f"t{name}" for name in templates}
    assert {row["e_event_drain_id"] for row in ids} == templates
    findings = [row for row in read_findings(Layout(root)) if not row.is_notice]
    assert {row.case for row in findings} == {row.case for row in read_findings(Layout(trained)) if not row.is_notice}
    assert all(row.statement_id[1] == "t" and row.evidence for row in findings)
    run = held_out(root)
    shutil.copytree(raw / run, tmp_path / "new" / run)
    found = scored(root, tmp_path / "new", tmp_path / "scored")
    keys = [(row.case, row.service, row.score, row.start, row.end) for row in findings if row.run == run]
    assert [(r.case, r.service, r.score, r.start, r.end) for r in read_findings(found) if not r.is_notice] == keys
