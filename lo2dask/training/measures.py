"""Measures of every model, written as JSON and CSV, with the leakage line of each."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import is_true
from lo2dask.models.evaluate import (
    Scored,
    evaluate,
    false_positives_at,
    leakage_line,
    precision_at_k,
    stability_index,
)
from lo2dask.models.runs import RUNS, Answers, RunRows, calibrate, run_scores
from lo2dask.models.split import Split
from lo2dask.options import TrainOptions
from lo2dask.storage import write_json, write_text
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part, write_part

STARTUP_NAME = "the start-up lines alone"
_NO_BASELINE = "no model on the sequence length could be fitted"
_NO_STARTUP = "no model on the start-up lines could be fitted, or load kept none (--init-lines-to-skip 0)"
HEADLINE = ("f1", "auc_roc", "average_precision", "precision", "recall", "accuracy")


@dataclass(frozen=True)
class SequenceKeys:
    """The keys of all sequences in the order of the parts, dictionary-encoded: a few bytes a sequence.

    ``anomaly`` is bool, False where ``labelled`` (None: everywhere) is.
    """

    run: pa.ChunkedArray
    test_case: pa.ChunkedArray
    service: pa.ChunkedArray
    anomaly: np.ndarray
    labelled: np.ndarray | None = None

    @classmethod
    def read(cls, layout: Layout) -> "SequenceKeys":
        """Read the keys of the enhanced table."""
        columns = ["run", "test_case", "service", "anomaly"]
        table = pa.concat_tables(
            [read_part(path, columns) for path in part_paths(layout.enhanced)]
        ).unify_dictionaries()
        labelled = pc.is_valid(table["anomaly"]).to_numpy()
        return cls(table["run"], table["test_case"], table["service"], is_true(table["anomaly"]), labelled)

    @property
    def is_labelled(self) -> np.ndarray:
        """Which sequences have a label: bool (rows,)."""
        return np.ones(len(self.anomaly), dtype=bool) if self.labelled is None else self.labelled

    def normals(self, split: Split) -> np.ndarray:
        """Return which sequences are normals to learn from: bool (rows,)."""
        anomaly = pa.array(self.anomaly, mask=~self.is_labelled)
        return split.training(
            {"run": self.run, "test_case": self.test_case, "service": self.service, "anomaly": anomaly}
        )

    def sides(self, split: Split, scores: np.ndarray) -> np.ndarray:
        """Name the side of each row: train, holdout, or unused where it has no score or no label."""
        held = split.mask(self.run, self.test_case, self.service)
        return np.where(np.isnan(scores) | ~self.is_labelled, "unused", np.where(held, "holdout", "train"))


Labelled = tuple[np.ndarray, np.ndarray]


def measure(rows: SequenceKeys, split: Split, scored: Labelled, held: Labelled | None = None) -> dict[str, Any]:
    """Measure one model's (scores, labels) on training part and hold-out, whole, per service and per error type.

    ``held`` takes the place of the hold-out: scores and labels of all rows by models that have not seen their run.
    """
    found = evaluate(Scored(rows.anomaly, *scored, rows.service, rows.test_case, rows.sides(split, scored[0])))
    if held:
        side = np.where(np.isnan(held[0]) | ~rows.is_labelled, "unused", "holdout")
        of_held = Scored(rows.anomaly, *held, rows.service, rows.test_case, side)
        found["holdout"] = evaluate(of_held)["holdout"] | {"by": split.by}
    return found


def forest_measures(options: TrainOptions, rows: SequenceKeys, split: Split, scores: np.ndarray) -> dict[str, Any]:
    """Measure what the --report options ask for of the Isolation Forest.

    Precision at k and false positives at alpha are taken on the hold-out where there is one, else on all scored rows;
    the stability index compares the normal sequences of both sides.
    """
    side = rows.sides(split, scores)
    held = side == "holdout"
    over = held if held.any() else side != "unused"
    normal = ~rows.anomaly
    result: dict[str, Any] = {"rows_reported": "holdout" if held.any() else "all"}
    if options.report_precision_at is not None:
        result["precision_at_k"] = precision_at_k(rows.anomaly[over], scores[over], options.report_precision_at)
    if options.report_fp_alpha is not None:
        result["fp_rate_at_alpha"] = false_positives_at(rows.anomaly[over], scores[over], options.report_fp_alpha)
    if options.report_psi or options.report_precision_at is not None:
        result["psi"] = stability_index(scores[(side == "train") & normal], scores[held & normal])
    return result


def add_leakage(
    measures: dict[str, Any], length: Mapping[str, Any] | None, startup: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Compare each side's measures with those of a model on the sequence length, and of one on start-up lines.

    The second is below ``startup_lines``; a baseline that could not be fitted has a reason instead.
    """
    lines, startup_lines = {}, {}
    for side in ("train", "holdout"):
        lines[side] = leakage_line(measures[side], length[side] if length else {"reason": _NO_BASELINE})
        other = startup[side] if startup else {"reason": _NO_STARTUP}
        startup_lines[side] = leakage_line(measures[side], other, STARTUP_NAME)
    return measures | {"leakage": lines | {"startup_lines": startup_lines}}


