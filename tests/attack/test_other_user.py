"""Another user of the machine cannot reach the cluster of a command that runs."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import LocalCluster

from tests.attack.program import Folders, start
from tests.attack.tally import TALLY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can change to another user"),
]

SECONDS = 10
# One connection, as nobody. Python itself may lie where others cannot read: all is imported before. A server speaks
# first: whoever it accepts hears it.
ATTACK = """
import encodings.idna, os, socket, ssl, sys
os.setgroups([]), os.setgid(65534), os.setuid(65534)
for path in sys.argv[2:]:
    try:
        print(open(path).read())
    except PermissionError:
        print("no key")
scheme, _, address = sys.argv[1].partition("://")
host, _, port = address.rpartition(":")
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
try:
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        used = context.wrap_socket(plain) if scheme == "tls" else plain
        print("heard it" if used.recv(1) else "refused")
except TimeoutError:
    print("neither heard nor refused")
except OSError:
    print("refused")
"""


def attack(address: str, *keys: Path) -> list[str]:
    """Read keys, and connect without a certificate, as another user: what came of it."""
    words = [sys.executable, "-c", ATTACK, address, *map(str, keys)]
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout.splitlines()


def address(process: subprocess.Popen[str]) -> str:
    """Return the address of the scheduler, which a command writes down when it has started."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("cluster: tls://127.0.0.1:"):
            return line.removeprefix("cluster: ").strip()
    raise AssertionError("the command wrote no address")


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A temporary folder that every user may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_another_user_is_refused_by_a_command_that_runs(finished: Folders, tmp_path: Path, temporary: Path) -> None:
    out = shutil.copytree(finished.out, tmp_path / "out")
    many = ("--algorithms", "lr,if", "--representations", "words", "--seeds", "100", "--workers", "1", "--debug")
    process = start("grid", "--root", out, *many, TMPDIR=str(temporary))
    try:
        scheduler = address(process)
        keys = sorted(temporary.rglob("*.pem"))
        began = time.monotonic()
        answers = attack(scheduler, *keys)
        took = time.monotonic() - began
        assert process.poll() is None, "the command had ended before it was attacked"
    finally:
        process.send_signal(signal.SIGINT)
        # Of --debug, which tells the address, a traceback may come: distributed says that its connections end.
        process.communicate(timeout=300)
    assert process.returncode == 130
    assert len(keys) >= 2
    TALLY.add("another user")
    refused = ["no key"] * len(keys) + ["refused"]
    TALLY.check("silent", [] if answers == refused else [f"{scheduler}: {answers}"])
    TALLY.check("other", [] if took < SECONDS else [f"refused after {took:.0f} s"])


def test_the_attack_works_where_nothing_protects() -> None:
    own = {"n_workers": 0, "processes": False, "protocol": "tcp://", "host": "127.0.0.1"}
    with LocalCluster(**own, dashboard_address="127.0.0.1:0") as plain:
        assert attack(plain.scheduler_address) == ["heard it"]
