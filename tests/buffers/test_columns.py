"""Columns of names, times and padded text: against plain Python."""

from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from lo2dask.buffers.columns import among, codes, microseconds, milliseconds, strings
from lo2dask.buffers.padded import PADDING, as_u64, padded, padded_text, text_bytes
from lo2dask.buffers.slices import encode_slices, slices
from lo2dask.buffers.visible import UNSEEN, token_label, visible

names = st.lists(st.text(st.sampled_from("abé😀 \0"), max_size=9), max_size=20)


def forms(values: list[str]) -> list[object]:
    """Return the same names in every form that a caller has."""
    array = pa.array(values, pa.string())
    half = len(values) // 2
    encoded = array.dictionary_encode()
    chunked = pa.chunked_array([array[:half], array[half:]], pa.string())
    return [values, np.array(values, dtype=object), array, encoded, chunked, array.cast(pa.large_string())]


@given(names)
def test_names_of_any_form_are_strings(values: list[str]) -> None:
    for form in forms(values):
        found = strings(form)
        assert (found.type, found.to_pylist()) == (pa.string(), values)


@given(names, st.sets(st.sampled_from(["a", "b", "é", "", "other"])))
def test_rows_that_have_one_of_some_names(values: list[str], chosen: set[str]) -> None:
    for form in forms(values):
        found = among(form, chosen)
        assert (found.dtype, found.tolist()) == (np.bool_, [value in chosen for value in values])


@given(names)
def test_codes_number_the_sorted_names(values: list[str]) -> None:
    for form in forms(values):
        numbers, found = codes(form)
        assert found == sorted(set(values))
        assert [found[number] for number in numbers.tolist()] == values


def test_a_slice_of_a_dictionary_keeps_its_own_rows() -> None:
    encoded = pa.array(["b", "a", "b", "c"]).dictionary_encode()[1:3]
    assert strings(encoded).to_pylist() == ["a", "b"]
    numbers, found = codes(encoded)
    assert [found[number] for number in numbers] == ["a", "b"]


@given(st.lists(st.none() | st.integers(0, 4 * 10**12), max_size=20))
def test_times_to_milliseconds_and_back(times: list[int | None]) -> None:
    ms = np.array([-1 if time is None else time for time in times], dtype=np.int64)
    column = microseconds(ms, ms < 0)
    begin = datetime(1970, 1, 1, tzinfo=UTC)
    assert column.to_pylist() == [None if t is None else begin + timedelta(milliseconds=t) for t in times]
    assert milliseconds(pa.chunked_array([column]), -1).tolist() == ms.tolist()


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_a_padded_buffer_has_zeros_after_it_and_every_number(parts: list[bytes]) -> None:
    data = b"".join(parts)
    buffer = padded(*parts)
    assert bytes(buffer) == data + bytes(PADDING)
    numbers = as_u64(buffer)
    whole = bytes(buffer)
    assert numbers.tolist() == [int.from_bytes(whole[at : at + 8], "little") for at in range(len(whole) - 7)]
    assert not numbers.flags.writeable


@given(names, st.integers(0, 5), st.integers(0, 20))
def test_text_of_slices_of_a_column(values: list[str], skip: int, size: int) -> None:
    array = pa.array(values, pa.string())[skip : skip + size]
    text, offsets = text_bytes(array)
    assert not text.flags.writeable
    assert [bytes(text[a:b]).decode() for a, b in zip(offsets[:-1], offsets[1:], strict=True)] == array.to_pylist()
    buffer, begins = padded_text(array)
    assert begins[0] == 0
    assert bytes(buffer) == "".join(array.to_pylist()).encode() + bytes(PADDING)
    assert slices(buffer, begins[:-1], begins[1:]).to_pylist() == array.to_pylist()
    assert encode_slices(buffer, begins[:-1], begins[1:]).to_pylist() == array.to_pylist()


@given(st.text(max_size=30))
def test_shown_text_has_nothing_that_acts(text: str) -> None:
    import unicodedata

    shown = visible(text)
    assert not {unicodedata.category(char) for char in shown} & UNSEEN
    assert visible(shown) == shown
    kept = "".join(char for char in text if unicodedata.category(char) not in UNSEEN)
    assert [char for char in kept if char not in shown] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"), ("a\tb\n", r"a\tb\n"), ("\u202eevil", r"\u202eevil"), ("ä 😀 日", "ä 😀 日"),
        ("\u200b", r"\u200b"), ("\ud800", r"\ud800"), ("\U000e0041", r"\U000e0041"), ("", ""),
    ],
)  # fmt: skip
def test_known_text_as_it_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("token", "label"),
    [("", "(empty)"), (" ", "␣"), ("   ", "␣␣␣"), (" a", "␣a"), ("a b ", "a b␣"), ("  a ", "␣␣a␣"), ("\t", r"\t")],
)
def test_spaces_at_the_ends_of_a_token_can_be_seen(token: str, label: str) -> None:
    assert token_label(token) == label
