"""The questions that can be asked of a finished folder; nothing is written, and no path is taken from who asks.

What is asked for by name (run, case, service, table) is looked up among the names that the folder has.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.api.folder import open_folder
from lo2dask.api.glossary import BY_NAME, TableNote
from lo2dask.api.tables import Table
from lo2dask.commands.show import CaseSummary, case_of_number, existing_cases, find_case, show
from lo2dask.errors import InputError
from lo2dask.findings.compare import compare_cases
from lo2dask.findings.read import (
    Case,
    flagged_cases,
    list_services,
    matching,
    read_cases,
    reference_cases,
    was_sought,
)
from lo2dask.options import ServeMcpOptions, ShowOptions
from lo2dask.schema import DRAIN_ID, MAIN, TEMPLATES
from lo2dask.serving.bounds import Answer, Bounds, Found
from lo2dask.serving.lines import Wanted, search_events, search_kept
from lo2dask.sources.names import run_order
from lo2dask.storage import list_paths, read_json
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part

_NO_EVENTS = "lo2_lines.parquet, the most unusual lines alone: load did not keep all lines (--save-events)"


class Questions:
    """A folder to be asked; each public method is a question, and its answer is within the bounds."""

    def __init__(self, options: ServeMcpOptions) -> None:
        """Open the folder.

        Raises
        ------
        InputError : there is no folder of lo2dask, or nothing is loaded in it.
        """
        self._folder = open_folder(options.root)
        self._layout = Layout(self._folder.root)
        self._options, self._bounds = options, Bounds(options.max_rows, options.max_chars)
        existing_cases(Layout(options.root))

    def findings(self, run: str = "", service: str = "", limit: int = 10) -> Answer:
        """List what stands out, the strongest first: case, service, when, score, statement, lines with file and number.

        Rows without a score are notices, after the findings: a service without a line that all normal cases have
        (kind "silent") or with fewer logs ("fewer"), whose log ends long before the last line of its case ("stopped"),
        which pauses ("paused"), or which logs one statement far more often than any normal log ("repeated").
        ``run`` is a run's name or how it begins or ends; both ``run`` and ``service`` may be empty for all.
        """
        limit = self._bounds.limit(limit)
        kept = self._filter(run, service)
        table = self._folder.findings().scan("arrow")
        flagged = pc.field("score").is_valid()
        facts = {
            "cases": len(self._cases()),
            "findings_in_all": table.count_rows(filter=flagged & kept),
            "notices_in_all": table.count_rows(filter=~flagged & kept),
            "was_looked_for": was_sought(self._layout),
        }
        rows = table.head(limit, filter=kept).to_pylist()
        return self._bounds.answer(facts, findings=Found(rows, facts["findings_in_all"] + facts["notices_in_all"]))

    def show(self, case: str, service: str = "", around: int = 3, limit: int = 20) -> Answer:
        """Show one case: its findings, services in time, most unusual windows, and unusual lines with those around.

        ``case`` is RUN/CASE; how the names begin or end is enough where it fits one case alone; or the number of a
        finding, from 1. ``around`` counts the lines before and after each unusual one (``chosen``), at most 50.
        """
        limit = self._bounds.limit(limit)
        around = max(0, min(around, 50)) if self._options.raw_lines else 0
        options = ShowOptions(root=self._options.root, case=case, service=service, around=around)
        found = show(options, guarded=True, compares=False)
        facts: Answer = {"run": found.run, "test_case": found.test_case, "normal": found.normal}
        facts["not_there"] = [path.name for path in found.missing]
        facts["notes"] = [f"{excerpt.path}: {excerpt.note}" for excerpt in found.excerpts if excerpt.note]
        lists = _case_lists(found)
        return self._bounds.answer(facts, **{name: Found(rows[:limit], len(rows)) for name, rows in lists.items()})

    def search_lines(
        self, text: str = "", template: str = "", service: str = "", case: str = "", time: str = "", limit: int = 20
    ) -> Answer:
        """Find log lines, with file, line number, time and template: the first ones in the order of runs and logs.

        ``text`` is a part of the line from its level on, upper and lower case told apart, no pattern. ``template`` is a
        template id (see find_templates). ``case`` is RUN, RUN/CASE or the number of a finding. ``time`` is START/END in
        UTC, END not included, as 2024-06-28T16:41:07/2024-06-28T16:42:00; either may be left out. ``source`` says
        whether all lines were searched or the most unusual ones alone, ``more`` whether there are more than ``limit``.
        """
        limit = self._bounds.limit(limit)
        runs, cases = self._place(case)
        if service:
            service = self._service(service)
        start, end = _interval(time)
        wanted = Wanted(
            runs=runs, test_cases=cases, service=service, template=template, text=text, start=start, end=end
        )
        if part_paths(self._layout.events):
            source, rows = "lo2_events.parquet, all lines", search_events(self._layout, wanted, limit + 1)
        else:
            source, rows = _NO_EVENTS, search_kept(self._layout, wanted, limit + 1)
        facts = {"source": source, "more": len(rows) > limit}
        return self._bounds.answer(facts, lines=Found(rows[:limit], None))

    def compare(self, case: str, service: str = "", limit: int = 20) -> Answer:
        """Compare a case with the nearest normal one of another run: templates that are new, missing, more or less.

        ``case`` is as for show. Where no case is labelled normal, it is compared with those that do not stand out;
        ``compared_with`` says which. ``here`` and ``there`` count the lines of a template in the case and in the
        nearest one; logs differ in length, so "more" and "less" are told by shares. The distance is 0 for the same
        shares, 1 for nothing in common.
        """
        cases = self._cases()
        chosen = find_case(case, cases, flagged_cases(self._layout))
        services = [self._service(service)] if service else []
        normals, is_labelled = reference_cases(self._layout, cases)
        found = compare_cases(self._layout, [chosen], normals, services).get(chosen)
        compared = "normal cases" if is_labelled else "cases that do not stand out, as none is labelled normal"
        facts: Answer = {"run": chosen[0], "test_case": chosen[1], "compared_with": compared, "nearest": None}
        if found is None:
            facts["compared_with"] = f"none of the {compared}"
            return self._bounds.answer(facts, differences=Found([], 0))
        facts["nearest"] = {"run": found.run, "test_case": found.test_case, "distance": found.distance}
        rows = [vars(row) for row in found.differences]
        kept = rows[: self._bounds.limit(limit)]
        return self._bounds.answer(facts, differences=Found(kept, len(rows) + found.left_out))

    def find_templates(self, text: str = "", limit: int = 20) -> Answer:
        """Find templates (lines with what varies masked) by a part of their text: id, text, lines, sequences."""
        table = self._folder.templates().scan("arrow")
        kept = pc.match_substring(pc.field("template"), text) if text else None
        rows = table.head(self._bounds.limit(limit), columns=TEMPLATES.names, filter=kept).to_pylist()
        return self._bounds.answer({}, templates=Found(rows, table.count_rows(filter=kept)))

    def template_history(self, template: str, service: str = "", limit: int = 20) -> Answer:
        """Count the lines of a template (by its id) in each run, the oldest first: in normal cases and in others."""
        known = self._folder.templates().to_arrow(["template"], pc.field(DRAIN_ID.name) == template)
        if not known.num_rows:
            raise InputError(f"{template}: no such template; find_templates lists them")
        lines = self._count_template(template, self._service(service) if service else "")
        runs: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_HISTORY, 0))
        for case, normal in self._cases().items():
            kind, count = "normal" if normal else "other", lines.get(case, 0)
            row = runs[case[0]]
            row[f"{kind}_cases"] += 1
            row[f"{kind}_cases_with_it"] += count > 0
            row[f"{kind}_lines"] += count
        rows = [{"run": run} | runs[run] for run in sorted(runs, key=run_order)]
        facts = {"template": template, "text": known["template"][0].as_py(), "lines": sum(lines.values())}
        facts["cases_with_it"] = len(lines)
        return self._bounds.answer(facts, runs=Found(rows[: self._bounds.limit(limit)], len(rows)))

    def tables(self) -> Answer:
        """List the tables of the folder: what a row is, which command writes it, how many rows it has."""
        rows = [
            {"table": name, "one_row_per": note.row, "written_by": note.written_by, "rows": len(table)}
            for name, (table, note) in self._tables().items()
        ]
        return self._bounds.answer({}, tables=Found(rows, len(rows)))

    def describe(self, table: str) -> Answer:
        """Describe a table's columns: type, unit and meaning."""
        known = self._tables()
        (name,) = matching(table, known, "table")[:1]
        found, note = known[name]
        meanings = note.columns
        rows = [
            {
                "column": field.name,
                "type": str(field.type),
                "unit": meanings[field.name].unit if field.name in meanings else "",
                "meaning": meanings[field.name].meaning if field.name in meanings else "",
            }
            for field in found.schema
        ]
        facts = {"table": name, "one_row_per": note.row, "rows": len(found)}
        return self._bounds.answer(facts, columns=Found(rows, len(rows)))

    def models(self) -> Answer:
        """List the models with how far each can be trusted: its verdict, and the figures that it rests on, in words."""
        from lo2dask.reporting.trust import trust_rows
        from lo2dask.reporting.verdicts import verdict

        rows = []
        for path in list_paths(self._layout.measures, ".json"):
            measures = read_json(path) or {}
            block = measures.get("trust")
            row: Answer = {"model": path.name.removesuffix(".json"), "verdict": verdict(measures)}
            rows.append(row | {"trust": [{"about": about, "says": says} for about, says in trust_rows(block or _NONE)]})
        return self._bounds.answer({}, models=Found(rows, len(rows)))

    def _cases(self) -> dict[Case, bool | None]:
        return read_cases(self._layout)

    def _filter(self, run: str, service: str) -> pc.Expression:
        kept = pc.scalar(True)
        if run:
            runs = matching(run, (run for run, _ in self._cases()), "run")
            kept = kept & pc.field("run").isin(pa.array(runs))
        return kept & (pc.field("service") == self._service(service)) if service else kept

    def _service(self, given: str) -> str:
        known = list_services(self._layout)
        if not known:
            known = {*self._folder.sequences().to_arrow(["service"])["service"].unique().to_pylist()}
        return matching(given, known, "service")[0]

    def _place(self, case: str) -> tuple[list[str], list[str]]:
        """Return the runs and test cases that RUN, RUN/CASE or the number of a finding means; none for all."""
        if not case:
            return [], []
        cases = self._cases()
        if numbered := case_of_number(case, cases, flagged_cases(self._layout)):
            return [numbered[0]], [numbered[1]]
        if "/" not in case.strip("/"):
            return matching(case.strip("/"), (run for run, _ in cases), "run"), []
        run, test_case = find_case(case, cases)
        return [run], [test_case]

    def _count_template(self, template: str, service: str) -> dict[Case, int]:
        """Count the lines of a template in each case that has it, part by part."""
        lines: dict[Case, int] = defaultdict(int)
        for path in part_paths(self._layout.enhanced):
            bags = read_part(path, [MAIN["templates"]]).column(0).combine_chunks()
            items, rows = bags.flatten(), pc.list_parent_indices(bags)
            own = pc.equal(items.field("token").cast(pa.string()), template)
            if not pc.any(own).as_py():
                continue
            keys = read_part(path, ["run", "test_case", "service"]).take(rows.filter(own))
            for key, count in zip(keys.to_pylist(), items.field("count").filter(own).to_pylist(), strict=True):
                if service in ("", key["service"]):
                    lines[key["run"], key["test_case"]] += count
        return lines

    def _tables(self) -> dict[str, tuple[Table, TableNote]]:
        """List the tables that are there, each with what is known of it."""
        root = self._layout.root
        folders: dict[str, tuple[Path, str]] = {name: (root / f"{name}.parquet", name) for name in BY_NAME}
        for model in self._folder.models():
            folders |= {
                f"predictions_{model}": (self._layout.predictions / model, "predictions of a model"),
                f"{model}_runs": (root / f"{model}_runs.parquet", "<model>_runs"),
                f"{model}_explanations": (
                    self._layout.explainability / f"{model}_explanations.parquet",
                    "<model>_explanations",
                ),
            }
        parts = {name: (part_paths(folder), note) for name, (folder, note) in folders.items()}
        return {name: (Table(name, tuple(own)), BY_NAME[note]) for name, (own, note) in parts.items() if own}


