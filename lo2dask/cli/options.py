"""Command-line options made from the frozen option classes: default, help and unit are written there alone."""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from lo2dask.cli.config import read_config
from lo2dask.errors import InputError
from lo2dask.options import Options, flag_name
from lo2dask.options.paths import is_local, to_path

Field = dataclasses.Field[Any]


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


class Words(click.ParamType):
    """Words separated by comma or space."""

    name = "words"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split one value into its words."""
        return split_words(value) if isinstance(value, str) else tuple(value)


class OptionsCommand(click.Command):
    """A command whose parameters are the fields of an options class; ``action`` gets the finished options."""

    def __init__(self, name: str, kind: type[Options], action: Callable[[Any], None], help: str) -> None:
        """Make the parameters."""
        super().__init__(name, params=parameters(kind), help=help)
        self.kind = kind
        self.action = action

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let a list option take all words up to the next option."""
        takers = {
            flag: tuple(field.metadata.get("choices", ()))
            for field in dataclasses.fields(self.kind)
            if value_type(self.kind, field) is tuple
            for flag in (flag_name(field.name),)
        }
        positional = any(isinstance(param, click.Argument) for param in self.params)
        return super().parse_args(ctx, spread_lists(args, takers, positional))

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

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by the class that declares them, the command's own first."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record and not isinstance(param, click.Argument):
                sections.setdefault(section_of(self.kind, param.name or ""), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def parameters(kind: type[Options]) -> list[click.Parameter]:
    """Make click's parameters of an options class: its own options first, those that all commands share last."""
    fields = sorted(dataclasses.fields(kind), key=lambda field: _mro(kind).index(declaring_class(kind, field.name)))
    return [_parameter(kind, field) for field in fields]


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
    """Return the heading of an option in the help: "Options", or what its group of options is for.

    What is no field, click's own --help, stands with the last group.
    """
    names = [field.name for field in dataclasses.fields(kind)]
    owner = declaring_class(kind, name) if name in names else _mro(kind)[-2]
    return "Options" if owner is kind else (owner.__doc__ or "").split(":")[0].strip().rstrip(".")


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
        metavar="A,B,..." if plain is tuple else None,
        default=None,
    )


def _click_type(plain: type, choices: tuple[str, ...]) -> click.ParamType:
    if plain is str and choices:
        return click.Choice(choices)
    types_of: dict[type, click.ParamType] = {int: click.INT, float: click.FLOAT, str: click.STRING, Path: FilePath()}
    return types_of.get(plain, Words())


def _off_flag(field: Field) -> str:
    return str(field.metadata.get("off") or "--no-" + flag_name(field.name)[2:])


def _flatten(values: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(word for words in values for word in words)


def _mro(kind: type[Options]) -> list[type[Options]]:
    return [base for base in kind.__mro__ if issubclass(base, Options)]
