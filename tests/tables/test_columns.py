"""Parts written column by column: every reader sees what Arrow's own writer would have written."""

import datetime
import os

import duckdb
import hypothesis.strategies as st
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from lo2dask import schema
from lo2dask.buffers.padded import as_u64
from lo2dask.storage import to_path
from lo2dask.tables import encodings, pages
from lo2dask.tables.append import add_columns
from lo2dask.tables.columns import ColumnWriter, columns_buffer
from lo2dask.tables.parts import count_rows, read_part, write_part

FLAT = pa.schema(
    [
        pa.field("seq_id", pa.string()),
        pa.field("line_no", pa.int64()),
        pa.field("m_timestamp", pa.timestamp("ms")),
        pa.field("m_message", pa.string()),
        pa.field("thread", pa.string()),
        pa.field("is_continuation", pa.bool_()),
        pa.field("e_words_len", pa.int32()),
        pa.field("value", pa.float64()),
    ]
)
BIG = 2**63 - 1
KINDS = {
    "seq_id": st.sampled_from(["a", "b__c", "d" * 70]),
    "line_no": st.integers(-BIG - 1, BIG),
    "m_timestamp": st.none() | st.integers(-(10**12), 4 * 10**12),
    "m_message": st.none() | st.text(max_size=30),
    "thread": st.none() | st.sampled_from([f"XNIO-1 task-{n}" for n in range(40)] + [""]),
    "is_continuation": st.none() | st.booleans(),
    "e_words_len": st.none() | st.integers(-(2**31), 2**31 - 1),
    "value": st.none() | st.floats(),
}
ROWS = st.lists(st.fixed_dictionaries(KINDS), max_size=60)


def table_of(rows):
    columns = []
    for field in FLAT:
        values = [row[field.name] for row in rows]
        column = pa.array(values, pa.int64() if field.name == "m_timestamp" else field.type)
        columns.append(column.cast(field.type))
    return pa.table(columns, schema=FLAT)


def as_views(table):
    place = table.schema.get_field_index("m_message")
    return table.set_column(place, "m_message", table["m_message"].cast(pa.string_view()))


def write_columns(path, groups, columns=FLAT):
    with ColumnWriter(path, columns) as writer:
        for group in groups:
            writer.write(group)
    return path


@settings(max_examples=60, deadline=None)
@given(st.lists(ROWS, max_size=3), st.integers(1, 40))
def test_readers_see_what_arrows_writer_writes(tmp_path_factory, groups, repeats):
    folder = tmp_path_factory.mktemp("flat")
    tables = [pa.concat_tables([table_of(rows)] * repeats) for rows in groups]
    path = write_columns(folder / "flat.parquet", tables)
    whole = pa.concat_tables([FLAT.empty_table(), *tables])
    write_part(folder / "arrow.parquet", whole, FLAT)
    seen = write_columns(folder / "views.parquet", [as_views(table) for table in tables])
    assert seen.read_bytes() == path.read_bytes()
    found = pq.read_table(path)
    assert found.schema.equals(pq.read_schema(folder / "arrow.parquet"))
    # NaN is no number that equals itself: compared as the text of each row.
    assert str(found.to_pylist()) == str(whole.to_pylist())
    assert str(pl.read_parquet(path).rows()) == str(pl.from_arrow(whole).rows())
    assert str(duckdb.sql(f"from '{path}'").fetchall()) == str(duckdb.sql("from whole").fetchall())
    assert count_rows(path) == whole.num_rows


def test_text_longer_than_a_page_and_pages_that_begin_inside_a_slice(tmp_path, monkeypatch):
    monkeypatch.setattr(encodings, "PAGE_BYTES", 64)
    texts = [None if n % 7 == 3 else f"{n} ü" * (n % 50) for n in range(500)] + ["x" * 5000, None, ""]
    column = pa.array(["left out", *texts]).slice(1)
    one = pa.schema([pa.field("m_message", pa.string())])
    path = write_columns(tmp_path / "part.parquet", [pa.table([column], schema=one)], one)
    seen = write_columns(tmp_path / "views.parquet", [as_views(pa.table([column.drop_null()], schema=one))], one)
    assert pq.read_table(seen)["m_message"].to_pylist() == [text for text in texts if text is not None]
    assert pq.read_table(path)["m_message"].to_pylist() == texts
    assert pl.read_parquet(path)["m_message"].to_list() == texts
    assert [row[0] for row in duckdb.sql(f"from '{path}'").fetchall()] == texts


