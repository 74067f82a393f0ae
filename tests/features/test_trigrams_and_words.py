"""Words and trigrams of texts equal a brute-force count, for any bytes, borders and numbers of rows."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import sparse

from lo2dask.features import trigrams as module
from lo2dask.features.trigrams import (
    NEWLINE,
    Alphabet,
    count_line_trigrams,
    count_text_trigrams,
    count_trigrams,
)
from lo2dask.features.words import count_words
from lo2dask.vocabulary.counts import TokenCounts
from tests.examples import examples

from .plain import as_counters, plain_trigrams, plain_words

ascii_texts = st.text(st.sampled_from("aB0 .\n\x7f\x01"), max_size=30)
wide_texts = st.text(st.sampled_from("aB0 ä€😀\n"), max_size=30)
texts = st.lists(st.one_of(ascii_texts, wide_texts), min_size=1, max_size=8)
long_texts = st.lists(
    st.builds("{} {}".format, st.sampled_from(["INFO com.networknt.oauth.Handler doIt", "x" * 40]), ascii_texts),
    min_size=1,
    max_size=30,
)


@examples(150)
@given(texts)
@example(["", "ab", "abc", "\n", "\n\nabc\n", "  "])
def test_each_text_has_its_own_tokens(many: list[str]) -> None:
    assert as_counters(count_words(pa.array(many))) == [plain_words(text) for text in many]
    assert as_counters(count_trigrams(pa.array(many))) == [plain_trigrams(text) for text in many]


@examples(60)
@given(long_texts)
def test_words_of_equal_beginnings_are_told_apart(many: list[str]) -> None:
    assert as_counters(count_words(pa.array(many))) == [plain_words(text) for text in many]


@given(texts, st.integers(0, 3))
def test_a_slice_of_a_column_is_counted_alone(many: list[str], offset: int) -> None:
    column = pa.array(["left out", *many, "too"]).slice(1, len(many)).slice(min(offset, len(many) - 1))
    assert as_counters(count_words(column)) == [plain_words(text) for text in column.to_pylist()]
    assert as_counters(count_trigrams(column)) == [plain_trigrams(text) for text in column.to_pylist()]


@examples(80)
@given(texts, st.data())
def test_rows_add_up_the_texts_that_they_have(many: list[str], data: st.DataObject) -> None:
    n_rows = data.draw(st.integers(1, 4))
    cells = st.lists(st.integers(0, 5), min_size=len(many), max_size=len(many))
    dense = np.array([data.draw(cells) for _ in range(n_rows)], dtype=np.int32)
    by_row = sparse.csr_matrix(dense)
    for count, plain in (
        (lambda t: count_words(t, by_row), plain_words),
        (lambda t: _trigrams(t, by_row), plain_trigrams),
    ):
        wanted = [Counter() for _ in range(n_rows)]
        for row, text in zip(*np.nonzero(dense), strict=True):
            for token, times in plain(many[text]).items():
                wanted[row][token] += times * int(dense[row, text])
        found = count(pa.array(many))
        if found is None:
            assert not all(text.isascii() for text in many)
        else:
            assert as_counters(found) == wanted


def _trigrams(column: pa.Array, by_row: sparse.csr_matrix) -> TokenCounts | None:
    return count_text_trigrams([TokenCounts(by_row, column)])


@examples(60)
@given(st.lists(ascii_texts, min_size=1, max_size=6), st.lists(ascii_texts, min_size=1, max_size=6))
def test_several_texts_of_a_row_add_up(one: list[str], two: list[str]) -> None:
    """The words of the first texts may stand for them: they tell which bytes there are."""
    parts = [TokenCounts(sparse.csr_matrix(np.ones((1, len(part)), np.int32)), pa.array(part)) for part in (one, two)]
    wanted = sum(map(plain_trigrams, [*one, *two]), Counter())
    assert as_counters(count_text_trigrams(parts)) == [wanted]
    assert as_counters(count_text_trigrams(parts, count_words(pa.array(one)).tokens)) == [wanted]


@examples(80)
@given(texts, st.data())
def test_lines_that_are_not_ascii_are_counted_by_character(many: list[str], data: st.DataObject) -> None:
    owners = data.draw(st.lists(st.integers(0, 3), min_size=len(many), max_size=len(many)))
    found = count_line_trigrams(pa.array(many), np.array(owners), 4)
    wanted = [Counter() for _ in range(4)]
    for owner, text in zip(owners, many, strict=True):
        wanted[owner] += plain_trigrams(text)
    assert as_counters(found) == wanted


@given(st.lists(st.binary(max_size=40), max_size=4), st.sampled_from([1, 7, 1 << 20]))
def test_an_alphabet_numbers_the_bytes_there_are(many: list[bytes], at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BYTES_AT_ONCE", at_once)
        alphabet = Alphabet.number(*(np.frombuffer(data, np.uint8) for data in many))
    wanted = sorted(set(b"".join(many)))
    assert alphabet.letters.tolist() == wanted
    assert [int(alphabet.numbers[byte]) for byte in wanted] == list(range(len(wanted)))
    assert (int(alphabet.numbers[256]), alphabet.size) == (len(wanted), len(wanted) ** 3)
    assert alphabet.is_ascii == all(byte < 128 for byte in wanted)


@given(st.lists(st.integers(0, 127), min_size=1, max_size=20, unique=True), st.data())
def test_windows_are_packed_by_their_bytes(letters: list[int], data: st.DataObject) -> None:
    alphabet = Alphabet.number(np.array(letters, np.uint8))
    window = [data.draw(st.sampled_from(letters)) for _ in range(3)]
    n, (a, b, c) = len(letters), (int(alphabet.numbers[byte]) for byte in window)
    packed = int(alphabet.packed(np.array([(a * n + b) * n + c]))[0])
    assert [packed >> 14, packed >> 7 & 127, packed & 127] == window


def test_no_window_reaches_over_a_newline() -> None:
    (found,) = as_counters(count_trigrams(pa.array(["ab\ncd\nefg"])))
    assert found == {"efg": 1}
    assert not any(chr(NEWLINE) in token for token in found)


def test_no_text_at_all() -> None:
    empty = pa.array([], pa.string())
    assert count_words(empty).counts.shape == (0, 0)
    assert count_trigrams(empty).counts.shape[0] == 0
    assert count_line_trigrams(empty, np.zeros(0, np.int64), 3).counts.shape == (3, 0)


def test_a_large_text_is_counted_exactly() -> None:
    lines = [
        f"{number % 97} user-{number % 13} ä" if number % 50 == 0 else f"{number % 97} u" for number in range(5000)
    ]
    (found,) = as_counters(count_trigrams(pa.array(["\n".join(lines)])))
    assert found == plain_trigrams("\n".join(lines))
    (words,) = as_counters(count_words(pa.array(["\n".join(lines)])))
    assert words == plain_words("\n".join(lines))
