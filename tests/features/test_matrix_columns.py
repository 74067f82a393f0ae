"""Matrices of several representations and numbers, unknown tokens, and the bundled vectorizer."""

import pyarrow as pa

from lo2dask import schema
from lo2dask.features.bags import to_bags
from lo2dask.features.matrix import Columns, count_outside, numeric_moments, scales, to_matrix, to_sklearn
from lo2dask.features.trigrams import count_trigrams
from lo2dask.features.words import count_words
from lo2dask.vocabulary.counts import TokenCounts


def counted(texts: list[str], kind: str) -> TokenCounts:
    return count_trigrams(pa.array(texts)) if kind == "trigrams" else count_words(pa.array(texts))


def table_of(texts: list[str], kind: str) -> pa.Table:
    return pa.table({schema.REPRESENTATIONS[kind]: to_bags(counted(texts, kind))})


def test_unknown_tokens() -> None:
    part = table_of(["a b b c", "a", "z z z"], "words")
    outside = count_outside(part, Columns({"words": pa.array(["a", "c"])}))
    assert outside.tokens.to_pylist() == ["b", "z"]
    assert outside.counts.toarray().tolist() == [[2, 0], [0, 0], [0, 3]]


def test_several_representations_and_numbers() -> None:
    part = table_of(["a b", "b"], "words").append_column("e_trigrams", to_bags(counted(["abcd", ""], "trigrams")))
    part = part.append_column("seq_len", pa.array([4, 0])).append_column("duration_sec", pa.array([3, 6]))
    scale = scales(numeric_moments(part, ["seq_len", "duration_sec"]))
    tokens = {"words": pa.array(["a", "b"]), "trigrams": pa.array(["abc", "xyz"])}
    columns = Columns(tokens, ("seq_len", "duration_sec"), scale)
    assert columns.names == ["words:a", "words:b", "trigrams:abc", "trigrams:xyz", "seq_len", "duration_sec"]
    assert scale == (2.0, 1.5)
    matrix = to_matrix(part, columns)
    assert matrix.toarray().tolist() == [[1, 1, 1, 0, 2, 2], [0, 1, 0, 0, 0, 4]]
    assert matrix.nnz == 7
    assert Columns.from_plain(columns.to_plain()).names == columns.names


def test_the_bundled_vectorizer_makes_the_same_rows() -> None:
    part = table_of(["a b b", "b c"], "words").append_column("seq_len", pa.array([4, 2]))
    columns = Columns({"words": pa.array(["a", "b"])}, ("seq_len",), (2.0,))
    rows = [{"a": 1, "b": 2, "seq_len": 4, "new": 9}, {"b": 1, "seq_len": 2}]
    assert (to_sklearn(columns).transform(rows) != to_matrix(part, columns, binary=False)).nnz == 0
