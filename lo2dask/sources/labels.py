"""Labels: which logs are normal, by the name of a folder or by a file of the user's; decided when a tree is scanned."""

import csv
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from lo2dask.domain import CORRECT
from lo2dask.errors import InputError
from lo2dask.schema import is_normal
from lo2dask.sources.names import DAY_MS
from lo2dask.sources.patterns import UNLABELLED

Key = tuple[str, str, str]
_MOMENTS = ("start", "end")
_DATE = re.compile(r"\d{4}-?\d\d-?\d\d")
COLUMNS = ("run", "test_case", "service", *_MOMENTS, "label")
_FORM = "run[, test_case][, service][, start, end], label"
NORMAL = "normal"
# A test case that somebody may have meant as `correct`, which decides the label.
_LIKE_CORRECT = re.compile(
    r"\W*correct(?:[\W_]*(?:\d+|copy|old|backup|bak|new|orig|original|final|runs?|tmp|temp|v\d+))*[\W_]*", re.IGNORECASE
)
_LIKE_NORMAL = re.compile(
    r"(?:.*[\W_])?(?:normal|healthy|baseline|nominal|golden|fault-?free|ok)(?:[\W_].*)?", re.IGNORECASE
)


@dataclass(frozen=True)
class TimedLabel:
    """A label of part of a run: of the logs of ``key``, "" = any, from ``start`` to ``end`` (ms since 1970).

    ``line`` is its place in the file.
    """

    key: Key
    start: float
    end: float
    normal: bool
    line: int

    def is_of(self, key: Key) -> bool:
        """Return whether it is for a log of this run, test case and service."""
        return all(own in ("", other) for own, other in zip(self.key, key, strict=True))


@dataclass(frozen=True)
class Labels:
    """Which logs are normal.

    ``patterns`` are those of ``--normal``; ``rows`` are those of ``--labels``, (run, test case, service) to normal or
    not, "" = any; ``timed`` are those that have a start or an end. With ``by_run`` the layout has no test cases, and
    the run's name is looked at. If nothing ``is_labelled``, the label of every log is None.
    """

    patterns: tuple[str, ...] = (CORRECT,)
    rows: Mapping[Key, bool] = field(default_factory=dict)
    timed: tuple[TimedLabel, ...] = ()
    by_run: bool = False
    is_labelled: bool = True

    def normal(self, run: str, test_case: str, service: str = "") -> bool | None:
        """Return whether a log is normal; None if nobody has said it."""
        if not self.is_labelled:
            return None
        if self.is_from_file:
            return next((self.rows[key] for key in _keys_of(run, test_case, service) if key in self.rows), None)
        if self.by_run:
            return self.matches(run)
        return None if test_case == UNLABELLED else self.matches(test_case)

    def unmet(self, logs: Iterable[Key]) -> list[Key]:
        """Return the labels, without a time, of the runs of some logs that are for none of these logs."""
        if not self.rows:
            return []
        met = {key for log in logs for key in _keys_of(*log)}
        runs = {run for run, _, _ in met}
        return [key for key in self.rows if key[0] in runs and key not in met]

    def normal_between(self, key: Key, start: int, end: int) -> bool | None:
        """Return whether a log is normal whose events lie between two times (ms since 1970).

        It is not if a part labelled so lies in this time. Else its label without a time counts; without one it is
        normal if the times around it, or all other parts, are.
        """
        parts, met = self.timed_of(key), self.met_between(key, start, end)
        if not all(part.normal for part in met):
            return False
        whole = self.normal(*key)
        if whole is not None or not parts:
            return whole
        is_within = any(part.start <= start and end <= part.end for part in met)
        return True if is_within or not any(part.normal for part in parts) else None

    def timed_of(self, key: Key) -> list[TimedLabel]:
        """Return the labels of parts that are for a log of this run, test case and service."""
        return [part for part in self._timed_by_run.get(key[0], ()) if part.is_of(key)]

    def met_between(self, key: Key, start: int, end: int) -> list[TimedLabel]:
        """Return those of them that lie, in part at least, between two times (ms since 1970)."""
        return [part for part in self.timed_of(key) if part.start <= end and start <= part.end]

    @cached_property
    def _timed_by_run(self) -> dict[str, list[TimedLabel]]:
        by_run: dict[str, list[TimedLabel]] = {}
        for part in self.timed:
            by_run.setdefault(part.key[0], []).append(part)
        return by_run

    @property
    def is_from_file(self) -> bool:
        """Whether ``--labels`` says what is normal."""
        return bool(self.rows or self.timed)

    @property
    def runs(self) -> set[str]:
        """The runs that ``--labels`` names."""
        return {run for run, _, _ in (*self.rows, *(part.key for part in self.timed))}

    def matches(self, name: str) -> bool:
        """Return whether the name of a folder is one of ``--normal``; ``correct`` takes ``correct_1`` too."""
        return any(is_normal(name) if one == CORRECT else fnmatchcase(name, one) for one in self.patterns)

    def problem(self, test_case: str) -> str:
        """Return why the logs of a test case are left out for its name, with the way out; "" for all others."""
        is_decided = self.is_from_file or not self.is_labelled or self.matches(test_case)
        if is_decided or not _LIKE_CORRECT.fullmatch(test_case):
            return ""
        return (
            f"label: {test_case!r} looks like a normal one, which --normal {' '.join(self.patterns)} does not "
            f"take: name it correct or correct_1, or after its error, or add --normal correct {test_case!r}"
        )

    def resembling(self, names: Collection[str]) -> list[str]:
        """List the names of folders that look like normal ones and are not taken as such."""
        if self.is_from_file:
            return []
        likely = (_LIKE_CORRECT, _LIKE_NORMAL)
        return sorted(name for name in names if not self.matches(name) and any(p.fullmatch(name) for p in likely))


