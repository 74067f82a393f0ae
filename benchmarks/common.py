"""What all benchmarks share: trees made once, memory summed over the process tree, figures in one form."""

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from lo2dask.commands.load import load
from lo2dask.execute.session import Session
from lo2dask.memory import format_bytes, parse_bytes, process_memory
from lo2dask.options import LoadOptions, SynthOptions
from lo2dask.synthesis import write_tree

# What one run of the published size holds: `correct` and four error cases.
_RUN_BYTES = 32_400_000


@dataclass
class Peak:
    """The highest memory seen, in bytes: of all processes together, of this one, and of the largest child."""

    total: int = 0
    client: int = 0
    largest_child: int = 0
    samples: int = 0


@contextlib.contextmanager
def watch_memory(interval: float = 0.2) -> Iterator[Peak]:
    """Sample the summed PSS (RSS outside Linux) of this process and all its children while the block runs."""
    peak, stop = Peak(), threading.Event()
    root = psutil.Process()

    def look() -> None:
        while not stop.is_set():
            children = [process_memory(child) for child in root.children(recursive=True)]
            own = process_memory(root)
            peak.total, peak.client = max(peak.total, own + sum(children)), max(peak.client, own)
            peak.largest_child = max(peak.largest_child, *children, 0)
            peak.samples += 1
            stop.wait(interval)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def working_folder(keep: Path | None) -> Iterator[Path]:
    """Return a folder for trees and outputs; a temporary one is removed at the end."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    folder = Path(tempfile.mkdtemp(prefix="lo2dask-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def tree_of(folder: Path, size: str, **options: object) -> Path:
    """Make a synth tree of about ``size`` at the published file sizes, unless it is there; return its root."""
    wanted = parse_bytes(size)
    runs = max(1, round(wanted / _RUN_BYTES))
    names = "-".join(str(value) for value in options.values())
    root = folder / f"tree-{size}{'-' + names if names else ''}"
    if not root.exists():
        started, half = time.perf_counter(), root.with_name(f"{root.name}.half")
        drop(half)
        made = write_tree(SynthOptions(out=half, runs=runs, errors_per_run=4, scale=1.0, **options))  # type: ignore[arg-type]
        half.rename(root)
        report(f"made {root.name}", f"{format_bytes(made.bytes)} in {time.perf_counter() - started:.0f} s")
    return root


def warm(options: LoadOptions, tiny: Path, folder: Path) -> Session:
    """Start a cluster and let every worker load a share of a small tree, so that imports and page faults are paid."""
    session = Session(options)
    session.client.wait_for_workers(max(options.workers, 1))
    for _ in range(2):
        load(options.replace(root=tiny, output_dir=folder / "warm", partition_size="4MB"), session)
        drop(folder / "warm")
    return session


def split_lines(paths: list[str]) -> int:
    """Read files and find their lines' ends, and nothing more; give their bytes."""
    size = 0
    for path in paths:
        data = np.frombuffer(Path(path).read_bytes(), np.uint8)
        size += data.size + 0 * np.flatnonzero(data == 10).size
    return size


def read_all(root: Path) -> None:
    """Read all logs of a tree once, so that they lie in the page cache where there is room for them."""
    split_lines([str(path) for path in sorted(root.rglob("*.log"))])


def yardstick(session: Session, root: Path, workers: int) -> float:
    """Measure how fast the workers read and split lines just now, in MB/s; the best of three.

    Figures of machines, and of a shared machine's good and bad minutes, compare by their share of this.
    """
    logs = [str(path) for path in sorted(root.rglob("*.log"))[:400]]
    shares = [logs[number :: 4 * workers] for number in range(4 * workers)]
    rates = []
    for _ in range(3):
        started = time.perf_counter()
        size = sum(session.map(split_lines, shares, "yardstick"))
        rates.append(size / (time.perf_counter() - started) / 1e6)
    return max(rates)


def drop(path: Path) -> None:
    """Remove an output folder."""
    shutil.rmtree(path, ignore_errors=True)


def report(name: str, *figures: str) -> None:
    """Print one line of figures."""
    print(f"{name:<46}" + "  ".join(figures), flush=True)


def speed(size: int, seconds: float) -> str:
    """Write a rate in MB/s (1e6 bytes)."""
    return f"{size / seconds / 1e6:7.1f} MB/s ({seconds:.1f} s)"
