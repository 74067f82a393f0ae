"""XGBoost over all training rows by xgboost.dask: each worker holds its share of the CSR parts.

The set of workers is fixed when the matrix is made and a fit does not survive the loss of one (as XGBoost documents),
so the whole fit is tried again from the files. Workers without a row, or with one class alone, are avoided by giving
the parts out in turn.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lo2dask.errors import ClusterError
from lo2dask.execute.session import Session
from lo2dask.storage import read_scratch

logger = logging.getLogger(__name__)

TRIES = 3
# How long the others wait for one that says nothing: longer than any of them computes between two exchanges.
COLLECTIVE_SECONDS = 300


@dataclass(frozen=True)
class Boosting:
    """A distributed fit: XGBoost's parameters, rounds, and after how many without a gain to stop (0 = never)."""

    params: dict[str, Any]
    rounds: int
    stopping_rounds: int


@dataclass(frozen=True)
class ShareFile:
    """A file of rows: a pickled dict of ``matrix`` (csr_matrix) and ``anomaly`` (bool)."""

    path: Path
    rows: int


@dataclass(frozen=True)
class Shares:
    """The training rows and the rows that early stopping looks at, all of ``width`` features."""

    training: tuple[ShareFile, ...]
    stopping: tuple[ShareFile, ...]
    width: int


def fit_boosting(shares: Shares, boosting: Boosting, session: Session) -> Any:
    """Train on all rows of the files; return the booster with its best rounds.

    Raises
    ------
    ClusterError : the fit failed on TRIES sets of workers, or the scheduler is lost.
    """
    from xgboost.core import XGBoostError

    for attempt in range(1, TRIES + 1):
        with session.translate_cluster_errors():
            session.settle()
            try:
                return _train(shares, boosting, session.client)
            # A worker that is gone shows as any of these: a broken collective, a task on a wrong worker (ValueError),
            # a worker missing at the start (RuntimeError), a closed connection.
            except (XGBoostError, OSError, ValueError, RuntimeError) as error:
                if session.client.status != "running":
                    raise
                if attempt == TRIES:
                    raise ClusterError(f"xgboost.dask failed {TRIES} times: {_first_line(error)}") from error
                logger.warning("xgboost.dask failed (%s); the fit is tried again", _first_line(error))
    return None


def _train(shares: Shares, boosting: Boosting, client: Any) -> Any:
    from xgboost import dask as dxgb
    from xgboost.collective import Config

    matrix = _matrix(dxgb, client, shares.training, shares.width)
    watched = [(_matrix(dxgb, client, shares.stopping, shares.width), "stopping")] if shares.stopping else []
    result = dxgb.train(
        client,
        boosting.params,
        matrix,
        num_boost_round=boosting.rounds,
        evals=watched,
        early_stopping_rounds=boosting.stopping_rounds if watched else None,
        verbose_eval=False,
        coll_cfg=Config(timeout=COLLECTIVE_SECONDS),
    )
    return result["booster"]


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _matrix(dxgb: Any, client: Any, files: Sequence[ShareFile], width: int) -> Any:
    """Make a DaskDMatrix whose partitions are the files."""
    import dask
    import dask.array as da
    from scipy import sparse

    meta = sparse.csr_matrix((0, 0), dtype=np.float32)
    blocks, labels = [], []
    for file in files:
        part = dask.delayed(_load, nout=2)(file.path)
        blocks.append(da.from_delayed(part[0], shape=(file.rows, width), meta=meta))
        labels.append(da.from_delayed(part[1], shape=(file.rows,), dtype=np.float32))
    data, label = client.persist([da.concatenate(blocks), da.concatenate(labels)])
    return dxgb.DaskDMatrix(client, data, label)


def _load(path: Path) -> tuple[Any, np.ndarray]:
    part = read_scratch(path)
    return part["matrix"], part["anomaly"].astype(np.float32)
