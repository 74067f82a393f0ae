"""What a loader meets in LO2 logs: midnights, start-up lines, stack traces, odd bytes."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from lo2dask.errors import IntegrityError
from lo2dask.parse import chunks, events
from lo2dask.parse.chunks import Counts, Reading
from lo2dask.parse.events import LinePolicy
from lo2dask.sources.tree import SourceFile
from tests.formats.toys import TOY

from .conftest import NO_EPOCH, parse_files, source

Parse = Callable[..., tuple[pa.Table, Reading]]


def event(time: str, text: str = "hello") -> str:
    return f"{time} [XNIO-1 task-2]  f3ZRcnoES_G80IVuBDezBA DEBUG com.x.Handler doIt - {text}\n"


def days(table: pa.Table) -> list[str]:
    return [stamp.strftime("%d %H:%M:%S") if stamp else "-" for stamp in table["m_timestamp"].to_pylist()]


# 1719619500 is 2024-06-29 00:05:00 UTC, 1719618900 is 2024-06-28 23:55:00 UTC.
@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("light-oauth2-data-1719619500", ["28 23:52:00", "28 23:59:59", "29 00:00:00", "29 00:04:00"]),
        ("LO2_run_1719618900", ["28 23:52:00", "28 23:59:59", "29 00:00:00", "29 00:04:00"]),
        ("run_0001", ["01 23:52:00", "01 23:59:59", "02 00:00:00", "02 00:04:00"]),
    ],
)
@pytest.mark.parametrize("block", [1 << 22, 100])
def test_midnight(parse_log: Parse, monkeypatch: pytest.MonkeyPatch, run: str, expected: list[str], block: int) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", block)
    times = ["23:52:00.000", "23:59:59.999", "00:00:00.000", "00:04:00.000"]
    table, _ = parse_log("".join(map(event, times)).encode(), run=run)
    assert days(table) == expected
    assert table["m_timestamp"][1].as_py().microsecond == 999_000


def test_a_file_after_midnight_alone_has_the_next_day(parse_log: Parse) -> None:
    table, _ = parse_log(event("00:01:00.000").encode(), run="light-oauth2-data-1719619500")
    assert table["m_timestamp"].to_pylist() == [datetime(2024, 6, 29, 0, 1, tzinfo=UTC)]
    table, _ = parse_log(event("23:58:00.000").encode(), run="light-oauth2-data-1719619500")
    assert table["m_timestamp"].to_pylist() == [datetime(2024, 6, 28, 23, 58, tzinfo=UTC)]


STACK = "\tat a.B\njava.lang.RuntimeException: no\n" + event("10:00:01.000") + "\n\tat a.B.c(B.java:1)\n"
STACK += event("10:00:02.000", "") + "Caused by: x"


@pytest.mark.parametrize(
    ("policy", "times", "lines"),
    [
        ("fill", ["10:00:01"] * 4 + ["10:00:02"] * 2, [1, 1, 1, 1, 1, 1]),
        ("keep", ["-", "-", "10:00:01", "-", "10:00:02", "-"], [1, 1, 1, 1, 1, 1]),
        ("drop", ["10:00:01", "10:00:02"], [1, 1]),
        ("merge", ["-", "10:00:01", "10:00:02"], [2, 2, 2]),
    ],
)
def test_continuation_policies(parse_log: Parse, policy: str, times: list[str], lines: list[int]) -> None:
    table, reading = parse_log(STACK.encode(), continuation=policy)
    assert [time.split(" ")[-1] for time in days(table)] == times
    assert table["e_lines_len"].to_pylist() == lines
    counts = reading.counts
    assert (counts.lines_in, counts.blank, counts.continuation) == (7, 1, 4 if policy == "drop" else 0)
    assert counts.kept == sum(lines)


def test_merge_joins_text_and_adds_lengths(parse_log: Parse) -> None:
    merged, _ = parse_log(STACK.encode(), continuation="merge")
    single, _ = parse_log(STACK.encode(), continuation="keep")
    assert merged["line"][0].as_py() == "at a.B\njava.lang.RuntimeException: no"
    assert merged["line"][2].as_py().endswith("doIt -\nCaused by: x")
    assert merged["line_no"].to_pylist() == [1, 3, 6]
    for name in ("e_words_len", "e_trigrams_len", "e_chars_len"):
        assert sum(merged[name].to_pylist()) == sum(single[name].to_pylist())


def test_fields(parse_log: Parse) -> None:
    hazelcast = "10:00:01.000 [hz._hzInstance_1_dev.partition-operation.thread-8]   INFO  c.n.Map load - a - b\n"
    table, _ = parse_log((event("10:00:00.000") + hazelcast).encode())
    row = table.slice(1).to_pylist()[0]
    assert (row["thread"], row["correlation_id"]) == ("hz._hzInstance_1_dev.partition-operation.thread-8", "")
    assert (row["level"], row["logger"], row["method"]) == ("INFO", "c.n.Map", "load")
    assert row["line"] == hazelcast.strip()
    assert table["correlation_id"][0].as_py() == "f3ZRcnoES_G80IVuBDezBA"
    assert (row["seq_id"], row["normal"], row["anomaly"]) == (
        "light-oauth2-data-1719592986__correct__light-oauth2-oauth2-token-1", True, False,
    )  # fmt: skip


@pytest.mark.parametrize(("lines", "kept"), [(99, 99), (100, 100), (101, 1), (150, 50)])
@pytest.mark.parametrize("block", [1 << 22, 500])
def test_trimming_counts_raw_lines(
    parse_log: Parse, monkeypatch: pytest.MonkeyPatch, lines: int, kept: int, block: int
) -> None:
    """The first 100 raw lines go, blank and continuation lines counted, of a file that has more than 100."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", block)
    mixed = [event("10:00:00.000"), "\tat a.B\n", "\n"]
    data = "".join(mixed[number % 3] for number in range(lines))
    table, reading = parse_log(data.encode(), skip=100)
    blank = sum(number % 3 == 2 for number in range(lines - kept, lines))
    assert table.num_rows == kept - blank
    assert reading.counts.trimmed == lines - kept
    assert table["line_no"][0].as_py() == lines - kept + 1


