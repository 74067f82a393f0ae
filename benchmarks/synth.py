"""How many MB a second does synth write? One command: ``python benchmarks/synth.py [--jobs 2] [--runs 12]``."""

import argparse
import tempfile
import time
from pathlib import Path

from lo2dask.options import SynthOptions
from lo2dask.synthesis import SynthSummary, write_tree

TARGET_MB_S = 100


def measure(runs: int, jobs: int, layout: str) -> tuple[SynthSummary, float]:
    """Write a tree of published file sizes into a temporary folder, once; return its summary and the seconds."""
    with tempfile.TemporaryDirectory(prefix="lo2dask-synth-") as folder:
        options = SynthOptions(out=Path(folder) / "tree", runs=runs, scale=1.0, jobs=jobs, layout=layout)
        began = time.perf_counter()
        summary = write_tree(options)
        return summary, time.perf_counter() - began


def main() -> None:
    """Measure, and print figures next to the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40, help="runs of about 26 MB each")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--layout", default="v1", choices=("v1", "v2", "guide", "sample"))
    arguments = parser.parse_args()
    summary, seconds = measure(arguments.runs, arguments.jobs, arguments.layout)
    speed = summary.bytes / 1e6 / seconds
    print(f"{summary.files} files, {summary.bytes:,} bytes, scale 1, {arguments.jobs} processes: {seconds:.1f} s")
    print(f"{speed:.0f} MB/s, processes' start included; the target is {TARGET_MB_S} MB/s on 2 cores")


if __name__ == "__main__":
    main()
