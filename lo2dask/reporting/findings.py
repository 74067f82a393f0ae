"""The findings that a report shows: one item for each case that stands out, the strongest first."""

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import strings
from lo2dask.findings.read import describe_notice, measure_cases
from lo2dask.findings.read import read_cases as list_cases
from lo2dask.reporting.data import Case, Finding, Findings, Line, Nearest, Notice
from lo2dask.reporting.heatmap import EXCESS, RunScores
from lo2dask.reporting.nearest import read_nearest
from lo2dask.reporting.opinions import read_opinions
from lo2dask.reporting.timeline import clock, read_case_tables, read_timelines, shorten
from lo2dask.reporting.verdicts import short
from lo2dask.storage import read_json
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_parts
from lo2dask.training.trust import counted
from lo2dask.training.units import measures_path

MOST = 200
MOST_NOTICES = 50
# Models that are named in one verdict.
MOST_MODELS = 6
# Of each item; lines of LO2 have up to about 700 characters.
MOST_LINES = 5
LONGEST = 1_000
_STATEMENT = 240
_KINDS = {"error_excess": "more errors than normal", "unseen": "new lines", "lack": "missing lines"}
_LINE_COLUMNS = ("run", "test_case", "path", "line_no", "time", "score", "statement", "text")
# Codes such as ERR11000 and names of exceptions, as logs write them.
_ERROR = re.compile(r"\b(?:[A-Z]{2,10}\d{3,8}|\w+(?:Exception|Error))\b")
_NOT_IN_ANCHORS = re.compile(r"[^A-Za-z0-9._~/-]+")

Row = dict[str, Any]


@dataclass(frozen=True)
class Cases:
    """The cases that the detector judged: how many runs and cases, and those that are normal and not flagged.

    Where none is ``labelled`` normal, these are the cases without a label.
    """

    runs: int
    total: int
    normals: tuple[Case, ...]
    labelled: bool


def read_findings(layout: Layout, scores: RunScores | None, models: Sequence[str]) -> Findings:
    """Read the strongest findings with all that an item shows; where a table is missing, say what makes it."""
    if not part_paths(layout.findings):
        made = f"No findings were made yet: lo2dask train --root {layout.root} --models {EXCESS}"
        return Findings("Nothing was searched yet", missing=(made,))
    rows, total = _strongest(layout)
    notices, notices_total = _notices(layout)
    cases = _judged(layout)
    return Findings(
        headline=_headline(layout, cases, scores),
        items=tuple(_items(layout, rows, cases, models, scores)),
        total=total,
        notices=notices,
        notices_total=notices_total,
        trust=" ".join(filter(None, (_trust(layout), *_verdicts(layout, [EXCESS, *models])))),
        missing=tuple(_missing(layout)),
    )


def name_anchors(cases: Sequence[Case]) -> list[str]:
    """Name each case by run and test case in characters that an address holds; equal names get a number."""
    seen: dict[str, int] = {}
    anchors = []
    for run, case in cases:
        name = "/".join(_NOT_IN_ANCHORS.sub("-", part).strip("/") or "-" for part in (run, case))
        seen[name] = seen.get(name, 0) + 1
        anchors.append(name if seen[name] == 1 else f"{name}~{seen[name]}")
    return anchors


def explain_row(row: Mapping[str, Any], labelled: bool = True) -> str:
    """Say in words why a case stands out; where nothing is labelled, some of the others may have more."""
    service, count, most = row["service"], row["count"] or 0, row["normal_max"]
    if row["kind"] == "lack":
        rates = (f"{row[name] or 0:.3g}" for name in ("rate", "normal_rate"))
        return "{} has a line {} times a minute that is there {} times a minute in other logs".format(service, *rates)
    if row["kind"] == "unseen" or not most:
        return f"{service} has a line {_times(count)} that no normal log of it has"
    normal = "once" if most == 1 else f"{most:,} times"
    others = "no normal log of it has" if labelled else "few other logs of it have"
    return f"{service} has an error line {_times(count)}; {others} it more than {normal}"


def name_error(row: Row, near: Nearest | None) -> str:
    """Name the error by the code or exception of its line, or of new lines of its service, else by its kind."""
    texts = [row["statement"], *(line["text"] for line in row["evidence"] or ())]
    texts += [change.template for change in (near.new if near else ()) if change.service == row["service"]]
    found = next(filter(None, (_ERROR.search(text or "") for text in texts)), None)
    return found.group() if found else _KINDS.get(row["kind"], str(row["kind"]))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _strongest(layout: Layout) -> tuple[list[Row], int]:
    """Return the rows with the highest scores, and how many findings there are."""
    total = 0
    best: list[Row] = []
    for part in read_parts(layout.findings):
        flagged = part.unify_dictionaries().filter(pc.is_valid(part["score"]))
        total += flagged.num_rows
        first = flagged.sort_by([("score", "descending")]).slice(0, MOST)
        # One row costs a Python object for each of its lines: no more than are shown are made of a part.
        best = heapq.nsmallest(MOST, [*best, *first.to_pylist()], key=_order)
    return best, total


