"""Rows of an enhanced part as models of merged statistics read them."""

import numpy as np
import pyarrow as pa

from lo2dask.features.matrix import Columns, count_outside, to_matrix
from lo2dask.models.rows import Rows


def read_merged_rows(part: pa.Table, columns: Columns) -> Rows:
    """Take the rows of an enhanced part (columns of ``columns``, service and run) for a model of merged statistics."""
    outside = count_outside(part, columns)
    (tokens,) = columns.tokens.values()
    distinct = np.diff(outside.counts.indptr).astype(np.int64)
    occurrences = np.asarray(outside.counts.sum(axis=1)).ravel().astype(np.int64)
    matrix = to_matrix(part, columns, binary=False)
    return Rows(matrix, distinct, occurrences, part["service"], part["run"], tokens, outside)
