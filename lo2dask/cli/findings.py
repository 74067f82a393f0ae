"""The findings as text, JSON lines and CSV."""

import csv
import dataclasses
import io
import json
import textwrap
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from lo2dask.buffers.visible import visible
from lo2dask.cli.terminal import case_name, columns, cut, cut_middle, padded, telling, telling_line
from lo2dask.cli.text import count
from lo2dask.commands.findings import FindingsSummary, findings
from lo2dask.findings.read import Finding, describe_notice, has_findings
from lo2dask.findings.suspects import MORE_ERRORS, NEW_ERROR, Suspect
from lo2dask.options import FindingsOptions
from lo2dask.sources.kubernetes import pod_of
from lo2dask.tables.layout import Layout

_NOT_SOUGHT = "findings: none were looked for, as --models has no excess"
_NO_TIME = "time not known: no time was read in these logs, or the tables were made with --no-windows"
_NOT_JUDGED = (
    "nothing was judged (excess): no service has a log in a run that it could be compared with; --layout names which "
    "folder or part of a name is the run, and which the service"
)
_GAP = "   "
# What counts are readable in; a narrower rest of a line is a line of its own.
_LEAST_WHAT = 33
_LEAST_TEXT = 25
_CSV_EVIDENCE = ("path", "line_no", "text")


# Of runs that are held against each other; what is worth a look follows, if there is anything.
_HIDDEN = (
    "note: nothing is labelled, so faults that several runs have can hide each other; --reference or --labels tell "
    "which are well"
)
_ALSO = "note: worth a look too, as nothing is labelled:"


def findings_text(layout: Layout, limit: int, width: int, trust: Sequence[str] = ()) -> list[str]:
    """Write the first findings of a folder in so many columns; ``trust`` alone where none were looked for."""
    if not has_findings(layout):
        return list(trust)
    return summary_text(findings(FindingsOptions(root=layout.root, limit=limit)), width, trust)


def summary_text(summary: FindingsSummary, width: int, trust: Sequence[str] = ()) -> list[str]:
    """Write how many cases stand out, which, when and by what, and the notices, in so many columns.

    ``trust`` are lines on how far each model can be trusted, which then follow the numbers of cases.
    """
    if not summary.is_sought:
        return [cut(_NOT_SOUGHT, width), *trust]
    unit = "run" if summary.cases == summary.runs else "case"
    lines = [*_head(summary, unit, width), *_rows(summary, width)]
    if any(row.start is None for row in summary.findings):
        lines += textwrap.wrap(_NO_TIME, width)
    left = summary.total - len(summary.findings)
    if left:
        lines.append(cut(f"and {count(left, 'finding')} more: --limit 0 shows all", width))
    lines += [cut(line, width) for line in _notices(summary.notices, width, summary.most_notices)]
    lines += _hidden(summary, width)
    normal = summary.cases - summary.standing
    if summary.standing and normal > 0:
        lines.append(f"{count(normal, unit)} {'looks' if normal == 1 else 'look'} normal")
    return [*lines, *textwrap.wrap(_trust(summary, bool(trust)), width), *(trust if summary.labelled else ())]


def _trust(summary: FindingsSummary, by_model: bool) -> str:
    """Write how far the findings can be trusted: the units; average precision and chance unless lines follow."""
    anomalous = summary.labelled - summary.normals
    if not summary.labelled:
        cases = f"{count(summary.cases, 'case')} of {count(summary.runs, 'run')}"
        return f"trust: {cases}; nothing is labelled, so nothing is measured"
    units = f"{count(summary.cases, 'case')} of {count(summary.runs, 'run')}, {summary.normals:,} normal"
    if by_model:
        return f"trust: {units}, {anomalous:,} anomalous"
    if not anomalous or not summary.normals:
        return f"trust: {units}; not measured, as the labels have one class alone"
    if summary.average_precision is None:
        return f"trust: {units}, {anomalous:,} anomalous; not measured: excess_runs.parquet is not there"
    return (
        f"trust: {units}, {anomalous:,} anomalous; average precision {summary.average_precision:.2f} "
        f"(chance {summary.prevalence:.2f})"
    )


def json_lines(rows: Sequence[Finding]) -> list[str]:
    """Write each finding as one JSON object, times in ISO 8601."""
    return [json.dumps(dataclasses.asdict(row), default=datetime.isoformat) for row in rows]


