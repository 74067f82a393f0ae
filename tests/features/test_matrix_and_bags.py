"""Bags and matrices against what plain dicts say, for any bags and any partitioning."""

import math
from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from lo2dask import schema
from lo2dask.explanation.evidence_search import tokens_only_in
from lo2dask.explanation.linear import background_sums
from lo2dask.features.bags import add_blocks, from_bags, read_counts, to_bags, to_token_lists
from lo2dask.features.matrix import Columns, add_moments, count_outside, numeric_moments, scales, to_matrix, to_sklearn
from lo2dask.features.words import count_words
from lo2dask.vocabulary.counts import TokenCounts
from tests.examples import examples

TOKENS = ["", " ", "a", "ab", "é", "日本", "z" * 40, "<NUM>"]
bags = st.lists(st.dictionaries(st.sampled_from(TOKENS), st.integers(1, 50), max_size=6), max_size=12)
bag = st.dictionaries(st.sampled_from(TOKENS), st.integers(1, 9))
numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


def column(rows: list[dict[str, int]]) -> pa.Array:
    entries = [[{"token": t, "count": n} for t, n in sorted(row.items(), key=lambda e: e[0].encode())] for row in rows]
    return pa.array(entries, schema.BAG)


def as_dicts(counts: TokenCounts) -> list[dict[str, int]]:
    names = counts.tokens.to_pylist()
    dense = counts.counts.toarray()
    return [{names[place]: int(row[place]) for place in np.flatnonzero(row)} for row in dense]


@given(rows=bags)
def test_bags_come_back_as_they_were(rows: list[dict[str, int]]) -> None:
    found = from_bags(column(rows))
    assert as_dicts(found) == rows
    assert to_bags(found).equals(column(rows))
    lists = to_token_lists(column(rows))
    assert [Counter(row) for row in lists.to_pylist()] == rows
    assert as_dicts(read_counts(lists)) == rows


@given(rows=bags, offset=st.integers(0, 3))
def test_a_slice_of_a_column_is_read_alone(rows: list[dict[str, int]], offset: int) -> None:
    assert as_dicts(from_bags(column(rows).slice(offset))) == rows[offset:]


@given(rows=st.lists(st.tuples(st.integers(0, 5), st.text("ab é\n", max_size=8)), max_size=10))
def test_slabs_add_up_to_the_words_of_all(rows: list[tuple[int, str]]) -> None:
    blocks, wanted = [], [Counter() for _ in range(6)]
    for row, text in rows:
        blocks.append((np.array([row]), count_words(pa.array([text]))))
        wanted[row].update(text.replace("\n", " ").split(" "))
    assert as_dicts(add_blocks(blocks, 6)) == wanted


@given(rows=bags, known=st.lists(st.sampled_from(TOKENS), unique=True, max_size=5), binary=st.booleans())
def test_a_matrix_has_what_the_bags_have(rows: list[dict[str, int]], known: list[str], binary: bool) -> None:
    part = pa.table({"e_words": column(rows)})
    columns = Columns({"words": pa.array(known, pa.string())})
    matrix = to_matrix(part, columns, binary)
    wanted = [[float(row.get(t, 0) > 0 if binary else row.get(t, 0)) for t in known] for row in rows]
    assert matrix.toarray().tolist() == wanted
    assert (matrix.dtype, matrix.indices.dtype, matrix.shape) == (np.float32, np.int32, (len(rows), len(known)))
    assert matrix.has_sorted_indices
    assert (matrix.data != 0).all()
    outside = count_outside(part, columns)
    names = outside.tokens.to_pylist()
    found = [{t: n for t, n in zip(names, counts, strict=True) if n} for counts in outside.counts.toarray().tolist()]
    assert found == [{t: n for t, n in row.items() if t not in known} for row in rows]


def test_scikit_learn_makes_the_same_rows_from_dicts() -> None:
    rows = [{"a": 3, "ab": 1}, {}, {"é": 2, "z": 1}]
    columns = Columns({"words": pa.array(["a", "é"])}, ("seq_len", "rate"), (2.0, 0.5))
    table = pa.table({"e_words": column(rows), "seq_len": [4, 0, 6], "rate": [1.0, 0.25, 0.0]})
    assert columns.names == ["a", "é", "seq_len", "rate"]
    assert columns.needed == ["e_words", "seq_len", "rate"]
    assert Columns.from_plain(columns.to_plain()).to_plain() == columns.to_plain()
    dicts = [{"a": 1, "seq_len": 4, "rate": 1.0}, {"rate": 0.25}, {"é": 1, "seq_len": 6}]
    made = to_sklearn(columns).transform(dicts)
    assert np.array_equal(made.toarray(), to_matrix(table, columns).toarray())


@given(values=st.lists(numbers, min_size=1, max_size=40), cut=st.integers(0, 40))
def test_moments_do_not_depend_on_the_parts(values: list[float], cut: int) -> None:
    parts = [pa.table({"rate": pa.array(v, pa.float64())}) for v in (values[:cut], values[cut:], values)]
    first, second, whole = (numeric_moments(part, ["rate"]) for part in parts)
    assert add_moments([first, second]) == whole == add_moments([second, first])
    deviation = float(np.std(np.round(values, 3)))
    expected = deviation if deviation > 1e-9 else 1.0
    assert math.isclose(scales(whole)[0], expected, rel_tol=1e-6, abs_tol=1e-6)


@given(rows=bags, cut=st.integers(0, 12))
def test_the_background_is_the_same_for_any_parts(rows: list[dict[str, int]], cut: int) -> None:
    columns = Columns({"words": pa.array(TOKENS)})
    matrix = to_matrix(pa.table({"e_words": column(rows)}), columns, False)
    taken = np.arange(len(rows)) % 3 != 1
    parts = [background_sums(matrix[piece], taken[piece]) for piece in (slice(0, cut), slice(cut, None))]
    merged = parts[1] + parts[0]
    assert np.array_equal(merged, background_sums(matrix, taken))
    assert merged[-1] == taken.sum()
    assert np.allclose(merged[:-1], matrix[taken].toarray().sum(axis=0))


@examples(50)
@given(one=bag, two=bag)
def test_tokens_of_one_bag_alone_are_listed_by_their_counts(one: dict[str, int], two: dict[str, int]) -> None:
    gained = tokens_only_in(one, two)
    assert set(gained) == set(one) - set(two)
    assert [one[token] for token in gained] == sorted((one[token] for token in gained), reverse=True)
    assert tokens_only_in(one, two, limit=1) == gained[:1]


def test_a_column_that_is_constant_is_not_divided() -> None:
    assert scales([(3, 6_000, 12_000_000)]) == (1.0,)
    assert scales([(0, 0, 0)]) == (1.0,)
    assert scales([(2, 2_000, 4_000_000)]) == pytest.approx((1.0,))
