"""`lo2dask show`: one case, with timelines, windows, lines from the raw logs, and the nearest normal case."""

import json
import os
import tarfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lo2dask import schema
from lo2dask.cli.findings import clock as clock_text
from lo2dask.cli.findings import time_span
from lo2dask.cli.show import _excerpt, show_text
from lo2dask.cli.terminal import columns
from lo2dask.commands.show import Excerpt, find_case, show
from lo2dask.errors import InputError
from lo2dask.models.runs import RUNS as RUNS_SCHEMA
from lo2dask.options import ServeMcpOptions, ShowOptions
from lo2dask.serving.questions import Questions
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import write_part
from tests.findings.made import BAD, LOG, RUNS, TEXT, clock, finding, notice, write_table
from tests.trees import load_tree

KEY = "light-oauth2-oauth2-key-1.log"


def make_root(folder: Path, tar: bool = False) -> Path:
    """Two correct cases and a bad one of two services, loaded; findings, windows and timeline by hand."""
    raw = folder / "raw"
    for run, case in ((RUNS[0], "correct"), (RUNS[0], BAD), (RUNS[1], "correct")):
        place = raw / run / case
        place.mkdir(parents=True)
        plain = [f"16:41:{n:02}.000 [XNIO-1 task-1]  abc DEBUG c.n.Some run - step {n}" for n in range(40)]
        (place / KEY).write_text("\n".join(plain) + "\n")
        (place / LOG).write_text("\n".join([*plain[:20], *([TEXT] * 4 if case == BAD else []), *plain[20:]]))
    if tar:
        for run in RUNS[:2]:
            with tarfile.open(raw / f"{run}.tar", "w") as archive:
                archive.add(raw / run, run)
            for path in sorted((raw / run).rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            (raw / run).rmdir()
    root = load_tree(raw, folder / "out", trim_init_lines=False)
    path = str(raw / RUNS[0] / BAD / LOG) if not tar else f"{raw / RUNS[0]}.tar:{RUNS[0]}/{BAD}/{LOG}"
    line = {"path": path, "line_no": 21, "time": clock(7), "text": TEXT}
    write_table(Layout(root).findings, [finding(evidence=[line]), notice(service="token")], schema.FINDINGS)
    return root


def add_tables(root: Path) -> None:
    """Write windows, timeline and lines of the bad case."""
    keys = {"run": RUNS[0], "test_case": BAD, "service": "refresh-token"}
    path = str(root.parent / "raw" / RUNS[0] / BAD / LOG)
    ticks = [
        keys | {"service": service, "start": clock(10 * n), "n_events": n * 3, "n_error": n // 3, "score": score}
        for service, score in (("key", 0.1), ("refresh-token", 6.5))
        for n in range(1, 6)
    ]
    ticks[-1]["score"] = None
    windows = [
        keys
        | {"window_start": clock(n), "window_end": clock(n + 1), "score": 1.0 + n, "component": component}
        | {"n_events": 3, "statement": finding()["statement"]}
        for n, component in enumerate(("unseen", "errors", "gap", "run", "other"))
    ]
    lines = [keys | {"path": path, "line_no": n, "score": float(n), "text": TEXT} for n in (22, 24)]
    write_table(Layout(root).timeline, ticks, schema.TIMELINE)
    write_table(Layout(root).windows, windows, schema.WINDOWS)
    write_table(Layout(root).lines, lines, schema.LINES)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_root(tmp_path_factory.mktemp("show"))
    add_tables(made)
    return made


def text(root: Path, case: str = BAD, width: int = 80, **changes: Any) -> list[str]:
    return show_text(show(ShowOptions(root=root, case=case, **changes)), width)


def test_a_case(root: Path) -> None:
    lines = text(root, around=1)
    assert lines[:3] == [
        f"{RUNS[0]} / {BAD}",
        "stands out: refresh-token  16:41:07–16:41:19  33 × ERR11000 (normal: at most 2)",
        "notice: no line of token, which normal runs have",
    ]
    assert lines[4:] == [
        "16:41:10–16:42:00 UTC, a column is 10 s",
        "^ below: a window over 1.25 (1 is the oddest of normal logs)",
        "key  40 lines, 3 errors",
        "  ▁▂▃▅▇",
        "refresh-token  44 lines, 3 errors",
        "  ▁▂▃▅▇",
        "  ^^^^",
        "  16:41:04  5.00  other: ERR11000",
        "  16:41:03  4.00  more equal lines in a row than in normal logs: ERR11000",
        "  16:41:02  3.00  a longer silence than in normal logs: ERR11000",
        "",
        f"refresh-token  {LOG}",
        "  20  16:41:19.000 [XNIO-1 task-1]  abc DEBUG c.n.Some run - step 19",
        '> 21  16:41:07.120 ERROR … "code":"ERR11000","message":"VALIDATOR_REQUEST_PARAM…',
        '> 22  16:41:07.120 ERROR … "code":"ERR11000","message":"VALIDATOR_REQUEST_PARAM…',
        '  23  16:41:07.120 ERROR … "code":"ERR11000","message":"VALIDATOR_REQUEST_PARAM…',
        '> 24  16:41:07.120 ERROR … "code":"ERR11000","message":"VALIDATOR_REQUEST_PARAM…',
        "  25  16:41:20.000 [XNIO-1 task-1]  abc DEBUG c.n.Some run - step 20",
        "",
        f"nearest normal: {RUNS[1]} / correct  (distance 0.11)",
        "  lines of a template here : there, told by their shares of the logs",
        "  new  refresh-token  4 : 0  ERR11000",
    ]


@pytest.mark.parametrize("width", range(40, 180, 9))
def test_no_line_is_wider_than_the_terminal(root: Path, width: int) -> None:
    assert max(map(columns, text(root, width=width))) <= width


def test_a_long_case_has_wider_columns(root: Path) -> None:
    assert "16:41:10–16:42:00 UTC, a column is 10 s" in text(root, width=40)
    ticks = [
        {"run": RUNS[0], "test_case": BAD, "service": "key", "start": clock(10 * n), "n_events": 1, "n_error": 0}
        for n in range(100)
    ]
    folder = root.parent / "long"
    made = make_root(folder)
    write_table(Layout(made).timeline, ticks, schema.TIMELINE)
    lines = text(made, width=60, service="key")
    assert "16:41:00–16:57:40 UTC, a column is 20 s" in lines
    assert "  " + "▇" * 50 in lines


def test_one_service(root: Path) -> None:
    lines = text(root, service="key")
    assert not any(line.startswith("refresh-token  ") for line in lines)
    assert "key  40 lines, 3 errors" in lines
    assert "  no template differs by much" in lines
    with pytest.raises(InputError, match="refresh-token"):
        text(root, service="refresh-tokn")


@pytest.mark.parametrize("tar", [False, True])
def test_lines_come_from_the_evidence_and_the_raw_log(tmp_path: Path, tar: bool) -> None:
    lines = text(make_root(tmp_path, tar), around=2, width=100)
    at = lines.index(f"refresh-token  {LOG}")
    assert [line[:4] for line in lines[at + 1 : at + 6]] == ["  19", "  20", "> 21", "  22", "  23"]
    assert "not there: lo2_windows.parquet, lo2_timeline.parquet, lo2_lines.parquet" in lines[-1]


@pytest.mark.parametrize("time", ["09:17:20.000", "2026-03-07 09:17:20.000", "2026-03-07T09:17:20.000Z"])
def test_a_line_that_is_too_long_keeps_its_time(time: str) -> None:
    line = f"{time}  INFO 1 --- [nio-8080-exec-4] c.shop.orders.Api : Payment of order 22693 took 62 ms"
    excerpt = Excerpt("cart.log", "cart", ((1, line),), (1,))
    (shown,) = _excerpt(excerpt, ("run-1", "correct"), "", 70)[1:]
    assert shown.startswith(f"> 1  {time.removeprefix('2026-03-07 ')} INFO ")
    assert len(shown) <= 70


def test_a_line_of_json_that_is_too_long_is_shown_by_its_message() -> None:
    line = '{"time":"2026-01-02T03:04:05.678Z","level":"ERROR","logger":"shop.orders","msg":"order 17 lost"}'
    excerpt = Excerpt("cart.log", "cart", ((1, line), (2, '{"msg":"a"}')), (1,))
    assert _excerpt(excerpt, ("run-1", "correct"), "", 60)[1:] == ["> 1  ERROR order 17 lost", '  2  {"msg":"a"}']


def test_around_none_reads_no_log(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lo2dask.commands.show.read_line_ranges", None)
    lines = text(root, around=0)
    at = lines.index(f"refresh-token  {LOG}")
    assert [line[:4] for line in lines[at + 1 : at + 5]] == ["> 21", "> 22", "  --", "> 24"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda log: log.unlink(), "the raw log has moved or is gone (No such file or directory)"),
        (lambda log: log.write_text("another\n" * 50), "the raw log is not what it was when it was loaded"),
    ],
)
def test_where_the_raw_log_is_gone_the_kept_text_is_shown(tmp_path: Path, change: Callable, said: str) -> None:
    root = make_root(tmp_path)
    change(tmp_path / "raw" / RUNS[0] / BAD / LOG)
    lines = text(root, width=120)
    at = lines.index(f"refresh-token  {LOG}")
    assert lines[at + 1] == f"  {said}: only the kept text is shown"
    assert lines[at + 2].startswith("> 21  16:41:07.120 ERROR … ")
    assert lines[at + 3] == ""


def test_a_normal_case_stands_out_by_nothing(root: Path) -> None:
    lines = text(root, f"{RUNS[1]}/correct")
    assert lines[1] == "a normal case, nothing stands out"
    assert f"nearest normal: {RUNS[0]} / correct  (distance 0.00)" in lines


CASES = [("run_1", "correct"), ("run_1", "bad_login"), ("run_12", "correct"), ("run_12", "bad_page")]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("run_1/correct", CASES[0]),
        ("run_12/corr", CASES[2]),
        ("2/rect", CASES[2]),
        ("bad_login", CASES[1]),
        ("page", CASES[3]),
        ("/page", CASES[3]),
        ("run/login/", CASES[1]),
    ],
)
def test_names_may_be_short(given: str, found: tuple[str, str]) -> None:
    assert find_case(given, CASES) == found


