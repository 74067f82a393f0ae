"""Help in groups, what comes close to a misspelt name, completion by the shell, and the report in the browser."""

import os
import shutil
import subprocess
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lo2dask.cli.help import Commands
from lo2dask.cli.main import HEADINGS, all_commands
from lo2dask.cli.options import FEW, OptionsCommand, main_options
from lo2dask.commands import report
from lo2dask.commands.report import ReportSummary

COMMANDS = {name: made for name, made in all_commands().items() if isinstance(made, OptionsCommand)}


def test_commands_are_listed_once_below_their_headings(command: Callable[..., Any]) -> None:
    shown = command("--help").out
    titles = [line[:-1] for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles[-len(HEADINGS) :] == list(HEADINGS)
    for name in all_commands():
        assert shown.count(f"\n  {name}  ") == 1, name


def test_a_command_without_a_heading_stands_below_the_last() -> None:
    group = Commands(headings={"One": ("a",), "Two": ("b",)})
    for name in "abc":
        group.add_command(OptionsCommand(name, COMMANDS["warmup"].kind, print, f"Does {name}."))
    shown = group.get_help(group.context_class(group, info_name="x"))
    assert shown.index("Two:") < shown.index("Does b.") < shown.index("Does c.")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_at_most_ten_options_and_names_the_rest(
    name: str, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    made = COMMANDS[name]
    optional = [param for param in made.params if param.param_type_name == "option"]
    main = main_options(made)
    assert 1 <= len(main) <= FEW
    short, whole = command(*name.split(), "--help").out, command(*name.split(), "--help-all").out
    for text in (short, whole):
        assert all(len(line) <= 80 for line in text.splitlines())
        assert not any(line.endswith("-") for line in text.splitlines())
    for param in optional:
        assert f"\n  {param.opts[0]} " in whole
        assert (f"\n  {param.opts[0]} " in short) == (param.name in main)
    left = len(optional) - len(main)
    assert (f"{left} more options: lo2dask {name} --help-all" in short) == bool(left)
    for argument in set(made.params) - set(optional):
        assert f"\n  {(argument.name or '').upper()}  " in short


@pytest.mark.parametrize(
    ("words", "close"),
    [
        (["lod"], "close to it: load"),
        (["cluster", "chek"], "close to it: check"),
        (["load", "--partion-size", "1MB"], "close to it: --partition-size"),
        (["train", "--modles", "x"], "close to it: --models"),
    ],
)
def test_a_misspelt_name_is_answered_with_what_comes_close(
    words: list[str], close: str, command: Callable[..., Any]
) -> None:
    answer = command(*words)
    assert answer.code == 2
    assert len(answer.lines) == 1
    assert close in answer.err


def test_nothing_comes_close_to_nonsense(command: Callable[..., Any]) -> None:
    assert "close to it" not in command("qqqqqq").err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["lo"], {"load"}),
        (["cluster", ""], {"check", "certificates"}),
        (["load", "--part"], {"--partition-size"}),
        (["load", "--help"], {"--help", "--help-all"}),
        (["synth", "--services", "tok"], {"token"}),
        (["synth", "--services", "code,tok"], {"code,token"}),
        (["train", "--holdout-by", "t"], {"test-case"}),
        # The answer for files is the word itself; the shell looks for them.
        (["load", "--root", "some"], {"some"}),
    ],
)
def test_the_shell_completes(words: list[str], expected: set[str], program: Callable[..., Any]) -> None:
    """As click's script for bash asks it."""
    environ = {"_LO2DASK_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["lo2dask", *words])}
    environ["COMP_CWORD"] = str(len(words))
    done = program(env=os.environ | environ)
    assert not done.stderr
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == expected


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash here")
def test_the_script_for_bash_runs(tmp_path: Path) -> None:
    bash = shutil.which("bash") or ""
    answer = subprocess.run([bash, "--version"], capture_output=True, text=True).stdout
    if "version 3." in answer or "version 4.3" in answer:
        pytest.skip("click's script needs bash 4.4")
    (tmp_path / "lo2dask").write_text(f'#!/bin/sh\nexec {sys.executable} -m lo2dask "$@"\n')
    (tmp_path / "lo2dask").chmod(0o755)
    script = f"""
        PATH={tmp_path}:$PATH
        eval "$(_LO2DASK_COMPLETE=bash_source lo2dask)"
        COMP_WORDS=(lo2dask expl) COMP_CWORD=1; _lo2dask_completion lo2dask; echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "explain\n"


@pytest.mark.parametrize("opens", [True, False])
def test_the_report_is_opened_in_the_browser(
    opens: bool, tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def browse(url: str) -> bool:
        seen.append(url)
        return opens

    page = tmp_path / "a b.html"
    monkeypatch.setattr(webbrowser, "open", browse)
    monkeypatch.setattr(report, "report", lambda options: ReportSummary(tmp_path / "report.md", page, 5, ()))
    answer = command("report", "--root", tmp_path, "--open")
    assert seen == [page.as_uri()]
    assert answer.code == (0 if opens else 1)
    assert opens or answer.err.splitlines() == [f"lo2dask: --open: there is no browser here; the page is {page}"]
    assert command("report", "--root", tmp_path).code == 0
    assert len(seen) == 1
