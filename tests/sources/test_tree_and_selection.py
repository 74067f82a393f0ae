"""What lies in a tree, and which of it is read."""

from pathlib import Path

import pytest

from lo2dask.errors import InputError
from lo2dask.options import LoadOptions
from lo2dask.sources import tree
from lo2dask.sources.manifest import batch_files, cut_batches, manifest_table
from lo2dask.sources.names import file_kind, log_service, run_clock, run_order
from lo2dask.sources.select import Selection, draw_order, draw_without_duplicates
from lo2dask.sources.tree import SourceFile, find_runs, scan_run
from lo2dask.tables.parts import write_part

CASES = [f"error_{number:02}" for number in range(12)]


def selection(tmp_path: Path, **changes: object) -> Selection:
    return Selection.from_options(LoadOptions(root=tmp_path, **changes))


def log(root: Path, run: str, case: str, name: str = "light-oauth2-oauth2-token-1.log", text: str = "x\n") -> Path:
    path = root / run / case / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("light-oauth2-oauth2-refresh-token-1.log", "refresh-token"), ("oauth2-oauth2-token.log", "token"),
        ("oauth2-token.log", "token"), ("light-oauth2-oauth2-service-1.log", "service"),
        ("oauth2-mysqldb-1.log", None), ("locust.log", None), ("light-oauth2-oauth2-token-1.log.gz", "token"),
        ("my-oauth2-token.log", None),
    ],
)  # fmt: skip
def test_services(name: str, service: str | None) -> None:
    assert log_service(name) == service


def test_kinds() -> None:
    names = ["light-oauth2-oauth2-key-1.log", "locust.log", "jaeger-container.log", "metric_x.json", "traces_x.csv"]
    kinds = ["log", "locust log", "other log", "metric", "trace", "fetch time", "other file"]
    assert [file_kind(name) for name in [*names, "last_fetch_time.txt", "notes.md"]] == kinds


def test_clocks() -> None:
    assert run_clock("light-oauth2-data-1719592986").begin_ms == (1719592986 + 3600 - 86400) * 1000
    assert run_clock("LO2_run_1719592986").begin_ms == (1719592986 - 3600) * 1000
    assert run_clock("run_0001").begin_ms is None


def test_runs_sort_by_age() -> None:
    names = ["light-oauth2-data-1719592990", "LO2_run_1719592986", "run_0002", "other"]
    assert sorted(names, key=run_order) == ["other", "run_0002", "LO2_run_1719592986", "light-oauth2-data-1719592990"]


def test_runs_and_what_lies_beside(tmp_path: Path) -> None:
    for name in ("run_10", "run_1", "light-oauth2-data-1719592986"):
        log(tmp_path, name, "correct")
    (tmp_path / "prerun results").mkdir()
    (tmp_path / "notes.txt").write_text("")
    runs, beside = find_runs(tmp_path)
    # In the order of their sequences' ids: "run_10__" stands before "run_1__".
    assert [run.name for run in runs] == ["light-oauth2-data-1719592986", "run_10", "run_1"]
    assert beside == ["notes.txt", "prerun results"]


def test_a_run_unpacked_beside_its_tar_is_read_once(tmp_path: Path) -> None:
    log(tmp_path, "light-oauth2-data-1719592986", "correct")
    (tmp_path / "light-oauth2-data-1719592986.tar").write_bytes(b"")
    runs, beside = find_runs(tmp_path)
    assert [run.is_tar for run in runs] == [False]
    assert beside == ["light-oauth2-data-1719592986.tar"]


def test_runs_of_any_name_are_known_by_their_shape(tmp_path: Path) -> None:
    log(tmp_path, "monday", "correct")
    log(tmp_path, "stray", "correct", "locust.log")
    assert [run.name for run in find_runs(tmp_path)[0]] == ["monday"]


