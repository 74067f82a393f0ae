"""kill -9 of a worker, of the client or of the whole process group at a random moment, then the same command again."""

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from lo2dask.options import SynthOptions
from lo2dask.synthesis import write_tree
from lo2dask.tables.parts import part_paths, read_part

pytestmark = pytest.mark.slow

TABLES = {
    "lo2_events.parquet": ["seq_id", "line_no"],
    "lo2_sequences.parquet": ["seq_id"],
    "lo2_sequences_enhanced.parquet": ["seq_id"],
    "lo2_templates.parquet": ["e_event_drain_id"],
    "lo2_vocabulary.parquet": ["representation", "token"],
    "lo2_rejects.parquet": ["path"],
}
SEEDS = int(os.environ.get("LO2DASK_KILL_SEEDS", "20"))


def digest(output: Path) -> dict[str, str]:
    found = {}
    for name, order in TABLES.items():
        parts = [read_part(path) for path in part_paths(output / name)]
        table = pa.concat_tables(parts, promote_options="default").unify_dictionaries()
        plain = table.cast(pa.schema([pa.field(f.name, _plain(f.type)) for f in table.schema]))
        rows = plain.sort_by([(column, "ascending") for column in order]).to_pylist()
        found[name] = hashlib.sha256(repr(rows).encode()).hexdigest()
    return found


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def start(root: Path, output: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lo2dask", "load", "--root", str(root), "--output-dir", str(output)]
    command += ["--save-events", "--partition-size", "1MB", "--workers", "2", "--quiet", "--continuation-lines", "fill"]
    return subprocess.Popen(command, start_new_session=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("kill") / "tree"
    write_tree(SynthOptions(out=root, runs=6, errors_per_run=3, scale=0.3))
    return root


@pytest.fixture(scope="module")
def undisturbed(tree, tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    started = time.monotonic()
    assert start(tree, output).wait(timeout=120) == 0
    return digest(output), time.monotonic() - started


@pytest.mark.parametrize("seed", range(SEEDS))
def test_killed_and_started_again_gives_the_same_tables(seed, tree, undisturbed, tmp_path):
    expected, seconds = undisturbed
    draw = random.Random(seed)
    victim = draw.choice(["worker", "client", "group"])
    process = start(tree, tmp_path / "out")
    time.sleep(draw.uniform(0.1, 1.0) * seconds)
    if process.poll() is None:
        _kill(process, victim)
    process.wait(timeout=120)
    _wait_for_orphans(process.pid)
    assert start(tree, tmp_path / "out").wait(timeout=120) == 0
    assert digest(tmp_path / "out") == expected
    assert not list((tmp_path / "out").rglob("*.tmp")), "a killed process' files are cleared away"


@pytest.mark.parametrize("pause", [0.0, 0.05, 0.15])
def test_killed_while_the_vocabulary_is_made(pause, tree, undisturbed, tmp_path, monkeypatch):
    """What was spilled lies in the scratch folder; the same command removes it and gives the same tables."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    process = start(tree, tmp_path / "out")
    while process.poll() is None and not _spilled(scratch, tmp_path / "out"):
        time.sleep(0.005)
    time.sleep(pause)
    _kill(process, "group")
    process.wait(timeout=120)
    _wait_for_orphans(process.pid)
    assert process.returncode == -signal.SIGKILL or pause
    assert start(tree, tmp_path / "out").wait(timeout=120) == 0
    assert digest(tmp_path / "out") == undisturbed[0]
    assert not _spilled(scratch, tmp_path / "out")
    assert not list(scratch.glob("lo2dask-*"))


def _spilled(scratch: Path, output: Path) -> list[Path]:
    return [*scratch.glob("lo2dask-*/spill"), *output.glob("_lo2dask/spill")]


def _kill(process: subprocess.Popen[bytes], victim: str) -> None:
    if victim == "group":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return
    members = psutil.Process(process.pid).children(recursive=True)
    workers = [member for member in members if not member.children()]
    if victim == "worker" and workers:
        workers[0].kill()
    else:
        process.kill()


def _wait_for_orphans(session: int) -> None:
    """Wait until what a killed client left has ended by itself, or end it: it must not write next to the next run."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        left = [p for p in psutil.process_iter() if _in_session(p, session)]
        if not left:
            return
        time.sleep(0.2)
    for member in left:
        member.kill()


def _in_session(process: psutil.Process, session: int) -> bool:
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
