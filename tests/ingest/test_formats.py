"""Trees of other formats from detection to tables: what is told, recorded, refused, and read again."""

import gzip
import logging
import os
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest

from lo2dask.commands import load as commands_load
from lo2dask.commands.formats import try_formats
from lo2dask.commands.load import load
from lo2dask.commands.train import train
from lo2dask.commands.verify import verify
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.formats.canonical import CANONICAL
from lo2dask.formats.lo2 import LO2
from lo2dask.formats.presets import PRESETS
from lo2dask.ingest.formats import SAMPLED_BYTES, read_sample
from lo2dask.ingest.text import read_format, read_translation
from lo2dask.options import LoadOptions, TrainOptions, VerifyOptions
from lo2dask.parse import chunks
from lo2dask.sources.tree import SourceFile
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import read_parts
from tests.trees import table_of

JSON = (
    '{{"time":"2026-01-02T03:04:{n:02d}.500Z","level":"{level}","logger":"shop.Pay","thread":"t-1",'
    '"msg":"order {n} paid"}}'
)
LO2_LINE = "03:04:{n:02d}.500 [main]  c-1 INFO a.B run - order {n} seen"
CASE, NAME = "correct", "light-oauth2-oauth2-token-1.log"
PYTHON = "2026-01-02 03:04:{n:02d},500 - shop.stock - ERROR - item {n} gone\nTraceback (most recent call last):\n  no"


def write(root: Path, **logs: str) -> Path:
    for service, line in logs.items():
        text = "".join(line.format(n=n, level="info" if n % 5 else "error") + "\n" for n in range(40))
        for case in ("correct", "get_user_404_no_user"):
            path = root / "LO2_run_1767323000" / case / f"light-oauth2-oauth2-{service}-1.log"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            os.utime(path, (1767400000, 1767400000))
    return root


def options(root: Path, out: Path, **changes: object) -> LoadOptions:
    return LoadOptions(root=root, output_dir=out, trim_init_lines=False, **{"save_events": True, **changes})


def rows(layout: Layout, service: str) -> list[dict]:
    events = pa.concat_tables(read_parts(layout.events)).to_pylist()
    return [row for row in events if row["service"] == service and row["test_case"] == "correct"]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    folder = tmp_path_factory.mktemp("mixed")
    root = write(folder / "in", token=JSON, user=LO2_LINE, code="svc-1  | " + JSON)
    load(options(root, folder / "out"), Session.serial())
    return Layout(folder / "out")


def test_each_service_has_its_format_and_the_record_keeps_it(mixed: Layout) -> None:
    kinds = read_translation(mixed).kinds
    assert {name: kind.label for name, kind in kinds.items()} == {
        "code": "compose > json", "token": "json", "user": "lo2",
    }  # fmt: skip
    assert read_format(mixed) == CANONICAL
    assert verify(VerifyOptions(output_dir=mixed.root), Session.serial()).problems == ()


def test_events_have_their_fields_and_line_numbers(mixed: Layout) -> None:
    for service in ("token", "code"):
        row = rows(mixed, service)[5]
        assert row["m_timestamp"].replace(tzinfo=None) == datetime(2026, 1, 2, 3, 4, 5, 500_000)
        values = [
            row[name] for name in ("line_no", "thread", "correlation_id", "level", "logger", "method", "m_message")
        ]
        assert values == [6, "t-1", "", "ERROR", "shop.Pay", "", "ERROR shop.Pay - order 5 paid"]
    row = rows(mixed, "user")[5]
    assert row["m_timestamp"].replace(tzinfo=None) == datetime(2026, 1, 2, 3, 4, 5, 500_000)
    assert (row["correlation_id"], row["method"], row["m_message"]) == ("c-1", "run", "INFO a.B run - order 5 seen")
    sequence = table_of(mixed.enhanced).to_pylist()[1]
    assert (sequence["service"], sequence["n_error"]) == ("token", 8)
    templates = pa.concat_tables(read_parts(mixed.templates))["template"].to_pylist()
    assert "INFO shop.Pay - order <NUM> paid" in templates


