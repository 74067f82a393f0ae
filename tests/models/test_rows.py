"""Sparse rows keep what the dense ones hold, whatever is stored and however it is stored."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.sparse import coo_matrix, csr_matrix

from lo2dask.models.rows import Rows, find_distinct_rows, keep_columns, prepare_matrix

DENSE = arrays.arrays(
    np.float32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.sampled_from([0.0, 0.0, 1.0, 2.5])
)


@st.composite
def matrices(draw):
    """Draw a csr_matrix that stores some zeros, with indices of either width; and the same dense."""
    dense = draw(DENSE)
    stored = (dense != 0) | draw(arrays.arrays(bool, dense.shape))
    rows, columns = np.nonzero(stored)
    matrix = csr_matrix((dense[rows, columns], (rows, columns)), shape=dense.shape)
    if draw(st.booleans()):
        matrix.indices, matrix.indptr = matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)
    return matrix, dense


@settings(deadline=None)
@given(matrices())
def test_a_prepared_matrix_is_the_same_without_stored_zeros_and_the_callers_is_left_alone(made):
    matrix, dense = made
    stored = matrix.nnz
    ready = prepare_matrix(matrix)
    assert np.array_equal(ready.toarray(), dense)
    assert ready.nnz == np.count_nonzero(dense)
    assert (ready.dtype, ready.indices.dtype, ready.indptr.dtype) == (np.float32, np.int32, np.int32)
    assert matrix.nnz == stored


@settings(deadline=None)
@given(DENSE)
def test_distinct_rows_are_the_first_of_each_set_of_equal_ones(dense):
    index = find_distinct_rows(prepare_matrix(csr_matrix(dense)))
    expected = np.sort(np.unique(dense, axis=0, return_index=True)[1])
    assert index.tolist() == expected.tolist()


@settings(deadline=None)
@given(matrices(), st.data())
def test_kept_columns_keep_their_cells_and_the_others_are_empty(made, data):
    matrix, dense = made
    used = data.draw(arrays.arrays(bool, dense.shape[1]))
    kept = keep_columns(matrix, used)
    assert kept.shape == dense.shape
    assert np.array_equal(kept.toarray(), dense * used)
    assert used[kept.indices].all()


@pytest.mark.parametrize("index", [slice(1, 3), np.array([True, False, False, True]), np.array([3, 0])])
def test_rows_are_taken_with_all_that_belongs_to_them(index):
    dense, names = np.arange(12.0).reshape(4, 3), np.array(["a", "b", "a", "c"])
    rows = Rows(coo_matrix(dense).tocsr(), np.arange(4), np.arange(4) * 2, names)
    taken = rows.take(index)
    assert np.array_equal(taken.matrix.toarray(), dense[index])
    assert taken.unknown_distinct.tolist() == np.arange(4)[index].tolist()
    assert taken.unknown_occurrences.tolist() == (np.arange(4)[index] * 2).tolist()
    assert taken.service.tolist() == names[index].tolist()
    assert len(taken) == len(names[index])
    bare = Rows(rows.matrix).take(index)
    assert (bare.unknown_distinct, bare.unknown_occurrences, bare.service) == (None, None, None)
