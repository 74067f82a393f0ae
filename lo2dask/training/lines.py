"""Measures every model of a training, and what is told of each in a line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lo2dask.models.registry import EXCESS, FOREST
from lo2dask.models.runs import Answers, name_services, uncalibrated
from lo2dask.models.split import Split
from lo2dask.options import TrainOptions
from lo2dask.tables.layout import Layout
from lo2dask.training import measures as measuring
from lo2dask.training.answers import describe_normals, describe_rests
from lo2dask.training.left_out import SEEN
from lo2dask.training.scoring import Target, has_scores, held_key, read_calibrating, read_labels, read_scores
from lo2dask.training.units import BASELINE, measures_path, read_splits


@dataclass(frozen=True)
class ModelLine:
    """A model's line: whether it was fitted, on what, and its figures on the hold-out (or the reason for none)."""

    key: str
    fitted: bool
    rows: int
    features: int
    seconds: float
    f1: float | None
    auc_roc: float | None
    average_precision: float | None
    reason: str | None
    warning: str | None
    same_as: str | None = None


def metrics_folder(options: TrainOptions) -> Path:
    """Return the folder of the measures."""
    return options.metrics_dir or Layout(options.root).measures


def runs_path(layout: Layout, key: str) -> Path:
    """Return the table of a model's run scores."""
    return layout.root / f"{key}_runs.parquet"


def measure_models(
    options: TrainOptions, layout: Layout, targets: Sequence[Target], records: dict[str, list[dict[str, Any]]],
    startup: dict[str, str], left_out_by: Mapping[str, str],
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:  # fmt: skip
    """Measure every model and write its run scores; return the measures and a run calibration of each."""
    splits = read_splits(layout)
    rows = measuring.SequenceKeys.read(layout)
    length = {target.side: target.key for target in targets if target.key.startswith(BASELINE)}

    def measure(key: str, split: Split) -> dict[str, Any]:
        """Measure a model, on left-out runs where nothing is held out."""
        held = held_key(key) if split.is_crossed and has_scores(layout, held_key(key)) else None
        pairs = [(read_scores(layout, name), read_labels(layout, name)) for name in (key, held) if name]
        return measuring.measure(rows, split, *pairs)

    baselines = {
        side: [measure(keys[side], split) if side in keys else None for keys in (length, startup)]
        for side, split in splits.items()
    }
    every, calibrations = {}, {}
    models = [target for target in targets if not target.key.startswith(BASELINE)]
    answers = _find_answers(layout, rows, models, options)
    for target in models:
        key, split = target.key, splits[target.side]
        measured = measure(key, split)
        if key == FOREST:
            measured |= measuring.forest_measures(options, rows, split, read_scores(layout, key))
        left_out = read_calibrating(layout, key)
        table, calibrations[key] = measuring.calibrate_runs(rows, split, left_out)
        if key == EXCESS:
            calibrations[key] = uncalibrated(options.excess_threshold) | describe_normals(rows, split, left_out)
            calibrations[key]["longest_rests"] = describe_rests(layout, rows, split)
        calibrations[key] |= {"scored": left_out_by.get(key, SEEN)}
        measuring.write_runs(runs_path(layout, key), table, calibrations[key], answers)
        measured = measuring.add_leakage(measured, *baselines[target.side])
        measured["runs_calibration"] = calibrations[key]
        every[key] = measured | {"fit": records.get(key, [])}
    return every, calibrations


def write_lines(
    options: TrainOptions, every: Mapping[str, dict[str, Any]], trust: Mapping[str, Any]
) -> list[ModelLine]:
    """Write the measures of every model, with how far they can be trusted; return a line for each."""
    lines = []
    for key, measured in every.items():
        path = measures_path(metrics_folder(options), key)
        measuring.write_measures(path, measured | {"trust": trust.get(key)})
        if key == FOREST:
            measuring.write_csv(path.with_suffix(".csv"), measured)
        lines.append(_line(key, measured))
    return lines


def _find_answers(
    layout: Layout, rows: measuring.SequenceKeys, models: Sequence[Target], options: TrainOptions
) -> Answers:
    """Name the service that stands out in each case; nothing without ``excess``."""
    if EXCESS not in [target.key for target in models]:
        return {}
    return name_services(measuring.run_rows(rows, read_calibrating(layout, EXCESS)), options.excess_threshold)


def _line(key: str, measured: dict[str, Any]) -> ModelLine:
    fits = measured["fit"] or [{"fitted": True, "rows": 0, "features": 0, "seconds": 0.0, "reason": None}]
    head = measuring.headline(measured)
    unfitted = next((fit["reason"] for fit in fits if not fit["fitted"]), None)
    return ModelLine(
        key, any(fit["fitted"] for fit in fits), sum(fit["rows"] for fit in fits),
        max(fit["features"] for fit in fits), round(sum(fit["seconds"] for fit in fits), 3),
        head["f1"], head["auc_roc"], head["average_precision"], unfitted or head["reason"],
        measuring.leakage_warning(measured),
    )  # fmt: skip
