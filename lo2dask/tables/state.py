"""JSON files that hold state: each names its layout version and type, and is checked when it is read.

A file that is damaged, or of another version or shape, is reported by its name with what is done again, and then
counts as missing: only what depends on it is redone.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lo2dask.errors import InputError
from lo2dask.schema import LAYOUT_VERSION
from lo2dask.storage import write_bytes
from lo2dask.tables.layout import Layout

logger = logging.getLogger(__name__)

# Files that are damaged and have been told, until they are read whole or written again.
_TOLD: set[Path] = set()


@dataclass(frozen=True)
class StateType:
    """One type of state file: its name, the shape of each field, and what is done again where it is damaged.

    A shape is a type, a tuple of shapes of which one fits, ``[shape]`` for a list, ``{str: shape}`` for a mapping, a
    mapping of field names to shapes, which must all be there, or any other value, which must be equal.
    """

    name: str
    fields: Mapping[str, Any]
    again: str


def write_state(path: Path, of: StateType, content: Mapping[str, Any], durable: bool = True) -> None:
    """Write a state file by rename; ``durable`` is that of :func:`lo2dask.storage.replacing`.

    Raises
    ------
    TypeError : the content has not the fields of its type.
    """
    if not fits(content, of.fields):
        raise TypeError(f"{path.name}: its content is not that of a state file of type {of.name}")
    write_bytes(path, state_bytes({**content, "layout": LAYOUT_VERSION, "type": of.name}), durable)
    _TOLD.discard(path)


def state_bytes(content: Mapping[str, Any]) -> bytes:
    """Return the bytes of a state file: JSON with sorted keys, and a digest of all the rest, which finds every flip."""
    plain = {name: value for name, value in content.items() if name != "digest"}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
    text = json.dumps({**plain, "digest": digest}, sort_keys=True, indent=1, allow_nan=False)
    return f"{text}\n".encode()


def read_state(path: Path, of: StateType) -> dict[str, Any] | None:
    """Read a state file; None where it is missing or damaged, and a damaged one is reported in a warning, once."""
    content, problem = inspect_state(path, of)
    if not problem:
        _TOLD.discard(path)
    elif path not in _TOLD:
        _TOLD.add(path)
        logger.warning("%s is %s: %s", short_name(path), problem, of.again)
    return content


def inspect_state(path: Path, of: StateType) -> tuple[dict[str, Any] | None, str]:
    """Read a state file; return its content (None unless it is whole) and what is wrong with it ("" if missing)."""
    try:
        written = path.read_bytes()
        content = json.loads(written)
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    except (ValueError, RecursionError):
        return None, "damaged"
    version = _version(content)
    if version not in (None, LAYOUT_VERSION):
        return None, f"of another version (layout {version}, now {LAYOUT_VERSION})"
    if version is None or content.get("type") != of.name or not fits(content, of.fields):
        return None, "damaged"
    if written != state_bytes(content):
        return None, "damaged"
    return {name: content[name] for name in of.fields}, ""


def fits(value: Any, shape: Any) -> bool:
    """Return whether a value read from JSON has a shape; see :class:`StateType`."""
    if isinstance(shape, tuple):
        return any(fits(value, one) for one in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(item, shape[0]) for item in value)
    if isinstance(shape, Mapping):
        if not isinstance(value, Mapping):
            return False
        if set(shape) == {str}:
            return all(fits(item, shape[str]) for item in value.values())
        return all(name in value and fits(value[name], of) for name, of in shape.items())
    if not isinstance(shape, type):
        return bool(value == shape)
    if shape in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, int | float if shape is float else shape)


def check_layout(layout: Layout) -> None:
    """Refuse a folder that another version of lo2dask has loaded, before anything is done in it.

    Raises
    ------
    InputError : names both layout versions and what has to be done again.
    """
    try:
        marker = json.loads(layout.marker("load").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return
    version = 1 if _is_first_layout(marker) else _version(marker)
    if version not in (None, LAYOUT_VERSION):
        age = "an earlier" if version is not None and version < LAYOUT_VERSION else "a later"
        raise InputError(
            f"{layout.root} was written by {age} version (layout {version}, now {LAYOUT_VERSION}): load again into it "
            "with --no-resume, or choose another --output-dir"
        )


def check_exists(layout: Layout) -> None:
    """Refuse a folder that is not there, for commands that only read it.

    Raises
    ------
    InputError : there is no such folder.
    """
    if not layout.root.exists():
        raise InputError(f"{layout.root}: no such folder; give one that load, run or score wrote")


def short_name(path: Path) -> str:
    """Return a path from the first ``_lo2dask`` folder on; the whole path where there is none."""
    parts = path.parts
    return "/".join(parts[parts.index("_lo2dask") :]) if "_lo2dask" in parts else str(path)


def _version(content: Any) -> int | None:
    version = content.get("layout") if isinstance(content, dict) else None
    return version if isinstance(version, int) and not isinstance(version, bool) else None


def _is_first_layout(marker: Any) -> bool:
    return fits(marker, {"root": str, "options": dict, "done": bool}) and "layout" not in marker
