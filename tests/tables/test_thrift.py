"""Thrift's compact protocol: known bytes, numbers of every size, lists of every length, and what ends too early."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lo2dask.tables.thrift import (
    BINARY,
    BYTE,
    DOUBLE,
    FALSE,
    I16,
    I32,
    I64,
    LIST,
    MAP,
    SET,
    STRUCT,
    TRUE,
    Reader,
    varint,
    write_struct,
)

# By hand from the specification: (field ids -> type and value), bytes.
KNOWN = [
    ({}, "00"),
    ({1: (I32, 0)}, "15 00 00"),
    ({1: (I32, -1)}, "15 01 00"),
    ({1: (I64, 150)}, "16 ac02 00"),
    ({1: (TRUE, TRUE), 2: (FALSE, FALSE)}, "11 12 00"),
    ({3: (BINARY, b"ab")}, "38 02 6162 00"),
    ({15: (I16, 1), 16: (I16, 2)}, "f4 02 14 04 00"),
    ({16: (I32, 1)}, "05 20 02 00"),
    ({1: (LIST, (I32, [1, 2, 3]))}, "19 35 02 04 06 00"),
    ({1: (LIST, (BINARY, [b"x"] * 15))}, "19 f8 0f" + "0178" * 15 + "00"),
    ({1: (STRUCT, {1: (BYTE, 7)}), 2: (SET, (BYTE, []))}, "1c 13 07 00 1a 03 00"),
    ({1: (DOUBLE, bytes(range(8)))}, "17 0001020304050607 00"),
]


@pytest.mark.parametrize(("fields", "text"), KNOWN)
def test_known_bytes(fields: dict, text: str) -> None:
    data = bytes.fromhex(text)
    assert write_struct(fields) == data
    assert Reader(data).struct() == fields


@given(st.integers(0, 2**70))
def test_numbers_take_seven_bits_a_byte(number: int) -> None:
    data = varint(number)
    assert len(data) == max(1, -(-number.bit_length() // 7))
    assert [byte >> 7 for byte in data] == [1] * (len(data) - 1) + [0]
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(data)) == number


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40), st.integers(1, 32_000))
def test_numbers_come_back_from_lists_and_any_field(values: list[int], field: int) -> None:
    fields = {field: (LIST, (I64, values)), field + 17: (I64, values[0] if values else 0)}
    assert Reader(write_struct(fields)).struct() == fields


@given(st.lists(st.booleans(), max_size=20), st.lists(st.binary(max_size=300), max_size=20))
def test_lists_of_flags_texts_and_structs(flags: list[bool], texts: list[bytes]) -> None:
    marks = [TRUE if flag else FALSE for flag in flags]
    structs = [{1: (BINARY, text), 2: (LIST, (TRUE, marks))} for text in texts]
    fields = {1: (LIST, (TRUE, marks)), 2: (SET, (BINARY, texts)), 3: (LIST, (STRUCT, structs))}
    assert Reader(write_struct(fields)).struct() == fields


@given(st.integers(1, 30))
def test_what_ends_too_early_is_an_error(left: int) -> None:
    data = write_struct({1: (I32, 5), 2: (LIST, (I64, [2**40] * 9)), 3: (STRUCT, {1: (I64, 9)})})
    with pytest.raises(IndexError):
        Reader(data[: len(data) - min(left, len(data))]).struct()


def test_a_type_that_no_footer_has_is_named() -> None:
    with pytest.raises(ValueError, match=f"Thrift type {MAP} does not occur"):
        Reader(bytes([1 << 4 | MAP, 0, 0])).struct()
