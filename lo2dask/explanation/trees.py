"""SHAP values of tree models through shap's TreeExplainer, in chunks bounded in bytes.

XGBoost reads its rows as CSR, as it was trained: a cell that is not stored is missing, not zero. scikit-learn's trees
can only be explained on dense rows; as a feature that no tree splits on has no share in any output, only the columns
in use are made dense.
"""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from lo2dask import compat
from lo2dask.explanation.summary import Flags, Floats, Integers, ShapSums, TopFeatures, adds_up, strongest_of, unit_for

CHUNK_BYTES = 64 * 2**20


def _with_two_columns(model: Any) -> Any:
    """Return the model, an Isolation Forest of one column in a form that shap can read.

    shap looks up -2, the mark of a leaf, in each tree's list of columns, which must have two entries for that.
    """
    columns = getattr(model, "estimators_features_", [])
    if not len(columns) or len(columns[0]) > 1:
        return model
    model = copy.copy(model)
    model.estimators_features_ = [np.repeat(names, 2) for names in columns]
    return model


class TreeShap:
    """Explains XGBoost, scikit-learn trees and Isolation Forest by path-dependent TreeSHAP (no background needed).

    Parameters
    ----------
    model : fitted XGBClassifier, Booster, DecisionTreeClassifier, RandomForestClassifier or IsolationForest
    chunk_bytes : bytes that the arrays of one chunk may take together
    """

    def __init__(self, model: Any, chunk_bytes: int = CHUNK_BYTES) -> None:
        """Parse the trees once, and bound the chunks."""
        import shap

        self.model = model
        self.explainer = shap.TreeExplainer(_with_two_columns(model))
        self.is_xgboost = compat.is_xgboost_explainer(self.explainer)
        self.is_forest = hasattr(model, "score_samples")
        # Isolation Forest: shap explains the path length, and a short path is what makes a row anomalous.
        self.sign = -1.0 if self.is_forest else 1.0
        self.meaning = self._meaning()
        features = compat.tree_features(self.explainer)
        self.columns: Integers = np.unique(features[features >= 0]).astype(np.int64)
        self.width = int(model.n_features_in_) if hasattr(model, "n_features_in_") else int(model.num_features())
        if not self.is_xgboost:
            compact = np.where(features >= 0, np.searchsorted(self.columns, features), features)
            compat.set_tree_features(self.explainer, compact)
        self.unit = unit_for(2 * float(np.abs(compat.tree_values(self.explainer)).max(axis=(1, 2)).sum()))
        self.chunk_rows = max(1, chunk_bytes // self._row_bytes())

    def explain(self, rows: sparse.csr_matrix, counted: Flags, listed: Flags, k: int) -> tuple[ShapSums, TopFeatures]:
        """Sum up the counted rows and select the k strongest features of the listed ones.

        Parameters
        ----------
        rows : (n, n features) without explicit zeros
        counted, listed : (n,) masks
        """
        wanted = np.nonzero(counted | listed)[0]
        sums, top = ShapSums.zero(self.width, self.unit), []
        for chunk, phi, good in self._chunks(rows, wanted):
            sums = sums.merge(self._sums(phi, counted[chunk], good))
            shown = listed[chunk]
            top.append(self._top(phi[shown], rows[chunk[shown]], good[shown], k))
        return sums, TopFeatures.join(top, k)

    def values(self, rows: sparse.csr_matrix, columns: Integers) -> Floats:
        """Return phi of some columns: (n, len(columns)), positive = more anomalous."""
        result = np.zeros((rows.shape[0], len(columns)))
        used = np.isin(columns, self.columns)
        positions = np.searchsorted(self.columns, columns[used])
        for chunk, phi, _ in self._chunks(rows, np.arange(rows.shape[0])):
            result[np.ix_(chunk, used)] = phi[:, positions]
        return result

    def _chunks(self, rows: sparse.csr_matrix, wanted: Integers) -> Iterator[tuple[Integers, Floats, Flags]]:
        for start in range(0, len(wanted), self.chunk_rows):
            chunk = wanted[start : start + self.chunk_rows]
            raw, base = self._raw(rows[chunk])
            good = adds_up(raw.sum(axis=1) + base, self._output(rows[chunk]))
            yield chunk, self.sign * raw, good

    def _raw(self, rows: sparse.csr_matrix) -> tuple[Floats, float]:
        if self.is_xgboost:
            values = self.explainer.shap_values(rows, check_additivity=False)[:, self.columns]
        elif not len(self.columns):  # a tree without a split
            values = np.zeros((rows.shape[0], 0))
        else:
            dense = rows[:, self.columns].toarray()
            values = self.explainer.shap_values(dense, check_additivity=False)
        base = np.atleast_1d(self.explainer.expected_value)[-1]
        return np.asarray(values[..., -1] if values.ndim == 3 else values, dtype=np.float64), float(base)

    def _output(self, rows: sparse.csr_matrix) -> Floats:
        if self.is_xgboost:
            return _margin(self.model, rows)
        if self.is_forest:
            # score_samples is -2^(-mean path length / c(max_samples)): turned back into the path length.
            usual = compat.average_path_length(self.model.max_samples_)
            return -np.log2(-self.model.score_samples(rows)) * usual
        return np.asarray(self.model.predict_proba(rows)[:, -1], dtype=np.float64)

    def _sums(self, phi: Floats, counted: Flags, good: Flags) -> ShapSums:
        sums = ShapSums.zero(self.width, self.unit)
        units = np.rint(phi[counted & good] / self.unit)
        sums.absolute[self.columns] = np.abs(units).sum(axis=0)
        sums.signed[self.columns] = units.sum(axis=0)
        return ShapSums(len(units), int((counted & ~good).sum()), sums.absolute, sums.signed, self.unit)

    def _top(self, phi: Floats, rows: sparse.csr_matrix, good: Flags, k: int) -> TopFeatures:
        present = rows[:, self.columns].toarray() != 0
        columns, values = strongest_of(phi, present, self.columns, k)
        return TopFeatures(np.where(good[:, None], columns, -1), np.where(good[:, None], values, 0.0), good)

    def _row_bytes(self) -> int:
        used, outputs = max(1, len(self.columns)), compat.count_tree_outputs(self.explainer)
        if self.is_xgboost:
            return 4 * (self.width + 1) + 8 * 8 * used
        return used * (4 + 8 + 1 + 2 * 8 * outputs + 8 * 8)

    def _meaning(self) -> str:
        if self.is_forest:
            return "splits by which the forest isolates the sequence sooner (shap's path length, sign reversed)"
        return f"contribution to the {'log-odds' if self.is_xgboost else 'probability'} of an anomaly"


def _margin(model: Any, rows: sparse.csr_matrix) -> Floats:
    import xgboost

    if isinstance(model, xgboost.Booster):
        margin = model.predict(xgboost.DMatrix(rows), output_margin=True, validate_features=False)
    else:
        margin = model.predict(rows, output_margin=True)
    return np.asarray(margin, dtype=np.float64)