def leakage_warning(measures: Mapping[str, Any]) -> str | None:
    """Join the warnings of the leakage lines on the hold-out; None where the model is better than both baselines."""
    leakage = measures.get("leakage") or {}
    lines = [leakage.get("holdout"), leakage.get("startup_lines", {}).get("holdout")]
    return "; ".join(line["warning"] for line in lines if line and line["warning"]) or None


def write_measures(path: Path, measures: Mapping[str, Any]) -> None:
    """Write one model's measures as JSON."""
    write_json(path, _make_finite(measures))


def write_csv(path: Path, measures: Mapping[str, Any]) -> None:
    """Write measures as rows of side, group, measure and value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["side", "group", "measure", "value"])
    for side in ("train", "holdout"):
        for group, values in _groups(measures[side]):
            writer.writerows([side, group, key, values.get(key)] for key in HEADLINE)
    for name in ("precision_at_k", "fp_rate_at_alpha", "psi", "threshold"):
        measure = dict(measures.get(name) or {})
        for service, values in {"": measure, **measure.pop("per_service", {})}.items():
            group = f"{name} {service}".strip()
            writer.writerows([measures["rows_reported"], group, key, value] for key, value in values.items())
    write_text(path, text.getvalue())


def run_rows(rows: SequenceKeys, scores: np.ndarray, learned: np.ndarray | None = None) -> RunRows:
    """Return the sequences that have a score, with it; ``learned`` is the bool mask of the training normals."""
    known = ~np.isnan(scores)
    keep = pa.array(known)
    run, test_case, service = (column.filter(keep) for column in (rows.run, rows.test_case, rows.service))
    anomaly = pa.array(rows.anomaly, mask=~rows.is_labelled).filter(keep)
    return RunRows(run, test_case, service, scores[known], None if learned is None else learned[known], anomaly)


def calibrate_runs(rows: SequenceKeys, split: Split, left_out: np.ndarray) -> tuple[RunRows, dict[str, Any]]:
    """Return the scored sequences and their run calibration.

    ``left_out`` are all scores, those of training normals by models that have not seen their run.
    """
    learned = rows.normals(split) & ~np.isnan(left_out)
    table = run_rows(rows, left_out, learned)
    assert table.learned is not None
    return table, calibrate(table, table.learned)


def write_runs(path: Path, table: RunRows, calibration: Mapping[str, Any], answers: Answers) -> None:
    """Write a model's run scores."""
    write_part(path / "part-000000.parquet", run_scores(table, calibration, answers), RUNS)


def headline(measures: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's line: the hold-out's F1, AUC and average precision, or the reason why there is none."""
    held = measures["holdout"]
    return {key: held.get(key) for key in HEADLINE[:3]} | {"reason": held.get("reason")}


def _groups(measures: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    named = [("all", measures)]
    for group in ("per_service", "per_error_type"):
        named += [(f"{group.removeprefix('per_')} {name}", values) for name, values in measures.get(group, {}).items()]
    return named


def _make_finite(value: Any) -> Any:
    """Turn what JSON does not know (numpy numbers, NaN) into what it knows."""
    if isinstance(value, Mapping):
        return {str(key): _make_finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_make_finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
