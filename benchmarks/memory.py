"""How much memory does each command need, by the size of the tree? The peak of all its processes, as one table.

python benchmarks/memory.py                           # 0.5 and 2 GB, 2 workers
python benchmarks/memory.py --sizes 500MB 2GB 8GB     # the whole grid
python benchmarks/memory.py --results results         # also memory.md, memory.parquet, memory.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import drop, report, tree_of, working_folder
from results import keep, markdown
from whole import Measured, lo2dask, measure

from lo2dask.memory import parse_bytes


def main(words: Sequence[str]) -> list[dict[str, Any]]:
    """Measure every command at every size; return the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["500MB", "2GB"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None, help="keep trees here instead of in a temporary folder")
    parser.add_argument("--results", type=Path, help="write memory.md, memory.parquet and memory.png into this folder")
    arguments = parser.parse_args(words)
    rows: list[dict[str, Any]] = []
    with working_folder(arguments.folder) as folder:
        for size in arguments.sizes:
            root = tree_of(folder, size)
            for name, command in commands(root, folder / "memory-out", arguments.workers).items():
                found = measure(command)
                report(f"{name}, {size}", str(found))
                rows.append(_row(name, size, found))
            drop(folder / "memory-out")
            drop(folder / "memory-out-both")
    named: dict[str, dict[str, Any]] = {}
    for row in rows:
        own = named.setdefault(row["command"], {"command": f"`{row['command']}`"})
        own[row["size"]] = f"{row['peak_mb']:,} MB" + ("" if row["status"] == "done" else f" ({row['status']})")
    keep(arguments.results, "memory", rows, [markdown(list(named.values()))], lambda axes: draw(axes, rows))
    return rows


def commands(root: Path, out: Path, workers: int) -> dict[str, list[str]]:
    """Name the commands in an order in which each finds what it reads."""
    own, both = ("--workers", workers), out.with_name(f"{out.name}-both")
    drop(out)
    drop(both)
    load = ("load", "--root", root, *own, "--output-dir")
    return {
        "load --no-enhance": lo2dask(*load, out, "--no-enhance"),
        "load (enhances)": lo2dask(*load, out),
        "load --tokens both --save-events": lo2dask(*load, both, "--tokens", "both", "--save-events"),
        "train": lo2dask("train", "--root", out, *own, "--dump-metadata",
                         "--save-model", out / "models" / "lo2_if.joblib"),
        "score": lo2dask("score", "--root", root, *own, "--bundle", out / "models" / "lo2_if.joblib",
                         "--output-dir", both / "score"),
        "explain": lo2dask("explain", "--root", out, *own),
        "report": lo2dask("report", "--root", out),
        "verify": lo2dask("verify", out),
        "audit": lo2dask("audit", out),
        "findings": lo2dask("findings", out),
    }  # fmt: skip


def _row(name: str, size: str, found: Measured) -> dict[str, Any]:
    return {
        "command": name, "size": size, "bytes": parse_bytes(size), "peak_mb": round(found.peak / 1e6),
        "seconds": round(found.seconds, 1), "cpu_seconds": round(found.cpu, 1), "status": found.status,
    }  # fmt: skip


def draw(axes: Any, rows: list[dict[str, Any]]) -> None:
    """Draw a line per command: peak memory by size."""
    for name in dict.fromkeys(row["command"] for row in rows):
        own = [row for row in rows if row["command"] == name]
        axes.plot([row["bytes"] / 1e9 for row in own], [row["peak_mb"] for row in own], marker="o", label=name)
    axes.set(xlabel="logs (GB)", ylabel="peak of all processes (MB)", ylim=(0, None))
    axes.legend(fontsize=7)


if __name__ == "__main__":
    main(sys.argv[1:])
