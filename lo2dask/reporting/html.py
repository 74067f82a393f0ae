"""Writes the report as one self-contained HTML file: no network, no script but its own, all log text escaped.

Jinja2 escapes every value (it comes with distributed). Beyond that, a content security policy lets only the one script
run whose hash it names, so that markup which slipped through could still do nothing.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from lo2dask.buffers.visible import visible
from lo2dask.reporting.charts import coverage_svg, histogram_svg, precision_recall_svg, roc_svg
from lo2dask.reporting.data import HOLDOUT, Confusion, FileLine, ModelReport, ReportData
from lo2dask.training.measures import HEADLINE, leakage_warning

# Columns of the coverage map; runs beyond that are drawn several in one.
MOST_COLUMNS = 60
# Base64 characters of all SHAP plots together; beyond that, a model's plots are named instead of shown.
MOST_IMAGES = 6_000_000
HEADERS = (
    "model", "F1", "AUC", "average precision", "precision", "recall", "accuracy", "rows", "features", "flagged", "of",
    "remark",
)  # fmt: skip
AREAS = ("area", "average precision")


def render_html(data: ReportData) -> str:
    """Render the whole page."""
    script = _asset("report.js")
    environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=_to_text, trim_blocks=True)
    template = environment.from_string(_asset("report.html.j2"))
    return template.render(
        data=data,
        css=Markup(_asset("report.css")),
        script=Markup(script),
        script_hash=_hash(script),
        sections=_sections(data),
        coverage=coverage_svg(data.coverage, "Coverage: runs by test cases") if data.coverage else "",
        most_columns=MOST_COLUMNS,
        model_headers=HEADERS,
        model_rows=[model_row(model) for model in data.models],
        models=_models(data.models),
        filters=_filters(data),
        file_rows=[file_row(file) for file in data.files],
    )


def file_row(file: FileLine) -> tuple[str, str, str, str]:
    """Return a file's line of the table of all files."""
    return "yes" if file.exists else "missing", file.path, file.purpose, "" if file.exists else file.command


def model_row(model: ModelReport) -> tuple[Any, ...]:
    """Return a model's line of the table of all models."""
    held = model.measures.get("holdout") or {}
    figures = [held.get(name) for name in HEADLINE]
    learned = (model.fit.get("rows", ""), model.fit.get("features", ""))
    return (model.key, *("" if f is None else f for f in figures), *learned, model.flagged, model.rows, remark(model))


def remark(model: ModelReport) -> str:
    """Return what a reader of a model's figures must know: why there are none, or that a baseline does as well."""
    held = model.measures.get("holdout") or {}
    warning = leakage_warning(model.measures)
    remarks = [model.fit.get("reason"), held.get("reason") and f"hold-out: {held['reason']}", warning]
    return "; ".join(dict.fromkeys(text for text in remarks if text))


def _sections(data: ReportData) -> list[tuple[str, str]]:
    sections = [("flow", "Overview"), ("read", "Data"), ("coverage", "Coverage"), ("models", "Models")]
    sections += [(f"model-{slug(index)}", model.key) for index, model in enumerate(data.models)]
    return [*sections, ("flagged", "Flagged"), ("files", "Files"), ("parameters", "Parameters")]


def slug(index: int) -> str:
    """Name a model's section by its number: a key may hold characters that an id must not have."""
    return f"m{index + 1}"


def _models(models: Sequence[ModelReport]) -> list[dict[str, Any]]:
    left = MOST_IMAGES
    shown = []
    for index, model in enumerate(models):
        images, note = _images(model), model.note
        size = sum(len(image["data"]) for image in images)
        if size > left:
            images = []
            note = f"The plots are not in this file: explainability/{model.key}_shap_summary.png and _bar.png"
        else:
            left -= size
        shown.append(
            {
                "key": model.key,
                "slug": slug(index),
                "summary": _summarise(model),
                "pictures": _pictures(model),
                "confusion": _confusion(model.confusion),
                "images": images,
                "note": note,
                "features": model.features,
            }
        )
    return shown


def _summarise(model: ModelReport) -> str:
    text = f"It flags {model.flagged} of {model.rows} sequences."
    return f"{text} Remark: {remark(model)}." if remark(model) else text


def _pictures(model: ModelReport) -> list[dict[str, str]]:
    drawn = []
    if model.histogram:
        caption = "Scores: normal sequences upwards, anomalous downwards, each as a share of its class"
        drawn.append({"svg": histogram_svg(model.histogram, f"Scores of {model.key}"), "caption": caption})
    if model.curves:
        held = model.measures.get("holdout") or {}
        areas = [held.get(name) if model.curves.over == HOLDOUT else None for name in ("auc_roc", "average_precision")]
        roc = roc_svg(model.curves, areas[0], f"ROC of {model.key}")
        precision = precision_recall_svg(model.curves, areas[1], f"Precision and recall of {model.key}")
        figures = [f"{name} {area:.3f}, " if area is not None else "" for name, area in zip(AREAS, areas, strict=True)]
        drawn.append({"svg": roc, "caption": f"ROC: {figures[0]}over the {model.curves.over}"})
        drawn.append({"svg": precision, "caption": f"Precision and recall: {figures[1]}over the {model.curves.over}"})
    return drawn


def _confusion(data: Confusion | None) -> dict[str, Any] | None:
    if data is None:
        return None
    rows = []
    for row, name in enumerate(data.cases):
        pairs = [(service, data.flagged[row, i], data.total[row, i]) for i, service in enumerate(data.services)]
        pairs.append(("", data.flagged[row].sum(), data.total[row].sum()))
        cells = [
            {"service": service, "text": f"{flagged} of {total}" if total else "", "share": _share(flagged, total)}
            for service, flagged, total in pairs
        ]
        rows.append({"name": name, "cells": cells})
    return {"over": data.over, "services": data.services, "rows": rows}


def _share(flagged: int, total: int) -> str:
    return f"{flagged / total:.6f}" if total else ""


def _images(model: ModelReport) -> list[dict[str, str]]:
    if model.plots is None:
        return []
    names = ("SHAP values of single sequences, by feature", "mean SHAP values by feature")
    return [
        {"data": base64.b64encode(data).decode("ascii"), "alt": f"{model.key}: {name}; the table below has the figures"}
        for data, name in zip(model.plots, names, strict=True)
    ]


def _filters(data: ReportData) -> list[tuple[str, str, list[str]]]:
    cases, services = {item.test_case for item in data.flagged}, {item.service for item in data.flagged}
    for model in data.models:
        if model.confusion:
            cases |= set(model.confusion.cases)
            services |= set(model.confusion.services)
    keys = [model.key for model in data.models]
    return [("model", "Model", keys), ("service", "Service", sorted(services)), ("case", "Test case", sorted(cases))]


def _to_text(value: Any) -> Any:
    """Turn a value into text before it is escaped; control characters are written out."""
    if isinstance(value, Markup):
        return value
    return f"{value:.3f}" if isinstance(value, float) else visible(str(value))


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def _asset(name: str) -> str:
    return files("lo2dask.reporting").joinpath("assets", name).read_text(encoding="utf-8")
