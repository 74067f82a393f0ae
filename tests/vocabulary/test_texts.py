"""String columns: encoded, ordered and hashed as plain Python does it."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.vocabulary.texts import (
    encode_texts,
    hash_texts,
    order_texts,
    row_texts,
    text_sizes,
    unpack_trigrams,
    whole,
)
from tests.examples import examples

# Texts that agree in their first bytes, in eight, in many; that end in a zero byte; that are not ASCII.
pieces = st.lists(st.sampled_from(["", "a", "b", "\0", "ab" * 4, "abababa", "x" * 20, "é", "€uro", "😀"]), max_size=5)
texts = st.lists(pieces.map("".join), max_size=60)


@examples(200)
@given(texts, st.integers(0, 3))
def test_texts_are_ordered_by_their_bytes(many: list[str], start: int) -> None:
    ordered = order_texts(pa.array(many, pa.string()).slice(start))
    assert ordered.to_pylist() == many[start:]
    assert ordered.dictionary.to_pylist() == sorted(set(many[start:]), key=str.encode)


def test_many_texts_that_agree_are_ordered() -> None:
    many = [f"/oauth2/service/{number * 7919 % 3000:08x}" for number in range(6000)]
    ordered = order_texts(pa.array(many, pa.string_view()))
    assert ordered.dictionary.to_pylist() == sorted(set(many))
    assert ordered.to_pylist() == many


@examples(100)
@given(texts)
def test_the_compiled_encoding_is_arrows(many: list[str]) -> None:
    column = pa.array(many, pa.string())
    assert encode_texts(column).equals(column.dictionary_encode())


def plain_hash(data: bytes) -> int:
    """Hash in Python's own numbers: whole words, then what is left, each multiplied and folded."""
    mixed = len(data)
    for at in range(0, len(data) + 1, 8):
        mixed = (mixed ^ int.from_bytes(data[at : at + 8], "little")) * 0x9E3779B97F4A7C15 % 2**64
        mixed ^= mixed >> 32
    return mixed


@examples(200)
@given(texts, st.integers(0, 3))
def test_a_hash_depends_on_the_bytes_alone(many: list[str], start: int) -> None:
    """So it is the same in every process and on every machine, wherever the text stands in a column."""
    found = hash_texts(pa.array(many, pa.string()).slice(start))
    assert found.tolist() == [plain_hash(text.encode()) for text in many[start:]]


@pytest.mark.parametrize("of", [16, 256])
@pytest.mark.parametrize(
    "tokens",
    [
        [chr(a) + chr(b) + chr(c) for a in range(40, 80) for b in range(40, 80) for c in range(40, 80)],
        [f"{number}" for number in range(50_000)],
        [f"user-{number:08d}" for number in range(50_000)],
        [f"{number * 0x9E3779B97F4A7C15 % 2**128:032x}" for number in range(50_000)],
        ["x" * number for number in range(10_000)],
    ],
    ids=["trigrams", "numbers", "users", "hex", "lengths"],
)
def test_hashes_fill_buckets_evenly(tokens: list[str], of: int) -> None:
    sizes = np.bincount((hash_texts(pa.array(tokens)) % of).astype(np.int64), minlength=of)
    mean = len(tokens) / of
    # Seven standard deviations of a fair draw.
    assert np.abs(sizes - mean).max() < 7 * mean**0.5


@given(st.lists(st.text(st.characters(max_codepoint=127), min_size=3, max_size=3), max_size=9))
def test_packed_trigrams_come_back(many: list[str]) -> None:
    keys = np.array([ord(a) << 14 | ord(b) << 7 | ord(c) for a, b, c in many], dtype=np.int64)
    assert unpack_trigrams(keys).to_pylist() == many


def test_rows_of_bytes_become_texts() -> None:
    assert row_texts(np.frombuffer(b"abcdef", np.uint8).reshape(3, 2)).to_pylist() == ["ab", "cd", "ef"]
    assert row_texts(np.zeros((0, 2), np.uint8)).to_pylist() == []


def test_sizes_are_in_bytes_and_a_null_has_none() -> None:
    column = pa.array(["€", None, "ab", "€", ""]).dictionary_encode()
    assert text_sizes(column).tolist() == [3, 0, 2, 3, 0]


def test_a_column_of_any_chunks_is_one_array() -> None:
    for chunks in ([], [["a"]], [["a"], ["b", "c"]]):
        column = pa.chunked_array(chunks, pa.string())
        assert whole(column).to_pylist() == column.to_pylist()
