"""SHAP values of linear models over sparse rows, without ever making a dense matrix.

For a background with mean m and any covariance, the interventional values of shap's LinearExplainer are
``coef * (x - m)``. A feature that a row lacks thus has the same value in every row, so that sums over rows and a
row's strongest features follow from the stored entries alone.
"""

from typing import Any

import numpy as np
from scipy import sparse

from lo2dask.explanation.summary import Flags, Floats, Integers, ShapSums, TopFeatures, adds_up, pad, unit_for

# Counts are whole numbers; scaled numeric columns are rounded to this grid, so that their sums are exact too.
GRID = 2.0**-24


def background_sums(rows: sparse.csr_matrix, chosen: Flags) -> Floats:
    """Sum up the chosen rows: the sum of each column, then the number of rows; exact, so that parts add up."""
    rows = rows[chosen]
    data = np.rint(rows.data.astype(np.float64) / GRID) * GRID
    return np.append(np.bincount(rows.indices, weights=data, minlength=rows.shape[1]), float(rows.shape[0]))


class LinearShap:
    """Explains a model with ``coef_`` and ``intercept_`` against the mean of its training rows.

    Parameters
    ----------
    model : fitted binary LogisticRegression or LinearSVC, class 1 = anomaly
    mean : (n features,) mean of the background rows
    """

    meaning = "contribution to the decision value (log-odds for a logistic model), against the mean training row"

    def __init__(self, model: Any, mean: Floats) -> None:
        """Compute what is the same in every row."""
        self.model = model
        self.coef = np.asarray(model.coef_, dtype=np.float64).reshape(-1)
        self.mean = np.asarray(mean, dtype=np.float64)
        self.base = float(self.coef @ self.mean + np.asarray(model.intercept_, dtype=np.float64).reshape(-1)[0])
        self.unit = unit_for(float(np.abs(self.coef).max(initial=0.0)))
        self.absent = -self.coef * self.mean
        self.absent_order = np.argsort(-np.abs(self.absent), kind="stable")

    def explain(self, rows: sparse.csr_matrix, counted: Flags, listed: Flags, k: int) -> tuple[ShapSums, TopFeatures]:
        """Sum up the counted rows and select the k strongest features of the listed ones.

        Parameters
        ----------
        rows : (n, n features) without explicit zeros
        counted, listed : (n,) masks
        """
        good = self._adds_up(rows)
        sums = self._sums(rows[counted & good], int((counted & ~good).sum()))
        return sums, self._top(rows[listed], good[listed], k)

    def values(self, rows: sparse.csr_matrix, columns: Integers) -> Floats:
        """Return phi of some columns: (n, len(columns)), positive = more anomalous."""
        return self.coef[columns] * (rows[:, columns].toarray() - self.mean[columns])

    def _adds_up(self, rows: sparse.csr_matrix) -> Flags:
        if not rows.shape[0]:
            return np.zeros(0, dtype=bool)
        total = self.base + rows @ self.coef + self.absent.sum()
        return adds_up(total, np.asarray(self.model.decision_function(rows), dtype=np.float64))

    def _sums(self, rows: sparse.csr_matrix, failed: int) -> ShapSums:
        width = len(self.coef)
        phi = np.rint(self.coef[rows.indices] * (rows.data - self.mean[rows.indices]) / self.unit)
        absent = np.rint(self.absent / self.unit)
        missing = rows.shape[0] - np.bincount(rows.indices, minlength=width)
        absolute = np.bincount(rows.indices, weights=np.abs(phi), minlength=width) + missing * np.abs(absent)
        signed = np.bincount(rows.indices, weights=phi, minlength=width) + missing * absent
        return ShapSums(rows.shape[0], failed, absolute, signed, self.unit)

    def _top(self, rows: sparse.csr_matrix, good: Flags, k: int) -> TopFeatures:
        columns = np.full((rows.shape[0], 2 * k), -1, dtype=np.int64)
        values = np.zeros((rows.shape[0], 2 * k))
        for row in np.nonzero(good)[0]:
            entries = slice(rows.indptr[row], rows.indptr[row + 1])
            columns[row], values[row] = self._top_of_row(rows.indices[entries], rows.data[entries], k)
        return TopFeatures(columns, values, good)

    def _top_of_row(self, indices: Integers, data: Floats, k: int) -> tuple[Integers, Floats]:
        first_absent = self.absent_order[: k + len(indices)]
        lacking = first_absent[~np.isin(first_absent, indices)][:k]
        columns = np.concatenate([indices, lacking])
        phi = np.concatenate([self.coef[indices] * (data - self.mean[indices]), self.absent[lacking]])
        order = np.lexsort((columns, -np.abs(phi)))
        # All strongest first k, and the first k of those that the row has and that speak for an anomaly.
        speaks = (order < len(indices)) & (phi[order] > 0)
        wanted = (np.arange(len(order)) < k) | (speaks & (np.cumsum(speaks) <= k))
        chosen = order[wanted]
        padded = pad(columns[None, chosen], phi[None, chosen], 2 * k)
        return padded[0][0], padded[1][0]
