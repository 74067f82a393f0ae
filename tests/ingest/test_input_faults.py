"""Input that is not as it should be: nothing of it is lost, mixed up or relabelled without a word."""

import io
import json
import os
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from lo2dask.cli import main as cli
from lo2dask.commands.extract import extract
from lo2dask.commands.load import LoadSummary, load
from lo2dask.errors import InputError, IntegrityError
from lo2dask.execute.session import Session
from lo2dask.features.figures import BaseFigures
from lo2dask.ingest.metrics import MOST_DETAILS
from lo2dask.ingest.plan import clear_output
from lo2dask.options import ExtractOptions, LoadOptions
from lo2dask.parse import chunks
from lo2dask.parse.raw_lines import raw_line
from lo2dask.sources import tree
from lo2dask.tables.layout import Layout
from tests.trees import table_of, train_root

RUN = "LO2_run_1740000000"
ERROR = "get_token_404"


def name_of(service: str) -> str:
    return f"light-oauth2-oauth2-{service}-1.log"


def lines(count: int, word: str = "text") -> bytes:
    """LO2 lines at 21:25:00 and each second after it."""
    rows = (f"21:25:{n:02d}.000 [main]   DEBUG a.b.C d - {word} {n}\n" for n in range(count))
    return "".join(rows).encode()


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def make_run(raw: Path, run: str = RUN) -> Path:
    """A run of one normal and one error log of token: 3 and 4 lines."""
    write(raw / run / "correct" / name_of("token"), lines(3))
    write(raw / run / ERROR / name_of("token"), lines(4))
    return raw / run


def load_all(raw: Path, out: Path, **changes: object) -> LoadSummary:
    return load(LoadOptions(root=raw, output_dir=out, **({"enhance": False} | changes)), Session.serial())


def lengths(out: Path) -> dict[str, tuple[int, bool]]:
    rows = table_of(out / "lo2_sequences.parquet").to_pylist()
    assert len({row["seq_id"] for row in rows}) == len(rows)
    return {row["seq_id"]: (row["seq_len"], row["anomaly"]) for row in rows}


def rejects(out: Path) -> list[dict[str, str]]:
    return table_of(out / "lo2_rejects.parquet").to_pylist()


