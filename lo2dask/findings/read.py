"""Findings and cases as the commands show them, read back from their tables."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.errors import InputError
from lo2dask.formats.canonical import EXCEPTION
from lo2dask.formats.levels import ERRORS
from lo2dask.schema import FINDINGS
from lo2dask.storage import read_json
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_parts

# Run and test case.
Case = tuple[str, str]

# Kinds of notices: a service without a line that all normal cases have, or with fewer logs; one whose log ends long
# before the others; one that says nothing for long and then goes on; one that says the same far more often than normal.
SILENT, FEWER, STOPPED, PAUSED, REPEATED = "silent", "fewer", "stopped", "paused", "repeated"
# A window above this is an alarm; 1 is the oddest window of normal logs.
ALARM = 1.25
_CASE_COLUMNS = ["run", "test_case", "normal"]
_NEAR = 3
# Characters of a statement that a notice names.
_MOST_SAID = 60
# Findings that are turned into Python objects at once.
_AT_ONCE = 1_000


@dataclass(frozen=True)
class Evidence:
    """A line that carries a finding: its log (``path``, or ``path:member`` of a tar), number from 1, time, text."""

    path: str
    line_no: int
    time: datetime | None
    text: str


@dataclass(frozen=True)
class Finding:
    """A row of lo2_findings.parquet; a notice has no score.

    ``start`` and ``end`` of a notice of silence are the last line before it, which is its evidence, and the first line
    after it or the last one of the case.
    """

    run: str
    test_case: str
    service: str
    start: datetime | None
    end: datetime | None
    score: float | None
    margin: float | None
    p: float | None
    kind: str
    statement_id: str | None
    statement: str | None
    e_event_drain_id: str | None
    count: int | None
    normal_max: int | None
    rate: float | None
    normal_rate: float | None
    evidence: tuple[Evidence, ...]

    @property
    def case(self) -> Case:
        """The case that it is of: run and test case."""
        return self.run, self.test_case

    @property
    def is_notice(self) -> bool:
        """Whether it flags nothing."""
        return self.score is None


def describe_notice(row: Mapping[str, Any]) -> str:
    """Say what a notice, a row of lo2_findings.parquet, tells of a service, its times in UTC."""
    service, start, end = row["service"], row["start"], row["end"]
    if row["kind"] == FEWER:
        logs = "1 log" if row["count"] == 1 else f"{row['count']:,} logs"
        return f"{service} has {logs}, normal runs have at least {row['normal_max']:,}"
    if start is None or end is None:
        return f"no line of {service}, which normal runs have"
    seconds = f"{(end - start).total_seconds():,.0f} s"
    if row["kind"] == REPEATED:
        said = row["statement"] or row["statement_id"]
        said = said if len(said) <= _MOST_SAID else f"{said[: _MOST_SAID - 1]}…"
        often = f"{row['count']:,} × {said} (normal: at most {row['normal_max']:,})"
        return f"{service} repeats itself from {start:%H:%M:%S} to {end:%H:%M:%S}: {often}"
    if row["kind"] == STOPPED:
        return f"{service} ends at {start:%H:%M:%S}, {seconds} before the last line"
    return f"{service} says nothing for {seconds} from {start:%H:%M:%S} on"


def has_findings(layout: Layout) -> bool:
    """Return whether there is a table of findings, empty or not."""
    return bool(part_paths(layout.findings))


def was_sought(layout: Layout) -> bool:
    """Return whether ``excess`` was trained: without it the table of findings is empty, which tells nothing.

    Folders without the run scores of any model count as if it was.
    """
    tables = {path.name for path in layout.root.glob("*_runs.parquet")}
    return not tables or "excess_runs.parquet" in tables


def read_findings(layout: Layout) -> Iterator[Finding]:
    """Read the findings, the most certain first, then the notices.

    Raises
    ------
    InputError : there is no table of findings.
    """
    if not has_findings(layout):
        is_loaded = bool(part_paths(layout.sequences))
        made = f"it is made with the model excess: lo2dask train --root {layout.root}"
        way_out = made if is_loaded else "give the --output-dir of run"
        raise InputError(f"{layout.root}: no lo2_findings.parquet in it; {way_out}")
    return map(_finding, _rows(layout, FINDINGS.names))


def flagged_cases(layout: Layout) -> Iterator[Case]:
    """Name the case of each finding, in order: the number of a finding counts them from 1."""
    rows = _rows(layout, ["run", "test_case", "score"])
    return ((row["run"], row["test_case"]) for row in rows if row["score"] is not None)


def count_findings(layout: Layout) -> int:
    """Count the findings of a folder, notices left out; 0 without a table of findings."""
    return sum(1 for _ in flagged_cases(layout))


def reference_cases(layout: Layout, cases: Mapping[Case, bool | None]) -> tuple[list[Case], bool]:
    """List what a case is compared with: the normal cases, or, where none is labelled so, those that do not stand out.

    Returns
    -------
    The cases, and whether they are labelled normal.
    """
    normals = [case for case, normal in cases.items() if normal]
    if normals:
        return normals, True
    standing = {(row["run"], row["test_case"]) for row in _rows(layout, ["run", "test_case"])}
    return [case for case, normal in cases.items() if normal is None and case not in standing], False


def count_learned(layout: Layout, normals: int) -> int:
    """Return how many normal cases ``excess`` learned from: of its measures; ``normals`` where they lie elsewhere."""
    measures = read_json(layout.measures / "excess.json") or {}
    maxima = (measures.get("runs_calibration") or {}).get("normal_maxima")
    if maxima is None and (layout.internal / "score").exists():  # the bundle's normals are not here
        return 0
    return normals if maxima is None else len(maxima)


def list_services(layout: Layout) -> set[str]:
    """List the services of a folder's timeline."""
    return {name for part in read_parts(layout.timeline, ["service"]) for name in part["service"].unique().to_pylist()}