@pytest.mark.parametrize("length", [0, 1, 3, 4, 7, 8, 9, 12, 13, 30])
def test_nothing_is_written_behind_a_page(length):
    column = pa.array(["x" * length] * 40, pa.string())
    for strings, put in ((column, encodings._from_offsets), (column.cast(pa.string_view()), encodings._from_views)):
        if len(strings.buffers()) != 3:  # views that hold all of their text
            strings = pa.Array.from_buffers(pa.string_view(), 40, [*strings.buffers(), pa.py_buffer(b"")])
        for size in range(48, 96):
            room = np.full(size + 32, 0xAA, dtype=np.uint8)
            row, filled = put(strings)[1](0, as_u64(room[:size], writeable=True))
            assert (room[size:] == 0xAA).all()
            assert bytes(room[:filled]) == (length.to_bytes(4, "little") + b"x" * length) * row


TOKENS = st.lists(st.text(alphabet="abü ", max_size=30), max_size=40)


@settings(max_examples=200, deadline=None)
@given(TOKENS, TOKENS)
def test_a_token_is_written_without_what_it_shares_with_the_one_before(many, more):
    tokens = sorted([*many, *(one + two for one, two in zip(many, more, strict=False))])
    column = pa.array(["left out", *tokens], pa.string()).slice(1)
    before, size, shared = b"", 0, []
    for token in (token.encode() for token in tokens):
        shared.append(len(os.path.commonprefix([before, token])))
        size, before = size + len(token) - shared[-1], token
    lengths = [len(token.encode()) - same for token, same in zip(tokens, shared, strict=True)]
    heads = [bytes(encodings.differences(np.array(numbers, dtype=np.int32))) for numbers in (shared, lengths)]
    found = bytes(encodings.suffixes(column))
    assert found[: len(found) - size] == b"".join(heads)
    rest = [token.encode()[same:] for token, same in zip(tokens, shared, strict=True)]
    assert found[len(found) - size :] == b"".join(rest)


@pytest.mark.parametrize("distinct", [1, 2, 3, 255, 256, 257, 70_000])
@pytest.mark.parametrize("repeat", [1, 100])
def test_codes_of_every_width_as_runs_and_packed(tmp_path, distinct, repeat):
    values = [f"{n}" for n in range(distinct) for _ in range(repeat if distinct < 1000 else 1)]
    one = pa.schema([pa.field("thread", pa.string())])
    path = write_columns(tmp_path / "part.parquet", [pa.table([pa.array(values).dictionary_encode()], ["thread"])], one)
    assert read_part(path)["thread"].cast(pa.string()).to_pylist() == values
    assert pl.read_parquet(path)["thread"].to_list() == values


def test_statistics_let_a_reader_skip_row_groups(tmp_path):
    groups = [table_of([{**dict.fromkeys(KINDS), "seq_id": name, "line_no": 1, "m_timestamp": time}])
              for name, time in (("b", 5), ("a", 1_000), ("c", None))]  # fmt: skip
    path = write_columns(tmp_path / "part.parquet", groups)
    footer = pq.read_metadata(path)
    bounds = [[footer.row_group(group).column(place).statistics for place in (0, 2)] for group in range(3)]
    assert [(names.min, names.max, names.null_count) for names, _ in bounds] == [(n, n, 0) for n in "bac"]
    epoch = datetime.datetime(1970, 1, 1)
    assert [(times.min - epoch).total_seconds() for _, times in bounds[:2]] == [0.005, 1.0]
    assert not bounds[2][1].has_min_max
    assert bounds[2][1].null_count == 1
    assert footer.row_group(0).column(1).statistics is None
    assert pq.read_table(path, filters=[("seq_id", "==", "a")]).num_rows == 1


