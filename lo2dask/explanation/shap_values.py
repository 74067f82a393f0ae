"""SHAP values of one model over one part: a task returns a small summary, never the whole matrix."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from lo2dask.explanation.draw import Hashes, Ids
from lo2dask.explanation.linear import LinearShap
from lo2dask.explanation.summary import Flags, Floats, Integers, ShapSums, TopFeatures
from lo2dask.explanation.trees import CHUNK_BYTES, TreeShap
from lo2dask.models.spec import LINEAR, TREE
from lo2dask.storage import replacing


class Explainer(Protocol):
    """What linear and tree explainers have in common; phi is positive where a feature makes a row more anomalous."""

    meaning: str

    def explain(self, rows: sparse.csr_matrix, counted: Flags, listed: Flags, k: int) -> tuple[ShapSums, TopFeatures]:
        """Sum up the counted rows and select the k strongest features of the listed ones."""
        ...

    def values(self, rows: sparse.csr_matrix, columns: Integers) -> Floats:
        """Return phi of some columns: (n, len(columns))."""
        ...


@dataclass(frozen=True)
class Sample:
    """Rows kept for the plots: those with the smallest hashes, whatever the parts.

    Attributes
    ----------
    hashes : (n,) seeded hash of each row's seq_id, rising
    ids : (n,) seq_id
    rows : (n, n features) their features
    """

    hashes: Hashes
    ids: Ids
    rows: sparse.csr_matrix

    def save(self, path: Path) -> Path:
        """Write the feature rows to a file; return it."""
        with replacing(path) as temporary, open(temporary, "wb") as file:
            sparse.save_npz(file, self.rows)
        return path

    def merge(self, other: "Sample", limit: int) -> "Sample":
        """Keep the ``limit`` smallest hashes of both, ties by seq_id."""
        hashes = np.concatenate([self.hashes, other.hashes])
        ids = np.concatenate([self.ids, other.ids])
        rows = sparse.vstack([self.rows, other.rows], format="csr")
        return sample_of(rows, hashes, ids, limit)


def make_explainer(name: str, model: Any, mean: Floats | None, chunk_bytes: int = CHUNK_BYTES) -> Explainer:
    """Make the explainer of a fitted model.

    Parameters
    ----------
    name : ``linear`` or ``tree``, as the model's specification says
    mean : (n features,) mean of the background rows, for linear models
    chunk_bytes : bound of the dense arrays of one chunk

    Raises
    ------
    ValueError : there is no such explainer.
    """
    if name == LINEAR:
        return LinearShap(model, np.zeros(model.coef_.size) if mean is None else mean)
    if name != TREE:
        raise ValueError(f"there is no explainer {name!r}; a specification names {LINEAR}, {TREE} or None")
    return TreeShap(model, chunk_bytes)


def sample_of(rows: sparse.csr_matrix, hashes: Hashes, ids: Ids, limit: int) -> Sample:
    """Keep a part's rows with the ``limit`` smallest hashes."""
    keep = np.lexsort((ids.astype(str), hashes))[:limit]
    return Sample(hashes[keep], ids[keep], sparse.csr_matrix(rows[keep]))


def guard(width: int, rows: int, feature_threshold: int, cell_threshold: int) -> str:
    """Return which of the user's thresholds forbids SHAP, and what to raise; empty when none does (0 = off)."""
    if feature_threshold and width > feature_threshold:
        return (
            f"SHAP left out: the model has {width} features, more than --shap-feature-threshold {feature_threshold}.\n"
            f"Raise it to {width} or more, or set it to 0 (off): values are computed in bounded chunks.\n"
        )
    if cell_threshold and width * rows > cell_threshold:
        return (
            f"SHAP left out: {rows} rows x {width} features are {width * rows} cells, more than "
            f"--shap-cell-threshold {cell_threshold}.\n"
            f"Raise it to {width * rows} or more, set it to 0 (off), or explain fewer rows with --shap-sample "
            f"{max(1, cell_threshold // width)}.\n"
        )
    return ""
