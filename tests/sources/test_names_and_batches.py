"""Names tell run, service and kind; batches lose no file and are cut by bytes."""

from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from lo2dask.domain import SERVICES
from lo2dask.options import LoadOptions
from lo2dask.schema import MANIFEST
from lo2dask.sources.manifest import batch_files, cut_batches, manifest_table
from lo2dask.sources.names import (
    DAY_MS,
    HOUR_MS,
    file_kind,
    is_run_name,
    log_service,
    named_day,
    run_clock,
    run_order,
)
from lo2dask.sources.select import Selection, draw_order, draw_without_duplicates
from lo2dask.sources.tree import SourceFile
from lo2dask.tables.parts import write_part

CASES = ["correct", *(f"error_{number}" for number in range(6))]


@given(epoch=st.integers(10**9, 10**10))
def test_a_run_lies_within_its_window(epoch: int) -> None:
    end, start = f"light-oauth2-data-{epoch}", f"LO2_run_{epoch}"
    assert is_run_name(end)
    assert is_run_name(start)
    assert run_clock(end).begin_ms == epoch * 1000 + HOUR_MS - DAY_MS
    assert run_clock(start).begin_ms == epoch * 1000 - HOUR_MS
    assert run_order(end)[0] == run_order(start)[0] == epoch


@pytest.mark.parametrize("name", ["run_0001", "run7", "run-12"])
def test_a_run_without_an_epoch_has_no_clock(name: str) -> None:
    assert is_run_name(name)
    assert run_clock(name).begin_ms is None


@given(name=st.text(max_size=40))
def test_any_name_has_a_kind_and_no_false_service(name: str) -> None:
    assert file_kind(name) in ("log", "metric", "trace", "fetch time", "locust log", "other log", "other file")
    assert (log_service(name) in SERVICES) == (file_kind(name) == "log")
    assert run_order(name)[1] == name


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("head", ["oauth2-", "light-oauth2-oauth2-", "oauth2-oauth2-"])
@pytest.mark.parametrize("tail", ["", "-1", "-23"])
def test_the_published_forms_of_a_log_name_its_service(service: str, head: str, tail: str) -> None:
    assert log_service(f"{head}{service}{tail}.log") == service


def source(number: int, size: int, case: str = "correct") -> SourceFile:
    return SourceFile(
        path=f"/tree/run_1/{case}/{number:04d}", member="", offset=0, size=size, mtime_ns=1, run="run_1",
        test_case=case, name=f"oauth2-token-{number}.log", kind="log", service="token", problem="",
        normal=case == "correct",
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.lists(st.integers(0, 1000), max_size=12), max_size=4), target=st.integers(1, 3000))
def test_batches_hold_every_file_once_in_order(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[list[int]], target: int
) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    selection = Selection.from_options(LoadOptions(root=Path("tree"), errors_per_run=0))
    wanted, parts, number = [], [], 0
    for place, part in enumerate(sizes):
        files = []
        for size in part:
            number += 1
            files.append(source(number, size, "correct" if number % 3 else "error_1"))
        wanted += [file for file in files if file.test_case == "correct"]
        parts.append(folder / f"part-{place:06d}.parquet")
        write_part(parts[-1], manifest_table(files, selection), MANIFEST)
    batches = list(cut_batches(parts, target))
    found = [file for batch in batches for file in batch_files(batch)]
    assert found == wanted
    assert [batch.index for batch in batches] == list(range(len(batches)))
    for batch in batches:
        files = batch_files(batch)
        assert (batch.files, batch.bytes) == (len(files), sum(file.size for file in files))
        assert batch.bytes <= target or batch.files == 1 or sum(file.size for file in files[:-1]) <= target


def test_the_size_of_a_reject_counts_for_nothing(tmp_path: Path) -> None:
    """A member of a tar may say that it is 1 TB: its bytes are not read, and need no room."""
    rejected = replace(source(2, 10**15), problem="damaged tar: a sparse member")
    files = [source(1, 10), rejected, source(3, 10)]
    selection = Selection.from_options(LoadOptions(root=Path("tree")))
    write_part(tmp_path / "part-000000.parquet", manifest_table(files, selection), MANIFEST)
    (batch,) = cut_batches([tmp_path / "part-000000.parquet"], 100)
    assert (batch.files, batch.bytes) == (3, 20)


def test_a_manifest_says_why_a_file_is_left_out() -> None:
    selection = Selection.from_options(LoadOptions(root=Path("tree"), service_types=("user",)))
    table = manifest_table([source(1, 5)], selection)
    assert table.schema == pa.schema(MANIFEST)
    assert table.select(["selected", "why"]).to_pylist() == [{"selected": False, "why": "service not chosen"}]


@given(seed=st.integers(0, 99), run=st.text(max_size=5), cases=st.permutations(CASES))
def test_a_draw_does_not_depend_on_the_order_of_listing(seed: int, run: str, cases: list[str]) -> None:
    assert draw_order(seed, run, cases) == draw_order(seed, run, CASES)
    drawn = Selection(SERVICES, "", 3, seed, {}).cases(run, cases)
    assert len(drawn) == 3
    assert list(drawn) == sorted(drawn)
    assert "correct" not in drawn


@given(seed=st.integers(0, 99), runs=st.integers(1, 5))
def test_without_duplicates_no_case_is_drawn_twice(seed: int, runs: int) -> None:
    selection = Selection(SERVICES, "", 2, seed, {})
    drawn = draw_without_duplicates(selection, {f"run_{run}": CASES for run in range(runs)})
    taken = [case for cases in drawn.values() for case in cases]
    assert len(taken) == len(set(taken)) == min(2 * runs, 6)


def test_one_date_in_a_name_is_a_day() -> None:
    names = ("2026-03-01", "run-20260301", "cart.2026-03-01T09.log", "2026-03-01 20260301")
    assert {named_day(name) for name in names} == {1_772_323_200_000}
    others = ("cart.log", "2026-03-01_2026-03-02", "2026-13-01", "20261301", "120260301", "LO2_run_2026030112")
    assert {named_day(name) for name in others} == {None}
