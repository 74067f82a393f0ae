"""What the CLI prints: every text is made safe for a terminal here, because names and rows come from the data."""

import dataclasses
import json
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from lo2dask.buffers.visible import visible
from lo2dask.cli.terminal import cut, cut_middle, encodable, error_width, padded, terminal_width
from lo2dask.options import plain

_GAP = "  "
_QUANTITY = re.compile(r"(\d) (ms|s|min|h|[kMG]?B(?:/s)?)\b")
# A column of a table gives way down to so many characters.
_NARROWEST = 16


def say(text: str, *, err: bool = False) -> None:
    """Print lines; characters that would act on the terminal show as escapes. Messages are wrapped to a terminal."""
    shown = "\n".join(visible(line) for line in text.split("\n"))
    if err and sys.stderr.isatty():
        shown = "\n".join(part for line in shown.split("\n") for part in _wrap(line, error_width()))
    _echo(shown if err else encodable(shown), err)


def _echo(text: str, err: bool) -> None:
    # Of itself click would take the terminal's own stream, past the one that prints above a progress bar.
    click.echo(text, file=sys.stderr if err else None)


def wrapped(lines: Iterable[str]) -> list[str]:
    """Wrap lines of a summary between words at the width of a terminal; elsewhere they stay as they are."""
    if not sys.stdout.isatty():
        return list(lines)
    return [part for line in lines for part in _wrap(line, terminal_width(), "  ")]


def _wrap(line: str, width: int, indent: str = "") -> list[str]:
    """Wrap a line so that paths and options stay whole, and numbers with their units."""
    kept = _QUANTITY.sub("\\1\u00a0\\2", line)
    found = textwrap.wrap(kept, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [part.replace("\u00a0", " ") for part in found] or [""]


def say_json(event: str, values: Mapping[str, Any], *, err: bool = False) -> None:
    """Print one JSON line: ``event`` and the values."""
    _echo(json.dumps({"event": event, **json_values(values)}), err)


def json_values(values: Any) -> Any:
    """Turn paths, tuples, mappings and dataclasses into what JSON knows."""
    if dataclasses.is_dataclass(values) and not isinstance(values, type):
        return {field.name: json_values(getattr(values, field.name)) for field in dataclasses.fields(values)}
    if isinstance(values, Mapping):
        return {str(key): json_values(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [json_values(value) for value in values]
    if values is None or isinstance(values, bool | int | float | str):
        return values
    return plain(values) if hasattr(values, "__fspath__") else str(values)


def one_line(text: str) -> str:
    """Join the lines of a message."""
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = (), whole: bool = False) -> str:
    """Lay rows out under the names of their columns, within the terminal: the widest column gives way.

    A ``whole`` table is as wide as it is.
    """
    names = list(columns or (rows[0] if rows else ()))
    lines = [names, *([visible(str(row[name])) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    spare = terminal_width() - sum(widths) - len(_GAP) * (len(widths) - 1)
    while spare < 0 and not whole and max(widths) > _NARROWEST:
        widest = widths.index(max(widths))
        second = sorted(widths)[-2] if len(widths) > 1 else 0
        less = min(-spare, widths[widest] - max(_NARROWEST, min(second, widths[widest] - 1)))
        widths[widest] -= less
        spare += less
    # Names differ at their ends, sentences begin with what they say.
    shown = (
        [(cut if " " in text else cut_middle)(text, width) for text, width in zip(line, widths, strict=True)]
        for line in lines
    )
    return "\n".join(_GAP.join(map(padded, line, widths)).rstrip() for line in shown)


def megabytes(count: float) -> str:
    """Write bytes as MB (1e6), or GB from 1e9 on."""
    return f"{count / 1e9:,.2f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def count(number: int, noun: str) -> str:
    """Write a number with its noun: ``1 run``, ``1,200 runs``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
