"""The algorithms of scikit-learn and XGBoost: how each is fitted, scored and seeded, and what it costs.

KMeans' clusters have no names. The anomalous one is that with the larger share of anomalies among the training rows;
where the training rows are all of one class, the smaller one; at a tie, the second.
"""

import contextlib
import functools
import importlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from lo2dask.models.rows import Rows, find_distinct_rows, keep_columns
from lo2dask.models.spec import Behaviour, Cost, ModelSpec, Scoring, Setup

WORKING_MEMORY_MB = 128
Trained = tuple[Any, tuple[str, ...]]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Keep scikit-learn and its numeric libraries to one thread and to bounded working memory."""
    import sklearn

    with _thread_pools(len(sys.modules)).limit(limits=1), sklearn.config_context(working_memory=WORKING_MEMORY_MB):
        yield


@functools.lru_cache(maxsize=1)
def _thread_pools(modules: int) -> Any:
    """Find the libraries with threads that are loaded: with so many ``modules``, as each comes with one of them."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def build(spec: ModelSpec, seed: int = 42) -> Any:
    """Make the unfitted scikit-learn estimator of a spec, seeded, in one thread."""
    module, _, name = spec.estimator.rpartition(".")
    own = {spec.behaviour.seed_parameter: seed, spec.behaviour.threads_parameter: 1}
    params = dict(spec.params) | {parameter: value for parameter, value in own.items() if parameter}
    return getattr(importlib.import_module(module), name)(**params)


def train_estimator(spec: ModelSpec, matrix: Any, y: np.ndarray, setup: Setup) -> Trained:
    """Fit a scikit-learn estimator."""
    return _fit(spec, build(spec, setup.seed), matrix, y), ()


def train_on_distinct_rows(spec: ModelSpec, matrix: Any, y: np.ndarray, setup: Setup) -> Trained:
    """Fit a model of local density on distinct rows: equal ones make it infinite once they outnumber the neighbours."""
    model, unique = build(spec, setup.seed), find_distinct_rows(matrix)
    neighbours = min(model.n_neighbors, len(unique) - 1)
    model.set_params(n_neighbors=neighbours)
    note = f"{len(unique)} distinct of {matrix.shape[0]} rows, {neighbours} neighbours"
    return _fit(spec, model, matrix[unique], y[unique]), (note,)


def train_forest(spec: ModelSpec, matrix: Any, y: np.ndarray, setup: Setup) -> Trained:
    """Fit an Isolation Forest, whose sample cannot be larger than the rows."""
    model = build(spec, setup.seed)
    if isinstance(model.max_samples, int):
        model.set_params(max_samples=min(model.max_samples, matrix.shape[0]))
    _share_features(_fit(spec, model, matrix, y))
    return model, ()


def train_booster(spec: ModelSpec, matrix: Any, y: np.ndarray, setup: Setup) -> Trained:
    """Fit XGBoost in one thread; early stopping is on where the newest runs have both classes."""
    import xgboost

    params, rounds, patience = boosting_params(spec, setup.seed)
    train = xgboost.DMatrix(matrix, label=y.astype(np.float32), nthread=1)
    rest: dict[str, Any] = {}
    notes: tuple[str, ...] = ("early stopping off: the newest training runs lack a class",)
    if has_both_classes(setup.stopping_y):
        held = xgboost.DMatrix(setup.stopping_matrix, label=np.float32(setup.stopping_y), nthread=1)
        rest, notes = {"evals": [(held, "newest")], "early_stopping_rounds": patience, "verbose_eval": False}, ()
    booster = best_rounds(xgboost.train(params | {"nthread": 1}, train, num_boost_round=rounds, **rest))
    return booster, (*notes, f"{booster.num_boosted_rounds()} rounds")


def boosting_params(spec: ModelSpec, seed: int) -> tuple[dict[str, Any], int, int]:
    """Split an XGBoost spec into training parameters, rounds and early-stopping rounds."""
    params = dict(spec.params)
    rounds, patience = params.pop("n_estimators"), params.pop("early_stopping_rounds")
    fixed = {"objective": "binary:logistic", "eval_metric": "logloss", "seed": seed, "verbosity": 0}
    return params | fixed, rounds, patience


def has_both_classes(y: np.ndarray | None) -> bool:
    """Return whether labels have both classes."""
    return y is not None and bool(np.any(y)) and not bool(np.all(y))


def best_rounds(booster: Any) -> Any:
    """Cut a booster to the best rounds by early stopping, so that all its users see the same model."""
    best = booster.attr("best_iteration")
    return booster if best is None else booster[: int(best) + 1]


def score_probability(model: Any, _: Scoring, rows: Rows) -> np.ndarray:
    """Return the probability of an anomaly."""
    with one_thread():
        return model.predict_proba(rows.matrix)[:, list(model.classes_).index(1)]


def score_tree_probability(model: Any, scoring: Scoring, rows: Rows) -> np.ndarray:
    """Return the probability of an anomaly by trees."""
    return score_probability(model, scoring, _used_by_trees(model, rows))


def score_decision(model: Any, _: Scoring, rows: Rows) -> np.ndarray:
    """Return the signed distance from the border."""
    with one_thread():
        return model.decision_function(rows.matrix)


