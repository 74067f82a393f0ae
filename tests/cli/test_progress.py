"""What is shown while the work goes on, and what is made of text that comes from the data."""

import contextlib
import io
import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lo2dask.cli import progress as cli_progress
from lo2dask.cli.progress import Step, watching
from lo2dask.cli.summary import figure, grid_text, speed, train_text
from lo2dask.cli.text import count, megabytes, one_line, say, say_json, table
from lo2dask.execute.session import Session


def lines_of(capfd: pytest.CaptureFixture[str]) -> list[str]:
    return capfd.readouterr().err.splitlines()


def test_a_pipe_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli_progress, "SECONDS_BETWEEN_LINES", 0.02)
    with watching() as watch:
        watch("load", 1, 4, {"bytes": 2_000_000})
        cli_progress.threading.Event().wait(0.2)
        watch("load", 4, 4, {"bytes": 1})
    lines = lines_of(capfd)
    assert lines
    assert all(line.startswith("load: 1 of 4 (25%), 2.0 MB, ") for line in lines)
    assert "s left" in lines[0]


def test_short_work_in_a_pipe_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with watching() as watch:
        watch("load", 1, 1, None)
    assert lines_of(capfd) == []


def test_json_lines(capfd: pytest.CaptureFixture[str]) -> None:
    with watching(log_format="json") as watch:
        watch("load", 1, 2, {"bytes": 5})
        watch("load", 2, 2, {"bytes": 5})
        logging.getLogger("lo2dask.stages").info("going on in %s", "a\nb")
    progress, log = map(json.loads, lines_of(capfd))
    assert progress["event"] == "progress"
    assert progress["stage"] == "load"
    assert (progress["done"], progress["total"], progress["bytes"]) == (2, 2, 10)
    assert log == {"event": "log", "level": "info", "logger": "lo2dask.stages", "message": "going on in a\nb"}