@pytest.mark.parametrize("block", [1 << 22, 300])
def test_balance_keeps_the_first_part_of_correct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", block)
    path = tmp_path / "light-oauth2-oauth2-token-1.log"
    path.write_text("".join(event("10:00:00.000", str(number)) for number in range(805)))
    files = [source(path), source(path, case="get_token_404")]
    (normal, anomaly), reading = parse_files(files, LinePolicy(100, "fill", True))
    assert (normal.num_rows, anomaly.num_rows) == (100, 705)
    assert normal["line_no"].to_pylist() == list(range(101, 201))
    assert reading.counts.balanced == 605


def test_crlf_and_no_last_newline(parse_log: Parse) -> None:
    unix = event("10:00:00.000", "a b") + "x\n\n" + event("10:00:01.000")
    table, _ = parse_log(unix.replace("\n", "\r\n").removesuffix("\r\n").encode())
    assert table.equals(parse_log(unix.encode())[0])


def test_text_beyond_ascii(parse_log: Parse) -> None:
    table, reading = parse_log((event("10:00:00.000", "Größe 😀") + "日本\n").encode())
    assert table["line"].to_pylist()[0].endswith("Größe 😀")
    assert table["e_chars_len"].to_pylist()[1] == 2
    assert table["e_trigrams_len"].to_pylist() == [len(table["line"][0].as_py()) - 2, 0]
    assert reading.rejects == []


