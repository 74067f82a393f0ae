"""The vectorised parser equals the plain one on random logs, whatever the size of the blocks they are read in."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lo2dask.parse import chunks
from lo2dask.parse.events import LinePolicy
from tests.examples import examples

from .conftest import NO_EPOCH, V1, V2, parse_files, source
from .reference import Line, Rules, epoch, parse

SECONDS = 1_719_592_986
BEGINS = {V1: epoch(SECONDS + 3600 - 86_400), V2: epoch(SECONDS - 3600), NO_EPOCH: None}

times = st.builds("{:02}:{:02}:{:02}.{:03}".format, *(st.integers(0, top) for top in (24, 60, 60, 999)))
words = st.text(st.sampled_from("aZ09.:[]-=ä€😀\t"), max_size=6)
messages = st.lists(words, max_size=4).map(" ".join)
headers = st.builds(
    "{} [{}]  {} {} {} {} -{}{}".format,
    times,
    st.sampled_from(["XNIO-1 task-2", "main", "", "hz._hz.thread-8"]),
    st.sampled_from(["", "f3ZRcnoES_G80IVuBDezBA"]),
    st.sampled_from(["DEBUG", "INFO ", "ERROR", "WARN", "TRACE", "TOOLONG", "x", "日a", "\u00c4\u00c4"]),
    st.sampled_from(["com.x.Y", "c.n.H"]),
    st.sampled_from(["doIt", "<init>"]),
    st.sampled_from(["", " ", "  "]),
    messages,
)
lines = st.one_of(
    headers, headers, messages, st.builds("{} {}".format, times, messages), st.just("\tat a.B.c(B.java:1)")
)
logs = st.lists(st.tuples(lines, st.sampled_from(["\n", "\n", "\r\n", "\n\n"])), max_size=25).map(
    lambda pairs: "".join(line + end for line, end in pairs)
)


@contextmanager
def chunk_bytes(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_BYTES", size)
        yield


def rows_of(table: pa.Table) -> list[Line]:
    names = ["line_no", "m_timestamp", "line", "thread", "correlation_id", "level", "logger", "method"]
    names += ["is_continuation", "e_words_len", "e_trigrams_len", "e_lines_len"]
    columns = [table[name].to_pylist() for name in names]
    return [Line(r[0], r[1], r[2], tuple(r[3:8]), *r[8:]) for r in zip(*columns, strict=True)]


@examples(100)
@given(
    texts=st.lists(logs, min_size=1, max_size=3),
    run=st.sampled_from([V1, V2, NO_EPOCH]),
    policy=st.builds(LinePolicy, st.integers(0, 6), st.sampled_from(["fill", "drop", "merge", "keep"]), st.booleans()),
    size=st.sampled_from([40, 200, 1 << 22]),
    ended=st.booleans(),
)
@example(["x\ny\nz\n" * 9 + "00:00:01.000 late\n"], V1, LinePolicy(0, "fill", False), 40, True)
@example(["10:00:00.000 a\n" + "x\n" * 40, "11:00:00.000 b\n"], V1, LinePolicy(0, "merge", False), 40, True)
@example(["10:00:00.000 a\n" * 9, "11:00:00.000 b\n" * 3], V1, LinePolicy(4, "keep", True), 40, True)
def test_equals_the_plain_parser(texts: list[str], run: str, policy: LinePolicy, size: int, ended: bool) -> None:
    data = [(text if ended else text.removesuffix("\n")).encode() for text in texts]
    rules = Rules(policy.skip, policy.continuation, policy.balance, BEGINS[run])
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, content in enumerate(data):
            path = Path(folder) / f"light-oauth2-oauth2-token-{number}.log"
            path.write_bytes(content)
            files.append(source(path, run))
        with chunk_bytes(size):
            tables, reading = parse_files(files, policy)
    expected = [parse(content, rules) for content in data]
    if tables:
        assert [rows_of(table) for table in tables] == expected
    else:
        assert not any(expected)
    reading.counts.check("here")
    assert reading.counts.lines_in == sum(content.count(b"\n") + (content[-1:] not in (b"", b"\n")) for content in data)


def test_wrong_reference_would_be_noticed(tmp_path: Path) -> None:
    """The comparison itself can fail: other rules give other lines."""
    path = tmp_path / "light-oauth2-oauth2-token-1.log"
    path.write_bytes(b"10:00:00.000 a\n  more\n")
    tables, _ = parse_files([source(path)], LinePolicy(0, "keep", False))
    assert rows_of(tables[0]) != parse(path.read_bytes(), Rules(continuation="fill", begin=BEGINS[V1]))


@examples(40)
@given(text=logs, run=st.sampled_from([V1, NO_EPOCH]), size=st.sampled_from([40, 1 << 22]))
def test_large_files_in_blocks_equal_whole_ones(text: str, run: str, size: int) -> None:
    """A log many times over, with text that is not ASCII at its end."""
    content = text * 3 + "\n10:00:00.000 [main]  x INFO  a.B c - ä€😀"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "light-oauth2-oauth2-token-1.log"
        path.write_text(content, encoding="utf-8", newline="")
        with chunk_bytes(size):
            (table,), _ = parse_files([source(path, run)], LinePolicy(0, "fill", False))
    assert rows_of(table) == parse(content.encode(), Rules(begin=BEGINS[run]))
    assert table["line"][-1].as_py().endswith("ä€😀")
