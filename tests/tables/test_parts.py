"""Parts of tables: whole or absent, the same bytes for the same rows, readable by everyone."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lo2dask import schema
from lo2dask.errors import IntegrityError
from lo2dask.storage import read_json, remove_leftovers, replacing, write_bytes, write_json
from lo2dask.tables.layout import Layout, part_name
from lo2dask.tables.parts import (
    PartWriter,
    checksum,
    count_rows,
    ensure_part,
    part_paths,
    prune_parts,
    read_part,
    read_parts,
    read_row_groups,
    read_rows,
    write_part,
)


def rows(ids: list[str], start: int = 0) -> pa.Table:
    values = {
        "seq_id": ids, "run": ["r"] * len(ids), "test_case": ["correct"] * len(ids), "service": ["token"] * len(ids),
        "normal": [True] * len(ids), "anomaly": [False] * len(ids), "start_time": [None] * len(ids),
        "end_time": [None] * len(ids), "duration": range(start, start + len(ids)),
        "duration_ms": range(start, start + len(ids)), "duration_sec": [0] * len(ids),
        "seq_len": [1] * len(ids),
    }  # fmt: skip
    columns = [pa.array(list(values[f.name]), f.type) for f in schema.SEQUENCES]
    return pa.table(columns, schema=schema.SEQUENCES)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    folder = tmp_path / "t.parquet"
    for index, ids in enumerate((["a", "b"], ["c"])):
        write_part(folder / part_name(index), rows(ids), schema.SEQUENCES)
    return folder


def test_everyone_reads_it_by_its_one_path(table: Path) -> None:
    assert pd.read_parquet(table)["seq_id"].tolist() == ["a", "b", "c"]
    assert pq.read_table(table)["seq_id"].to_pylist() == ["a", "b", "c"]
    assert pl.read_parquet(table)["seq_id"].to_list() == ["a", "b", "c"]
    assert duckdb.sql(f"select seq_id from '{table}/*.parquet' order by 1").fetchall() == [("a",), ("b",), ("c",)]
    assert pq.read_schema(table / part_name(0)).field("seq_id").type == pa.string()


def test_reading_back(table: Path) -> None:
    part = read_part(table / part_name(0), ["seq_id", "duration"])
    assert pa.types.is_dictionary(part["seq_id"].type)
    assert part.to_pydict() == {"seq_id": ["a", "b"], "duration": [0, 1]}
    assert [t.num_rows for t in read_parts(table, ["seq_id"])] == [2, 1]
    assert (count_rows(table), len(part_paths(table))) == (3, 2)
    assert part_paths(table / part_name(1)) == [table / part_name(1)]


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    plain, encoded = tmp_path / "plain.parquet", tmp_path / "encoded.parquet"
    write_part(plain, rows(["a", "b", "a"]), schema.SEQUENCES)
    write_part(encoded, rows(["a", "b", "a"]).cast(schema.in_memory(schema.SEQUENCES)), schema.SEQUENCES)
    assert plain.read_bytes() == encoded.read_bytes()
    assert checksum(plain) == checksum(encoded) != checksum(write(tmp_path / "other", b"x"))


def write(path: Path, data: bytes) -> Path:
    write_bytes(path, data)
    return path


def test_row_groups_with_a_shared_dictionary(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    with PartWriter(path, schema.SEQUENCES) as writer:
        writer.write(rows(["b", "b"]))
        writer.write(rows([]))
        writer.write(rows(["a", "c"], 2))
    assert writer.rows == 4
    ids = pa.array(["a", "b", "c"])
    groups = list(read_row_groups(path, ["seq_id", "duration"], dictionary=ids))
    assert [group["seq_id"].combine_chunks().indices.to_pylist() for group in groups] == [[1, 1], [0, 2]]
    assert [group["duration"].to_pylist() for group in groups] == [[0, 1], [2, 3]]


def test_a_part_that_fails_does_not_appear(table: Path) -> None:
    before = (table / part_name(0)).read_bytes()

    def fail() -> None:
        with PartWriter(table / part_name(0), schema.SEQUENCES) as writer:
            writer.write(rows(["x"]))
            raise RuntimeError("task failed")

    with pytest.raises(RuntimeError, match="task failed"):
        fail()
    with pytest.raises(KeyError):
        write_part(table / part_name(5), pa.table({"seq_id": ["x"]}), schema.SEQUENCES)
    assert (table / part_name(0)).read_bytes() == before
    assert sorted(path.name for path in table.iterdir()) == [part_name(0), part_name(1)]


def test_pruning_and_empty_tables(table: Path) -> None:
    (table / f".{part_name(0)}.1234abcd.tmp").write_bytes(b"left by a killed process")
    prune_parts(table, [part_name(1)])
    assert [path.name for path in table.iterdir()] == [part_name(1)]
    ensure_part(table, schema.SEQUENCES)
    assert count_rows(table) == 1
    prune_parts(table, [])
    ensure_part(table, schema.SEQUENCES)
    assert pd.read_parquet(table).columns.tolist() == schema.SEQUENCES.names
    prune_parts(table / "missing", [])
    assert part_paths(table / "missing") == []


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"b": 1, "a": [1]})
    assert read_json(path) == {"a": [1], "b": 1}

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail()
    assert read_json(path) == {"a": [1], "b": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["file.json"]
    path.write_text('{"half":')
    assert read_json(path) is read_json(tmp_path / "missing.json") is read_json(path / "below a file") is None
    (path.parent / ".x.tmp").write_text("")
    assert (remove_leftovers(path.parent), remove_leftovers(tmp_path / "missing")) == (1, 0)


def test_names_of_parts_sort_as_batches_do(tmp_path: Path) -> None:
    assert sorted(map(part_name, (10, 9, 100_000))) == [part_name(9), part_name(10), part_name(100_000)]
    layout = Layout(tmp_path)
    assert layout.events.name == "lo2_events.parquet"
    assert layout.record("load", 3).parent == layout.internal / "records" / "load"


@pytest.mark.parametrize(
    ("folder", "command"),
    [
        ("lo2_sequences.parquet", "lo2dask load"),
        ("lo2_metrics.parquet", "lo2dask load --load-metrics"),
        ("lo2_sequences_enhanced.parquet", "lo2dask load or train"),
        ("_lo2dask/predictions/if", "lo2dask train"),
        ("explainability/if_explanations.parquet", "lo2dask explain"),
        ("train/text/score/lo2_events.parquet", "lo2dask load"),
        ("spill/_lo2dask/score/bundle/lo2_sequences.parquet", "lo2dask score"),
        ("elsewhere", "the command again that wrote it"),
    ],
)
def test_a_damaged_part_is_named_with_the_command_that_writes_it_again(
    tmp_path: Path, folder: str, command: str
) -> None:
    path = tmp_path / folder / "part-000000.parquet"
    table = pa.table({"seq_id": [f"s{i:05d}" for i in range(3_000)], "n": list(range(3_000))})
    write_part(path, table, table.schema)
    whole, rng = path.read_bytes(), np.random.default_rng(1)
    for offset in rng.integers(0, len(whole), 60).tolist():
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x10]) + whole[offset + 1 :])
        readers = (
            lambda: read_part(path),
            lambda: read_rows(path),
            lambda: pa.concat_tables(read_row_groups(path, ["seq_id", "n"])),
        )
        for read in readers:
            message, found = outcome(read)
            # A flip in what no reader needs changes nothing.
            is_named = str(path) in message and command in message and "\n" not in message
            assert is_named or found == table.to_pydict(), (offset, message)


def outcome(read: Callable[[], pa.Table]) -> tuple[str, dict | None]:
    """Return what went wrong while a part is read, and its content."""
    try:
        return "", read().to_pydict()
    except IntegrityError as error:
        return str(error), None


def test_a_part_of_another_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lo2_sequences.parquet" / "part-000000.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(IntegrityError, match=r"part-000000.parquet is damaged \(no column run\): .*lo2dask load again"):
        read_part(path, ["x", "run"])


def test_a_missing_part_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_part(tmp_path / "part-000000.parquet")
