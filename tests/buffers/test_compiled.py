"""The compiled loops: lines and words as plain Python finds them, distinct slices numbered by their first place."""

import string

import numba
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.buffers import kernels as compiled
from lo2dask.buffers.padded import as_u64, padded
from lo2dask.buffers.slices import encode_slices, slices
from lo2dask.parse.lines import find_lines
from tests.examples import examples

BLANKS = " \t\r\v\f"
lines = st.lists(st.text(st.sampled_from("ab1:é €😀[]-" + BLANKS + "\0"), max_size=40), max_size=30)


@examples(200)
@given(lines)
def test_lines(many: list[str]) -> None:
    data = "".join(line + "\n" for line in many).encode()
    found = find_lines(padded(data))
    bounds = zip(found.starts.tolist(), found.ends.tolist(), strict=True)
    stripped = [line.strip(BLANKS) for line in many]
    assert [data[start:end].decode() for start, end in bounds] == stripped
    assert found.words.tolist() == [line.count(" ") + 1 for line in stripped]
    assert found.raw_ends.tolist() == [at for at, byte in enumerate(data) if byte == ord("\n")]
    assert found.is_ascii == data.isascii()


@examples(200)
@given(lines)
def test_slices_and_their_codes(many: list[str]) -> None:
    buffer = padded("".join(line + "\n" for line in many).encode())
    found = find_lines(buffer)
    stripped = [line.strip(BLANKS) for line in many]
    assert slices(buffer, found.starts, found.ends).to_pylist() == stripped
    encoded = encode_slices(buffer, found.starts, found.ends)
    assert encoded.to_pylist() == stripped
    assert encoded.dictionary.to_pylist() == list(dict.fromkeys(stripped))


def test_a_slice_of_every_length() -> None:
    text = b"0123456789abcdefghijklmnopqrstuvwxyz" * 2
    ends = np.arange(len(text) + 1)
    for start in range(3):
        seen = slices(padded(text), np.full(len(ends) - start, start), ends[start:])
        seen.validate(full=True)
        assert seen.to_pylist() == [text[start:end].decode() for end in ends[start:].tolist()]


def test_lines_too_short_for_the_first_guess_are_found_all_the_same() -> None:
    found = find_lines(padded(b"\n" * 5_000 + b"a b\n" * 5_000))
    assert found.words.tolist() == [1] * 5_000 + [2] * 5_000
    assert found.starts.tolist() == [*range(5_000), *range(5_000, 25_000, 4)]


def test_many_distinct_slices_outgrow_the_first_table() -> None:
    words = [f"{letter * (number % 20)}{number}" for number in range(4_000) for letter in string.ascii_lowercase[:3]]
    buffer = padded("".join(f"{word}\n" for word in [*words, *reversed(words)]).encode())
    found = find_lines(buffer)
    encoded = encode_slices(buffer, found.starts, found.ends)
    assert encoded.dictionary.to_pylist() == list(dict.fromkeys(words))
    assert encoded.to_pylist() == [*words, *reversed(words)]


def test_equal_hashes_are_not_equal_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every hash the same, the bytes alone decide."""
    plain = {name: getattr(compiled, name).py_func for name in ("encode_slices", "same_text", "_grown")}
    for name, function in plain.items():
        monkeypatch.setattr(compiled, name, function)
    monkeypatch.setattr(compiled, "hash_text", lambda words, start, end: compiled.BELOW.dtype.type(7))
    buffer = padded(b"one\ntwo\none\nthree\ntwo\n")
    found = find_lines(buffer)
    encoded = encode_slices(buffer, found.starts, found.ends)
    assert encoded.to_pylist() == ["one", "two", "one", "three", "two"]
    assert encoded.dictionary == pa.array(["one", "two", "three"])


def test_without_a_folder_for_code_it_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    real = numba.njit

    def njit(**options: bool) -> object:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", njit)
    assert compiled.compiled(lambda number: number + 1)(1) == 2


@pytest.mark.skipif(not numba.config.BOUNDSCHECK, reason="indices are checked under NUMBA_BOUNDSCHECK=1 alone")
def test_an_index_out_of_bounds_is_an_error_where_indices_are_checked() -> None:
    """What CI's second run of these tests rests on."""
    buffer, starts, ends = padded(b"some text"), np.array([0]), np.array([9])
    copy, offsets = np.empty(8, dtype=np.uint8), np.empty(2, dtype=np.int32)
    with pytest.raises(IndexError):
        compiled.copy_slices(as_u64(buffer), starts, ends, offsets, as_u64(copy, writeable=True))