def test_text_within_cri_and_json_files_has_their_time(tmp_path: Path) -> None:
    time = "2026-01-02T03:04:{n:02d}.500000000Z"
    cri, docker = (
        time + " stdout F order {n} paid",
        '{{"log":"order {n} paid\\n","stream":"stdout","time":"' + time + '"}}',
    )
    root = write(tmp_path / "in", token=cri, user=docker)
    load(options(root, tmp_path / "out"), Session.serial())
    layout = Layout(tmp_path / "out")
    for service in ("token", "user"):
        row = rows(layout, service)[5]
        assert row["m_timestamp"].replace(tzinfo=None) == datetime(2026, 1, 2, 3, 4, 5, 500_000)
        assert row["m_message"].removeprefix("- ") == "order 5 paid"
    assert verify(VerifyOptions(output_dir=layout.root), Session.serial()).problems == ()


def test_parts_of_lines_of_cri_end_with_their_log(tmp_path: Path) -> None:
    texts = (("P", "order {n} is"), ("F", "paid"))
    for run in ("mon", "tue"):
        rows = [
            f"2026-01-02T03:04:{n:02}.500000000Z stdout {tag} {text.format(n=n)}"
            for n in range(20)
            for tag, text in texts
        ]
        (tmp_path / "in" / run).mkdir(parents=True)
        (tmp_path / "in" / run / "cart.log").write_text("\n".join(rows[:-1]) + "\n")
    summary = load(options(tmp_path / "in", tmp_path / "out"), Session.serial())
    assert (summary.sequences, summary.lines["kept"]) == (2, 78)
    events = pa.concat_tables(read_parts(Layout(tmp_path / "out").events)).to_pylist()
    # The last line of the first log is a part, which the next log does not go on with.
    assert [row["is_continuation"] for row in events] == [bool(n % 2) for n in range(39)] * 2


@pytest.mark.parametrize("size", [700, 777, 778, 900])
def test_parts_of_lines_of_cri_are_joined_over_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    time = "2026-01-02T03:04:{n:02d}.500000000Z stdout"
    lines = f"{time} P INFO order {{n}} is\n{time} P not\n{time} F paid\n{time} F INFO next"
    root = write(tmp_path / "in", user=lines)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", size)
    load(options(root, tmp_path / "out", continuation_lines="merge"), Session.serial())
    texts = [row["m_message"] for row in rows(Layout(tmp_path / "out"), "user")]
    assert texts == [text for n in range(40) for text in (f"INFO - order {n} is\nnot\npaid", "INFO - next")]


def test_lo2_alone_is_read_as_ever(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    load(options(write(tmp_path / "in", user=LO2_LINE), tmp_path / "out"), Session.serial())
    assert read_format(Layout(tmp_path / "out")) == LO2
    assert not read_translation(Layout(tmp_path / "out")).is_needed


def test_enhancement_reads_the_raw_logs_by_the_recorded_formats(tmp_path: Path) -> None:
    root = write(tmp_path / "in", token=JSON, user=PYTHON)
    load(options(root, tmp_path / "once"), Session.serial())
    load(options(root, tmp_path / "twice", save_events=False, enhance=False), Session.serial())
    train(TrainOptions(root=tmp_path / "twice", phase="enhancers"), Session.serial())
    one, other = (table_of(Layout(tmp_path / name).enhanced) for name in ("once", "twice"))
    assert one.equals(other)


def test_blocks_of_a_large_file_make_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "in", token=JSON, user=PYTHON)
    load(options(root, tmp_path / "whole"), Session.serial())
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 700)
    load(options(root, tmp_path / "blocks"), Session.serial())
    one, other = (pa.concat_tables(read_parts(Layout(tmp_path / name).events)) for name in ("whole", "blocks"))
    assert one.to_pylist() == other.to_pylist()