@pytest.mark.parametrize(
    "kind", ["missing", "file", "empty", "no run", "a run", "zip next to", "tar itself", "not UTF-8"]
)
def test_roots_that_cannot_be_used(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "root"
    mend = {"missing": "no such folder; looked for", "file": "a file, not a folder", "empty": "is empty; looked for"}
    mend |= {
        "no run": "no run in it; looked for.*found notes",
        "a run": f"give the folder that holds it: --root {tmp_path}",
    }
    mend |= {"zip next to": "unpacked first: lo2dask extract", "tar itself": "unpack it first: lo2dask extract"}
    mend |= {"not UTF-8": r"/l\\xf6schen: not UTF-8 here: rename it, or set PYTHONUTF8=1"}
    if kind == "file":
        root.write_text("")
    elif kind == "not UTF-8":
        root = tmp_path / "l\udcf6schen"
    elif kind == "tar itself":
        root = tmp_path / "x.tar.gz"
        root.write_text("")
    elif kind != "missing":
        root.mkdir()
    if kind == "no run":
        (root / "notes").mkdir()
    if kind == "a run":
        log(tmp_path, "root", "correct")
    if kind == "zip next to":
        (root / "LO2.zip").write_text("")
    with pytest.raises(InputError, match=mend[kind]):
        find_runs(root)


def test_a_folder_that_cannot_be_listed_is_one_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log(tmp_path, "run_1", "correct")
    log(tmp_path, "run_1", "secret")
    real = tree.os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    (run,), _ = find_runs(tmp_path)
    monkeypatch.setattr(tree.os, "scandir", scandir)
    files = {(file.test_case, file.kind): file for file in scan_run(run, False)}
    assert files[("secret", "folder")].problem == "cannot be listed: Permission denied"
    assert ("correct", "log") in files


def test_odd_files_carry_their_problem(tmp_path: Path) -> None:
    log(tmp_path, "run_1", "correct")
    case = tmp_path / "run_1" / "correct"
    (case / "oauth2-oauth2-user.log").mkdir()
    (case / "oauth2-oauth2-key.log").symlink_to(case)
    (case / "oauth2-oauth2-code.log").symlink_to("nowhere")
    (run,), _ = find_runs(tmp_path)
    problems = {file.service: file.problem for file in scan_run(run, False)}
    assert problems == {
        "token": "", "user": "a folder, not a file", "key": "link to a folder",
        "code": "cannot be read: No such file or directory",
    }  # fmt: skip


def test_draws_do_not_depend_on_other_runs_or_on_order(tmp_path: Path) -> None:
    chosen = selection(tmp_path, errors_per_run=3)
    drawn = {f"run_{number}": chosen.cases(f"run_{number}", ["correct", *CASES]) for number in range(20)}
    assert drawn["run_7"] == chosen.cases("run_7", [*reversed(CASES), "correct"])
    assert all(len(cases) == 3 and list(cases) == sorted(cases) for cases in drawn.values())
    assert len(set(drawn.values())) > 15
    assert drawn["run_7"] != selection(tmp_path, errors_per_run=3, sample_seed=1).cases("run_7", CASES)
    # More cases drawn are the same ones and others.
    assert set(drawn["run_7"]) < set(selection(tmp_path, errors_per_run=5).cases("run_7", CASES))


def test_a_draw_keeps_when_a_case_goes_missing(tmp_path: Path) -> None:
    chosen = selection(tmp_path, errors_per_run=3)
    drawn = chosen.cases("run_1", CASES)
    left = [case for case in CASES if case in drawn or case > "error_05"]
    assert chosen.cases("run_1", left) == drawn


def test_no_duplicates(tmp_path: Path) -> None:
    runs = {f"run_{number}": CASES for number in range(5)}
    chosen = selection(tmp_path, errors_per_run=3, allow_duplicates=False)
    assert chosen.needs_all_runs(LoadOptions(root=tmp_path, errors_per_run=3, allow_duplicates=False))
    assert not chosen.needs_all_runs(LoadOptions(root=tmp_path, errors_per_run=3))
    drawn = draw_without_duplicates(chosen, runs)
    taken = [case for cases in drawn.values() for case in cases]
    assert len(taken) == len(set(taken)) == 12  # all there are; the last run finds none
    assert drawn["run_4"] == ()
    assert drawn == draw_without_duplicates(chosen, dict(reversed(runs.items())))


def test_single_error_types(tmp_path: Path) -> None:
    assert selection(tmp_path, single_error_type="error_03").cases("r", CASES) == ("error_03",)
    assert selection(tmp_path, single_error_type="error_99").cases("r", CASES) == ()
    one = selection(tmp_path, single_error_type="random").cases("r", CASES)
    assert one == tuple(draw_order(42, "r", CASES)[:1])
    assert selection(tmp_path, errors_per_run=0).cases("r", CASES) == ()
    assert selection(tmp_path).cases("r", ["correct", *CASES]) == tuple(CASES)


def test_services_chosen(tmp_path: Path) -> None:
    assert selection(tmp_path, service_types=("token", "code")).services == ("token", "code")
    assert selection(tmp_path, single_service="key").services == ("key",)
    with pytest.raises(InputError, match="unknown service 'tokens'; known are client, code"):
        selection(tmp_path, service_types=("tokens",))


def source(number: int, size: int, kind: str = "log", case: str = "correct") -> SourceFile:
    return SourceFile(
        f"/raw/{number}", "", 0, size, number, "run_1", case, f"{number}.log", kind, "token", normal=case == "correct"
    )


def test_manifest_says_why_not(tmp_path: Path) -> None:
    files = [source(1, 1), source(2, 1, "locust log"), source(3, 1, case="error_01"), source(4, 1, case="")]
    files += [source(5, 1, "metric"), source(6, 1, "metric", "error_01")]
    table = manifest_table(files, selection(tmp_path, errors_per_run=0))
    assert table["selected"].to_pylist() == [True] + [False] * 5
    assert table["why"].to_pylist() == [
        "", "ignored: locust log", "test case not chosen", "ignored: log outside a test case", "ignored: metric",
        "ignored: metric",
    ]  # fmt: skip
    with_metrics = manifest_table(files, selection(tmp_path, errors_per_run=0, load_metrics=True))
    assert with_metrics["why"].to_pylist()[-2:] == ["read as metric", "test case not chosen"]


@pytest.mark.parametrize("target", [1, 25, 60, 10_000])
def test_batches_are_whole_files_in_order(tmp_path: Path, target: int) -> None:
    sizes = [10, 20, 5, 70, 0, 15, 15, 40]
    rows = [source(number, size, "log" if number % 5 else "other") for number, size in enumerate(sizes)]
    paths = []
    for place, part in enumerate((rows[:3], rows[3:3], rows[3:])):
        paths.append(tmp_path / f"part-{place}.parquet")
        table = manifest_table(part, selection(tmp_path))
        write_part(paths[-1], table, table.schema)
    batches = list(cut_batches(paths, target))
    assert [batch.index for batch in batches] == list(range(len(batches)))
    read = [batch_files(batch) for batch in batches]
    assert [file for files in read for file in files] == [row for row in rows if row.kind == "log"]
    for batch, files in zip(batches, read, strict=True):
        assert (batch.files, batch.bytes) == (len(files), sum(file.size for file in files))
        assert batch.files == 1 or batch.bytes <= target
    for batch, after in zip(read, read[1:], strict=False):
        assert sum(file.size for file in batch) + after[0].size > target