def score_density(model: Any, _: Scoring, rows: Rows) -> np.ndarray:
    """Return scikit-learn's score of an outlier detector, whose sign is the other way round."""
    with one_thread():
        return -model.score_samples(rows.matrix)


def score_forest(model: Any, scoring: Scoring, rows: Rows) -> np.ndarray:
    """Return an Isolation Forest's score, from 0 to 1."""
    return score_density(model, scoring, _used_by_trees(model, rows))


def score_clusters(model: Any, scoring: Scoring, rows: Rows) -> np.ndarray:
    """Return how much nearer a row is to the anomalous centre than to the other."""
    with one_thread():
        distances, anomalous = model.transform(rows.matrix), scoring["anomalous_cluster"]
    return distances[:, 1 - anomalous] - distances[:, anomalous]


def score_booster(model: Any, _: Scoring, rows: Rows) -> np.ndarray:
    """Return XGBoost's probability of an anomaly."""
    import xgboost

    # Cells that are not stored are missing to XGBoost, in training and here alike: never densify.
    return model.predict(xgboost.DMatrix(rows.matrix, nthread=1))


def natural_threshold(model: Any) -> float:
    """Return the threshold that only the fitted model knows (local outlier factor, one-class SVM)."""
    return float(-np.ravel(model.offset_)[0])


def choose_cluster(model: Any, y: np.ndarray | None, _: Setup) -> dict[str, Any]:
    """Return which of KMeans' two clusters is the anomalous one."""
    assert y is not None
    return {"anomalous_cluster": anomalous_cluster(model.labels_, y)}


def anomalous_cluster(clusters: np.ndarray, y: np.ndarray) -> int:
    """Choose KMeans' anomalous cluster of two from the training rows' clusters and labels (bool, True = anomaly)."""
    sizes = [int((clusters == index).sum()) for index in (0, 1)]
    if y.any() and not y.all():
        shares = [float(y[clusters == index].mean()) if size else 0.0 for index, size in enumerate(sizes)]
        if shares[0] != shares[1]:
            return int(shares[1] > shares[0])
    return int(sizes[1] <= sizes[0])


def _fit(spec: ModelSpec, model: Any, matrix: Any, y: np.ndarray) -> Any:
    with one_thread():
        return model.fit(matrix, y.astype(np.int8)) if spec.supervised else model.fit(matrix)


def _share_features(forest: Any) -> None:
    """Let all trees that read all columns hold one list of them: 64 MB less for 200 trees on 40,000 columns."""
    first = forest.estimators_features_[0]
    if all(np.array_equal(features, first) for features in forest.estimators_features_):
        forest.estimators_features_ = [first] * len(forest.estimators_)


def _used_by_trees(model: Any, rows: Rows) -> Rows:
    """Drop the cells that no tree looks at: scikit-learn walks through all of a row's cells for every tree."""
    used = np.zeros(model.n_features_in_, dtype=bool)
    for tree in getattr(model, "estimators_", [model]):
        features = tree.tree_.feature
        used[features[features >= 0]] = True
    return Rows(keep_columns(rows.matrix, used))


def _behaviour(
    cost: tuple[int, int, int, int], seed: str | None, threads: str | None, score: Any, **rest: Any
) -> Behaviour:
    """Make a behaviour from (cell, row, dense, fixed) and the names of the parameters for seed and threads."""
    whole = {"cost": Cost(*cost), "seed_parameter": seed, "threads_parameter": threads, "score": score}
    return Behaviour(**({"train": train_estimator} | whole | rest))


# CSR float32 with int32 indices is 8 bytes a cell; trees convert to CSC, liblinear and libsvm to 16-byte nodes, L-BFGS
# keeps some 25 vectors, XGBoost a quantile matrix and its own CSR. Neighbours need scikit-learn's working memory.
_STATE, _JOBS = "random_state", "n_jobs"
LOGISTIC = _behaviour((24, 128, 40, 0), _STATE, None, score_probability)
DECISION_TREE = _behaviour((40, 256, 2, 0), _STATE, None, score_tree_probability)
LINEAR_SVM = _behaviour((64, 128, 12, 0), _STATE, None, score_decision)
RANDOM_FOREST = _behaviour((40, 512, 2, 0), _STATE, _JOBS, score_tree_probability)
BOOSTING = _behaviour(
    (48, 256, 200, 0), "seed", "nthread", score_booster, train=train_booster, boosting=boosting_params
)
NEIGHBOURS = _behaviour(
    (40, 2048, 2, 150_000_000), None, _JOBS, score_density, train=train_on_distinct_rows, row_cap=10_000,
    needs_distinct_rows=True, threshold=natural_threshold, hangs_on_rows=True,
)  # fmt: skip
CLUSTERS = _behaviour((32, 128, 12, 0), _STATE, None, score_clusters, needs_distinct_rows=True, facts=choose_cluster)
ONE_CLASS_SVM = _behaviour((64, 256, 2, 0), None, None, score_density, row_cap=10_000, threshold=natural_threshold)
ISOLATION_FOREST = _behaviour((40, 256, 2, 0), _STATE, _JOBS, score_forest, train=train_forest)
