"""Another user of the machine cannot reach the cluster of a command that runs."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.attack.program import Folders, finish, start
from tests.attack.tally import TALLY
from tests.execute.test_private import attack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can change to another user"),
]
SECONDS = 60


def addresses(pid: int) -> list[str]:
    """List what the processes of a command listen at, once its workers do as well."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            found = [c.laddr.port for one in tree for c in one.net_connections() if c.status == psutil.CONN_LISTEN]
        except psutil.NoSuchProcess:
            found = []
        if len(set(found)) >= 2:
            return [f"{scheme}://127.0.0.1:{port}" for port in sorted(set(found)) for scheme in ("tls", "tcp")]
        time.sleep(0.05)
    raise AssertionError("the command listens nowhere")


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A temporary folder that every user may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_another_user_is_refused_by_a_command_that_runs(finished: Folders, tmp_path: Path, temporary: Path) -> None:
    out = shutil.copytree(finished.out, tmp_path / "out")
    many = ("--algorithms", "lr,if", "--representations", "words", "--seeds", "100", "--workers", "1")
    process = start("grid", "--root", out, *many, TMPDIR=str(temporary))
    try:
        targets = addresses(process.pid)
        keys = [str(path) for path in temporary.rglob("*.pem")]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda target: attack(target, *keys), targets))
        assert process.poll() is None, "the command had ended before it was attacked"
    finally:
        process.send_signal(signal.SIGINT)
    assert finish(process).code == 130
    assert len(keys) >= 2
    TALLY.add("another user", len(targets))
    refused = ["no key"] * len(keys) + ["refused"]
    pairs = zip(targets, answers, strict=True)
    TALLY.check("silent", [f"{target}: {said}" for target, said in pairs if said != refused])
