"""Another user of the machine cannot reach the cluster of a command that runs."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.attack.program import Folders, finish, start
from tests.attack.tally import TALLY
from tests.execute.test_private import attack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can change to another user"),
]


def address(process: subprocess.Popen[str]) -> str:
    """Return the port of the scheduler, which a command writes down when it has started."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("cluster: tls://127.0.0.1:"):
            return line.split("//")[1].strip()
    raise AssertionError("the command wrote no address")


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
        scheduler = address(process)
        targets = [f"{scheme}://{scheduler}" for scheme in ("tls", "tcp")]
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
