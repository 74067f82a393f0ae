"""What the names of folders and files mean: the run's clock, the service, the kind of a file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from lo2dask.domain import SERVICES
from lo2dask.sources.content import IS_COMPANION
from lo2dask.sources.streams import NAMES_KEPT, rotated_name

DAY_MS = 86_400_000
HOUR_MS = 3_600_000

_RUN_NAME = re.compile(r"light-oauth2-data-(?P<end>\d{9,11})|LO2_run_(?P<start>\d{9,11})|run[_-]?\d+")
_LO2_RUN = re.compile(r"(?:light-oauth2-data-|LO2_run_)\d{9,11}(?:\.\w+)*")
# Docker Compose joins project, service and number by "-", its first version by "_".
_LOG_STEM = r"(?:light-)?(?:oauth2[-_]){1,2}(?P<service>" + "|".join(SERVICES) + r")(?:[-_]\d+)?"
_SERVICE_LOG = re.compile(rf"{_LOG_STEM}\.log")
_PACKED = r"\.(?:gz|bz2|xz|zst|lz4|Z|zip)"
_ROTATION = r"(?:[.-]\d[\d_.-]*|\.old|\.bak|~)"
_LEFT_OUT_LOGS = (
    (re.compile(rf"{_LOG_STEM}{_ROTATION}?\.log{_ROTATION}?{_PACKED}"), "compressed log"),
    (re.compile(rf"{_LOG_STEM}(?:\.log{_ROTATION}|{_ROTATION}\.log)"), "rotated log"),
)
_OTHER_KINDS = (
    IS_COMPANION,
    (re.compile(rf"(?:metric_.+\.json|traces?_.+\.csv){_PACKED}"), "compressed metric"),
    (re.compile(r"metric_.+\.json|.+\.json"), "metric"),
    (re.compile(r"traces?_.+\.csv"), "trace"),
    (re.compile(r"last_fetch_time\.txt"), "fetch time"),
    (re.compile(r"locust.*"), "locust log"),
    (re.compile(r".+\.log"), "other log"),
)
_WAYS_OUT = {
    "compressed log": "compressed: unpack it (gunzip -r does so for a whole tree) and load again",
    "compressed metric": "compressed: unpack it (gunzip -r does so for a whole tree) and load again",
    "rotated log": "rotated: part of another log: join the two in one .log file, the older lines first, and load again",
}
# What a problem may begin with, before a colon: the reason of the reject. Any other problem is "unreadable".
REASONS = ("superseded", "same id", "link", "compressed", "rotated", "name", "label", "path")
WANTED_NAME = "light-oauth2-oauth2-<service>-1.log"


_MOST_LISTED = 8
_DATE = re.compile(r"(?<!\d)(?:\d{4}-\d\d-\d\d|20\d{6})(?!\d)")


@dataclass(frozen=True)
class Clock:
    """The day-long window in which a run's lines lie, which turns a time of day into a date.

    ``begin_ms`` is the window's first millisecond since 1970 (UTC), or None where the run's name has no epoch.
    """

    begin_ms: int | None


def is_run_name(name: str) -> bool:
    """Return whether a folder's name is one of the published forms of a run's name."""
    return _RUN_NAME.fullmatch(name) is not None


def run_clock(name: str) -> Clock:
    """Read a run's clock from its name.

    In ``light-oauth2-data-<epoch>`` the epoch is the run's end, in ``LO2_run_<epoch>`` its start (dataset.md, "The
    clock"); a run takes about 800 s. One hour of slack is left on the other side, for clocks that disagree.
    """
    match = _RUN_NAME.fullmatch(name)
    if match and match["end"]:
        return Clock(int(match["end"]) * 1000 + HOUR_MS - DAY_MS)
    if match and match["start"]:
        return Clock(int(match["start"]) * 1000 - HOUR_MS)
    return Clock(None)


def named_day(name: str) -> int | None:
    """Return the day, ms from 1970 to its midnight, of the one date in a name; None where there is none, or more."""
    dates = {date.replace("-", "") for date in _DATE.findall(name)}
    if len(dates) != 1:
        return None
    try:
        return (datetime.strptime(dates.pop(), "%Y%m%d") - datetime(1970, 1, 1)).days * DAY_MS
    except ValueError:
        return None


def run_order(name: str) -> tuple[int, str]:
    """Return the key that sorts runs from oldest to newest: the epoch in the name, then the name."""
    numbers = re.findall(r"\d+", name)
    return (int(numbers[-1]) if numbers else -1, name)


@lru_cache(maxsize=NAMES_KEPT)
def log_service(name: str) -> str | None:
    """Name the service whose log a file is, compressed and rotated ones too; None for any other file."""
    match = _SERVICE_LOG.fullmatch(name) or _SERVICE_LOG.fullmatch(rotated_name(name).name)
    return match["service"] if match else None


def is_lo2_path(path: str) -> bool:
    """Return whether a path below a root has a name of LO2: a service's log, or a run with its epoch."""
    parts = path.split("/")
    is_log = log_service(parts[-1]) or left_out_log(parts[-1])[0]
    return bool(is_log or any(_LO2_RUN.fullmatch(part) for part in parts[:2]))


@lru_cache(maxsize=NAMES_KEPT)
def left_out_log(name: str) -> tuple[str, str]:
    """Return kind and service of a log that is compressed, rotated or both, or "" and ""."""
    if _SERVICE_LOG.fullmatch(name):
        return "", ""
    matches = ((kind, pattern.fullmatch(name)) for pattern, kind in _LEFT_OUT_LOGS)
    return next(((kind, match["service"]) for kind, match in matches if match), ("", ""))


@lru_cache(maxsize=NAMES_KEPT)
def file_kind(name: str) -> str:
    """Name the kind of a file, such as log, compressed log, metric, trace, other log or other file."""
    if log_service(name):
        return "log"
    kinds = (kind for pattern, kind in _OTHER_KINDS if pattern.fullmatch(name))
    return left_out_log(name)[0] or next(kinds, "other file")


def name_problem(test_case: str, name: str, is_packed: bool = False) -> str:
    """Return why a file is left out for its name, with the way out, or ""; ``is_packed`` is whether it is in a tar."""
    kind = is_packed and left_out_log(name)[0] or file_kind(name)
    if kind == "log" and not test_case:
        return "path: a log outside a test case: move it into the folder of its test case"
    return _WAYS_OUT.get(kind, "")


def is_text(name: str) -> bool:
    """Return whether a name is valid UTF-8, so that it can stand in a table."""
    return name.isascii() or name.encode("utf-8", "surrogateescape") == name.encode("utf-8", "replace")


def show_name(name: str) -> str:
    r"""Return a name with each byte that is not UTF-8 as ``\xNN``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def listed(names: Sequence[str]) -> str:
    """Write the first of some names, and how many more there are."""
    more = len(names) - _MOST_LISTED
    return ", ".join(names[:_MOST_LISTED]) + (f" and {more:,} more" if more > 0 else "")


def split_problem(problem: str) -> tuple[str, str]:
    """Split the problem of a file into the reason and the detail of a reject."""
    reason, _, detail = problem.partition(": ")
    return (reason, detail) if reason in REASONS else ("unreadable", problem)
