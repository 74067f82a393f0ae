"""`lo2dask findings`: what stands out, as text that fits the terminal, JSON lines and CSV."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lo2dask.cli.findings import findings_text, log_name, summary_text
from lo2dask.cli.terminal import columns, cut, cut_middle, telling, telling_line
from lo2dask.cli.text import say, table, wrapped
from lo2dask.commands.findings import findings
from lo2dask.findings.suspects import Suspect
from lo2dask.options import FindingsOptions
from lo2dask.tables.layout import Layout
from tests.findings.made import BAD, LOG, RUNS, STATEMENT, TEXT, clock, finding, notice, write_findings

UNSEEN = {"kind": "unseen", "normal_max": 0, "count": 5, "statement": "WARN c.n.Some run - Connection refused"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two findings, of which the first is the more certain, and four notices."""
    rows = [finding(), finding(RUNS[1], service="token", **UNSEEN)]
    return write_findings(tmp_path, rows + [notice(service=name) for name in "abcd"], RUNS[:2]).root


def test_on_a_wide_terminal_a_finding_is_a_row(root: Path) -> None:
    assert findings_text(Layout(root), 1, 160) == [
        "2 of 5 cases stand out (excess, 3 normal cases to compare with)",
        f"1  {RUNS[0]} / {BAD}   refresh-token   16:41:07–16:41:19   33 × ERR11000 (normal: at most 2)",
        f'   {LOG}:812  ERROR … "code":"ERR11000","message":"VALIDATOR_REQUEST_PARAMETER_QUERY_MISSING"}}',
        "and 1 finding more: --limit 0 shows all",
        *(f"notice: no line of {name}, which normal runs have, in {RUNS[0]} / {BAD}" for name in "abc"),
        "1 more notice: lo2dask findings --limit 0 shows all",
        "3 cases look normal",
        "trust: 5 cases of 3 runs, 3 normal, 2 anomalous; not measured: excess_runs.parquet is not there",
    ]


def test_without_a_limit_all_notices_are_told(root: Path) -> None:
    lines = summary_text(findings(FindingsOptions(root=root, limit=0)), 160)
    assert sum(line.startswith("notice: ") for line in lines) == 4
    assert not any("more notice" in line for line in lines)


def test_what_a_notice_says_is_wrapped_on_a_narrow_terminal(root: Path) -> None:
    lines = findings_text(Layout(root), 10, 40)
    at = lines.index("notice: no line of a, which normal runs")
    assert lines[at + 1 : at + 3] == ["   have, in", f"      {RUNS[0][:12]}" + lines[at + 2][18:]]


def test_lines_on_each_model_follow_the_units(root: Path) -> None:
    lines = findings_text(Layout(root), 1, 160, ["trust excess: …"])
    assert lines[-2:] == ["trust: 5 cases of 3 runs, 3 normal, 2 anomalous", "trust excess: …"]


def test_on_a_terminal_of_80_columns_it_has_a_line_more(root: Path) -> None:
    lines = findings_text(Layout(root), 10, 80)
    assert lines[1:7] == [
        f"1  {RUNS[0]} / {BAD}",
        "   refresh-token  16:41:07–16:41:19  33 × ERR11000 (normal: at most 2)",
        f'   {LOG}:812  ERROR … "code":"ERR11000","mess…',
        f"2  {RUNS[1]} / {BAD}",
        "   token  16:41:07–16:41:19  5 × Connection refused (normal: never)",
        f'   {LOG}:812  ERROR … {{"statusCode":400,"code…',
    ]


@pytest.mark.parametrize("width", range(40, 200, 7))
def test_no_line_is_wider_than_the_terminal(tmp_path: Path, width: int) -> None:
    hostile = "日本\x1b[31m\u202e\n\té" * 30
    rows = [finding(run="r" * 90, test_case=hostile, service="s" * 60, statement=hostile, start=None), finding()]
    lines = findings_text(write_findings(tmp_path, rows), 10, width)
    assert all(columns(line) <= width for line in lines)
    assert all(line.isprintable() for line in lines)


def test_a_run_is_a_run_where_it_has_one_case(tmp_path: Path) -> None:
    layout = write_findings(tmp_path, [], ())
    assert findings_text(layout, 10, 80) == [
        "no run stands out (excess, 3 normal runs to compare with)",
        "trust: 3 cases of 3 runs, 3 normal; not measured, as the labels have one class",
        "alone",
    ]
    layout = write_findings(tmp_path, [finding(test_case="correct")], ())
    assert findings_text(layout, 10, 80)[0] == "1 of 3 runs stands out (excess, 3 normal runs to compare with)"
    assert findings_text(layout, 10, 80)[-3] == "2 runs look normal"


