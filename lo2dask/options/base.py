"""The base of all option classes: a default, its help and its unit are written once, for the CLI and the API alike."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import Any, Self, TypeVar, get_args

from lo2dask.errors import InputError
from lo2dask.memory import parse_bytes
from lo2dask.options.paths import is_local, to_path

OptionsT = TypeVar("OptionsT", bound="Options")
_PATHS = (Path, Path | None)


def opt(default: Any, help: str, *, unit: str = "", **extra: Any) -> Any:
    """Declare one option.

    Parameters
    ----------
    default : its only default; ``dataclasses.MISSING`` makes the option required.
    help : one line; the CLI and the README's reference show it.
    unit : what a number counts ("lines", "rows"), shown after the default.
    extra : ``choices`` (tuple of str), ``off`` (the CLI's name for "no", where it is not ``--no-<name>``),
        ``minimum``/``maximum`` (numbers, inclusive), ``affects`` (the group of tables that change with this option:
        it goes into that group's fingerprint), ``argument`` (positional on the command line), ``fallback`` (what None
        stands for, in words), ``size`` (text that is a size, as 64MB), ``local`` (a path that must be on this machine,
        no URL), ``writes`` (a folder that the command writes), ``main`` (True, or the names of commands: ``--help``
        shows it; the others stand under ``--help-all``).
    """
    return dataclasses.field(default=default, metadata={"help": help, "unit": unit, **extra})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Frozen options of one command; checked when made."""

    def __post_init__(self) -> None:
        """Make paths of what is given as text or URL, Python's own numbers of numpy's, and check choices and bounds.

        Raises
        ------
        InputError : names the option, the value and what is allowed.
        """
        for field in dataclasses.fields(self):
            value = as_python(getattr(self, field.name))
            if field.type is str and type(value) is int and not field.metadata.get("size"):
                value = str(value)  # the number of a finding, a run named 20260301
            if field.type is str and not isinstance(value, str):
                raise InputError(f"{field.name}: {value!r} is no text")
            given = _path(field, value) if value is not None and field.type in _PATHS else value
            # A frozen class has no other way to complete itself.
            object.__setattr__(self, field.name, given)
            _check(field, value)

    def paths(self) -> list[Path]:
        """Return all paths and URLs among the values."""
        values = (getattr(self, field.name) for field in dataclasses.fields(self) if field.type in _PATHS)
        return [value for value in values if value is not None]

    def absolute_paths(self) -> dict[str, Path]:
        """Return the paths on this machine as they hold in every working directory, by option."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: path.absolute() for name, path in values.items() if isinstance(path, Path) and is_local(path)}

    def outputs(self) -> dict[str, Path]:
        """Return the folders that the command writes, by option."""
        names = [field.name for field in dataclasses.fields(self) if field.metadata.get("writes")]
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def raw_trees(self) -> list[Path]:
        """Return the raw trees that the command reads."""
        values = {name: getattr(self, name, None) for name in ("root", "raw_root") if name not in self.outputs()}
        return [value for value in values.values() if value is not None]

    def fingerprint(self, *groups: str) -> str:
        """Hash the values of all options that affect one of the groups of tables: 16 hex digits."""
        values = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.metadata.get("affects") in groups
        }
        return fingerprint(values)

    def affecting(self, *groups: str) -> dict[str, Any]:
        """Name and value of all options that affect one of the groups, as plain JSON types."""
        return {
            field.name: plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.metadata.get("affects") in groups
        }

    def derive(self, kind: type[OptionsT], **changes: Any) -> OptionsT:
        """Make another command's options with the values that both have."""
        shared = {field.name for field in dataclasses.fields(kind)}
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name in shared}
        return kind(**(values | changes))

    def replace(self, **changes: Any) -> Self:
        """Make a copy with some values changed."""
        return dataclasses.replace(self, **changes)


def fingerprint(value: Any) -> str:
    """Hash plain data (mappings, sequences, str, numbers, paths): 16 hex digits of SHA-256 over canonical JSON."""
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """Turn paths, tuples and mappings into what JSON knows."""
    if value is None or isinstance(value, str | int | float):
        return value
    if hasattr(value, "as_posix"):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, Iterable) else value


def as_python(value: Any) -> Any:
    """Turn a scalar of numpy into Python's own, also within a tuple: neither records nor bundles know numpy's."""
    if isinstance(value, tuple):
        return tuple(map(as_python, value))
    # Asked of the value: numpy is not imported for the sake of options.
    return value.item() if getattr(value, "ndim", None) == 0 and callable(getattr(value, "item", None)) else value


def flag_name(name: str) -> str:
    """Return the command line's form of an option's name: ``if_item`` is ``--if-item``, ``from_`` is ``--from``."""
    return "--" + name.rstrip("_").replace("_", "-")


def _path(field: dataclasses.Field[Any], value: Any) -> Path:
    try:
        path = to_path(value)
    except InputError as error:
        raise InputError(f"{flag_name(field.name)} {error}") from None
    if field.metadata.get("local") and not is_local(path):
        raise InputError(f"{flag_name(field.name)} {path}: must be on this machine; copy it here first")
    # What is recorded of a table is compared from any working directory.
    return path.absolute() if field.metadata.get("affects") and is_local(path) else path


def _kind_problem(field: dataclasses.Field[Any], value: Any) -> str:
    """Say what a value should be that is no number, or not true or false; "" where it is, or is another option's."""
    kinds = get_args(field.type) if isinstance(field.type, UnionType) else (field.type,)
    if value is None or not {int, float, bool} & set(kinds):
        return ""
    if bool in kinds:
        return "" if isinstance(value, bool) else "neither True nor False"
    is_number = isinstance(value, Real if float in kinds else Integral) and not isinstance(value, bool)
    return "" if is_number else "no number" if float in kinds else "no whole number"


def _check(field: dataclasses.Field[Any], value: Any) -> None:
    if problem := _kind_problem(field, value):
        raise InputError(f"{flag_name(field.name)}: {value!r} is {problem}")
    choices = field.metadata.get("choices", ())
    if field.metadata.get("size") and value:
        parse_bytes(value, flag_name(field.name))
    for item in value if isinstance(value, tuple) else (value,):
        if choices and item not in choices:
            raise InputError(f"{flag_name(field.name)}: {item!r} is not known; use {', '.join(choices)}")
    low, high = field.metadata.get("minimum"), field.metadata.get("maximum")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{flag_name(field.name)}: {value} is no finite number")
    if value is not None and ((low is not None and value < low) or (high is not None and value > high)):
        bounds = f"at least {low}" if high is None else f"at most {high}" if low is None else f"from {low} to {high}"
        raise InputError(f"{flag_name(field.name)}: {value} is out of range; give a number {bounds}")
