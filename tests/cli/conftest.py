"""What the tests of the command line share: options as the command would get them, without doing the work."""

from collections.abc import Callable
from typing import Any

import pytest

from lo2dask.cli import actions as cli_actions

COMMANDS = (
    "synth",
    "load",
    "train",
    "explain",
    "extract",
    "audit",
    "findings",
    "show",
    "serve_mcp",
    "report",
    "score",
    "grid",
    "run",
    "verify",
    "plan",
)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the options object that a command line leads to."""

    def parse(*arguments: object) -> Any:
        seen: list[Any] = []
        for name in COMMANDS:
            monkeypatch.setattr(cli_actions, name, seen.append)
        answer = command(*arguments)
        assert answer.code == 0, answer.err
        return seen[0]

    return parse