def test_faults_of_runs_without_labels_may_hide_each_other(tmp_path: Path) -> None:
    layout = write_findings(tmp_path, [], ())
    summary = findings(FindingsOptions(root=layout.root))
    start = datetime(2026, 3, 6, 9, 10, 14, tzinfo=UTC)
    suspects = (
        Suspect(RUNS[1], "correct", "cart", "new error", 1, start=start, statement="ERROR shop - no disk left"),
        Suspect(RUNS[0], "correct", "auth", "more errors", 60, usual=8),
        Suspect(RUNS[2], "correct", "auth", "unusual", 27, seconds=27.0, start=start, statement="WARN shop - slow"),
    )
    unlabelled = replace(summary, normals=0, labelled=0, suspects=suspects)
    first, *note = summary_text(unlabelled, 500)
    assert first == "no run stands out (excess, 3 runs to compare with)"
    assert note[0].startswith("note: nothing is labelled, so faults that several runs have can hide each other")
    assert note[1:4] == [
        f"   {RUNS[1]}  cart  09:10:14  no other has: ERROR shop - no disk left",
        f"   {RUNS[0]}  auth  60 lines of an error level, usual: 8",
        f"   {RUNS[2]}  auth  unusual for 27 s from 09:10:14 on: WARN shop - slow",
    ]
    narrow = summary_text(unlabelled, 40)
    assert all(len(line) <= 40 for line in narrow)
    assert sum("auth  60 lines" in line or "cart  09:10:14" in line or "auth  unusual" in line for line in narrow) == 3
    assert len(summary_text(replace(unlabelled, suspects=()), 500)) == len([first, *note]) - len(suspects)
    standing = summary_text(replace(unlabelled, standing=1), 500)
    assert "note: worth a look too, as nothing is labelled:" in standing
    assert not any("hide" in line for line in standing)
    for other in (replace(unlabelled, labelled=3), replace(unlabelled, learned=0)):
        assert not any("hide" in line or "unusual" in line for line in summary_text(other, 500))


def test_runs_that_have_no_service_in_common_are_not_called_well(tmp_path: Path) -> None:
    layout = write_findings(tmp_path, [], ())
    summary = replace(findings(FindingsOptions(root=layout.root)), cases=0, runs=0, normals=0, labelled=0)
    lines = summary_text(summary, 60)
    assert lines[0].startswith("nothing was judged (excess): no service has a log")
    assert not any("stands out" in line for line in lines)
    assert all(len(line) <= 60 for line in lines)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a/cart/0.log", "cart/0.log"), ("a/cart.log", "cart.log"), ("0.log", "0.log"), ("x.tar:d/12", "x.tar:d/12")],
)
def test_a_log_that_is_named_by_a_number_has_its_folder(path: str, name: str) -> None:
    assert log_name(path) == name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"a/shop_cart-7d9f8b6c5-x2k7z_{32 * '0'}/cart/0.log", "cart-7d9f8b6c5-x2k7z/cart/0.log"),
        ("a/run-1/host-a/cart.log", "host-a/cart.log"),
        ("a/run-1/get_404/cart.log", "cart.log"),
        ("a/run-1/cart.log", "cart.log"),
        ("a/run-1/get_404/host-a/cart.log", "host-a/cart.log"),
        ("a/run-1/b/host-a/cart.log", "cart.log"),
    ],
)
def test_one_of_several_logs_has_its_pod_or_host(path: str, name: str) -> None:
    assert log_name(path, ("run-1", "get_404")) == name


def test_nothing_was_looked_for(tmp_path: Path, command: Callable[..., Any]) -> None:
    layout = write_findings(tmp_path, [])
    (layout.findings / "part-000000.parquet").unlink()
    assert findings_text(layout, 10, 80) == []
    answer = command("findings", tmp_path)
    assert (answer.code, answer.out, len(answer.lines)) == (2, "", 1)
    assert f"lo2dask train --root {tmp_path}" in answer.err
    assert "excess" in answer.err


def test_of_raw_logs_the_folder_of_results_is_asked_for(tmp_path: Path, command: Callable[..., Any]) -> None:
    (tmp_path / "run-0").mkdir()
    answer = command("findings", tmp_path)
    assert (answer.code, len(answer.lines)) == (2, 1)
    assert "no lo2_findings.parquet in it; give the --output-dir of run" in answer.err
    assert "train" not in answer.err


