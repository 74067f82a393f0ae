"""Writes what stands out: lo2_windows, lo2_timeline, lo2_lines and lo2_findings."""

import logging
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.buffers.columns import among
from lo2dask.execute.session import Session
from lo2dask.features.masks import Mask
from lo2dask.findings import tasks
from lo2dask.findings.ends import LogEnds, Rests, is_end, paused
from lo2dask.findings.lines import FOUND, Wanted, best_lines
from lo2dask.findings.read import ALARM
from lo2dask.findings.repeats import repeated
from lo2dask.findings.statements import read_statements
from lo2dask.findings.tasks import JUDGED, WindowJob
from lo2dask.findings.telling import Carrier, Said
from lo2dask.ingest.text import loaded
from lo2dask.memory import parse_bytes
from lo2dask.sources.manifest import Batch, cut_batches
from lo2dask.tables.groups import group_parts
from lo2dask.tables.layout import Layout, part_name
from lo2dask.tables.parts import ensure_part, open_part, part_paths, prune_parts, read_part, write_part

logger = logging.getLogger(__name__)

# Of each case: lines that are kept, windows that are read again if they are alarms, or else the best ones.
MOST_LINES, MOST_WINDOWS, FEW_WINDOWS = 1_000, 50, 5
# The windows of so many cases are read; of further findings only the lines that carry them.
MOST_CASES = 500
# Lines that a task reads again at most, those of one part aside.
LINES_AT_ONCE = 100_000
Row = dict[str, Any]
# What ``excess`` says of each case that it flags: one row, its strongest service.
ANSWERS = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("seq_id", "run", "test_case", "service")),
        *(pa.field(name, pa.float64()) for name in ("score", "margin", "p")),
        pa.field("statement_id", pa.string()),
        pa.field("is_unseen", pa.bool_()),
        *(pa.field(name, pa.int64()) for name in ("count", "normal_max")),
        *(pa.field(name, pa.float64()) for name in ("rate", "normal_rate")),
    ]
)


@dataclass(frozen=True)
class Answers:
    """What ``excess`` found: ``flagged`` (:data:`ANSWERS`); ``silent``: services without a log, as rows of findings.

    ``ends`` are those of the logs, ``rests`` what is normal for them (ends.Rests).
    """

    flagged: pa.Table
    silent: Sequence[Row] = ()
    ends: LogEnds | None = None
    rests: Rests = field(default_factory=dict)

    @cached_property
    def cases(self) -> dict[tuple[str, str], bool]:
        """The cases that are flagged, each with whether it is for what it says, not for what it lacks."""
        return {(row["run"], row["test_case"]): row["rate"] is None for row in self.flagged.to_pylist()}

    @cached_property
    def stopped(self) -> Sequence[Row]:
        """Notices, with ``seq_id``, of logs that end before the others of their case."""
        return list(self.ends.stopped(self.rests)) if self.ends else []

    @property
    def said(self) -> Said:
        """What is to be looked for in the windows."""
        findings = {
            row["seq_id"]: Carrier(
                row["statement_id"],
                row["count"] - row["normal_max"],
                is_new=row["is_unseen"] or not row["normal_max"],
                is_lacking=row["rate"] is not None,
            )
            for row in self.flagged.to_pylist()
        }
        return Said(findings, frozenset(row["seq_id"] for row in self.stopped))


NO_ANSWERS = Answers(ANSWERS.empty_table())


def judge_windows(job: WindowJob, answers: Answers, session: Session, learned: Mapping[str, Any] | None = None) -> None:
    """Write lo2_windows and lo2_timeline, and note the lines of the statements that carry the answers.

    The normals are ``learned``, or else the training part's.

    What was learned is in ``job.state`` until the scratch folder is removed. Without windows the tables are empty.
    """
    layout = job.layout
    if not job.window_ms:
        write_nothing(job.tables)
        return
    groups = group_parts(layout.window_counts)
    if learned is None:
        session.map(tasks.collect_group, groups, "normal windows", job=job)
        session.call(tasks.merge_statistics, job, label="normal windows")
        session.map(tasks.scale_group, groups, "normal windows", job=job)
        session.call(tasks.merge_counts, job, label="normal windows")
    else:
        tasks.keep_state(job, learned)
    tasks.keep_answers(job, answers.said)
    session.map(tasks.judge_group, groups, "windows", job=job)
    for folder in (job.tables.windows, job.tables.timeline):
        prune_parts(folder, [name for group in groups for name in group.names])


