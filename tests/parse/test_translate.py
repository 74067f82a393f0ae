"""Batches of several formats become canonical lines, one for each line: numbers stay, and strange files are told."""

from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from lo2dask.buffers.padded import padded
from lo2dask.formats.canonical import CANONICAL
from lo2dask.formats.kinds import PLAIN, UNREAD, KindFormat, Translation
from lo2dask.formats.presets import PRESETS
from lo2dask.ingest.batch import read_blocks
from lo2dask.parse import chunks
from lo2dask.parse.chunks import Chunk, Reading, Segment
from lo2dask.parse.columns import FileKeys
from lo2dask.parse.events import EventParser, LinePolicy
from lo2dask.parse.lines import find_lines
from lo2dask.parse.translate import Translator, translate_text
from lo2dask.sources.tree import SourceFile

LINES = {name: PRESETS[name].example for name in ("logback", "json", "klog", "lo2")}
KINDS = {name: KindFormat(name) for name in LINES} | {"raw": KindFormat(PLAIN), "odd": KindFormat(UNREAD)}
MIXED = Translation(KINDS)


def file_of(service: str, changed: int = 1_767_400_000_000) -> SourceFile:
    name = f"{service}.log"
    return SourceFile(name, "", 0, 1, changed * 1_000_000, "run_1", "correct", name, "log", service, normal=True)


def translate(many: list[tuple[str, str]], first: bool = True) -> tuple[dict[int, str], Reading]:
    """Translate the texts of some services as one chunk; return each kept file's text by its number."""
    segments = [
        Segment(index, file_of(service), len(text.encode()), first, True) for index, (service, text) in enumerate(many)
    ]
    chunk, reading = Chunk(segments, padded(*(text.encode() for _, text in many))), Reading()
    found = Translator(MIXED, reading).translate(chunk, find_lines(chunk.buffer))
    texts = zip(found.segments, found.texts(), strict=True)
    return {segment.index: text.decode() for segment, text in texts}, reading


bodies = st.lists(st.sampled_from(["", "  at f", "- item", "é", "x" * 90, *LINES.values()]), max_size=4)


@given(st.lists(st.tuples(st.sampled_from([*LINES, "raw"]), bodies), min_size=1, max_size=6))
def test_every_file_keeps_its_lines_whatever_stands_next_to_it(many: list[tuple[str, list[str]]]) -> None:
    texts = [(service, "".join(f"{line}\n" for line in [LINES.get(service, "first"), *body])) for service, body in many]
    found, reading = translate(texts)
    assert list(found) == list(range(len(many)))
    assert not reading.rejects
    for index, (service, text) in enumerate(texts):
        assert found[index].count("\n") == text.count("\n")
        # Alone it reads as among others, and as one who looks at the file later reads it.
        assert translate([(service, text)])[0] == {0: found[index]}
        assert translate_text(text.encode(), file_of(service), MIXED).decode() == found[index]


def test_a_file_without_any_header_is_left_out_and_told() -> None:
    good, bad = LINES["logback"] + "\n", "no header\nat all\n"
    found, reading = translate([("logback", bad), ("logback", good), ("raw", bad), ("odd", bad), ("klog", "\n")])
    assert list(found) == [1, 2]
    assert [(reject.path, reject.reason) for reject in reading.rejects] == [
        ("logback.log", "no header"), ("odd.log", "no header"), ("klog.log", "no header"),
    ]  # fmt: skip
    assert "no line has a header of the format logback" in reading.rejects[0].detail
    assert "too few lines" in reading.rejects[1].detail
    # What follows in later chunks may be one long stack trace.
    assert list(translate([("logback", bad)], first=False)[0]) == [0]


def test_a_file_that_is_left_out_stays_out_in_later_chunks() -> None:
    translator, out = Translator(MIXED, Reading()), []
    for first, text in ((True, "no\n"), (False, LINES["klog"] + "\n")):
        chunk = Chunk([Segment(7, file_of("klog"), len(text), first, False)], padded(text.encode()))
        out += translator.translate(chunk, find_lines(chunk.buffer)).segments
    assert out == []
    assert len(translator.reading.rejects) == 1


@pytest.mark.parametrize("data", [b"a", b"a\n", b"\x1b[31ma\x1b[0m\n", b"\xff\n", b"", b"\r\n"])
def test_text_as_it_lies_on_disk(data: bytes) -> None:
    text = translate_text(data, file_of("raw"), MIXED).decode()
    assert text == {b"\xff\n": "- \ufffd\n", b"": "\n", b"\r\n": "\n"}.get(data, "- a\n")