def test_the_command_fits_the_terminal(root: Path, command: Callable[..., Any], monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    answer = command("findings", root)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines() == findings_text(Layout(root), 10, 80)
    assert command("findings", root, "--limit", "1").out.splitlines() == findings_text(Layout(root), 1, 80)
    assert command("findings", root, "--quiet").out == ""


@pytest.mark.parametrize(("given", "shown"), [(RUNS[1], 1), (RUNS[1][-6:], 1), ("light", 2), (RUNS[2], 0)])
def test_one_run(root: Path, command: Callable[..., Any], given: str, shown: int) -> None:
    rows = command("findings", root, "--run", given, "--format", "json").out.splitlines()
    assert sum(json.loads(row)["kind"] != "silent" for row in rows) == shown


def test_an_unknown_run_names_the_nearest(root: Path, command: Callable[..., Any]) -> None:
    answer = command("findings", root, "--run", "light-oauth2-data-1719592987")
    assert answer.code == 2
    assert RUNS[0] in answer.err


def test_one_service(root: Path, command: Callable[..., Any]) -> None:
    rows = command("findings", root, "--service", "token", "--format", "json").out.splitlines()
    assert [json.loads(row)["service"] for row in rows] == ["token"]


def test_json_lines(root: Path, command: Callable[..., Any]) -> None:
    rows = [json.loads(line) for line in command("findings", root, "--format", "json").out.splitlines()]
    assert [row["kind"] for row in rows] == ["error_excess", "unseen", *["silent"] * 4]
    assert rows[0]["start"] == clock(7).isoformat()
    assert rows[0]["evidence"][0] | {"path": ""} == {
        "path": "", "line_no": 812, "time": clock(7).isoformat(), "text": TEXT,
    }  # fmt: skip
    assert (rows[0]["statement"], rows[2]["score"]) == (STATEMENT, None)


def test_csv(tmp_path: Path, command: Callable[..., Any]) -> None:
    write_findings(tmp_path, [finding(statement="a\n\x1b[31mb,c"), notice()])
    rows = list(csv.DictReader(io.StringIO(command("findings", tmp_path, "--format", "csv").out)))
    assert (rows[0]["statement"], rows[0]["count"], rows[0]["start"]) == (
        "a\\n\\x1b[31mb,c", "33", clock(7).isoformat(),
    )  # fmt: skip
    assert (rows[0]["evidence_line_no"], rows[0]["evidence_text"]) == ("812", TEXT)
    assert rows[0]["evidence_path"].endswith(LOG)
    assert (rows[1]["kind"], rows[1]["evidence_path"]) == ("silent", "")


def test_the_log_format_gives_one_line(root: Path, command: Callable[..., Any]) -> None:
    done = json.loads(command("findings", root, "--log-format", "json").out)
    assert (done["event"], done["standing"], done["total"], done["cases"]) == ("done", 2, 2, 5)


def test_a_terminal_without_unicode(root: Path, program: Callable[..., Any]) -> None:
    import os

    done = program("findings", root, env={**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    assert "16:41:07-16:41:19  33 x ERR11000" in done.stdout


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "33 × ERR11000 (normal: at most 2)"),
        ({"normal_max": 0}, "33 × ERR11000 (normal: none)"),
        ({"kind": "lack", "count": 0, "rate": 0.0, "normal_rate": 40.0}, "missing: ERR11000 (0 a minute, normal: 40)"),
        ({"end": clock(7)}, "refresh-token  16:41:07  33"),
        ({"end": clock(90_000)}, "2024-06-28 16:41:07–2024-06-29 17:41:00"),
        ({"start": None}, "time not known: no time was read in these logs, or"),
    ],
)
def test_what_is_said_of_a_finding(tmp_path: Path, changes: dict, said: str) -> None:
    assert said in "\n".join(findings_text(write_findings(tmp_path, [finding(**changes)]), 10, 80))


