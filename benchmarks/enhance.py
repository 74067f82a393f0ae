"""Phases B and C: load and enhance with masked tokens, raw ones and both; whole commands; the predecessor's killer.

python benchmarks/enhance.py                       # 2 GB and 8 GB, 2 workers of 1 thread
python benchmarks/enhance.py --sizes 1GB --quick   # a first look
python benchmarks/enhance.py --killer              # 3,468 sequences, 6 GB of token logs
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from common import drop, read_all, report, speed, tree_of, warm, watch_memory, working_folder, yardstick

from lo2dask.commands.load import load
from lo2dask.memory import format_bytes
from lo2dask.options import LoadOptions, SynthOptions
from lo2dask.synthesis import write_tree


def load_and_enhance(root: Path, tiny: Path, folder: Path, tokens: str) -> float:
    """Load and enhance on a warm cluster, the logs in the page cache, events written: seconds."""
    options = LoadOptions(root=root, output_dir=folder / "out", save_events=True, workers=2, tokens=tokens)
    read_all(root)
    with warm(options, tiny, folder) as session, watch_memory(1.0) as peak:
        before = yardstick(session, root, 2)
        started = time.perf_counter()
        summary = load(options, session)
        seconds = time.perf_counter() - started
        limit = (before + yardstick(session, root, 2)) / 2
    share = f"{summary.bytes / seconds / 1e4 / limit:.1f} % of splitting lines ({limit:.0f} MB/s)"
    figures = (share, f"peak {format_bytes(peak.total)}", f"largest process {format_bytes(peak.largest_child)}")
    report(f"load + enhance, {tokens}, {root.name}, warm", speed(summary.bytes, seconds), *figures)
    drop(folder / "out")
    return seconds


def whole_commands(root: Path, folder: Path, size: int) -> None:
    """Run `load --no-enhance --save-events`, then `train --phase enhancers`, as a user does."""
    out = folder / "command"
    drop(out)
    program = [sys.executable, "-m", "lo2dask"]
    load_command = [*program, "load", "--root", str(root), "--output-dir", str(out), "--no-enhance", "--save-events"]
    train_command = [*program, "train", "--root", str(out), "--phase", "enhancers"]
    with watch_memory(1.0) as peak:
        started = time.perf_counter()
        for command in (load_command, train_command):
            subprocess.run([*command, "--workers", "2", "--quiet"], check=True)
        seconds = time.perf_counter() - started
    report(f"load, then train --phase enhancers, {root.name}", speed(size, seconds), f"peak {format_bytes(peak.total)}")
    drop(out)


def killer(folder: Path) -> None:
    """Load and enhance what the predecessor died of: token logs only, 6.07 GB, 3,468 sequences, 619 million words."""
    root = folder / "killer"
    if not root.exists():
        # 1,734 runs of `correct` and one error case make 3,468 token logs; the scale gives them 6 GB.
        options = SynthOptions(out=root, runs=1734, errors_per_run=1, services=("token",), scale=KILLER_SCALE)
        made = write_tree(options)
        report("made the killer", format_bytes(made.bytes))
    raw = sum(path.stat().st_size for path in root.rglob("*-token-1.log"))
    for tokens in ("masked", "raw", "both"):
        out = folder / "killer-out"
        drop(out)
        command = [sys.executable, "-m", "lo2dask", "load", "--root", str(root), "--output-dir", str(out), "--quiet"]
        with watch_memory() as peak:
            started = time.perf_counter()
            subprocess.run([*command, "--workers", "2", "--tokens", tokens], check=True)
            seconds = time.perf_counter() - started
        report(f"killer, load + enhance, {tokens}", speed(raw, seconds), f"peak {format_bytes(peak.total)}")
    drop(folder / "killer-out")


# Chosen so that 1,734 runs hold 6.07 GB of token logs.
KILLER_SCALE = 0.928


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["2GB", "8GB"])
    parser.add_argument("--folder", type=Path, default=None, help="keep trees here instead of in a temporary folder")
    parser.add_argument("--quick", action="store_true", help="leave out the whole commands")
    parser.add_argument("--killer", action="store_true", help="run the predecessor's killer alone")
    arguments = parser.parse_args()
    with working_folder(arguments.folder) as folder:
        if arguments.killer:
            killer(folder)
            return
        tiny = tree_of(folder, "60MB")
        for size in arguments.sizes:
            root = tree_of(folder, size)
            for tokens in ("masked", "raw", "both"):
                load_and_enhance(root, tiny, folder, tokens)
            if not arguments.quick:
                raw = sum(path.stat().st_size for path in root.rglob("*oauth2-oauth2-*.log"))
                whole_commands(root, folder, raw)


if __name__ == "__main__":
    main()
