"""Every table of the output, with any values: written in row groups, read back the same by every reader."""

from typing import Any

import duckdb
import hypothesis.strategies as st
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from lo2dask import schema
from lo2dask.schema import TokenKinds
from lo2dask.tables.parts import open_part, read_part, read_rows, write_part
from tests.examples import examples

TABLES = {
    name: getattr(schema, name)
    for name in ("EVENTS", "SEQUENCES", "TEMPLATES", "STATEMENTS", "VOCABULARY", "MANIFEST", "REJECTS", "METRICS",
                 "TRACES", "PREDICTIONS", "IF_PREDICTIONS")
} | {
    f"ENHANCED {name} {lists}": TokenKinds.of(name).enhanced(lists) for name in ("masked", "both")
    for lists in (False, True)
}  # fmt: skip
TEXT = st.text(st.sampled_from("ab é😀<>\0\n"), max_size=6)
MICROSECONDS = st.integers(0, 4 * 10**15)


def values_of(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Return values of a column's type, null among them."""
    if pa.types.is_list(kind):
        return st.none() | st.lists(values_of(kind.value_type), max_size=3)
    if pa.types.is_struct(kind):
        return st.fixed_dictionaries({field.name: values_of(field.type) for field in kind})
    if pa.types.is_integer(kind):
        bits = kind.bit_width
        return st.none() | st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    plain = {pa.bool_(): st.booleans(), pa.float64(): st.floats(allow_nan=False), pa.string(): TEXT}
    return st.none() | (MICROSECONDS if pa.types.is_timestamp(kind) else plain[kind])


def tables_of(of: pa.Schema) -> st.SearchStrategy[pa.Table]:
    rows = st.lists(st.fixed_dictionaries({field.name: values_of(field.type) for field in of}), max_size=5)
    return rows.map(lambda found: pa.table([pa.array([row[f.name] for row in found], f.type) for f in of], schema=of))


@pytest.mark.parametrize("name", TABLES)
@examples(24)
@given(data=st.data())
def test_any_rows_come_back(tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject) -> None:
    of = TABLES[name]
    path = tmp_path_factory.mktemp("any") / "part-000000.parquet"
    groups = data.draw(st.lists(tables_of(of), max_size=2), "groups")
    encode = data.draw(st.booleans(), "as tasks hold them")
    with open_part(path, of) as part:
        for group in groups:
            part.write(group.cast(schema.in_memory(of)) if encode else group)
    wanted = pa.concat_tables([of.empty_table(), *groups])
    assert pq.read_table(path).equals(wanted)
    assert read_part(path).cast(of).equals(wanted)
    assert pl.read_parquet(path).to_arrow().cast(of).to_pylist() == wanted.to_pylist()
    assert duckdb.sql(f"select * from '{path}'").to_arrow_table().num_rows == wanted.num_rows
    column = data.draw(st.sampled_from(of.names), "column")
    assert read_rows(path, [column])[column].to_pylist() == wanted[column].to_pylist()


@pytest.mark.parametrize("name", TABLES)
@examples(12)
@given(data=st.data())
def test_the_same_rows_make_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    of = TABLES[name]
    folder, table = tmp_path_factory.mktemp("same"), data.draw(tables_of(of))
    for form, given_table in (("plain", table), ("encoded", table.cast(schema.in_memory(of)))):
        write_part(folder / form, given_table, of)
    assert (folder / "plain").read_bytes() == (folder / "encoded").read_bytes()