def test_items_of_a_list_stay_as_they_are_and_go_on_with_their_event(tmp_path: Path) -> None:
    head = "2026-01-02 03:04:{n:02d},500 [m] INFO a.B - "
    lines = f"{head}x\n{head}these:\n- one\n-  - 2"
    load(options(write(tmp_path / "in", user=lines), tmp_path / "out"), Session.serial())
    found = [(row["m_message"], row["is_continuation"]) for row in rows(Layout(tmp_path / "out"), "user")[1:4]]
    assert found == [("INFO a.B - these:", False), ("- one", True), ("-  - 2", True)]


def test_a_file_that_differs_from_its_kind_is_rejected(tmp_path: Path) -> None:
    root = write(tmp_path / "in", token=JSON)
    strange = root / "LO2_run_1767323000" / "get_user_404_no_user" / "light-oauth2-oauth2-token-1.log"
    strange.write_text("a\nb\n", encoding="utf-8")
    load(options(root, tmp_path / "out"), Session.serial())
    layout = Layout(tmp_path / "out")
    (row,) = table_of(layout.rejects).to_pylist()
    assert row["reason"] == "no header"
    assert f"one looks like {PRESETS['json'].example!r}" in row["detail"]
    assert table_of(layout.sequences)["test_case"].to_pylist() == ["correct"]


def test_one_odd_file_is_not_taken_for_its_kind(tmp_path: Path) -> None:
    folders = [tmp_path / "in" / run for run in "abcd"]
    for number in range(20):  # so many kinds that few files of each are sampled
        for run, folder in enumerate(folders):
            folder.mkdir(parents=True, exist_ok=True)
            line = "no time {n}" if run == number % 4 else JSON
            text = "".join(line.format(n=n, level="info") + "\n" for n in range(40))
            (folder / f"kind{chr(97 + number)}.log").write_text(text, encoding="utf-8")
    load(options(tmp_path / "in", tmp_path / "out"), Session.serial())
    assert table_of(Layout(tmp_path / "out").rejects).num_rows == 20
    assert table_of(Layout(tmp_path / "out").sequences).num_rows == 60


@pytest.mark.parametrize("content", [b"\0" * 100_000, b"x" * 100_000, (LO2_LINE.format(n=1) + "x" * 100_000).encode()])
def test_a_sample_without_a_line_break_is_one_line(tmp_path: Path, content: bytes) -> None:
    """What lies behind the sample in memory is no part of it."""
    log = write(tmp_path / "in", token=LO2_LINE, user=LO2_LINE) / f"LO2_run_1767323000/{CASE}/{NAME}"
    log.write_bytes(content)
    file = SourceFile(str(log), "", 0, len(content), 0, "r", CASE, NAME, "log", "token")
    lines = read_sample([file], "UTC")
    assert [len(text) for text in lines.texts.to_pylist()] in ([], [SAMPLED_BYTES])
    load(options(tmp_path / "in", tmp_path / "out"), Session.serial())


def test_what_was_found_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lo2dask")
    load(options(write(tmp_path / "in", token=JSON, user=JSON + "\nx" * 1), tmp_path / "out"), Session.serial())
    told = [record.getMessage() for record in caplog.records]
    assert "token, user: json, 66.7 % of lines have a header" in told
    assert any(
        text.startswith("user: 50 % of the lines have no header of the format json, such as: x") for text in told
    )


def test_json_without_a_time_is_an_event_without_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lo2dask")
    line = '{{"level":"{level}","logger":"shop.Pay","msg":"order {n} paid"}}'
    root = write(tmp_path / "in", token=JSON + "\n" + line, user=line)
    load(options(root, tmp_path / "out"), Session.serial())
    found = rows(Layout(tmp_path / "out"), "token")[10:12]
    assert [(row["level"], row["logger"], row["m_message"], row["is_continuation"]) for row in found] == [
        ("ERROR", "shop.Pay", "ERROR shop.Pay - order 5 paid", False),
    ] * 2  # fmt: skip
    assert {row["m_timestamp"] for row in rows(Layout(tmp_path / "out"), "user")} == {None}
    assert "token: 80 of 160 events have no time" in [record.getMessage() for record in caplog.records]
    assert verify(VerifyOptions(output_dir=tmp_path / "out"), Session.serial()).problems == ()


