"""The folders that are attacked, made once by the real command line, and the counts at the end."""

from pathlib import Path
from typing import Any

import pytest

from tests.attack.program import Folders, done
from tests.attack.tally import TALLY

COMMANDS = ("load", "train", "explain", "report", "grid", "score")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write what was attacked, and what must be 0."""
    if TALLY.attacks:
        terminalreporter.section("attacks")
        for line in TALLY.lines():
            terminalreporter.write_line(line)
        # An attack that fails before its faults are counted is in no count above.
        failed = [report.nodeid for kind in ("failed", "error") for report in terminalreporter.stats.get(kind, ())]
        terminalreporter.write_line(f"tests that failed: {len(failed)} {' '.join(failed)}".rstrip())


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up tree of 4 runs with one error case each; tests only read it."""
    tree = tmp_path_factory.mktemp("attacked") / "raw"
    size = ("--scale", "0.01", "--runs", "4", "--errors-per-run", "1", "--services", "key,token,user")
    done("synth", tree, *size, "--with-metrics", "--jobs", "1")
    return tree


@pytest.fixture(scope="session")
def finished(raw: Path) -> Folders:
    """Folders that every command has written into; tests damage copies, or put back what they damage."""
    at = Folders(raw, raw.parent / "out", raw.parent / "scored")
    for command in COMMANDS:
        done(*at.line(command))
    return at
