"""Fit one model on one matrix, in one process and one thread, and record what it took.

``fit_model(spec, matrix, y, setup)`` serves the sampled fits and the single-process XGBoost fit; ``from_state`` and
``from_booster`` finish what was merged from parts or trained by xgboost.dask. All give :class:`Fitted`. A model whose
training rows cannot teach it (one class alone, no row, no feature) is no error: ``fitted.model`` is None and
``fitted.record.reason`` says why.
"""

import importlib
import logging
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lo2dask.memory import measure
from lo2dask.models import score
from lo2dask.models.estimators import Rows, State
from lo2dask.models.gauge import Gauge, pickled_bytes
from lo2dask.models.registry import ModelSpec

logger = logging.getLogger(__name__)

_SEEDED = ("lr", "dt", "lsvm", "rf", "kmeans", "if")
_THREADED = ("rf", "lof", "if")


@dataclass(frozen=True)
class Setup:
    """What a fit needs next to its rows.

    ``changes`` are the guard's words. ``stopping_matrix`` and ``stopping_y`` are the rows of the newest training runs
    on which XGBoost's early stopping is decided; without them, or where either side lacks a class, it is off.
    """

    seed: int = 42
    changes: tuple[str, ...] = ()
    occurrences: bool = False
    stopping_matrix: Any = None
    stopping_y: np.ndarray | None = None


DEFAULT = Setup()


@dataclass(frozen=True)
class FitRecord:
    """What a fit took and gave; ``memory_measure`` is PSS or RSS, ``reason`` says why a model is not fitted."""

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


def build(spec: ModelSpec, seed: int = 42) -> Any:
    """Make the unfitted scikit-learn estimator of a spec, seeded, in one thread."""
    module, _, name = spec.estimator.rpartition(".")
    params = dict(spec.params)
    if spec.algorithm in _SEEDED:
        params["random_state"] = seed
    if spec.algorithm in _THREADED:
        params["n_jobs"] = 1
    return getattr(importlib.import_module(module), name)(**params)


def why_not(spec: ModelSpec, matrix: Any, y: np.ndarray) -> str | None:
    """Say why these training rows cannot teach a model, or give None."""
    rows, features = matrix.shape
    if not rows:
        return f"the training part has no {'normal ' if spec.normal_only else ''}sequence"
    if spec.supervised and (y.all() or not y.any()):
        return f"the training part has {'anomalies' if y.all() else 'normal sequences'} only; both classes are needed"
    if not features:
        return "the training part has no feature within the vectorizer's bounds"
    if spec.algorithm in ("lof", "kmeans") and len(distinct_rows(matrix)) < 2:
        return "all training sequences are alike; two different ones are needed"
    return None


def fit_model(spec: ModelSpec, matrix: Any, y: np.ndarray, setup: Setup = DEFAULT) -> Fitted:
    """Fit a model to a csr_matrix (rows, features) and labels (rows,), True = anomaly.

    A spec that learns from normals alone drops the anomalies here. Any merged algorithm belongs to
    :mod:`lo2dask.models.estimators`.
    """
    y = np.asarray(y, dtype=bool)
    if spec.normal_only:
        matrix, y = matrix[~y], y[~y]
    matrix = prepared(matrix)
    reason = why_not(spec, matrix, y)
    if reason:
        return not_fitted(spec, reason, matrix.shape, setup.changes)
    with Gauge() as gauge, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, notes = _train(spec, matrix, y, setup)
    words = tuple(sorted({str(warning.message).split("\n")[0] for warning in caught}))
    record = FitRecord(
        key=spec.key,
        fitted=True,
        reason=None,
        rows=matrix.shape[0],
        anomalies=int(y.sum()),
        features=matrix.shape[1],
        seconds=round(gauge.seconds, 4),
        peak_memory_mb=round(gauge.peak_bytes / 1e6, 1),
        memory_measure=measure(),
        model_bytes=pickled_bytes(model),
        changes=(*setup.changes, *notes),
        warnings=words,
    )
    logger.info("%s: fitted on %d rows x %d features in %.2f s", spec.key, *matrix.shape, gauge.seconds)
    return Fitted(model, _scoring(spec, model, matrix, y, setup), record)


def not_fitted(spec: ModelSpec, reason: str, shape: tuple[int, int], changes: tuple[str, ...] = ()) -> Fitted:
    """Record a model that could not be fitted, with the reason."""
    logger.warning("%s: not fitted: %s", spec.key, reason)
    record = FitRecord(spec.key, False, reason, shape[0], 0, shape[1], changes=changes)
    return Fitted(None, {"algorithm": spec.algorithm, "threshold": spec.threshold}, record)


def from_state(spec: ModelSpec, state: State, seconds: float, features: int, setup: Setup = DEFAULT) -> Fitted:
    """Close the fit of a merged statistic: its state is the model."""
    if not state["rows"]:
        return not_fitted(spec, "the training part has no normal sequence", (0, features), setup.changes)
    record = FitRecord(
        key=spec.key,
        fitted=True,
        reason=None,
        rows=state["rows"],
        anomalies=0,
        features=features,
        seconds=round(seconds, 4),
        model_bytes=pickled_bytes(state),
        changes=setup.changes,
    )
    return Fitted(state, _plain_scoring(spec, setup), record)


def from_booster(spec: ModelSpec, booster: Any, record: Mapping[str, Any]) -> Fitted:
    """Close a fit of xgboost.dask; ``record`` has the FitRecord's fields beyond key, fitted, reason, model_bytes."""
    whole = FitRecord(key=spec.key, fitted=True, reason=None, model_bytes=pickled_bytes(booster), **record)
    return Fitted(booster, _plain_scoring(spec, DEFAULT), whole)


