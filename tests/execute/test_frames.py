"""Dataframe steps: one partition a part, results in the parts' order, serially as on a cluster."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from lo2dask.errors import IntegrityError
from lo2dask.execute import session as sessions
from lo2dask.execute.frames import FrameStep, to_frame, to_table
from lo2dask.execute.session import Session
from lo2dask.options import CommonOptions

BAG = pa.list_(pa.struct([("token", pa.dictionary(pa.int32(), pa.string())), ("count", pa.int32())]))
ROWS = pa.schema([pa.field("n", pa.int64()), pa.field("text", pa.string()), pa.field("numbers", pa.list_(pa.int32()))])
DOUBLED = pa.schema([*ROWS, pa.field("doubled", pa.int64())])
SUMMARY = pa.schema([pa.field("part", pa.string()), pa.field("rows", pa.int64()), pa.field("total", pa.int64())])


def read(name: str, folder: Path) -> pd.DataFrame:
    return to_frame(pq.ParquetFile(folder / name).read())


def double(frame: pd.DataFrame) -> pd.DataFrame:
    table = to_table(frame)
    assert table.schema.equals(ROWS), "steps see the schema of the step before, and no other"
    return to_frame(table.append_column("doubled", pa.array([2 * n for n in table["n"].to_pylist()], pa.int64())))


def sum_up(frame: pd.DataFrame, name: str, refused: str = "") -> pd.DataFrame:
    if name == refused:
        raise IntegrityError(f"{name}: not the rows that were loaded")
    table = to_table(frame)
    row = {"part": name, "rows": table.num_rows, "total": sum(table["doubled"].to_pylist())}
    return to_frame(pa.Table.from_pylist([row], schema=SUMMARY))


def write_parts(folder: Path, sizes: list[int]) -> list[str]:
    """Write parts of so many rows; return their names."""
    folder.mkdir(exist_ok=True)
    names = [f"part-{number:06d}.parquet" for number in range(len(sizes))]
    for number, (name, size) in enumerate(zip(names, sizes, strict=True)):
        rows = [[100 * number + row for row in range(size)], ["ä"] * size, [[row] * (row % 3) for row in range(size)]]
        pq.write_table(pa.table(rows, schema=ROWS), folder / name)
    return names


def steps(folder: Path, refused: str = "") -> tuple[FrameStep, list[FrameStep]]:
    last = FrameStep(partial(sum_up, refused=refused), SUMMARY)
    return FrameStep(partial(read, folder=folder), ROWS), [FrameStep(double, DOUBLED), last]


def wanted(sizes: list[int]) -> list[dict[str, Any]]:
    return [
        {"part": f"part-{n:06d}.parquet", "rows": size, "total": sum(2 * (100 * n + row) for row in range(size))}
        for n, size in enumerate(sizes)
    ]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Session]:
    with Session(CommonOptions(workers=2, memory_limit="1GB")) as session:
        yield session


@pytest.fixture(params=["serial", "cluster"])
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    """Return a serial session, or the cluster's; its listeners go with the test."""
    one = Session.serial() if request.param == "serial" else request.getfixturevalue("cluster")
    one.listeners.clear()
    yield one
    one.listeners.clear()


def rows_of(tables: list[pa.Table]) -> list[dict[str, Any]]:
    assert all(table.schema.equals(SUMMARY) for table in tables)
    return [row for table in tables for row in table.to_pylist()]


@pytest.mark.parametrize("sizes", [[], [3], [0], [2, 0, 5, 1], [0, 0, 7]])
def test_one_table_a_part_in_the_order_of_the_parts(session: Session, tmp_path: Path, sizes: list[int]) -> None:
    names = write_parts(tmp_path / "t", sizes)
    seen: list[tuple] = []
    session.listeners.append(lambda *news: seen.append(news) if news[0] == "sums" else None)
    found = session.frames(*steps(tmp_path / "t"), names, "sums")
    assert rows_of(found) == wanted(sizes)
    assert [(label, done, total) for label, done, total, _ in seen] == [
        ("sums", number, len(sizes)) for number in range(len(sizes) + 1 if sizes else 0)
    ]
    assert sorted(rows_of([result for *_, result in seen[1:]]), key=lambda row: row["part"]) == wanted(sizes)