def write_findings(job: WindowJob, answers: Answers, masks: tuple[Mask, ...], session: Session) -> None:
    """Write lo2_findings and lo2_lines; the windows must have been judged."""
    layout = job.layout
    judged = _read_judged(job, set(answers.flagged["seq_id"].to_pylist()))
    by_id = {row["seq_id"]: row for row in judged}
    wanted = _choose(job, answers.cases, judged)
    missing = sum(session.map(
        tasks.read_unusual_lines, list(_records(layout, by_id, wanted)), "unusual lines",
        job=job, masks=masks, limit=MOST_LINES,
    ))  # fmt: skip
    if missing:
        logger.warning(
            "%d logs are not where they were loaded from: their unusual lines are not shown; "
            "train with --raw-root and --no-resume tells where they are", missing,
        )  # fmt: skip
    found = part_paths(job.folder / "lines")
    with open_part(job.tables.lines / "part-000000.parquet", schema.LINES) as part:
        for table in best_lines((read_part(path).cast(FOUND) for path in found), MOST_LINES):
            part.write(table)
    write_part(job.tables.findings / "part-000000.parquet", _findings(layout, answers, by_id, found), schema.FINDINGS)
    for folder in (job.tables.findings, job.tables.lines):
        prune_parts(folder, ["part-000000.parquet"])


def write_nothing(layout: Layout) -> None:
    """Leave the tables without a row, where nothing can stand out."""
    tables = {
        layout.findings: schema.FINDINGS, layout.windows: schema.WINDOWS,
        layout.timeline: schema.TIMELINE, layout.lines: schema.LINES,
    }  # fmt: skip
    for folder, columns in tables.items():
        prune_parts(folder, [])
        ensure_part(folder, columns)


def _read_judged(job: WindowJob, flagged: set[str]) -> list[Row]:
    """Read the rows of the sequences that have an alarm or are named by a finding, and the oddest others of each part.

    Each has the name of its part.
    """
    rows = []
    for path in part_paths(job.folder / "judged"):
        table = read_part(path, JUDGED.names)
        keep = pc.or_(pc.greater(table["alarms"], 0), pa.array(among(table["seq_id"], flagged)))
        for notice in ("pause", "last_line", "repeated"):
            keep = pc.or_(keep, pc.is_valid(table[notice]))
        shown = pc.greater(pc.fill_null(table["score"], 0.0), tasks.SHOWN)
        others = table.filter(pc.and_not(shown, keep)).sort_by([("score", "descending")])
        chosen = pa.concat_tables([table.filter(keep), others.slice(0, MOST_CASES)])
        rows += [row | {"part": path.name} for row in chosen.to_pylist()]
    return rows


def _choose(job: WindowJob, findings: Mapping[tuple[str, str], bool], judged: Sequence[Row]) -> dict[str, Wanted]:
    """Choose what is read again, by seq_id: evidence of findings; best windows of MOST_CASES cases, findings first."""
    others: dict[tuple[str, str], float] = {}
    for row in judged:
        case = (row["run"], row["test_case"])
        if case not in findings:
            others[case] = max(others.get(case, 0.0), row["score"])
    oddest = sorted(others, key=lambda case: (-others[case], case))
    whole = set([*findings, *oddest][:MOST_CASES])
    wanted = {}
    for row in judged:
        case = (row["run"], row["test_case"])
        lines = (row["last_line"], row["pause_line"], *(() if findings.get(case) else row["repeat_lines"]))
        extra = tuple(line for line in lines if line is not None)
        if case in whole or row["evidence"] or extra:
            keys = {name: row[name] for name in ("run", "test_case", "service")}
            left_out = row["run"] if row["is_training"] else ""
            begin = round(row["start"].timestamp() * 1000) if row["start"] else 0
            wanted[row["seq_id"]] = Wanted(
                row["seq_id"], **keys, left_out=left_out, begin=begin, windows=(), evidence=tuple(row["evidence"]),
                extra=extra,
            )  # fmt: skip
    _add_windows(job.tables, wanted, whole)
    return wanted


