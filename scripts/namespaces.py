"""Several hosts on one machine, as network namespaces on a switch of their own: a run on them, with losses.

    python scripts/namespaces.py [--keep] [CHECK ...]

Root alone may make namespaces. Five hosts with their own addresses (one scheduler, three workers, one client) talk TLS
with certificates of ``lo2dask cluster certificates``, with cluster/dask.yaml as a user would give it; the folder of the
data is the path that all share. Every run must end with the tables of a run on this machine alone:

undisturbed  nothing is lost
cuts         the client, the scheduler and one worker are cut off for 30 s, one after another
loading      while logs are read, one worker is killed, one freezes for good, one is cut off for 30 s
training     the same while models are fitted and sequences scored
scheduler    the scheduler is killed: the command ends with a line that names the one that goes on, which then does
unplugged    the scheduler's host is gone without a word: the same

The exit code is 0 when all holds.
"""

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from same_tables import differences, told

from lo2dask.options import SynthOptions
from lo2dask.synthesis import write_tree
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths

REPOSITORY = Path(__file__).resolve().parents[1]
WORKERS = ("w1", "w2", "w3")
HOSTS = ("scheduler", *WORKERS, "client")
PORT = 8786
CUT_SECONDS = 30
# A frozen worker is noticed after one to two times the worker-ttl of cluster/dask.yaml, 180 s.
LONGEST = 900
MODELS = "event_lr_words,event_dt_trigrams,event_xgb_words,sequence_lr_numeric"


