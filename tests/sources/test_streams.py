"""Compressed and rotated logs as one stream."""

import bz2
import gzip
import lzma
import random
from pathlib import Path

import pyarrow as pa
import pytest

from lo2dask.sources.streams import Part, PartsReader, codec, rotated_name

TEXT = b"".join(b"%d a line %d\n" % (n, random.Random(n).getrandbits(60)) for n in range(20_000))
PACK = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}


def part(path: Path, data: bytes) -> Part:
    path.write_bytes(data)
    return Part(str(path), len(data))


def read(*parts: Part, size: int = 1 << 20) -> tuple[bytes, str]:
    with PartsReader(parts) as reader:
        blocks = list(iter(lambda: reader.read(size), b""))
        return b"".join(blocks), reader.problem


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_a_stream_gives_its_text_whatever_is_asked_for_at_once(tmp_path: Path, kind: str, size: int) -> None:
    assert read(part(tmp_path / f"x.log.{kind}", PACK[kind](TEXT)), size=size) == (TEXT, "")


@pytest.mark.parametrize("kind", PACK)
def test_a_truncated_stream_keeps_what_came_and_says_how_much(tmp_path: Path, kind: str) -> None:
    packed = PACK[kind](TEXT)
    text, problem = read(part(tmp_path / f"x.log.{kind}", packed[: len(packed) * 2 // 3]))
    assert TEXT.startswith(text)
    # A block of bz2 is 900 kB of text, which comes as a whole or not at all.
    assert kind == "bz2" or len(text) > len(TEXT) // 4
    assert problem.endswith(f"after {len(text)} bytes of text")


@pytest.mark.parametrize("kind", PACK)
def test_what_is_no_stream_gives_nothing_and_says_so(tmp_path: Path, kind: str) -> None:
    text, problem = read(part(tmp_path / f"x.log.{kind}", b"not packed at all"))
    assert text == b""
    assert "damaged" in problem or "ends early" in problem


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_several_streams_in_one_file_are_one_text(tmp_path: Path, kind: str) -> None:
    packed = PACK[kind](TEXT[:70_000]) + PACK[kind](TEXT[70_000:])
    assert read(part(tmp_path / f"x.log.{kind}", packed)) == (TEXT, "")
    padded = packed + b"\0" * 512
    assert read(part(tmp_path / f"x.log.{kind}", padded)) == (TEXT, "")


def test_each_part_begins_a_line(tmp_path: Path) -> None:
    old, new = part(tmp_path / "x.log.1.gz", gzip.compress(b"one\ntwo")), part(tmp_path / "x.log", b"three\n")
    assert read(old, part(tmp_path / "x.log.0", b""), new) == (b"one\ntwo\nthree\n", "")


def test_a_plain_part_is_read_to_the_size_that_was_seen(tmp_path: Path) -> None:
    seen = part(tmp_path / "x.log", b"one\n")
    (tmp_path / "x.log").write_bytes(b"one\ntwo\n")
    assert read(seen) == (b"one\n", "")


def test_names_tell_the_age() -> None:
    names = ["x.log.2.gz", "x.log.1", "x.log.old", "x-2026-01-01.log", "x.log-20260102.gz", "x.log.2026-01-02-10.xz"]
    names += ["x.log"]
    found = [rotated_name(name) for name in names]
    assert {one.name for one in found} == {"x.log"}
    assert sorted(found, key=lambda one: one.age) == found
    assert rotated_name("app-2026-01-02-2.log").age < rotated_name("app-2026-01-02-10.log").age
    for name in ("payments-2.log", "run-1740000000.log", "x_2k.log", "0.log", "v1.2.log"):
        assert rotated_name(name).name == name
    assert (codec("x.log.gz"), codec("x.log"), codec("x.zip")) == ("gz", "", "")