def read_cases(layout: Layout) -> dict[Case, bool | None]:
    """List the cases (run, test_case) that were scored, or else loaded, in order, each with its label if it has one."""
    scored = layout.root / "excess_runs.parquet"
    cases: dict[Case, bool | None] = {}
    for part in read_parts(scored if part_paths(scored) else layout.sequences, _CASE_COLUMNS):
        for row in part.group_by(_CASE_COLUMNS).aggregate([]).to_pylist():
            cases[row["run"], row["test_case"]] = row["normal"]
    return dict(sorted(cases.items()))


def is_error_text(statements: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return which statements are of an error level, or an exception: bool, null for null."""
    return pc.match_substring_regex(statements, rf"^(?:{'|'.join(ERRORS)})\b|{EXCEPTION}")


def measure_cases(layout: Layout) -> tuple[float | None, float | None]:
    """Return the average precision of the cases' excess and the share of anomalous cases; None with one class alone.

    Training normals are scored without their own run. AP = sum of (R_n - R_n-1) P_n over the distinct scores, the
    highest first.
    """
    parts = list(read_parts(layout.root / "excess_runs.parquet", ["anomaly", "score_run"]))
    pairs = [(row["score_run"], row["anomaly"]) for part in parts for row in part.to_pylist()]
    known = [(score, anomaly) for score, anomaly in pairs if anomaly is not None]
    positives = sum(anomaly for _, anomaly in known)
    if positives in (0, len(known)):
        return None, None
    precision, seen, found = 0.0, 0, 0
    for _, group in groupby(sorted(known, reverse=True), key=lambda pair: pair[0]):
        anomalies = [anomaly for _, anomaly in group]
        seen, found = seen + len(anomalies), found + sum(anomalies)
        precision += sum(anomalies) / positives * found / seen
    return precision, positives / len(known)


def matching(given: str, names: Iterable[str], what: str) -> list[str]:
    """Find a name, or else those that begin or end with what is given; an empty text is all of them.

    Raises
    ------
    InputError : there is none; the message names the nearest (``what`` says of what).
    """
    known = sorted(set(names))
    found = [given] if given in known else [name for name in known if name.startswith(given) or name.endswith(given)]
    if not found:
        near = difflib.get_close_matches(given, known, _NEAR, 0.4) or known[:_NEAR]
        raise InputError(f"{given}: no such {what}; the nearest: {', '.join(near) or 'there is none'}")
    return found


def _rows(layout: Layout, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Read findings and notices in order; no more than some are Python objects at once."""
    for part in read_parts(layout.findings, columns):
        for batch in part.to_batches(max_chunksize=_AT_ONCE):
            yield from batch.to_pylist()


def _finding(row: dict[str, Any]) -> Finding:
    evidence = tuple(Evidence(**entry) for entry in row["evidence"] or ())
    return Finding(**(row | {"evidence": evidence}))
