"""Loading whole trees: layouts, tars, bad input, resuming."""

import json
import os
import shutil
import tarfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from lo2dask.commands.load import LoadSummary, load
from lo2dask.errors import InputError, IntegrityError
from lo2dask.execute.session import Session
from lo2dask.ingest import batch as batches
from lo2dask.options import LoadOptions
from lo2dask.parse import chunks
from lo2dask.tables.layout import Layout
from tests.trees import load_tree, make_tree, table_of, train_root

TABLES = ("events", "sequences", "sequences_enhanced", "templates", "vocabulary")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("raw") / "tree", scale=0.02, runs=3)


def run(root: Path, out: Path, **changes: object) -> LoadSummary:
    return load(LoadOptions(root=root, output_dir=out, save_events=True, **changes), Session.serial())


def tables(out: Path) -> dict[str, pa.Table]:
    found = {name: table_of(out / f"lo2_{name}.parquet") for name in TABLES}
    return found | {"events": found["events"].sort_by([("seq_id", "ascending"), ("line_no", "ascending")])}


def stamps(out: Path) -> dict[str, int]:
    """Time of change of every part below an output folder."""
    return {
        str(path.relative_to(out)): path.stat().st_mtime_ns for path in sorted(out.rglob("*.parquet")) if path.is_file()
    }


def a_log(raw: Path) -> Path:
    return sorted(raw.glob("light-oauth2-data-*/correct/*token*.log"))[1]


def test_partitions_change_nothing(raw: Path, tmp_path: Path) -> None:
    """Small batches, chunks and blocks give the very same rows."""
    run(raw, tmp_path / "one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_BYTES", 20_000)
        patch.setattr(batches, "BLOCK_BYTES", 50_000)
        summary = run(raw, tmp_path / "many", partition_size="150KB")
    assert summary.batches > 3
    one, many = tables(tmp_path / "one"), tables(tmp_path / "many")
    for name in TABLES:
        assert many[name].equals(one[name]), name


def test_enhancing_later_gives_the_same(raw: Path, tmp_path: Path) -> None:
    """From the events, and from the raw tree, with the text pass in a map of its own."""
    from lo2dask.ingest.enhance import enhance
    from lo2dask.options import TrainOptions

    policy = {"continuation_lines": "merge", "partition_size": "400KB"}
    run(raw, tmp_path / "at once", **policy)
    run(raw, tmp_path / "events", enhance=False, **policy)
    load_tree(raw, tmp_path / "raw", enhance=False, **policy)
    wanted = tables(tmp_path / "at once")
    for place in ("events", "raw"):
        assert enhance(TrainOptions(root=tmp_path / place), Session.serial())
        for name in TABLES[0 if place == "events" else 2 :]:
            assert table_of(tmp_path / place / f"lo2_{name}.parquet").equals(
                table_of(tmp_path / "at once" / f"lo2_{name}.parquet")
            ), (place, name)
    assert wanted["sequences_enhanced"].num_rows == 26


@pytest.mark.parametrize("layout", ["v1", "v2", "guide", "sample"])
def test_layouts(tmp_path: Path, layout: str) -> None:
    raw = make_tree(tmp_path / "raw", scale=0.01, runs=2, layout=layout, errors_per_run=1)
    summary = run(raw, tmp_path / "out", enhance=False)
    assert (summary.runs, summary.sequences + summary.rejects) == (2, 12)
    assert summary.ignored["ignored: locust log"] == 4


def test_tars_equal_the_tree(tmp_path: Path) -> None:
    for name, tar in (("tree", False), ("tars", True)):
        run(make_tree(tmp_path / name, scale=0.01, runs=2, tar=tar), tmp_path / f"{name} out", partition_size="100KB")
    tree, tars = tables(tmp_path / "tree out"), tables(tmp_path / "tars out")
    assert tree["events"].num_rows > 500
    for name in TABLES:
        assert tars[name].equals(tree[name]), name


