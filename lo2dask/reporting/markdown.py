"""The report as Markdown: the tables of the HTML page in its order, and its findings in short."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from lo2dask.buffers.visible import visible
from lo2dask.reporting.data import Change, Finding, HeatMap, Notice, ReportData, TemplateDifferences
from lo2dask.reporting.heatmap import EXCESS
from lo2dask.reporting.page import HEADERS, baseline_rows, file_row, heat_figure, model_row, template_rows
from lo2dask.reporting.trust import trust_rows

# Everything that Markdown, or HTML inside it, could take for more than text.
_MARKS = re.compile(r"([\\`*_{}\[\]#!|~$])")
ITEMS = 30
LINES = 3


def render_markdown(data: ReportData) -> str:
    """Render the whole document, findings first."""
    found = data.findings
    parts = [f"# {escape_markdown(found.headline)}", f"Report of {escape_markdown(data.root)}"]
    parts += [escape_markdown(text) for text in (found.trust, *found.missing) if text]
    parts += [_finding(item) for item in found.items[:ITEMS]]
    if found.total > min(ITEMS, len(found.items)):
        parts.append(f"The first {min(ITEMS, len(found.items))} of {found.total} findings are here.")
    if found.notices:
        parts += ["## Notices", "\n".join(map(_notice, found.notices))]
    parts += ["## Runs by services", _heat(data.heat)]
    parts += ["## Template differences over the whole tree", *_templates(data.templates)]
    parts += ["## Models side by side"]
    parts.append(
        table(HEADERS, [*map(model_row, data.models), *baseline_rows(data.models)])
        if data.models
        else "No model has been trained."
    )
    for model in data.models:
        parts.append(f"### {escape_markdown(model.key)}")
        trust = model.measures.get("trust")
        parts += [table(("how far it can be trusted", ""), trust_rows(trust))] if trust else []
        parts += [f"> {escape_markdown(model.note)}"] if model.note else []
        parts += [table(("mean abs SHAP", "mean SHAP", "feature"), model.features)] if model.features else []
    return "\n\n".join([*parts, *_read(data)]) + "\n"


def _read(data: ReportData) -> list[str]:
    flow = " → ".join(escape_markdown(f"{name} ({figure})") for name, figure in data.flow)
    parts = ["## What was read", *([flow] if flow else [])]
    parts += [f"> {escape_markdown(remark)}" for remark in data.remarks]
    parts += [table(("what", "figure"), data.read), "### Rejects"]
    parts.append(table(("stage", "reason", "inputs"), data.rejects) if data.rejects else "Nothing was rejected.")
    if data.ignored:
        parts += ["Files next to the logs, not read:", table(("why", "files"), data.ignored)]
    parts += ["### Coverage", _coverage(data)]
    parts += ["### Files", table(("present", "file", "what it is", "made by"), map(file_row, data.files))]
    return [
        *parts,
        "### Parameters and versions",
        table(("parameter", "value"), (*data.parameters, *data.versions)),
    ]


def escape_markdown(text: str) -> str:
    """Escape any text: no markup, no HTML, no control character, one line."""
    plain = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKS.sub(r"\\\1", plain)


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Write a table; every cell is escaped."""
    lines = [_row(headers), "|" + " --- |" * len(headers)]
    return "\n".join([*lines, *(_row([_cell(cell) for cell in row]) for row in rows)])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else escape_markdown(str(value))


def _coverage(data: ReportData) -> str:
    if data.coverage is None:
        return "No sequence."
    there, possible = data.coverage.there.sum(axis=0), data.coverage.possible.sum(axis=0)
    rows = zip(data.coverage.cases, there.tolist(), possible.tolist(), strict=True)
    return table(("test case", "logs there", "of"), rows)


def _finding(item: Finding) -> str:
    title = f"## {item.number}. {escape_markdown(item.run)} / {escape_markdown(item.test_case)}"
    parts = [title, "", escape_markdown(f"{item.why}. {item.time}".strip()), "", escape_markdown(item.facts), ""]
    lines = [
        f"- {escape_markdown(line.path)}:{line.line_no}: {escape_markdown(line.text)}" for line in item.evidence[:LINES]
    ]
    parts += lines or [escape_markdown(item.absent)]
    if item.nearest:
        near = item.nearest
        parts += ["", f"Nearest normal case: {escape_markdown(near.run)} / {escape_markdown(near.test_case)}"]
        for name, changes, _ in near.groups:
            parts += ["", f"{escape_markdown(name)}: {_changes(changes)}"]
    return "\n".join(parts)


def _changes(changes: Sequence[Change]) -> str:
    words = [
        f"{escape_markdown(change.template or change.template_id)} ({change.here} here, {change.there} there)"
        for change in changes
    ]
    return "; ".join(words) or "none"


def _notice(notice: Notice) -> str:
    where = escape_markdown(f"{notice.run} / {notice.test_case}")
    line = notice.line
    last = f": {escape_markdown(line.path)}:{line.line_no}: {escape_markdown(line.text)}" if line else ""
    return f"- {escape_markdown(notice.text)}, in {where}{last}"


def _heat(heat: HeatMap | None) -> str:
    if heat is None:
        return f"No map: {EXCESS} was not trained."
    rows = [(row.label, *(heat_figure(cell.ratio) for cell in row.cells)) for row in heat.rows]
    text = f"The highest score of each, as a multiple of the threshold ({heat.threshold:g}); from 1 on it stands out."
    return f"{text}\n\n{table(('run', *map(escape_markdown, heat.services)), rows)}"


def _templates(found: TemplateDifferences | str) -> list[str]:
    if isinstance(found, str):
        return [escape_markdown(found or "No template was counted.")]
    headers = ("lift", f"anomalous of {found.anomalous}", f"normal of {found.normal}", "id", "template")
    return [
        "More frequent in anomalous sequences:",
        table(headers, template_rows(found.more)),
        "Rarer in anomalous sequences, or absent:",
        table(headers, template_rows(found.less)),
    ]
