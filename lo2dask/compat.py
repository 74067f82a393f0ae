"""Names of scikit-learn, shap and distributed that they do not document: each behind one function.

A new version may move any of them; ``tests/test_compat.py`` tells which, before a user does. All imports are inside
the functions, so that a caller pays for the package that it has already loaded, and no other.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def average_path_length(samples: int) -> float:
    """Return scikit-learn's c(n): the mean depth of a random tree over n samples, by which a forest scales its score.

    Liu, Ting and Zhou, Isolation Forest, ICDM 2008, equation 1.
    """
    from sklearn.ensemble._iforest import _average_path_length

    return float(_average_path_length(np.array([samples]))[0])


def is_xgboost_explainer(explainer: Any) -> bool:
    """Return whether a shap.TreeExplainer holds a model of XGBoost."""
    return bool(explainer.model.model_type == "xgboost")


def tree_features(explainer: Any) -> np.ndarray:
    """Return the feature that each node of a shap.TreeExplainer splits by, int (trees, nodes); negative in a leaf."""
    return np.asarray(explainer.model.features)


def set_tree_features(explainer: Any, features: np.ndarray) -> None:
    """Let the nodes of a shap.TreeExplainer split by other columns: the same shape and type as before."""
    explainer.model.features = features.astype(explainer.model.features.dtype)


def tree_values(explainer: Any) -> np.ndarray:
    """Return the output of each node of a shap.TreeExplainer: float (trees, nodes, outputs)."""
    return np.asarray(explainer.model.values)


def count_tree_outputs(explainer: Any) -> int:
    """Return how many outputs a shap.TreeExplainer explains for each row."""
    return int(explainer.model.num_outputs)


def submit_jobs(cluster: Any) -> None:
    """Start the workers that a SpecCluster was scaled to, now, and raise what their start raises."""
    cluster.sync(cluster._correct_state)


def count_cluster_workers(cluster: Any) -> int:
    """Return the number of workers (jobs) that a SpecCluster holds, running or starting."""
    return len(cluster.workers)


def local_directory(cluster: Any) -> Path | None:
    """Return the scratch folder that a LocalCluster was told to give its workers; None where it was not told."""
    folder = cluster.new_spec["options"].get("local_directory")
    return Path(folder) if folder else None


def worker_memory_limit(worker: Any) -> int | None:
    """Return the memory limit of a Worker in bytes; None where it has none."""
    limit = worker.memory_manager.memory_limit
    return int(limit) if limit else None


def worker_threads(worker: Any) -> int:
    """Return the number of threads of a Worker."""
    return int(worker.state.nthreads)


def retire_worker(worker: Any, reason: str) -> None:
    """Take tasks from a Worker, also while it starts, and close it and its nanny once it has started."""
    from distributed.core import Status

    worker.status = Status.closing_gracefully
    worker.loop.add_callback(worker.close, nanny=True, reason=reason)


def call_in_loop(client: Any, function: Callable[[], Any], timeout: float) -> Any:
    """Run a coroutine function in the event loop of a Client and wait for its result.

    Raises
    ------
    TimeoutError : there is none within ``timeout`` seconds.
    """
    from distributed.utils import sync

    return sync(client.loop, function, callback_timeout=timeout)
