"""Timings of stages and the needs that rest on them: what is kept, what damage costs, how needs grow."""

import logging
import uuid
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lo2dask import storage
from lo2dask.errors import InputError
from lo2dask.options import LoadOptions
from lo2dask.parse.chunks import BLOCK_BYTES
from lo2dask.schema import TokenKinds
from lo2dask.sizing.forecast import STORED, Wanted, forecast, spill_bytes
from lo2dask.sizing.needs import load_needs, loaded_spill_bytes
from lo2dask.sizing.timings import TIMINGS, batch_seconds, note, read_timings, tree_bytes
from lo2dask.sources.names import log_service
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import batch_summaries, read_load
from tests.trees import load_tree

MB, GB = 10**6, 10**9
stages = st.dictionaries(
    st.sampled_from(["load", "enhance", "train", "explain"]),
    st.dictionaries(st.sampled_from(["seconds", "workers", "sequences"]), st.floats(0, 1e6), min_size=1),
)


@given(stages)
def test_each_stage_keeps_its_last_figures(tmp_path_factory: pytest.TempPathFactory, figures: dict) -> None:
    layout = Layout(tmp_path_factory.mktemp("timings"))
    assert read_timings(layout) == {}
    for stage, values in figures.items():
        note(layout, stage, seconds=0.0)
        note(layout, stage, **values)
    rounded = {stage: {k: round(v, 3) for k, v in values.items()} for stage, values in figures.items()}
    assert read_timings(layout) == rounded


def test_damaged_timings_count_as_none_and_are_written_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    layout = Layout(tmp_path)
    note(layout, "load", seconds=1.5)
    layout.marker(TIMINGS.name).write_text('{"stages": {"load": 3}}')
    with caplog.at_level(logging.WARNING):
        assert read_timings(layout) == {}
    assert caplog.messages == [f"_lo2dask/timings.json is damaged: {TIMINGS.again}"]
    note(layout, "train", seconds=2.0)
    assert read_timings(layout) == {"train": {"seconds": 2.0}}


@pytest.mark.parametrize("where", ["local", "memory"])
def test_the_bytes_of_a_tree_are_those_of_its_files(tmp_path: Path, where: str) -> None:
    if where == "memory":
        pytest.importorskip("upath")
    folder = tmp_path / "tree" if where == "local" else storage.to_path(f"memory://{uuid.uuid4().hex}/tree")
    assert tree_bytes(folder) == 0
    for name, size in (("a", 3), ("deep/b", 5), ("deep/deeper/c", 0)):
        storage.write_bytes(folder / name, b"x" * size)
    assert tree_bytes(folder) == 8
    assert tree_bytes(folder / "deep") == 5


@pytest.fixture(scope="module")
def loaded(tiny_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return Layout(load_tree(tiny_tree, tmp_path_factory.mktemp("sizing") / "out", partition_size="300KB"))


def test_a_load_says_what_its_batches_read(tiny_tree: Path, loaded: Layout) -> None:
    raw = sum(path.stat().st_size for path in tiny_tree.rglob("*.log") if log_service(path.name))
    seconds, size, batches = batch_seconds(loaded)
    summaries = batch_summaries(loaded)
    assert size == raw == sum(one["bytes"] for one in summaries)
    assert batches == len(summaries) > 1
    assert seconds > 0
    load = read_load(loaded)
    assert load is not None
    assert (load["done"], load["format"], Path(load["root"])) == (True, "lo2", tiny_tree.resolve())
    kinds = TokenKinds.of("both")
    assert loaded_spill_bytes(loaded, kinds) == spill_bytes(raw, 300_000, kinds)


@given(st.integers(100 * MB, 700 * GB), st.sampled_from([1 * MB, 16 * MB, 64 * MB]))
def test_smaller_batches_spill_more_and_raw_tokens_more_than_masked_ones(size: int, batch: int) -> None:
    masked, raw, both = (TokenKinds.of(name) for name in ("masked", "raw", "both"))
    assert spill_bytes(size, batch, masked) <= spill_bytes(size, batch // 4, masked)
    assert spill_bytes(size, batch, masked) <= spill_bytes(size, batch, raw)
    summed = spill_bytes(size, batch, masked) + spill_bytes(size, batch, raw)
    assert abs(spill_bytes(size, batch, both) - summed) <= 2


@given(st.integers(1, 700 * GB), st.integers(1, 64), st.sampled_from([4 * MB, 64 * MB]))
def test_needs_grow_with_the_size_and_no_worker_holds_more_than_a_block(size: int, workers: int, batch: int) -> None:
    one, two = (forecast(STORED, Wanted(n * size, workers, batch, 2 * GB)) for n in (1, 2))
    for stage, seconds in one.seconds.items():
        assert seconds <= two.seconds[stage] * (1 + 1e-9) or one.workers < two.workers, stage
    assert (one.batches, one.output) <= (two.batches, two.output)
    assert one.load_worker_memory <= STORED.worker + STORED.block * min(batch, BLOCK_BYTES) + 1
    assert one.load_memory <= STORED.client + one.workers * one.load_worker_memory + one.workers
    assert 1 <= one.workers <= workers


def test_what_a_load_needs_depends_on_what_it_writes() -> None:
    def needs(**changes: object) -> tuple[int, int]:
        found = load_needs(LoadOptions(root="tree", **changes), 10 * GB, 5_000, 4)
        assert found.sequences == 5_000
        return found.load_output, found.spill

    plain, events, bare, both = needs(), needs(save_events=True), needs(enhance=False), needs(tokens="both")
    assert bare[0] < plain[0] < both[0]
    assert events[0] - plain[0] == pytest.approx(10 * GB * STORED.events, rel=0.01)
    assert bare[1] == needs(save_parquet=False)[1] == 0 < plain[1] == events[1] < both[1]
    with pytest.raises(InputError, match="--partition-size"):
        load_needs(LoadOptions(root="tree", partition_size="much"), GB, 1, 1)
