"""Writes the report as one self-contained HTML file: no network, no script but its own, all log text escaped.

Jinja2 escapes every value (it comes with distributed). Beyond that, a content security policy lets only the one script
run whose hash it names, so that markup which slipped through could still do nothing.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from math import floor
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from lo2dask.buffers.visible import visible
from lo2dask.reporting.charts import bar_svg, coverage_svg, histogram_svg, precision_recall_svg, roc_svg, track_svg
from lo2dask.reporting.data import (
    HOLDOUT,
    Confusion,
    FileLine,
    Finding,
    Mark,
    ModelReport,
    ReportData,
    TemplateRow,
    Timeline,
    Track,
)
from lo2dask.reporting.heatmap import EXCESS
from lo2dask.reporting.trust import trust_rows
from lo2dask.reporting.verdicts import baselines, figures, side_in_words, verdict

# Columns of the coverage map; runs beyond that are drawn several in one.
MOST_COLUMNS = 60
HEADERS = (
    "model", "against simple baselines", "average precision", "AUC", "F1", "precision", "recall", "flagged", "of",
    "remark",
)  # fmt: skip
SECTIONS = (
    ("findings", "Findings"),
    ("map", "Runs by services"),
    ("templates", "Template differences"),
    ("models", "Models"),
    ("data", "What was read"),
)
# Findings that stand on the page at once; the others are folded, so that what follows is not out of sight.
OPENED = 20
# Marked windows of a timeline that are also said in words.
LISTED_MARKS = 3
_MEASURES = ("average_precision", "auc_roc", "f1", "precision", "recall")
# Class of a heat map's cell, by the least multiple of the threshold.
_LEVELS = ((5.0, "out2"), (2.0, "out1"), (1.0, "out0"), (0.7, "calm2"), (0.35, "calm1"))
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9._-]+")


def render_page(data: ReportData) -> str:
    """Render the whole page."""
    script = _asset("report.js")
    environment = Environment(
        loader=FunctionLoader(_asset), autoescape=True, undefined=StrictUndefined, finalize=_to_text, trim_blocks=True
    )
    environment.globals |= {
        "draw_track": _draw_track,
        "strongest_marks": strongest_marks,
        "heat_level": heat_level,
        "heat_figure": heat_figure,
        "template_rows": template_rows,
    }
    return environment.get_template("page.html.j2").render(
        data=data,
        css=Markup(_asset("report.css")),
        script=Markup(script),
        script_hash=_hash(script),
        sections=SECTIONS,
        detector=EXCESS,
        opened=OPENED,
        coverage=coverage_svg(data.coverage, "Coverage: runs by test cases") if data.coverage else "",
        most_columns=MOST_COLUMNS,
        model_headers=HEADERS,
        model_rows=[*map(model_row, data.models), *baseline_rows(data.models)],
        models=[_model(model) for model in data.models],
        filters=_filters(data.findings.items),
        file_rows=[file_row(file) for file in data.files],
        missing_files=f"{sum(not file.exists for file in data.files)} not there",
    )


def file_row(file: FileLine) -> tuple[str, str, str, str]:
    """Return a file's line of the table of all files."""
    return "yes" if file.exists else "missing", file.path, file.purpose, "" if file.exists else file.command


def model_row(model: ModelReport) -> tuple[Any, ...]:
    """Return a model's line of the table of all models."""
    measured = figures(model.measures)
    values = ("" if measured[name] is None else measured[name] for name in _MEASURES)
    remark = model.fit.get("reason") or ""
    return (model.key, verdict(model.measures, brief=True), *values, model.flagged, model.rows, remark)


def baseline_rows(models: Sequence[ModelReport]) -> list[tuple[Any, ...]]:
    """Return the lines of the simple baselines that the models are held against, each once for each side."""
    lines: dict[tuple[str, str], Mapping[str, Any]] = {}
    for model in models:
        for name, line in baselines(model.measures):
            lines.setdefault((name, side_in_words(model.measures)), line)
    return [
        (f"baseline: {name}", side, *("" if line.get(m) is None else line[m] for m in _MEASURES), "", "", "")
        for (name, side), line in lines.items()
    ]


def template_rows(rows: Sequence[TemplateRow]) -> list[tuple[Any, ...]]:
    """Return the lines of a table of template differences."""
    return [(round(row.lift, 3), row.anomalous, row.normal, row.template_id, row.template) for row in rows]


def strongest_marks(data: Timeline) -> list[tuple[str, Mark]]:
    """Return the first marked windows of the services, in their order."""
    return [(track.service, mark) for track in data.tracks for mark in track.marks][:LISTED_MARKS]


