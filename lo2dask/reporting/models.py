"""What a report shows of one model: its measures, its scores, its strongest features."""

from pathlib import Path
from typing import Any

from lo2dask.explanation.artefacts import Artefacts
from lo2dask.reporting.data import ModelReport
from lo2dask.reporting.scores import read_scores
from lo2dask.storage import read_json
from lo2dask.tables.layout import Layout
from lo2dask.training.units import measures_path

LISTED_FEATURES = 20


def read_model(layout: Layout, key: str) -> ModelReport:
    """Read a model's measures, predictions and feature list."""
    files = Artefacts(layout.explainability, key)
    measures = read_json(measures_path(layout.measures, key)) or read_json(files.metrics) or {}
    note = next((" ".join(path.read_text(encoding="utf-8").split()) for path in files.notes if path.is_file()), "")
    if not note and not files.metrics.is_file():
        note = f"Not explained yet: lo2dask explain --root {layout.root}"
    scores = read_scores(layout.predictions / key)
    return ModelReport(
        key=key,
        measures=measures,
        fit=_fit(measures),
        rows=scores.rows,
        flagged=scores.flagged,
        threshold=scores.threshold,
        histogram=scores.histogram,
        curves=scores.curves,
        confusion=scores.confusion,
        note=note.strip(),
        features=_features(files.path("top_features.txt")),
    )


def _fit(measures: dict[str, Any]) -> dict[str, Any]:
    """Join the fit records of a model's services."""
    fits = measures.get("fit") or []
    if not fits:
        return {}
    reasons = "; ".join(sorted({fit["reason"] for fit in fits if fit["reason"]}))
    return {"rows": sum(f["rows"] for f in fits), "features": max(f["features"] for f in fits), "reason": reasons}


def _features(path: Path) -> tuple[tuple[float, float, str], ...]:
    """Read the first lines of a model's feature list back: mean abs(SHAP), mean SHAP, feature."""
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8").split("\n")
    start = next((i for i, line in enumerate(lines) if line.lstrip().startswith("rank ")), len(lines)) + 1
    rows = [line.split(maxsplit=3)[1:] for line in lines[start : start + LISTED_FEATURES] if line[:4].strip().isdigit()]
    return tuple((float(row[0]), float(row[1]), row[2] if len(row) > 2 else "") for row in rows)
