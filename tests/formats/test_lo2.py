"""LO2's headers equal what a regular expression finds, and lines are put together again as they were."""

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given

from lo2dask.buffers.padded import padded
from lo2dask.errors import InputError
from lo2dask.features.masks import MASKS, normalise
from lo2dask.formats.header import Header
from lo2dask.formats.lo2 import LO2
from lo2dask.formats.registry import FORMATS, find_format
from lo2dask.parse.lines import find_lines
from tests.examples import examples
from tests.parse.reference import HEADER, TIME

from .toys import ANGLED, TOY

DAY_MS = 86_400_000
digits = st.sampled_from("0123456789:. x/")
times = st.one_of(
    st.integers(0, DAY_MS - 1).map(
        lambda ms: f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"
    ),
    st.sampled_from(["24:00:00.000", "23:60:00.000", "2a:00:00.000", "00:00:00,000", "00:00:00.00", "/9:00:00.000"]),
    st.text(digits, max_size=13),
)
names = st.text(st.sampled_from("aB1[]- é"), max_size=8)
levels = st.sampled_from(["INFO", "INFO ", "ERROR", "WARN", "TRACE", "INF", "ERRORS", "info", ""])
lines = st.builds(
    "{}{}{}{}{} {} {} {} -{}".format,
    times,
    st.sampled_from([" [", " [", "[", "  ["]),
    names,
    st.sampled_from(["]  ", "]  ", "] ", "]   "]),
    st.sampled_from(["", "f3ZRcnoES_G80IVuBDezBA", "ü"]),
    levels,
    st.sampled_from(["a.B", "", "日.B"]),
    st.sampled_from(["doIt", "<init>", ""]),
    st.sampled_from(["", " text", "  ", "x", " é - b"]),
).map(lambda line: line.strip(" "))


def scan(texts: list[str]) -> tuple[bytes, Header, np.ndarray]:
    """Find the headers of texts; return their bytes, the headers, and where each text ends."""
    data = "".join(text + "\n" for text in texts).encode()
    buffer = padded(data)
    found = find_lines(buffer)
    return data, LO2.find_headers(buffer, found.starts, found.ends), found.ends


def cut(data: bytes, bounds: tuple[np.ndarray, np.ndarray]) -> list[str]:
    return [data[low:high].decode() for low, high in zip(*(part.tolist() for part in bounds), strict=True)]


@examples(300)
@given(st.lists(lines, min_size=1, max_size=8))
@example(["00:00:00.000 []   INFO  a b -"])
@example(["00:00:00.000 [a]  b]  INFO a b -"])
@example([""])
def test_headers_equal_those_of_the_pattern(texts: list[str]) -> None:
    data, header, ends = scan(texts)
    matches = [HEADER.match(text) if ms >= 0 else None for text, ms in zip(texts, header.time_ms, strict=True)]
    assert header.rows.tolist() == [row for row, match in enumerate(matches) if match]
    formed = [match for match in matches if match]
    assert cut(data, header.thread) == [match[1] for match in formed]
    assert cut(data, header.correlation) == [match[2] for match in formed]
    fields = [LO2.split_source(source) for source in cut(data, header.source)]
    assert fields == [(match[3], match[4], match[5]) for match in formed]
    wanted = [text[match.start(3) :] if match else text for text, match in zip(texts, matches, strict=True)]
    assert cut(data, (header.statement, ends)) == wanted


@examples(300)
@given(st.lists(st.builds("{}{}".format, times, st.sampled_from(["", " x", "é"])), min_size=1, max_size=8))
def test_times_equal_those_of_the_pattern(texts: list[str]) -> None:
    stripped = [text.strip(" ") for text in texts]
    _, header, _ = scan(stripped)
    for text, ms, continues in zip(stripped, header.time_ms.tolist(), header.continues.tolist(), strict=True):
        match = TIME.match(text)
        hours, minutes, seconds, rest = map(int, match.groups()) if match else (24, 0, 0, 0)
        assert ms == (((hours * 60 + minutes) * 60 + seconds) * 1000 + rest if hours < 24 else -1)
        assert continues == (ms < 0)


@given(st.lists(lines, min_size=1, max_size=12), st.data())
def test_kept_headers_are_those_of_the_kept_lines(texts: list[str], data: st.DataObject) -> None:
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts))), dtype=bool)
    raw, header, _ = scan(texts)
    kept = header.take(keep)
    alone_raw, alone, _ = scan([text for text, kept_one in zip(texts, keep, strict=True) if kept_one] or [""])
    if keep.any():
        assert kept.time_ms.tolist() == alone.time_ms.tolist()
        assert kept.rows.tolist() == alone.rows.tolist()
        for name in ("thread", "correlation", "source"):
            assert cut(raw, getattr(kept, name)) == cut(alone_raw, getattr(alone, name))


