"""Sizes in words, and memory of processes."""

import os

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lo2dask.errors import InputError
from lo2dask.memory import UNITS, format_bytes, measure, parse_bytes, tree_memory


@given(value=st.integers(1, 10**6), unit=st.sampled_from([unit for unit in UNITS if unit]), space=st.booleans())
def test_a_size_is_read_in_every_unit(value: int, unit: str, space: bool) -> None:
    for written in (unit, unit.lower()):
        assert parse_bytes(f"{value}{' ' * space}{written}") == value * UNITS[unit]


@pytest.mark.parametrize("text", ["", "MB", "many", "-1MB", "0", "1.2.3GB", "12 XB", "1e400", "nan", "inf", "é"])
def test_any_other_text_is_refused_by_the_name_of_its_option(text: str) -> None:
    with pytest.raises(InputError, match="^--partition-size: "):
        parse_bytes(text, "--partition-size")


@given(size=st.integers(1, 10**15))
def test_what_is_written_is_read_back_nearly(size: int) -> None:
    assert parse_bytes(format_bytes(size)) == pytest.approx(size, rel=0.051)


def test_memory_of_this_process() -> None:
    assert tree_memory(os.getpid()) > 10_000_000
    assert tree_memory(2**22 + 1) == 0
    assert measure() in ("PSS", "RSS")
