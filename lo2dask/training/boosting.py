"""Prepare the gathered rows of one unit for xgboost.dask, and close its fit."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from lo2dask.buffers.columns import among
from lo2dask.execute.session import Session
from lo2dask.execute.xgb import Boosting, ShareFile, Shares, fit_boosting
from lo2dask.features.matrix import canonical
from lo2dask.memory import measure, process_memory
from lo2dask.models.estimators import best_rounds
from lo2dask.models.fit import Fitted, close_fit, not_fitted
from lo2dask.models.spec import ModelSpec
from lo2dask.models.split import stopping_runs
from lo2dask.storage import read_scratch, write_scratch

# Files that the rows are shared out to, whatever the number of workers; few, because every partition costs the fit.
SHARES = 64


@dataclass(frozen=True)
class TrainStopSplit:
    """One share of the rows: training rows and those of the newest training runs, each with its anomalies."""

    training: ShareFile
    stopping: ShareFile
    anomalies: tuple[int, int]


def fit_on_all_workers(spec: ModelSpec, files: Sequence[Path], folder: Path, seed: int, session: Session) -> Fitted:
    """Fit XGBoost over the rows of gathered files (pickled dicts of matrix, anomaly, run) on all workers."""
    started = time.perf_counter()
    groups = [list(files[first::SHARES]) for first in range(min(SHARES, len(files)))]
    runs = {run for listed in session.map(runs_of, groups, "runs") for run in listed}
    records = [(folder / f"{index:03d}", group) for index, group in enumerate(groups)]
    splits = session.map(split_rows, records, "shares", late=stopping_runs(runs))
    totals = np.array([[one.training.rows, one.stopping.rows] for one in splits]).sum(axis=0)
    anomalies = np.array([one.anomalies for one in splits]).sum(axis=0)
    width = read_scratch(files[0])["matrix"].shape[1]
    if anomalies.sum() in (0, totals.sum()):
        return not_fitted(spec, "the training part has one class only; both are needed", (int(totals.sum()), width))
    watched = bool(((anomalies > 0) & (anomalies < totals)).all())
    training = [one.training for one in splits] + ([] if watched else [one.stopping for one in splits])
    stopping = [one.stopping for one in splits] if watched else []
    shares = Shares(tuple(f for f in training if f.rows), tuple(f for f in stopping if f.rows), width)
    assert spec.behaviour.boosting, spec.key
    params, rounds, patience = spec.behaviour.boosting(spec, seed)
    booster = best_rounds(fit_boosting(shares, Boosting(params, rounds, patience), session))
    with session.translate_cluster_errors():
        peak = max(session.client.run(_worker_memory).values())
    record = {
        **{"rows": int(totals.sum()), "anomalies": int(anomalies.sum()), "features": width},
        **{"seconds": round(time.perf_counter() - started, 3), "peak_memory_mb": round(peak / 1e6, 1)},
        "memory_measure": measure(),
        "changes": (f"xgboost.dask on {session.workers()} workers", f"{booster.num_boosted_rounds()} rounds"),
    }
    return close_fit(spec, booster, record)


def runs_of(files: Sequence[Path]) -> list[str]:
    """List the runs that some gathered files hold."""
    return sorted({run for file in files for run in read_scratch(file)["run"]})


def split_rows(record: tuple[Path, Sequence[Path]], late: frozenset[str]) -> TrainStopSplit:
    """Join some gathered files and split their rows into training rows and those of the runs ``late``."""
    path, files = record
    parts = [read_scratch(file) for file in files]
    matrix = sparse.vstack([part["matrix"] for part in parts], format="csr")
    y = np.concatenate([part["anomaly"] for part in parts])
    held = among([run for part in parts for run in part["run"]], late)
    sides = []
    for name, rows in (("training", np.flatnonzero(~held)), ("stopping", np.flatnonzero(held))):
        target = path / f"{name}.pickle"
        write_scratch(target, {"matrix": canonical(matrix[rows]), "anomaly": y[rows]})
        sides.append((ShareFile(target, len(rows)), int(y[rows].sum())))
    return TrainStopSplit(sides[0][0], sides[1][0], (sides[0][1], sides[1][1]))


def _worker_memory() -> int:
    import psutil

    return process_memory(psutil.Process())
