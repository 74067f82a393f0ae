"""Command-line options made from the frozen option classes: default, help and unit are written there alone."""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from lo2dask.cli.config import read_config
from lo2dask.cli.help import HelpContext
from lo2dask.errors import InputError
from lo2dask.options import Options, flag_name
from lo2dask.options.paths import is_local, to_path

Field = dataclasses.Field[Any]
# A command of so few options shows them all.
FEW = 10
_ALL = "lo2dask.help_all"
# Longer lists do not fit beside an option in 80 columns; its help says where the names are.
_LONGEST_CHOICES = 60


class FilePath(click.ParamType):
    """A path, or the URL of one; an empty one is an unset shell variable, never the current folder."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Make a path of the text, with the home folder for ``~``."""
        if value == "":
            self.fail("the path is empty; is the shell variable set?", param, ctx)
        try:
            path = to_path(value)
        except InputError as error:
            self.fail(str(error), param, ctx)
        return path.expanduser() if is_local(path) else path

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Let the shell complete files."""
        return [CompletionItem(incomplete, type="file")]


class Words(click.ParamType):
    """Words separated by comma or space, completed from choices where there are some."""

    name = "words"

    def __init__(self, choices: tuple[str, ...] = ()) -> None:
        """Keep what completion offers."""
        self.choices = choices

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete the word behind the last comma."""
        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(before + comma + word) for word in self.choices if word.startswith(last)]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split one value into its words."""
        return split_words(value) if isinstance(value, str) else tuple(value)


class OptionsCommand(click.Command):
    """A command whose parameters are the fields of an options class; ``action`` gets the finished options."""

    context_class = HelpContext

    def __init__(self, name: str, kind: type[Options], action: Callable[[Any], None], help: str) -> None:
        """Make the parameters."""
        super().__init__(name, params=parameters(kind), help=help)
        self.kind = kind
        self.action = action
        self._help_all = click.Option(
            ["--help-all"], is_flag=True, is_eager=True, expose_value=False, callback=_show_all,
            help="Show all options and exit.", hidden=len(main_options(self)) == len(_optional(kind)),
        )  # fmt: skip

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let a list option take all words up to the next option."""
        takers = {
            flag: tuple(field.metadata.get("choices", ()))
            for field in dataclasses.fields(self.kind)
            if value_type(self.kind, field) is tuple
            for flag in (flag_name(field.name),)
        }
        positional = any(isinstance(param, click.Argument) for param in self.params)
        # A command line that the shell completes is not finished yet.
        return super().parse_args(ctx, args if ctx.resilient_parsing else spread_lists(args, takers, positional))

    def invoke(self, ctx: click.Context) -> None:
        """Make the options from the command line and ``--config``, and act on them."""
        given = {
            name: _flatten(value) if isinstance(value, tuple) else value
            for name, value in ctx.params.items()
            if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        }
        options = make_options(self.kind, self.params, given)
        if isinstance(ctx.obj, dict):
            ctx.obj["options"] = options
        if not all(map(is_local, options.paths())):
            from lo2dask.storage import check_buckets

            check_buckets(options.paths())
        self.action(options)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Add --help-all to the options of the class, before click's own --help."""
        *params, last = super().get_params(ctx)
        return [*params, self._help_all, last]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the arguments and the main options; with --help-all the others too, by the class that declares them."""
        main = main_options(self)
        meanings = {field.name: field.metadata["help"] for field in dataclasses.fields(self.kind)}
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            name = param.name or ""
            is_first = name in main or name not in meanings
            if isinstance(param, click.Argument):
                sections["Arguments"].append((param.make_metavar(ctx).strip("[]"), meanings[name]))
            elif record := param.get_help_record(ctx):
                title = "Options" if is_first else section_of(self.kind, name)
                sections.setdefault(title, []).append(record)
        others = {title: records for title, records in sections.items() if title not in ("Arguments", "Options")}
        for title, records in sections.items():
            if records and (title not in others or ctx.meta.get(_ALL)):
                with formatter.section(title):
                    formatter.write_dl(records)
        if others and not ctx.meta.get(_ALL):
            formatter.write_paragraph()
            formatter.write_text(f"{sum(map(len, others.values()))} more options: {ctx.command_path} --help-all")


def parameters(kind: type[Options]) -> list[click.Parameter]:
    """Make click's parameters of an options class: its own options first, those that all commands share last."""

    def place(field: Field) -> tuple[int, bool]:
        """Return what options are sorted by."""
        return _mro(kind).index(declaring_class(kind, field.name)), not is_required(field)

    return [_parameter(kind, field) for field in sorted(dataclasses.fields(kind), key=place)]


def make_options(kind: type[Options], params: Iterable[click.Parameter], given: Mapping[str, Any]) -> Any:
    """Make the options: the command line goes before ``--config``, that before the default.

    Raises
    ------
    InputError : a value is not allowed, or the configuration file cannot be used.
    click.UsageError : a required option is missing.
    """
    values: dict[str, Any] = {}
    if given.get("config") is not None:
        values = read_config(given["config"], {param.name or "": param for param in params}, bool_switches(kind))
    values |= given
    for field in dataclasses.fields(kind):
        if is_required(field) and field.name not in values:
            shown = field.name.upper() if field.metadata.get("argument") else flag_name(field.name)
            raise click.UsageError(f"{shown} is missing; give the {field.metadata['help']}", _context())
    return kind(**values)


