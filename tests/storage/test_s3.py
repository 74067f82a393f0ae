"""The chain from and to an object store: a local S3 server, a real cluster of two workers, the tables of a local run.

Run with ``python -m pytest -m s3``; needs the extras s3 and s3-test.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lo2dask.errors import InputError
from lo2dask.options.paths import to_path
from lo2dask.storage import lock

pytestmark = pytest.mark.s3
TABLES = ("lo2_events", "lo2_sequences", "lo2_sequences_enhanced", "lo2_templates", "lo2_vocabulary")
MODELS = ["--models", "event_lr_words,event_oov_words"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def lo2dask(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lo2dask", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def done(*arguments: object) -> str:
    result = lo2dask(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def store() -> Iterator[Any]:
    """Start the server, say where it is in the environment that workers inherit, and make the bucket ``lo2``."""
    s3fs = pytest.importorskip("s3fs", reason="the extra s3 is not installed")
    pytest.importorskip("moto.server", reason="the extra s3-test is not installed")
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            wait_for(port)
            files = s3fs.S3FileSystem(skip_instance_cache=True)
            files.mkdir("lo2")
            yield files
        finally:
            server.terminate()
            server.wait(30)


def wait_for(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("the S3 server did not come up")


def load(root: object, out: object) -> str:
    kept = ("--save-events", "--tokens", "both")
    return done("load", "--root", root, "--output-dir", out, *kept, "--workers", 2)


@pytest.fixture(scope="module")
def loaded(store: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Load and train one small tree twice, locally and in the store; return the local folder."""
    folder = tmp_path_factory.mktemp("s3")
    done("synth", folder / "tree", "--runs", 3, "--scale", 0.05, "--quiet")
    store.put(f"{folder}/tree/", "lo2/tree/", recursive=True)
    for root, out in ((folder / "tree", folder / "out"), ("s3://lo2/tree", "s3://lo2/out")):
        load(root, out)
        done("train", "--root", out, *MODELS, "--workers", 2, "--quiet")
    return folder


@pytest.mark.parametrize("table", [*TABLES, "lo2_if_predictions"])
def test_tables_are_those_of_a_local_run(store: Any, loaded: Path, table: str) -> None:
    parts = sorted((loaded / "out" / f"{table}.parquet").glob("*.parquet"))
    assert parts
    for part in parts:
        assert store.cat(f"lo2/out/{table}.parquet/{part.name}") == part.read_bytes(), part.name


def times_of_parts(store: Any, folder: str) -> dict[str, Any]:
    store.invalidate_cache()
    found = store.find(folder, detail=True).items()
    return {name: info["LastModified"] for name, info in found if name.endswith(".parquet")}


def test_a_second_run_does_nothing_and_a_changed_log_is_noticed(store: Any, loaded: Path) -> None:
    before = times_of_parts(store, "lo2/out")
    load("s3://lo2/tree", "s3://lo2/out")
    assert times_of_parts(store, "lo2/out") == before
    log = store.glob("lo2/tree/*/correct/*oauth2-token-1.log")[0]
    store.put(f"{loaded}/tree", "lo2/changed", recursive=True)
    load("s3://lo2/changed", "s3://lo2/changed-out")
    changed = log.replace("lo2/tree", "lo2/changed")
    store.pipe(changed, store.cat(log) + b"23:59:59.999 one line more\n")
    load("s3://lo2/changed", "s3://lo2/changed-out")
    name = "lo2/changed-out/lo2_sequences.parquet/part-000000.parquet"
    store.invalidate_cache()
    assert store.cat(name) != (loaded / "out/lo2_sequences.parquet/part-000000.parquet").read_bytes()


def test_explain_and_report(store: Any, loaded: Path) -> None:
    done("explain", "--root", "s3://lo2/out", "--workers", 2, "--quiet")
    done("report", "--root", "s3://lo2/out", "--workers", 2, "--quiet")
    store.invalidate_cache()
    names = [name.removeprefix("lo2/out/") for name in store.find("lo2/out")]
    assert any(name.endswith("event_lr_words_shap_bar.png") for name in names)
    assert any(name.endswith("report.html") for name in names)


def test_a_missing_bucket_is_one_line(store: Any, loaded: Path) -> None:
    result = lo2dask("load", "--root", "s3://nowhere/tree", "--output-dir", "s3://lo2/none")
    assert result.returncode == 2
    assert result.stderr.strip().count("\n") == 0
    assert "s3://nowhere" in result.stderr


def test_secrets_in_a_url_are_refused_and_not_repeated(store: Any) -> None:
    result = lo2dask("load", "--root", "s3://me:hunter2@lo2/tree", "--output-dir", "s3://lo2/none")
    assert result.returncode == 2
    assert "hunter2" not in result.stderr + result.stdout
    assert "AWS_ACCESS_KEY_ID" in os.environ


def test_one_of_many_takes_over_an_abandoned_lease(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store itself refuses all but the first: each writes on the condition of what it has seen."""
    monkeypatch.setattr(lock, "LEASE_SECONDS", 0.5)
    path = to_path("s3://lo2/leased") / lock.LOCK
    path.write_text(json.dumps({"token": "of a killed owner"}))
    seen = lock._abandoned_version(path)
    barrier = threading.Barrier(8)

    def take(number: int) -> bool:
        barrier.wait()
        return lock._take_over(path, {"token": str(number)}, seen)

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(take, range(8)))
    assert taken.count(True) == 1
    assert lock._read(path) == {"token": str(taken.index(True))}


def test_a_held_folder_in_the_store_is_refused_and_renewed(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "LEASE_SECONDS", 1.5)
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.3)
    folder = to_path("s3://lo2/held")
    with lock.locked(folder, "lo2dask load"), ThreadPoolExecutor(1) as pool:
        with pytest.raises(InputError, match="is in use: lo2dask load is at work there"):
            pool.submit(lock.check_not_in_use, folder).result()
    store.invalidate_cache()
    assert not store.exists("lo2/held/.lo2dask.lock")


HOLD = """
import sys, time
from lo2dask.options.paths import to_path
from lo2dask.storage import lock
lock.LEASE_SECONDS, lock.BEAT_SECONDS, lock.POLL_SECONDS = 3.0, 0.3, 0.1
with lock.locked(to_path("s3://lo2/raced"), sys.argv[1], wait=True):
    print("in", time.time(), flush=True)
    time.sleep(float(sys.argv[2]))
    print("out", time.time(), flush=True)
"""


def hold(name: str, seconds: float) -> subprocess.Popen[str]:
    """Wait for a folder in the store, and hold it for some seconds, in a process of its own."""
    command = [sys.executable, "-c", HOLD, name, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_two_that_wait_for_a_killed_owner_one_comes_after_the_other(store: Any) -> None:
    owner = hold("owner", 300)
    assert owner.stdout is not None
    assert owner.stdout.readline().startswith("in ")
    waiting = [hold(name, 1.5) for name in ("first", "second")]
    time.sleep(3.5)  # they watch the lease, which its owner renews
    assert [one.poll() for one in waiting] == [None, None]
    owner.kill()
    killed = time.time()
    owner.communicate()
    said = [one.communicate(timeout=60) for one in waiting]
    assert [one.returncode for one in waiting] == [0, 0], said
    (begin, end), (next_begin, _) = sorted([float(word) for word in out.split()[1::2]] for out, _ in said)
    assert killed < begin < end <= next_begin
    assert all("is in use: owner is at work there" in err for _, err in said)
    store.invalidate_cache()
    assert not store.exists("lo2/raced/.lo2dask.lock")
