"""What parts spill is read back bucket by bucket, each token in one bucket, from a disk or an object store."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lo2dask import storage
from lo2dask.errors import IntegrityError
from lo2dask.vocabulary import spill
from lo2dask.vocabulary.counts import COUNTED
from lo2dask.vocabulary.spill import Bucket, Spill, fit_buckets, open_counts, read_bucket, read_rows, write_counts
from lo2dask.vocabulary.texts import hash_texts


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "local":
        yield tmp_path / "spill"
        return
    pytest.importorskip("upath")
    path = storage.to_path(f"memory://{uuid.uuid4().hex}/spill")
    yield path
    storage.remove_tree(path)


def numbered(start: int, stop: int) -> pa.Table:
    numbers = np.arange(start, stop)
    return pa.table([[f"tökén {number}" for number in numbers], 1 + numbers % 7, 1 + numbers % 300], schema=COUNTED)


def ordered(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables([COUNTED.empty_table(), *tables]).sort_by("token").combine_chunks()


@pytest.mark.parametrize("rows", [1, 40, 1 << 12])
@pytest.mark.parametrize("of", [1, 4, 16, 128])
def test_buckets_are_all_of_each_table(folder: Path, monkeypatch: pytest.MonkeyPatch, rows: int, of: int) -> None:
    """Whether a file has more buckets than are asked for, as many, or fewer."""
    monkeypatch.setattr(spill, "_BUCKET_ROWS", rows)
    tables = [numbered(0, 500), COUNTED.empty_table(), pa.concat_tables([numbered(7, 9), numbered(20, 31)])]
    assert write_counts(folder / "part.arrow", iter(tables)) == [500, 0, 13]
    assert read_rows(folder / "part.arrow") == [500, 0, 13]
    for number, table in enumerate(tables):
        found = [read_bucket(folder / "part.arrow", number, Bucket(bucket, of)) for bucket in range(of)]
        assert all(each.schema.equals(COUNTED) for each in found)
        assert ordered(found).equals(ordered([table]))
        for bucket, own in enumerate(found):
            assert (hash_texts(own["token"].combine_chunks()) % of == bucket).all()


@settings(deadline=None)
@given(st.lists(st.text(max_size=4), unique=True, max_size=30), st.sampled_from([1, 2, 8]))
def test_halves_have_all_tokens_once(tokens: list[str], of: int) -> None:
    table = pa.table([tokens, range(len(tokens)), range(len(tokens))], schema=COUNTED)
    for number in range(of):
        bucket = Bucket(number, of)
        halves = [half.select(table) for half in bucket.halves()]
        assert ordered(halves).equals(ordered([bucket.select(table)]))


def test_numbers_are_as_narrow_as_they_may_be(tmp_path: Path) -> None:
    write_counts(tmp_path / "part.arrow", [numbered(0, 299), COUNTED.empty_table()])
    with open_counts(tmp_path / "part.arrow") as file:
        assert [str(field.type) for field in file.schema] == ["string", "uint8", "uint16"]
        assert file.num_record_batches == 32
    large = pa.table([["a"], [2**40], [2**62]], schema=COUNTED)
    write_counts(tmp_path / "large.arrow", [large])
    assert read_bucket(tmp_path / "large.arrow", 0, Bucket()).equals(large)


def test_parts_are_listed_and_what_was_spilled_elsewhere_is_taken(folder: Path) -> None:
    spilled = Spill(folder, ("words", "trigrams"))
    assert spilled.parts() == []
    assert spilled.add("b", [numbered(0, 3), numbered(0, 5)]) == [3, 5]
    elsewhere = folder.parent / "counted" / "a.arrow"
    write_counts(elsewhere, [numbered(0, 2), COUNTED.empty_table()], durable=True)
    assert spilled.take("a", elsewhere) == [2, 0]
    assert not elsewhere.exists()
    assert [path.name for path in spilled.parts()] == ["a.arrow", "b.arrow"]
    assert ordered([read_bucket(path, 0, Bucket()) for path in spilled.parts()]).num_rows == 5


@pytest.mark.parametrize("damage", ["empty", "truncated", "foreign", "middle"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "part.arrow"
    write_counts(path, [numbered(0, 5000)])
    data = path.read_bytes()
    end = data.rindex(b"ARROW1")
    damaged = {
        "empty": b"", "truncated": data[: len(data) // 2], "foreign": b"{}" * 50,
        "middle": data[: len(data) // 8] + data[end - len(data) // 2 :],
    }  # fmt: skip
    path.write_bytes(damaged[damage])
    with pytest.raises(IntegrityError) as error:
        read_bucket(path, 0, Bucket())
    assert str(path) in str(error.value)
    assert "run the same command again" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("size", [0, 3000])
def test_a_damaged_file_is_not_taken(tmp_path: Path, size: int) -> None:
    path = tmp_path / "part.arrow"
    write_counts(path, [numbered(0, 5000)])
    path.write_bytes(path.read_bytes()[:size])
    spilled = Spill(tmp_path / "spill", ("words",))
    with pytest.raises(IntegrityError, match="remove it"):
        spilled.take("part", path)
    assert path.exists()
    assert spilled.parts() == []


@pytest.mark.parametrize(("rows", "buckets"), [(0, 2), (10, 2), (20, 2), (21, 4), (45, 8), (81, 8), (10**9, 8)])
def test_buckets_grow_with_rows(rows: int, buckets: int) -> None:
    assert fit_buckets(rows, 10, 2, 8) == buckets
