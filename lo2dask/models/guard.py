"""Bounds of every fit: caps on a model's size, and the number of rows that the memory budget allows."""

from collections.abc import Mapping
from dataclasses import replace

from lo2dask.errors import InputError
from lo2dask.memory import format_bytes
from lo2dask.models.spec import ModelSpec

MAX_FEATURES = 100_000
CAPS: Mapping[str, int] = {"max_depth": 20, "n_estimators": 300, "max_leaf_nodes": 512, "max_leaves": 512}
# What the interpreter and the imported libraries hold before any fit.
_BASE = 300_000_000


def cap(spec: ModelSpec) -> tuple[ModelSpec, tuple[str, ...]]:
    """Lower what is over the caps; return the spec to use, and a text for each change.

    A forest's depth is bounded by its ``max_samples`` and is left alone.
    """
    params, changes = dict(spec.params), []
    for name, most in CAPS.items():
        if params.get(name) is not None and params[name] > most:
            changes.append(f"{name} lowered from {params[name]} to {most}")
            params[name] = most
    wanted = spec.vectorizer.max_features
    vectorizer = spec.vectorizer
    if not spec.is_merged and (wanted is None or wanted > MAX_FEATURES):
        changes.append(f"max_features lowered from {wanted or 'no limit'} to {MAX_FEATURES}")
        vectorizer = replace(vectorizer, max_features=MAX_FEATURES)
    return replace(spec, params=params, vectorizer=vectorizer), tuple(changes)


def fit_bytes(spec: ModelSpec, rows: int, width: int, cells_per_row: float) -> int:
    """Estimate the peak memory of a fit on ``rows`` rows, the process itself included."""
    fixed, per_row = _costs(spec, width, cells_per_row)
    return int(fixed + rows * per_row)


def rows_within(spec: ModelSpec, budget: int, width: int, cells_per_row: float) -> int:
    """Return how many rows a fit may have under a budget of bytes, and under the algorithm's own cap.

    Raises
    ------
    InputError : the budget does not allow even 100 rows; the message names one that does.
    """
    fixed, per_row = _costs(spec, width, cells_per_row)
    rows = int((budget - fixed) / per_row)
    if rows < 100:
        needed = format_bytes(fixed + 100 * per_row)
        raise InputError(
            f"--memory-budget: {format_bytes(budget)} is too little for {spec.key} on {width} features; "
            f"give at least {needed}, or fewer features"
        )
    return min(rows, spec.behaviour.row_cap or rows)


def bound_rows(
    spec: ModelSpec, available: int, budget: int, width: int, cells_per_row: float
) -> tuple[int, tuple[str, ...]]:
    """Choose a sample's size out of the ``available`` rows; return it, and a text for each change."""
    allowed = rows_within(spec, budget, width, cells_per_row)
    if allowed >= available:
        return available, ()
    squared = allowed == spec.behaviour.row_cap
    why = "its cost grows with their square" if squared else f"a budget of {format_bytes(budget)}"
    return allowed, (f"sample of {allowed} of {available} rows ({why})",)


def plan_fit(
    spec: ModelSpec, size: tuple[int, int, float], budget: int, guarded: bool, has_workers: bool
) -> tuple[int, tuple[str, ...], bool]:
    """Bound the rows of one fit; ``size`` is its rows, columns and stored cells per row.

    Returns
    -------
    rows, what the guard changed, and whether all workers fit the model together, which takes all rows: as it is where
    they are over the budget, with and without the guard, which alone draws samples.
    """
    can_spread = spec.is_distributed and has_workers
    if not guarded:
        return size[0], (), can_spread and fit_bytes(spec, *size) > budget
    allowed, bounded = bound_rows(spec, size[0], budget, *size[1:])
    if can_spread and allowed < size[0]:
        return size[0], cap(spec)[1], True
    return allowed, (*cap(spec)[1], *bounded), False


def _costs(spec: ModelSpec, width: int, cells_per_row: float) -> tuple[float, float]:
    """Return what a fit holds whatever its rows, and what each row adds."""
    cost = spec.behaviour.cost
    return _BASE + cost.fixed + 8.0 * width * cost.dense, cells_per_row * cost.cell + cost.row
