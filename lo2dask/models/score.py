"""The only place where a model's raw output becomes score and label: higher = more anomalous, 1 = anomaly.

=============  =========================================================  ==========================================
algorithm      score                                                      label: score above
=============  =========================================================  ==========================================
lr dt rf xgb   probability of an anomaly                                  0.5
lsvm           decision function                                          0
kmeans         distance to the normal cluster's centre less the distance  0: nearer to the anomalous cluster
               to the anomalous one's
if             -score_samples                                             the (1 - contamination) quantile of the
                                                                          training scores
lof            -score_samples: the local outlier factor                   1.5, scikit-learn's automatic offset
oneclass_svm   -score_samples                                             -offset_, the boundary that was learned
rarity         mean over the distinct tokens                              250
oov            unknown tokens                                             1
drift          distance over the widest among training normals            1
=============  =========================================================  ==========================================

KMeans' clusters have no names. The anomalous one is that with the larger share of anomalies among the training rows;
where the training rows are all of one class, the smaller one; at a tie, the second.

``scoring`` is the plain dict that a fit gives next to its model and that a bundle keeps:
``{"algorithm", "threshold", "anomalous_cluster", "occurrences"}``.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from lo2dask.models import estimators
from lo2dask.models.estimators import Rows

WORKING_MEMORY_MB = 128


def score(model: Any, scoring: Mapping[str, Any], rows: Rows, batch: int = 50_000) -> np.ndarray:
    """Score rows, ``batch`` at a time: float64 (rows,), higher = more anomalous."""
    if len(rows) <= batch:
        return _score(model, scoring, rows) if len(rows) else np.empty(0)
    starts = range(0, len(rows), batch)
    return np.concatenate([_score(model, scoring, rows.take(slice(at, at + batch))) for at in starts])


def score_training_normals(model: Any, scoring: Mapping[str, Any], rows: Rows, batch: int = 50_000) -> np.ndarray:
    """Score the training part's normal rows for calibration (see runs.py): float64 (rows,).

    Drift leaves each row out of the mean that it is compared with; few normals lie too close to their own mean.
    Of the other algorithms these are their scores.
    """
    if scoring["algorithm"] != "drift":
        return score(model, scoring, rows, batch)
    return estimators.score_left_out(model, rows)


def label(scores: np.ndarray, scoring: Mapping[str, Any]) -> np.ndarray:
    """Label scores: int8 (rows,), 1 where the score is above the model's threshold."""
    return (np.asarray(scores) > scoring["threshold"]).astype(np.int8)


def dense_rank(scores: np.ndarray) -> np.ndarray:
    """Rank scores, the highest first, equal ones alike and without gaps: int64 (rows,), from 1."""
    values, place = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
    return (len(values) - place).astype(np.int64)


def natural_threshold(model: Any) -> float:
    """Return the threshold that only the fitted model knows (lof, oneclass_svm)."""
    return float(-np.ravel(model.offset_)[0])


def anomalous_cluster(clusters: np.ndarray, y: np.ndarray) -> int:
    """Choose KMeans' anomalous cluster of two from the training rows' clusters and labels (bool, True = anomaly)."""
    sizes = [int((clusters == index).sum()) for index in (0, 1)]
    if y.any() and not y.all():
        shares = [float(y[clusters == index].mean()) if size else 0.0 for index, size in enumerate(sizes)]
        if shares[0] != shares[1]:
            return int(shares[1] > shares[0])
    return int(sizes[1] <= sizes[0])


def _score(model: Any, scoring: Mapping[str, Any], rows: Rows) -> np.ndarray:
    algorithm = scoring["algorithm"]
    if algorithm in ("rarity", "oov", "drift"):
        return estimators.score(model, rows, bool(scoring.get("occurrences")))
    if algorithm == "xgb":
        return _boosted(model, rows.matrix)
    return _sklearn(model, scoring, rows.matrix)


def _boosted(model: Any, matrix: Any) -> np.ndarray:
    import xgboost

    # Cells that are not stored are missing to XGBoost, in training and here alike: never densify.
    return model.predict(xgboost.DMatrix(matrix, nthread=1)).astype(np.float64)


def _sklearn(model: Any, scoring: Mapping[str, Any], matrix: Any) -> np.ndarray:
    import sklearn
    from threadpoolctl import threadpool_limits

    with sklearn.config_context(working_memory=WORKING_MEMORY_MB), threadpool_limits(1):
        return np.ravel(_raw(model, scoring, matrix)).astype(np.float64)


def _raw(model: Any, scoring: Mapping[str, Any], matrix: Any) -> np.ndarray:
    algorithm = scoring["algorithm"]
    if algorithm in ("dt", "rf", "if"):
        matrix = _with_columns(matrix, _tree_columns(model))
    if algorithm in ("lr", "dt", "rf"):
        return model.predict_proba(matrix)[:, list(model.classes_).index(1)]
    if algorithm == "lsvm":
        return model.decision_function(matrix)
    if algorithm == "kmeans":
        distances, anomalous = model.transform(matrix), scoring["anomalous_cluster"]
        return distances[:, 1 - anomalous] - distances[:, anomalous]
    return -model.score_samples(matrix)


def _tree_columns(model: Any) -> np.ndarray:
    """Find the columns that a tree of the model splits by: bool (columns,)."""
    used = np.zeros(model.n_features_in_, dtype=bool)
    for tree in getattr(model, "estimators_", [model]):
        features = tree.tree_.feature
        used[features[features >= 0]] = True
    return used


def _with_columns(matrix: sparse.csr_matrix, used: np.ndarray) -> sparse.csr_matrix:
    """Leave out the cells that no tree looks at: scikit-learn walks through all of a row's cells for every tree."""
    keep = used[matrix.indices]
    indptr = np.concatenate(([0], np.cumsum(keep)))[matrix.indptr].astype(matrix.indptr.dtype)
    return sparse.csr_matrix((matrix.data[keep], matrix.indices[keep], indptr), matrix.shape)