def csv_lines(rows: Sequence[Finding]) -> list[str]:
    """Write the findings as CSV with a header, each with path, line number and text of its first line of evidence."""
    names = [field.name for field in dataclasses.fields(Finding) if field.name != "evidence"]
    room = io.StringIO()
    writer = csv.writer(room, lineterminator="\n")
    writer.writerow([*names, *(f"evidence_{name}" for name in _CSV_EVIDENCE)])
    for row in rows:
        values = [getattr(row, name) for name in names]
        first = row.evidence[0] if row.evidence else None
        values += [getattr(first, name, None) for name in _CSV_EVIDENCE]
        writer.writerow(map(_cell, values))
    return room.getvalue().splitlines()


def time_span(start: datetime | None, end: datetime | None) -> str:
    """Write a span as times of day in UTC, of more than a day with dates."""
    if start is None or end is None:
        return "time not known"
    day = "" if start.date() == end.date() else "%Y-%m-%d "
    first, last = (f"{time:{day}}{clock(time)}" if day else clock(time) for time in (start, end))
    return first if first == last else f"{first}–{last}"


def clock(time: datetime) -> str:
    """Write a time of day, with a fraction where it has one: windows may be shorter than a second."""
    return f"{time:%H:%M:%S}" + (f"{time.microsecond / 1e6:.3g}"[1:] if time.microsecond >= 1000 else "")


def log_name(path: str, case: tuple[str, str] = ("", "")) -> str:
    """Return a log's own name, of a path or ``path:member``, with the folder that tells which of several it is.

    That is a container and its pod (``cart-7d9f8b6c5-x2k7z/cart/0.log``), a folder of a name that is a number
    (``cart/0.log``), or the one folder below that of its run or test case (``host-a/cart.log``).
    """
    *folders, name = path.replace("\\", "/").split("/")
    if pod := pod_of("/".join([*folders, name])):
        shown = [pod, folders[-1]]
    elif name.partition(".")[0].isdigit() or ({*folders[-2:-1]} & {*case} and folders[-1] != case[1]):
        shown = folders[-1:]
    else:
        shown = []
    return visible("/".join([*shown, name]))


def what_text(row: Finding, width: int, labelled: bool = True) -> str:
    """Write by what a case stands out, in so many columns: ``33 × ERR11000 (normal: at most 2)``.

    Where nothing is ``labelled``, some of the logs compared with may have more.
    """
    most = row.normal_max or 0
    if row.kind == "lack":
        times, normal = "missing: ", f"({row.rate or 0:.3g} a minute, normal: {row.normal_rate or 0:.3g})"
    else:
        never = "(normal: never)" if row.kind == "unseen" else "(normal: none)"
        at_most = "at most" if labelled else "mostly at most"
        times, normal = f"{row.count or 0:,} × ", f"(normal: {at_most} {most:,})" if most else never
    return f"{times}{telling(visible(row.statement or ''), max(width - columns(times + normal) - 1, 8))} {normal}"


def _head(summary: FindingsSummary, unit: str, width: int) -> list[str]:
    if not summary.cases:
        return textwrap.wrap(_NOT_JUDGED, width)
    kind = f"normal {unit}" if summary.labelled else unit
    compared = f", {count(summary.learned, kind)} to compare with" if summary.learned else ""
    if not summary.standing:
        return [cut(f"no {unit} stands out (excess{compared})", width)]
    of = f"{summary.standing:,} of {count(max(summary.cases, summary.standing), unit)}"
    return [cut(f"{of} {'stands' if summary.standing == 1 else 'stand'} out (excess{compared})", width)]


def _hidden(summary: FindingsSummary, width: int) -> list[str]:
    """Write which cases to look at where faults of runs without labels may have raised the limit for each other."""
    if summary.labelled or not summary.learned or (summary.standing and not summary.suspects):
        return []
    single = summary.cases == summary.runs
    lines = textwrap.wrap(_HIDDEN if not summary.standing else _ALSO, width)
    for one in summary.suspects:
        run, test_case = visible(one.run), visible(one.test_case)
        room = width - len(_GAP)
        name = cut_middle(run, room) if single else case_name(run, test_case, room)
        why = f"{visible(one.service)}  {_why(one)}"
        if columns(name) + columns(why) + 2 > room:
            lines += [f"{_GAP}{name}", cut(f"{2 * _GAP}{why}", width)]
        else:
            lines.append(f"{_GAP}{name}  {why}")
    return lines