def test_a_column_is_added_to_such_a_part_without_writing_it_again(tmp_path):
    rows = [{**dict.fromkeys(KINDS), "seq_id": "s", "line_no": n, "m_message": f"text {n}"} for n in range(100)]
    path = write_columns(tmp_path / "part.parquet", [table_of(rows), table_of(rows)])
    ids = pa.table([pa.array([f"e{n % 3}" for n in range(100)])], schema=pa.schema([schema.DRAIN_ID]))
    add_columns(path, columns_buffer([ids, ids], ids.schema), ids.column_names, FLAT.names)
    assert pq.read_table(path)["m_message"].to_pylist() == 2 * [f"text {n}" for n in range(100)]
    assert duckdb.sql(f"select count(distinct e_event_drain_id) from '{path}'").fetchall() == [(3,)]


def test_the_same_rows_give_the_same_bytes_however_they_are_chunked(tmp_path):
    rows = [{**dict.fromkeys(KINDS), "seq_id": "s", "line_no": n, "thread": f"t{n % 5}"} for n in range(300)]
    whole = table_of(rows)
    pieces = pa.concat_tables([whole.slice(0, 7), whole.slice(7, 200), whole.slice(207)])
    assert write_columns(tmp_path / "a", [whole]).read_bytes() == write_columns(tmp_path / "b", [whole]).read_bytes()
    assert pq.read_table(write_columns(tmp_path / "c", [pieces])).equals(whole)


def bag_column(bags, coded):
    flat = [pair for bag in bags for pair in bag]
    tokens = pa.array([token for token, _ in flat], pa.string())
    pairs = pa.StructArray.from_arrays(
        [tokens.dictionary_encode() if coded else tokens, pa.array([count for _, count in flat], pa.int32())],
        names=["token", "count"],
    )
    return pa.ListArray.from_arrays(pa.array(np.cumsum([0, *map(len, bags)]), pa.int32()), pairs)


PAIRS = st.tuples(st.sampled_from(["a", "bb", "ü", "", "x" * 40]) | st.text(max_size=8), st.integers(1, 2**31 - 1))
BAGGED = pa.schema([pa.field("seq_id", pa.string()), pa.field("e_words", schema.BAG)])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(PAIRS, max_size=12), max_size=25), st.booleans(), st.sampled_from([1, 5, 1 << 20]))
def test_readers_see_bags_as_arrows_writer_writes_them(tmp_path_factory, bags, coded, items):
    folder = tmp_path_factory.mktemp("bags")
    table = pa.table([pa.array([f"s{n}" for n in range(len(bags))], pa.string()), bag_column(bags, coded)],
                     names=BAGGED.names)  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "LIST_ITEMS", items)
        path = write_columns(folder / "bags.parquet", [table, table.slice(len(bags) // 2)], BAGGED)
    expected = [[{"token": token, "count": count} for token, count in bag] for bag in bags]
    expected += expected[len(bags) // 2 :]
    write_part(folder / "arrow.parquet", table.set_column(1, "e_words", bag_column(bags, False)), BAGGED)
    assert pq.read_schema(path).equals(pq.read_schema(folder / "arrow.parquet"))
    assert pq.read_table(path)["e_words"].to_pylist() == expected
    assert pl.read_parquet(path)["e_words"].to_list() == expected
    assert [row[0] for row in duckdb.sql(f"select e_words from '{path}'").fetchall()] == expected


def test_a_null_list_is_refused(tmp_path):
    lists = pa.array([None, []], schema.BAG)
    with pytest.raises(ValueError, match="1 null lists"):
        write_columns(tmp_path / "part.parquet", [pa.table([pa.array(["a", "b"]), lists], schema=BAGGED)], BAGGED)


def test_a_failed_block_leaves_nothing_and_other_nested_columns_are_refused(tmp_path):
    rows = table_of([{**dict.fromkeys(KINDS), "seq_id": "s", "line_no": 1}])
    with pytest.raises(KeyError, match="thread"):
        write_columns(tmp_path / "part.parquet", [rows, rows.drop_columns(["thread"])])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TypeError, match="e_words"):
        ColumnWriter(tmp_path / "part.parquet", pa.schema([pa.field("e_words", schema.TOKEN_LIST)]))


def test_a_part_goes_to_an_object_store(tmp_path):
    rows = table_of([{**dict.fromkeys(KINDS), "seq_id": "s", "line_no": n} for n in range(9)])
    path = write_columns(to_path("memory://parts/part.parquet"), [rows])
    assert path.read_bytes() == write_columns(tmp_path / "part.parquet", [rows]).read_bytes()
    assert read_part(path)["line_no"].to_pylist() == list(range(9))