def _add_windows(layout: Layout, wanted: dict[str, Wanted], cases: Set[tuple[str, str]]) -> None:
    """Add the windows of some cases that are alarms, or else the best ones; at most MOST_WINDOWS a case."""
    windows: dict[tuple[str, str], list[tuple[float, str, tuple[int, int, int]]]] = {}
    columns = ["run", "test_case", "seq_id", "window_start", "score", "first_line", "last_line"]
    for path in part_paths(layout.windows):
        table = read_part(path, columns)
        table = table.set_column(3, "begin", pc.divide(table["window_start"].cast(pa.int64()), 1000))
        for row in table.to_pylist():
            case = (row["run"], row["test_case"])
            if case in cases and row["seq_id"] in wanted:
                window = (row["first_line"], row["last_line"], row["begin"])
                windows.setdefault(case, []).append((-row["score"], row["seq_id"], window))
    for found in windows.values():
        alarms = [one for one in found if one[0] < -ALARM]
        for _, seq_id, window in sorted(alarms)[:MOST_WINDOWS] or sorted(found)[:FEW_WINDOWS]:
            wanted[seq_id] = replace(wanted[seq_id], windows=(*wanted[seq_id].windows, window))


def _records(
    layout: Layout, by_id: Mapping[str, Row], wanted: Mapping[str, Wanted]
) -> Iterator[list[tuple[Batch, dict[str, Wanted]]]]:
    """Pair what is to be read again of each part with its batch of logs, about LINES_AT_ONCE lines in a record."""
    by_part: dict[str, dict[str, Wanted]] = {}
    for seq_id, one in wanted.items():
        if one.lines:
            by_part.setdefault(by_id[seq_id]["part"], {})[seq_id] = one
    size = parse_bytes(loaded(layout)["options"]["partition_size"], "--partition-size")
    record: list[tuple[Batch, dict[str, Wanted]]] = []
    lines = 0
    for batch in cut_batches(part_paths(layout.manifest), size):
        own = by_part.get(part_name(batch.index), {})
        more = sum(one.lines for one in own.values())
        if record and lines + more > LINES_AT_ONCE:
            yield record
            record, lines = [], 0
        if own:
            record.append((batch, own))
            lines += more
    if record:
        yield record


def _findings(layout: Layout, answers: Answers, by_id: Mapping[str, Row], found: Sequence[Path]) -> pa.Table:
    """Join the findings, each with its lines of evidence, and the notices, each with the line before its silence."""
    statements = read_statements(layout)
    shown = _Shown.read(found)
    rows = []
    for row in answers.flagged.to_pylist():
        when = by_id.get(row["seq_id"], {})
        text, template = statements.get(row["statement_id"], (None, None))
        rows.append({
            **row,
            "start": when.get("start"), "end": when.get("end"),
            "kind": "lack" if row["rate"] is not None else "unseen" if row["is_unseen"] else "error_excess",
            "statement": text, "e_event_drain_id": template,
            "evidence": shown.rows(row["seq_id"], when.get("evidence", ())),
        })  # fmt: skip
    rows += _notices(answers, by_id, shown, statements)
    return pa.Table.from_pylist(rows, schema=schema.FINDINGS)


def _notices(
    answers: Answers, by_id: Mapping[str, Row], shown: "_Shown", statements: Mapping[str, tuple[str, str]]
) -> Iterator[Row]:
    """Yield the notices: services that are silent, end early or pause; what is repeated where nothing is found."""
    yield from answers.silent
    for row in answers.stopped:
        judged = by_id.get(row["seq_id"])
        if is_end(row, judged):
            yield row | {"evidence": shown.rows(row["seq_id"], [judged["last_line"] if judged else None])}
    ordered = sorted(by_id.values(), key=itemgetter("seq_id")) if answers.ends else []
    for row in ordered:
        if row["pause"] and answers.ends and answers.ends.is_pause(row, answers.rests):
            yield paused(row) | {"evidence": shown.rows(row["seq_id"], [row["pause_line"]])}
    for row in ordered:
        if row["repeated"] and not answers.cases.get((row["run"], row["test_case"])):
            text, template = statements.get(row["repeated"], (None, None))
            evidence = shown.rows(row["seq_id"], row["repeat_lines"])
            yield repeated(row) | {"statement": text, "e_event_drain_id": template, "evidence": evidence}


@dataclass(frozen=True)
class _Shown:
    """The lines that findings and notices show, by log and number in it."""

    lines: dict[tuple[str, int], Row]

    @classmethod
    def read(cls, paths: Sequence[Path]) -> "_Shown":
        """Read them from scratch."""
        lines = {}
        for table in map(read_part, paths):
            for row in table.filter(table["is_shown"]).to_pylist():
                fields = {name: row[name] for name in ("path", "line_no", "time", "text")}
                lines[row["seq_id"], row["number"]] = fields
        return cls(lines)

    def rows(self, seq_id: str, numbers: Sequence[int | None]) -> list[Row]:
        """Return lines of a log, those that could not be read left out."""
        return [self.lines[seq_id, number] for number in numbers if number and (seq_id, number) in self.lines]