@examples(200)
@given(st.lists(lines, min_size=1, max_size=8), st.integers(0, 20_000))
def test_lines_are_put_together_as_they_were(texts: list[str], day: int) -> None:
    data, header, ends = scan(texts)
    rows = header.rows
    stamps = pa.array(header.time_ms[rows] + day * DAY_MS).cast(pa.timestamp("ms"))
    thread, correlation = (pa.array(cut(data, part), pa.string()) for part in (header.thread, header.correlation))
    statement = pa.array(cut(data, (header.statement[rows], ends[rows])), pa.string())
    wanted = [texts[row] for row in rows]
    assert LO2.join_lines(stamps, thread, correlation, statement).to_pylist() == wanted
    other = stamps.cast(pa.timestamp("us", "UTC"))
    columns = [pa.chunked_array([part.dictionary_encode()]) for part in (thread, correlation, statement)]
    assert LO2.join_lines(pa.chunked_array([other]), *columns).to_pylist() == wanted


def test_a_line_without_a_header_is_not_put_together() -> None:
    times, text = pa.array([0, None], pa.timestamp("ms")), pa.array(["a", None])
    assert LO2.join_lines(times, text, text, text).to_pylist() == ["00:00:00.000 [a]  a a", None]


@pytest.mark.parametrize(
    ("line_format", "columns", "line"),
    [
        (TOY, ("", "", "INFO|a.B|x"), "1970-01-02 00:00:00.001|INFO|a.B|x"),
        (ANGLED, ("main", "7", "FAIL a.B x"), "1970-01-02 00:00:00.001 <main> 7 FAIL a.B x"),
        (LO2, ("main", "", "INFO a.B c - x"), "00:00:00.001 [main]   INFO a.B c - x"),
    ],
)
def test_every_format_joins_its_own_lines(line_format, columns: tuple[str, str, str], line: str) -> None:
    times = pa.array([DAY_MS + 1]).cast(pa.timestamp("ms"))
    assert line_format.join_lines(times, *([text] for text in columns)).to_pylist() == [line]
    assert line_format.find_source_end(columns[2]) == columns[2].index("x")


@pytest.mark.parametrize("thread", ["XNIO-1 task-4", "main", "", "hz._hz.thread-8"])
@pytest.mark.parametrize("correlation", ["", "f3ZRcnoES_G80IVuBDezBA"])
def test_a_masked_header_is_what_the_masks_leave_of_it(thread: str, correlation: str) -> None:
    line = f"16:29:40.148 [{thread}]  {correlation} INFO a.B c - x"
    masked = normalise(LO2.frame_threads(pa.array([thread])), MASKS).to_pylist()
    header = LO2.mask_headers(masked)[bool(correlation)]
    assert [header + "INFO a.B c - x"] == normalise(pa.array([line]), MASKS).to_pylist()


def test_masked_headers_of_other_frames() -> None:
    assert TOY.mask_headers(TOY.frame_threads(pa.array([""])).to_pylist()) == ["<TIME>|", "<TIME>|<CID>"]
    framed = ANGLED.frame_threads(pa.array(["m"])).to_pylist()
    assert ANGLED.mask_headers(framed) == ["<TIME> <m>  ", "<TIME> <m> <CID> "]
    assert [f.has_separable_header for f in (LO2, ANGLED, TOY)] == [True, True, False]


@pytest.mark.parametrize(
    ("statement", "message", "code"),
    [
        ("INFO  a.B c - x ERR12345 y", "x ERR12345 y", "ERR12345"),
        ("ERROR a.B c -", "", ""),
        ("FATAL a.B c - x", "FATAL a.B c - x", ""),
        ("INFO a.B - x", "INFO a.B - x", ""),
        ("at a.B(ERR1.java)", "at a.B(ERR1.java)", ""),
    ],
)
def test_statements_of_lo2(statement: str, message: str, code: str) -> None:
    assert statement[LO2.find_source_end(statement) :] == message
    assert LO2.find_error_code(statement) == code


def test_an_unknown_format_is_named() -> None:
    assert find_format("lo2") is LO2 is FORMATS["lo2"]
    with pytest.raises(InputError, match="'syslog'; there are: canonical, lo2"):
        find_format("syslog")
