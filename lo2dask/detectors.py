"""The detectors as scikit-learn estimators, on sparse matrices of counts: one row per log, one column per token.

``from lo2dask.detectors import Drift``. They are the models of the registry with its formulas and thresholds; rows are
logs of one service. scikit-learn's convention for outliers holds: the higher, the more normal, -1 is an outlier.
"""

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from scipy import sparse
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from lo2dask.errors import InputError
from lo2dask.features.statements import CONTINUATION, ERROR, OTHER
from lo2dask.models.registry import DRIFT, EXCESS, OOV, RARITY, spec
from lo2dask.models.rows import Rows
from lo2dask.models.spec import ModelSpec
from lo2dask.vocabulary.counts import TokenCounts

try:
    from sklearn.utils.validation import validate_data
except ImportError as error:
    raise InputError("lo2dask.detectors needs scikit-learn 1.6 or newer: pip install -U scikit-learn") from error

__all__ = ["Drift", "Excess", "Oov", "Rarity"]


class _Detector(OutlierMixin, BaseEstimator):
    """What the detectors share: counts in, the registry's model within.

    Attributes
    ----------
    state_ : what the model has learned
    known_ : bool (features,), the columns that a training row has
    offset_ : what ``score_samples`` is compared with: the threshold, negated
    n_features_in_, feature_names_in_ : as in all of scikit-learn
    """

    _KEY: ClassVar[str]
    threshold: float | None

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from the counts of normal logs: (rows, features), dense or sparse, whole numbers from 0 on.

        Raises
        ------
        ValueError : there is no row, or a value is negative or no finite number.
        """
        counts = self._counts(X, reset=True)
        entry = self._spec()
        self.known_ = np.asarray(counts.sum(axis=0)).ravel() > 0
        self.offset_ = -float(self.threshold if self.threshold is not None else entry.threshold or 0.0)
        merging, state, rows = entry.behaviour.merging, None, self._rows(counts)
        assert merging is not None
        for _ in range(merging.passes):
            state = merging.finish(merging.partial(rows, state), state)
        self.state_ = state
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the model's score of each row, negated: float64 (rows,), the lower, the more unusual."""
        check_is_fitted(self)
        rows = self._rows(self._counts(X, reset=False))
        return -self._spec().behaviour.score(self.state_, self._scoring(), rows)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return how far each row is from the threshold: float64 (rows,), below 0 for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Return -1 for outliers, 1 for other rows: int64 (rows,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that matrices may be sparse, and that counts are never negative."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.positive_only = True
        return tags

    def _spec(self) -> ModelSpec:
        return spec(self._KEY)

    def _scoring(self) -> dict[str, Any]:
        return {}

    def _names(self) -> pa.Array:
        """Name the columns as statements are named; the letter tells what they are."""
        return pa.array([f"{chr(OTHER)}{column}" for column in range(self.n_features_in_)], pa.string())

    def _counts(self, X: Any, reset: bool) -> sparse.csr_matrix:
        """Check a matrix of counts, and make it one of whole numbers without stored zeros."""
        given = sparse.csr_matrix(validate_data(self, X, accept_sparse="csr", reset=reset, ensure_non_negative=True))
        counts = sparse.csr_matrix((np.rint(given.data).astype(np.int64), given.indices, given.indptr), given.shape)
        if not np.array_equal(counts.data, given.data):
            warnings.warn("X has counts that are no whole numbers; they are rounded", UserWarning, stacklevel=3)
        counts.sum_duplicates()
        counts.eliminate_zeros()
        return counts

    def _rows(self, counts: sparse.csr_matrix) -> Rows:
        """Tell known from unknown columns, as a vocabulary of the training rows does."""
        unknown, names = counts[:, ~self.known_], self._names()
        return Rows(
            counts[:, self.known_],
            np.diff(unknown.indptr).astype(np.int64),
            np.asarray(unknown.sum(axis=1)).ravel(),
            pa.array([""] * counts.shape[0], pa.string()),
            pa.array([str(row) for row in range(counts.shape[0])], pa.string()),
            names.filter(pa.array(self.known_)),
            TokenCounts(unknown, names.filter(pa.array(~self.known_))),
        )


class Rarity(_Detector):
    """Mean rarity of the tokens of a log: 0 for one with over 1 % of all counts, else (-ln share)^3.

    Parameters
    ----------
    threshold : an outlier scores above it; None is the registry's (250).
    """

    _KEY = RARITY

    def __init__(self, threshold: float | None = None) -> None:
        """Keep the parameters."""
        self.threshold = threshold


class Oov(_Detector):
    """Number of tokens that no training row has.

    Parameters
    ----------
    threshold : an outlier scores above it; None is the registry's (1).
    occurrences : whether each occurrence counts, or each distinct token once.
    """

    _KEY = OOV

    def __init__(self, threshold: float | None = None, occurrences: bool = False) -> None:
        """Keep the parameters."""
        self.threshold, self.occurrences = threshold, occurrences

    def _scoring(self) -> dict[str, Any]:
        return {"occurrences": self.occurrences}


class Drift(_Detector):
    """Jensen-Shannon distance from the mean shares, in units of the largest leave-one-out distance in training.

    Parameters
    ----------
    threshold : an outlier scores above it; None is the registry's (1).
    """

    _KEY = DRIFT

    def __init__(self, threshold: float | None = None) -> None:
        """Keep the parameters."""
        self.threshold = threshold


class Excess(_Detector):
    """By how much a log has more of an error statement than any training row, or a statement that none has.

    Parameters
    ----------
    threshold : an outlier scores above it; None is the registry's (3).
    errors : columns (indices) of statements of an error level, which may exceed; None is all columns.
    continuations : columns of continuation lines, which make up the length of a log alone.
    """

    _KEY = EXCESS

    def __init__(
        self,
        threshold: float | None = None,
        errors: Sequence[int] | None = None,
        continuations: Sequence[int] | None = None,
    ) -> None:
        """Keep the parameters."""
        self.threshold, self.errors, self.continuations = threshold, errors, continuations

    def _names(self) -> pa.Array:
        kinds = np.full(self.n_features_in_, ERROR if self.errors is None else OTHER)
        kinds[list(self.errors or ())] = ERROR
        kinds[list(self.continuations or ())] = CONTINUATION
        return pa.array([f"{chr(kind)}{column}" for column, kind in enumerate(kinds)], pa.string())
