"""A graph for 700,000 files: what the client and the scheduler hold while a tree of that many logs is loaded.

    python scripts/graph.py [--files 700000] [--batch-files 70] [--folder FOLDER]

A tree of empty logs is made (1,852 runs x 54 test cases x 7 services), then scanned, planned and loaded by lo2dask
itself on a cluster whose scheduler is a process of its own: some 10,000 batches, as 650 GB have with the default
--partition-size. Ends with 1 if the client holds 1 GB or the scheduler 1.5 GB.
"""

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing import Pool
from pathlib import Path

import psutil

from lo2dask.commands.load import LoadSummary, load
from lo2dask.memory import format_bytes, measure, process_memory
from lo2dask.options import LoadOptions
from lo2dask.sources import manifest

CASES, SERVICES = 54, ("client", "code", "key", "refresh-token", "service", "token", "user")
MOST_OF_CLIENT, MOST_OF_SCHEDULER = 1_000_000_000, 1_500_000_000


class Peaks:
    """Samples the memory of some processes while a block runs: the highest PSS (RSS outside Linux) of each, bytes."""

    def __init__(self, pids: dict[str, int]) -> None:
        """Take the processes by name."""
        self.processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self.highest = dict.fromkeys(pids, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._stop.wait(0.5):
            for name, process in self.processes.items():
                self.highest[name] = max(self.highest[name], process_memory(process))

    def __enter__(self) -> "Peaks":
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """End."""
        self._stop.set()
        self._thread.join()


def main() -> int:
    """Make the tree, load it, print what was held; 1 if it was too much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=700_000, help="logs of the tree")
    parser.add_argument("--batch-files", type=int, default=70, help="logs of one batch: 64 MB have about so many")
    parser.add_argument("--folder", type=Path, help="work here and leave it; default: a temporary folder")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="lo2dask-graph-"))
    try:
        started = time.perf_counter()
        tree, files = make_tree(folder / "tree", arguments.files)
        print(f"made {files:,} empty logs in {time.perf_counter() - started:.0f} s", flush=True)
        with cluster(folder) as (address, pid), Peaks({"client": psutil.Process().pid, "scheduler": pid}) as peaks:
            summary = load_all(tree, folder / "out", address, arguments.batch_files)
    finally:
        if arguments.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    return judge(summary, files, peaks.highest)


def make_tree(root: Path, files: int) -> tuple[Path, int]:
    """Make whole runs of empty logs, at least so many; return the tree and the number of its logs."""
    runs = -(-files // (CASES * len(SERVICES)))
    with Pool() as pool:
        pool.map(make_run, [root / f"light-oauth2-data-{1_719_592_986 + 3_600 * run}" for run in range(runs)], 16)
    return root, runs * CASES * len(SERVICES)


def make_run(folder: Path) -> None:
    """Make one run; what is there stays."""
    for case in ("correct", *(f"made_up_error_{number:02d}_400" for number in range(CASES - 1))):
        (folder / case).mkdir(parents=True, exist_ok=True)
        for service in SERVICES:
            (folder / case / f"light-oauth2-oauth2-{service}-1.log").touch()


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, int]]:
    """Start a scheduler and two workers as processes of their own; return the scheduler's address and process id."""
    note = folder / "scheduler.json"
    note.unlink(missing_ok=True)
    dask = [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    where = ["--scheduler-file", str(note)]
    started = [subprocess.Popen([*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address",
                                 "127.0.0.1:0", *where], **quiet)]  # fmt: skip
    try:
        while not note.is_file():
            if started[0].poll() is not None:
                raise SystemExit("the scheduler did not start: python -m dask scheduler")
            time.sleep(0.1)
        started.append(subprocess.Popen([*dask, "worker", "--nworkers", "2", "--nthreads", "1", "--host", "127.0.0.1",
                                         "--local-directory", str(folder / "scratch"), *where], **quiet))  # fmt: skip
        yield json.loads(note.read_text())["address"], started[0].pid
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(timeout=30)


def load_all(tree: Path, out: Path, address: str, batch_files: int) -> LoadSummary:
    """Load the tree as the command does. Empty logs have no bytes to cut batches by: they are cut by number."""
    manifest.MOST_FILES_PER_BATCH = batch_files
    return load(LoadOptions(root=tree, output_dir=out, cluster=address, insecure=True, save_events=True))


def judge(summary: LoadSummary, files: int, peaks: dict[str, int]) -> int:
    """Print the figures; 1 if a log was lost or a process held too much."""
    print(f"loaded {summary.files:,} logs in {summary.batches:,} batches: {summary.seconds:.0f} s, "
          f"{summary.rejects:,} rejected as empty")  # fmt: skip
    limits = {"client": MOST_OF_CLIENT, "scheduler": MOST_OF_SCHEDULER}
    for name, most in limits.items():
        print(f"{name}: {format_bytes(peaks[name])} ({measure()}), aim under {format_bytes(most)}")
    whole = summary.files == summary.rejects == files
    return int(not whole or any(peaks[name] >= most for name, most in limits.items()))


if __name__ == "__main__":
    sys.exit(main())