def test_quiet_shows_errors_only(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli_progress, "SECONDS_BETWEEN_LINES", 0.01)
    with watching(quiet=True) as watch:
        watch("load", 1, 4, None)
        logging.getLogger("lo2dask.stages").info("not this")
        logging.getLogger("lo2dask.stages").error("but this")
        cli_progress.threading.Event().wait(0.05)
    assert lines_of(capfd) == ["but this"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Let the standard error be a terminal; pytest would undo it between a fixture and its test."""
    made = Terminal()
    monkeypatch.setattr("sys.stderr", made)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return made


def test_a_terminal_gets_one_bar_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with watching() as watch:
        assert "starting" in terminal.getvalue()
        for done in (0, 1, 2):
            watch("scan", done, 2, {"bytes": 1_000_000} if done else None)
        watch("load", 0, 3)
        watch("load", 1, 3)
    # The bar is drawn ten times a second, and once more at the end.
    assert "load" in terminal.getvalue()
    assert "1/3" in terminal.getvalue()


WATCHED = """
import logging
import os
import pty
import subprocess
import sys
from lo2dask.cli.progress import watching
with watching() as watch:
    watch("scan", 0, 2)
    logging.getLogger("lo2dask").info("layout: lo2")
"""


def test_log_lines_stand_above_the_bar() -> None:
    ours, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    subprocess.run([sys.executable, "-c", WATCHED], stderr=terminal, env=environment, check=True)
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # nobody holds the other end
        while some := os.read(ours, 65536):
            shown += some
    os.close(ours)
    # The bar's row is erased before a line is written over it.
    before, _, _ = shown.partition(b"layout: lo2")
    assert before.endswith(b"\r\x1b[2K")


def test_the_bar_tells_the_stage_and_the_fullest_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    monkeypatch.setattr(cli_progress, "SECONDS_BETWEEN_FIGURES", 0.01)
    with watching() as watch, Session.serial() as session:
        session.stage = "2/4 train"
        monkeypatch.setattr(session, "fullest_worker", lambda: 812_000_000)
        watch.session = session
        watch("windows", 1, 3)
        cli_progress.threading.Event().wait(0.3)
        session.stage = "4/4 report"
        cli_progress.threading.Event().wait(0.3)
    assert "2/4 train: windows" in terminal.getvalue()
    assert "4/4 report" in terminal.getvalue()
    assert "4/4 report: windows" not in terminal.getvalue(), "the step was of the stage before"
    assert "fullest worker 812.0 MB" in terminal.getvalue()


def test_the_speed_is_that_of_the_latest_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 100.0, 100.0, 100.0, 105.0, 105.0, 105.0]).__next__
    monkeypatch.setattr(cli_progress.time, "monotonic", clock)
    step = Step("load", 4, cli_progress.time.monotonic())
    step.add(50_000_000)
    step.add(70_000_000)
    assert step.bytes == 120_000_000
    assert step.speed == pytest.approx(7e6)


def test_a_new_step_begins_anew(capfd: pytest.CaptureFixture[str]) -> None:
    with watching(quiet=True) as watch:
        watch("load", 3, 3, {"bytes": 5})
        watch("load", 1, 2, {"bytes": 7})
        assert isinstance(watch, cli_progress.Watch)
        assert watch.step is not None
        assert (watch.step.done, watch.step.total, watch.step.bytes) == (1, 2, 7)


def test_the_handler_of_log_lines_is_taken_away() -> None:
    before = list(logging.getLogger("lo2dask").handlers)
    with watching():
        assert len(logging.getLogger("lo2dask").handlers) == len(before) + 1
    assert logging.getLogger("lo2dask").handlers == before


def test_text_from_the_data_acts_on_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    say("first\nsecond \x1b]0;title\x07 \x9b31m")
    assert capfd.readouterr().out == "first\nsecond \\x1b]0;title\\x07 \\x9b31m\n"
    say(table([{"name": "a\x1b[2J", "value": 1}, {"name": "b\nc", "value": 22}]))
    assert capfd.readouterr().out == "name      value\na\\x1b[2J  1\nb\\nc      22\n"


def test_json_of_a_summary(capfd: pytest.CaptureFixture[str]) -> None:
    @dataclass
    class Inner:
        path: Path

    say_json("done", {"inner": (Inner(Path("a")),), "lines": {"kept": 1}, "none": None, "kind": int})
    written = json.loads(capfd.readouterr().out)
    assert written == {
        "event": "done", "inner": [{"path": "a"}], "lines": {"kept": 1}, "none": None, "kind": "<class 'int'>",
    }  # fmt: skip


def test_figures_as_text() -> None:
    assert (megabytes(1_500_000), megabytes(2e9)) == ("1.5 MB", "2.00 GB")
    assert (count(1, "run"), count(1200, "run")) == ("1 run", "1,200 runs")
    assert (figure(None), figure(0.12345)) == ("-", "0.123")
    assert speed(0, 2.0) == "2.0 s"
    assert speed(10_000_000, 2.0) == "10.0 MB in 2.0 s (5 MB/s)"
    assert one_line("a\n  b\n") == "a b"
    assert Step("load", 0, 0.0).text() == "load: 0 of 0 (0%)"


@pytest.mark.usefixtures("serially")
def test_the_summary_of_a_load_names_the_rejects(command: Callable[..., Any], tmp_path: Path) -> None:
    case = tmp_path / "raw" / "LO2_run_1740000000" / "correct"
    case.mkdir(parents=True)
    line = "21:25:00.000 [main]  DEBUG a.B c - d\n"
    for service, data in (("token", line.encode()), ("key", b""), ("user", line.encode("utf-16")), ("code", b"")):
        (case / f"light-oauth2-oauth2-{service}-1.log").write_bytes(data)
    answer = command("load", "--root", tmp_path / "raw", "--output-dir", tmp_path / "out", "--workers", "0")
    assert answer.code == 0
    told = answer.out[answer.out.index("rejects: 3, listed in ") :].splitlines()[1:3]
    assert told[0].startswith(f"  empty: 2, such as {case / 'light-oauth2-oauth2-code-1.log'}: ")
    assert told[1].startswith(f"  UTF-16: 1, such as {case / 'light-oauth2-oauth2-user-1.log'}: ")
    assert "iconv" in told[1]


@pytest.mark.usefixtures("serially")
def test_the_summary_of_a_load(
    command: Callable[..., Any], tiny_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    line = ["load", "--root", tiny_tree, "--output-dir", tmp_path / "out", "--workers", "0", "--head", "2"]
    answer = command(*line, "--service-types", "code", "token", "--enhancer-run-batch", "3", "--no-save-base-sequences")
    assert answer.code == 0
    assert "2 runs" in answer.out
    assert "2 services: 8 sequences" in answer.out
    assert " MB/s)" in answer.out
    assert str(tmp_path / "out" / "lo2_sequences_enhanced.parquet") in answer.out
    assert answer.out.count("__light-oauth2-oauth2-") == 2
    assert answer.out.splitlines()[-1] == f"next: lo2dask train --root {tmp_path / 'out'}"
    assert "rejects: none" in answer.out
    assert "--enhancer-run-batch is accepted but without effect" in answer.err
    assert "--no-save-base-sequences is without effect: lo2_sequences.parquet is always written" in answer.err
    quiet = command(*line, "--service-types", "code", "token", "--quiet")
    assert quiet == type(quiet)(0, "", "")
    as_json = command(*line, "--service-types", "code", "token", "--log-format", "json")
    summary = json.loads(as_json.out)
    assert summary["event"] == "done"
    assert summary["sequences"] == 8
    assert summary["skipped"] == summary["batches"]


@pytest.mark.usefixtures("serially")
def test_strict_with_rejects(command: Callable[..., Any], tmp_path: Path) -> None:
    assert command("synth", tmp_path / "t", "--runs", "1", "--scale", "0.01", "--faults", "--quiet").code == 0
    line = ["load", "--root", tmp_path / "t", "--output-dir", tmp_path / "out", "--workers", "0"]
    strict = command(*line, "--strict")
    assert strict.code == 3
    assert "--strict: " in strict.lines[-1]
    assert "lo2_rejects.parquet" in strict.lines[-1]
    assert command(*line).code == 0


def test_a_dry_run_writes_nothing(command: Callable[..., Any], tiny_tree: Path, tmp_path: Path) -> None:
    answer = command("load", "--root", tiny_tree, "--output-dir", tmp_path / "out", "--dry-run")
    assert answer.code == 0, answer.err
    assert answer.out.startswith("would read: 2 runs, 3 test cases, 28 files, ")
    assert "memory: " in answer.out
    assert not (tmp_path / "out").exists()


def test_the_summary_of_a_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    from lo2dask.commands.grid import GridSummary

    row = {"models": "one for all services", "algorithm": "lr", "representation": "words", "reason": None}
    row |= {"seeds": 2, "difference": None}
    row |= {f"{name}_mean": 0.5 for name in ("f1", "auc_roc", "average_precision")}
    row |= {"f1_sd": 0.25, "auc_roc_sd": None, "average_precision_sd": 0.0}
    rows = ({**row, "service": "all"}, {**row, "service": "token"})
    text = grid_text(GridSummary(Path("r"), rows, 3, 1, (Path("r/lo2_grid.csv"),), ("a note",), 2.0))
    assert text[1].splitlines()[1:] == [
        "one for all services  lr         words           0.500 ± 0.250  0.500  0.500 ± 0.000"
    ]
    assert text[2:] == ["note: a note", "fitted: 3, done before: 1; 2.0 s", "files: r/lo2_grid.csv"]


def test_the_summary_of_a_training() -> None:
    from lo2dask.training.lines import ModelLine
    from lo2dask.training.train import TrainSummary

    models = (
        ModelLine("event_lr_words", True, 84, 438, 0.04, 0.5, None, 0.25, "one class", "no better than length"),
        ModelLine("if", True, 1200, 3, 1.0, None, None, None, None, None),
    )
    text = train_text(TrainSummary(Path("r"), True, models, Path("r/metrics"), Path("m/lo2_if.joblib")))
    assert text[1].splitlines() == [
        "model           rows   features  seconds  F1     AUC  AP     remark",
        "event_lr_words  84     438       0.0      0.500  -    0.250  one class",
        "if              1,200  3         1.0      -      -    -",
    ]
    assert text[2:] == ["event_lr_words: no better than length", "measures: r/metrics", "bundle: m/lo2_if.joblib"]
    assert train_text(TrainSummary(Path("r"), True)) == ["enhanced: r/lo2_sequences_enhanced.parquet"]
