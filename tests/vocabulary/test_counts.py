"""Counts equal collections.Counter, and the compiled kernels what scipy and numpy make of the same pairs."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lo2dask import schema
from lo2dask.vocabulary.counts import (
    COUNTED,
    TokenCounts,
    count_bags,
    count_pairs,
    count_tokens,
    distinct,
    in_order,
    join_counts,
)
from lo2dask.vocabulary.kernels import count_codes

TOKENS = ["", " ", "a", "ab", "é", "日本", "z" * 40, "a\0"]
bags = st.lists(st.dictionaries(st.sampled_from(TOKENS), st.integers(1, 50), max_size=6), max_size=12)
pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=60)


def as_counts(rows: list[dict[str, int]], tokens: list[str]) -> TokenCounts:
    dense = np.array([[row.get(token, 0) for token in tokens] for row in rows], np.int32).reshape(
        len(rows), len(tokens)
    )
    return TokenCounts(sparse.csr_matrix(dense), pa.array(tokens, pa.string()))


def sums(rows: list[dict[str, int]]) -> dict[str, tuple[int, int]]:
    """Count in plain Python: how many rows have each token, and how often."""
    frequency = Counter(token for row in rows for token in row)
    total = sum((Counter(row) for row in rows), Counter())
    return {token: (frequency[token], total[token]) for token in frequency}


def as_dict(table: pa.Table) -> dict[str, tuple[int, int]]:
    assert table.schema.equals(COUNTED)
    columns = table.to_pydict()
    assert len(set(columns["token"])) == table.num_rows
    return dict(zip(columns["token"], zip(columns["document_frequency"], columns["count"], strict=True), strict=True))


@settings(deadline=None)
@given(bags, st.permutations(TOKENS))
def test_tokens_are_summed_as_a_counter_does(rows: list[dict[str, int]], tokens: list[str]) -> None:
    assert as_dict(count_tokens(as_counts(rows, tokens))) == sums(rows)
    chosen = np.arange(len(rows)) % 2 == 0
    assert as_dict(count_tokens(as_counts(rows, tokens), chosen)) == sums(rows[::2])


@settings(deadline=None)
@given(bags, st.integers(0, 3))
def test_a_bag_column_is_counted_as_its_rows(rows: list[dict[str, int]], start: int) -> None:
    entries = [[{"token": token, "count": number} for token, number in row.items()] for row in rows]
    column = pa.array(entries, schema.BAG)
    assert as_dict(count_bags(column.slice(start))) == sums(rows[start:])
    chunks = pa.chunked_array([column.slice(0, start), column.slice(start)])
    assert as_dict(count_bags(chunks)) == sums(rows)


def test_totals_beyond_32_bits_are_exact() -> None:
    rows = [{"a": 2**31 - 1, "b": 1}] * 5
    assert as_dict(count_tokens(as_counts(rows, ["a", "b"]))) == {"a": (5, 5 * (2**31 - 1)), "b": (5, 5)}


@settings(deadline=None)
@given(pairs, st.booleans(), st.sampled_from([np.int32, np.int64]))
def test_pairs_are_counted_as_scipy_does(found: list[tuple[int, int]], ascending: bool, dtype: type) -> None:
    """In ascending rows by the kernel, else by scipy; a row that has no pair is empty."""
    rows, columns = np.array(sorted(found) if ascending else found, np.int64).reshape(-1, 2).T
    matrix = count_pairs(rows, columns.astype(dtype), (6, 7))
    assert matrix.dtype == np.int32
    assert np.array_equal(matrix.toarray(), sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), (6, 7)).toarray())
    for row in range(6):
        own = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]].tolist()
        assert len(set(own)) == len(own)


@settings(deadline=None)
@given(pairs, st.lists(st.lists(st.integers(0, 5), max_size=6), min_size=7, max_size=7))
def test_codes_of_texts_are_counted_as_a_product_of_matrices(
    found: list[tuple[int, int]], texts: list[list[int]]
) -> None:
    rows, columns = np.array(sorted(found), np.int64).reshape(-1, 2).T
    by_row = count_pairs(rows, columns, (5, 7))
    borders = np.cumsum([0, *map(len, texts)])
    codes = np.array(sum(texts, []), np.int32)
    of_text = sparse.csr_matrix((np.ones(len(codes), np.int64), codes, borders), (7, 6))
    cells = np.empty((2, int(np.diff(borders)[by_row.indices].sum())), np.int32)
    indptr, table = by_row.indptr.copy(), np.zeros(6, np.int32)
    filled = count_codes((indptr, by_row.indices, by_row.data), borders, codes, table, cells)
    counted = sparse.csr_matrix((cells[1, :filled], cells[0, :filled], indptr), (5, 6))
    assert np.array_equal(counted.toarray(), (by_row @ of_text).toarray())
    assert not table.any()


@given(st.lists(st.one_of(st.integers(0, 20), st.integers(0, 10**9)), max_size=30))
def test_numbers_are_told_apart_as_numpy_does(numbers: list[int]) -> None:
    values = np.array(numbers, np.int64)
    for found, wanted in zip(distinct(values), np.unique(values, return_inverse=True), strict=True):
        assert found.tolist() == wanted.tolist()


@settings(deadline=None)
@given(bags, st.integers(0, 8), st.permutations(TOKENS))
def test_joined_counts_are_those_of_all_columns(rows: list[dict[str, int]], cut: int, tokens: list[str]) -> None:
    """Parts that share their last token: it is one column, and its counts are added."""
    first, second = tokens[:cut], tokens[cut - 1 if cut else 0 :]
    joined = join_counts([as_counts(rows, first), as_counts(rows, second)])
    names = joined.tokens.to_pylist()
    assert names == sorted(names, key=str.encode)
    both = set(first) & set(second)
    wanted = [[row.get(name, 0) * (2 if name in both else 1) for name in names] for row in rows]
    assert joined.counts.toarray().tolist() == wanted
    assert joined.counts.has_sorted_indices


@pytest.mark.parametrize("form", ["tocoo", "tocsr"])
def test_a_matrix_in_order_is_canonical(form: str) -> None:
    unordered = sparse.csr_matrix((np.array([1, 2, 3, 4]), np.array([2, 0, 2, 1]), np.array([0, 3, 4])), (2, 3))
    ordered = in_order(getattr(unordered, form)())
    assert ordered.has_canonical_format
    assert ordered.toarray().tolist() == [[2, 0, 4], [0, 4, 0]]