def _keys_of(run: str, test_case: str, service: str) -> tuple[Key, ...]:
    """Return what a label of a log may be written for, the narrowest first."""
    return ((run, test_case, service), (run, "", service), (run, test_case, ""), (run, "", ""))


def read_labels(path: Path, timezone: str = "UTC") -> Labels:
    """Read a table of labels: run[, test_case][, service][, start, end], label; ``normal`` or anything else.

    Times are ISO 8601; ``timezone`` is the zone of those without one.

    Raises
    ------
    InputError : the file or its columns cannot be used, or two rows contradict each other; names the line.
    """
    rows: dict[Key, bool] = {}
    timed: list[TimedLabel] = []
    try:
        zone = UTC if timezone == "UTC" else ZoneInfo(timezone)
    except (ValueError, OSError, KeyError):
        raise InputError(f"--timezone {timezone}: there is no such zone; write it as Europe/Helsinki") from None
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            _check_columns(path, list(reader.fieldnames or ()))
            for row in reader:
                where = f"--labels {path}: line {reader.line_num}"
                run, case, service, start, end, label = ((row.get(name) or "").strip() for name in COLUMNS)
                if not run or not label or None in row:
                    raise InputError(f"{where} needs a run and a label")
                key, normal = (run, case, service), label.lower() == NORMAL
                if start or end:
                    timed.append(_timed(key, (start, end), zone, (where, normal, reader.line_num)))
                elif rows.setdefault(key, normal) != normal:
                    raise InputError(f"{where} contradicts an earlier one: {run}")
    except OSError as error:
        raise InputError(f"--labels {path}: cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--labels {path}: cannot be read as CSV: {error}") from None
    if not rows and not timed:
        raise InputError(f"--labels {path}: it has no row; write run,label and a line for each run")
    return Labels(rows=rows, timed=tuple(timed))


def _timed(key: Key, moments: tuple[str, str], zone: tzinfo, row: tuple[str, bool, int]) -> TimedLabel:
    """Read a row with times, of which one may be missing; ``row`` is its place in words, its label and its line.

    A date alone is the begin of its day, or as an end the end of it.
    """
    where, normal, line = row
    try:
        start, end = (_milliseconds(text, zone) for text in moments)
        if end is not None and _DATE.fullmatch(moments[1]):
            end += DAY_MS - 1
    except ValueError as error:
        raise InputError(f"{where}: {error}; write 2026-03-07T09:00:00Z, a zone is --timezone where none is") from None
    part = TimedLabel(
        key, -float("inf") if start is None else start, float("inf") if end is None else end, normal, line
    )
    if part.start > part.end:
        raise InputError(f"{where}: its start is after its end")
    return part


def _milliseconds(text: str, zone: tzinfo) -> float | None:
    if not text:
        return None
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=zone)).timestamp() * 1000


def _check_columns(path: Path, found: list[str]) -> None:
    unknown = [name for name in found if name not in COLUMNS]
    missing = [name for name in ("run", "label") if name not in found]
    twice = [name for name in found if found.count(name) > 1]
    if unknown or missing or twice:
        what = f"unknown column {unknown[0]!r}" if unknown else f"no column {missing[0]!r}" if missing else ""
        what = what or f"the column {twice[0]!r} twice"
        raise InputError(f"--labels {path}: {what}; the columns are {_FORM}")
