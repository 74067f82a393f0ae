"""Trees of other layouts than LO2's, from the raw files to the enhanced tables."""

import bz2
import gzip
import lzma
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from lo2dask.commands.load import LoadSummary, load
from lo2dask.commands.show import _files
from lo2dask.commands.train import train
from lo2dask.commands.verify import verify
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.options import LoadOptions, TrainOptions, VerifyOptions
from lo2dask.parse.line_ranges import read_line_ranges
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import read_parts
from tests.trees import load_tree, make_tree, table_of


def lines(service: str, first: int, last: int) -> bytes:
    """Lines of LO2's form, four a second from 21:25:00 on, with numbers from ``first`` to ``last`` (exclusive)."""
    times = (f"21:{25 + n // 240}:{n // 4 % 60:02}.{n % 4 * 250:03}" for n in range(first, last))
    rows = (f"{time} [main]  c{n % 5} DEBUG a.{service}.B go - order {n}\n" for n, time in enumerate(times, first))
    return "".join(rows).encode()


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def load_all(raw: Path, out: Path, **changes: object) -> LoadSummary:
    options = {"enhance": True, "save_events": True, "trim_init_lines": False} | changes
    return load(LoadOptions(root=raw, output_dir=out, **options), Session.serial())


def sequences(out: Path) -> dict[tuple[str, str, str], tuple[int, bool | None]]:
    rows = table_of(out / "lo2_sequences_enhanced.parquet").to_pylist()
    assert len({row["seq_id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["anomaly"] is (None if row["normal"] is None else not row["normal"])
    return {(row["run"], row["test_case"], row["service"]): (row["seq_len"], row["normal"]) for row in rows}


def rejects(out: Path) -> list[dict[str, str]]:
    return table_of(out / "lo2_rejects.parquet").to_pylist()


def make_shop(raw: Path) -> Path:
    for run in ("monday", "tuesday"):
        write(raw / run / "frontend.log", lines("frontend", 0, 30))
        write(raw / run / "cart.log", lines("cart", 20, 30))
        write(raw / run / "cart.log.1", lines("cart", 10, 20))
        write(raw / run / "cart.log.2.gz", gzip.compress(lines("cart", 0, 10)))
        write(raw / run / "payments-2.log.xz", lzma.compress(lines("payments", 0, 8)))
        write(raw / run / "logo.png", b"\x89PNG")
        write(raw / run / "core.dump", bytes(range(32)) * 9)
    return raw


def test_a_shop_is_read_without_an_option_and_nothing_is_labelled(tmp_path: Path, caplog) -> None:
    with caplog.at_level("INFO", logger="lo2dask"):
        summary = load_all(make_shop(tmp_path / "raw"), tmp_path / "out")
    first = caplog.records[0].getMessage()
    assert first.startswith("layout: {run}/**/{service}; services: cart")
    assert "nothing is labelled: no folder is like --normal correct" in first
    sizes = {"cart": 30, "frontend": 30, "payments": 8}
    assert sequences(tmp_path / "out") == {
        (run, "unlabelled", service): (size, None) for run in ("monday", "tuesday") for service, size in sizes.items()
    }
    assert summary.ignored == {"ignored: image": 2, "ignored: binary file": 2}
    assert rejects(tmp_path / "out") == []
    events = table_of(tmp_path / "out" / "lo2_events.parquet").to_pylist()
    cart = [row for row in events if row["service"] == "cart" and row["run"] == "monday"]
    assert [row["line_no"] for row in cart] == list(range(1, 31))
    assert [row["m_message"].split()[-1] for row in cart] == [str(n) for n in range(30)]


def test_lines_of_a_rotated_log_are_found_again_by_their_numbers(tmp_path: Path) -> None:
    load_all(make_shop(tmp_path / "raw"), tmp_path / "out")
    files = _files(Layout(tmp_path / "out"), ("monday", "unlabelled"), guarded=False)
    for name, before in (("cart.log.2.gz", 0), ("cart.log.1", 10), ("cart.log", 20)):
        lines = read_line_ranges(files[str(tmp_path / "raw" / "monday" / name)], [(9, 10), (1, 1)])
        found = {number: int(text.split()[-1]) for number, text in lines}
        assert found == {1: before, 9: before + 8, 10: before + 9}


@pytest.mark.parametrize("change", [{"normal": ("mon*",)}, {"labels": "run,label\nmonday,normal\ntuesday,pay\nx,y\n"}])
def test_runs_are_labelled_by_name_or_file(tmp_path: Path, change: dict, caplog) -> None:
    if "labels" in change:
        change = {"labels": write(tmp_path / "raw" / "labels.csv", change["labels"].encode())}
    load_all(make_shop(tmp_path / "raw"), tmp_path / "out", **change)
    assert {run: normal for (run, _, _), (_, normal) in sequences(tmp_path / "out").items()} == {
        "monday": True, "tuesday": False,
    }  # fmt: skip
    assert ("1 of its runs not in the tree: x" in caplog.text) is ("labels" in change)
    assert "no label is normal" not in caplog.text


def test_a_zone_of_labels_that_is_none(tmp_path: Path) -> None:
    labels = write(tmp_path / "labels.csv", b"run,label\nmonday,normal\n")
    with pytest.raises(InputError, match="--timezone Nope/Zone"):
        load_all(make_shop(tmp_path / "raw"), tmp_path / "out", labels=labels, timezone="Nope/Zone")


def test_labels_of_which_none_is_normal_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = write(tmp_path / "labels.csv", b"run,label\nmonday,0\ntuesday,1\n")
    load_all(make_shop(tmp_path / "raw"), tmp_path / "out", labels=labels)
    assert "no label is normal; any other word is taken as an anomaly" in caplog.text


def test_logs_are_labelled_by_the_time_of_a_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for run, day in (("mon", 2), ("tue", 3)):
        for service, hour in (("cart", 9), ("user", 10)):
            rows = (f"2026-03-0{day} {hour:02}:00:{n:02},000 INFO [w] a.B - order {n}\n" for n in range(30))
            write(tmp_path / "raw" / run / f"{service}.log", "".join(rows).encode())
    table = "run,start,end,label\nmon,2026-03-02T09:00:20Z,2026-03-02T09:30Z,timeout\ntue,2026-03-01,2026-03-02,disk\n"
    labels = write(tmp_path / "labels.csv", table.encode())
    load_all(tmp_path / "raw", tmp_path / "out", labels=labels)
    expected = {("mon", "cart"): False, ("mon", "user"): True, ("tue", "cart"): True, ("tue", "user"): True}
    found = sequences(tmp_path / "out")
    assert {(run, service): normal for (run, _, service), (_, normal) in found.items()} == expected
    events = table_of(tmp_path / "out" / "lo2_events.parquet").to_pylist()
    assert {((row["run"], row["service"]), row["normal"]) for row in events} == set(expected.items())
    assert verify(VerifyOptions(output_dir=tmp_path / "out"), Session.serial()).problems == ()
    assert load_all(tmp_path / "raw", tmp_path / "out", labels=labels).skipped == 1
    assert "1 of 2 times meet no event of their logs, the first in line 3" in caplog.text
    labels.write_text(table.replace("09:00:20Z", "09:00:30Z"))
    assert load_all(tmp_path / "raw", tmp_path / "out", labels=labels).skipped == 0
    assert {normal for _, normal in sequences(tmp_path / "out").values()} == {True}
    caplog.clear()
    labels.write_text("run,start,end,label\nmon,2026-03-02,2026-03-02,timeout\ntue,2026-03-03,,disk\n")
    load_all(tmp_path / "raw", tmp_path / "out", labels=labels)
    assert {normal for _, normal in sequences(tmp_path / "out").values()} == {False}
    assert "meet no event" not in caplog.text


def test_enhancement_of_raw_logs_has_the_labels_by_time(tmp_path: Path) -> None:
    # More lines than are trimmed of LO2's logs, and of no others.
    rows = "".join(f"2026-03-02 09:{n // 60:02}:{n % 60:02},000 INFO [w] a.B - order {n}\n" for n in range(150))
    write(tmp_path / "raw" / "mon" / "cart.log", rows.encode())
    labels = write(tmp_path / "labels.csv", b"run,end,label\nmon,2026-03-02T09:30Z,normal\n")
    load_all(tmp_path / "raw", tmp_path / "once", labels=labels, trim_init_lines=None)
    changes = {"enhance": False, "save_events": False, "trim_init_lines": None}
    load_all(tmp_path / "raw", tmp_path / "twice", labels=labels, **changes)
    train(TrainOptions(root=tmp_path / "twice", phase="enhancers"), Session.serial())
    for table in ("enhanced", "window_counts"):
        one, other = (table_of(getattr(Layout(tmp_path / name), table)) for name in ("once", "twice"))
        assert one.num_rows
        assert one.equals(other)


def test_a_folder_called_all_is_not_the_run_of_loose_files(tmp_path: Path, caplog) -> None:
    write(tmp_path / "raw" / "all" / "cart.log", lines("cart", 0, 5))
    write(tmp_path / "raw" / "cart.log", lines("cart", 0, 7))
    load_all(tmp_path / "raw", tmp_path / "out")
    found = sequences(tmp_path / "out")
    assert {run: size for (run, _, _), (size, _) in found.items()} == {"all": 5, "all_": 7}
    assert "itself are the run 'all_': a folder there is called 'all'" in caplog.text


def test_two_levels_of_folders_are_runs_and_test_cases(tmp_path: Path, caplog) -> None:
    for case in ("correct_1", "pay_fails", "correct_old", "baseline"):
        write(tmp_path / "raw" / "r1" / case / "deep" / "cart.log.bz2", bz2.compress(lines("cart", 0, 5)))
    write(tmp_path / "raw" / "r1" / "user.log", lines("user", 0, 5))
    write(tmp_path / "raw" / "gateway.log", lines("gateway", 0, 5))
    load_all(tmp_path / "raw", tmp_path / "out")
    assert sequences(tmp_path / "out") == {
        ("r1", "correct_1", "cart"): (5, True), ("r1", "pay_fails", "cart"): (5, False),
        ("r1", "baseline", "cart"): (5, False), ("r1", "unlabelled", "user"): (5, None),
        ("all", "unlabelled", "gateway"): (5, None),
    }  # fmt: skip
    assert [row["reason"] for row in rejects(tmp_path / "out")] == ["label"]
    assert "'baseline' is not taken as normal; if it is, add it to --normal" in caplog.text
    load_all(tmp_path / "raw", tmp_path / "more", normal=("correct*", "baseline"))
    labels = {case: normal for (_, case, _), (_, normal) in sequences(tmp_path / "more").items()}
    assert labels == {
        "correct_1": True, "correct_old": True, "baseline": True, "pay_fails": False, "unlabelled": None,
    }  # fmt: skip


def test_containers_of_pods_are_services(tmp_path: Path) -> None:
    pod = tmp_path / "raw" / "shop_cart-7d9_1f2e"
    write(pod / "cart" / "0.log", lines("cart", 5, 9))
    write(pod / "cart" / "0.log.20260102-030405.gz", gzip.compress(lines("cart", 0, 5)))
    write(pod / "proxy" / "0.log", lines("proxy", 0, 3))
    load_all(tmp_path / "raw", tmp_path / "out")
    assert sequences(tmp_path / "out") == {
        (pod.name, "unlabelled", "cart"): (9, None), (pod.name, "unlabelled", "proxy"): (3, None),
    }  # fmt: skip


def test_a_flat_folder_is_read_by_a_pattern(tmp_path: Path) -> None:
    for service in ("cart", "order-service"):
        for run in ("a", "b"):
            write(tmp_path / "raw" / "logs" / f"{service}-{run}.log", lines(service, 0, 4))
    write(tmp_path / "raw" / "logs" / "notes.txt", b"nothing\n")
    change = {"layout": "logs/{service}-{run}.log"}
    summary = load_all(tmp_path / "raw", tmp_path / "out", **change)
    wanted = {(run, "unlabelled", service) for run in ("a", "b") for service in ("cart", "order-service")}
    assert sequences(tmp_path / "out").keys() == wanted
    assert summary.files == 4
    load_all(tmp_path / "raw", tmp_path / "one", **change, runs_matching=("b*",), service_types=("order-service",))
    assert sequences(tmp_path / "one").keys() == {("b", "unlabelled", "order-service")}
    for wrong, said in (
        ({"service_types": ("card",)}, "unknown service 'card'; known are cart, order-service"),
        ({"runs_matching": ("c",)}, "no run is like it; there are a, b"),
        ({"layout": "{run}/{service}.txt.log"}, "no file is as --layout .* says; there is logs/cart-a.log"),
    ):
        with pytest.raises(InputError, match=said):
            load_all(tmp_path / "raw", tmp_path / "no", **(change | wrong))


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("{service}.{run}.log", "{}.{}.log"), ("{service}-{run}.log", "{}-{}.log"),
        ("{service}/{service}-{run}.log", "{0}/{0}-{1}.log.gz"),
    ],
)  # fmt: skip
def test_a_day_may_be_a_run(tmp_path: Path, layout: str, name: str) -> None:
    wanted = {(day, "unlabelled", name) for day in ("2026-03-01", "2026-03-02") for name in ("cart", "order-service")}
    for day, _, service in wanted:
        text = lines(service, 0, 4)
        packed = gzip.compress(text) if name.endswith(".gz") else text
        write(tmp_path / "raw" / name.format(service, day), packed)
    load_all(tmp_path / "raw", tmp_path / "out", layout=layout)
    assert sequences(tmp_path / "out").keys() == wanted


def test_files_and_test_cases_are_chosen_by_globs_in_either_layout(tmp_path: Path, tiny_tree: Path) -> None:
    load_all(make_shop(tmp_path / "raw"), tmp_path / "out", include=("*.log*",), exclude=("monday/*", "cart*"))
    assert {(run, service) for run, _, service in sequences(tmp_path / "out")} == {
        ("tuesday", "frontend"), ("tuesday", "payments"),
    }  # fmt: skip
    summary = load_all(tiny_tree, tmp_path / "lo2", include=("*token*",), exclude_test_cases=("correct",), runs=1)
    found = sequences(tmp_path / "lo2")
    assert {service for _, _, service in found} == {"token", "refresh-token"}
    assert "correct" not in {case for _, case, _ in found}
    assert summary.ignored["excluded"] > 0
    load_all(tiny_tree, tmp_path / "correct", test_cases=("corr*",), runs=1)
    assert {case for _, case, _ in sequences(tmp_path / "correct")} == {"correct"}
    with pytest.raises(InputError, match="--test-cases: no test case is like 'none'; .* has .*correct"):
        load_all(tiny_tree, tmp_path / "no", test_cases=("none",), runs=1)


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress),
        ("zst", lambda data: pa.compress(data, "zstd", asbytes=True)),
    ],
)  # fmt: skip
def test_compressed_logs_of_lo2_give_the_tables_of_plain_ones(tmp_path: Path, name: str, pack: Callable) -> None:
    log = "light-oauth2-oauth2-token-1.log"
    plain, packed = tmp_path / "plain" / "LO2_run_1740000000", tmp_path / "packed" / "LO2_run_1740000000"
    content = lines("token", 0, 400)
    write(plain / "correct" / log, content)
    write(packed / "correct" / f"{log}.{name}", pack(content[30_000:]))
    write(packed / "correct" / f"{log}.1", content[:30_000])
    content = content[:30_000] + (b"" if content[:30_000].endswith(b"\n") else b"\n") + content[30_000:]
    write(plain / "correct" / log, content)
    for folder in ("plain", "packed"):
        load_all(tmp_path / folder, tmp_path / f"{folder}-out", trim_init_lines=True)
    for table in ("lo2_events", "lo2_sequences_enhanced", "lo2_templates", "lo2_vocabulary"):
        one, other = (table_of(tmp_path / f"{folder}-out" / f"{table}.parquet") for folder in ("plain", "packed"))
        assert one.equals(other), table


