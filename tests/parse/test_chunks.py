"""Files are read into chunks of whole lines, none of them twice and none left out."""

from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lo2dask.errors import IntegrityError
from lo2dask.parse import chunks
from lo2dask.parse.chunks import Counts, Reading, read_chunks
from lo2dask.sources.tree import SourceFile
from tests.examples import examples

from .conftest import source

contents = st.lists(
    st.lists(st.text(st.sampled_from("ab é"), max_size=30), max_size=8).map("\n".join), min_size=1, max_size=6
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chunks")


def write(folder: Path, texts: list[str]) -> list[SourceFile]:
    files = []
    for number, text in enumerate(texts):
        path = folder / f"light-oauth2-oauth2-token-{number}.log"
        path.write_bytes(text.encode())
        files.append(source(path))
    return files


def read(files: list[SourceFile], size: int, longest: int = 1 << 20) -> tuple[dict[int, bytes], Reading, list]:
    """Read files in chunks of a size; return what was read of each, and the segments."""
    reading, found, segments = Reading(), {}, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_BYTES", size)
        patch.setattr(chunks, "LONGEST_LINE", longest)
        for chunk in read_chunks(files, reading):
            assert chunk.size == sum(segment.size for segment in chunk.segments)
            for segment, text in zip(chunk.segments, chunk.texts(), strict=True):
                assert text.endswith(b"\n")
                found[segment.index] = found.get(segment.index, b"") + text
            segments += chunk.segments
    return found, reading, segments


@examples(80)
@given(texts=contents, size=st.integers(1, 200))
def test_every_byte_is_read_once(folder: Path, texts: list[str], size: int) -> None:
    found, reading, segments = read(write(folder, texts), size)
    data = [text.encode() for text in texts]
    assert found == {n: text if text.endswith(b"\n") else text + b"\n" for n, text in enumerate(data) if text}
    assert reading.bytes_read == sum(map(len, data))
    assert [reject.reason for reject in reading.rejects] == ["empty"] * data.count(b"")
    for index in found:
        own = [segment for segment in segments if segment.index == index]
        assert [segment.first for segment in own] == [True] + [False] * (len(own) - 1)
        assert not any(segment.whole for segment in own) or len(own) == 1
        assert sum(segment.lost for segment in own) == 0


@examples(80)
@given(texts=contents, size=st.integers(1, 60), longest=st.integers(5, 25))
def test_a_line_that_is_too_long_for_a_block_is_counted(
    folder: Path, texts: list[str], size: int, longest: int
) -> None:
    files = write(folder, texts)
    found, reading, segments = read(files, size, longest)
    for index, text in enumerate(texts):
        kept = found.get(index, b"").decode().removesuffix("\n").split("\n") if index in found else []
        lines = text.removesuffix("\n").split("\n") if text else []
        # What was left out is a line that is longer; a shorter one never is.
        assert [line for line in lines if len(line.encode()) <= longest] == [
            line for line in kept if len(line.encode()) <= longest
        ]
    total = sum(len(text.removesuffix("\n").split("\n")) for text in texts if text)
    kept_lines = sum(data.count(b"\n") for data in found.values())
    assert total == kept_lines + reading.counts.rejected
    assert reading.counts.lines_in == reading.counts.rejected
    assert sum(segment.lost for segment in segments) <= reading.counts.rejected


@examples(60)
@given(texts=contents, size=st.integers(1, 50))
def test_lines_are_counted_ahead(folder: Path, texts: list[str], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_BYTES", size)
        counted = [Reading().count_lines(file) for file in write(folder, texts)]
    assert counted == [text.count("\n") + (text[-1:] not in ("", "\n")) for text in texts]


@pytest.mark.parametrize("size", [16, 1 << 20])
def test_files_that_cannot_be_read_do_not_stop_the_others(tmp_path: Path, size: int) -> None:
    good, gone, binary, short, broken = write(tmp_path, ["good\n" * 9, "gone\n" * 9, "", "short\n" * 9, "x\n"])
    Path(gone.path).unlink()
    Path(binary.path).write_bytes(bytes(range(1, 32)) * 9)
    binary = source(Path(binary.path))
    short = SourceFile(**{**vars(short), "size": short.size + 7})
    broken = SourceFile(**{**vars(broken), "problem": "permission denied"})
    found, reading, _ = read([good, gone, binary, short, broken], size)
    assert found == {0: b"good\n" * 9, 3: b"short\n" * 9}
    assert [(Path(reject.path).name[-5], reject.reason) for reject in reading.rejects] == [
        ("1", "vanished"), ("2", "binary"), ("3", "truncated"), ("4", "unreadable"),
    ]  # fmt: skip
    assert reading.rejects[2].detail == f"7 of {short.size} bytes are missing"


def test_rejects_of_one_file_and_reason_are_one_row(tmp_path: Path) -> None:
    (file,) = write(tmp_path, ["x\n"])
    reading = Reading(stage="test")
    for count in (2, 3):
        reading.reject(file, "some reason", "lines left out: {}", count)
    reading.reject(file, "other", "as {} stands")
    assert [(r.stage, r.reason, r.detail) for r in reading.rejects] == [
        ("test", "some reason", "lines left out: 5"), ("test", "other", "as {} stands"),
    ]  # fmt: skip


@given(st.lists(st.integers(0, 50), min_size=6, max_size=6), st.integers(-1, 1))
def test_counts_must_add_up(numbers: list[int], off: int) -> None:
    counts = Counts(sum(numbers) + off, *numbers)
    if off:
        with pytest.raises(IntegrityError, match=f"here: {counts.lines_in} lines came in, {sum(numbers)} are"):
            counts.check("here")
    else:
        counts.check("here")
        both = Counts(sum(numbers), *numbers)
        both.add(counts)
        assert vars(both) == {name: 2 * value for name, value in vars(counts).items()}
        both.check("here")
