"""The long texts of the services, from texts.yaml: stack traces, start-up lines, checks of bodies, error codes."""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from typing import Any

import yaml


def fill(text: str, /, **values: str) -> str:
    """Replace the named holes ``«name»`` of a text."""
    for name, value in values.items():
        text = text.replace(f"«{name}»", value)
    return text


def read_lines(name: str, /, **values: str) -> tuple[str, ...]:
    """Return the lines of an entry of texts.yaml, their holes filled, with the tab before each stack frame."""
    lines = (fill(line, foreign_key=_texts()["foreign_key"], **values) for line in _flatten(_texts()[name]))
    return tuple("\t" + line if line.startswith(("at ", "... ")) else line for line in lines)


def read_error(code: str) -> tuple[int, str]:
    """Return the HTTP status and the name of an error code."""
    status, name = _texts()["errors"][code]
    return status, name


@cache
def _texts() -> dict[str, Any]:
    return dict(yaml.safe_load((resources.files(__package__) / "texts.yaml").read_text(encoding="utf-8")))


def _flatten(entry: Iterable[Any]) -> Iterator[str]:
    for item in entry:
        yield from [item] if isinstance(item, str) else _flatten(item)
