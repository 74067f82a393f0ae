"""A model as the registry has it: plain values, which a bundle keeps, and the behaviour of its algorithm.

All functions are at the top level of a module, so that a specification pickles; none imports a heavy package before
it is called.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from lo2dask.models.rows import Rows
from lo2dask.schema import BAGS, MAIN

NOTHING: Mapping[str, Any] = MappingProxyType({})
UNEXPLAINED = (
    "TreeExplainer reads decision trees, random forests, XGBoost and Isolation Forest, LinearExplainer logistic "
    "regression and linear SVM."
)
# The parameter of a model that learns from runs which nobody has labelled.
OPEN = "may_hold_faults"
# Explainers that a specification can name.
LINEAR, TREE = "linear", "tree"
Scoring = Mapping[str, Any]
Statistics = dict[str, Any]
State = dict[str, Any]


@dataclass(frozen=True)
class VectorizerSpec:
    """How tokens become columns.

    ``min_df`` counts sequences that the model learns from, ``max_df`` is a share of them, ``max_features`` None means
    no cap.
    """

    binary: bool = True
    min_df: int = 2
    max_df: float = 0.9
    max_features: int | None = 100_000


@dataclass(frozen=True)
class Setup:
    """What a fit needs in addition to its rows.

    ``changes`` are texts on what the guard changed. ``stopping_matrix`` and ``stopping_y`` are the rows of the newest
    training runs, on which XGBoost stops early; without them, or where either side lacks a class, it does not. Without
    ``measured`` the record has neither time, memory nor the model's size: finding them takes a fifth of a small fit.
    """

    seed: int = 42
    changes: tuple[str, ...] = ()
    occurrences: bool = False
    stopping_matrix: Any = None
    stopping_y: np.ndarray | None = None
    measured: bool = True


@dataclass(frozen=True)
class Cost:
    """Bytes that a fit holds at its peak, the sample itself included, beyond what every process holds.

    Attributes
    ----------
    cell, row : bytes per stored cell of the matrix and per row
    dense : dense float64 rows of all features that are held at once
    fixed : bytes whatever the rows
    """

    cell: int
    row: int
    dense: int
    fixed: int

    def __post_init__(self) -> None:
        """Refuse a fit whose rows cost nothing: no budget could bound them."""
        if min(self.cell, self.row) <= 0 or min(self.dense, self.fixed) < 0:
            raise ValueError(f"{self}: a cell and a row must cost more than 0, the rest at least 0")


@dataclass(frozen=True)
class Merging:
    """How statistics of all parts become a model: ``passes`` times partial, merge and finish.

    ``partial(rows, state)`` returns the statistics of one part's training normals, ``state`` being the result of the
    pass before (None in the first); ``merge(left, right)`` joins two, associative and commutative;
    ``finish(statistics, state)`` returns the state, which after the last pass is the model. A state has ``rows``.
    """

    partial: Callable[[Rows, State | None], Statistics]
    merge: Callable[[Statistics, Statistics], Statistics]
    finish: Callable[[Statistics, State | None], State]
    passes: int = 1


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What an algorithm does. How it is fitted, scored, seeded and what it costs has no default.

    Attributes
    ----------
    cost : memory of a fit
    seed_parameter, threads_parameter : parameters of the estimator for the seed and the number of threads; None: none
    score : ``score(model, scoring, rows)`` returns the raw output as scores, float (rows,), higher = more anomalous
    train : ``train(spec, matrix, y, setup)`` returns the fitted model and notes on the fit, as texts
    merging : instead of ``train``: how statistics are merged
    open_merging : the same where what is learned from may hold faults (params: :data:`OPEN`); None: as ``merging``
    boosting : ``boosting(spec, seed)`` returns parameters, rounds and early-stopping rounds for xgboost.dask; a model
        that has it stops early on the newest runs, and is fitted on all workers where one has not enough memory
    row_cap : most rows of a fit whose time grows with their square
    needs_distinct_rows : whether a fit needs two different rows
    threshold : ``threshold(model)`` returns the threshold that the fitted model knows
    hangs_on_rows : whether scores shift with the number of rows learned from, so that folds would not be comparable
    facts : ``facts(model, y, setup)`` returns what scoring needs to know of a fit: plain values
    score_normals : ``score_normals(model, rows)`` scores training normals for calibration; None: as all rows
    has_own_limit : whether a run is flagged where a service is over the model's own threshold, whatever the others
        score; the scores of training normals are then those of ``score_normals``
    unexplained : why there are no SHAP values, where a model has no explainer
    """

    cost: Cost
    seed_parameter: str | None
    threads_parameter: str | None
    score: Callable[[Any, Scoring, Rows], np.ndarray]
    train: Callable[["ModelSpec", Any, np.ndarray, Setup], tuple[Any, tuple[str, ...]]] | None = None
    merging: Merging | None = None
    open_merging: Merging | None = None
    boosting: Callable[["ModelSpec", int], tuple[dict[str, Any], int, int]] | None = None
    row_cap: int | None = None
    needs_distinct_rows: bool = False
    threshold: Callable[[Any], float] | None = None
    hangs_on_rows: bool = False
    facts: Callable[[Any, np.ndarray | None, Setup], dict[str, Any]] | None = None
    score_normals: Callable[[Any, Rows], np.ndarray] | None = None
    has_own_limit: bool = False
    unexplained: str = UNEXPLAINED

    def __post_init__(self) -> None:
        """Refuse an algorithm with no way, or two ways, to fit it."""
        if (self.train is None) == (self.merging is None):
            raise ValueError("an algorithm has one of train and merging")


