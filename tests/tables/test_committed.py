"""Committed reads: a reader that polls during load, kill and resume sees whole states alone."""

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lo2dask
from lo2dask.errors import InputError
from lo2dask.tables.committed import read_table
from tests.trees import load_tree

TABLES = ("sequences", "sequences_enhanced", "events")


def command(tree: Path, output: Path, *more: str) -> subprocess.Popen:
    words = [sys.executable, "-m", "lo2dask", "load", "--root", str(tree), "--output-dir", str(output), "--quiet"]
    words += ["--workers", "1", "--save-events", "--partition-size", "60KB", *more]
    return subprocess.Popen(words, stderr=subprocess.PIPE)


def read(output: Path, name: str) -> pa.Table | None:
    try:
        return read_table(output, name)
    except InputError:
        return None


def plain(table: pa.Table) -> list[dict]:
    return table.select(["seq_id"]).to_pylist() + [{"columns": table.column_names}]


@pytest.mark.thorough
def test_a_reader_sees_committed_states_alone(tiny_tree: Path, tmp_path: Path) -> None:
    output, over = tmp_path / "out", threading.Event()
    seen: list[tuple[str, list[dict]]] = []
    half = [0]

    def poll() -> None:
        while not over.is_set():
            for name in TABLES:
                table = read(output, name)
                half[0] += table is None
                if table is not None:
                    seen.append((name, plain(table)))

    reader = threading.Thread(target=poll)
    reader.start()
    try:
        chance = random.Random(4)
        for more in ((), (), ("--no-resume",), ()):
            process = command(tiny_tree, output, *more)
            time.sleep(chance.uniform(1.5, 6))
            process.kill()
            process.communicate()
        process = command(tiny_tree, output)
        assert process.wait(300) == 0, process.communicate()
        time.sleep(0.5)
    finally:
        over.set()
        reader.join()
    expected = {name: plain(read_table(output, name)) for name in TABLES}
    assert len(list((output / "lo2_sequences.parquet").glob("part-*"))) > 1
    assert half[0] > 0, "the reader was never early"
    # Events get their template in a second pass: without it the table is a committed state of its own.
    for name, rows in seen:
        assert rows[:-1] == expected[name][:-1], name
    assert {name for name, _ in seen} == set(TABLES)


@pytest.fixture
def loaded(tiny_tree: Path, tmp_path: Path) -> Path:
    return load_tree(tiny_tree, tmp_path / "out", save_events=True, partition_size="60KB")


def test_what_is_not_committed_is_told(loaded: Path, tmp_path: Path) -> None:
    assert lo2dask.read_table(loaded, "sequences").num_rows == pq.read_table(loaded / "lo2_sequences.parquet").num_rows
    with pytest.raises(InputError, match=r"lo2_nothing\.parquet: no record names it \(there are events, .*seq"):
        read_table(loaded, "nothing")
    with pytest.raises(InputError, match="nothing was loaded"):
        read_table(tmp_path / "none", "sequences")
    part = next((loaded / "lo2_sequences.parquet").glob("part-*"))
    data = part.read_bytes()
    part.write_bytes(data[:-1] + b"\0")
    with pytest.raises(InputError, match="is not what its record describes"):
        read_table(loaded, "sequences")
    part.unlink()
    with pytest.raises(InputError, match="is missing"):
        read_table(loaded, "sequences", wait=0.3)
    part.write_bytes(data)
    (loaded / "_lo2dask" / "enhance.json").unlink()
    with pytest.raises(InputError, match="the stage enhance has not ended"):
        read_table(loaded, "sequences_enhanced")
    assert read_table(loaded, "sequences").num_rows
