"""Rows to learn from or to score, and sparse matrices as the libraries want them."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lo2dask.buffers.columns import strings
from lo2dask.features.statements import in_order

if TYPE_CHECKING:
    from scipy import sparse

    from lo2dask.vocabulary.counts import TokenCounts


@dataclass(frozen=True)
class Rows:
    """Rows to learn from or to score.

    ``matrix`` is csr_matrix (rows, features). Merged statistics also need ``unknown_distinct`` and
    ``unknown_occurrences``, int (rows,): tokens outside the vocabulary; and ``service``, names (rows,). ``run`` names
    (rows,) the runs, ``log`` the logs, ``minutes`` (rows,) is how long they are; ``tokens`` the matrix' columns,
    ``outside`` are the counts of the tokens outside the vocabulary.
    """

    matrix: Any
    unknown_distinct: np.ndarray | None = None
    unknown_occurrences: np.ndarray | None = None
    service: Any = None
    run: Any = None
    tokens: Any = None
    outside: "TokenCounts | None" = None
    log: Any = None
    minutes: np.ndarray | None = None

    def __len__(self) -> int:
        """Count the rows."""
        return self.matrix.shape[0]

    def take(self, index: Any) -> "Rows":
        """Return the rows of a slice, a bool mask or an index array."""
        service, run, log = (
            None if names is None else np.asarray(strings(names), dtype=object)[index]
            for names in (self.service, self.run, self.log)
        )
        outside = self.outside and replace(self.outside, counts=self.outside.counts[index])
        distinct = None if self.unknown_distinct is None else self.unknown_distinct[index]
        occurrences = None if self.unknown_occurrences is None else self.unknown_occurrences[index]
        minutes = None if self.minutes is None else self.minutes[index]
        return Rows(self.matrix[index], distinct, occurrences, service, run, self.tokens, outside, log, minutes)


def count_statements(rows: Rows) -> "tuple[sparse.csr_matrix, pa.Array]":
    """Return the counts of all statements of rows, known ones or not (rows x statements), and their ids in order."""
    from scipy import sparse

    assert rows.outside is not None
    cells = sparse.csr_matrix(sparse.hstack([rows.matrix, rows.outside.counts], format="csr").astype(np.int64))
    tokens = pa.concat_arrays([rows.tokens, rows.outside.tokens])
    order = np.array(in_order(tokens.to_pylist()), dtype=np.int64)
    ordered = sparse.csr_matrix(cells[:, order])
    ordered.eliminate_zeros()
    ordered.sort_indices()
    return ordered, tokens.take(pa.array(order))


def prepare_matrix(matrix: Any) -> Any:
    """Return a csr_matrix, float32, int32 indices, without stored zeros, which XGBoost takes for values."""
    from scipy.sparse import csr_matrix

    matrix = csr_matrix(matrix, dtype=np.float32)
    if matrix.nnz and not matrix.data.all():
        matrix = matrix.copy()
        matrix.eliminate_zeros()
    if matrix.indices.dtype != np.int32:
        parts = (matrix.data, matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32))
        matrix = csr_matrix(parts, shape=matrix.shape)
    return matrix


def find_distinct_rows(matrix: Any, most: float = math.inf) -> np.ndarray:
    """Return the index of the first of each set of equal rows, in order, ``most`` of them: int64 (distinct rows,)."""
    seen: dict[tuple[bytes, bytes], int] = {}
    for row in range(matrix.shape[0]):
        if len(seen) == most:
            break
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        seen.setdefault((matrix.indices[part].tobytes(), matrix.data[part].tobytes()), row)
    return np.array(list(seen.values()), dtype=np.int64)


def keep_columns(matrix: Any, used: np.ndarray) -> Any:
    """Drop the cells outside the columns of a bool mask (features,); the shape stays."""
    from scipy.sparse import csr_matrix

    keep = used[matrix.indices]
    indptr = np.concatenate(([0], np.cumsum(keep)))[matrix.indptr].astype(matrix.indptr.dtype)
    return csr_matrix((matrix.data[keep], matrix.indices[keep], indptr), matrix.shape)
