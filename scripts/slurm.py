"""The chain on a real Slurm of one node, which is started here and ended again, to the same tables as locally.

    python scripts/slurm.py [--runs 4] [--scale 0.3] [--keep FOLDER]

A munged, a slurmctld and a slurmd of their own, with keys, sockets and state in a temporary folder, run the jobs of
cluster/slurm.yaml. ``lo2dask cluster check`` and ``lo2dask run`` go through it; then a run whose workers' jobs are
cancelled by ``scancel``, one in the load and one in the training. Ends with 1 if a table differs from a local run's.
"""

import argparse
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from same_tables import differences, told

EXAMPLE = Path(__file__).resolve().parents[1] / "cluster" / "slurm.yaml"
MODELS = "event_lr_words,event_dt_trigrams,event_xgb_words,event_oov_words"
# What the node says to have: two jobs of the example fit, also on a machine where they would be a tight fit.
CORES, MEMORY_MB = 2, 8000
CONFIG = """\
ClusterName=lo2dask
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
SlurmctldPort={controller}
SlurmdPort={node}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
ReturnToService=2
MinJobAge=3600
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory} State=UNKNOWN
PartitionName=work Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def main() -> int:
    """Run all cases; 1 if one of them fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4, help="runs of the tree")
    parser.add_argument("--scale", type=float, default=0.3, help="size of its logs, as for lo2dask synth")
    parser.add_argument("--keep", type=Path, help="work here and leave it; default: a temporary folder")
    arguments = parser.parse_args()
    # A short path: it holds sockets, whose names must not have more than some hundred characters.
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="lo2-slurm-"))
    folder.mkdir(exist_ok=True, parents=True)
    try:
        lo2dask("synth", folder / "tree", "--runs", arguments.runs, "--errors-per-run", 3, "--scale", arguments.scale)
        with slurm(folder.resolve() / "slurm"):
            return int(not all_the_same(folder.resolve()))
    finally:
        if arguments.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def all_the_same(folder: Path) -> bool:
    """Run the chain locally, on Slurm, and on Slurm with losses; return whether all made the same tables."""
    # Certificates and the jobs' output lie below the home folder: no file of an earlier command hides a mistake there.
    os.environ["HOME"] = str(folder / "home")
    for name in ("home", "scratch"):
        (folder / name).mkdir(exist_ok=True)
    file = example(folder / "slurm.yaml", queue="work", scratch=str(folder / "scratch"))
    lo2dask("cluster", "check", file, "--root", folder / "tree", "--output-dir", folder / "checked")
    timed("local", folder, "local")
    timed("slurm", folder, file)
    timed("slurm, jobs cancelled", folder, file, cancel_in=("lo2_events.parquet", "_lo2dask/predictions"))
    found = []
    for name in ("slurm", "slurm, jobs cancelled"):
        unequal = differences(folder / "local", folder / name)
        print(f"{name} against local: {'; '.join(unequal) or told(folder / 'local')}")
        found += unequal
    return not [*found, *leftovers(folder)]


def timed(name: str, folder: Path, cluster: object, cancel_in: tuple[str, ...] = ()) -> None:
    """Run the whole chain into the folder of this name; cancel a worker's job when each of these folders fills."""
    started, before = time.perf_counter(), len(jobs())
    words = ["run", "--root", folder / "tree", "--output-dir", folder / name, "--cluster", cluster, "--workers", 2,
             "--save-events", "--partition-size", "1MB", "--models", MODELS, "--quiet"]  # fmt: skip
    command = subprocess.Popen([sys.executable, "-m", "lo2dask", *map(str, words)])
    try:
        for place in cancel_in:
            wait_until(
                lambda place=place: command.poll() is not None or any((folder / name / place).glob("**/*.parquet"))
            )
            cancel_one(command)
        code = command.wait()
    finally:
        command.kill()
    note = f", {len(jobs()) - before} jobs" if cluster != "local" else ""
    print(f"{name}: {time.perf_counter() - started:.0f} s{note}", flush=True)
    if code:
        raise SystemExit(f"{name}: exit code {code}")
    # The loss in the training may come when nothing is left that would need another worker.
    if cancel_in and len(jobs()) - before < 2 + 1:
        raise SystemExit(f"{name}: cancelled jobs were not followed by others")


