"""Bounds of every fit: caps on a model's size, and the number of rows that the memory budget allows."""

from collections.abc import Mapping
from dataclasses import replace

from lo2dask.errors import InputError
from lo2dask.memory import format_bytes
from lo2dask.models.registry import ModelSpec

MAX_FEATURES = 100_000
CAPS: Mapping[str, int] = {"max_depth": 20, "n_estimators": 300, "max_leaf_nodes": 512, "max_leaves": 512}
# Quadratic in rows: more of them would take hours, whatever the memory.
ROW_CAPS: Mapping[str, int] = {"lof": 10_000, "oneclass_svm": 10_000}

# Bytes per stored cell and per row that a fit holds at its peak, the sample itself included, and copies of a dense
# row of all features. CSR float32 with int32 indices is 8 bytes a cell; trees convert to CSC, liblinear and libsvm to
# 16-byte nodes, L-BFGS keeps some 25 vectors, XGBoost a quantile matrix next to its own CSR.
_CELL = {"lr": 24, "dt": 40, "lsvm": 64, "rf": 40, "xgb": 48, "lof": 40, "kmeans": 32, "oneclass_svm": 64, "if": 40}
_ROW = {"lr": 128, "dt": 256, "lsvm": 128, "rf": 512, "xgb": 256, "lof": 2048, "kmeans": 128, "oneclass_svm": 256}
_DENSE = {"lr": 40, "kmeans": 12, "lsvm": 12, "xgb": 200}
# What the interpreter and the imported libraries hold before any fit, and scikit-learn's working memory for neighbours.
_BASE = 300_000_000
_WORKING = {"lof": 150_000_000}


def cap(spec: ModelSpec) -> tuple[ModelSpec, tuple[str, ...]]:
    """Lower what is over the caps: the spec to use, and in words what was changed.

    A forest's depth is bounded by its ``max_samples`` and is left alone.
    """
    params, changes = dict(spec.params), []
    for name, most in CAPS.items():
        if params.get(name) is not None and params[name] > most:
            changes.append(f"{name} lowered from {params[name]} to {most}")
            params[name] = most
    wanted = spec.vectorizer.max_features
    vectorizer = spec.vectorizer
    if spec.fit != "merge" and (wanted is None or wanted > MAX_FEATURES):
        changes.append(f"max_features lowered from {wanted or 'no limit'} to {MAX_FEATURES}")
        vectorizer = replace(vectorizer, max_features=MAX_FEATURES)
    return replace(spec, params=params, vectorizer=vectorizer), tuple(changes)


def fit_bytes(spec: ModelSpec, rows: int, width: int, cells_per_row: float) -> int:
    """Estimate the peak memory of a fit on ``rows`` rows, the process itself included."""
    fixed, per_row = _costs(spec, width, cells_per_row)
    return int(fixed + rows * per_row)


def rows_within(spec: ModelSpec, budget: int, width: int, cells_per_row: float) -> int:
    """Tell how many rows a fit may have under a budget of bytes, and under the algorithm's own cap.

    Raises
    ------
    InputError : the budget does not allow even 100 rows; the message says what would.
    """
    fixed, per_row = _costs(spec, width, cells_per_row)
    rows = int((budget - fixed) / per_row)
    if rows < 100:
        needed = format_bytes(fixed + 100 * per_row)
        raise InputError(
            f"--memory-budget: {format_bytes(budget)} is too little for {spec.key} on {width} features; "
            f"give at least {needed}, or fewer features"
        )
    return min(rows, ROW_CAPS.get(spec.algorithm, rows))


def bound_rows(
    spec: ModelSpec, available: int, budget: int, width: int, cells_per_row: float
) -> tuple[int, tuple[str, ...]]:
    """Choose a sample's size out of the ``available`` rows, and say in words what the bound changed."""
    allowed = rows_within(spec, budget, width, cells_per_row)
    if allowed >= available:
        return available, ()
    squared = allowed == ROW_CAPS.get(spec.algorithm)
    why = "its cost grows with their square" if squared else f"a budget of {format_bytes(budget)}"
    return allowed, (f"sample of {allowed} of {available} rows ({why})",)


def _costs(spec: ModelSpec, width: int, cells_per_row: float) -> tuple[float, float]:
    algorithm = spec.algorithm
    fixed = _BASE + _WORKING.get(algorithm, 0) + 8.0 * width * _DENSE.get(algorithm, 2)
    return fixed, cells_per_row * _CELL.get(algorithm, 40) + _ROW.get(algorithm, 256)