def add(archive: tarfile.TarFile, name: str, data: bytes, **kind: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in kind.items():
        setattr(member, key, value)
    archive.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("changes", [{}, {"save_events": True}, {"save_events": True, "continuation_lines": "merge"}])
def test_the_second_folder_of_an_id_is_a_reject_and_the_rest_is_loaded(tmp_path: Path, changes: dict) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    first = write(raw / "a" / "b__correct" / name_of("token"), lines(3))
    second = write(raw / "a__b" / "correct" / name_of("token"), lines(5))
    write(raw / "z" / "correct" / name_of("token"), lines(2))
    load_all(raw, out, **({"enhance": True} | changes))
    token = name_of("token").removesuffix(".log")
    assert lengths(out) == {f"a__b__correct__{token}": (3, True), f"z__correct__{token}": (2, False)}
    (reject,) = rejects(out)
    assert reject["reason"] == "same id"
    assert str(first) in reject["detail"]
    assert str(second) in reject["detail"]
    if changes:
        events = Counter(table_of(out / "lo2_events.parquet")["seq_id"].to_pylist())
        assert events == {name: length for name, (length, _) in lengths(out).items()}
    words = table_of(out / "lo2_sequences_enhanced.parquet").to_pylist()
    assert {row["seq_id"]: row["e_words_len"] for row in words} == {
        f"a__b__correct__{token}": 3 * 10, f"z__correct__{token}": 2 * 10
    }  # fmt: skip


def test_ids_are_distinct_across_scan_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lo2dask.ingest.plan.RUNS_PER_SCAN", 1)
    for run, case in (("a", "b__c__d"), ("a", "zz"), ("a__b", "c__d"), ("a__b__c", "d"), ("b", "c")):
        write(tmp_path / "raw" / run / case / name_of("token"), lines(2))
    load_all(tmp_path / "raw", tmp_path / "out")
    assert len(lengths(tmp_path / "out")) == 3
    assert [row["reason"] for row in rejects(tmp_path / "out")] == ["same id"] * 2


def test_a_load_that_would_write_an_id_twice_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lo2dask.sources.manifest._distinct", lambda file, _: file)
    for run, case in (("a", "b__c"), ("a__b", "c")):
        write(tmp_path / "raw" / run / case / name_of("token"), lines(2))
    with pytest.raises(IntegrityError, match="rows are not one for each log"):
        load_all(tmp_path / "raw", tmp_path / "out")


def test_the_last_member_of_a_tar_counts_as_with_tar_xf(tmp_path: Path) -> None:
    """Also under another spelling of the same path."""
    raw = tmp_path / "raw"
    raw.mkdir()
    with tarfile.open(raw / f"{RUN}.tar", "w") as archive:
        add(archive, f"{RUN}/correct/{name_of('client')}", lines(6))
        add(archive, f"{RUN}/correct/{name_of('token')}", lines(3))
        add(archive, f"{RUN}/{ERROR}/{name_of('token')}", lines(4))
        add(archive, f"{RUN}/correct/{name_of('client')}", lines(1))
        add(archive, f"./{RUN}//correct/{name_of('client')}", lines(2))
    load_all(raw, tmp_path / "out", save_events=True)
    by_case = {tuple(name.split("__")[1:]): length for name, (length, _) in lengths(tmp_path / "out").items()}
    token, client = name_of("token").removesuffix(".log"), name_of("client").removesuffix(".log")
    assert by_case == {("correct", client): 2, ("correct", token): 3, (ERROR, token): 4}
    assert [row["reason"] for row in rejects(tmp_path / "out")] == ["superseded"] * 2


def test_rows_that_go_to_another_log_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_rows = BaseFigures.add

    def misplace(self: BaseFigures, events) -> None:
        add_rows(self, events)
        self.lengths = self.lengths[::-1]

    make_run(tmp_path / "raw")
    monkeypatch.setattr(BaseFigures, "add", misplace)
    with pytest.raises(IntegrityError, match="of its log were kept"):
        load_all(tmp_path / "raw", tmp_path / "out")


def test_starting_over_removes_only_what_records_name(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    make_run(raw)
    load_all(raw, out, enhance=True, save_events=True)
    before = {path for path in out.rglob("*") if path.is_file()}
    names = ("lo2_mine.parquet", "lo2_events.parquet/notes.txt", "metrics/mine.json", "explainability/plot.png")
    mine = [write(out / name, b"mine") for name in (*names, "_lo2dask/mine.json", "_lo2dask/models/mine.bin")]
    record = out / "_lo2dask" / "load.json"
    content = json.loads(record.read_text())
    victim = write(tmp_path / "victim", b"untouched")
    content["outputs"]["../victim"] = content["outputs"][str(victim)] = {"size": 9, "checksum": "0" * 16}
    record.write_text(json.dumps(content))
    clear_output(Layout(out))
    assert victim.read_bytes() == b"untouched"
    left = {path for path in out.rglob("*") if path.is_file()}
    assert set(mine) <= left
    assert not [path for path in left & before if path.parts[-2].startswith("lo2_")]
    load_all(raw, out, enhance=True, save_events=True, resume=False)
    assert all(path.read_bytes() == b"mine" for path in mine)
    assert len(lengths(out)) == 2


def test_what_looks_like_correct_is_normal_by_number_and_else_named(tmp_path: Path) -> None:
    for case in ("correct_1", "correct-2", "Correct", "correct copy", "correct_password_404"):
        write(tmp_path / "raw" / "Labeled" / case / name_of("token"), lines(2))
    load_all(tmp_path / "raw", tmp_path / "out")
    found = {name.split("__")[1]: anomaly for name, (_, anomaly) in lengths(tmp_path / "out").items()}
    assert found == {"correct_1": False, "correct-2": False, "correct_password_404": True}
    rows = {Path(row["path"]).parent.name: row["reason"] for row in rejects(tmp_path / "out")}
    assert rows == {"Correct": "label", "correct copy": "label"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (f"{ERROR}/light-oauth2-oauth2-user-1.log.lz4", "compressed"),
        (f"{ERROR}/light-oauth2-oauth2-user-1.log.2.zip", "compressed"),
        (f"{ERROR}/light-oauth2-oauth2-user-1.log.bak", "rotated"),
        (f"{ERROR}/logs/light-oauth2-oauth2-user-1.log", "path"),
        ("light-oauth2-oauth2-user-1.log", "path"),
        ("../LO2_run_1740009999.tar.gz", "compressed"),
    ],
)
@pytest.mark.parametrize("is_tar", [False, True])
def test_what_looks_like_data_is_named(
    tmp_path: Path, name: str, reason: str, is_tar: bool, caplog: pytest.LogCaptureFixture
) -> None:
    raw = tmp_path / "raw"
    run = make_run(raw)
    if is_tar and not name.startswith(".."):
        with tarfile.open(raw / "LO2_run_1740000001.tar", "w") as archive:
            add(archive, f"LO2_run_1740000001/{ERROR}/{name_of('token')}", lines(4))
            add(archive, f"LO2_run_1740000001/{name}", lines(4))
    else:
        write(run / name, lines(4))
    with caplog.at_level("WARNING", logger="lo2dask"):
        load_all(raw, tmp_path / "out")
    (row,) = rejects(tmp_path / "out")
    assert row["reason"] == reason
    assert f"1 left out ({reason}), such as {row['path']}: {row['detail']}" in caplog.text


def test_links_are_followed_within_the_tree_and_out_of_it_on_demand(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    run = make_run(raw)
    write(raw / "store" / "get_user_404" / name_of("user"), lines(2))
    (run / "get_user_404").symlink_to(raw / "store" / "get_user_404")
    outside = write(tmp_path / "outside" / "case" / name_of("key"), lines(5)).parent
    (run / "update_user_404").symlink_to(outside)
    (run / ERROR / name_of("key")).symlink_to(outside / name_of("key"))
    (raw / "LO2_run_1740000009").symlink_to(tmp_path / "outside")
    load_all(raw, tmp_path / "out")
    assert {name.split("__")[1] for name in lengths(tmp_path / "out")} == {"correct", ERROR, "get_user_404"}
    assert [row["reason"] for row in rejects(tmp_path / "out")] == ["link"] * 3
    assert all("add --follow-links" in row["detail"] for row in rejects(tmp_path / "out"))
    load_all(raw, tmp_path / "all", follow_links=True)
    assert len(lengths(tmp_path / "all")) == 6
    assert rejects(tmp_path / "all") == []


@pytest.mark.parametrize(
    "names", [(f"LO2_run_1740000000/{ERROR}", "correct"), ("LO2_run_1740000001", "LO2_run_1740000000")]
)
def test_a_link_to_a_folder_beside_it_is_not_read_twice(tmp_path: Path, names: tuple[str, str]) -> None:
    raw = tmp_path / "raw"
    write(raw / "LO2_run_1740000000" / "correct" / name_of("token"), lines(4))
    (raw / names[0]).symlink_to(names[1])
    load_all(raw, tmp_path / "out", follow_links=True)
    assert len(lengths(tmp_path / "out")) == 1
    (row,) = rejects(tmp_path / "out")
    assert (row["reason"], Path(row["path"])) == ("link", raw / names[0])
    assert f"it leads to {names[1]} beside it" in row["detail"]


def test_links_in_a_circle_and_to_nowhere_cost_only_themselves(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    run = make_run(raw)
    odd = [run / "x_404", raw / "LO2_run_1740000001", raw / "LO2_run_1740000002.tar", raw / "other"]
    for path in odd:
        path.symlink_to(path)
    odd += [raw / "LO2_run_1740000003", raw / "LO2_run_1740000004.tar"]
    for path in odd[4:]:
        path.symlink_to("nowhere")
    (run / "y_404").symlink_to(run)
    load_all(raw, tmp_path / "out")
    assert len(lengths(tmp_path / "out")) == 2
    found = {Path(row["path"]).name: row["detail"] for row in rejects(tmp_path / "out")}
    assert found.keys() == {path.name for path in odd if path.name != "other"} | {"correct", ERROR}
    assert found["LO2_run_1740000001"] == found["LO2_run_1740000003"] == "it leads to no folder"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("follow", [False, True])
def test_links_in_a_circle_end_in_other_layouts(tmp_path: Path, follow: bool) -> None:
    raw = tmp_path / "raw"
    for case in ("correct", "err"):
        write(raw / "r1" / case / "a.log", lines(3))
        (raw / "r1" / case / "up").symlink_to(raw)
    (raw / "r1" / "correct" / "other").symlink_to(raw / "r1" / "err")
    (raw / "r1" / "err" / "other").symlink_to(raw / "r1" / "correct")
    (raw / "r1" / "self").symlink_to("self")
    (raw / "r2").symlink_to(raw)
    load_all(raw, tmp_path / "out", follow_links=follow)
    names = ["r1__correct__a.log", "r1__err__a.log", *["r1__correct__other/a.log", "r1__err__other/a.log"] * follow]
    assert len(lengths(tmp_path / "out")) == len(names)


@pytest.mark.parametrize("content", [lines(40_000), b""])
def test_a_log_that_grows_while_it_is_read_is_told(tmp_path: Path, monkeypatch, content: bytes) -> None:
    monkeypatch.setattr("lo2dask.parse.chunks.CHUNK_BYTES", 1_000_000)
    run = make_run(tmp_path / "raw")
    write(run / "correct" / name_of("user"), content or lines(3))
    real = tree.open_at
    assert chunks.open_at is real

    def open_grown(path: str, offset: int):
        if path.endswith(name_of("user")):
            with open(path, "ab") as file:
                file.write(lines(1))
        return real(path, offset)

    for module in (chunks, tree):
        monkeypatch.setattr(module, "open_at", open_grown)
    load_all(tmp_path / "raw", tmp_path / "out", format="lo2")
    (row,) = rejects(tmp_path / "out")
    assert (row["reason"], Path(row["path"]).name) == ("still written", name_of("user"))


@pytest.mark.parametrize("chunk", [100, 1 << 20])
def test_a_byte_order_mark_and_colours_are_no_text(tmp_path: Path, monkeypatch, chunk: int) -> None:
    monkeypatch.setattr("lo2dask.parse.chunks.CHUNK_BYTES", chunk)
    run = make_run(tmp_path / "raw")
    write(run / "correct" / name_of("token"), b"\xef\xbb\xbf" + lines(3))
    coloured = lines(4).replace(b"DEBUG", b"\x1b[36mDEBUG\x1b[0;39m").replace(b"21:25", b"\x1b[33m21:25")
    write(run / ERROR / name_of("token"), coloured)
    load_all(tmp_path / "raw", tmp_path / "out", save_events=True)
    events = table_of(tmp_path / "out" / "lo2_events.parquet").to_pylist()
    assert [event["level"] for event in events] == ["DEBUG"] * 7
    assert not [event for event in events if event["is_continuation"]]
    assert {event["m_message"].split(" - ")[1] for event in events} == {f"text {n}" for n in range(4)}
    assert rejects(tmp_path / "out") == []


@pytest.mark.parametrize("chunk", [100, 1 << 20])
@pytest.mark.parametrize("line_format", ["lo2", "auto"])
def test_a_byte_order_mark_within_a_joined_log_is_no_text(tmp_path: Path, monkeypatch, chunk: int, line_format) -> None:
    monkeypatch.setattr("lo2dask.parse.chunks.CHUNK_BYTES", chunk)
    bom, run = b"\xef\xbb\xbf", make_run(tmp_path / "raw")
    write(run / ERROR / name_of("token"), bom + lines(3) + bom + bom + lines(2, "löschen"))
    load_all(tmp_path / "raw", tmp_path / "out", save_events=True, format=line_format)
    events = table_of(tmp_path / "out" / "lo2_events.parquet").to_pylist()
    assert not [event for event in events if event["is_continuation"] or "\ufeff" in raw_line(event)]
    assert [event["line_no"] for event in events if event["test_case"] == ERROR] == [1, 2, 3, 4, 5]
    assert rejects(tmp_path / "out") == []


def test_a_byte_order_mark_within_a_line_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path / "raw")
    write(run / ERROR / name_of("token"), lines(3).rstrip() + b"\xef\xbb\xbf" + lines(2))
    load_all(tmp_path / "raw", tmp_path / "out")
    (row,) = rejects(tmp_path / "out")
    assert row["reason"] == "byte order mark"
    assert row["detail"] == "within lines, which are kept: 1; were files joined without an end of line?"
    assert sorted(length for length, _ in lengths(tmp_path / "out").values()) == [3, 4]


def test_lines_that_end_with_cr_alone_are_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "raw")
    write(run / "correct" / name_of("user"), lines(50).replace(b"\n", b"\r"))
    write(run / ERROR / name_of("user"), lines(50).replace(b"\n", b"\r\n"))
    write(run / ERROR / name_of("key"), lines(1)[:-1] + b"\r")
    load_all(tmp_path / "raw", tmp_path / "out")
    assert sorted(length for length, _ in lengths(tmp_path / "out").values()) == [1, 3, 4, 50]
    (row,) = rejects(tmp_path / "out")
    assert (row["reason"], Path(row["path"]).name) == ("line ends", name_of("user"))
    assert "lines end with CR alone" in row["detail"]


@pytest.mark.usefixtures("serially")
def test_a_log_of_blank_lines_alone_is_named_and_nothing_is_trained_on_it(tmp_path: Path, capsys) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    for case, text in (("correct", b"\n \n\t\n"), (ERROR, b"\n" * 300)):
        write(raw / RUN / case / name_of("token"), text)
    assert cli.run(["load", "--root", str(raw), "--output-dir", str(out), "--workers", "1"]) == 0
    assert {row["detail"] for row in rejects(out)} == {"it holds nothing but blank lines"}
    shown = capsys.readouterr().out
    assert "1 run, 2 test cases, 1 service: no sequence, as no line was kept; " in shown
    assert "next: " not in shown
    with pytest.raises(InputError, match="no sequence in it; .*nothing but blank lines, such as .*log"):
        train_root(out)


@pytest.mark.usefixtures("serially")
def test_where_all_logs_are_rejected_the_most_frequent_reason_is_told(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    for service in ("key", "token", "user"):
        text = b"" if service == "key" else "text\n".encode("utf-16")
        write(raw / RUN / "correct" / name_of(service), text)
    load_all(raw, out)
    with pytest.raises(InputError) as caught:
        train_root(out)
    told = str(caught.value)
    assert told.startswith(f"{out}: no sequence in it; UTF-16: text in UTF-16 or UTF-32: convert it (iconv ")
    assert f"such as {raw / RUN / 'correct' / name_of('token')}; lo2_rejects.parquet" in told


@pytest.mark.parametrize("changes", [{"normal": ("*",)}, {"test_cases": ("correct",)}, {}])
def test_that_no_error_case_is_left_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, changes: dict) -> None:
    make_run(tmp_path / "raw")
    with caplog.at_level("WARNING", logger="lo2dask"):
        load_all(tmp_path / "raw", tmp_path / "out", **changes)
    told = f"--normal {changes.get('normal', ['correct'])[0]}: no error case is left, so nothing can be judged"
    assert (told in caplog.text) == bool(changes)


def test_a_label_for_no_log_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_run(tmp_path / "raw")
    rows = ("corect,,normal", "correct,tokn,normal", f"{ERROR},token,error", "correct,,normal", ",token,error")
    labels = write(
        tmp_path / "labels.csv", "\n".join(["run,test_case,service,label", *(f"{RUN},{r}" for r in rows)]).encode()
    )
    with caplog.at_level("WARNING", logger="lo2dask"):
        load_all(tmp_path / "raw", tmp_path / "out", labels=labels)
    assert f"--labels {labels}: 2 labels are for no log, such as that of {RUN}/corect" in caplog.text


@pytest.mark.parametrize("changes", [{}, {"resume": False}])
def test_a_root_that_is_not_there_is_told_first_and_costs_nothing(tmp_path: Path, changes: dict) -> None:
    make_run(tmp_path / "raw")
    load_all(tmp_path / "raw", tmp_path / "out")
    with pytest.raises(InputError, match=f"--root {tmp_path / 'nowhere'}: no such folder"):
        load_all(tmp_path / "nowhere", tmp_path / "out", **changes)
    assert len(lengths(tmp_path / "out")) == 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_named(tmp_path: Path, encoding: str) -> None:
    run = make_run(tmp_path / "raw")
    write(run / "correct" / name_of("token"), lines(50).decode().encode(encoding))
    load_all(tmp_path / "raw", tmp_path / "out")
    assert [row["reason"] for row in rejects(tmp_path / "out")] == ["UTF-16"]


@pytest.mark.parametrize("policy", ["fill", "keep", "merge"])
def test_a_log_without_a_time_is_named(tmp_path: Path, policy: str) -> None:
    run = make_run(tmp_path / "raw")
    write(run / "correct" / name_of("user"), lines(3).replace(b"21:25", b"container | 21:25"))
    load_all(tmp_path / "raw", tmp_path / "out", continuation_lines=policy, format="lo2")
    (row,) = rejects(tmp_path / "out")
    assert (row["reason"], Path(row["path"]).name) == ("no time", name_of("user"))
    assert "21:25:00.000 [main]" in row["detail"]


def test_names_that_are_not_utf8_cost_only_themselves(tmp_path: Path) -> None:
    run = make_run(tmp_path / "raw")
    odd = os.fsencode(run) + b"/l\xf6schen_404"
    os.mkdir(odd)
    os.link(run / ERROR / name_of("token"), odd + b"/" + name_of("token").encode())
    load_all(tmp_path / "raw", tmp_path / "out")
    assert len(lengths(tmp_path / "out")) == 2
    (row,) = rejects(tmp_path / "out")
    assert (row["reason"], row["path"]) == ("name", f"{run}/l\\xf6schen_404")


def test_companion_files_and_what_lies_next_to_the_runs_are_counted(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    run = make_run(raw)
    write(run / "correct" / f"._{name_of('token')}", b"\0\5\26\7")
    write(run / "correct" / "metrics" / "._metric_up.json", b"\0\5\26\7")
    write(raw / "logs" / "job-12.out", b"queued")
    write(raw / f"{RUN}-node-metrics.csv", b"a,b")
    summary = load_all(raw, tmp_path / "out", load_metrics=True)
    assert summary.ignored == {"ignored: companion file of macOS": 2, "next to the runs": 2}
    assert (summary.sequences, summary.rejects) == (2, 0)


def test_an_archive_next_to_the_folder_of_its_run_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It may hold test cases that were never unpacked."""
    make_run(tmp_path / "raw")
    with tarfile.open(tmp_path / "raw" / f"{RUN}.tar", "w") as archive:
        add(archive, f"{RUN}/get_token_404/{name_of('token')}", lines(3))
    load_all(tmp_path / "raw", tmp_path / "out")
    assert f"1 archives are left out, such as {RUN}.tar: the folder of that run is read" in caplog.text


def test_a_member_that_leaves_its_run_is_a_reject(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    make_run(raw)
    with tarfile.open(raw / "LO2_run_1740000001.tar", "w") as archive:
        add(archive, f"LO2_run_1740000001/../{name_of('token')}", lines(4))
    load_all(raw, tmp_path / "out")
    assert len(lengths(tmp_path / "out")) == 2
    assert [row["reason"] for row in rejects(tmp_path / "out")] == ["path"]


@pytest.mark.parametrize(
    ("name", "reason"), [(f"/{RUN}/{ERROR}/{name_of('client')}", "path"), (f"{RUN}/\udcf6/{name_of('client')}", "name")]
)
def test_absolute_names_and_names_that_are_no_text_in_a_tar_are_rejects(tmp_path: Path, name: str, reason: str) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    with tarfile.open(raw / f"{RUN}.tar", "w") as archive:
        add(archive, f"{RUN}/correct/{name_of('token')}", lines(3))
        add(archive, name, lines(4))
    load_all(raw, tmp_path / "out")
    assert [length for length, _ in lengths(tmp_path / "out").values()] == [3]
    (row,) = rejects(tmp_path / "out")
    assert row["reason"] == reason
    assert "pack the run again" in row["detail"]


def header(size: int = 0, **more: object) -> bytes:
    """The header of a member that says this size, which may be negative."""
    member = tarfile.TarInfo(f"{RUN}/correct/{name_of('token')}")
    for key, value in more.items():
        setattr(member, key, value)
    data = bytearray(member.tobuf(tarfile.PAX_FORMAT))
    if size:
        data[-512 + 124 : -512 + 136] = (b"\xff" if size < 0 else b"\x80") + (size % (1 << 88)).to_bytes(11, "big")
        data[-512 + 148 : -512 + 156] = b" " * 8
        data[-512 + 148 : -512 + 156] = b"%06o\0 " % sum(data[-512:])
    return bytes(data)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "odd", [header(-512), header(1 << 62), header(pax_headers={"GNU.sparse.map": "x", "GNU.sparse.size": "y"})]
)
@pytest.mark.parametrize("first", [False, True])
def test_a_tar_whose_numbers_are_none_costs_only_itself(tmp_path: Path, odd: bytes, first: bool) -> None:
    raw, tar = tmp_path / "raw", tmp_path / "raw" / "LO2_run_1740000001.tar"
    make_run(raw)
    with tarfile.open(tar, "w") as archive:
        add(archive, f"LO2_run_1740000001/correct/{name_of('user')}", lines(4))
    tar.write_bytes((b"" if first else tar.read_bytes()[:1024]) + odd + bytes(1024))
    load_all(raw, tmp_path / "out")
    assert len(lengths(tmp_path / "out")) == 2 + (not first)
    (row,) = rejects(tmp_path / "out")
    assert "damaged tar: " in row["detail"]
    assert len(extract(ExtractOptions(src=tar, out=tmp_path / "extracted", jobs=1)).failed) == 1


def test_a_trace_table_whose_header_is_no_text_costs_only_itself(tmp_path: Path) -> None:
    write(make_run(tmp_path / "raw") / "correct" / "metrics" / "traces_a.csv", b"a\xb4,b\n1,2\n")
    load_all(tmp_path / "raw", tmp_path / "out", load_metrics=True)
    assert len(lengths(tmp_path / "out")) == 2
    assert ["invalid CSV" in row["detail"] for row in rejects(tmp_path / "out")] == [True]


def test_bad_rows_that_look_alike_are_counted(tmp_path: Path) -> None:
    rows = b"Trace ID,Span ID,Operation Name,Start Time,End Time,Tags\n" + b"a,b,c,yesterday,today,{}\n" * 4
    rows += b"".join(b"a,b,c,day %d,today,{}\n" % n for n in range(MOST_DETAILS + 2))
    write(make_run(tmp_path / "raw") / "correct" / "metrics" / "traces_a.csv", rows)
    load_all(tmp_path / "raw", tmp_path / "out", load_metrics=True)
    details = [row["detail"] for row in rejects(tmp_path / "out")]
    assert details[0] == "no time: 'yesterday', 4 times"
    assert (len(details), details[-1]) == (MOST_DETAILS + 1, "3 more like these")


def test_compose_v1_names_are_logs_and_no_log_at_all_is_explained(tmp_path: Path) -> None:
    write(tmp_path / "v1" / RUN / "correct" / "light-oauth2_oauth2-refresh-token_1.log", lines(2))
    load_all(tmp_path / "v1", tmp_path / "out")
    assert table_of(tmp_path / "out" / "lo2_sequences.parquet")["service"].to_pylist() == ["refresh-token"]
    path = write(tmp_path / "other" / RUN / "correct" / "token-service.log", lines(2))
    with pytest.raises(InputError, match=f"a log is RUN/TEST CASE/light-oauth2-oauth2-<service>-1.log; .*{path}"):
        load_all(tmp_path / "other", tmp_path / "out2")


def test_one_way_to_name_services(tmp_path: Path) -> None:
    make_run(tmp_path / "raw")
    with pytest.raises(InputError, match="--single-service and --service-types exclude each other"):
        load_all(tmp_path / "raw", tmp_path / "out", single_service="token", service_types=("user",))


@pytest.mark.parametrize("table", ["lo2_sequences", "lo2_events", "lo2_rejects", "lo2_vocabulary"])
def test_a_table_that_is_a_file_is_named(tmp_path: Path, table: str) -> None:
    make_run(tmp_path / "raw")
    path = write(tmp_path / "out" / f"{table}.parquet", b"mine")
    with pytest.raises(InputError, match=f"{table}.parquet is a file, where lo2dask has a folder"):
        load_all(tmp_path / "raw", tmp_path / "out", save_events=True)
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize("with_rejects", [False, True])
def test_a_load_with_nothing_to_do_writes_no_part_again(tmp_path: Path, with_rejects: bool) -> None:
    run = make_run(tmp_path / "raw")
    if with_rejects:
        write(run / "correct" / (name_of("user") + ".lz4"), b"packed")
    times = []
    for _ in range(2):
        load_all(tmp_path / "raw", tmp_path / "out", enhance=True)
        parts = sorted((tmp_path / "out").rglob("*.parquet"))
        times.append({path: path.stat().st_mtime_ns for path in parts if path.is_file()})
    assert {path.name for path in times[0] if not times[1].get(path) == times[0][path]} <= {"scan.parquet"}
    assert times[0].keys() == times[1].keys()
    assert len(rejects(tmp_path / "out")) == with_rejects


def test_the_empty_part_of_a_table_goes_when_there_are_rejects_and_heals(tmp_path: Path) -> None:
    run, out = make_run(tmp_path / "raw"), tmp_path / "out"
    load_all(tmp_path / "raw", out)
    empty = out / "lo2_rejects.parquet" / "part-000000.parquet"
    assert empty.is_file()
    empty.write_bytes(b"damaged")
    load_all(tmp_path / "raw", out)
    assert rejects(out) == []
    write(run / "correct" / (name_of("user") + ".lz4"), b"packed")
    load_all(tmp_path / "raw", out)
    assert [path.name for path in sorted(empty.parent.glob("*.parquet"))] == ["scan.parquet"]