def test_a_truncated_stream_and_a_second_copy_are_rejects(tmp_path: Path) -> None:
    packed = gzip.compress(lines("cart", 0, 2000))
    write(tmp_path / "raw" / "r" / "cart.log.gz", packed[: len(packed) // 2])
    write(tmp_path / "raw" / "r" / "user.log", lines("user", 0, 5))
    write(tmp_path / "raw" / "r" / "user.log.gz", gzip.compress(lines("user", 0, 5)))
    load_all(tmp_path / "raw", tmp_path / "out")
    found = sequences(tmp_path / "out")
    assert 500 < found["r", "unlabelled", "cart"][0] < 2000
    assert found["r", "unlabelled", "user"][0] == 5
    details = {row["reason"]: row["detail"] for row in rejects(tmp_path / "out")}
    assert details.keys() == {"truncated", "superseded"}
    assert "the stream ends early after" in details["truncated"]


def test_the_size_of_partitions_and_chunks_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = make_shop(tmp_path / "raw")
    write(raw / "monday" / "big.log.gz", gzip.compress(lines("big", 0, 3000)))
    load_all(raw, tmp_path / "64", trim_init_lines=True)
    monkeypatch.setattr("lo2dask.parse.chunks.CHUNK_BYTES", 5_000)
    load_all(raw, tmp_path / "1", trim_init_lines=True, partition_size="1MB")
    for table in ("lo2_events", "lo2_sequences_enhanced", "lo2_templates", "lo2_vocabulary", "lo2_statements"):
        one, other = (table_of(tmp_path / size / f"{table}.parquet") for size in ("64", "1"))
        assert one.equals(other), table


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x/logo.png", b"\x89PNG", "no text file in it, which a log is; there are 1 image, such as x/logo.png"),
        ("x/shop.tar", b"", "there are 1 archive, such as x/shop.tar; unpack archives of logs"),
        ("x/data.log", bytes(range(32)) * 9, r"no log is chosen.*x/data.log \(no text\)"),
    ],
)
def test_a_tree_without_text_is_refused_with_an_example(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    write(tmp_path / "raw" / name, content)
    with pytest.raises(InputError, match=said):
        load_all(tmp_path / "raw", tmp_path / "out")


@pytest.mark.parametrize("name", ["run_1", "shop"])
def test_archives_of_own_logs_are_to_be_unpacked(tmp_path: Path, name: str) -> None:
    write(tmp_path / "made" / "cart.log", b"<1> own\n")
    (tmp_path / "raw").mkdir()
    with tarfile.open(tmp_path / "raw" / f"{name}.tar", "w") as archive:
        archive.add(tmp_path / "made", name)
    with pytest.raises(InputError, match=r"\(tars: lo2dask extract\)"):
        load_all(tmp_path / "raw", tmp_path / "out")


def test_another_label_loads_again(tmp_path: Path) -> None:
    raw = make_shop(tmp_path / "raw")
    labels = write(tmp_path / "labels.csv", b"run,label\nmonday,normal\n")
    load_all(raw, tmp_path / "out", labels=labels)
    labels.write_bytes(b"run,label\nmonday,slow\n")
    load_all(raw, tmp_path / "out", labels=labels)
    assert {run: normal for (run, _, _), (_, normal) in sequences(tmp_path / "out").items()} == {
        "monday": False, "tuesday": None,
    }  # fmt: skip


def test_labels_and_patterns_of_normal_exclude_each_other(tmp_path: Path) -> None:
    labels = write(tmp_path / "labels.csv", b"run,label\nmonday,normal\n")
    with pytest.raises(InputError, match="--labels and --normal exclude each other"):
        load_all(make_shop(tmp_path / "raw"), tmp_path / "out", labels=labels, normal=("ok",))


def test_logs_are_found_again_from_another_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tmp_path / "raw")
    monkeypatch.chdir(tmp_path)
    out = load_tree(Path("raw"), Path("out")).absolute()
    paths = [path for part in read_parts(Layout(out).manifest, ["path"]) for path in part["path"].to_pylist()]
    assert paths
    assert all(path.startswith(f"{tmp_path}/raw/") for path in paths)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = load(LoadOptions(root=Path("..") / "raw", output_dir=out), Session.serial())
    assert again.skipped == again.batches


