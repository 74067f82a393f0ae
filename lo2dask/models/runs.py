"""Scores of whole runs: one row per run and test case, its services combined.

A sequence's score s is calibrated on the training normals of its own service, so that services compare::

    c = (s - median) / (q95 - median), cut to [-10, 10]

with the median and the 95 % quantile (an observed score, the next higher one) of that service's training normals: 0
is an ordinary normal sequence, 1 one of the most unusual normals. A few outliers among the normals change neither
figure. A service whose normals have no spread takes the mean spread of the others, or 1 where none has any. A service
without training normals is calibrated on all services together. A training normal is put on a scale that it has no part
in, as a new one is. ``score_run`` is the largest c over the services of a run and test case: one failing service does
not drown among those that are well. ``p`` compares it with the ``score_run`` of the training part's normal cases (see
conformal.py), each scored by a model that has not seen its run. A case is an anomaly (``pred_ano``) at p of at most
.05, so never with fewer than 19 normal cases.

A model with a limit of its own (``excess``) is not calibrated: a case is an anomaly where a service is over the limit,
and its p is only given beside it.

``top_service`` is the answer of ``excess``, whatever the model: null where no service stands out, or where there is no
``excess``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import codes, is_true, strings
from lo2dask.models.conformal import ALPHA, QUANTILE, left_out_centres, limit_of, p_values
from lo2dask.models.score import dense_rank

BOUND = 10.0
Calibration = dict[str, Any]
# The service that stands out in each run and test case.
Answers = Mapping[tuple[str, str], str]

RUNS = pa.schema(
    [
        pa.field("run", pa.string()),
        pa.field("test_case", pa.string()),
        pa.field("normal", pa.bool_()),
        pa.field("anomaly", pa.bool_()),
        pa.field("pred_ano", pa.int8()),
        pa.field("score_run", pa.float64()),
        pa.field("p", pa.float64()),
        pa.field("rank", pa.int64()),
        pa.field("top_service", pa.string()),
        pa.field("n_services", pa.int64()),
    ]
)


@dataclass(frozen=True)
class RunRows:
    """Scored sequences: run, test case and service names and scores, each (rows,).

    ``learned`` is the bool mask of the training normals, if they are among them; ``anomaly`` an Arrow array of their
    labels, null where there is none (None: of all).
    """

    run: Any
    test_case: Any
    service: Any
    score: np.ndarray
    learned: np.ndarray | None = None
    anomaly: Any = None


def calibrate(rows: RunRows, training_normal: np.ndarray) -> Calibration:
    """Learn the calibration from the rows of a bool mask (rows,): plain JSON types, kept in the bundle.

    The scores of those rows should be those of models that have not seen their run.

    ``{"services": {name: {"median", "spread"}}, "pooled": {...}, "normal_maxima", "alpha", "threshold"}``, the
    threshold being that of p, None where there are too few normal cases; with no training normal it is the identity.
    """
    service, names = codes(rows.service)
    chosen = {name: np.flatnonzero(training_normal & (service == index)) for index, name in enumerate(names)}
    known = {name: _centre(rows.score[own]) for name, own in chosen.items() if len(own)}
    spreads = [entry["spread"] for entry in known.values() if entry["spread"] > 0]
    fallback = float(np.mean(spreads)) if spreads else 1.0
    pooled = _centre(rows.score[training_normal]) if training_normal.any() else {"median": 0.0, "spread": 0.0}
    for entry in (*known.values(), pooled):
        entry["spread"] = entry["spread"] or fallback
    value = calibrate_scores(rows.score, rows.service, {"services": known, "pooled": pooled}, training_normal)
    case, cases = codes(rows.test_case)
    group = codes(rows.run)[0] * max(len(cases), 1) + case
    distinct, of_case = np.unique(group[training_normal], return_inverse=True)
    maxima = np.full(len(distinct), -np.inf)
    np.maximum.at(maxima, of_case, value[training_normal])
    judged = {"normal_maxima": np.sort(maxima).tolist(), "alpha": ALPHA, "threshold": limit_of(maxima)}
    return {"services": known, "pooled": pooled, **judged}


def flag(scores: np.ndarray, calibration: Mapping[str, Any], is_among: np.ndarray | bool = False) -> np.ndarray:
    """Return which cases are anomalies by their score: above the model's own limit, else at p ≤ α: bool (scores,)."""
    if calibration.get("own_limit"):
        return scores > calibration["threshold"]
    return p_values(scores, calibration["normal_maxima"], is_among) <= calibration["alpha"]


def uncalibrated(threshold: float) -> Calibration:
    """Return the calibration of a model with a limit of its own."""
    return {"services": {}, "pooled": {"median": 0.0, "spread": 1.0}, "threshold": threshold, "own_limit": True}


@dataclass(frozen=True)
class Best:
    """The service of a case that scores highest, its score, and how far the next one is below it."""

    service: str
    score: float
    margin: float


