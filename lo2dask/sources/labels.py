"""Labels: which logs are normal, by the name of a folder or by a file of the user's; decided when a tree is scanned."""

import csv
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from lo2dask.domain import CORRECT
from lo2dask.errors import InputError
from lo2dask.schema import is_normal
from lo2dask.sources.patterns import UNLABELLED

COLUMNS = ("run", "test_case", "service", "label")
NORMAL = "normal"
# A test case that somebody may have meant as `correct`, which decides the label.
_LIKE_CORRECT = re.compile(
    r"\W*correct(?:[\W_]*(?:\d+|copy|old|backup|bak|new|orig|original|final|runs?|tmp|temp|v\d+))*[\W_]*", re.IGNORECASE
)
_LIKE_NORMAL = re.compile(
    r"(?:.*[\W_])?(?:normal|healthy|baseline|nominal|golden|fault-?free|ok)(?:[\W_].*)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Labels:
    """Which logs are normal.

    ``patterns`` are those of ``--normal``; ``rows`` are those of ``--labels``, (run, test case, service) to normal or
    not, "" = any. With ``by_run`` the layout has no test cases, and the run's name is looked at. If nothing
    ``is_labelled``, the label of every log is None.
    """

    patterns: tuple[str, ...] = (CORRECT,)
    rows: Mapping[tuple[str, str, str], bool] = field(default_factory=dict)
    by_run: bool = False
    is_labelled: bool = True

    def normal(self, run: str, test_case: str, service: str = "") -> bool | None:
        """Return whether a log is normal; None if nobody has said it."""
        if not self.is_labelled:
            return None
        if self.rows:
            keys = ((run, test_case, service), (run, "", service), (run, test_case, ""), (run, "", ""))
            return next((self.rows[key] for key in keys if key in self.rows), None)
        if self.by_run:
            return self.matches(run)
        return None if test_case == UNLABELLED else self.matches(test_case)

    def matches(self, name: str) -> bool:
        """Return whether the name of a folder is one of ``--normal``; ``correct`` takes ``correct_1`` too."""
        return any(is_normal(name) if one == CORRECT else fnmatchcase(name, one) for one in self.patterns)

    def problem(self, test_case: str) -> str:
        """Return why the logs of a test case are left out for its name, with the way out; "" for all others."""
        if self.rows or not self.is_labelled or self.matches(test_case) or not _LIKE_CORRECT.fullmatch(test_case):
            return ""
        return (
            f"label: {test_case!r} only looks like correct: name it correct or correct_1, or after its error, "
            f"or take it as normal with --normal correct {test_case!r}"
        )

    def resembling(self, names: Collection[str]) -> list[str]:
        """List the names of folders that look like normal ones and are not taken as such."""
        if self.rows:
            return []
        likely = (_LIKE_CORRECT, _LIKE_NORMAL)
        return sorted(name for name in names if not self.matches(name) and any(p.fullmatch(name) for p in likely))


def read_labels(path: Path) -> dict[tuple[str, str, str], bool]:
    """Read a table of labels: run[, test_case][, service], label; ``normal`` or the name of anything else.

    Raises
    ------
    InputError : the file or its columns cannot be used, or two rows contradict each other; names the line.
    """
    rows: dict[tuple[str, str, str], bool] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            _check_columns(path, list(reader.fieldnames or ()))
            for row in reader:
                run, case, service, label = ((row.get(name) or "").strip() for name in COLUMNS)
                if not run or not label or None in row:
                    raise InputError(f"--labels {path}: line {reader.line_num} needs a run and a label")
                key = (run, case, service)
                if rows.setdefault(key, label.lower() == NORMAL) != (label.lower() == NORMAL):
                    raise InputError(f"--labels {path}: line {reader.line_num} contradicts an earlier one: {run}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--labels {path}: cannot be read as CSV: {error}") from None
    if not rows:
        raise InputError(f"--labels {path}: it has no row; write run,label and a line for each run")
    return rows


def _check_columns(path: Path, found: list[str]) -> None:
    moments = [name for name in ("start", "end") if name in found]
    if moments:
        raise InputError(
            f"--labels {path}: labels of times (column {moments[0]!r}) are not read; label whole runs, test cases or "
            "services"
        )
    unknown = [name for name in found if name not in COLUMNS]
    missing = [name for name in ("run", "label") if name not in found]
    if unknown or missing:
        what = f"unknown column {unknown[0]!r}" if unknown else f"no column {missing[0]!r}"
        raise InputError(f"--labels {path}: {what}; the columns are run[, test_case][, service], label")
