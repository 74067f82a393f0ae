"""Scores of held-out logs measured at four levels: pooled, service by service, on their service's scale, whole runs.

Beside the models stands the baseline that uses nothing but a log's length: how unusual it is among its service's
training normals, too long or too short. That is stricter than a model which expects anomalies to be the longer ones:
under v1 they are longer in some services and shorter in others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lo2dask.models.evaluate import measures
from lo2dask.models.runs import RunRows, calibrate, calibrate_scores, run_scores
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part

SEQUENCES, SERVICES, SCALED, RUNS = "sequences", "each service", "calibrated", "whole runs"
LEVELS = (SEQUENCES, SERVICES, SCALED, RUNS)
KEYS = ("f1", "auc_roc", "average_precision")
Levels = dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class Logs:
    """Scored logs; names are object arrays, ``held`` and ``anomaly`` bool, ``label`` 0 or 1."""

    run: np.ndarray
    test_case: np.ndarray
    service: np.ndarray
    anomaly: np.ndarray
    held: np.ndarray
    score: np.ndarray
    label: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> "Logs":
        """Read a model's predictions; rows that it could not score are left out."""
        table = pa.concat_tables([read_part(path) for path in part_paths(folder)]).unify_dictionaries()
        table = table.filter(pa.compute.not_equal(names_of(table, "split"), "unused"))
        names = (np.array(names_of(table, name).to_pylist(), dtype=object) for name in ("run", "test_case", "service"))
        held = np.array(names_of(table, "split").to_pylist(), dtype=object) == "holdout"
        rest = (table[name].to_numpy() for name in ("anomaly", "score", "pred_ano"))
        anomaly, score, label = rest
        return cls(*names, anomaly, held, score, label)

    @property
    def as_run_rows(self) -> RunRows:
        """What run scores are made of."""
        return RunRows(pa.array(self.run), pa.array(self.test_case), pa.array(self.service), self.score)

    @property
    def training_normal(self) -> np.ndarray:
        """The rows that an unsupervised model learns from: bool (rows,)."""
        return ~self.held & ~self.anomaly

    def of_holdout(self) -> "Logs":
        """Return the held-out rows."""
        return Logs(*(column[self.held] for column in vars(self).values()))


def names_of(table: pa.Table, name: str) -> Any:
    """Return a column of names as text."""
    return table[name].cast(pa.string())


def levels_of(logs: Logs, calibration: Mapping[str, Any]) -> Levels:
    """Measure the held-out logs at each level."""
    held = logs.of_holdout()
    scaled = calibrate_scores(held.score, pa.array(held.service), calibration)
    runs = run_scores(held.as_run_rows, calibration)
    by_service = per_service(held)
    found = {
        SEQUENCES: measures(held.anomaly, held.score, held.label),
        SERVICES: {key: _mean([of[key] for of in by_service.values()]) for key in KEYS},
        SCALED: measures(held.anomaly, scaled, scaled > 1),
        RUNS: measures(*(runs[name].to_numpy(zero_copy_only=False) for name in ("anomaly", "score_run", "pred_ano"))),
    }
    return {level: {key: of[key] for key in KEYS} for level, of in found.items()}


def per_service(held: Logs) -> dict[str, dict[str, Any]]:
    """Measure each service's held-out logs."""
    masks = {name: held.service == name for name in sorted(set(held.service))}
    return {name: measures(held.anomaly[of], held.score[of], held.label[of]) for name, of in masks.items()}


def with_length(logs: Logs, layout: Layout) -> tuple[Logs, dict[str, Any]]:
    """Put in place of a model's scores what the lengths alone say, and give the calibration that belongs to it."""
    parts = [read_part(path, ["seq_len"]) for path in part_paths(layout.enhanced)]
    score = unusual_length(pa.concat_tables(parts)["seq_len"].to_numpy(), logs.service, logs.training_normal)
    scored = replace(logs, score=score, label=(score > 1).astype(np.int8))
    return scored, calibrate(scored.as_run_rows, scored.training_normal)


def unusual_length(length: np.ndarray, service: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Score lengths: distance of the logarithm from the service's median, over the widest among its normals."""
    logs, score = np.log(np.maximum(length, 1)), np.zeros(len(length))
    for name in set(service):
        own = service == name
        away = np.abs(logs[own] - np.median(logs[own & normal]))
        score[own] = away / max(away[normal[own]].max(), 1e-9)
    return score


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def figure(value: float | None) -> str:
    """Write a measure, a dash where there is none."""
    return "-" if value is None else f"{value:.3f}"
