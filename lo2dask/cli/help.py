"""How help is laid out: commands in groups, each with its whole help, and no option's name broken at a hyphen."""

from collections.abc import Iterable, Mapping
from typing import Any

import click

# textwrap breaks a line after a hyphen, but not after this one.
_UNBROKEN = "\N{NON-BREAKING HYPHEN}"


class HelpFormatter(click.HelpFormatter):
    """click's formatter, which leaves words with hyphens whole."""

    def write_dl(self, rows: Iterable[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        """Write a list of names with what they mean."""
        super().write_dl([(name, text.replace("-", _UNBROKEN)) for name, text in rows], *args, **kwargs)

    def write_text(self, text: str) -> None:
        """Write a paragraph."""
        super().write_text(text.replace("-", _UNBROKEN))

    def getvalue(self) -> str:
        """Return what was written, with plain hyphens."""
        return super().getvalue().replace(_UNBROKEN, "-")


class HelpContext(click.Context):
    """A context whose help is written by HelpFormatter."""

    formatter_class = HelpFormatter


class Commands(click.Group):
    """Commands that are listed below headings; one that is named nowhere stands below the last."""

    context_class = HelpContext

    def __init__(self, *args: Any, headings: Mapping[str, tuple[str, ...]] | None = None, **kwargs: Any) -> None:
        """Keep the headings, each with the full names of its commands."""
        super().__init__(*args, **kwargs)
        self.headings = headings or {"Commands": ()}

    def flat(self) -> dict[str, click.Command]:
        """Return every command by its full name; those of a group as ``cluster check``."""
        found: dict[str, click.Command] = {}
        for name, command in self.commands.items():
            inner = command.flat() if isinstance(command, Commands) else {}
            found |= {f"{name} {part}": one for part, one in inner.items()} or {name: command}
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands below their headings."""
        left = self.flat()
        listed = {title: [(name, left.pop(name)) for name in names] for title, names in self.headings.items()}
        listed[list(listed)[-1]] += left.items()
        for title, commands in listed.items():
            with formatter.section(title):
                formatter.write_dl([(name, " ".join((command.help or "").split())) for name, command in commands])