def spread_lists(args: list[str], takers: Mapping[str, tuple[str, ...]], positional: bool) -> list[str]:
    """Write ``--flag a b`` as ``--flag a --flag b`` for the flags that take lists.

    A command with a positional argument gives a list only those further words that are among its choices, so that
    the list never takes the argument.
    """
    spread: list[str] = []
    waiting = list(args)
    while waiting:
        word = waiting.pop(0)
        flag, equals, first = word.partition("=")
        if word == "--":
            return [*spread, word, *waiting]
        if flag not in takers:
            spread.append(word)
            continue
        words = [first] if equals else []
        while waiting and not waiting[0].startswith("-"):
            if words and positional and not set(split_words(waiting[0])) <= set(takers[flag]):
                break
            words.append(waiting.pop(0))
        if not words:
            raise click.UsageError(f"{flag} needs at least one word", _context())
        spread.extend(part for item in words for part in (flag, item))
    return spread


def split_words(text: str) -> tuple[str, ...]:
    """Split at commas and spaces."""
    return tuple(text.replace(",", " ").split())


def value_type(kind: type[Options], field: Field) -> type:
    """Return bool, int, float, str, Path or tuple: the type of an option's value, apart from None."""
    hint = typing.get_type_hints(declaring_class(kind, field.name))[field.name]
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    origin: type = typing.get_origin(hint) or hint
    return origin


def main_options(command: OptionsCommand) -> set[str]:
    """Return the names of the options that --help shows: the required and marked ones, or all where they are few."""
    fields = _optional(command.kind)
    if len(fields) <= FEW:
        return {field.name for field in fields}
    marks = {field.name: field.metadata.get("main", False) for field in fields}
    return {f.name for f in fields if is_required(f) or marks[f.name] is True or command.name in (marks[f.name] or ())}


def is_required(field: Field) -> bool:
    """Return whether an option has no default."""
    return field.default is dataclasses.MISSING


def default_text(field: Field) -> str:
    """Write an option's default with its unit, as the help and the reference show it."""
    if is_required(field):
        return "required"
    if isinstance(field.default, bool):
        return "default: on" if field.default else "default: off"
    if "fallback" in field.metadata:
        return f"default: {field.metadata['fallback']}"
    if field.default is None or field.default in ("", ()):
        return "default: none" + (f", in {field.metadata['unit']}" if field.metadata["unit"] else "")
    shown = ",".join(field.default) if isinstance(field.default, tuple) else str(field.default)
    return f"default: {shown} {field.metadata['unit']}".rstrip()


def flags(field: Field, kind: type[Options]) -> str:
    """Write how an option is given: ``--runs`` or ``--resume/--no-resume``."""
    if value_type(kind, field) is not bool:
        return flag_name(field.name)
    return f"{flag_name(field.name)}/{_off_flag(field)}"


def bool_switches(kind: type[Options]) -> dict[str, str]:
    """Return the names that switch an option off in a configuration file: ``no_resume`` -> ``resume``."""
    return {
        _off_flag(field)[2:].replace("-", "_"): field.name
        for field in dataclasses.fields(kind)
        if value_type(kind, field) is bool
    }


def declaring_class(kind: type[Options], name: str) -> type[Options]:
    """Return the class that declares an option."""
    return next(base for base in _mro(kind) if name in vars(base).get("__annotations__", {}))


def section_of(kind: type[Options], name: str) -> str:
    """Return the heading of a field among all options: what its group of options is for."""
    owner = declaring_class(kind, name)
    return "Of this command alone" if owner is kind else (owner.__doc__ or "").split(":")[0].strip().rstrip(".")


def _optional(kind: type[Options]) -> list[Field]:
    return [field for field in dataclasses.fields(kind) if not field.metadata.get("argument")]


def _show_all(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Show the help with all options, and end."""
    if value and not ctx.resilient_parsing:
        ctx.meta[_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def _context() -> click.Context | None:
    return click.get_current_context(silent=True)


def _parameter(kind: type[Options], field: Field) -> click.Parameter:
    plain = value_type(kind, field)
    choices = field.metadata.get("choices", ())
    if field.metadata.get("argument"):
        return click.Argument([field.name], type=_click_type(plain, choices), required=False)
    return click.Option(
        [flags(field, kind), field.name],
        type=None if plain is bool else _click_type(plain, choices),
        multiple=plain is tuple,
        help=f"{field.metadata['help']}  [{default_text(field)}]",
        metavar="A,B,..." if plain is tuple else "NAME" if len("|".join(choices)) > _LONGEST_CHOICES else None,
        default=None,
    )


def _click_type(plain: type, choices: tuple[str, ...]) -> click.ParamType:
    if plain is str and choices:
        return click.Choice(choices)
    types_of: dict[type, click.ParamType] = {int: click.INT, float: click.FLOAT, str: click.STRING, Path: FilePath()}
    return types_of.get(plain, Words(choices))


def _off_flag(field: Field) -> str:
    return str(field.metadata.get("off") or "--no-" + flag_name(field.name)[2:])


def _flatten(values: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(word for words in values for word in words)


def _mro(kind: type[Options]) -> list[type[Options]]:
    return [base for base in kind.__mro__ if issubclass(base, Options)]