_HISTORY = tuple(f"{kind}_{what}" for kind in ("normal", "other") for what in ("lines", "cases_with_it", "cases"))
_NONE: Mapping[str, Any] = {"verdict": "not measured", "units": "nothing", "reason": "it was trained without"}


def _case_lists(found: CaseSummary) -> dict[str, list[Answer]]:
    """Lay out what is known of a case as flat lists, the most telling first."""
    lines = [
        {
            "service": excerpt.service,
            "path": excerpt.path,
            "line_no": number,
            "chosen": number in excerpt.chosen,
            "text": text,
        }
        for excerpt in found.excerpts
        for number, text in excerpt.lines
    ]
    windows = [{"service": view.service} | vars(window) for view in found.services for window in view.windows]
    windows.sort(key=lambda row: -row["score"])
    return {
        "findings": [
            {name: value for name, value in vars(row).items() if name not in ("run", "test_case", "evidence")}
            for row in found.findings
        ],
        "services": [{"service": view.service, "lines": view.n_events} for view in found.services],
        "windows": windows,
        "lines": lines,
        "timeline": [{"service": view.service} | vars(tick) for view in found.services for tick in view.ticks],
    }


def _interval(text: str) -> tuple[datetime | None, datetime | None]:
    """Read START/END, in UTC where no zone is named.

    Raises
    ------
    InputError : one of them is no time.
    """
    start, slash, end = text.partition("/")
    if text and not slash:
        raise InputError(f"time: {text!r} is no START/END, as 2024-06-28T16:41:07/2024-06-28T16:42:00")
    return _time(start.strip()), _time(end.strip())


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError as error:
        raise InputError(f"time: {text!r} is no time; write it as 2024-06-28T16:41:07") from error
    return found and (found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC))
