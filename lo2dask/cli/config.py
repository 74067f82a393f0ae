"""``--config FILE.yaml``: options under the names that the flags have."""

import difflib
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from lo2dask.errors import InputError
from lo2dask.options.paths import is_local
from lo2dask.options.yaml_file import read_yaml


def read_config(path: Path, params: Mapping[str, click.Parameter], switches: Mapping[str, str]) -> dict[str, Any]:
    """Read option values from a YAML file; dashes and underscores in names are the same.

    ``switches`` maps the names that switch an option off to that option.

    Raises
    ------
    InputError : the file cannot be read, or a name or value in it cannot be used; names it and what comes close.
    """
    if not is_local(path):
        raise InputError(f"--config {path}: must be on this machine; copy it here first")
    values: dict[str, Any] = {}
    for key, value in _read_mapping(path).items():
        name = str(key).strip().lstrip("-").replace("-", "_")
        # A field named like a Python keyword has an underscore after it: `from_`.
        name, value = _switched(f"{name}_" if f"{name}_" in params else name, value, switches)
        if name not in params or name == "config":
            raise InputError(f"--config {path}: {key!r} is no option of this command{_close(name, params)}")
        if name in values:
            raise InputError(f"--config {path}: {key!r} is given twice")
        values[name] = _convert(params[name], value, f"--config {path}: {key}")
    return values


def _read_mapping(path: Path) -> dict[Any, Any]:
    content = read_yaml(path, "--config")
    if not isinstance(content, dict | None):
        raise InputError(f"--config {path}: must be lines of `name: value`, with the names of the flags")
    return content or {}


def _switched(name: str, value: Any, switches: Mapping[str, str]) -> tuple[str, Any]:
    if name in switches and isinstance(value, bool):
        return switches[name], not value
    return name, value


def _close(name: str, params: Mapping[str, click.Parameter]) -> str:
    close = difflib.get_close_matches(name, params)
    return f"; close to it: {', '.join(match.replace('_', '-') for match in close)}" if close else ""


def _convert(param: click.Parameter, value: Any, where: str) -> Any:
    """Return a YAML value in the type that the flag would have."""
    if getattr(param, "is_flag", False):
        if not isinstance(value, bool):
            raise InputError(f"{where}: must be true or false, not {value!r}")
        return value
    items = value if isinstance(value, list) and _takes_list(param) else [value]
    for item in items:
        # Unquoted, YAML takes yes, 2024-01-01 and the like for other than text.
        if isinstance(item, bool) or not isinstance(item, str | int | float):
            raise InputError(f"{where}: {reprlib.repr(item)} cannot be its value; quote it if it is a text")
    try:
        if isinstance(value, list):
            return tuple(str(item) for item in value)
        return param.type.convert(str(value), param, None)
    except click.BadParameter as error:
        raise InputError(f"{where}: {error.message}") from error


def _takes_list(param: click.Parameter) -> bool:
    return bool(getattr(param, "multiple", False))
