"""Phase B: how fast a tree becomes Parquet, in how much memory, and how that changes with size and workers.

python benchmarks/load.py                          # 2 GB and 8 GB, 2 workers of 1 thread
python benchmarks/load.py --sizes 500MB --quick    # a first look
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from common import drop, report, speed, tree_of, warm, watch_memory, working_folder

from lo2dask.memory import format_bytes
from lo2dask.options import LoadOptions
from lo2dask.stages.load import load


def load_alone(root: Path, tiny: Path, folder: Path, workers: int) -> tuple[float, int]:
    """Load on a warm cluster: (seconds, raw bytes)."""
    options = LoadOptions(root=root, output_dir=folder / "out", enhance=False, save_events=True, workers=workers)
    with warm(options, tiny, folder) as session, watch_memory(1.0) as peak:
        started = time.perf_counter()
        summary = load(options, session)
        seconds = time.perf_counter() - started
    figures = (f"peak {format_bytes(peak.total)}", f"largest process {format_bytes(peak.largest_child)}")
    report(f"load alone, {root.name}, {workers} workers, warm", speed(summary.bytes, seconds), *figures)
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


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["2GB", "8GB"])
    parser.add_argument("--folder", type=Path, default=None, help="keep trees here instead of in a temporary folder")
    parser.add_argument("--quick", action="store_true", help="leave out one worker, tars and metrics")
    arguments = parser.parse_args()
    with working_folder(arguments.folder) as folder:
        tiny = tree_of(folder, "60MB")
        for size in arguments.sizes:
            root = tree_of(folder, size)
            seconds, raw = load_alone(root, tiny, folder, 2)
            drop(folder / "out")
            whole_command(root, folder, raw)
        if arguments.quick:
            return
        root = tree_of(folder, arguments.sizes[0])
        alone, raw = load_alone(root, tiny, folder, 1)
        drop(folder / "out")
        both, _ = load_alone(root, tiny, folder, 2)
        drop(folder / "out")
        report("two workers against one", f"{alone / both:.2f} times as fast")
        tars = tree_of(folder, arguments.sizes[0], tar=True)
        packed, _ = load_alone(tars, tiny, folder, 2)
        drop(folder / "out")
        report("tars against the tree", f"{both / packed:.2f} of the speed")


if __name__ == "__main__":
    main()
