"""The same input on 1 worker and on 2, in small and in large batches, gives byte-equal tables."""

import hashlib
import os
from pathlib import Path

import pyarrow as pa
import pytest

from lo2dask.commands.load import load
from lo2dask.execute.session import Session
from lo2dask.ingest.enhance import are_few
from lo2dask.options import CommonOptions, LoadOptions
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_parts
from tests.trees import make_tree, plain, table_of

TABLES = (
    "events",
    "sequences",
    "sequences_enhanced",
    "templates",
    "statements",
    "vocabulary",
    "metrics",
    "traces",
    "rejects",
)


def result(root: Path, out: Path, session: Session, partition_size: str) -> dict[str, bytes]:
    """Load, and give each table's bytes, its rows sorted by what identifies them."""
    options = LoadOptions(
        root=root, output_dir=out, partition_size=partition_size, save_events=True, load_metrics=True,
        continuation_lines="merge",
    )  # fmt: skip
    load(options, session)
    found = {}
    for name in TABLES:
        table = table_of(out / f"lo2_{name}.parquet")
        if name == "events":
            table = table.sort_by([("seq_id", "ascending"), ("line_no", "ascending")])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())
        found[name] = sink.getvalue().to_pybytes()
    return found


@pytest.mark.parametrize("few", [pytest.param(1_000, marks=pytest.mark.thorough), 4])
def test_workers_and_partitions_change_no_byte(
    tmp_path: Path, two_workers: Session, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("lo2dask.ingest.enhance.PARTS_FINISHED_HERE", few)
    raw = make_tree(tmp_path / "raw", scale=0.03, runs=3, with_metrics=True)
    (raw / "light-oauth2-data-1719592986" / "correct" / "light-oauth2-oauth2-code-1.log").write_bytes(b"")
    wanted = result(raw, tmp_path / "serial", Session.serial(), "64MB")
    found = result(raw, tmp_path / "two", two_workers, "100KB")
    assert [name for name in TABLES if found[name] != wanted[name]] == []
    parts = list((tmp_path / "two" / "lo2_sequences.parquet").iterdir())
    assert len(parts) > 4


def test_few_parts_are_finished_without_a_worker(tmp_path: Path, tiny_tree: Path) -> None:
    options = LoadOptions(root=tiny_tree, output_dir=tmp_path / "out", workers=2)
    load(options, Session.serial())
    Layout(tmp_path / "out").marker("enhance").unlink()
    with Session(options) as session:
        load(options, session)
        assert session._client is None
    assert [are_few(*few) for few in ((16, 2 << 30), (17, 0), (1, (2 << 30) + 1))] == [True, False, False]


def double(value: int, by: int = 2) -> int:
    return value * by


def fail_once(value: int, folder: Path) -> int:
    """Fail as a lost worker would look, the first time each value is seen."""
    mark = folder / str(value)
    if not mark.exists():
        mark.write_text("")
        os._exit(1)
    return value


def refuse(value: int) -> int:
    raise ValueError(f"no {value}")


def test_a_serial_session_keeps_order_and_tells_listeners() -> None:
    seen = []
    session = Session.serial()
    session.listeners.append(lambda *news: seen.append(news))
    assert session.map(double, [3, 1], "w", by=10) == [30, 10]
    assert seen == [("w", 0, 2, None), ("w", 1, 2, 30), ("w", 2, 2, 10)]
    assert session.call(double, 4) == 8
    with pytest.raises(ValueError, match="no 7"):
        session.map(refuse, [7], "w")


def test_a_cluster_keeps_order_survives_a_lost_worker_and_raises(tmp_path: Path) -> None:
    with Session(CommonOptions(workers=1, memory_limit="1GB")) as session:
        assert session.map(double, range(150), "w") == [2 * value for value in range(150)]
        assert session.map(fail_once, [1, 2], "w", folder=tmp_path) == [1, 2]
        assert session.map(double, [], "w") == []
        with pytest.raises(ValueError, match="no 7"):
            session.map(refuse, [7], "w")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("runs", "scale", "workers", "sizes"),
    [
        (3, 0.03, (1,), ("100KB", "6400KB")),
        pytest.param(10, 1.0, (1, 2, 4), ("4MB", "64MB", "256MB"), marks=pytest.mark.slow),
    ],
)
def test_templates_and_vocabulary_whatever_the_workers_and_partitions(
    runs: int, scale: float, workers: tuple[int, ...], sizes: tuple[str, ...], tmp_path: Path, two_workers: Session
) -> None:
    """Template ids of every event, and the bytes of both tables, are those of a single process."""
    raw = make_tree(tmp_path / "raw", runs=runs, scale=scale)
    found = {}
    for count in workers:
        with Session(CommonOptions(workers=count, memory_limit="1GB")) as session:
            for size in sizes:
                out = tmp_path / f"{count}-{size}"
                load(LoadOptions(root=raw, output_dir=out, partition_size=size, save_events=True), session)
                found[count, size] = of_tokens(out)
    load(LoadOptions(root=raw, output_dir=tmp_path / "two", partition_size=sizes[0], save_events=True), two_workers)
    found[2, sizes[0]] = of_tokens(tmp_path / "two")
    assert len(list((tmp_path / f"1-{sizes[0]}" / "lo2_sequences.parquet").iterdir())) > 4
    assert [key for key, digest in found.items() if digest != found[workers[0], sizes[0]]] == []


def of_tokens(out: Path) -> list[bytes]:
    """Return the vocabulary's and the templates' files, and a digest of each event's template id."""
    files = [path for name in ("vocabulary", "templates") for path in part_paths(out / f"lo2_{name}.parquet")]
    columns = ["seq_id", "line_no", "e_event_drain_id"]
    events = pa.concat_tables(
        [part.cast(plain(part.schema)) for part in read_parts(out / "lo2_events.parquet", columns)]
    )
    ordered = events.sort_by([("seq_id", "ascending"), ("line_no", "ascending")])
    ids = "\n".join(ordered["e_event_drain_id"].to_pylist())
    return [*(path.read_bytes() for path in files), hashlib.sha256(ids.encode()).digest()]
