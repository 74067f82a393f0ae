"""Lines of a buffer and invalid text, against what Python's own strings say."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given

from lo2dask.buffers.padded import padded
from lo2dask.parse.chunks import Chunk, Reading, Segment
from lo2dask.parse.lines import find_lines
from lo2dask.parse.text import REPLACEMENT, repair_utf8
from lo2dask.sources.tree import SourceFile
from tests.examples import examples

from .reference import BLANKS

pieces = st.sampled_from(
    [b"a", b" ", b"\t", b"\r", b"\v", b"\f", b"\0", b"\x1a", b"\x1b", b"\x7f", "é".encode(), "😀".encode(), b"12345678"]
)
raw_lines = st.lists(pieces, max_size=12).map(b"".join)
STRIPPED = BLANKS.encode()


def file(name: str) -> SourceFile:
    return SourceFile(name, "", 0, 1, 0, "run_1", "correct", name, "log", "token", normal=True)


def chunk(*texts: bytes) -> Chunk:
    segments = [Segment(number, file(f"{number}.log"), len(text), True, True) for number, text in enumerate(texts)]
    return Chunk(segments, padded(*texts))


@examples(200)
@given(st.lists(raw_lines, min_size=1, max_size=12))
@example([b""])
@example([b" ", b"  \t", b"x " * 40])
@example([b"x" * 7, b"x" * 8, b"x" * 9, b"\x80"])
def test_lines_are_those_of_split(lines: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    found = find_lines(padded(data))
    stripped = [line.strip(STRIPPED) for line in lines]
    cut = [data[start:end] for start, end in zip(found.starts.tolist(), found.ends.tolist(), strict=True)]
    assert cut == stripped
    assert found.raw_ends.tolist() == [place for place, byte in enumerate(data) if byte == 0x0A]
    assert found.words.tolist() == [line.count(b" ") + 1 for line in stripped]
    assert (found.is_ascii, found.has_nul) == (data.isascii(), b"\0" in data)
    assert found.has_escape == (b"\x1b" in data)


@pytest.mark.parametrize("size", [0, 1, 40, 5000])
def test_many_lines_are_found_however_short(size: int) -> None:
    data = (b"x" * size + b"\n") * 3000
    found = find_lines(padded(data))
    assert (found.ends - found.starts).tolist() == [size] * 3000


def test_what_stands_after_the_buffer_is_not_looked_at() -> None:
    found = find_lines(padded(b"ab\n"))
    assert (found.starts.tolist(), found.ends.tolist(), found.has_nul) == ([0], [2], False)


@examples(100)
@given(st.lists(st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"") + b"\n"), min_size=1, max_size=4))
def test_invalid_text_is_replaced_file_by_file(texts: list[bytes]) -> None:
    before, reading = chunk(*texts), Reading()
    after = repair_utf8(before, reading)
    wanted = [text.decode(errors="replace").encode() for text in texts]
    assert after.texts() == wanted
    assert [segment.size for segment in after.segments] == [len(text) for text in wanted]
    assert (after is before) == (wanted == texts)
    bad = [number for number, text in enumerate(texts) if text != wanted[number]]
    assert [reject.path for reject in reading.rejects] == [f"{number}.log" for number in bad]
    for reject, number in zip(reading.rejects, bad, strict=True):
        count = wanted[number].decode().count(REPLACEMENT) - texts[number].count(REPLACEMENT.encode())
        assert reject.detail == f"byte sequences replaced by U+FFFD, lines kept: {count}"


def test_a_replacement_character_in_the_log_is_no_damage() -> None:
    reading = Reading()
    before = chunk(f"{REPLACEMENT}\n".encode(), "é\n".encode())
    assert repair_utf8(before, reading) is before
    assert not reading.rejects


def test_the_size_of_a_chunk_is_that_of_its_files() -> None:
    found = chunk(b"a\n", b"bcd\n")
    assert found.size == 6
    assert found.texts() == [b"a\n", b"bcd\n"]
    assert not np.any(found.buffer[6:])