def test_lines_of_several_records_are_told_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lo2dask")
    record = '{{"timeUnixNano":"1767323045678000000","body":{{"stringValue":"order {n} paid"}}}}'
    line = '{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[' + "%s" + "]}}]}}]}}"
    root = write(tmp_path / "in", token=line % f"{record},{record}" + "\n" + line % record, user=JSON)
    load(options(root, tmp_path / "out"), Session.serial())
    layout = Layout(tmp_path / "out")
    told = [text for record in caplog.records if "several OpenTelemetry" in (text := record.getMessage())]
    assert [text.partition(":")[2].split(" lines")[0] for text in told] == [" 80 of 160"]
    found = [(row["reason"], row["detail"].rpartition(" ")[2]) for row in table_of(layout.rejects).to_pylist()]
    assert found == [("several records", "40")] * 2
    assert [row["m_message"].removeprefix("- ") for row in rows(layout, "token")[:2]] == [
        "order 0 paid; order 0 paid", "order 0 paid",
    ]  # fmt: skip


def test_a_year_from_the_time_of_change_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lo2dask")
    root = write(tmp_path / "in", token="Jan  2 03:04:{n:02d} host shop[411]: order {n} paid", user=JSON)
    load(options(root, tmp_path / "out"), Session.serial())
    assert rows(Layout(tmp_path / "out"), "token")[5]["m_timestamp"].replace(tzinfo=None) == datetime(
        2026, 1, 2, 3, 4, 5
    )
    told = [text for record in caplog.records if "no year" in (text := record.getMessage())]
    assert told == ["token: its times have no year: that of each file's time of change is taken"]


def test_times_without_a_day_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lo2dask")
    for run in ("monday", "tuesday"):
        path = tmp_path / "logs" / run / "cart.log"
        path.parent.mkdir(parents=True)
        path.write_text("23:59:59.000 [main]  x INFO shop.Cart go - bought\n" * 5)
    load(options(tmp_path / "logs", tmp_path / "out"), Session.serial())
    assert "cart: lo2, 100 % of lines have a header" in caplog.messages
    assert "cart: times have no date, nor names of runs an epoch: days count from 1970-01-01" in caplog.messages


def test_lines_whose_levels_are_not_read_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lo2dask")
    root = write(tmp_path / "in", token="09:00:{n:02d}.000 shop.Cart: order {n} failed")
    load(options(root, tmp_path / "out"), Session.serial())
    assert [text for text in caplog.messages if text.startswith("token: no level, thread or logger is read")]


def test_lines_of_logbacks_own_pattern_have_levels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lo2dask")
    for run in ("monday", "tuesday"):
        path = tmp_path / "logs" / run / "cart.log"
        path.parent.mkdir(parents=True)
        path.write_text("23:59:59.000 [main] ERROR shop.Cart - no money\n00:00:01.000 [a b] INFO  shop.Cart - bought\n")
        os.utime(path, (1_767_400_000, 1_767_400_000))
    load(options(tmp_path / "logs", tmp_path / "out"), Session.serial())
    assert "cart: clock, 100 % of lines have a header" in caplog.messages
    told = "cart: times have no date, nor have names: the day is told by each file's time of change"
    assert told in caplog.messages
    events = pa.concat_tables(read_parts(Layout(tmp_path / "out").events)).to_pylist()
    found = [(row["m_timestamp"].isoformat()[:19], row["level"], row["thread"]) for row in events]
    assert found == [("2026-01-02T23:59:59", "ERROR", "main"), ("2026-01-03T00:00:01", "INFO", "a b")] * 2