@dataclass(frozen=True)
class ModelSpec:
    """One model: what it reads, what it learns from, how it is fitted and where its label begins.

    A row is labelled an anomaly when its score is above ``threshold``; where that is None the fit finds it: for a model
    with ``contamination`` as that quantile of the training scores, else by ``behaviour.threshold``. A supervised model
    needs rows of both classes. ``explainer`` is :data:`LINEAR`, :data:`TREE` or None.
    """

    key: str
    algorithm: str
    representation: str
    estimator: str
    behaviour: Behaviour
    supervised: bool = False
    normal_only: bool = False
    vectorizer: VectorizerSpec = VectorizerSpec()
    params: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    numeric: tuple[str, ...] = ()
    threshold: float | None = None
    contamination: float | None = None
    explainer: str | None = None
    always_explained: bool = False

    def __post_init__(self) -> None:
        """Make the parameters read-only, and refuse an explainer that there is not."""
        if self.explainer not in (None, LINEAR, TREE):
            raise ValueError(f"{self.key}: there is no explainer {self.explainer!r}; there are {LINEAR} and {TREE}")
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the values of the fields: a read-only mapping does not pickle."""
        values = {own.name: getattr(self, own.name) for own in fields(self)}
        return _rebuild, (values | {"params": dict(self.params)},)

    @property
    def bags(self) -> tuple[str, ...]:
        """The token representations that the model reads: one of them, or "all" three that every table has."""
        if self.representation == "all":
            return tuple(MAIN)
        return (self.representation,) if self.representation in BAGS else ()

    @property
    def is_merged(self) -> bool:
        """Whether statistics of all parts are merged, instead of a fit on rows."""
        return self.behaviour.merging is not None

    @property
    def merging(self) -> Merging | None:
        """How statistics are merged, if they are."""
        return (self.params.get(OPEN) and self.behaviour.open_merging) or self.behaviour.merging

    @property
    def is_binary(self) -> bool:
        """Whether the matrix holds 1 for a token that is there; merged statistics count."""
        return self.vectorizer.binary and not self.is_merged

    @property
    def is_distributed(self) -> bool:
        """Whether the model can be fitted on all workers at once."""
        return self.behaviour.boosting is not None

    @property
    def identity(self) -> "ModelSpec":
        """The specification without its names: models of equal identity are one model."""
        return replace(self, key="", always_explained=False)

    @property
    def fit(self) -> str:
        """How it is fitted: merge (of statistics), distributed, or sample (bounded, stratified, seeded)."""
        if self.is_merged:
            return "merge"
        return "distributed" if self.is_distributed else "sample"

    def to_plain(self) -> dict[str, Any]:
        """Return all but the behaviour as plain JSON types, for bundles and records."""
        nested = {"vectorizer": asdict(self.vectorizer), "params": dict(self.params), "numeric": list(self.numeric)}
        values = {own.name: getattr(self, own.name) for own in fields(self) if own.name != "behaviour"}
        return values | {"fit": self.fit} | nested


def _rebuild(values: dict[str, Any]) -> ModelSpec:
    return ModelSpec(**values)
