"""Groups of consecutive parts: what they hold, and that what is read as one is written part by part."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lo2dask.tables import groups
from lo2dask.tables.groups import Group, group_parts
from lo2dask.tables.parts import read_part, write_part

SCHEMA = pa.schema([("run", pa.string()), ("number", pa.int64())])
ROWS = (3, 0, 2, 9, 1, 4)


def made(folder: Path) -> list[str]:
    """Write parts of some rows, whose runs differ by part; return their names."""
    names = [f"part-{at:06d}.parquet" for at in range(len(ROWS))]
    for at, (name, rows) in enumerate(zip(names, ROWS, strict=True)):
        table = pa.table({"run": [f"run-{at}"] * rows, "number": list(range(10 * at, 10 * at + rows))})
        write_part(folder / name, table, SCHEMA)
    return names


def test_a_group_has_so_many_rows_or_one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = made(tmp_path)
    assert group_parts(tmp_path) == [Group(tuple(names), ROWS)]
    monkeypatch.setattr(groups, "MOST_ROWS", 5)
    assert [group.rows for group in group_parts(tmp_path)] == [(3, 0, 2), (9,), (1, 4)]
    assert [name for group in group_parts(tmp_path) for name in group.names] == names


def test_a_group_has_so_many_bytes_or_one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path)
    monkeypatch.setattr(groups, "MOST_BYTES", 1)
    assert [group.rows for group in group_parts(tmp_path)] == [(rows,) for rows in ROWS]


def test_a_table_without_a_part_has_no_group(tmp_path: Path) -> None:
    assert group_parts(tmp_path / "nothing.parquet") == []


@pytest.mark.parametrize("most", [1, 5, 1_000])
def test_what_a_group_reads_and_writes_is_what_its_parts_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    names = made(tmp_path / "one")
    monkeypatch.setattr(groups, "MOST_ROWS", most)
    for group in group_parts(tmp_path / "one"):
        table = group.read(tmp_path / "one", SCHEMA.names)
        group.write(tmp_path / "same", table, SCHEMA)
        twice = np.repeat(np.arange(table.num_rows), 2)
        group.write(tmp_path / "twice", table.take(pa.array(twice)), SCHEMA, twice)
    for name in names:
        numbers = read_part(tmp_path / "one" / name)["number"].to_pylist()
        assert read_part(tmp_path / "same" / name).to_pylist() == read_part(tmp_path / "one" / name).to_pylist()
        assert read_part(tmp_path / "twice" / name)["number"].to_pylist() == [n for n in numbers for _ in range(2)]