class Network:
    """Hosts with an address each, and the switch between them; what was started on them ends with it."""

    def __init__(self, folder: Path, hosts: Sequence[str] = HOSTS) -> None:
        """Choose names and addresses that no other network of this machine has."""
        self.folder, self.hosts = folder, tuple(hosts)
        self.prefix = f"lo2-{os.getpid()}-"
        self.subnet = f"10.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}"

    def __enter__(self) -> "Network":
        """Make the hosts."""
        try:
            _ip("netns", "add", self._name("switch"))
            self._inside("switch", "link", "add", "switch", "type", "bridge")
            self._inside("switch", "link", "set", "switch", "up")
            for host in self.hosts:
                self._connect(host)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """End them."""
        self.end()

    def address(self, host: str) -> str:
        """Return a host's address."""
        return f"{self.subnet}.{self.hosts.index(host) + 1}"

    def start(self, host: str, words: Sequence[str], log: str) -> subprocess.Popen[bytes]:
        """Start a Python module on a host."""
        return self.execute(host, [sys.executable, "-m", *words], log)

    def execute(self, host: str, words: Sequence[str], log: str) -> subprocess.Popen[bytes]:
        """Start a program on a host."""
        line = ["ip", "netns", "exec", self._name(host), *words]
        environ = os.environ | {"DASK_CONFIG": str(REPOSITORY / "cluster" / "dask.yaml"), "PYTHONUNBUFFERED": "1"}
        environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), *filter(None, [environ.get("PYTHONPATH")])])
        with open(self.folder / f"{log}.log", "ab") as file:
            return subprocess.Popen(
                line, stdout=file, stderr=file, stdin=subprocess.DEVNULL, env=environ, cwd=self.folder,
                start_new_session=True,
            )  # fmt: skip

    def signal(self, host: str, number: signal.Signals) -> int:
        """Send a signal to every process of a host; say how many there were."""
        found = self.pids(host)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return len(found)

    def pids(self, host: str) -> list[int]:
        """List the processes of a host."""
        return [int(pid) for pid in _ip("netns", "pids", self._name(host)).split()]

    def cable(self, host: str, state: str) -> None:
        """Pull a host's cable out of the switch (down), or put it in again (up)."""
        self._inside("switch", "link", "set", host, state)

    def end(self) -> None:
        """End all processes of the hosts, then the hosts."""
        for name in [line.split()[0] for line in _ip("netns", "list").splitlines() if line.startswith(self.prefix)]:
            while pids := _ip("netns", "pids", name).split():
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                time.sleep(0.05)
            _ip("netns", "delete", name)

    def _connect(self, host: str) -> None:
        _ip("netns", "add", self._name(host))
        plug = ["type", "veth", "peer", "name", "eth0", "netns", self._name(host)]
        self._inside("switch", "link", "add", host, *plug)
        self._inside("switch", "link", "set", host, "master", "switch", "up")
        self._inside(host, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            self._inside(host, "link", "set", device, "up")

    def _inside(self, host: str, *words: str) -> str:
        return _ip("-n", self._name(host), *words)

    def _name(self, host: str) -> str:
        return self.prefix + host


class Cluster:
    """A scheduler and three workers of the namespaces, started as cluster/README.md says."""

    def __init__(self, network: Network, tls: Path, name: str) -> None:
        """Keep where it runs; ``name`` begins the names of its logs."""
        self.network, self.tls, self.name = network, tls, name
        self.address = f"tls://{network.address('scheduler')}:{PORT}"

    def __enter__(self) -> "Cluster":
        """Start them."""
        roles = {"ca-file": "ca", "cert": "cert", "key": "key"}
        tls = [f"--tls-{role}={self.tls / name}.pem" for role, name in roles.items()]
        words = ["--protocol=tls", f"--host={self.network.address('scheduler')}", f"--port={PORT}", "--no-dashboard"]
        self.network.start("scheduler", ["dask", "scheduler", *tls, *words], f"{self.name}-scheduler")
        for host in WORKERS:
            scratch = tempfile.mkdtemp(prefix=f"{host}-", dir=self.network.folder)
            words = ["--nthreads=1", "--memory-limit=3GB", f"--local-directory={scratch}", "--no-dashboard"]
            words += [f"--name={host}", f"--host={self.network.address(host)}"]
            self.network.start(host, ["dask", "worker", self.address, *tls, *words], f"{self.name}-{host}")
        return self

    def __exit__(self, *error: object) -> None:
        """End them, and put every cable in again."""
        for host in ("scheduler", *WORKERS):
            self.network.signal(host, signal.SIGKILL)
            self.network.cable(host, "up")

    def command(self, tree: Path, output: Path) -> list[str]:
        """Return the command line of a run on it."""
        return [*run_words(tree, output), "--cluster", self.address, "--tls-folder", str(self.tls)]


def run_words(tree: Path, output: Path) -> list[str]:
    """Return what local and distributed runs have in common."""
    words = ["lo2dask", "run", "--root", str(tree), "--output-dir", str(output), "--save-events"]
    return [*words, "--partition-size", "256KB", "--models", MODELS, "--memory-budget", "1GB"]


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def until(holds: Callable[[], bool], what: str, process: subprocess.Popen[bytes]) -> None:
    """Wait for something that a running command does."""
    deadline = time.monotonic() + LONGEST
    while not holds():
        assert process.poll() is None, f"the command has ended with {process.returncode} before: {what}"
        assert time.monotonic() < deadline, f"not within {LONGEST} s: {what}"
        time.sleep(0.01)


class Check:
    """The runs, on one tree, against one reference."""

    def __init__(self, folder: Path, network: Network) -> None:
        """Keep where they run."""
        self.folder, self.network = folder, network
        self.tree, self.tls = folder / "tree", folder / "tls"

    def prepare(self) -> None:
        """Make the tree, the certificates, and the tables of a run on this machine."""
        write_tree(SynthOptions(out=self.tree, runs=6, errors_per_run=3, scale=0.16, quiet=True))
        size = sum(path.stat().st_size for path in self.tree.rglob("*") if path.is_file())
        make = ["lo2dask", "cluster", "certificates", str(self.tls)]
        assert self.network.start("client", make, "certificates").wait(60) == 0
        output = self.folder / "local"
        began = time.monotonic()
        done = self.network.start("client", [*run_words(self.tree, output), "--workers", "2"], "local").wait(LONGEST)
        assert done == 0, f"the local run ends with {done}"
        say(f"{size / 1e6:.0f} MB; a run on this machine alone: {time.monotonic() - began:.0f} s")

    def undisturbed(self) -> None:
        """Run on the hosts."""
        with self._running("undisturbed") as process:
            self._ends_well(process, "undisturbed")

    def cuts(self) -> None:
        """Cut off client, scheduler and a worker in turn."""
        with self._running("cuts") as process:
            for host, parts in (("client", 8), ("scheduler", 24), ("w1", 40)):
                self._await_parts(process, Layout(self.folder / "cuts").events, parts)
                self._cut(process, host)
            self._ends_well(process, "cuts")

    def loading(self) -> None:
        """Lose workers while logs are read."""
        self._lose_workers("loading", Layout(self.folder / "loading").events)

    def training(self) -> None:
        """Lose workers while sequences are scored."""
        self._lose_workers("training", Layout(self.folder / "training").internal / "predictions")

    def scheduler(self) -> None:
        """Kill the scheduler."""
        self._lose_scheduler("scheduler", lambda: self.network.signal("scheduler", signal.SIGKILL))

    def unplugged(self) -> None:
        """Pull the scheduler's cable for good."""
        self._lose_scheduler("unplugged", lambda: self.network.cable("scheduler", "down"))

    def _lose_workers(self, name: str, watched: Path) -> None:
        with self._running(name) as process:
            self._await_parts(process, watched, 8)
            say(f"  w1 is killed: {self.network.signal('w1', signal.SIGKILL)} processes")
            self._await_parts(process, watched, 16)
            say(f"  w2 freezes: {self.network.signal('w2', signal.SIGSTOP)} processes")
            self._await_parts(process, watched, 24)
            self._cut(process, "w3")
            self._ends_well(process, name)

    def _lose_scheduler(self, name: str, lose: Callable[[], object]) -> None:
        output = self.folder / name
        with self._running(name) as process:
            self._await_parts(process, Layout(output).events, 16)
            lose()
            began = time.monotonic()
            code = process.wait(LONGEST)
            last = (self.folder / f"{name}.log").read_text().splitlines()[-1]
            say(f"  the scheduler is lost: exit code {code} after {time.monotonic() - began:.0f} s: {last}")
        again = shlex.join(Cluster(self.network, self.tls, name).command(self.tree, output))
        assert code == 1
        assert last.startswith("lo2dask: the scheduler is lost")
        assert last.endswith(f"resume with: {again}")
        done = len(part_paths(Layout(output).events))
        assert 0 < done < len(part_paths(Layout(self.folder / "local").events))
        with self._running(name) as process:
            self._ends_well(process, name)

    @contextlib.contextmanager
    def _running(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start a cluster and the command on it; both are gone after the block."""
        with Cluster(self.network, self.tls, name) as cluster:
            process = self.network.start("client", cluster.command(self.tree, self.folder / name), name)
            try:
                yield process
            finally:
                self.network.signal("client", signal.SIGKILL)
                process.wait()

    def _await_parts(self, process: subprocess.Popen[bytes], watched: Path, parts: int) -> None:
        until(lambda: len(list(watched.rglob("part-*.parquet"))) >= parts, f"{watched}: {parts} parts", process)

    def _cut(self, process: subprocess.Popen[bytes], host: str) -> None:
        self.network.cable(host, "down")
        time.sleep(CUT_SECONDS)
        self.network.cable(host, "up")
        say(f"  {host} was cut off for {CUT_SECONDS} s")
        assert process.poll() is None, "the command has ended during the cut"

    def _ends_well(self, process: subprocess.Popen[bytes], name: str) -> None:
        began = time.monotonic()
        code = process.wait(LONGEST)
        assert code == 0, f"{name}: exit code {code}"
        unequal = differences(self.folder / "local", self.folder / name)
        assert not unequal, f"{name} is not the run on this machine alone: {'; '.join(unequal)}"
        say(f"{name}: done {time.monotonic() - began:.0f} s later; {told(self.folder / name)}")


CHECKS = ("undisturbed", "cuts", "loading", "training", "scheduler", "unplugged")


def say(line: str) -> None:
    """Print a line at once, with the time."""
    print(time.strftime("%H:%M:%S"), line, flush=True)


def main() -> int:
    """Run all checks; tell the end of each log when one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave the folder with tables and logs")
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"of {', '.join(CHECKS)}; none = all")
    options = parser.parse_args()
    if unknown := set(options.checks) - set(CHECKS):
        parser.error(f"{', '.join(sorted(unknown))}: give one of {', '.join(CHECKS)}")
    # Ended from outside, it clears up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="lo2dask-namespaces-"))
    try:
        with Network(folder) as network:
            check = Check(folder, network)
            check.prepare()
            for name in options.checks or CHECKS:
                getattr(check, name)()
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
