"""Vocabularies are those of scikit-learn's CountVectorizer, and of a plain sort where tokens tie."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from lo2dask import schema
from lo2dask.features.bags import to_bags
from lo2dask.features.matrix import Columns, to_matrix
from lo2dask.features.trigrams import count_trigrams
from lo2dask.features.words import count_words
from lo2dask.vocabulary.counts import COUNTED, TokenCounts, count_tokens
from lo2dask.vocabulary.limits import VocabularyLimits, choose, select

TEXTS = [
    "a b c d a b", "b c d e", "a a a ä€", "c c d f g", "b ä€ h", "a b c", "d d d d", "x y z", "b", "c d", "", "a b ä€",
]  # fmt: skip


def counted(texts: list[str], kind: str) -> TokenCounts:
    return count_trigrams(pa.array(texts)) if kind == "trigrams" else count_words(pa.array(texts))


def reference(kind: str, **limits: object) -> CountVectorizer:
    if kind == "trigrams":
        return CountVectorizer(analyzer="char", ngram_range=(3, 3), lowercase=False, **limits)
    return CountVectorizer(tokenizer=lambda text: text.split(" "), token_pattern=None, lowercase=False, **limits)


def table_of(texts: list[str], kind: str) -> pa.Table:
    return pa.table({schema.REPRESENTATIONS[kind]: to_bags(counted(texts, kind))})


@pytest.mark.parametrize("kind", ["words", "trigrams", "templates"])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(("min_df", "max_df"), [(1, 1.0), (2, 0.9), (2, 0.4), (3, 0.5)])
def test_equals_count_vectorizer(kind: str, binary: bool, min_df: int, max_df: float) -> None:
    texts = [f"{text} end" for text in TEXTS]
    vectorizer = reference(kind, min_df=min_df, max_df=max_df, binary=binary)
    wanted = vectorizer.fit_transform(texts)
    limits = VocabularyLimits(min_df, max_df, 0, binary)
    chosen = choose(count_tokens(counted(texts, kind)), limits, len(texts))
    # scikit-learn sorts by code point, which for UTF-8 is the order of bytes.
    assert chosen["token"].to_pylist() == vectorizer.get_feature_names_out().tolist()
    columns = Columns({kind: chosen["token"].combine_chunks()})
    found = to_matrix(table_of(texts, kind), columns, binary)
    assert (found != wanted).nnz == 0
    assert found.dtype == np.float32
    assert found.indices.dtype == found.indptr.dtype == np.int32


@pytest.mark.parametrize("binary", [True, False])
def test_max_features_takes_the_most_frequent(binary: bool) -> None:
    """No tie falls on the cut: each token has a count of its own."""
    texts = [
        " ".join(letter for place, letter in enumerate("abcdef") if row <= 2 * place for _ in range(place + 1))
        for row in range(11)
    ]
    for cut in range(1, 7):
        vectorizer = reference("words", max_features=cut, binary=binary).fit(texts)
        chosen = choose(count_tokens(counted(texts, "words")), VocabularyLimits(1, 1.0, cut, binary), len(texts))
        assert chosen["token"].to_pylist() == vectorizer.get_feature_names_out().tolist()


def test_ties_fall_to_the_token_first_in_byte_order() -> None:
    chosen = choose(count_tokens(counted(["b a ä c"] * 3, "words")), VocabularyLimits(1, 1.0, 2), 3)
    assert chosen["token"].to_pylist() == ["a", "b"]


tokens = st.text(st.sampled_from("ab\0é€😀"), max_size=3)
counts = st.dictionaries(tokens, st.tuples(st.integers(1, 4), st.integers(0, 3)), max_size=40)
limits = st.builds(
    VocabularyLimits, st.integers(1, 3), st.sampled_from([0.5, 0.9, 1.0]), st.integers(0, 12), st.booleans()
)


def table(rows: dict[str, tuple[int, int]]) -> pa.Table:
    frequency = [number for number, _ in rows.values()]
    return pa.table([list(rows), frequency, [number + more for number, more in rows.values()]], schema=COUNTED)


def plain(rows: dict[str, tuple[int, int]], wanted: VocabularyLimits, n_rows: int) -> list[str]:
    """Sort everything, cut, sort again."""
    ranks = {token: frequency + (0 if wanted.binary else more) for token, (frequency, more) in rows.items()}
    kept = [token for token, (number, _) in rows.items() if wanted.min_df <= number <= wanted.max_df * n_rows]
    ranked = sorted(kept, key=lambda token: (-ranks[token], token.encode()))
    return sorted(ranked[: wanted.max_features or None], key=str.encode)


@settings(deadline=None)
@given(counts, limits)
def test_any_limits_keep_what_a_plain_sort_keeps(rows: dict[str, tuple[int, int]], wanted: VocabularyLimits) -> None:
    chosen = choose(table(rows), wanted, 4)
    assert chosen["token"].to_pylist() == plain(rows, wanted, 4)
    assert chosen.to_pylist() == [
        row for name in chosen["token"].to_pylist() for row in table({name: rows[name]}).to_pylist()
    ]
    assert Counter(select(table(rows), wanted, 4)["token"].to_pylist()) == Counter(chosen["token"].to_pylist())


@settings(deadline=None)
@given(counts, limits, st.integers(1, 5))
def test_parts_may_be_selected_from_first(
    rows: dict[str, tuple[int, int]], wanted: VocabularyLimits, n_parts: int
) -> None:
    parts = [table(dict(list(rows.items())[start::n_parts])) for start in range(n_parts)]
    selected = pa.concat_tables([select(part, wanted, 4) for part in parts])
    assert choose(selected, wanted, 4).equals(choose(table(rows), wanted, 4))
