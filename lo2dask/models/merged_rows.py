"""Rows of an enhanced part as models of merged statistics read them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.features.matrix import Columns, count_outside, to_matrix
from lo2dask.models.rows import Rows


def read_merged_rows(part: pa.Table, columns: Columns) -> Rows:
    """Take the rows of an enhanced part for a model of merged statistics.

    The part has the columns of ``columns``, seq_id, service, run and duration_ms.
    """
    outside = count_outside(part, columns)
    (tokens,) = columns.tokens.values()
    distinct = np.diff(outside.counts.indptr).astype(np.int64)
    occurrences = np.asarray(outside.counts.sum(axis=1)).ravel().astype(np.int64)
    matrix = to_matrix(part, columns, binary=False)
    minutes = pc.fill_null(part["duration_ms"], 0).to_numpy() / 60_000
    names = (part["service"], part["run"])
    return Rows(matrix, distinct, occurrences, *names, tokens, outside, part["seq_id"], minutes)
