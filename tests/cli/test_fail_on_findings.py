"""``--fail-on-findings`` of run and score: 4 where something stands out, else 0; notices do not count."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lo2dask.findings.read import read_findings
from lo2dask.tables.layout import Layout
from tests.trees import load_tree, make_tree, plant_errors, train_root

LINE = ("--models", "excess", "--skip-if", "--workers", "0", "--fail-on-findings")
SERVICES = {"scale": 0.03, "services": ("token", "user")}
pytestmark = pytest.mark.usefixtures("serially")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fail")


def test_a_failing_service_ends_run_and_score_with_4(folder: Path, command: Callable[..., Any]) -> None:
    raw, out, bundles = make_tree(folder / "raw", **SERVICES), folder / "out", folder / "bundles"
    cases = plant_errors(raw)
    answer = command("run", "--root", raw, "--output-dir", out, "--save-sup-models", bundles, *LINE)
    assert answer.code == 4, answer.err
    assert "stand out (excess" in answer.out
    assert answer.lines[-1].endswith(f"listed by `lo2dask findings {out}`")
    found = {row.case: row.service for row in read_findings(Layout(out)) if not row.is_notice}
    assert [found.get(case) for case in cases] == ["token"] * len(cases)
    assert command("run", "--root", raw, "--output-dir", out, "--save-sup-models", bundles, *LINE[:-1]).code == 0
    score = ("score", "--bundle", bundles / "excess.joblib", "--root", raw, "--output-dir", folder / "scores")
    score += LINE[-3:-1]
    assert command(*score, "--fail-on-findings").code == 4
    assert command(*score).code == 0


@pytest.mark.thorough
def test_a_silent_service_is_a_notice_and_no_failure(folder: Path, command: Callable[..., Any]) -> None:
    raw = make_tree(folder / "quiet", runs=4, **SERVICES)
    correct = sorted(raw.glob("*/correct/*-oauth2-oauth2-*-1.log"))
    for path in raw.glob("*/*/*-oauth2-oauth2-*-1.log"):
        # What all normal cases have in common is all that any case has.
        service = "token" if "-token-" in path.name else "user"
        path.write_bytes(next(own for own in correct if f"-{service}-" in own.name).read_bytes())
    gone = next(path for path in sorted(raw.glob("*/*/*-oauth2-oauth2-user-1.log")) if path.parent.name != "correct")
    gone.unlink()
    answer = command("run", "--root", raw, "--output-dir", folder / "calm", *LINE)
    assert answer.code == 0, answer.err
    assert "stands out (excess" in answer.out
    rows = list(read_findings(Layout(folder / "calm")))
    assert [(row.case, row.service, row.kind) for row in rows] == [(gone.parts[-3:-1], "user", "silent")]
    assert "notice: no line of user, which normal runs have" in answer.out


def test_where_nothing_looks_for_findings_their_absence_is_no_success(
    folder: Path, command: Callable[..., Any]
) -> None:
    raw, out = make_tree(folder / "other", runs=2, **SERVICES), folder / "unsought"
    for more in (["--models", "event_lr_words"], ["--phase", "if"]):
        answer = command("run", "--root", raw, "--output-dir", out, *more, *LINE[-3:])
        assert (answer.code, len(answer.lines)) == (2, 1)
        assert "excess" in answer.err
        assert not out.exists()
    train_root(load_tree(raw, out), models=("event_oov_words",), skip_if=True, save_sup_models=folder / "oov")
    line = ("score", "--bundle", folder / "oov" / "event_oov_words.joblib", "--root", raw, "--workers", "0")
    answer = command(*line, "--output-dir", folder / "oov_scores", "--fail-on-findings")
    assert answer.code == 2
    assert answer.lines[-1].startswith("lo2dask: --fail-on-findings: only the model excess looks for findings")
    assert not list((folder / "oov_scores").glob("*.parquet"))


@pytest.mark.thorough
def test_where_nothing_is_judged_it_is_no_success(folder: Path, command: Callable[..., Any]) -> None:
    raw, out = folder / "alone", folder / "unjudged"
    for run, service in (("a", "cart"), ("b", "pay")):
        (raw / run).mkdir(parents=True)
        lines = (
            f"2026-01-02 03:04:{second:02},678 INFO  [main] shop.Main - order {second} paid" for second in range(9)
        )
        (raw / run / f"{service}.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    answer = command("run", "--root", raw, "--output-dir", out, *LINE)
    assert "nothing was judged" in answer.out
    assert (answer.code, answer.lines[-1].partition(": ")[2]) == (
        2, "--fail-on-findings: nothing was judged, so it means nothing that nothing stands out",
    )  # fmt: skip
