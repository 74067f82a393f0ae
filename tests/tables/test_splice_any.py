"""Splicing files of any schema: every reader sees the chosen columns, and nothing points at what was not copied."""

import inspect
import math
from pathlib import Path

import duckdb
import hypothesis.strategies as st
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given

from lo2dask.errors import IntegrityError
from lo2dask.tables.splice import read_footer, splice
from tests.examples import examples

VALUES = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.int8(): st.integers(-128, 127),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(st.sampled_from("aé😀 \0<"), max_size=9),
    pa.binary(): st.binary(max_size=9),
    pa.list_(pa.int32()): st.lists(st.none() | st.integers(-9, 9), max_size=3),
    pa.list_(pa.struct([("token", pa.string()), ("count", pa.int32())])): st.lists(
        st.fixed_dictionaries({"token": st.none() | st.sampled_from(["a", "b", "ä"]), "count": st.integers(0, 9)}),
        max_size=3,
    ),
    pa.struct([("x", pa.int64()), ("y", pa.list_(pa.string()))]): st.fixed_dictionaries(
        {"x": st.none() | st.integers(0, 9), "y": st.none() | st.lists(st.sampled_from(["", "q"]), max_size=2)}
    ),
}
PAGE_INDEX, BLOOM_FILTER = {4, 5, 6, 7}, {14, 15}
HAS_BLOOM_FILTERS = "bloom_filter_options" in inspect.signature(pq.ParquetWriter.__init__).parameters
WRITING = st.fixed_dictionaries(
    {
        "write_page_index": st.booleans(),
        "compression": st.sampled_from(["none", "snappy", "zstd"]),
        "use_dictionary": st.booleans(),
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
        "data_page_size": st.sampled_from([64, 1 << 20]),
        "write_page_checksum": st.booleans(),
        "store_schema": st.booleans(),
    }
)


@st.composite
def tables(draw: st.DrawFn, rows: int, names: str) -> pa.Table:
    """Make a table of some of the named columns, with nulls, of any of the types."""
    columns = {}
    for name in names[: draw(st.integers(1, len(names)))]:
        kind = draw(st.sampled_from(list(VALUES)))
        values = draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows))
        columns[name] = pa.array(values, kind)
    return pa.table(columns)


def write(path: Path, table: pa.Table, sizes: list[int], options: dict) -> None:
    """Write a table in row groups of these sizes."""
    start = 0
    with pq.ParquetWriter(path, table.schema, **options) as writer:
        for size in sizes:
            writer.write_table(table.slice(start, size))
            start += size


def left_over(path: Path) -> set[int]:
    """List the footer's fields that say where page indexes and Bloom filters lie."""
    with open(path, "rb") as file:
        chunks = [chunk for group in read_footer(file).groups() for chunk in group[1][1][1]]
    return {n for chunk in chunks for n in PAGE_INDEX & set(chunk) | BLOOM_FILTER & set(chunk[3][1])}