def best_services(rows: RunRows) -> dict[tuple[str, str], Best]:
    """Find the service that scores highest in each run and test case; ties go to the first by name."""
    run, run_names = codes(rows.run)
    case, case_names = codes(rows.test_case)
    service, service_names = codes(rows.service)
    if not len(run):
        return {}
    group = run * len(case_names) + case
    # The highest score of each service first, services in their order among equal ones.
    order = np.lexsort((service, -rows.score, group))
    _, first_of_service = np.unique(group[order] * len(service_names) + service[order], return_index=True)
    order = order[np.sort(first_of_service)]
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    alone = np.diff(np.append(starts, len(order))) == 1
    score = rows.score[order]
    second = np.where(alone, 0.0, score[np.minimum(starts + 1, len(order) - 1)])
    keys = ((run_names[key // len(case_names)], case_names[key % len(case_names)]) for key in group[order][starts])
    columns = (service[order][starts].tolist(), score[starts].tolist(), (score[starts] - second).tolist())
    found = zip(*columns, strict=True)
    return {key: Best(service_names[at], *figures) for key, (at, *figures) in zip(keys, found, strict=True)}


def name_services(rows: RunRows, threshold: float) -> dict[tuple[str, str], str]:
    """Name the service with the largest score of each run and test case where it is over the threshold."""
    over = rows.score > threshold
    run, test_case, service = (strings(of).filter(pa.array(over)) for of in (rows.run, rows.test_case, rows.service))
    return {
        case: best.service for case, best in best_services(RunRows(run, test_case, service, rows.score[over])).items()
    }


def run_scores(rows: RunRows, calibration: Mapping[str, Any], answers: Answers) -> pa.Table:
    """Combine the services of each run and test case: a table of :data:`RUNS`, sorted by run and test case."""
    keys, score_run, group = _combine(rows, calibration)
    is_among = np.zeros(len(keys), dtype=bool)
    if rows.learned is not None:
        is_among[group[rows.learned]] = True
    anomaly = _label(rows, group, len(keys))
    columns = {
        "run": [run for run, _ in keys],
        "test_case": [case for _, case in keys],
        "normal": pc.invert(anomaly),
        "anomaly": anomaly,
        "pred_ano": flag(score_run, calibration, is_among).astype(np.int8),
        "score_run": score_run,
        "p": p_values(score_run, calibration.get("normal_maxima", ()), is_among),
        "rank": dense_rank(score_run),
        "top_service": [answers.get(key) for key in keys],
        "n_services": np.bincount(group, minlength=len(keys)),
    }
    return pa.table(columns, schema=RUNS)


def calibrate_scores(
    score: np.ndarray, service: Any, calibration: Mapping[str, Any], learned: np.ndarray | None = None
) -> np.ndarray:
    """Put scores on their service's scale (see the formula above): float64 (rows,).

    ``learned`` is the bool mask of the training normals among the rows: each is put on the scale of the others.
    """
    if calibration.get("own_limit"):
        return score
    code, names = codes(service)
    if not len(code):
        return np.empty(0)
    pooled = calibration["pooled"]
    entries = [calibration["services"].get(name, pooled) for name in names]
    median = np.array([entry["median"] for entry in entries])[code]
    spread = np.array([entry["spread"] for entry in entries])[code]
    if learned is not None:
        # A service without a spread has the mean of the others' already.
        fallback = float(np.mean([entry["spread"] for entry in calibration["services"].values()] or [1.0]))
        for index in np.unique(code[learned]).tolist():
            own = np.flatnonzero(learned & (code == index))
            if len(own) > 1:
                median[own], others = left_out_centres(score[own])
                spread[own] = np.where(others > 0, others, fallback)
            else:
                median[own], spread[own] = pooled["median"], pooled["spread"]
    return _scaled(score, median, spread)


def _combine(rows: RunRows, calibration: Mapping[str, Any]) -> tuple[list[tuple[str, str]], np.ndarray, np.ndarray]:
    """Return the keys (run, test case), their scores, and each row's index among the keys."""
    run, run_names = codes(rows.run)
    case, case_names = codes(rows.test_case)
    distinct, group = np.unique(run * max(len(case_names), 1) + case, return_inverse=True)
    keys = [(run_names[key // len(case_names)], case_names[key % len(case_names)]) for key in distinct]
    value = calibrate_scores(rows.score, rows.service, calibration, rows.learned)
    largest = np.full(len(keys), -np.inf)
    np.maximum.at(largest, group, value)
    return keys, largest, group


def _label(rows: RunRows, group: np.ndarray, size: int) -> pa.Array:
    """Label cases: anomalous with one such sequence, null with no labelled one."""
    if rows.anomaly is None:
        return pa.nulls(size, pa.bool_())
    labelled, anomaly = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    labelled[group[pc.is_valid(rows.anomaly).to_numpy(zero_copy_only=False)]] = True
    anomaly[group[is_true(rows.anomaly)]] = True
    return pa.array(anomaly, mask=~labelled)


def _scaled(score: np.ndarray, median: Any, spread: Any) -> np.ndarray:
    return np.clip((score - median) / spread, -BOUND, BOUND)


def _centre(scores: np.ndarray) -> dict[str, float]:
    median = float(np.median(scores))
    return {"median": median, "spread": _quantile(scores) - median}


def _quantile(scores: np.ndarray) -> float:
    return float(np.quantile(scores, QUANTILE, method="higher"))