@pytest.mark.parametrize("per_worker", [1, 2, 50])
def test_windows_change_nothing(
    session: Session, tmp_path: Path, per_worker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [number % 4 for number in range(9)]
    names = write_parts(tmp_path / "t", sizes)
    monkeypatch.setattr(sessions, "WINDOW_PER_WORKER", per_worker)
    graphs: list[int] = []
    run = sessions.run_frames
    monkeypatch.setattr(sessions, "run_frames", lambda *given: graphs.append(len(given[-1])) or run(*given))
    assert rows_of(session.frames(*steps(tmp_path / "t"), names, "sums")) == wanted(sizes)
    if not session.is_serial:
        assert sum(graphs) == len(sizes)
        assert max(graphs) == min(len(sizes), per_worker * session.workers())


def test_parts_in_another_order_keep_it(session: Session, tmp_path: Path) -> None:
    names = write_parts(tmp_path / "t", [1, 2, 3])
    found = rows_of(session.frames(*steps(tmp_path / "t"), names[::-1], "sums"))
    assert [row["rows"] for row in found] == [3, 2, 1]
    assert [row["part"] for row in found] == names[::-1]


def test_an_error_in_a_step_names_its_part_and_the_others_are_done(session: Session, tmp_path: Path) -> None:
    names = write_parts(tmp_path / "t", [1, 2, 3])
    with pytest.raises(IntegrityError, match="part-000001.parquet: not the rows that were loaded"):
        session.frames(*steps(tmp_path / "t", refused=names[1]), names, "sums")
    assert rows_of(session.frames(*steps(tmp_path / "t"), names, "sums")) == wanted([1, 2, 3])


def test_a_part_that_is_missing_is_named(session: Session, tmp_path: Path) -> None:
    names = write_parts(tmp_path / "t", [1, 2])
    os.unlink(tmp_path / "t" / names[1])
    with pytest.raises(FileNotFoundError, match=names[1]):
        session.frames(*steps(tmp_path / "t"), names, "sums")


def test_work_is_done_in_the_workers_and_a_serial_session_starts_none(cluster: Session, tmp_path: Path) -> None:
    names = write_parts(tmp_path / "t", [1] * 4)
    here = Session.serial()
    assert rows_of(here.frames(*steps(tmp_path / "t"), names, "sums")) == wanted([1] * 4)
    assert (here.workers(), here.is_serial, here._client) == (1, True, None)
    assert (cluster.workers(), cluster.is_serial) == (2, False)
    processes = set(cluster.map(process, range(20), "processes"))
    assert os.getpid() not in processes
    assert 1 <= len(processes) <= 2
    assert set(here.map(process, range(3), "processes")) == {os.getpid()}


def process(_: int) -> int:
    return os.getpid()


def add(*numbers: int, by: int = 0) -> int:
    return sum(numbers) + by


@pytest.mark.parametrize("count", [0, 1, 7, 90])
def test_records_come_back_in_order(session: Session, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also more records than a window holds."""
    monkeypatch.setattr(sessions, "WINDOW_PER_WORKER", 3)
    done: list[int] = []
    session.listeners.append(lambda label, *news: done.append(news[0]) if label == "add" else None)
    assert session.map(add, range(count), "add", by=3) == [number + 3 for number in range(count)]
    assert done == (list(range(count + 1)) if count else [])
    assert session.map(len, [("a", 1, 2), [min], {"a": add}], "len") == [3, 1, 1]
    assert session.call(add, 1, 2, 3) == 6


cells = st.fixed_dictionaries(
    {
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "text": st.none() | st.text(max_size=5),
        "code": st.none() | st.sampled_from(["a", "ä", ""]),
        "bag": st.none()
        | st.lists(st.fixed_dictionaries({"token": st.sampled_from("ab"), "count": st.integers(0, 9)})),
        "flag": st.none() | st.booleans(),
        "time": st.none() | st.integers(0, 10**15),
    }
)


@given(st.lists(cells, max_size=6))
def test_a_table_comes_back_from_a_frame(rows: list[dict]) -> None:
    """All types of the tables, nulls too; nothing becomes a Python object on the way."""
    types = {
        "n": pa.int64(), "text": pa.string(), "code": pa.dictionary(pa.int32(), pa.string()), "bag": BAG,
        "flag": pa.bool_(), "time": pa.timestamp("us", "UTC"),
    }  # fmt: skip
    table = pa.table({name: pa.array([row[name] for row in rows]).cast(of) if name == "code" and rows else
                      pa.array([row[name] for row in rows], of) for name, of in types.items()})  # fmt: skip
    frame = to_frame(table)
    assert all(isinstance(of, pd.ArrowDtype) for of in frame.dtypes)
    assert to_table(frame).equals(table)