def test_nothing_is_read_twice(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(raw, tmp_path, partition_size="150KB")
    before = stamps(tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("a log was read")

    monkeypatch.setattr(batches, "read_blocks", refuse)
    second = run(raw, tmp_path, partition_size="150KB")
    assert (second.skipped, second.bytes, second.events) == (first.batches, 0, first.events)
    assert stamps(tmp_path) == before


def test_a_changed_log_is_read_again_alone(raw: Path, tmp_path: Path) -> None:
    own = tmp_path / "raw"
    shutil.copytree(raw, own)
    first = run(own, tmp_path / "out", partition_size="150KB")
    before = stamps(tmp_path / "out")
    log = a_log(own)
    text = log.read_text()
    log.write_text(text.replace("DEBUG", "ERROR"))
    second = run(own, tmp_path / "out", partition_size="150KB")
    assert second.skipped == first.batches - 1
    changed = [name for name, stamp in stamps(tmp_path / "out").items() if stamp != before[name]]
    assert len([name for name in changed if name.startswith("lo2_sequences.parquet")]) == 1
    run(own, tmp_path / "fresh", partition_size="150KB")
    fresh = tables(tmp_path / "fresh")
    for name, table in tables(tmp_path / "out").items():
        assert table.equals(fresh[name]), name


@pytest.mark.parametrize("again", ["load", "train"])
def test_half_written_records_of_a_killed_process_are_removed(raw: Path, tmp_path: Path, again: str) -> None:
    run(raw, tmp_path / "out")
    layout = Layout(tmp_path / "out")
    places = [layout.internal, layout.record("load", 0).parent]
    for place in places:
        (place / ".000000.json.0123abcd.tmp").write_text("{")
    layout.marker("enhance").unlink()
    if again == "load":
        run(raw, tmp_path / "out")
    else:
        train_root(tmp_path / "out", phase="enhancers")
    assert not [path for place in places for path in place.glob(".*")]


def test_parts_of_an_earlier_plan_and_half_written_ones_go_from_every_table(raw: Path, tmp_path: Path) -> None:
    own, out = Path(shutil.copytree(raw, tmp_path / "raw")), tmp_path / "out"
    run(own, out, partition_size="150KB")
    tables_of_parts = {path.parent for path in out.rglob("part-*.parquet")}
    assert Layout(out).window_counts in tables_of_parts
    for table in tables_of_parts:
        (table / ".part-000000.parquet.0123abcd.tmp").write_text("left by a killed process")
    shutil.rmtree(sorted(path for path in own.iterdir() if path.is_dir())[-1])
    run(own, out, partition_size="150KB")
    assert not list(out.rglob("*.tmp"))
    run(own, tmp_path / "fresh", partition_size="150KB")
    assert part_names(out) == part_names(tmp_path / "fresh")


def part_names(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("part-*.parquet")}


@pytest.mark.parametrize("table", [*TABLES, "text"])
def test_a_deleted_part_is_made_again(raw: Path, tmp_path: Path, table: str) -> None:
    run(raw, tmp_path, partition_size="300KB")
    before = tables(tmp_path)
    folder = tmp_path / "_lo2dask" / "text" / "bags" if table == "text" else tmp_path / f"lo2_{table}.parquet"
    sorted(folder.glob("*.parquet"))[-1].unlink()
    run(raw, tmp_path, partition_size="300KB")
    for name, after in tables(tmp_path).items():
        assert after.equals(before[name]), name


def test_other_options_are_refused(raw: Path, tmp_path: Path) -> None:
    run(raw, tmp_path)
    with pytest.raises(InputError, match=r"continuation_lines was 'fill', now 'drop'.*--no-resume"):
        run(raw, tmp_path, continuation_lines="drop")
    before = stamps(tmp_path)
    assert run(raw, tmp_path, continuation_lines="drop", resume=False).lines["continuation"] > 0
    assert stamps(tmp_path) != before


def test_a_wrong_root_does_not_block_the_right_one(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for wrong in ("missing", "empty"):
        with pytest.raises(InputError, match="looked for light-oauth2-data-<epoch>"):
            run(tmp_path / wrong, tmp_path / "out")
    with pytest.raises(InputError, match="unknown error type 'nonsense'"):
        run(raw, tmp_path / "out", single_error_type="nonsense")
    assert run(raw, tmp_path / "out").sequences == 26


def test_a_load_that_was_interrupted_while_reloading_is_not_finished(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "raw"
    shutil.copytree(raw, own)
    run(own, tmp_path / "out")
    os.utime(a_log(own), (1, 1))
    with monkeypatch.context() as patch:
        patch.setattr(batches, "write_part", _fail)
        with pytest.raises(OSError, match="disk full"):
            run(own, tmp_path / "out")
    assert json.loads(Layout(tmp_path / "out").marker("load").read_text())["summary"]["done"] is False
    assert run(own, tmp_path / "out").skipped == 0


def _fail(*_: object) -> None:
    raise OSError("disk full")


def test_rows_that_went_missing_are_noticed(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lo2dask.commands import load as stage

    monkeypatch.setattr(stage, "count_rows", lambda folder: 0)
    with pytest.raises(IntegrityError, match="0 rows, the batches wrote 26"):
        run(raw, tmp_path)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LoadSummary]:
    base = tmp_path_factory.mktemp("faulty")
    services = ("client", "code", "key", "refresh-token", "service", "token", "user")
    raw = make_tree(base / "raw", scale=0.02, runs=1, errors_per_run=1, services=services, faults=True)
    return base / "out", run(raw, base / "out", trim_init_lines=False)


def test_each_kind_of_bad_input_is_one_reject(faulty: tuple[Path, LoadSummary]) -> None:
    out, summary = faulty
    rows = table_of(out / "lo2_rejects.parquet").to_pylist()
    found = Counter(
        (
            Path(row["path"]).parent.name,
            Path(row["path"]).name.split("-")[3:4][0] if "-1.log" in row["path"] else "tar",
            row["reason"],
        )
        for row in rows
    )
    expected = {
        ("correct", "client", "empty"),
        ("correct", "code", "binary"),
        ("correct", "key", "NUL bytes"),
        ("correct", "refresh", "unreadable"),
        ("correct", "service", "invalid UTF-8"),
        ("correct", "token", "line too long"),
        ("get_token_404", "token", "unreadable"),
    }
    assert expected <= set(found)
    assert all(count == 1 for kind, count in found.items() if kind in expected)
    assert any(row["path"].endswith(".tar") and "truncated" in row["detail"] for row in rows)
    assert all(row["detail"] for row in rows)
    assert summary.rejects == len(rows)


def test_the_rest_of_a_faulty_tree_is_loaded(faulty: tuple[Path, LoadSummary]) -> None:
    out, summary = faulty
    table = table_of(out / "lo2_sequences.parquet")
    broken = [row for row in table.to_pylist() if row["run"] == "light-oauth2-data-1700000000"]
    assert {row["service"] for row in broken if row["test_case"] == "correct"} == {"key", "service", "token", "user"}
    length = {row["service"]: row["seq_len"] for row in broken if row["test_case"] == "correct"}
    assert length["key"] == length["token"] == length["user"] == length["service"] - 1
    lines = dict(summary.lines)
    assert lines.pop("lines_in") == sum(lines.values())
    assert lines["rejected"] >= 2
    assert summary.events == lines["kept"]


def test_a_log_of_which_no_line_is_kept_is_said(tmp_path: Path) -> None:
    case = tmp_path / "raw" / "run_0001" / "correct"
    case.mkdir(parents=True)
    (case / "oauth2-oauth2-token.log").write_text("at a.B.c\n\n")
    (case / "oauth2-oauth2-user.log").write_text("10:00:00.000 up\n")
    summary = run(tmp_path / "raw", tmp_path / "out", continuation_lines="drop", format="lo2")
    assert (summary.sequences, summary.rejects) == (1, 1)
    (row,) = table_of(tmp_path / "out" / "lo2_rejects.parquet").to_pylist()
    assert (row["reason"], row["path"]) == ("no event", str(case / "oauth2-oauth2-token.log"))


def test_times_may_be_missing_altogether(tmp_path: Path) -> None:
    case = tmp_path / "raw" / "run_0001" / "correct"
    case.mkdir(parents=True)
    (case / "oauth2-oauth2-token.log").write_text("at a.B.c\nat d\n")
    run(tmp_path / "raw", tmp_path / "out", format="lo2")
    (row,) = table_of(tmp_path / "out" / "lo2_sequences_enhanced.parquet").to_pylist()
    assert (row["start_time"], row["duration_sec"], row["seq_len"]) == (None, 0, 2)


@pytest.mark.parametrize("missing", [1, 700, 1536, 20_000])
def test_a_tar_that_was_cut_is_said_wherever_the_cut_is(tmp_path: Path, missing: int) -> None:
    """Inside a file, inside a header, before the end mark: tarfile itself lets the last two pass."""
    raw = make_tree(tmp_path / "raw", scale=0.02, runs=2, tar=True, errors_per_run=1, services=("token", "user"))
    tar = sorted(raw.glob("*.tar"))[0]
    with tarfile.open(tar) as archive:
        end = archive.getmembers()[-1]
    # The last member's data, rounded up to blocks of 512 bytes, and the end mark of 1024.
    whole = end.offset_data + -(-end.size // 512) * 512
    os.truncate(tar, whole + 512 - missing)
    run(raw, tmp_path / "out")
    rows = table_of(tmp_path / "out" / "lo2_rejects.parquet").to_pylist()
    assert [row["path"] for row in rows if "damaged tar: unexpected end of data" in row["detail"]] == [str(tar)]


def test_exceptions_are_counted_alike_in_merged_events(tmp_path: Path) -> None:
    """A stack trace is one event under merge and many under fill; what it throws is the same."""
    head = "12:34:56.{:03d} [XNIO-1 task-1]  abcdefghijklmnopqrst-_ ERROR com.networknt.made.Handler fail - no"
    trace = ["java.lang.RuntimeException: null", "\tat a.b.C.d(C.java:1)", "Caused by: a.b.SQLException: x", "\tat e"]
    lines = [head.format(1), *trace, head.format(2), head.format(3), *trace[:2]]
    path = tmp_path / "tree" / "light-oauth2-data-1719592986" / "correct" / "light-oauth2-oauth2-token-1.log"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    found = []
    for policy in ("fill", "merge"):
        run(tmp_path / "tree", tmp_path / policy, continuation_lines=policy)
        row = table_of(tmp_path / policy / "lo2_sequences_enhanced.parquet").to_pylist()[0]
        found.append((row["n_exception"], row["first_exception"]))
    assert found == [(3, "java.lang.RuntimeException")] * 2
