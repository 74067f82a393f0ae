"""Phase B: how fast a tree becomes Parquet, in how much memory, and how that changes with size and workers.

python benchmarks/load.py                          # 2 GB and 8 GB, 2 workers of 1 thread
python benchmarks/load.py --sizes 500MB --quick    # a first look
python benchmarks/load.py --only files             # many small logs, and metrics
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from common import drop, report, speed, tree_of, warm, watch_memory, working_folder, yardstick
from many_files import metrics_tree, small_logs_tree, small_metrics_tree

from lo2dask.commands.load import load
from lo2dask.memory import format_bytes
from lo2dask.options import LoadOptions


def load_alone(root: Path, logs: Path, tiny: Path, folder: Path, workers: int) -> tuple[float, int]:
    """Load on a warm cluster: (seconds, raw bytes); ``logs`` is where the same logs lie unpacked."""
    options = LoadOptions(root=root, output_dir=folder / "out", enhance=False, save_events=True, workers=workers)
    with warm(options, tiny, folder) as session, watch_memory(1.0) as peak:
        before = yardstick(session, logs, workers)
        started = time.perf_counter()
        summary = load(options, session)
        seconds = time.perf_counter() - started
        limit = (before + yardstick(session, logs, workers)) / 2
    share = f"{summary.bytes / seconds / 1e4 / limit:.1f} % of splitting lines ({limit:.0f} MB/s)"
    figures = (share, f"peak {format_bytes(peak.total)}", f"largest process {format_bytes(peak.largest_child)}")
    report(f"load alone, {root.name}, {workers} workers, warm", speed(summary.bytes, seconds), *figures)
    drop(folder / "out")
    return seconds, summary.bytes


def whole_command(root: Path, folder: Path, size: int, *extra: str) -> None:
    """Run the console program from start to end, as a user does, and again with nothing to do."""
    out = folder / "command"
    drop(out)
    command = [sys.executable, "-m", "lo2dask", "load", "--root", str(root), "--output-dir", str(out)]
    command += ["--no-enhance", "--save-events", "--workers", "2", "--quiet", *extra]
    for name in ("whole command", "again, nothing to do"):
        with watch_memory() as peak:
            started = time.perf_counter()
            subprocess.run(command, check=True)
            seconds = time.perf_counter() - started
        report(f"{name}, {root.name}", speed(size, seconds), f"peak {format_bytes(peak.total)}")
    drop(out)


def many_small_logs(tiny: Path, folder: Path) -> None:
    """Load 200,000 logs of 1 KB, from the scan of the tree to the tables."""
    root = small_logs_tree(folder)
    options = LoadOptions(root=root, output_dir=folder / "out", enhance=False, save_events=True, workers=2)
    with warm(options, tiny, folder) as session, watch_memory(1.0) as peak:
        started = time.perf_counter()
        summary = load(options, session)
        seconds = time.perf_counter() - started
    rate = f"{summary.files / seconds:,.0f} files/s ({summary.files:,} files, {seconds:.1f} s)"
    report(f"load alone, {root.name}, 2 workers, warm", rate, f"peak {format_bytes(peak.total)}")
    drop(folder / "out")


def metrics(root: Path, tiny: Path, folder: Path) -> None:
    """Load metrics: the speed of their own step, without the scan of the tree and the logs next to them."""
    options = LoadOptions(root=root, output_dir=folder / "out", enhance=False, load_metrics=True, workers=2)
    with warm(options, tiny, folder) as session, watch_memory(1.0) as peak:
        started = time.perf_counter()
        found = load(options, session).metrics
        whole = time.perf_counter() - started
    if found is None:
        raise SystemExit(f"no metrics in {root}")
    rate = f"{found.files / found.seconds:,.0f} files/s of {format_bytes(found.bytes / found.files)}"
    figures = (rate, f"with scan and logs {whole:.1f} s", f"peak {format_bytes(peak.total)}")
    report(f"metrics, {root.name}, 2 workers, warm", speed(found.bytes, found.seconds), *figures)
    drop(folder / "out")


def by_size(folder: Path, tiny: Path, sizes: list[str]) -> None:
    """Measure speed and memory on trees of several sizes."""
    for size in sizes:
        root = tree_of(folder, size)
        _, raw = load_alone(root, root, tiny, folder, 2)
        whole_command(root, folder, raw)


def by_workers(folder: Path, tiny: Path, size: str) -> None:
    """Compare one worker with two; a large tree, so that the last batch, on one worker alone, weighs little."""
    root = tree_of(folder, size)
    alone, _ = load_alone(root, root, tiny, folder, 1)
    both, _ = load_alone(root, root, tiny, folder, 2)
    report("two workers against one", f"{alone / both:.2f} times as fast")


def by_form(folder: Path, tiny: Path, size: str) -> None:
    """Compare a tree with its tars, each twice and in turn: a shared machine changes its pace."""
    root, tars = tree_of(folder, size), tree_of(folder, size, tar=True)
    seconds = [load_alone(form, root, tiny, folder, 2)[0] for form in (root, tars, tars, root)]
    report("tars against the tree", f"{(seconds[0] + seconds[3]) / (seconds[1] + seconds[2]):.2f} of the speed")


def many_files(folder: Path, tiny: Path) -> None:
    """Measure what costs by the file rather than by the byte, and metrics."""
    many_small_logs(tiny, folder)
    metrics(metrics_tree(folder), tiny, folder)
    metrics(small_metrics_tree(folder), tiny, folder)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["2GB", "8GB"])
    parser.add_argument("--folder", type=Path, default=None, help="keep trees here instead of in a temporary folder")
    parser.add_argument("--quick", action="store_true", help="the sizes alone")
    parser.add_argument("--only", choices=("sizes", "workers", "files"), default=None, help="one part alone")
    arguments = parser.parse_args()
    with working_folder(arguments.folder) as folder:
        tiny = tree_of(folder, "60MB")
        drop(folder / "out")
        if arguments.only in (None, "sizes"):
            by_size(folder, tiny, arguments.sizes)
        if not arguments.quick and arguments.only in (None, "workers"):
            by_workers(folder, tiny, arguments.sizes[-1])
            by_form(folder, tiny, arguments.sizes[0])
        if not arguments.quick and arguments.only in (None, "files"):
            many_files(folder, tiny)


if __name__ == "__main__":
    main()