def test_what_tells_of_a_statement_and_of_a_line() -> None:
    assert telling("WARN c.n.A handle - Exception: <NUM>", 80) == "Exception: <NUM>"
    assert telling("Connection refused", 10) == "Connectio…"
    assert telling_line("10:00 [x]  ERROR c.n.A b - gone", "ERROR c.n.A b - gone", 80) == "ERROR c.n.A b - gone"
    assert telling_line("10:00 [x]  ERROR c.n.Handler b - gone", "", 17) == "ERROR … gone"
    assert telling_line("10:00 [x]  ERROR in the middle of it", "", 17) == "ERROR in the mid…"
    assert (
        telling_line('ERROR {"status":400,"code":"ERR11000","a":1}', "x ERR11000", 26) == 'ERROR … "code":"ERR11000"…'
    )
    assert telling_line("no level", "", 4) == "no …"
    assert cut_middle("abcdefghij", 5) == "ab…ij"
    assert columns(cut("日本日本", 4)) <= 4


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ('{"time":"09:00","level":"ERROR","logger":"shop","msg":"order 17 lost"}', 80, "ERROR order 17 lost"),
        ('{"time":"09:00","level":"error","msg":"order 17 lost"}', 13, "error order …"),
        ('{"severityText":"ERROR","body":{"stringValue":"gone\\u001b[2J"}}', 80, "ERROR gone\\x1b[2J"),
        ('cart-1  | {"level":"ERROR","msg":"gone"}', 80, "ERROR gone"),
        ('{"PRIORITY":"3","MESSAGE":"no login: FATAL no slot"}', 80, "ERROR no login: FATAL no slot"),
        ('{"level":50,"msg":"gone"}', 80, "ERROR gone"),
        ('{"log":"09:00 [x] ERROR shop - gone","stream":"stdout","time":"09:00"}', 80, "ERROR shop - gone"),
        ('{"at":"09:00","level":"ERROR","code":7}', 30, '{"at":"09:00","level":"ERROR",…'[:29] + "…"),
        ('{"at":"09:00","level":"ERROR","msg":"cut he', 20, '{"at":"09:00","leve…'),
        ('09:00 ERROR shop - {"message":"of the event"}', 80, 'ERROR shop - {"message":"of the event"}'),
        ("[{trace=1}] ERROR shop - gone", 80, "ERROR shop - gone"),
    ],
)
def test_a_line_of_json_is_shown_by_its_message_or_from_its_begin(text: str, width: int, shown: str) -> None:
    assert telling_line(text, "", width) == shown


def test_of_a_statement_the_level_of_an_error_and_the_status_of_a_response_are_told() -> None:
    assert telling("ERROR http.log.access.log0 - handled request", 80) == "ERROR handled request"
    assert telling("INFO http.log.access.log0 - handled request", 80) == "handled request"
    request = 'ERROR - <IP> - - "GET /shop/items/<NUM>?q=<NUM> HTTP/<NUM>" code502 <NUM> "-" "Mozilla/<NUM> (X11)"'
    assert telling(request, 200) == request[request.index('"GET') :]
    assert telling(request, 60) == '"GET /shop/items/<NUM>?q=<NUM> HTTP/<NUM>" code502 <NUM> "-…'
    assert telling(request, 31) == '"GET /shop/items/<NUM>?…code502'
    assert telling(request, 8) == "…code502"
    for width in range(1, 130):
        assert columns(telling(request, width)) <= width


def test_a_service_that_is_not_there_is_named(tmp_path: Path) -> None:
    from lo2dask.commands.findings import findings
    from lo2dask.errors import InputError
    from lo2dask.options import FindingsOptions

    write_findings(tmp_path, [finding()], ())
    with pytest.raises(InputError, match="no such service; the nearest: refresh-token"):
        findings(FindingsOptions(root=tmp_path, service="refresh-tokn"))


def test_messages_are_wrapped_to_a_terminal_and_sentences_in_a_table_cut_at_their_end(monkeypatch: Any, capfd) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    said = "lo2dask: " + "a message of words " * 5 + "/a/path/that/is/longer/than/the/terminal/has/columns"
    say(said, err=True)
    assert capfd.readouterr().err == f"{said}\n"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    say(said, err=True)
    lines = capfd.readouterr().err.splitlines()
    assert " ".join(lines) == said
    assert max(map(len, lines[:-1])) <= 40
    assert wrapped([said, ""]) == [said, ""], "in a pipe a line stays whole"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with monkeypatch.context() as narrow:
        narrow.setattr("lo2dask.cli.text.terminal_width", lambda: 10)
        assert wrapped(["12 MB in 4.2 s"]) == ["12 MB in", "  4.2 s"], "a number stays with its unit"
    rows = wrapped([said])
    assert " ".join(row.removeprefix("  ") for row in rows) == said
    assert max(map(len, rows[:-1])) <= 40
    shown = table([{"model": "lr_words", "remark": "not measured, as the hold-out has no normal case"}])
    assert "not measured, as the" in shown.splitlines()[1]
    assert shown.endswith("…")