def heat_level(ratio: float | None) -> str:
    """Return the class of a cell of the heat map."""
    if ratio is None:
        return "none"
    return next((name for least, name in _LEVELS if ratio >= least), "calm0")


def heat_figure(ratio: float | None) -> str:
    """Write a multiple of the threshold in at most four characters; what is below 1 never reads as 1."""
    if ratio is None:
        return "–"
    return f"{floor(max(ratio, 0.0) * 10) / 10:.1f}" if ratio < 10 else f"{min(ratio, 9999):.0f}"


def _draw_track(track: Track) -> Markup:
    # charts escape every text that they draw.
    return Markup(track_svg(track))


def _model(model: ModelReport) -> dict[str, Any]:
    highest = max((size for size, _, _ in model.features), default=1.0)
    return {
        "key": _NOT_IN_IDS.sub("-", model.key),
        "verdict": verdict(model.measures),
        "summary": _summarise(model),
        "trust": trust_rows(model.measures["trust"]) if model.measures.get("trust") else [],
        "pictures": _pictures(model),
        "confusion": _confusion(model.confusion),
        "note": model.note,
        "features": [
            {
                "name": name,
                "svg": bar_svg(size if mean >= 0 else -size, highest, f"{name}: {size:.3g}"),
                "text": f"{size:.3g}",
            }
            for size, mean, name in model.features
        ],
    }


def _summarise(model: ModelReport) -> str:
    parts = [
        f"It flags {model.flagged:,} of {model.rows:,} sequences; its figures are {side_in_words(model.measures)}."
    ]
    if model.fit:
        parts.append(f"It learned from {model.fit['rows']:,} sequences with {model.fit['features']:,} features.")
    if model.threshold is None and model.flagged:
        parts.append("No single score parts flagged from unflagged: its services have thresholds of their own.")
    if model.fit.get("reason"):
        parts.append(f"Remark: {model.fit['reason']}.")
    return " ".join(parts)


def _pictures(model: ModelReport) -> list[dict[str, str]]:
    drawn = []
    if model.histogram:
        caption = "Scores: normal sequences upwards, anomalous downwards, each as a share of its class"
        caption += f"; flagged above the line, {model.threshold:.4g}" if model.threshold is not None else ""
        drawing = histogram_svg(model.histogram, f"Scores of {visible(model.key)}", model.threshold)
        drawn.append({"svg": drawing, "caption": caption})
    if model.curves:
        held = model.measures.get("holdout") or {}
        areas = [held.get(name) if model.curves.over == HOLDOUT else None for name in ("auc_roc", "average_precision")]
        roc = roc_svg(model.curves, areas[0], f"ROC of {visible(model.key)}")
        precision = precision_recall_svg(model.curves, areas[1], f"Precision and recall of {visible(model.key)}")
        names = ("area", "average precision")
        texts = [f"{name} {area:.3f}, " if area is not None else "" for name, area in zip(names, areas, strict=True)]
        drawn.append({"svg": roc, "caption": f"ROC: {texts[0]}over the {model.curves.over}"})
        drawn.append({"svg": precision, "caption": f"Precision and recall: {texts[1]}over the {model.curves.over}"})
    return drawn


def _confusion(data: Confusion | None) -> dict[str, Any] | None:
    if data is None:
        return None
    rows = []
    for row, name in enumerate(data.cases):
        pairs = [(service, data.flagged[row, i], data.total[row, i]) for i, service in enumerate(data.services)]
        pairs.append(("all", data.flagged[row].sum(), data.total[row].sum()))
        cells = [
            {"service": service, "text": f"{flagged} of {total}" if total else "", "share": _share(flagged, total)}
            for service, flagged, total in pairs
        ]
        rows.append({"name": name, "cells": cells})
    return {"over": data.over, "services": data.services, "rows": rows}


def _share(flagged: int, total: int) -> str:
    return f"{flagged / total:.6f}" if total else ""


def _filters(items: Sequence[Finding]) -> list[tuple[str, str, list[str]]]:
    fields = (
        ("run", "Run", "run"),
        ("case", "Test case", "test_case"),
        ("service", "Service", "service"),
        ("error", "Error type", "error_type"),
    )
    return [(field, label, sorted({getattr(item, name) for item in items})) for field, label, name in fields]


def _to_text(value: Any) -> Any:
    """Turn a value into text before it is escaped; control characters are written out."""
    if isinstance(value, Markup):
        return value
    return f"{value:.3f}" if isinstance(value, float) else visible(str(value))


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def _asset(name: str) -> str:
    return files("lo2dask.reporting").joinpath("assets", name).read_text(encoding="utf-8")
