"""Vocabularies of spilled counts equal those counted at once, for any parts, buckets, bounds and skew."""

import tempfile
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lo2dask import schema, storage
from lo2dask.execute.session import Session
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part
from lo2dask.vocabulary import reduce, spill, write
from lo2dask.vocabulary.counts import COUNTED
from lo2dask.vocabulary.limits import VocabularyLimits, choose
from lo2dask.vocabulary.reduce import VocabularyPlan, merge_spilled, sum_bucket, sum_counts
from lo2dask.vocabulary.spill import Bucket, Spill, write_counts
from lo2dask.vocabulary.texts import hash_texts
from lo2dask.vocabulary.write import write_vocabulary
from tests.examples import examples

ALL = VocabularyLimits(1, 1.0, 0, binary=False)
tokens = st.text(st.sampled_from("abäé€😀\0"), max_size=3)
parts = st.lists(st.dictionaries(tokens, st.integers(1, 3), max_size=15), max_size=5)
limits = st.builds(
    VocabularyLimits, st.integers(1, 3), st.sampled_from([0.5, 1.0]), st.sampled_from([0, 1, 3, 10]), st.booleans()
)


def table(counts: dict[str, int]) -> pa.Table:
    """Counted tokens, each three times as often as it has rows."""
    return pa.table([list(counts), list(counts.values()), [3 * n for n in counts.values()]], schema=COUNTED)


def numbered(start: int, stop: int) -> pa.Table:
    """Counted tokens whose counts repeat, so that a cut falls among equal ones."""
    numbers = np.arange(start, stop)
    return pa.table([[f"token {n:06d}" for n in numbers], 1 + numbers % 7, 1 + numbers % 11], schema=COUNTED)


def merged(folder: Path, tables: Sequence[pa.Table], wanted: VocabularyLimits, n_rows: int) -> list[pa.Table]:
    """Spill each part's table, after an empty one, and merge; return the tables of the stream."""
    spilled = Spill(folder, ("none", "tokens"))
    rows = [spilled.add(f"{number}", [COUNTED.empty_table(), each]) for number, each in enumerate(tables)]
    plans = [VocabularyPlan(name, wanted, n_rows) for name in spilled.names]
    nothing, found = merge_spilled(spilled, rows, plans, Session.serial())
    assert sum(each.num_rows for each in nothing) == 0
    return list(found)


@examples(60)
@given(parts, limits, st.sampled_from([1, 8]), st.sampled_from([1, 200, 1 << 20]), st.sampled_from([1, 3, 1 << 12]))
def test_any_parts_and_buckets_make_the_vocabulary_of_a_counter(
    many: list[dict[str, int]], wanted: VocabularyLimits, bucket_rows: int, most: int, batch: int
) -> None:
    total: Counter[str] = sum(map(Counter, many), Counter())
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(spill, "_BUCKET_ROWS", bucket_rows)
        sizes = {
            "BUCKET_ROWS": bucket_rows,
            "MOST_BYTES": most,
            "MERGE_ROWS": 5,
            "BATCH_ROWS": batch,
            "RANGE_BATCHES": 2,
        }
        for name, value in sizes.items():
            patch.setattr(reduce, name, value)
        found = merged(Path(folder), list(map(table, many)), wanted, 6)
    assert pa.concat_tables([COUNTED.empty_table(), *found]).equals(choose(table(total), wanted, 6))


@settings(deadline=None)
@given(parts)
def test_counts_are_summed_as_a_counter_does(many: list[dict[str, int]]) -> None:
    summed = sum_counts(map(table, many))
    assert summed.schema.equals(COUNTED)
    assert dict(zip(*summed.select([0, 1]).to_pydict().values(), strict=True)) == sum(map(Counter, many), Counter())
    assert summed["count"].to_pylist() == [3 * number for number in summed["document_frequency"].to_pylist()]


@pytest.mark.parametrize("cap", [1, 5000, 39_999, 1_000_000])
def test_what_ties_at_the_cut_is_taken_in_byte_order(tmp_path: Path, cap: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduce, "BUCKET_ROWS", 3000)
    monkeypatch.setattr(reduce, "MERGE_ROWS", 6000)
    tables = [numbered(0, 20_000), numbered(10_000, 40_000), numbered(0, 100)]
    wanted = VocabularyLimits(1, 1.0, cap, binary=False)
    (found,) = merged(tmp_path, tables, wanted, 100)
    assert found.equals(choose(sum_counts(tables), wanted, 100))


