"""A format of the user's own, as a YAML file says it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.padded import padded_text
from lo2dask.errors import InputError
from lo2dask.formats.fields import TextLines
from lo2dask.formats.levels import KNOWN, LEVELS
from lo2dask.formats.text_format import GROUPS, Pattern, TextFormat
from lo2dask.formats.times import NO_TIME, shape_of
from lo2dask.options.yaml_file import read_yaml

KEYS = {
    "name": "what the format is called",
    "pattern": f"regular expression (RE2) from a line's start, with groups: time, message, {', '.join(GROUPS)}",
    "time": "how the time is written: one or more of strptime's forms, or epoch_s, epoch_ms, epoch_us, epoch_ns; "
    "without a date, the day is told by the name of the file or run, else by the file's time of change",
    "year": "the year of dates without one; without it, that of the file's time of change",
    "timezone": "the zone of times without one, as Europe/Helsinki; without it, --timezone",
    "continuation": "what continues an event: no-header (every line without a header), or indent (indented ones too)",
    "levels": "further names of levels, each with the one that it stands for, as `failure: ERROR`",
    "example": "a line of the format; it must match",
}
_CONTINUATIONS = ("no-header", "indent")


def read_user_format(path: Path) -> dict[str, Any]:
    """Read a format's YAML file as plain types.

    Raises
    ------
    InputError : the file cannot be read, or is no format; the message says why.
    """
    plain = read_yaml(path, "--format")
    if not isinstance(plain, dict):
        raise InputError(f"--format {path}: no format; it has the keys {', '.join(KEYS)}")
    try:
        make_user_format(plain)
    except ValueError as error:
        raise InputError(f"--format {path}: {error}") from error
    return plain


def make_user_format(plain: Mapping[str, Any]) -> TextFormat:
    """Make a format of what its file says.

    Raises
    ------
    ValueError : it cannot be used; the message says why.
    """
    unknown = sorted(set(map(str, plain)) - set(KEYS))
    missing = [key for key in ("name", "pattern", "time", "example") if not plain.get(key)]
    if unknown or missing:
        raise ValueError(
            f"{f'{unknown[0]} is no key' if unknown else f'{missing[0]} is missing'}; keys: {', '.join(KEYS)}"
        )
    pattern = str(plain["pattern"]).removeprefix("^")
    groups = re.findall(r"\(\?P?<(\w+)>", pattern)
    strange = [group for group in groups if group not in (*GROUPS, "time", "message")]
    if strange or "time" not in groups:
        wrong = f"there is no group called {strange[0]}" if strange else "pattern has no group (?P<time>…)"
        raise ValueError(f"{wrong}; groups are time, message, {', '.join(GROUPS)}")
    continuation = plain.get("continuation", _CONTINUATIONS[0])
    if continuation not in _CONTINUATIONS:
        raise ValueError(f"continuation: {continuation!r} is none of {', '.join(_CONTINUATIONS)}")
    year, times = plain.get("year") or 0, plain["time"] if isinstance(plain["time"], list) else [plain["time"]]
    if type(year) is not int or not 0 <= year < 10_000:
        raise ValueError(f"year: {year!r} is no year")
    try:
        shapes = tuple(shape_of(str(time), year) for time in times)
        if len({shape.has_date for shape in shapes}) > 1:
            raise ValueError("some have a date and some have none")
    except ValueError as error:
        raise ValueError(f"time: {error}") from error
    zone = str(plain.get("timezone") or "")
    if zone:
        check_timezone(zone)
    levels, indents = _levels(plain.get("levels") or {}), continuation == "indent"
    own = TextFormat(str(plain["name"]), (Pattern(pattern, shapes),), str(plain["example"]), levels, zone, indents)
    try:
        found = own.read(lines_of([own.example]))
    except pa.ArrowException as error:
        raise ValueError(f"pattern: {error}") from error
    if not len(found.rows):
        matched = pc.match_substring_regex(pa.array([own.example]), f"^(?:{pattern})")[0].as_py()
        reason = f"time is none of {', '.join(map(str, times))}" if matched else "text does not match the pattern"
        raise ValueError(f"example: its {reason}")
    return own


def _levels(plain: Any) -> dict[str, str]:
    if not isinstance(plain, dict):
        raise ValueError("levels: write each as `failure: ERROR`")
    levels = {str(name): str(level) for name, level in plain.items()}
    unknown = [level for level in levels.values() if level.upper() not in KNOWN]
    if unknown:
        raise ValueError(f"levels: {unknown[0]!r} is none of {', '.join(LEVELS)}")
    return levels


def check_timezone(name: str) -> None:
    """Check that a zone is known.

    Raises
    ------
    ValueError : it is not.
    """
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError(f"timezone: {name!r} is not known; write it as UTC or Europe/Helsinki") from error


def lines_of(texts: list[str], latest_ms: int = 4_102_444_800_000, timezone: str = "UTC") -> TextLines:
    """Make lines of texts, as a file that changed last at ``latest_ms`` has them."""
    buffer, offsets = padded_text(pa.array([text.strip() for text in texts], pa.string()))
    indented = np.array([text[:1].isspace() for text in texts], dtype=bool)
    latest, none = np.full(len(texts), latest_ms), np.full(len(texts), NO_TIME)
    return TextLines(
        buffer, offsets[:-1], offsets[1:], indented, np.zeros(len(texts), int), latest, none, none, timezone
    )