def _why(suspect: Suspect) -> str:
    """Write what speaks for a case."""
    at = f"{suspect.start:%H:%M:%S}" if suspect.start else ""
    said = visible(suspect.statement or "")
    if suspect.kind == NEW_ERROR:
        return f"{at}  no other has: {said}"
    if suspect.kind == MORE_ERRORS:
        return f"{count(suspect.count, 'line')} of an error level, usual: {suspect.usual:,}"
    return f"unusual for {suspect.seconds:,.3g} s from {at} on{': ' if said else ''}{said}"


def _rows(summary: FindingsSummary, width: int) -> list[str]:
    """Write each finding and its evidence: in columns where there is room for them, else on a line more."""
    rows, numbers, labelled = summary.findings, summary.numbers, bool(summary.labelled)
    indent = len(str(max(numbers, default=0))) + 2
    cells = [
        (case_name(visible(row.run), visible(row.test_case), width - indent), visible(row.service), _time(row))
        for row in rows
    ]
    widths = [max(columns(row[place]) for row in cells) for place in range(3)] if cells else []
    rest = width - indent - sum(widths) - len(_GAP) * 3
    lines = []
    for number, row, cell in zip(numbers, rows, cells, strict=True):
        start = padded(str(number), indent)
        if rest >= _LEAST_WHAT:
            lines.append(start + _GAP.join([*map(padded, cell, widths), what_text(row, rest, labelled)]))
        else:
            lines += [start + cell[0], *_second(row, width, indent, labelled)]
        lines += _evidence(row, width, indent)
    return [cut(line, width) for line in lines]


def _second(row: Finding, width: int, indent: int, labelled: bool) -> list[str]:
    """Write service, time and count below the name of a case, on one line or two."""
    begin = " " * indent + f"{visible(row.service)}  {_time(row)}"
    rest = width - columns(begin) - 2
    if rest >= _LEAST_WHAT:
        return [f"{begin}  {what_text(row, rest, labelled)}"]
    return [begin, " " * indent + what_text(row, width - indent, labelled)]


def _evidence(row: Finding, width: int, indent: int) -> list[str]:
    if not row.evidence:
        return []
    first = row.evidence[0]
    place = " " * indent + f"{log_name(first.path, row.case)}:{first.line_no}"
    rest = width - columns(place) - 2
    if rest < _LEAST_TEXT:
        return [
            cut_middle(place, width),
            " " * indent + telling_line(visible(first.text), row.statement or "", width - indent),
        ]
    return [f"{place}  {telling_line(visible(first.text), row.statement or '', rest)}"]


def _time(row: Finding) -> str:
    return time_span(row.start, row.end)


def _notices(rows: Sequence[Finding], width: int, limit: int) -> list[str]:
    lines = []
    for row in rows[:limit]:
        begin = f"{notice_text(row)}, in "
        # Where both do not fit, the names stand below; a narrow terminal wraps what is said.
        room = width - columns(begin)
        name = case_name(visible(row.run), visible(row.test_case), max(room, width - 2 * len(_GAP)))
        lines += [begin + name] if columns(name) <= room else [*_wrapped(begin.rstrip(), width), 2 * _GAP + name]
        lines += _evidence(row, width, len(_GAP))
    left = len(rows) - limit
    more = "1 more notice" if left == 1 else f"{left:,} more notices"
    return [*lines, f"{more}: lo2dask findings --limit 0 shows all"] if left > 0 else lines


def _wrapped(text: str, width: int) -> list[str]:
    """Wrap a text between words, or cut it where it has a word that is wider."""
    lines = textwrap.wrap(text, width, break_long_words=False, subsequent_indent=_GAP)
    return lines if all(columns(line) <= width for line in lines) else [cut(text, width)]


def notice_text(row: Finding) -> str:
    """Write which service is silent, from when on or for how long, or what it repeats."""
    return f"notice: {visible(describe_notice(vars(row)))}"


def _cell(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else visible(value) if isinstance(value, str) else value
