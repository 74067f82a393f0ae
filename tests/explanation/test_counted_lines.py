from dataclasses import replace
from pathlib import Path

import pytest

from explanation.made_root import RUN
from lo2dask.commands.load import load
from lo2dask.execute.session import Session
from lo2dask.explanation.counted_lines import read_counted, read_shown
from lo2dask.explanation.line_search import LineSource, PartLines, line_source, part_records, read_lines
from lo2dask.features.masks import load_masks
from lo2dask.options import LoadOptions
from lo2dask.schema import seq_id
from lo2dask.tables.layout import Layout

LOG = "light-oauth2-oauth2-user-1"
CASE = "register_user_400"
WANTED = seq_id(RUN.format(0), CASE, LOG)
TRACE = "".join(f"\tat com.networknt.made.Handler.step{step}(Handler.java:{step})\n" for step in range(60))
HEAD = "12:34:{:02d}.{:03d} [XNIO-1 task-1]  abcdefghijklmnopqrst-_ "


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "tree" / RUN.format(0) / CASE / f"{LOG}.log"
    path.parent.mkdir(parents=True)
    lines = [HEAD.format(number // 20, number) + f"DEBUG a.Made say - said w{number % 7}" for number in range(60)]
    failed = HEAD.format(7, 123) + "ERROR a.Made fail - answered ERR12011\n"
    path.write_text("\n".join(lines) + "\n" + failed + TRACE)
    return path


def found_in(log: Path, **options: object) -> tuple[PartLines, LineSource]:
    out = log.parents[2].parent / "out"
    load(LoadOptions(root=log.parents[2], output_dir=out, trim_init_lines=False, **options), Session.serial())
    layout = Layout(out)
    (record,) = part_records(layout)
    return record, line_source(layout, load_masks(None), False)


def test_counted_lines_are_those_of_the_whole_log(log):
    record, source = found_in(log)
    one = read_counted(record, {WANTED}, source)[WANTED]
    (whole,) = read_lines(record, {WANTED}, source)
    assert one.patterns.texts.values.take(one.patterns.rows).equals(
        whole.patterns.texts.values.take(whole.patterns.rows)
    )
    for name in ("templates", "counts", "errors"):
        assert list(getattr(one.patterns, name)) == list(getattr(whole.patterns, name)), name
    rows = whole.rows(whole.patterns.first.tolist())
    assert one.patterns.first.tolist() == [row["line_no"] for row in rows]
    shown = read_shown({WANTED: (one, one.patterns.first.tolist())}, source)[WANTED]
    assert list(shown.values()) == rows  # with times: a line of a stack trace has that of its error


def test_lines_that_are_not_those_that_were_counted_are_not_shown(log):
    record, source = found_in(log)
    one = read_counted(record, {WANTED}, source)[WANTED]
    number = one.patterns.first.tolist()[-1]
    text = log.read_text()
    log.write_text(text.replace("step59", "stepxx"))
    assert read_shown({WANTED: (one, [number])}, source) == {}
    log.write_text(text[:50])
    assert read_shown({WANTED: (one, [number])}, source) == {}
    log.unlink()
    assert read_shown({WANTED: (one, [number])}, source) == {}


def test_a_log_is_read_whole_where_the_time_of_a_line_stands_far_above(log):
    log.write_text(log.read_text() + 5 * TRACE + "\tat com.networknt.made.Last.step(Last.java:1)\n")
    record, source = found_in(log)
    one = read_counted(record, {WANTED}, source)[WANTED]
    numbers = one.patterns.first.tolist()
    assert read_shown({WANTED: (one, [numbers[0], numbers[-1]])}, source) == {}
    assert list(read_shown({WANTED: (one, numbers[:1])}, source)[WANTED]) == numbers[:1]


@pytest.mark.parametrize("options", [{"windows": False}, {"save_events": True}], ids=["no windows", "events"])
def test_whole_logs_are_read_where_windows_do_not_do(log, options):
    record, source = found_in(log, **options)
    assert read_counted(record, {WANTED}, source) == {}


def test_models_of_raw_tokens_read_whole_logs(log):
    record, source = found_in(log)
    assert read_counted(record, {WANTED}, replace(source, has_raw_bags=True)) == {}