def prepared(matrix: Any) -> Any:
    """Return a csr_matrix, float32, int32 indices, without stored zeros, which XGBoost takes for values."""
    from scipy.sparse import csr_matrix

    matrix = csr_matrix(matrix, dtype=np.float32)
    if matrix.nnz and not matrix.data.all():
        matrix = matrix.copy()
        matrix.eliminate_zeros()
    if matrix.indices.dtype != np.int32:
        parts = (matrix.data, matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32))
        matrix = csr_matrix(parts, shape=matrix.shape)
    return matrix


def distinct_rows(matrix: Any) -> np.ndarray:
    """Return the index of the first of each set of equal rows, in order: int64 (distinct rows,)."""
    seen: dict[tuple[bytes, bytes], int] = {}
    for row in range(matrix.shape[0]):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        seen.setdefault((matrix.indices[part].tobytes(), matrix.data[part].tobytes()), row)
    return np.array(list(seen.values()), dtype=np.int64)


def boosting_params(spec: ModelSpec, seed: int) -> tuple[dict[str, Any], int, int]:
    """Split an XGBoost spec into training parameters, rounds and early-stopping rounds."""
    params = dict(spec.params)
    rounds, patience = params.pop("n_estimators"), params.pop("early_stopping_rounds")
    fixed = {"objective": "binary:logistic", "eval_metric": "logloss", "seed": seed, "verbosity": 0}
    return params | fixed, rounds, patience


def both_classes(y: np.ndarray | None) -> bool:
    """Return whether labels have both classes."""
    return y is not None and bool(np.any(y)) and not bool(np.all(y))


def best_rounds(booster: Any) -> Any:
    """Cut a booster to the rounds that early stopping found best, so that all its users see the same model."""
    best = booster.attr("best_iteration")
    return booster if best is None else booster[: int(best) + 1]


def _train(spec: ModelSpec, matrix: Any, y: np.ndarray, setup: Setup) -> tuple[Any, tuple[str, ...]]:
    from threadpoolctl import threadpool_limits

    if spec.algorithm == "xgb":
        return _boost(spec, matrix, y, setup)
    model, notes = build(spec, setup.seed), tuple[str, ...]()
    if spec.algorithm == "lof":
        # Equal rows make the local density infinite once they outnumber the neighbours: each counts once.
        unique = distinct_rows(matrix)
        neighbours = min(model.n_neighbors, len(unique) - 1)
        notes = (f"{len(unique)} distinct of {matrix.shape[0]} rows, {neighbours} neighbours",)
        matrix, y = matrix[unique], y[unique]
        model.set_params(n_neighbors=neighbours)
    if spec.algorithm == "if" and isinstance(model.max_samples, int):
        model.set_params(max_samples=min(model.max_samples, matrix.shape[0]))
    import sklearn

    with threadpool_limits(1), sklearn.config_context(working_memory=score.WORKING_MEMORY_MB):
        model.fit(matrix, y.astype(np.int8)) if spec.supervised else model.fit(matrix)
    if spec.algorithm == "if":
        _share_features(model)
    return model, notes


def _share_features(forest: Any) -> None:
    """Let all trees that read all columns hold one list of them: 64 MB less for 200 trees on 40,000 columns."""
    first = forest.estimators_features_[0]
    if all(np.array_equal(features, first) for features in forest.estimators_features_):
        forest.estimators_features_ = [first] * len(forest.estimators_)


def _boost(spec: ModelSpec, matrix: Any, y: np.ndarray, setup: Setup) -> tuple[Any, tuple[str, ...]]:
    import xgboost

    params, rounds, patience = boosting_params(spec, setup.seed)
    train = xgboost.DMatrix(matrix, label=y.astype(np.float32), nthread=1)
    rest: dict[str, Any] = {}
    notes: tuple[str, ...] = ("early stopping off: the newest training runs lack a class",)
    if both_classes(setup.stopping_y):
        held = xgboost.DMatrix(prepared(setup.stopping_matrix), label=np.float32(setup.stopping_y), nthread=1)
        rest, notes = {"evals": [(held, "newest")], "early_stopping_rounds": patience, "verbose_eval": False}, ()
    booster = best_rounds(xgboost.train(params | {"nthread": 1}, train, num_boost_round=rounds, **rest))
    return booster, (*notes, f"{booster.num_boosted_rounds()} rounds")


def _plain_scoring(spec: ModelSpec, setup: Setup) -> dict[str, Any]:
    scoring: dict[str, Any] = {"algorithm": spec.algorithm, "threshold": spec.threshold}
    return scoring | {"occurrences": setup.occurrences} if spec.algorithm == "oov" else scoring


def _scoring(spec: ModelSpec, model: Any, matrix: Any, y: np.ndarray, setup: Setup) -> dict[str, Any]:
    scoring = _plain_scoring(spec, setup)
    if spec.algorithm == "kmeans":
        scoring["anomalous_cluster"] = score.anomalous_cluster(model.labels_, y)
    if spec.algorithm in ("lof", "oneclass_svm"):
        scoring["threshold"] = score.natural_threshold(model)
    if spec.contamination is not None:
        scores = score.score(model, scoring, Rows(matrix))
        scoring["threshold"] = float(np.quantile(scores, 1.0 - spec.contamination))
    return scoring
