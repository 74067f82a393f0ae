"""Regenerates the command reference and the table of features in README.md from the package itself.

    python scripts/make_reference.py [--check]

``--check`` writes nothing and ends with 1 if the reference is stale.
"""

import dataclasses
import sys
from pathlib import Path

import click

from lo2dask.cli.main import all_commands
from lo2dask.cli.options import OptionsCommand, declaring_class, default_text, flags, section_of, value_type
from lo2dask.features.glossary import COLUMNS
from lo2dask.schema import NUMERIC, REPRESENTATIONS, TokenKinds

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN = "<!-- reference: begin (made by scripts/make_reference.py) -->"
END = "<!-- reference: end -->"
FEATURES_BEGIN = "<!-- features: begin (made by scripts/make_reference.py) -->"
FEATURES_END = "<!-- features: end -->"


def reference() -> str:
    """Write the reference: every command, then every group of options with the commands that take it."""
    lines = ["| command | does |", "| --- | --- |"]
    for name, command in sorted(all_commands().items()):
        lines.append(f"| `{usage(name, command)}` | {cell(command.help or '')} |")
    for title, owners, rows in groups():
        lines += ["", f"**{cell(title)}** ({', '.join(f'`{owner}`' for owner in owners)})", ""]
        lines += ["| option | default | meaning |", "| --- | --- | --- |", *rows]
    return "\n".join(lines)


def features() -> str:
    """Write the columns of the enhanced table: unit, meaning, and which option a model reads it by."""
    lines = ["| column | unit | meaning | read by models |", "| --- | --- | --- | --- |"]
    for name in TokenKinds.of("both").enhanced().names:
        option = (
            "`--if-item`"
            if name in REPRESENTATIONS.values()
            else "`--if-item`, `--if-numeric`"
            if name in NUMERIC
            else ""
        )
        reads = f"{option}, model keys" if option else ""
        lines.append(f"| `{name}` | {COLUMNS[name].unit} | {cell(COLUMNS[name].meaning)} | {reads} |")
    return "\n".join(lines)


def usage(name: str, command: click.Command) -> str:
    """Write how a command is called."""
    arguments = [
        param.make_metavar(click.Context(command)) for param in command.params if param.param_type_name == "argument"
    ]
    return " ".join(["lo2dask", name, *(argument.strip("[]") for argument in arguments)])


def groups() -> list[tuple[str, list[str], list[str]]]:
    """List the groups of options: heading, the commands that take it, its rows; those of all commands come last."""
    found: dict[str, tuple[str, list[str], list[str]]] = {}
    for name, command in all_commands().items():
        if not isinstance(command, OptionsCommand):
            found[name] = (
                f"Options of {name}",
                [name],
                [plain_row(param) for param in command.params if isinstance(param, click.Option)],
            )
            continue
        for field in dataclasses.fields(command.kind):
            owner = declaring_class(command.kind, field.name)
            title = f"Options of {name}" if owner is command.kind else section_of(command.kind, field.name)
            _, commands, rows = found.setdefault(owner.__name__, (title, [], []))
            if name not in commands:
                commands.append(name)
            row = option_row(command, field)
            if row not in rows:
                rows.append(row)
    return sorted((entry for entry in found.values() if entry[2]), key=lambda entry: len(entry[1]))


def option_row(command: OptionsCommand, field: "dataclasses.Field[object]") -> str:
    """Write one option as a row of a table."""
    positional = field.metadata.get("argument")
    shown = field.name.upper() if positional else flags(field, command.kind)
    choices = field.metadata.get("choices", ())
    kinds = {bool: "", int: "N", float: "X", tuple: "A,B,..."}
    kind = value_type(command.kind, field)
    value = "|".join(choices) if choices and kind is str else kinds.get(kind, "PATH" if kind is Path else "TEXT")
    name = shown if positional or not value else f"{shown} {value}"
    return (
        f"| `{cell(name)}` | {cell(default_text(field).removeprefix('default: '))} | {cell(field.metadata['help'])} |"
    )


def plain_row(param: click.Parameter) -> str:
    """Write an option of a command that has no options class."""
    meaning, _, default = (getattr(param, "help", "") or "").partition("  [default: ")
    return f"| `{param.opts[0]} TEXT` | {cell(default.rstrip(']'))} | {cell(meaning)} |"


def cell(text: str) -> str:
    """Make text fit for a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ").strip()


def updated(readme: str) -> str:
    """Return the README with fresh tables between their markers."""
    readme = replaced(readme, FEATURES_BEGIN, FEATURES_END, features())
    return replaced(readme, BEGIN, END, reference())


def replaced(readme: str, begin: str, end: str, text: str) -> str:
    """Put a text between two markers."""
    head, found, rest = readme.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"README.md has no markers {begin!r} and {end!r}")
    return f"{head}{begin}\n\n{text}\n\n{end}{tail}"


def main() -> int:
    """Write the reference, or check it."""
    old = README.read_text(encoding="utf-8")
    new = updated(old)
    if "--check" in sys.argv[1:]:
        print("the reference is current" if old == new else "the reference is stale: python scripts/make_reference.py")
        return int(old != new)
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
