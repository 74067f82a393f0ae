"""What the names of folders and files mean: the run's clock, the service, the kind of a file."""

import re
from dataclasses import dataclass

from lo2dask.domain import SERVICES

DAY_MS = 86_400_000
HOUR_MS = 3_600_000

_RUN_NAME = re.compile(r"light-oauth2-data-(?P<end>\d{9,11})|LO2_run_(?P<start>\d{9,11})|run[_-]?\d+")
_SERVICE_LOG = re.compile(r"(?:light-)?(?:oauth2-){1,2}(?P<service>" + "|".join(SERVICES) + r")(?:-\d+)?\.log")
_OTHER_KINDS = (
    (re.compile(r"metric_.+\.json|.+\.json"), "metric"),
    (re.compile(r"traces?_.+\.csv"), "trace"),
    (re.compile(r"last_fetch_time\.txt"), "fetch time"),
    (re.compile(r"locust.*"), "locust log"),
    (re.compile(r".+\.log"), "other log"),
)


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


def run_order(name: str) -> tuple[int, str]:
    """Return the key that sorts runs from oldest to newest: the epoch in the name, then the name."""
    numbers = re.findall(r"\d+", name)
    return (int(numbers[-1]) if numbers else -1, name)


def log_service(name: str) -> str | None:
    """Name the service whose log a file is; None for any other file."""
    match = _SERVICE_LOG.fullmatch(name)
    return match["service"] if match else None


def file_kind(name: str) -> str:
    """Name the kind of a file: log, metric, trace, fetch time, locust log, other log, or other file."""
    if log_service(name):
        return "log"
    return next((kind for pattern, kind in _OTHER_KINDS if pattern.fullmatch(name)), "other file")