@pytest.mark.parametrize("block", [1 << 22, 120])
def test_invalid_utf8_is_kept_and_counted_in_one_row(
    parse_log: Parse, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", block)
    data = event("10:00:00.000", "ä").encode("latin-1") * 3 + event("10:00:01.000").encode()
    table, reading = parse_log(data)
    assert table.num_rows == 4
    assert [text.endswith("- \N{REPLACEMENT CHARACTER}") for text in table["line"].to_pylist()] == [True] * 3 + [False]
    assert [(r.reason, r.detail) for r in reading.rejects] == [
        ("invalid UTF-8", "byte sequences replaced by U+FFFD, lines kept: 3")
    ]


def test_lines_with_nul_are_left_out(parse_log: Parse) -> None:
    data = event("10:00:00.000") + event("10:00:01.000", "a\0b") + event("10:00:02.000") + "\0\n"
    table, reading = parse_log(data.encode())
    assert table["line_no"].to_pylist() == [1, 3]
    assert reading.counts.rejected == 2
    assert [(r.reason, r.detail) for r in reading.rejects] == [("NUL bytes", "lines left out: 2")]


@pytest.mark.parametrize("block", [1 << 22, 256, 900])
@pytest.mark.parametrize("length", [301, 1000, 5000])
def test_over_long_lines_are_left_out_and_numbers_stay(
    parse_log: Parse, monkeypatch: pytest.MonkeyPatch, block: int, length: int
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", block)
    for module in (chunks, events):
        monkeypatch.setattr(module, "LONGEST_LINE", 300)
    short, long = event("10:00:00.000"), "x" * length + "\n"
    data = long + short * 20 + long + short * 30 + long
    table, reading = parse_log(data.encode())
    assert table["line_no"].to_pylist() == [*range(2, 22), *range(23, 53)]
    assert (reading.counts.lines_in, reading.counts.rejected) == (53, 3)
    assert [(r.reason, r.detail[-3:]) for r in reading.rejects] == [("line too long", ": 3")]


def test_a_line_too_long_counts_when_trimming(parse_log: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    """101 raw lines, the first of them left out: the first 100 are dropped all the same."""
    for module in (chunks, events):
        monkeypatch.setattr(module, "LONGEST_LINE", 300)
    for block in (1 << 22, 256):
        monkeypatch.setattr(chunks, "CHUNK_BYTES", block)
        table, reading = parse_log(("x" * 1000 + "\n" + event("10:00:00.000") * 100).encode(), skip=100)
        assert table["line_no"].to_pylist() == [101]
        assert (reading.counts.rejected, reading.counts.trimmed) == (1, 99)


def test_what_is_no_log_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "light-oauth2-oauth2-token-1.log"
    path.write_bytes(bytes(range(256)) * 64)
    binary = source(path)

    def file(name: str, **changes: object) -> SourceFile:
        return SourceFile(**{**vars(binary), "name": name, "path": str(tmp_path / name), **changes})

    (tmp_path / "short.log").write_text(event("10:00:00.000"))
    empty, gone, short = file("empty.log", size=0), file("gone.log"), file("short.log", size=1 << 20)
    folder = file("folder.log", problem="a folder, not a file")
    tables, reading = parse_files([binary, empty, gone, short, folder], LinePolicy(0, "fill", False))
    assert [r.reason for r in reading.rejects] == ["binary", "empty", "vanished", "truncated", "unreadable"]
    assert [table.num_rows for table in tables] == [0, 0, 0, 1, 0]


def test_a_lost_line_is_an_error() -> None:
    with pytest.raises(IntegrityError, match="10 lines came in, 9"):
        Counts(lines_in=10, kept=5, trimmed=4).check("batch 1")


def test_a_member_of_a_tar_is_read_at_its_offset(tmp_path: Path) -> None:
    path = tmp_path / "run.tar"
    log = event("10:00:00.000").encode()
    path.write_bytes(b"\0" * 512 + log + b"after it\n")
    member = SourceFile(
        str(path), "correct/x.log", 512, len(log), 0, NO_EPOCH, "correct", "x.log", "log", "token", normal=True
    )
    (table,), reading = parse_files([member], LinePolicy(0, "fill", False))
    assert table["line"].to_pylist() == [log.decode().strip()]
    assert reading.bytes_read == len(log)


DATED = "2026-01-0{} 03:04:05.678|INFO|a.B|x\n"


@pytest.mark.parametrize("block", [1 << 22, 60])
@pytest.mark.parametrize("run", ["light-oauth2-data-1719619500", NO_EPOCH])
def test_a_format_with_dates_needs_no_clock_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: str, block: int
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", block)
    path = tmp_path / "light-oauth2-oauth2-token-1.log"
    path.write_text("above\n" * 20 + DATED.format(5) + "below\n" + DATED.format(2) + DATED.format(9))
    (table,), _ = parse_files([source(path, run)], LinePolicy(0, "fill", False, TOY))
    assert days(table) == ["05 03:04:05"] * 22 + ["02 03:04:05", "09 03:04:05"]
    (kept,), _ = parse_files([source(path, run)], LinePolicy(0, "keep", False, TOY))
    assert days(kept) == ["-"] * 20 + ["05 03:04:05", "-", "02 03:04:05", "09 03:04:05"]
