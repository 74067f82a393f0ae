"""The part writer: encodings follow the content, dictionaries may differ, nothing half-written stays, any store."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from lo2dask import schema, storage
from lo2dask.tables.layout import part_name
from lo2dask.tables.parts import (
    checksum,
    count_rows,
    ensure_part,
    fit,
    group_rows,
    open_part,
    part_buffer,
    part_paths,
    prune_parts,
    read_metadata,
    read_part,
    read_parts,
    read_row_groups,
    read_rows,
    write_part,
)

KEYED = pa.schema(
    [pa.field("seq_id", pa.string()), pa.field("line_no", pa.int64()), pa.field("m_message", pa.string())]
)
BAGS = pa.schema([pa.field("seq_id", pa.string()), pa.field("e_words", schema.BAG)])
CODED = pa.list_(pa.struct([pa.field("token", pa.dictionary(pa.int32(), pa.string())), pa.field("count", pa.int32())]))
names = st.lists(st.none() | st.sampled_from(["a", "b", "ä", ""]), max_size=12)


def keyed(ids: list[str | None], start: int = 0) -> pa.Table:
    return pa.table([ids, range(start, start + len(ids)), [f"m{n}" for n in range(len(ids))]], schema=KEYED)


def bags(tokens: list[list[str]]) -> pa.Table:
    """Make bags whose tokens are codes of one dictionary, as the text pass leaves them."""
    values = [[{"token": token, "count": 1} for token in sorted(bag)] for bag in tokens]
    offsets = pa.array([0, *pd.Series([len(bag) for bag in values], dtype="int32").cumsum()], pa.int32())
    flat = pa.array([item["token"] for bag in values for item in bag], pa.string()).dictionary_encode()
    pairs = pa.StructArray.from_arrays([flat, pa.array([1] * len(flat), pa.int32())], fields=list(CODED.value_type))
    return pa.table([[f"s{n}" for n in range(len(values))], pa.ListArray.from_arrays(offsets, pairs)], names=BAGS.names)


def encodings(path: Path) -> dict[str, set[str]]:
    """Return the encodings of each leaf column by its path."""
    group = pq.read_metadata(path).row_group(0)
    return {group.column(n).path_in_schema: set(group.column(n).encodings) for n in range(group.num_columns)}


@given(st.lists(names, max_size=5))
def test_dictionaries_may_differ_by_row_group(tmp_path_factory: pytest.TempPathFactory, groups: list[list]) -> None:
    path = tmp_path_factory.mktemp("groups") / part_name(0)
    starts = [sum(map(len, groups[:number])) for number in range(len(groups))]
    with open_part(path, KEYED) as part:
        for ids, start in zip(groups, starts, strict=True):
            part.write(keyed(ids, start).set_column(0, "seq_id", pa.array(ids, pa.string()).dictionary_encode()))
    wanted = [one for ids in groups for one in ids]
    assert part.rows == len(wanted)
    assert group_rows(path) == [len(ids) for ids in groups if ids]
    assert read_part(path)["seq_id"].cast(pa.string()).to_pylist() == wanted
    assert pl.read_parquet(path)["seq_id"].to_list() == wanted
    assert read_part(path, ["line_no"]).to_pydict() == {"line_no": list(range(len(wanted)))}


@given(st.lists(st.lists(st.sampled_from(["a", "b", "ä"]), max_size=9), min_size=1, max_size=4))
def test_row_groups_come_in_the_codes_of_a_given_dictionary(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[str]]
) -> None:
    path = tmp_path_factory.mktemp("codes") / part_name(0)
    with open_part(path, KEYED) as part:
        for ids in groups:
            part.write(keyed(list(ids)))
    known = pa.array(["ä", "b", "a"])
    found = [group["seq_id"].combine_chunks() for group in read_row_groups(path, ["seq_id"], known)]
    assert all(ids.dictionary.equals(known) for ids in found)
    assert [ids.to_pylist() for ids in found] == [ids for ids in groups if ids]


def test_tokens_that_are_repeated_get_a_dictionary_and_others_share_their_beginnings(tmp_path: Path) -> None:
    token, count = "e_words.list.element.token", "e_words.list.element.count"
    for name, tokens, is_repeated in (
        ("repeated", [["a", "b"]] * 20, True),
        ("distinct", [[f"token {n}", f"token {n} more"] for n in range(20)], False),
    ):
        path = tmp_path / name
        write_part(path, bags(tokens), BAGS)
        found = encodings(path)
        assert ("RLE_DICTIONARY" in found[token]) is is_repeated
        assert ("DELTA_BYTE_ARRAY" in found[token]) is not is_repeated
        assert "DELTA_BINARY_PACKED" in found[count]
        plain = [[{"token": word, "count": 1} for word in sorted(bag)] for bag in tokens]
        assert read_part(path)["e_words"].to_pylist() == plain == pl.read_parquet(path)["e_words"].to_list()


def test_plain_bags_are_written_as_coded_ones_are_read(tmp_path: Path) -> None:
    coded = bags([["a", "b"], [], ["a"]])
    for name, table in (("coded", coded), ("plain", coded.cast(BAGS)), ("chunks", pa.concat_tables([coded] * 2))):
        write_part(tmp_path / name, table, BAGS)
        assert read_part(tmp_path / name)["e_words"].to_pylist() == table["e_words"].to_pylist()


def test_only_columns_that_are_filtered_have_statistics_and_all_pages_a_checksum(tmp_path: Path) -> None:
    path = tmp_path / part_name(0)
    write_part(path, keyed(["a", "b"]), KEYED)
    columns = [read_metadata(path).row_group(0).column(leaf) for leaf in range(3)]
    assert [column.is_stats_set for column in columns] == [True, False, False]
    assert {column.compression for column in columns} == {"ZSTD"}
    assert "DELTA_BINARY_PACKED" in columns[1].encodings
    damaged = bytearray(path.read_bytes())
    damaged[columns[2].dictionary_page_offset - 1] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(path, page_checksum_verification=True)


def test_an_empty_part_has_its_columns_and_plain_types(tmp_path: Path) -> None:
    for number, table_schema in enumerate((schema.EVENTS, schema.ENHANCED, schema.METRICS, schema.PREDICTIONS)):
        path = tmp_path / part_name(number)
        with open_part(path, table_schema) as part:
            part.write(table_schema.empty_table())
        assert part.rows == count_rows(path) == 0
        assert pq.read_schema(path).equals(table_schema)
        assert pl.read_parquet(path).columns == table_schema.names
        assert list(read_row_groups(path, table_schema.names)) == []


@pytest.mark.parametrize("written", [0, 1, 3])
def test_an_error_inside_the_block_leaves_nothing(tmp_path: Path, written: int) -> None:
    def fail() -> None:
        with open_part(tmp_path / "t.parquet" / part_name(0), KEYED) as part:
            for number in range(written):
                part.write(keyed(["a"], number))
            raise ValueError("a bad line")

    with pytest.raises(ValueError, match="a bad line"):
        fail()
    assert list((tmp_path / "t.parquet").iterdir()) == []


def test_a_disk_that_is_full_at_the_end_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def close(_: pq.ParquetWriter) -> None:
        raise OSError(28, "No space left on device")

    part = open_part(tmp_path / part_name(0), KEYED)
    part.write(keyed(["a"]))
    monkeypatch.setattr(pq.ParquetWriter, "close", close)
    with pytest.raises(OSError, match="No space left"):
        part.__exit__(None, None, None)
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_other_columns_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        write_part(tmp_path / part_name(0), pa.table({"seq_id": ["a"]}), KEYED)
    with pytest.raises(pa.ArrowInvalid):
        write_part(tmp_path / part_name(0), keyed(["a"]).set_column(1, "line_no", pa.array(["no number"])), KEYED)
    assert list(tmp_path.iterdir()) == []


def test_further_columns_are_left_out_and_types_are_those_of_the_schema() -> None:
    table = pa.table({"more": [1], "m_message": ["m"], "line_no": pa.array([7], pa.int8()), "seq_id": ["a"]})
    fitted = fit(table, KEYED)
    assert fitted.schema.equals(schema.in_memory(KEYED))
    assert fitted.to_pylist() == [{"seq_id": "a", "line_no": 7, "m_message": "m"}]


def test_a_part_in_memory_has_the_bytes_of_one_on_disk(tmp_path: Path) -> None:
    groups = [keyed(["a", "b"]), keyed(["c"], 2)]
    with open_part(tmp_path / "x", KEYED) as part:
        for group in groups:
            part.write(group)
    assert part_buffer(groups, KEYED).to_pybytes() == (tmp_path / "x").read_bytes()


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "local":
        yield tmp_path / "t.parquet"
        return
    pytest.importorskip("upath")
    path = storage.to_path(f"memory://{uuid.uuid4().hex}/t.parquet")
    yield path
    storage.remove_tree(path)


def test_parts_in_any_store(folder: Path, tmp_path: Path) -> None:
    ensure_part(folder, KEYED)
    assert (count_rows(folder), len(part_paths(folder))) == (0, 1)
    for number, ids in enumerate((["a", "b"], ["c"], [])):
        assert write_part(folder / part_name(number), keyed(list(ids)), KEYED) == len(ids)
    assert count_rows(folder) == 3
    assert [table["seq_id"].to_pylist() for table in read_parts(folder, ["seq_id"])] == [["a", "b"], ["c"], []]
    assert read_rows(folder, ["seq_id"]).column(0).to_pylist() == ["a", "b", "c"]
    assert read_rows(part_paths(folder)[:2], ["line_no"], [("seq_id", "=", "b")]).column(0).to_pylist() == [1]
    assert part_paths(folder / part_name(1)) == [folder / part_name(1)]
    write_part(tmp_path / "copy", keyed(["a", "b"]), KEYED)
    assert checksum(folder / part_name(0)) == checksum(tmp_path / "copy")
    prune_parts(folder, [part_name(2)])
    assert part_paths(folder) == [folder / part_name(2)]


def test_a_failure_in_any_store_leaves_what_was_there(folder: Path) -> None:
    path = folder / part_name(0)
    write_part(path, keyed(["a"]), KEYED)
    before = path.read_bytes()

    def fail() -> None:
        with open_part(path, KEYED) as part:
            part.write(keyed(["b", "c"]))
            raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        fail()
    assert path.read_bytes() == before
    assert part_paths(folder) == [path]