def _order(row: Row) -> tuple[float, str, str]:
    return -(row["score"] or 0.0), row["run"], row["test_case"]


def _notices(layout: Layout) -> tuple[tuple[Notice, ...], int]:
    shown: list[Notice] = []
    total = 0
    columns = ["run", "test_case", "service", "start", "end", "kind", "score", "evidence"]
    for part in read_parts(layout.findings, [*columns, "statement_id", "statement", "count", "normal_max"]):
        rows = part.filter(pc.is_null(part["score"]))
        total += rows.num_rows
        for row in rows.slice(0, MOST_NOTICES - len(shown)).to_pylist():
            text = describe_notice(row)
            lines = [_line(line, "") for line in row["evidence"] or ()]
            shown.append(Notice(row["run"], row["test_case"], text, lines[0] if lines else None))
    return tuple(shown), total


def _judged(layout: Layout) -> Cases:
    folder = layout.root / f"{EXCESS}_runs.parquet"
    runs: set[str] = set()
    normals: list[Case] = []
    unlabelled: list[Case] = []
    total = 0
    for part in read_parts(folder, ["run", "test_case", "normal", "pred_ano"]) if part_paths(folder) else ():
        total += part.num_rows
        runs |= set(pc.unique(part["run"]).to_pylist())
        calm = part.filter(pc.not_equal(pc.fill_null(part["pred_ano"], 0), 1))
        for label, found in ((True, normals), (None, unlabelled)):
            chosen = calm.filter(pc.is_null(calm["normal"]) if label is None else pc.fill_null(calm["normal"], False))
            found += zip(*(chosen[name].to_pylist() for name in ("run", "test_case")), strict=True)
    return Cases(len(runs), total, tuple(normals or unlabelled), bool(normals))


def _headline(layout: Layout, cases: Cases, scores: RunScores | None) -> str:
    """Write how many cases stand out, as the terminal does: runs where each has one case."""
    standing: set[tuple[str, str]] = set()
    for part in read_parts(layout.findings, ["run", "test_case", "score"]):
        found = part.filter(pc.is_valid(part["score"]))
        standing |= set(zip(found["run"].to_pylist(), found["test_case"].to_pylist(), strict=True))
    unit = "run" if cases.runs == cases.total else "case"
    kind = f"normal {unit}" if scores and scores.is_labelled else unit
    compared = f"{EXCESS}, {counted(scores.learned, kind)} to compare with" if scores else EXCESS
    if not cases.total:
        return f"Nothing was judged ({EXCESS}): no service has a log in a run that it could be compared with"
    if not standing:
        return f"None of {counted(cases.total, unit)} stands out ({compared})"
    verb = "stands" if len(standing) == 1 else "stand"
    return f"{len(standing):,} of {counted(max(cases.total, len(standing)), unit)} {verb} out ({compared})"


def _trust(layout: Layout) -> str:
    """Write how far the findings can be trusted: the cases' average precision beside chance."""
    if not (cases := list_cases(layout)):
        return ""
    normal = sum(label is True for label in cases.values())
    if all(label is None for label in cases.values()):
        return f"Trust: {counted(len(cases), 'case')}; nothing is labelled, so nothing is measured."
    units = f"{counted(len(cases), 'case')}, {normal:,} normal"
    precision, prevalence = measure_cases(layout)
    if precision is None or prevalence is None:
        return f"Trust: {units}; not measured, as the labels have one class alone."
    return f"Trust: {units}; average precision {short(precision)} (chance {short(prevalence)})."


def _verdicts(layout: Layout, models: Sequence[str]) -> Iterator[str]:
    """Write each verdict in words with the models that it holds for; figures and reasons stand beside the models."""
    models_of: dict[str, list[str]] = defaultdict(list)
    for model in models:
        trust = (read_json(measures_path(layout.measures, model)) or {}).get("trust")
        if trust:
            models_of[trust["verdict"]].append(model)
    for verdict, named in models_of.items():
        more = f" and {len(named) - MOST_MODELS:,} more" if len(named) > MOST_MODELS else ""
        yield f"{', '.join(named[:MOST_MODELS])}{more}: {verdict}."


def _missing(layout: Layout) -> Iterator[str]:
    tables = {"timeline": layout.timeline, "unusual windows": layout.windows, "unusual lines": layout.lines}
    absent = [name for name, folder in tables.items() if not part_paths(folder)]
    if absent:
        yield f"Not there: {', '.join(absent)}; they come with lo2dask train --root {layout.root} --models {EXCESS}"


