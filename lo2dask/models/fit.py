"""Fit one model on one matrix, in one process and one thread, and record what it took.

``fit_model(spec, matrix, y, setup)`` fits on rows in one process; ``from_state`` finishes what was merged from parts,
``close_fit`` what xgboost.dask trained. All return :class:`Fitted`. A model that cannot be fitted on its training rows
(one class alone, no row, no feature) is no error: ``fitted.model`` is None, and ``fitted.record.reason`` is the reason.
"""

import importlib
import logging
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lo2dask.memory import measure
from lo2dask.models import score
from lo2dask.models.gauge import Gauge, pickled_bytes
from lo2dask.models.rows import Rows, find_distinct_rows, prepare_matrix
from lo2dask.models.spec import ModelSpec, Setup, State

logger = logging.getLogger(__name__)

DEFAULT = Setup()


@dataclass(frozen=True)
class FitRecord:
    """Cost and result of a fit; ``memory_measure`` is PSS or RSS, ``reason`` is why a model is not fitted."""

    key: str
    fitted: bool
    reason: str | None
    rows: int
    anomalies: int
    features: int
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    memory_measure: str = ""
    model_bytes: int = 0
    changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """Return the record as plain JSON types."""
        return asdict(self) | {"changes": list(self.changes), "warnings": list(self.warnings)}


@dataclass(frozen=True)
class Fitted:
    """A model, the plain dict by which its output is scored (see score.py), and the record of the fit."""

    model: Any
    scoring: dict[str, Any]
    record: FitRecord


def find_obstacle(spec: ModelSpec, matrix: Any, y: np.ndarray) -> str | None:
    """Return why these training rows cannot teach a model; None where they can."""
    rows, features = matrix.shape
    if not rows:
        return f"the training part has no {'normal ' if spec.normal_only else ''}sequence"
    if spec.supervised and (y.all() or not y.any()):
        return f"the training part has {'anomalies' if y.all() else 'normal sequences'} only; both classes are needed"
    if not features:
        return "the training part has no feature within the vectorizer's bounds"
    if spec.behaviour.needs_distinct_rows and len(find_distinct_rows(matrix, 2)) < 2:
        return "all training sequences are alike; two different ones are needed"
    return None


def fit_model(spec: ModelSpec, matrix: Any, y: np.ndarray, setup: Setup = DEFAULT) -> Fitted:
    """Fit a model to a csr_matrix (rows, features) and labels (rows,), True = anomaly.

    A spec that learns from normals alone drops the anomalies here. Merged statistics have no fit on rows.
    """
    y = np.asarray(y, dtype=bool)
    if spec.normal_only:
        matrix, y = matrix[~y], y[~y]
    assert spec.behaviour.train, spec.key
    matrix = prepare_matrix(matrix)
    reason = find_obstacle(spec, matrix, y)
    if reason:
        return not_fitted(spec, reason, matrix.shape, setup.changes)
    module, _, _ = spec.estimator.rpartition(".")
    if module:  # the time of its first import is no part of a fit
        importlib.import_module(module)
    gauge = Gauge()
    with gauge if setup.measured else nullcontext(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, notes = spec.behaviour.train(spec, matrix, y, setup)
    logger.debug("%s: fitted on %d rows x %d features in %.2f s", spec.key, *matrix.shape, gauge.seconds)
    figures = {
        **{"rows": matrix.shape[0], "anomalies": int(y.sum()), "features": matrix.shape[1]},
        **{"seconds": round(gauge.seconds, 4), "peak_memory_mb": round(gauge.peak_bytes / 1e6, 1)},
        **{"memory_measure": measure(), "changes": (*setup.changes, *notes)},
        "warnings": tuple(sorted({str(warning.message).split("\n")[0] for warning in caught})),
    }
    fitted = close_fit(spec, model, figures, y, setup)
    if spec.behaviour.threshold:
        fitted.scoring["threshold"] = spec.behaviour.threshold(model)
    if spec.contamination is not None:
        scores = score.score(spec, model, fitted.scoring, Rows(matrix))
        fitted.scoring["threshold"] = float(np.quantile(scores, 1.0 - spec.contamination))
    return fitted


def not_fitted(spec: ModelSpec, reason: str, shape: tuple[int, int], changes: tuple[str, ...] = ()) -> Fitted:
    """Record a model that could not be fitted, with the reason."""
    logger.debug("%s: not fitted: %s", spec.key, reason)
    record = FitRecord(spec.key, False, reason, shape[0], 0, shape[1], changes=changes)
    return Fitted(None, {"algorithm": spec.algorithm, "threshold": spec.threshold}, record)


def from_state(spec: ModelSpec, state: State, seconds: float, features: int, setup: Setup = DEFAULT) -> Fitted:
    """Finish the fit of a merged statistic: its state is the model."""
    if not state["rows"]:
        return not_fitted(spec, "the training part has no normal sequence", (0, features), setup.changes)
    figures = {"rows": state["rows"], "anomalies": 0, "features": features, "seconds": round(seconds, 4)}
    return close_fit(spec, state, figures | {"changes": setup.changes}, None, setup)


def close_fit(
    spec: ModelSpec, model: Any, figures: Mapping[str, Any], y: np.ndarray | None = None, setup: Setup = DEFAULT
) -> Fitted:
    """Record a fitted model; ``figures`` are the FitRecord's fields except key, fitted, reason and model_bytes."""
    size = pickled_bytes(model) if setup.measured else 0
    record = FitRecord(key=spec.key, fitted=True, reason=None, model_bytes=size, **figures)
    facts = spec.behaviour.facts(model, y, setup) if spec.behaviour.facts else {}
    return Fitted(model, {"algorithm": spec.algorithm, "threshold": spec.threshold, **facts}, record)