def test_times_of_day_take_the_date_of_the_file() -> None:
    text = translate_text((LINES["lo2"] + "\n").encode(), file_of("lo2"), MIXED).decode()
    assert text.startswith("2026-01-02T")


@pytest.mark.parametrize("size", [1, 2, 7])
def test_days_of_a_log_without_dates_go_on_over_blocks(size: int) -> None:
    """A file that changed at 00:26:40 begins the day before, and passes a midnight, wherever its blocks end."""
    clocks = ["22:00:00.000", "23:59:59.999", "x", "00:00:01.000", "00:00:00.500", "11:00:00.000", "22:00:00.000"]
    translator = Translator(Translation({"shop": KindFormat("clock")}), Reading())
    file, text = file_of("shop", 1_767_400_000_000), ""
    for start in range(0, len(clocks), size):
        lines = "".join(f"{clock} INFO a.B - b\n" if clock != "x" else "x\n" for clock in clocks[start : start + size])
        chunk = Chunk([Segment(3, file, len(lines), start == 0, False)], padded(lines.encode()))
        text += "".join(part.decode() for part in translator.translate(chunk, find_lines(chunk.buffer)).texts())
    days = [line[:10] for line in text.splitlines() if line != "x"]
    assert days == ["2026-01-02"] * 2 + ["2026-01-03"] * 4


def test_days_of_logs_in_one_chunk_are_their_own() -> None:
    translation = Translation({"shop": KindFormat("clock")}, timezone="Europe/Helsinki")
    lines = ["00:10:00 INFO a.B - b\n", "02:00:00 INFO a.B - b\n"]
    segments = [
        Segment(index, file_of("shop", 1_767_400_000_000 + hour * 3_600_000), len(lines[index]), True, True)
        for index, hour in enumerate((0, -2))
    ]
    chunk = Chunk(segments, padded("".join(lines).encode()))
    found = Translator(translation, Reading()).translate(chunk, find_lines(chunk.buffer))
    # Changed at 00:26 and 22:26 UTC, which is 02:26 and 00:26 there: 02:00 is that of the day before.
    assert [text.decode()[:16] for text in found.texts()] == ["2026-01-02T22:10", "2026-01-02T00:00"]


def test_events_before_the_first_time_of_a_large_log_take_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first blocks have no time: it is looked for ahead, whatever the blocks."""
    path, found = tmp_path / "json.log", []
    timed = LINES["json"] + "\n"
    path.write_text('{"msg":"early"}\n' * 9 + timed + '{"msg":"late"}\n' * 2, encoding="utf-8")
    file = replace(file_of("json"), path=str(path), size=path.stat().st_size)
    policy = LinePolicy(0, "fill", False, CANONICAL, MIXED)
    for size in (1 << 20, 64, 40):
        monkeypatch.setattr(chunks, "CHUNK_BYTES", size)
        parser = EventParser(FileKeys.of([file]), policy, Reading(), with_text=True)
        found.append(pa.concat_tables(list(read_blocks(parser, [file]))).to_pylist())
    assert [len(rows) for rows in found] == [12] * 3
    assert {row["m_timestamp"] for rows in found for row in rows} == {found[0][9]["m_timestamp"]}
    assert found[0][9]["m_timestamp"] is not None
    texts = [[row["m_message"] for row in rows] for rows in found]
    assert texts[0] == texts[1] == texts[2]


def test_a_format_without_dates_has_its_own_zone() -> None:
    own = {"name": "till", "pattern": r"(?P<time>\S+) (?P<level>\S+) ", "time": "%H:%M:%S"}
    own |= {"timezone": "Europe/Helsinki", "example": "10:00:00 INFO a"}
    translation = Translation({"till": KindFormat("till", (), own)})
    text = translate_text(b"10:00:00 INFO job\n", file_of("till"), translation).decode()
    assert text == "2026-01-02T08:00:00.000 []   INFO - job\n"


def test_a_silence_of_many_hours_is_no_day_back() -> None:
    translator, found = Translator(Translation({"shop": KindFormat("clock")}), Reading()), []
    for number, clock in enumerate(
        ("08:00:00", "21:00:00", "08:00:00", "07:30:00", "21:00:00", "00:00:10", "23:59:50")
    ):
        text = f"{clock} INFO a.B - b\n".encode()
        chunk = Chunk([Segment(3, file_of("shop"), len(text), number == 0, False)], padded(text))
        found += [part.decode()[8:13] for part in translator.translate(chunk, find_lines(chunk.buffer)).texts()]
    assert found == ["02T08", "02T21", "03T08", "03T07", "03T21", "04T00", "03T23"]