def test_a_number_is_that_of_a_finding_and_a_seq_id_means_its_case() -> None:
    of_findings = [CASES[3], CASES[1]]
    assert find_case("2", CASES, of_findings) == CASES[1]
    assert find_case("run_12__bad_page__light-oauth2-oauth2-token-1", CASES, of_findings) == CASES[3]


@pytest.mark.parametrize(
    ("given", "findings", "said"),
    [
        ("99", CASES, "99: no finding of this number (there are 1 to 4), and no run or test case of this name"),
        ("0", CASES[:1], "0: no finding of this number (there is 1 alone), and no run or test case of this name"),
        ("1", CASES[:0], "1: no finding has this number, and 2 cases fit, such as run_1/bad_login, run_1/correct"),
        ("3", CASES[:0], "3: no finding of this number (nothing stands out), and no run or test case of this name"),
    ],
)
def test_a_number_that_no_finding_has_says_which_there_are(given: str, findings: list, said: str) -> None:
    with pytest.raises(InputError) as raised:
        find_case(given, CASES, findings)
    assert str(raised.value).startswith(said)


def test_a_fraction_of_a_second_is_shown() -> None:
    moment = datetime(2025, 1, 1, 9, 0, 1)
    assert clock_text(moment) == "09:00:01"
    assert clock_text(moment.replace(microsecond=500_000)) == "09:00:01.5"
    assert time_span(moment, moment.replace(microsecond=250_000)) == "09:00:01–09:00:01.25"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("correct", "2 cases fit, such as run_1/correct, run_12/correct"),
        ("run_1", "2 cases fit"),
        ("run_13/correct", "no such run; the nearest: run_1, run_12"),
        ("run_12/bad_pige", "no such test case of run_12; the nearest: bad_page"),
        ("bad_logim", "no such run or test case; the nearest: bad_login"),
    ],
)
def test_names_that_fit_none_or_several(given: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        find_case(given, CASES)


def test_the_command(root: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    answer = command("show", root, f"986/{BAD}", "--around", "1", "--service", "refresh-token")
    assert answer.code == 0, answer.err
    assert answer.out.splitlines() == text(root, width=90, around=1, service="refresh-token")
    assert command("show", root, BAD, "--around", "-1").code == 2
    assert command("show", root, BAD, "--quiet").out == ""
    done = json.loads(command("show", root, BAD, "--log-format", "json").out)
    assert (done["event"], done["run"], done["services"][1]["service"]) == ("done", RUNS[0], "refresh-token")


def test_what_cannot_be_shown_is_one_line(tmp_path: Path, root: Path, command: Callable[..., Any]) -> None:
    for line, said in (([tmp_path, "x"], "first: lo2dask run"), ([root, "x"], "no such"), ([root], "CASE is missing")):
        answer = command("show", *line)
        assert (answer.code, answer.out, len(answer.lines)) == (2, "", 1)
        assert said in answer.err


def test_a_terminal_without_unicode(root: Path, program: Callable[..., Any]) -> None:
    done = program("show", root, BAD, env={**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    assert "\n  .:-=#\n" in done.stdout
    assert done.stdout.isascii()


@pytest.mark.parametrize(
    "ask", [lambda at: show(ShowOptions(root=at, case="1")), lambda at: Questions(ServeMcpOptions(root=at))]
)
def test_a_folder_without_a_case_says_why_and_what_to_do(tmp_path: Path, ask: Callable[[Path], Any]) -> None:
    root = tmp_path / "out"
    (root / "_lo2dask").mkdir(parents=True)
    ways = ["no case in it; first: lo2dask run --root LOGS --output-dir"]
    ways += ["load read no log that can be used; lo2_rejects.parquet says why"]
    ways += ["excess judged no case, as no service has a log in another run to compare with; load more runs"]
    for way, table in zip(ways, ("", "lo2_sequences.parquet", "excess_runs.parquet"), strict=True):
        if table:
            row_schema = RUNS_SCHEMA if table.startswith("excess") else schema.SEQUENCES
            write_part(root / table / "part-000000.parquet", row_schema.empty_table(), row_schema)
        with pytest.raises(InputError) as raised:
            ask(root)
        assert str(raised.value).startswith(f"{root}: {way}")