def test_without_a_cap_a_range_is_held_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"BUCKET_ROWS": 5000, "BATCH_ROWS": 100, "RANGE_BATCHES": 10}.items():
        monkeypatch.setattr(reduce, name, value)
    found = merged(tmp_path, [numbered(0, 20_000), numbered(10_000, 40_000)], ALL, 100)
    assert pa.concat_tables(found).equals(choose(sum_counts([numbered(0, 20_000), numbered(10_000, 40_000)]), ALL, 100))
    # Ten whole batches, and of each of the sixteen files at most one that began before.
    assert max(each.num_rows for each in found) <= 100 * (10 + 16)
    assert len(found) >= 40


def spill_parts(folder: Path, tables: Sequence[pa.Table]) -> list[Path]:
    paths = [folder / f"{number}.arrow" for number in range(len(tables))]
    for path, each in zip(paths, tables, strict=True):
        write_counts(path, [each])
    return paths


def skewed() -> pa.Table:
    """Tokens whose hashes agree in their last six bits."""
    many = pa.array([f"/oauth2/token/{number:06x}" for number in range(200_000)])
    chosen = many.filter(pa.array(hash_texts(many) % 64 == 5))
    return pa.table([chosen, range(1, len(chosen) + 1), range(1, len(chosen) + 1)], schema=COUNTED)


@pytest.mark.parametrize("skew", [False, True])
def test_a_task_never_holds_more_than_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skew: bool) -> None:
    """Distinct tokens stay within the bound, however many there are, and however their hashes fall."""
    tables = [skewed()] * 3 if skew else [numbered(start, start + 5000) for start in range(0, 40_000, 4000)]
    paths = spill_parts(tmp_path, tables)
    held = []
    real = reduce.sum_counts

    def watched(added: list[pa.Table]) -> pa.Table:
        held.append(sum(each.nbytes for each in added))
        return real(added)

    monkeypatch.setattr(reduce, "sum_counts", watched)
    most = 10_000
    found = list(sum_bucket(paths, 0, Bucket(5, 16) if skew else Bucket(), most))
    assert len(found) > 8
    assert max(each.nbytes for each in found) <= most
    # The sums so far, half as much of what is added, and what one part added last.
    assert max(held) <= 1.5 * most + max(each.nbytes for each in tables)
    wanted = sum_counts(tables).sort_by("token")
    assert pa.concat_tables(found).sort_by("token").equals(wanted)


def test_tokens_that_no_bit_tells_apart_are_summed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reduce, "_MOST_SPLITS", 64)
    (found, *rest) = sum_bucket(spill_parts(tmp_path, [skewed()] * 2), 0, Bucket(), 1000)
    assert sum_counts([found, *rest]).sort_by("token").equals(sum_counts([skewed()] * 2).sort_by("token"))
    assert max(each.num_rows for each in [found, *rest]) == skewed().num_rows


def test_no_part_and_no_token(tmp_path: Path) -> None:
    assert [each.num_rows for each in sum_bucket([], 0, Bucket(), 1)] == [0]
    assert merged(tmp_path, [], ALL, 0) == []
    assert sum(each.num_rows for each in merged(tmp_path, [], VocabularyLimits(), 0)) == 0


@pytest.mark.parametrize("cap", [0, 30])
def test_an_object_store_gives_the_same(tmp_path: Path, cap: int) -> None:
    pytest.importorskip("upath")
    wanted = VocabularyLimits(1, 1.0, cap, binary=True)
    folder = storage.to_path(f"memory://{uuid.uuid4().hex}/spill")
    there = merged(folder, [numbered(0, 100), numbered(50, 200)], wanted, 100)
    here = merged(tmp_path, [numbered(0, 100), numbered(50, 200)], wanted, 100)
    assert pa.concat_tables(there).equals(pa.concat_tables(here))
    storage.remove_tree(folder)
    assert list(storage.list_paths(folder, ".arrow")) == []


@pytest.mark.parametrize("rows", [7, 50, 1 << 20])
def test_the_written_file_does_not_depend_on_the_tables_of_a_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(write, "VOCABULARY_ROWS", rows)
    whole = {"words": numbered(0, 60), "trigrams": numbered(100, 145)}
    written = []
    for step in (1, 7, 1000):
        streams = {
            name: [each.slice(start, step) for start in range(0, each.num_rows, step)] for name, each in whole.items()
        }
        layout = Layout(tmp_path / f"{step}")
        write_vocabulary(layout, streams, COUNTED.empty_table(), ALL, n_rows=0)
        (path,) = part_paths(layout.vocabulary)
        written.append(path.read_bytes())
    assert written[0] == written[1] == written[2]
    found = read_part(path)
    assert found.schema.names == schema.VOCABULARY.names
    assert found["representation"].to_pylist() == ["words"] * 60 + ["trigrams"] * 45
    assert found["token"].to_pylist() == [token for each in whole.values() for token in each["token"].to_pylist()]
