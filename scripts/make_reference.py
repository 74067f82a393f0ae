"""Regenerates the tables of the reference in docs/reference/ from the package itself.

    python scripts/make_reference.py [--check]

``--check`` writes nothing and ends with 1 if a page is stale.
"""

import dataclasses
import sys
from pathlib import Path

import click
import pyarrow as pa

from lo2dask.api.glossary import TABLES, TableNote
from lo2dask.cli.main import all_commands
from lo2dask.cli.options import OptionsCommand, declaring_class, default_text, flags, section_of, value_type
from lo2dask.features.masks import ALL_MASKS, normalise
from lo2dask.formats.json_lines import KEYS as JSON_KEYS
from lo2dask.formats.json_lines import STATUS_KEYS
from lo2dask.formats.presets import PRESETS
from lo2dask.formats.times import SHAPES
from lo2dask.formats.user_format import GROUPS, KEYS, lines_of
from lo2dask.formats.wrappers import PREFIXES
from lo2dask.models.registry import describe
from lo2dask.schema import NUMERIC, REPRESENTATIONS

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"


def reference() -> str:
    """Write the reference: every command, then every group of options with the commands that take it."""
    lines = ["| command | does |", "| --- | --- |"]
    for name, command in sorted(all_commands().items()):
        lines.append(f"| `{usage(name, command)}` | {cell(command.help or '')} |")
    for title, owners, rows in groups():
        lines += ["", f"**{cell(title)}** ({', '.join(f'`{owner}`' for owner in owners)})", ""]
        lines += ["| option | default | meaning |", "| --- | --- | --- |", *rows]
    return "\n".join(lines)


def tables() -> str:
    """Write every table with its columns: type, unit and meaning."""
    return "\n\n".join(map(table, TABLES))


def table(note: TableNote) -> str:
    """Write one table."""
    lines = [f"### {note.name}", "", f"One row per {note.row}. Written by `{note.written_by}`.", ""]
    lines += ["| column | type | unit | meaning |", "| --- | --- | --- | --- |"]
    for name, column in note.columns.items():
        meaning = (
            f"{column.meaning}; {READ_BY[name]}"
            if note.schema is TABLES[1].schema and name in READ_BY
            else column.meaning
        )
        kind = short_type(str(note.schema.field(name).type))
        lines.append(f"| `{name}` | {cell(kind)} | {column.unit} | {cell(meaning)} |")
    return "\n".join(lines)


def short_type(kind: str) -> str:
    """Write an Arrow type as its users know it."""
    kind = kind.replace("timestamp[us, tz=UTC]", "timestamp").replace("element: ", "").replace("item: ", "")
    return f"`{kind}`"


READ_BY = {name: "models read it (`--if-item`)" for name in REPRESENTATIONS.values()}
READ_BY |= {name: "models read it (`--if-numeric`)" for name in NUMERIC}


def models() -> str:
    """Write the registry as a table."""
    rows = describe()
    lines = [f"| {' | '.join(name.replace('_', ' ') for name in rows[0])} |", "| --- " * len(rows[0]) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(cell(str(value)) for value in row.values()) + " |" for row in rows)])


def masks() -> str:
    """Write the masks, each with what becomes of its example."""
    lines = ["| mask | for logs of | example | becomes | pattern |", "| --- | --- | --- | --- | --- |"]
    for mask in ALL_MASKS:
        became = normalise(pa.array([mask.example]), (mask,))[0].as_py()
        lines.append(
            "| "
            + " | ".join(
                [
                    mask.name,
                    mask.scope or "every format",
                    *(f"`{cell(text)}`" for text in (mask.example, became, mask.pattern)),
                ]
            )
            + " |"
        )
    return "\n".join(lines)


def formats_page() -> str:
    """Write the line formats with what is read of their examples, the shapes of times, and the keys of own formats."""
    lines = ["| format | example | read of it |", "| --- | --- | --- |"]
    for name, preset in PRESETS.items():
        found = preset.read(lines_of([preset.example]))
        columns = {group: getattr(found, group) for group in (*GROUPS, "message")}
        texts = {group: column[0].as_py() for group, column in columns.items() if column is not None and len(column)}
        read = ", ".join(
            ["time"] * len(found.rows) + [f"{group} `{cell(text)}`" for group, text in texts.items() if text]
        )
        lines.append(f"| `{name}` | `{cell(preset.example)}` | {read or 'each line is an event without a time'} |")
    lines += ["", "**Keys of JSON**, of several the first that has a value", "", "| field | keys |", "| --- | --- |"]
    lines += [
        f"| {field} | {', '.join(f'`{key}`' for key in keys)} |"
        for field, keys in {**JSON_KEYS, "status": STATUS_KEYS}.items()
    ]
    lines += ["", "**Times**, of several in a line the first of this list", "", "| shape | example |", "| --- | --- |"]
    lines += [f"| {shape.name} | `{shape.example}` |" for shape in SHAPES]
    lines += [
        "",
        f"**Wrappers** that come off first, and stack: {', '.join(PREFIXES)}, a CSV column, ANSI colours.",
        "",
    ]
    lines += ["**Keys of a format of your own**", "", "| key | meaning |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| `{key}` | {cell(meaning)} |" for key, meaning in KEYS.items())])


# What each page has between its markers.
PAGES = {
    "commands": ("reference", reference),
    "tables": ("tables", tables),
    "models": ("models", models),
    "masks": ("masks", masks),
    "formats": ("formats", formats_page),
}


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


def updated(page: str, text: str) -> str:
    """Return a page with a fresh table between its markers."""
    name, make = PAGES[page]
    begin, end = f"<!-- {name}: begin (made by scripts/make_reference.py) -->", f"<!-- {name}: end -->"
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"docs/reference/{page}.md has no markers {begin!r} and {end!r}")
    return f"{head}{begin}\n\n{make()}\n\n{end}{tail}"


def main() -> int:
    """Write the reference, or check it."""
    stale = []
    for page in PAGES:
        path = REFERENCE / f"{page}.md"
        old = path.read_text(encoding="utf-8")
        new = updated(page, old)
        if new != old:
            stale.append(page)
        if "--check" not in sys.argv[1:]:
            path.write_text(new, encoding="utf-8")
    if "--check" in sys.argv[1:]:
        told = f"stale: {', '.join(stale)}: python scripts/make_reference.py" if stale else "current"
        print(f"the reference is {told}")
        return int(bool(stale))
    return 0


if __name__ == "__main__":
    sys.exit(main())
