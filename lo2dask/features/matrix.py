"""The feature matrix of one part: CSR, float32, int32 indices, rows in the part's order, never densified."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lo2dask import schema
from lo2dask.features.bags import read_counts
from lo2dask.vocabulary.counts import TokenCounts

Moments = list[tuple[int, int, int]]
_FIXED = 1000


@dataclass(frozen=True)
class Columns:
    """The columns of a model's matrix.

    ``tokens`` maps a representation (words, trigrams, templates) to its tokens in column order; after them stand the
    ``numeric`` columns, each divided by its ``scale`` (its standard deviation over the training part) and not centred,
    so that zeros stay unstored.
    """

    tokens: Mapping[str, pa.Array]
    numeric: tuple[str, ...] = ()
    scale: tuple[float, ...] = ()

    @cached_property
    def names(self) -> list[str]:
        """The feature names in column order; a token of a second representation carries its representation's name."""
        many = len(self.tokens) > 1
        return [
            *(f"{kind}:{t}" if many else t for kind, tokens in self.tokens.items() for t in tokens.to_pylist()),
            *self.numeric,
        ]

    @property
    def width(self) -> int:
        """The number of columns."""
        return sum(len(tokens) for tokens in self.tokens.values()) + len(self.numeric)

    @property
    def needed(self) -> list[str]:
        """The columns of the enhanced table that the matrix is made of."""
        return [*(schema.BAGS[kind] for kind in self.tokens), *self.numeric]

    def to_plain(self) -> dict[str, Any]:
        """Return the columns as plain types, for a bundle."""
        tokens = {kind: values.to_pylist() for kind, values in self.tokens.items()}
        return {"tokens": tokens, "numeric": list(self.numeric), "scale": list(self.scale)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Columns":
        """Read back what ``to_plain`` gave."""
        tokens = {kind: pa.array(values, pa.string()) for kind, values in plain["tokens"].items()}
        return cls(tokens, tuple(plain["numeric"]), tuple(plain["scale"]))


def to_matrix(part: pa.Table, columns: Columns, binary: bool = True) -> sparse.csr_matrix:
    """Build the matrix of an enhanced part: (rows x columns.width); counts become 1 when ``binary``."""
    blocks = [_tokens(part[schema.BAGS[kind]], values, binary) for kind, values in columns.tokens.items()]
    if columns.numeric:
        blocks.append(_numbers(part, columns.numeric, columns.scale))
    matrix = sparse.hstack(blocks, format="csr", dtype=np.float32) if len(blocks) > 1 else blocks[0]
    return canonical(matrix)


def count_outside(part: pa.Table, columns: Columns) -> TokenCounts:
    """Count each row's tokens that are no column of a matrix of one representation: (rows x those tokens)."""
    ((kind, values),) = columns.tokens.items()
    counts = read_counts(part[schema.BAGS[kind]])
    outside = pc.is_null(pc.index_in(counts.tokens, values)).to_numpy(zero_copy_only=False)
    return TokenCounts(counts.counts[:, np.flatnonzero(outside)], counts.tokens.filter(pa.array(outside)))


def numeric_moments(part: pa.Table, names: Sequence[str]) -> Moments:
    """Sum what the standard deviation of each numeric column needs: its count, sum and sum of squares.

    Sums are of whole thousandths, as Python's unbounded integers, so that they are the same for any partitioning.
    """
    columns = [np.rint(part[name].to_numpy().astype(np.float64) * _FIXED).astype(np.int64).tolist() for name in names]
    return [(len(values), sum(values), sum(value * value for value in values)) for values in columns]


def add_moments(parts: Iterable[Moments]) -> Moments:
    """Add the moments of several parts."""
    return [tuple(map(sum, zip(*column, strict=True))) for column in zip(*parts, strict=True)]  # type: ignore[misc]


def scales(moments: Moments) -> tuple[float, ...]:
    """Turn added moments into standard deviations; a constant column is divided by 1."""
    deviations = []
    for count, total, squares in moments:
        variance = (squares * count - total * total) / max(count, 1) ** 2 / _FIXED**2
        deviations.append(math.sqrt(variance) if variance > 1e-18 else 1.0)
    return tuple(deviations)


def canonical(matrix: sparse.spmatrix) -> sparse.csr_matrix:
    """Bring a matrix to the one form that all libraries take alike: csr_matrix, float32, int32, sorted, no zeros."""
    result = sparse.csr_matrix(matrix, dtype=np.float32)
    result.sum_duplicates()
    result.eliminate_zeros()
    result.sort_indices()
    result.indices = result.indices.astype(np.int32, copy=False)
    result.indptr = result.indptr.astype(np.int32, copy=False)
    return result


def to_sklearn(columns: Columns) -> Any:
    """Build a scikit-learn pipeline that makes the same rows from dicts of token or column name to number.

    It is what a bundle keeps as ``vectorizer``: it loads without lo2dask. A token's value is its count, or 1 for a
    binary model; names are those of ``Columns.names``.
    """
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    vectorizer = DictVectorizer(dtype=np.float32, sort=False)
    vectorizer.feature_names_ = columns.names
    vectorizer.vocabulary_ = {name: index for index, name in enumerate(columns.names)}
    scaler = StandardScaler(with_mean=False)
    scaler.scale_ = np.array([1.0] * (columns.width - len(columns.scale)) + list(columns.scale))
    scaler.var_, scaler.mean_ = scaler.scale_**2, None
    scaler.n_features_in_, scaler.n_samples_seen_ = columns.width, 1
    return Pipeline([("tokens", vectorizer), ("scale", scaler)])


def _tokens(column: pa.ChunkedArray, vocabulary: pa.Array, binary: bool) -> sparse.csr_matrix:
    counts = read_counts(column)
    index = pc.index_in(counts.tokens, vocabulary).fill_null(-1).to_numpy().astype(np.int32)
    columns = index[counts.counts.indices]
    known = columns >= 0
    lengths = np.add.reduceat(np.append(known, False).astype(np.int64), counts.counts.indptr[:-1])
    lengths[np.diff(counts.counts.indptr) == 0] = 0
    data = np.ones(int(known.sum()), dtype=np.float32) if binary else counts.counts.data[known].astype(np.float32)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return sparse.csr_matrix((data, columns[known], indptr), shape=(counts.counts.shape[0], len(vocabulary)))


def _numbers(part: pa.Table, names: Sequence[str], scale: Sequence[float]) -> sparse.csr_matrix:
    values = [part[name].to_numpy().astype(np.float64) / by for name, by in zip(names, scale, strict=True)]
    return sparse.csr_matrix(np.column_stack(values).astype(np.float32))