def _items(
    layout: Layout, rows: Sequence[Row], cases: Cases, models: Sequence[str], scores: RunScores | None
) -> Iterator[Finding]:
    keys = [(row["run"], row["test_case"]) for row in rows]
    wanted = set(keys)
    timelines = read_timelines(layout, wanted, {key: row["service"] for key, row in zip(keys, rows, strict=True)})
    nearest = read_nearest(layout, keys, [case for case in cases.normals if case not in wanted])
    lines, opinions = _best_lines(layout, rows), read_opinions(layout, wanted, models)
    for number, (row, anchor) in enumerate(zip(rows, name_anchors(keys), strict=True), 1):
        key = (row["run"], row["test_case"])
        evidence = tuple(_line(line) for line in (row["evidence"] or ())[:MOST_LINES])
        shown = {(line.path, line.line_no) for line in evidence}
        yield Finding(
            anchor=anchor,
            number=number,
            run=row["run"],
            test_case=row["test_case"],
            service=row["service"] or "",
            time=_span(row),
            error_type=name_error(row, nearest.get(key)),
            why=explain_row(row, cases.labelled),
            facts=_facts(row, scores),
            statement=shorten(row["statement"] or "", _STATEMENT),
            template_id=row["e_event_drain_id"] or "",
            evidence=evidence,
            absent="" if evidence else _absent(row),
            lines=tuple(line for line in lines[key] if (line.path, line.line_no) not in shown),
            timeline=timelines.get(key),
            nearest=nearest.get(key),
            opinions=tuple(opinions[key]),
        )


def _span(row: Row) -> str:
    ends = list(dict.fromkeys(clock(row[name]) for name in ("start", "end") if row[name]))
    return "–".join(ends)


def _facts(row: Row, scores: RunScores | None) -> str:
    facts = [f"score {row['score']:.3g}"] if row["score"] is not None else []
    if scores and facts:
        facts[0] += f" (stands out above {scores.threshold:g})"
    if row["margin"] is not None:
        facts.append(f"{row['margin']:.3g} ahead of the next service")
    if row["p"] is not None:
        facts.append(f"p = {row['p']:.2g} against the normal runs")
    day = f"{row['start']:%Y-%m-%d}" if row["start"] else ""
    return ", ".join([*facts, f"{day} UTC"] if day else facts)


def _absent(row: Row) -> str:
    if row["kind"] == "lack":
        return "There is no line to show: what speaks here is that lines are absent."
    return "None of its log lines could be read again."


def _best_lines(layout: Layout, rows: Sequence[Row]) -> dict[Case, list[Line]]:
    """Return the best line of each of the best statements of a case, without those that its evidence shows."""
    shown = {(row["run"], row["test_case"]): row["statement"] for row in rows}
    best: dict[Case, dict[str, tuple[int, Row]]] = defaultdict(dict)
    for table in read_case_tables(layout.lines, _LINE_COLUMNS, shown):
        for alike, row in _best_of_statements(table):
            case, statement = (row["run"], row["test_case"]), row["statement"] or row["text"] or ""
            if statement != shown[case]:
                others, kept = best[case].get(statement, (0, row))
                best[case][statement] = (others + alike, min(kept, row, key=_line_order))
    return defaultdict(list, {case: _describe(of_case.values()) for case, of_case in best.items()})


def _best_of_statements(lines: pa.Table) -> Iterator[tuple[int, Row]]:
    """Yield the best lines of different statements (or texts without one) of each case, and how many are alike."""
    ordered = lines.sort_by([("score", "descending"), ("path", "ascending"), ("line_no", "ascending")])
    statement = strings(ordered["statement"])
    alike = {
        "run": ordered["run"], "test_case": ordered["test_case"], "row": np.arange(len(ordered)),
        "statement": pc.if_else(pc.fill_null(pc.not_equal(statement, ""), False), statement, ordered["text"]),
    }  # fmt: skip
    found = pa.table(alike).group_by(["run", "test_case", "statement"]).aggregate([("row", "min"), ("row", "count")])
    found = found.sort_by("row_min")
    ranks: Counter[tuple[str, str]] = Counter()
    best = []
    for case in zip(found["run"].to_pylist(), found["test_case"].to_pylist(), strict=True):
        # One statement more: the evidence may show one of them.
        best.append(ranks[case] <= MOST_LINES)
        ranks[case] += 1
    found = found.filter(pa.array(best, pa.bool_()))
    yield from zip(found["row_count"].to_pylist(), ordered.take(found["row_min"]).to_pylist(), strict=True)


def _describe(best: Iterable[tuple[int, Row]]) -> list[Line]:
    """Describe the best lines, given with how many are alike."""
    chosen = sorted(best, key=lambda pair: _line_order(pair[1]))[:MOST_LINES]
    more = (f", {alike:,} alike" if alike > 1 else "" for alike, _ in chosen)
    return [_line(row, f"score {row['score']:.3g}{text}") for (_, row), text in zip(chosen, more, strict=True)]


def _line_order(row: Row) -> tuple[float, str, int]:
    return -row["score"], row["path"], row["line_no"]


def _line(row: Mapping[str, Any], why: str = "") -> Line:
    return Line(row["path"] or "", row["line_no"] or 0, clock(row["time"]), shorten(row["text"] or "", LONGEST), why)