@examples(60)
@given(st.data())
def test_all_readers_see_the_chosen_columns(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("any")
    sizes = data.draw(st.lists(st.integers(1, 30), max_size=3), "sizes")
    sources = [data.draw(tables(sum(sizes), names), names) for names in ("abc", "cde")]
    # A column that replaces another has its type: the Arrow schema in the footer is that of the first file.
    types = [table.schema.field("c").type for table in sources if "c" in table.column_names]
    assume(len(set(types)) == 1)
    paths = [folder / "first.parquet", folder / "second.parquet"]
    for path, table in zip(paths, sources, strict=True):
        options = data.draw(WRITING, "writing")
        if HAS_BLOOM_FILTERS and data.draw(st.booleans(), "with Bloom filters"):
            flat = [f.name for f in table.schema if pa.types.is_string(f.type) or pa.types.is_int64(f.type)]
            options = {**options, "bloom_filter_options": {name: {"ndv": 64, "fpp": 0.05} for name in flat}}
        write(path, table, sizes, options)
    columns = {name: table[name] for table in sources for name in table.column_names}
    wanted = data.draw(st.permutations(list(columns)).flatmap(lambda all: st.just(all[: len(all) // 2 + 1])), "wanted")
    expected = pa.table({name: columns[name] for name in wanted})

    spliced = folder / "spliced.parquet"
    splice(spliced, paths, wanted)
    assert left_over(spliced) == set()
    assert pq.read_table(spliced).to_pydict() == expected.to_pydict()
    assert pl.read_parquet(spliced).to_arrow().to_pylist() == expected.to_pylist()
    assert duckdb.sql(f"select * from '{spliced}'").fetchall() == [tuple(r.values()) for r in expected.to_pylist()]
    assert pd.read_parquet(spliced).columns.tolist() == wanted
    footer = pq.read_metadata(spliced)
    assert [footer.row_group(group).num_rows for group in range(footer.num_row_groups)] == sizes
    for group in range(footer.num_row_groups):
        chunks = [footer.row_group(group).column(leaf) for leaf in range(footer.num_columns)]
        assert not any(chunk.has_offset_index or chunk.has_column_index for chunk in chunks)
        assert footer.row_group(group).total_byte_size == sum(chunk.total_uncompressed_size for chunk in chunks)


@pytest.fixture
def numbers() -> pa.Table:
    return pa.table({"n": range(4_000), "text": [f"t{number % 900}" for number in range(4_000)]})


def test_a_page_index_is_not_copied_and_filters_still_find_their_rows(tmp_path: Path, numbers: pa.Table) -> None:
    first, second, spliced = (tmp_path / f"{name}.parquet" for name in ("first", "second", "spliced"))
    pq.write_table(numbers.select(["n"]), first, write_page_index=True, data_page_size=256, row_group_size=1_000)
    pq.write_table(numbers.select(["text"]), second, write_page_index=True, data_page_size=256, row_group_size=1_000)
    assert left_over(first) == PAGE_INDEX
    splice(spliced, [first, second], ["text", "n"])
    assert left_over(spliced) == set()
    for n in (0, 999, 1_000, 3_999):
        wanted = [(f"t{n % 900}", n)]
        assert pq.read_table(spliced, filters=[("n", "=", n)]).to_pylist() == [{"text": f"t{n % 900}", "n": n}]
        assert duckdb.sql(f"select * from '{spliced}' where n = {n}").fetchall() == wanted
        assert pl.scan_parquet(spliced).filter(pl.col("n") == n).collect().rows() == wanted
        assert pd.read_parquet(spliced, filters=[("n", "=", n)])["n"].tolist() == [n]


@pytest.mark.skipif(not HAS_BLOOM_FILTERS, reason="this version of pyarrow writes no Bloom filters")
def test_a_bloom_filter_is_not_copied(tmp_path: Path, numbers: pa.Table) -> None:
    first, spliced = tmp_path / "first.parquet", tmp_path / "spliced.parquet"
    filters = {name: {"ndv": 4_000, "fpp": 0.01} for name in numbers.column_names}
    pq.write_table(numbers, first, bloom_filter_options=filters, row_group_size=1_000)
    assert left_over(first) == BLOOM_FILTER
    splice(spliced, [first], ["text"])
    assert left_over(spliced) == set()
    for text in ("t0", "t899", "none"):
        wanted = numbers["text"].to_pylist().count(text)
        assert duckdb.sql(f"select count(*) from '{spliced}' where text = '{text}'").fetchall() == [(wanted,)]
        assert pl.scan_parquet(spliced).filter(pl.col("text") == text).collect().height == wanted


def test_statistics_and_checksums_move_with_their_columns(tmp_path: Path) -> None:
    table = pa.table({"a": [3, 1, None], "b": [math.inf, 0.5, -1.0]})
    first, spliced = tmp_path / "first.parquet", tmp_path / "spliced.parquet"
    pq.write_table(table, first, write_page_checksum=True)
    splice(spliced, [first], ["b", "a"])
    footer = pq.read_metadata(spliced).row_group(0)
    assert (footer.column(1).statistics.min, footer.column(1).statistics.max) == (1, 3)
    assert footer.column(1).statistics.null_count == 1
    assert pq.read_table(spliced, page_checksum_verification=True).to_pydict() == table.select(["b", "a"]).to_pydict()
    damaged = bytearray(spliced.read_bytes())
    damaged[footer.column(1).dictionary_page_offset - 1] ^= 0xFF  # the last byte of the first column's pages
    spliced.write_bytes(damaged)
    with pytest.raises(OSError, match=r"CRC|checksum"):
        pq.read_table(spliced, page_checksum_verification=True)


@pytest.mark.parametrize("sizes", [[3, 2], [5], [], [2, 3, 1]])
def test_sources_with_other_row_groups_are_refused(tmp_path: Path, sizes: list[int]) -> None:
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    write(one, pa.table({"a": range(5)}), [2, 3], {})
    write(other, pa.table({"b": range(sum(sizes))}), sizes, {})
    before = one.read_bytes()
    with pytest.raises(IntegrityError, match=r"row groups of \[2, 3\] rows"):
        splice(one, [one, other], ["a", "b"])
    assert one.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.parquet", "other.parquet"]


@pytest.mark.parametrize("keep", [0, 3, 7, 8, 11, -1, -5, -9])
def test_a_file_that_is_cut_off_is_refused_by_its_footer(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.parquet"
    pq.write_table(pa.table({"a": range(100)}), path)
    path.write_bytes(path.read_bytes()[:keep])
    with open(path, "rb") as file, pytest.raises(IntegrityError, match="no Parquet footer"):
        read_footer(file)


@given(st.binary(min_size=1, max_size=40))
def test_a_footer_of_any_bytes_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    path.write_bytes(b"PAR1" + body + len(body).to_bytes(4, "little") + b"PAR1")
    with open(path, "rb") as file:
        try:
            assert read_footer(file).data_end == 4
        except IntegrityError as error:
            assert str(error) == "no Parquet footer"  # noqa: PT017