def cancel_one(command: subprocess.Popen[bytes]) -> None:
    """Cancel the newest job that runs."""
    running = [line.split()[0] for line in jobs() if line.endswith("RUNNING")]
    if command.poll() is not None or not running:
        raise SystemExit("there was no job left to cancel")
    subprocess.run(["scancel", running[-1]], check=True)
    print(f"cancelled job {running[-1]}", flush=True)


def jobs() -> list[str]:
    """List the jobs that there were: number and state each."""
    listed = subprocess.run(["squeue", "--noheader", "--states=all", "--sort=i", "--format=%i %T"], text=True,
                            stdout=subprocess.PIPE, check=True)  # fmt: skip
    return listed.stdout.splitlines()


def example(path: Path, **changed: str) -> Path:
    """Copy the example with other values for some of its keys."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for key, value in changed.items():
        text, times = re.subn(rf"^{key}: .*$", f'{key}: "{value}"', text, flags=re.MULTILINE)
        if times != 1:
            raise SystemExit(f"{EXAMPLE}: has no key {key}")
    path.write_text(text, encoding="utf-8")
    return path


def leftovers(folder: Path) -> list[str]:
    """Name what should be gone: jobs that run on, scratch files, certificates."""
    wait_until(lambda: all(line.split()[1] in ("COMPLETED", "CANCELLED", "FAILED") for line in jobs()))
    # Dask keeps its own folder, with a lock, where its workers' folders were.
    left = [str(path) for path in folder.glob("scratch/dask-scratch-space/worker-*/**/*") if path.is_file()]
    left += [str(path) for path in folder.glob("home/.lo2dask/tls/*")]
    for path in left:
        print(f"left after: {path}")
    return left


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """Start munged, slurmctld and slurmd with everything in a folder; end them with the block."""
    folder.mkdir(mode=0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    host = socket.gethostname().split(".")[0]
    config = folder / "slurm.conf"
    ports = free_ports(2)
    config.write_text(CONFIG.format(folder=folder, host=host, user=current_user(), controller=ports[0], node=ports[1],
                                    cores=CORES, memory=MEMORY_MB))  # fmt: skip
    os.environ["SLURM_CONF"] = str(config)
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    munge = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket",
             f"--pid-file={folder}/munged.pid", f"--seed-file={folder}/munged.seed",
             f"--log-file={folder}/munged.log"]  # fmt: skip
    with contextlib.ExitStack() as stack:
        stack.enter_context(daemon(munge, folder, lambda: (folder / "munge.socket").exists()))
        stack.enter_context(daemon(["slurmctld", "-D", "-f", str(config)], folder, lambda: said("scontrol", "ping")))
        stack.enter_context(daemon(["slurmd", "-D", "-N", host, "-f", str(config)], folder,
                                   lambda: said("sinfo", "--noheader", "--format=%T") == "idle"))  # fmt: skip
        stack.callback(subprocess.run, ["scancel", "--user", current_user()], check=False)
        yield


@contextlib.contextmanager
def daemon(command: list[str], folder: Path, ready: Callable[[], object]) -> Iterator[None]:
    """Run a daemon until the block ends, from when it is ready."""
    log = folder / f"{command[0]}.out"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        if not wait_until(lambda: process.poll() is not None or ready(), seconds=60) or process.poll() is not None:
            raise SystemExit(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-3000:]}")
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        process.kill()


def said(*command: str) -> str:
    """Return what a command says; nothing if it fails."""
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def wait_until(true: Callable[[], object], seconds: float = 300) -> bool:
    """Wait until something holds; return whether it came to that in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.2)
    return False


def free_ports(number: int) -> list[int]:
    """Find ports that nobody listens at."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def current_user() -> str:
    """Name the user that all of it runs as."""
    return subprocess.run(["id", "-un"], text=True, stdout=subprocess.PIPE, check=True).stdout.strip()


def lo2dask(*words: object) -> None:
    """Run a command of lo2dask."""
    subprocess.run([sys.executable, "-m", "lo2dask", *map(str, words)], check=True)


if __name__ == "__main__":
    sys.exit(main())
