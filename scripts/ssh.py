"""The cluster kind ssh on real SSH: two hosts as network namespaces, each with an sshd, to the same tables as locally.

    python scripts/ssh.py [--keep]

Root alone may make namespaces. Keys, the hosts' own keys, settings and certificates lie in a temporary folder: neither
/etc/ssh nor the home folder is read or written. ``lo2dask cluster check`` and ``lo2dask run`` go through a copy of
cluster/ssh.yaml, with TLS; then a run in whose middle all processes of the second host are killed, its sshd too. Every
run must end with the tables of a run on this machine alone and leave no process, certificate or scratch file behind.
The exit code is 0 when all holds.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from namespaces import LONGEST, REPOSITORY, Network, run_words, say, until
from same_tables import differences, told

from lo2dask.options import SynthOptions
from lo2dask.synthesis import write_tree
from lo2dask.tables.layout import Layout

HOSTS = ("node1", "node2")
# The folder that Debian's sshd wants lies in the host's own /run.
START = "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && hostname {host} && exec {sshd} -D -e -f {config}"
CONFIG = """\
ListenAddress {address}
HostKey {folder}/{host}
PidFile none
AuthorizedKeysFile {folder}/key.pub
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
SetEnv PYTHONPATH={path}
"""


class Check:
    """The runs, on one tree, against one reference."""

    def __init__(self, folder: Path, network: Network) -> None:
        """Keep where they run."""
        self.folder, self.network = folder, network
        self.tree, self.file = folder / "tree", folder / "ssh.yaml"

    def prepare(self) -> None:
        """Make keys and the cluster's file, the tree, and the tables of a run on this machine."""
        for name in ("key", *HOSTS):
            line = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.folder / name)]
            subprocess.run(line, check=True)
        known = [f"{self.network.address(host)} {(self.folder / f'{host}.pub').read_text()}" for host in HOSTS]
        (self.folder / "known_hosts").write_text("".join(known))
        for name in ("home", "scratch"):
            (self.folder / name).mkdir()
        values = yaml.safe_load((REPOSITORY / "cluster" / "ssh.yaml").read_text(encoding="utf-8"))
        changed = {
            "hosts": [self.network.address(host) for host in (HOSTS[0], *HOSTS)],
            "interface": "eth0", "workers": 1, "memory_limit": "2GB", "scratch": str(self.folder / "scratch"),
            "python": sys.executable,
            "key_file": str(self.folder / "key"), "known_hosts": str(self.folder / "known_hosts"),
        }  # fmt: skip
        assert changed.keys() <= values.keys(), "cluster/ssh.yaml has other keys"
        self.file.write_text(yaml.safe_dump(values | changed))
        write_tree(SynthOptions(out=self.tree, runs=4, errors_per_run=3, scale=0.16, quiet=True))
        self.run("local", "--workers", "2")

    def run(self, name: str, *words: str, during: Callable[[subprocess.Popen[bytes]], None] | None = None) -> None:
        """Run the whole chain on the client's host, to the tables of the local run."""
        output, began = self.folder / name, time.monotonic()
        process = self.network.start("client", [*run_words(self.tree, output), *words], name)
        if during:
            during(process)
        code = process.wait(LONGEST)
        assert code == 0, f"{name}: exit code {code}"
        unequal = differences(self.folder / "local", output)
        assert not unequal, f"{name} is not the run on this machine alone: {'; '.join(unequal)}"
        say(f"{name}: {time.monotonic() - began:.0f} s; {told(output)}")

    def serve(self) -> None:
        """Start the hosts' sshd, and wait until they answer."""
        sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        for host in HOSTS:
            config, address = self.folder / f"{host}.conf", self.network.address(host)
            path = os.environ.get("PYTHONPATH") or REPOSITORY
            config.write_text(CONFIG.format(host=host, address=address, folder=self.folder, path=path))
            script = START.format(host=host, sshd=sshd, config=config)
            line = ["unshare", "--mount", "--uts", "sh", "-c", script]
            process = self.network.execute(host, line, f"sshd-{host}")
            until(lambda host=host: "Server listening" in self.log(f"sshd-{host}"), f"sshd of {host}", process)

    def check(self) -> None:
        """Check the cluster, and that the workers are processes of both hosts."""
        words = ["check", str(self.file), "--root", str(self.tree), "--output-dir", str(self.folder / "checked")]
        code = self.network.start("client", ["lo2dask", "cluster", *words], "check").wait(LONGEST)
        assert code == 0, f"cluster check: exit code {code}"
        said = self.log("check")
        assert "(TLS)" in said, "cluster check says nothing of TLS"
        assert all(host in said for host in HOSTS), "not every host has a worker"
        say("cluster check: workers of both hosts, TLS")
        self.nothing_left("check")

    def undisturbed(self) -> None:
        """Run on both hosts."""
        self.run("ssh", "--cluster", str(self.file))
        self.nothing_left("ssh")

    def killed(self) -> None:
        """Kill the second host while logs are read."""

        def kill(process: subprocess.Popen[bytes]) -> None:
            """Wait for the middle of the load."""
            events = Layout(self.folder / "killed").events
            until(lambda: len(list(events.rglob("part-*.parquet"))) >= 8, f"{events}: 8 parts", process)
            count = self.network.signal(HOSTS[1], signal.SIGKILL)
            say(f"  {HOSTS[1]} is killed: {count} processes")
            # Its own sshd, the session's, the worker's nanny and the worker at least.
            assert count >= 4, "there was no worker on it"
            assert process.poll() is None, "the command has ended before"

        self.run("killed", "--cluster", str(self.file), during=kill)
        self.nothing_left("killed")

    def nothing_left(self, name: str) -> None:
        """Check that the hosts run nothing but their sshd, and that certificates and scratch are gone."""
        deadline = time.monotonic() + 30
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert not left, f"{name}: left behind: {', '.join(left)}"

    def left(self) -> list[str]:
        """Name processes and files that should be gone."""
        lines = {pid: _command_line(pid) for host in self.network.hosts for pid in self.network.pids(host)}
        found = [f"{pid} {line}" for pid, line in lines.items() if line and "[listener]" not in line]
        found += [str(path) for path in (self.folder / "home").glob(".lo2dask/tls/*")]
        # Dask keeps its own folder, with a lock, where its workers' folders were; a killed host cannot clear up.
        if self.network.pids(HOSTS[1]):
            found += [str(path) for path in (self.folder / "scratch").rglob("worker-*/**/*") if path.is_file()]
        return found

    def log(self, name: str) -> str:
        """Return what a process has said so far."""
        return (self.folder / f"{name}.log").read_text(errors="replace")


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
    except OSError:
        return ""


def main() -> int:
    """Run all checks; tell the end of each log when one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave the folder with tables and logs")
    options = parser.parse_args()
    # Ended from outside, it clears up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="lo2dask-ssh-"))
    # Neither keys nor settings of whoever runs this are used; certificates lie below the home folder.
    os.environ["HOME"] = str(folder / "home")
    os.environ.pop("SSH_AUTH_SOCK", None)
    try:
        with Network(folder, (*HOSTS, "client")) as network:
            check = Check(folder, network)
            check.prepare()
            check.serve()
            for step in (check.check, check.undisturbed, check.killed):
                step()
    except AssertionError as error:
        for log in sorted(folder.glob("*.log")):
            print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-15:], sep="\n")
        say(f"FAILED: {error}")
        return 1
    finally:
        if options.keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    say("all holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
