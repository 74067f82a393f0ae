"""Vocabularies and matrices equal scikit-learn's on small data, however they are split and spilled."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from lo2dask import schema
from lo2dask.features.bags import to_bags
from lo2dask.features.matrix import Columns, numeric_moments, scales, to_matrix, to_sklearn, unknown
from lo2dask.features.trigrams import count_trigrams
from lo2dask.features.words import count_words
from lo2dask.vocabulary import compiled_counts, merging, spilling
from lo2dask.vocabulary.adding import Share, TokenSums
from lo2dask.vocabulary.limits import COUNTED, Limits, choose, count_bags, count_tokens, find_candidates
from lo2dask.vocabulary.merging import BATCH_ROWS, Cut, group_runs, merge_runs, sort_runs, write_run
from lo2dask.vocabulary.spilling import add_shares, count_work, open_counts, read_work, spill
from lo2dask.vocabulary.tokens import TokenCounts, order_texts

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
    limits = Limits(min_df, max_df, 0, binary)
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
        chosen = choose(count_tokens(counted(texts, "words")), Limits(1, 1.0, cut, binary), len(texts))
        assert chosen["token"].to_pylist() == vectorizer.get_feature_names_out().tolist()


def test_ties_fall_to_the_token_first_in_byte_order() -> None:
    chosen = choose(count_tokens(counted(["b a ä c"] * 3, "words")), Limits(1, 1.0, 2), 3)
    assert chosen["token"].to_pylist() == ["a", "b"]


texts = st.lists(
    st.lists(st.text(st.sampled_from("abä€"), max_size=2), max_size=6).map(" ".join), min_size=1, max_size=12
)


@settings(max_examples=50, deadline=None)
@given(
    texts, st.integers(1, 4), st.integers(1, 3), st.integers(0, 6), st.booleans(), st.sampled_from([1, 100, 1 << 20])
)
def test_spilled_in_buckets_or_at_once(
    many: list[str], n_parts: int, min_df: int, max_features: int, binary: bool, most: int
) -> None:
    import tempfile

    limits = Limits(min_df, 0.9, max_features, binary)
    parts = [count_tokens(counted(many[start::n_parts], "words")) for start in range(min(n_parts, len(many)))]
    wanted = choose(count_tokens(counted(many, "words")), limits, len(many))
    for rows in (1, 1 << 13):
        with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{number}.arrow" for number in range(len(parts))]
            patch.setattr(spilling, "_BUCKET_ROWS", rows)
            for path, part in zip(paths, parts, strict=True):
                assert spill(path, iter([COUNTED.empty_table(), part])) == [0, count_work(part)]
                assert read_work(path) == [0, count_work(part)]
            for readers in (2, 16):
                shares = [
                    sums for number in range(readers) for sums in add_shares(paths, 1, Share(number, readers), most)
                ]
                tables = [sums.take(find_candidates(sums.counts(), limits, len(many))) for sums in shares]
                assert choose(pa.concat_tables(tables), limits, len(many)).equals(wanted)
                for spare in (1, 1 << 20):
                    patch.setattr(merging, "_SPARE", spare)
                    assert merged(Path(folder), shares, limits, len(many)).equals(wanted)


def merged(folder: Path, shares: list[TokenSums], limits: Limits, n_rows: int) -> pa.Table:
    runs = [write_run(folder / f"{number}.run", sums, limits, n_rows) for number, sums in enumerate(shares)]
    cut = Cut.of(runs, limits)
    for run, sums in zip(runs, shares, strict=True):
        if run.floor > cut.lowest:
            again = write_run(run.path, sums, limits, n_rows, cut.lowest)
            assert Cut.of([again], limits) == Cut.of([run], limits)
    ordered = [sort_runs(paths, cut) for paths in group_runs(runs, cut)]
    return pa.concat_tables([COUNTED.empty_table(), *merge_runs(ordered, cut)])


def test_a_run_leaves_out_what_the_cut_will(tmp_path: Path) -> None:
    """Of eight equal shares, each writes half of what the vocabulary takes, four times its part; it tells of all."""
    sums = TokenSums(Share(1, 8))
    sums.add(numbered(0, 1000))
    run = write_run(tmp_path / "run", sums, Limits(1, 1.0, 200, binary=False), 100)
    with open_counts(run.path) as file:
        written = file.read_all()
    assert run.numbers.sum() == 272, "the 200 that rank highest and those that tie with the last"
    assert 100 <= written.num_rows < 200
    assert written["count"].to_numpy().min() == run.floor
    whole = write_run(tmp_path / "whole", sums, Limits(1, 1.0, 200, binary=False), 100, floor=0)
    with open_counts(whole.path) as file:
        assert file.read_all().num_rows == 272


def numbered(start: int, stop: int, step: int = 1) -> pa.Table:
    """Counted tokens whose counts repeat, so that a cut falls among equal ones."""
    numbers = np.arange(start, stop, step)
    tokens = [f"token {number:06d}" for number in numbers]
    return pa.table([tokens, 1 + numbers % 7, 1 + numbers % 11], schema=COUNTED)


@pytest.mark.parametrize("cut", [0, 1, 5000, 39_999, 1_000_000])
def test_runs_of_many_batches_merge_in_byte_order(tmp_path: Path, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "SORTED_ROWS", 15_000)
    tables = [numbered(0, 20_000, 2), numbered(1, 20_000, 2), numbered(20_000, 40_000), COUNTED.empty_table()]
    limits = Limits(1, 1.0, cut, binary=False)
    runs = []
    for number, table in enumerate(tables):
        sums = TokenSums(Share())
        sums.add(table)
        runs.append(write_run(tmp_path / f"{number}.arrow", sums, limits, 100))
    border = Cut.of(runs, limits)
    ordered = [sort_runs(paths, border) for paths in group_runs(runs, border)]
    found = list(merge_runs(ordered, border))
    wanted = choose(pa.concat_tables(tables), limits, 100)
    assert pa.concat_tables([COUNTED.empty_table(), *found]).equals(wanted)
    assert max((table.num_rows for table in found), default=0) <= len(runs) * BATCH_ROWS


def test_a_reducer_never_holds_more_than_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of distinct tokens: what it holds between two additions stays within the bound."""
    parts = [numbered(start, start + 50_000) for start in range(0, 400_000, 40_000)]
    paths = [tmp_path / f"{number}.arrow" for number in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        spill(path, [part])
    held = []
    monkeypatch.setattr(spilling, "_READ_AT_ONCE", 2)
    add = TokenSums.add

    def watched(self: TokenSums, table: pa.Table) -> None:
        add(self, table)
        held.append(self.nbytes)

    monkeypatch.setattr(TokenSums, "add", watched)
    most = 1 << 20
    sizes = [sums.table().num_rows for sums in add_shares(paths, 0, Share(), most)]
    assert sum(sizes) == 400_000 + 10_000
    assert len(sizes) >= 16
    # What is there, within the bound, and the buckets of a part that were added last, two of its eight.
    assert max(held) < most + 50_000 // 4 * 100


def test_a_bag_column_is_counted_as_its_matrix() -> None:
    counts = counted(TEXTS, "words")
    assert count_bags(to_bags(counts)).sort_by("token").equals(count_tokens(counts).sort_by("token"))
    assert (
        count_bags(pa.chunked_array([to_bags(counts)[5:]]))
        .sort_by("token")
        .equals(count_tokens(counted(TEXTS[5:], "words")).sort_by("token"))
    )


def test_counts_of_some_rows() -> None:
    rows = np.array([number % 2 == 0 for number in range(len(TEXTS))])
    some = count_tokens(counted(TEXTS, "words"), rows).sort_by("token")
    assert some.equals(count_tokens(counted(TEXTS[::2], "words")).sort_by("token"))


def test_unknown_tokens() -> None:
    part = table_of(["a b b c", "a", "z z z"], "words")
    distinct, occurrences = unknown(part, Columns({"words": pa.array(["a", "c"])}))
    assert (distinct.tolist(), occurrences.tolist()) == ([1, 0, 1], [2, 0, 3])


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


@pytest.mark.parametrize("odd", [(), ("ü12",), ("ab",), ("abcd",), ("ü2",), ("a\0", "a", ""), ("\0\0\0",)])
def test_trigrams_and_other_tokens_are_added_up(odd: tuple[str, ...]) -> None:
    words = [*(f"{letter}{number}" for letter in "a Z~" for number in range(10, 99)), *odd]
    total: Counter[str] = Counter()
    sums = TokenSums(Share())
    for start in (0, 3, 50):
        chosen = words[start:]
        numbers = [1 + start + number for number in range(len(chosen))]
        sums.add(pa.table([pa.array(chosen), pa.array(numbers), pa.array([7] * len(chosen))], schema=COUNTED))
        total.update(dict(zip(chosen, numbers, strict=True)))
    found = sums.table()
    assert dict(zip(found["token"].to_pylist(), found["document_frequency"].to_pylist(), strict=True)) == total
    assert found["count"].to_pylist().count(21) == len(words) - 50


def test_equal_hashes_are_not_equal_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every hash the same, the bytes alone decide."""
    for name in ("add_tokens", "fill_slots"):
        monkeypatch.setattr(compiled_counts, name, getattr(compiled_counts, name).py_func)
    monkeypatch.setattr(compiled_counts, "hash_text", lambda words, start, end: np.uint64(7))
    sums = TokenSums(Share())
    for tokens in (["one", "four", "three"], ["three", "five", "four"]):
        sums.add(pa.table([tokens, [1, 2, 3], [4, 5, 6]], schema=COUNTED))
    found = sums.table().to_pydict()
    assert dict(zip(found["token"], zip(found["document_frequency"], found["count"], strict=True), strict=True)) == {
        "one": (1, 4), "four": (5, 11), "three": (4, 10), "five": (2, 5)
    }  # fmt: skip


# Texts that agree in their first bytes, in eight, in many; that end in a zero byte; that are not ASCII.
pieces = st.lists(st.sampled_from(["", "a", "b", "\0", "ab" * 4, "abababa", "x" * 20, "é", "€uro"]), max_size=5)


@settings(max_examples=200, deadline=None)
@given(st.lists(pieces.map("".join), max_size=60))
def test_texts_are_ordered_by_their_bytes(many: list[str]) -> None:
    ordered = order_texts(pa.array(many, pa.string()))
    assert ordered.to_pylist() == many
    assert ordered.dictionary.to_pylist() == sorted(set(many), key=str.encode)


def test_many_texts_that_agree_are_ordered() -> None:
    many = [f"/oauth2/service/{number * 7919 % 3000:08x}" for number in range(6000)]
    assert order_texts(pa.array(many)).dictionary.to_pylist() == sorted(set(many))