@pytest.mark.parametrize("normal", [("nothing",), ("correct_9*", "base")])
def test_globs_of_normal_ones_that_nothing_is_like_are_refused(tmp_path: Path, normal: tuple[str, ...]) -> None:
    write(tmp_path / "raw" / "r1" / "pay_fails" / "cart.log", lines("cart", 0, 5))
    write(tmp_path / "raw" / "r1" / "steady" / "cart.log", lines("cart", 0, 5))
    given = f"--normal {' '.join(normal)}: no test case is like it; there are pay_fails, steady"
    with pytest.raises(InputError, match=re.escape(given)):
        load_all(tmp_path / "raw", tmp_path / "out", normal=normal, layout="{run}/{test_case}/{service}.log")
    load_all(tmp_path / "raw", tmp_path / "out", normal=("st*",), layout="{run}/{test_case}/{service}.log")


def test_runs_are_named_where_they_are_what_may_be_normal(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path / "raw" / f"r{number:02d}" / "cart.log", lines("cart", 0, 5))
    with pytest.raises(InputError, match="--normal x: no run is like it; there are r00, .*, r09 and 2 more"):
        load_all(tmp_path / "raw", tmp_path / "out", normal=("x",))


@pytest.mark.parametrize("name", ["report.md", "report.html"])
def test_a_report_that_is_not_of_lo2dask_is_not_replaced(tmp_path: Path, name: str) -> None:
    write(tmp_path / "raw" / "r1" / "cart.log", lines("cart", 0, 5))
    write(tmp_path / "out" / name, b"mine")
    with pytest.raises(InputError, match=f"{name} is not of lo2dask"):
        load_all(tmp_path / "raw", tmp_path / "out")
    assert (tmp_path / "out" / name).read_bytes() == b"mine"
