"""Columns added to a part: all readers see one table, the old columns' bytes are the old ones."""

import duckdb
import hypothesis.strategies as st
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from lo2dask import schema
from lo2dask.errors import IntegrityError
from lo2dask.tables.parts import PartWriter, part_buffer, read_part, write_part
from lo2dask.tables.splice import add_columns, read_footer, splice
from lo2dask.tables.thrift import Reader, write_struct
from tests.examples import examples

BASE = pa.schema([pa.field("seq_id", pa.string()), pa.field("line_no", pa.int64()), pa.field("m_message", pa.string())])
EXTRA = pa.schema([schema.DRAIN_ID, schema.NORMALIZED])


def base_groups(sizes):
    start = 0
    for size in sizes:
        numbers = range(start, start + size)
        rows = [[f"s{n // 7}" for n in numbers], list(numbers), [f"message {n} <ü>" for n in numbers]]
        yield pa.table([pa.array(r, f.type) for r, f in zip(rows, BASE, strict=True)], schema=BASE)
        start += size


def extra_groups(sizes, word="e"):
    start = 0
    for size in sizes:
        ids = [None if n % 11 == 0 else f"{word}{n % 5}" for n in range(start, start + size)]
        yield pa.table([pa.array(ids, pa.string()), pa.array([f"{word} text {n}" for n in range(size)])], schema=EXTRA)
        start += size


def make(path, sizes):
    with PartWriter(path, BASE) as writer:
        for group in base_groups(sizes):
            writer.write(group)


@pytest.mark.parametrize("sizes", [[5], [3, 4000, 1], [100] * 20, []])
def test_all_readers_see_old_and_new_columns(tmp_path, sizes):
    path = tmp_path / "part-000000.parquet"
    make(path, sizes)
    old = pq.read_table(path)
    add_columns(path, part_buffer(extra_groups(sizes), EXTRA), EXTRA.names, BASE.names)
    expected = old
    added = pa.concat_tables([EXTRA.empty_table(), *extra_groups(sizes)])
    for name in EXTRA.names:
        expected = expected.append_column(name, added[name])
    assert pq.read_table(path).equals(expected)
    assert pl.read_parquet(path).to_arrow().to_pylist() == expected.to_pylist()
    assert len(pd.read_parquet(path)) == sum(sizes)
    assert duckdb.sql(f"select count(*), count(e_event_drain_id) from '{path}'").fetchall()[0] == (
        sum(sizes), added.num_rows - added["e_event_drain_id"].null_count,
    )  # fmt: skip
    assert not list(tmp_path.glob(".*"))


def test_added_again_replaces_and_gives_the_same_bytes(tmp_path):
    sizes = [50, 60]
    once, twice = tmp_path / "once.parquet", tmp_path / "twice.parquet"
    for path in (once, twice):
        make(path, sizes)
    add_columns(twice, part_buffer(extra_groups(sizes, "other"), EXTRA), EXTRA.names, BASE.names)
    for path in (once, twice):
        add_columns(path, part_buffer(extra_groups(sizes), EXTRA), EXTRA.names, BASE.names)
    assert once.read_bytes() == twice.read_bytes()
    assert read_part(twice)["e_event_drain_id"].to_pylist()[1] == "e1"


def test_other_row_groups_are_refused_and_the_part_stays(tmp_path):
    path = tmp_path / "part-000000.parquet"
    make(path, [5, 5])
    before = path.read_bytes()
    with pytest.raises(IntegrityError, match="row groups"):
        add_columns(path, part_buffer(extra_groups([10]), EXTRA), EXTRA.names, BASE.names)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("rows", [0, 1, 3000])
def test_columns_of_two_parts_nested_ones_too_become_one_in_any_order(tmp_path, rows):
    bags = [[{"token": f"t{n % 7}", "count": n}] * (n % 3) or None for n in range(rows)]
    numbers = [list(range(n % 4)) for n in range(rows)]
    names = [f"s{n}" for n in range(rows)]
    first = pa.table({"seq_id": names, "bag": pa.array(bags, schema.BAG), "left": pa.array(range(rows), pa.int64())})
    second = pa.table({"left": pa.array([7] * rows, pa.int32()), "numbers": pa.array(numbers, pa.list_(pa.int8()))})
    path = tmp_path / "part-000000.parquet"
    write_part(path, first, first.schema)
    wanted = ["numbers", "bag", "left", "seq_id"]
    splice(path, [path, part_buffer([second], second.schema)], wanted)
    expected = pa.table(
        {"numbers": second["numbers"], "bag": first["bag"], "left": second["left"], "seq_id": first["seq_id"]}
    )
    assert pq.read_table(path).to_pylist() == expected.to_pylist()
    assert pq.read_schema(path).names == wanted
    assert pl.read_parquet(path).to_arrow().to_pylist() == expected.to_pylist()
    assert duckdb.sql(f"select * from '{path}'").fetchall() == [tuple(row.values()) for row in expected.to_pylist()]


def test_no_parquet_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"0123456789abcdef")
    with open(path, "rb") as file, pytest.raises(IntegrityError):
        read_footer(file)


values = st.deferred(lambda: st.one_of(
    st.tuples(st.just(6), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(5), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just(8), st.binary(max_size=300)),
    st.sampled_from([(1, 1), (2, 2)]),
    st.tuples(st.just(7), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just(9), st.tuples(st.just(6), st.lists(st.integers(-9, 9), max_size=40))),
    st.tuples(st.just(12), structs),
))  # fmt: skip
structs = st.deferred(lambda: st.dictionaries(st.integers(1, 400), values, max_size=4))


@given(structs)
@examples(60)
def test_thrift_reads_what_it_writes(fields):
    data = write_struct(fields)
    reader = Reader(data)
    assert reader.struct() == fields
    assert reader.at == len(data)


def test_a_real_footer_comes_back_byte_by_byte(tmp_path):
    path = tmp_path / "part.parquet"
    make(path, [10, 20])
    with open(path, "rb") as file:
        footer = read_footer(file)
        file.seek(footer.data_end)
        assert write_struct(footer.fields) == file.read()[:-8]
