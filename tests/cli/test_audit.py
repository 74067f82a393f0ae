"""`lo2dask audit`: one page in the terminal and as HTML."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lo2dask.audit.checks import TITLES
from lo2dask.commands.load import load
from lo2dask.execute.session import Session
from lo2dask.options import LoadOptions, SynthOptions
from lo2dask.synthesis import write_tree

pytestmark = pytest.mark.usefixtures("serially")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree as LO2 v1, whose correct cases come first and last longer."""
    home = tmp_path_factory.mktemp("audit")
    write_tree(SynthOptions(out=home / "raw", scale=0.01, runs=8, errors_per_run=3, jobs=1))
    load(LoadOptions(root=home / "raw", output_dir=home / "out"), Session.serial())
    return home / "out"


@pytest.fixture(autouse=True)
def width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_the_leaks_of_v1_are_told_in_80_columns(command: Callable[..., Any], folder: Path) -> None:
    answer = command("audit", folder)
    lines = answer.out.splitlines()
    assert answer.code == 0
    assert max(map(len, lines[:-1])) <= 80
    told = " ".join(" ".join(lines).split())
    for title in ("length", "duration", "start-up text", "order in the run", "file size"):
        assert f"{title} alone tells" in told
    assert "position in time does not tell" in told
    assert "8 runs, 32 cases: 8 normal, 24 anomalous" in told
    assert lines[-1] == f"page: {folder / 'audit.html'}"
    with (folder / "audit.html").open("a") as file:
        file.write("changed")
    assert "audit.html" in command("verify", folder, "--workers", "1").out
    command("audit", folder)
    assert command("verify", folder, "--workers", "1").code == 0
    page = (folder / "audit.html").read_text(encoding="utf-8")
    assert all(title in page for title in TITLES.values())
    assert "load with --balance-correct" in page
    assert command("audit", folder).out == answer.out


@pytest.mark.thorough
def test_the_page_goes_where_it_is_told_and_the_folder_stays_sound(
    command: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    answer = command("audit", folder, "--html", tmp_path / "page.html", "--limit", "5", "--log-format", "json")
    done = json.loads(answer.out)
    assert (tmp_path / "page.html").is_file()
    assert [check["name"] for check in done["checks"]] == list(TITLES)
    assert done["left_out"] > 0
    assert command("verify", folder, "--workers", "1").code == 0
    assert command("audit", folder, "--quiet").out == ""


@pytest.mark.thorough
def test_few_runs_are_said_in_one_line(command: Callable[..., Any], tmp_path: Path, tiny_tree: Path) -> None:
    assert command("load", "--root", tiny_tree, "--output-dir", tmp_path / "out", "--workers", "1").code == 0
    lines = command("audit", tmp_path / "out").out.splitlines()
    assert lines[0] == "too few runs to tell: 2 normal and 2 anomalous cases, 4 of each are needed"
    assert len(lines) == 3


def test_a_folder_without_tables_is_refused(command: Callable[..., Any], tmp_path: Path) -> None:
    answer = command("audit", tmp_path)
    assert answer.code == 2
    assert "no sequence in it; first: lo2dask load" in answer.lines[-1]
    assert not (tmp_path / "audit.html").exists()
