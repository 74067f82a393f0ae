"""The report as Markdown: the tables of the HTML page, and its flagged sequences in short."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from lo2dask.buffers.visible import visible
from lo2dask.reporting.data import Flagged, ReportData
from lo2dask.reporting.html import HEADERS, file_row, model_row

# Everything that Markdown, or HTML inside it, could take for more than text.
_MARKS = re.compile(r"([\\`*_{}\[\]#!|~$])")
SEQUENCES = 30
LINES = 3


def render_markdown(data: ReportData) -> str:
    """Render the whole document."""
    parts = [f"# lo2dask report: {escape_markdown(data.root)}"]
    parts += [f"> {escape_markdown(remark)}" for remark in data.remarks]
    parts += [
        "## From logs to explanations",
        " → ".join(escape_markdown(f"{name} ({figure})") for name, figure in data.flow),
    ]
    parts += ["## Data read and rejected", table(("what", "figure"), data.read)]
    parts.append(table(("stage", "reason", "inputs"), data.rejects) if data.rejects else "Nothing was rejected.")
    if data.ignored:
        parts += ["Files next to the logs, not read:", table(("why", "files"), data.ignored)]
    parts += ["## Coverage", _coverage(data)]
    parts += ["## Models side by side", "Measured on the hold-out.", table(HEADERS, map(model_row, data.models))]
    for model in data.models:
        parts.append(f"## {escape_markdown(model.key)}")
        parts.append(f"It flags {model.flagged} of {model.rows} sequences.")
        if model.note:
            parts.append(f"> {escape_markdown(model.note)}")
        if model.features:
            parts.append(table(("mean abs SHAP", "mean SHAP", "feature"), model.features))
    parts += ["## Flagged sequences", f"{min(SEQUENCES, len(data.flagged))} of {data.flagged_total} are shown."]
    parts += [_flagged(item) for item in data.flagged[:SEQUENCES]]
    parts += ["## Files", table(("present", "file", "what it is", "made by"), map(file_row, data.files))]
    parts += ["## Parameters and versions", table(("parameter", "value"), (*data.parameters, *data.versions))]
    return "\n\n".join(parts) + "\n"


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


def _flagged(item: Flagged) -> str:
    mistake = "" if item.anomaly else ", false positive"
    title = (
        f"### {escape_markdown(item.seq_id)}\n\n{escape_markdown(item.model)}, rank {item.rank}, {item.split}{mistake}."
    )
    lines = [f"- line {line.line_no}: {escape_markdown(line.text)}" for line in item.lines[:LINES]]
    if item.nearest:
        lines.append(f"- {item.nearest_name} ({item.similarity:.3f} alike): {escape_markdown(item.nearest)}")
    return "\n".join([title, "", *lines])