def test_the_date_in_a_runs_or_a_files_name_is_the_day_of_times_of_day(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lo2dask")
    for name in ("2026-03-01/cart.log", "night-20260302/cart.log", "third/cart.2026-03-03.log"):
        path = tmp_path / "logs" / name
        path.parent.mkdir(parents=True)
        path.write_text("23:59:59.000 [main] ERROR shop.Cart - no money\n00:00:01.000 [a b] INFO  shop.Cart - bought\n")
        os.utime(path, (1_767_400_000, 1_767_400_000))
    load(options(tmp_path / "logs", tmp_path / "out", timezone="Europe/Berlin"), Session.serial())
    assert "cart: clock, 100 % of lines have a header" in caplog.messages
    assert not [text for text in caplog.messages if "no date" in text]
    events = pa.concat_tables(read_parts(Layout(tmp_path / "out").events)).to_pylist()
    found = sorted(row["m_timestamp"].isoformat()[:19] for row in events)
    assert found == [f"2026-03-0{day}T{time}" for day in (1, 2, 3) for time in ("22:59:59", "23:00:01")]


def test_clocks_that_run_backwards_stay_as_they_are(tmp_path: Path) -> None:
    root = write(tmp_path / "in", token=JSON)
    for path in root.rglob("*.log"):
        path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))), encoding="utf-8")
    load(options(root, tmp_path / "out"), Session.serial())
    layout = Layout(tmp_path / "out")
    assert [row["m_timestamp"].second for row in rows(layout, "token")] == list(range(39, -1, -1))
    sequence = table_of(layout.sequences).to_pylist()[0]
    assert (sequence["start_time"].second, sequence["end_time"].second) == (0, 39)


def test_a_load_of_lo2_that_has_nothing_to_do_looks_at_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = options(write(tmp_path / "in", user=LO2_LINE), tmp_path / "out")
    load(wanted, Session.serial())
    monkeypatch.setattr(commands_load, "choose_formats", None)
    assert load(wanted, Session.serial()).skipped == 1


@pytest.mark.parametrize(("name", "reason"), [("auto", "a known format,"), ("klog", "the format klog")])
def test_lines_that_are_not_understood_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    root = write(tmp_path / "in", token="line {n} of nothing")
    with pytest.raises(InputError, match=rf"token: only 0 % .*{reason}.*--format plain.*: line 0 of nothing \| line 1"):
        load(options(root, tmp_path / "out", format=name), Session.serial())


def test_a_service_that_no_format_fits_is_left_out_of_others_that_are_fine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write(tmp_path / "in", token="line {n} of nothing", user=JSON)
    load(options(root, tmp_path / "out"), Session.serial())
    layout = Layout(tmp_path / "out")
    told = [text for record in caplog.records if "left out: token: only 0 %" in (text := record.getMessage())]
    assert len(told) == 1
    assert all(part in told[0] for part in ("oauth2-token-1.log; ", "--exclude '*token*'", ": line 0 of nothing | "))
    found = [(Path(row["path"]).name, row["reason"]) for row in table_of(layout.rejects).to_pylist()]
    assert found == [("light-oauth2-oauth2-token-1.log", "no header")] * 2
    assert set(table_of(layout.sequences)["service"].to_pylist()) == {"user"}
    assert verify(VerifyOptions(output_dir=layout.root), Session.serial()).problems == ()
    write(tmp_path / "in", code="line {n} of nothing")
    with pytest.raises(InputError, match="code: only 0 %"):
        load(options(root, tmp_path / "more"), Session.serial())


def test_lo2_beside_a_service_that_no_format_fits_is_read_as_ever(tmp_path: Path) -> None:
    load(options(write(tmp_path / "alone", user=LO2_LINE), tmp_path / "one"), Session.serial())
    root = write(tmp_path / "alone", token="line {n} of nothing", code="no {n}", key=LO2_LINE, client=LO2_LINE)
    load(options(root, tmp_path / "other"), Session.serial())
    one, other = (Layout(tmp_path / name) for name in ("one", "other"))
    assert read_format(other) == LO2
    assert rows(one, "user") == rows(other, "user")
    assert set(table_of(other.sequences)["service"].to_pylist()) == {"user", "key", "client"}
    assert {row["reason"] for row in table_of(other.rejects).to_pylist()} == {"no header"}
    assert verify(VerifyOptions(output_dir=other.root), Session.serial()).problems == ()


