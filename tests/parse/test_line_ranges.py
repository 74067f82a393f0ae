"""Lines are read again by their numbers: those that lo2_events.parquet has."""

import gzip
import tarfile
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lo2dask.parse import line_ranges
from lo2dask.parse.line_ranges import CUT_MARK, locate_rows, read_line_ranges
from lo2dask.sources.manifest import batch_files, cut_batches
from lo2dask.sources.streams import Part
from lo2dask.sources.tree import SourceFile
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths
from tests.examples import examples
from tests.trees import load_tree, table_of

from .conftest import source

RUN = "light-oauth2-data-1719592986"
LINE = "16:41:07.{:03d} [XNIO-1 task-{}]  abc{} DEBUG c.n.o.Handler handleRequest - line {} {}"
EVERYTHING = [(1, 10**9)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranges")


def write(folder: Path, data: bytes) -> SourceFile:
    path = folder / "light-oauth2-oauth2-token-1.log"
    path.write_bytes(data)
    return source(path)


def log(ending: str, lines: int = 40, last: str = "") -> bytes:
    """A log with blank lines, continuation lines, colours and bytes that are no UTF-8."""
    texts = [LINE.format(n, n % 3, n % 5, n, "é" * (n % 4)) for n in range(lines)]
    texts[5], texts[7], texts[9] = "", "  \tat com.networknt.Some.method(Some.java:3)", "   "
    data = ending.join(texts).encode() + last.encode()
    return data.replace(b"line 11", b"\x1b[31mline\x1b[0m 11").replace(b"line 13", b"li\xffne 13")


@examples(150)
@given(
    data=st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\n\n", b"\r\n", "é".encode()]), max_size=30).map(b"".join),
    block=st.integers(1, 40),
    ranges=st.lists(st.tuples(st.integers(-1, 12), st.integers(-1, 14)), max_size=4),
)
def test_the_lines_of_the_ranges_and_no_others(
    folder: Path, data: bytes, block: int, ranges: list[tuple[int, int]]
) -> None:
    lines = data.split(b"\n")
    lines = lines[:-1] if not lines[-1] else lines
    wanted = [
        (number, line.removesuffix(b"\r").decode(errors="replace"))
        for number, line in enumerate(lines, 1)
        if any(first <= number <= last for first, last in ranges)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_ranges, "_BLOCK_BYTES", block)
        assert list(read_line_ranges(write(folder, data), ranges)) == wanted


@pytest.mark.parametrize("tar", [False, True])
def test_numbers_and_texts_are_those_of_the_events(tmp_path: Path, tar: bool) -> None:
    """CRLF, no final newline, blank and continuation lines, invalid UTF-8, colours, byte order marks; file and tar."""
    logs = {"token": log("\r\n"), "code": log("\n"), "key": b"\xef\xbb\xbf" + log("\n", last="\n")}
    logs["key"] = logs["key"].replace(b"\n", b"\n\xef\xbb\xbf", 20)
    case = tmp_path / "raw" / RUN / "correct"
    case.mkdir(parents=True)
    for service, data in logs.items():
        (case / f"light-oauth2-oauth2-{service}-1.log").write_bytes(data)
    if tar:
        with tarfile.open(tmp_path / "raw" / f"{RUN}.tar", "w") as archive:
            archive.add(case.parent, RUN)
        for path in case.iterdir():
            path.unlink()
        case.rmdir()
        case.parent.rmdir()
    root = load_tree(tmp_path / "raw", tmp_path / "out", save_events=True, trim_init_lines=False)
    events = table_of(root / "lo2_events.parquet").to_pylist()
    batch = next(cut_batches(part_paths(Layout(root).manifest), 10**9))
    files = batch_files(batch)
    assert [bool(file.member) for file in files] == [tar] * 3
    for file in files:
        own = {row["line_no"]: row["m_message"] for row in events if row["seq_id"].endswith(file.name[:-4])}
        read = dict(read_line_ranges(file, EVERYTHING))
        assert list(read) == list(range(1, 41))
        assert set(own) == set(range(1, 41)) - {6, 10}
        assert "\ufeff" not in "".join(read.values())
        assert all(read[number].strip().endswith(message) for number, message in own.items())
        assert read[8].startswith("  \tat ")
        some = [(12, 14), (38, 99), (3, 3)]
        assert dict(read_line_ranges(file, some)) == {n: read[n] for n in (3, 12, 13, 14, 38, 39, 40)}


def test_a_member_ends_where_the_manifest_says(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"header\nline 1\nline 2\nother member\n")
    file = SourceFile(str(path), "x.log", 7, 14, 0, RUN, "correct", "x.log", "log", "token", normal=True)
    assert list(read_line_ranges(file, EVERYTHING)) == [(1, "line 1"), (2, "line 2")]


def test_a_line_that_is_too_long_is_cut_between_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_ranges, "LONGEST_LINE", 10)
    monkeypatch.setattr(line_ranges, "_BLOCK_BYTES", 7)
    data = "\n".join(["a" * 10, "b" * 11, "c" + "é" * 500, "d" * 100]).encode()
    lines = dict(read_line_ranges(write(tmp_path, data), EVERYTHING))
    assert lines == {1: "a" * 10, 2: "b" * 10 + CUT_MARK, 3: "céééé" + CUT_MARK, 4: "d" * 10 + CUT_MARK}


def test_reading_ends_with_the_last_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_ranges, "_BLOCK_BYTES", 10)
    read: list[bytes] = []
    blocks = line_ranges._blocks
    monkeypatch.setattr(line_ranges, "_blocks", lambda *given: (read.append(b) or b for b in blocks(*given)))
    file = write(tmp_path, b"0123456789\n" * 1000)
    assert len(list(read_line_ranges(file, [(3, 4)]))) == 2
    assert len(read) < 7
    assert list(read_line_ranges(file, [])) == []
    assert list(read_line_ranges(file, [(5000, 6000), (9, 3)])) == []


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    file = write(tmp_path, b"a\n")
    Path(file.path).unlink()
    with pytest.raises(FileNotFoundError):
        list(read_line_ranges(file, EVERYTHING))


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=4))
@examples(50)
def test_a_line_of_a_rotated_log_is_found_in_its_file(folder: Path, sizes: list[tuple[int, bool]]) -> None:
    """A file that ends without a newline ends a line all the same; one may be empty, or compressed."""
    parts, places = [], []
    for number, (size, is_whole) in enumerate(sizes):
        texts = [f"{number}-{line}" for line in range(1, size + 1)]
        data = "\n".join(texts).encode() + (b"\n" if is_whole and texts else b"")
        path = folder / (f"x.log.{len(sizes) - number}.gz" if number % 2 else f"x.log.{len(sizes) - number}")
        path.write_bytes(gzip.compress(data) if number % 2 else data)
        parts.append(Part(str(path), path.stat().st_size))
        places += [(str(path), line) for line in range(1, size + 1)]
    file = replace(write(folder, b""), path=parts[-1].path, parts=tuple(parts))
    rows = [{"line_no": line, "text": text} for line, text in read_line_ranges(file, EVERYTHING)]
    found = list(locate_rows(file, rows))
    assert [(row["path"], row["line_no"]) for row in found] == places
    for row in found[:5]:
        (own,) = (part for part in file.parts if part.path == row["path"])
        (line,) = read_line_ranges(file.of_part(own), [(row["line_no"], row["line_no"])])
        assert line == (row["line_no"], row["text"])
