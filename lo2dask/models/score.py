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

Each formula is the ``score`` of its algorithm's behaviour. ``scoring`` is the plain dict that a fit returns with its
model and that a bundle keeps: ``{"algorithm", "threshold"}`` and the facts that the algorithm adds
(``anomalous_cluster``, ``occurrences``).
"""

from typing import Any

import numpy as np

from lo2dask.models.rows import Rows
from lo2dask.models.spec import ModelSpec, Scoring


def score(spec: ModelSpec, model: Any, scoring: Scoring, rows: Rows, batch: int = 50_000) -> np.ndarray:
    """Score rows, ``batch`` at a time: float64 (rows,), higher = more anomalous."""
    if not len(rows):
        return np.empty(0)
    starts = range(0, len(rows), batch)
    batches = (rows.take(slice(at, at + batch)) for at in starts) if len(rows) > batch else (rows,)
    outputs = (spec.behaviour.score(model, scoring, piece) for piece in batches)
    return np.concatenate([np.ravel(output).astype(np.float64) for output in outputs])


def score_training_normals(
    spec: ModelSpec, model: Any, scoring: Scoring, rows: Rows, batch: int = 50_000
) -> np.ndarray:
    """Score the training part's normal rows for calibration (see runs.py): float64 (rows,).

    Where few normals lie too close to their own mean, an algorithm leaves each row out of what it is compared with. Of
    the other algorithms these are their scores.
    """
    special = spec.behaviour.score_normals
    return special(model, rows) if special else score(spec, model, scoring, rows, batch)


def label(scores: np.ndarray, scoring: Scoring) -> np.ndarray:
    """Label scores: int8 (rows,), 1 where the score is above the model's threshold."""
    return (np.asarray(scores) > scoring["threshold"]).astype(np.int8)


def dense_rank(scores: np.ndarray) -> np.ndarray:
    """Rank scores, the highest first, equal ones alike and without gaps: int64 (rows,), from 1."""
    values, index = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
    return (len(values) - index).astype(np.int64)