def test_plain_takes_each_line_as_an_event(tmp_path: Path) -> None:
    root = write(tmp_path / "in", token="line {n} of nothing")
    load(options(root, tmp_path / "out", format="plain"), Session.serial())
    found = rows(Layout(tmp_path / "out"), "token")
    assert len(found) == 40
    assert {(row["m_timestamp"], row["is_continuation"]) for row in found} == {(None, False)}


def test_unknown_formats_and_zones_are_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "in", token=JSON)
    for changes, reason in (({"format": "x"}, "there are: auto, lo2"), ({"timezone": "Mars"}, "'Mars' is not known")):
        with pytest.raises(InputError, match=reason):
            load(options(root, tmp_path / "out", **changes), Session.serial())


def test_formats_are_tried_on_a_log(tmp_path: Path) -> None:
    root = write(tmp_path / "in", user=PYTHON.replace("Traceback", "of the shop\nTraceback"))
    best = try_formats(next(root.rglob("*.log")))[0]
    assert (best.kind.name, best.headed, best.lines, best.others[:2]) == ("python", 40, 80, ("of the shop",) * 2)
    with pytest.raises(InputError, match="no such file"):
        try_formats(tmp_path / "gone")


def test_formats_are_tried_on_a_compressed_log_and_say_why_they_cannot_be(tmp_path: Path) -> None:
    packed, wide = tmp_path / "cart.log.2.gz", tmp_path / "cart.log"
    packed.write_bytes(gzip.compress(b"2026-03-01 09:03:20,032 - shop.pay - INFO - order 11 placed\n" * 3))
    best = try_formats(packed)[0]
    assert (best.kind.name, best.headed, best.lines) == ("python", 3, 3)
    wide.write_bytes("text\n".encode("utf-16"))
    with pytest.raises(InputError, match="no line of text in it; UTF-16: .*iconv"):
        try_formats(wide)


def test_a_zone_by_name_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lo2dask")
    root = write(
        tmp_path / "in",
        token="2026-03-01 09:00:{n:02d}.123 CET [411] LOG:  order {n} paid",
        user="2026-03-01 09:00:{n:02d} GET /orders/{n} took 3 ms",
    )
    load(options(root, tmp_path / "out"), Session.serial())
    told = [text for record in caplog.records if "the zone" in (text := record.getMessage())]
    assert told == ["token: the zone CET of its times is not read: give it as --timezone"]


def test_json_without_a_known_time_names_the_keys_once_for_all_kinds_and_in_each_reject(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    line = '{{"when":"2026-01-02T03:04:{n:02d}Z","level":"{level}","msg":"order {n} paid"}}'
    with caplog.at_level(logging.INFO):
        load(options(write(tmp_path / "in", token=line, user=line), tmp_path / "out"), Session.serial())
    told = "no time is read from its objects: there is none of the keys time, ts, @timestamp"
    (note,) = [text for text in caplog.messages if told in text]
    found = table_of(Layout(tmp_path / "out").rejects).to_pylist()
    assert [row["reason"] for row in found] == ["no time"] * 4
    for text in (note, *(row["detail"] for row in found)):
        assert told in text
        assert text.endswith("the keys there are: level, msg, when")


def test_a_log_without_a_time_is_told_what_a_line_of_its_format_looks_like(tmp_path: Path) -> None:
    line = '{{"time":"soon","msg":"order {n} paid"}}'
    load(options(write(tmp_path / "in", token=line), tmp_path / "out"), Session.serial())
    found = table_of(Layout(tmp_path / "out").rejects).to_pylist()
    assert len(found) == 2
    assert all(f"a line with a time looks like {PRESETS['json'].example!r}" in row["detail"] for row in found)


def test_plain_lines_are_told_that_their_format_reads_no_time(tmp_path: Path) -> None:
    root = write(tmp_path / "in", token="order {n} paid")
    load(options(root, tmp_path / "out", format="plain"), Session.serial())
    found = table_of(Layout(tmp_path / "out").rejects).to_pylist()
    assert len(found) == 2
    assert all(row["detail"].endswith("kept without; the format plain reads none") for row in found)
