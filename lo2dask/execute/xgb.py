"""XGBoost over all training rows by xgboost.dask: each worker holds its share of the CSR parts.

The set of workers is fixed when the matrix is made and a fit does not survive the loss of one (XGBoost's own word), so
the whole fit is tried again from the files. Workers without a row, or with one class alone, are avoided by giving the
parts out in turn.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lo2dask.execute.session import Session
from lo2dask.storage import source_of

logger = logging.getLogger(__name__)

TRIES = 3


@dataclass(frozen=True)
class Boosting:
    """A distributed fit: XGBoost's parameters, rounds, and after how many without a gain to stop (0 = never)."""

    params: dict[str, Any]
    rounds: int
    stopping_rounds: int


@dataclass(frozen=True)
class ShareFile:
    """A file of rows: a joblib dict of ``matrix`` (csr_matrix) and ``anomaly`` (bool)."""

    path: Path
    rows: int


@dataclass(frozen=True)
class Shares:
    """The training rows and the rows that early stopping looks at, all of ``width`` features."""

    training: tuple[ShareFile, ...]
    stopping: tuple[ShareFile, ...]
    width: int


def fit_boosting(shares: Shares, boosting: Boosting, session: Session) -> Any:
    """Train on all rows of the files; give the booster with its best rounds.

    Raises
    ------
    RuntimeError : the fit failed on TRIES sets of workers.
    """
    from xgboost import dask as dxgb
    from xgboost.core import XGBoostError

    client = session.client
    for attempt in range(1, TRIES + 1):
        try:
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
            )
            return result["booster"]
        except (XGBoostError, OSError, ValueError) as error:
            if attempt == TRIES:
                raise RuntimeError(f"xgboost.dask failed {TRIES} times: {error}") from error
            logger.warning("xgboost.dask failed (%s); the fit is tried again", error)
            client.wait_for_workers(1)
    return None


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
    import joblib

    part = joblib.load(source_of(path))
    return part["matrix"], part["anomaly"].astype(np.float32)
