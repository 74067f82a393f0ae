"""How fast are others at the same work? lo2dask, LogLead, pandas with scikit-learn, and polars, on the same tree.

python benchmarks/peers.py                            # 0.25, 0.5, 1, 2, 4 GB, three rounds in turn
python benchmarks/peers.py --sizes 30MB --rounds 1    # a first look
python benchmarks/peers.py --results results          # also peers.md, peers.parquet, peers.png

The work: read all lines of a tree of LO2, mask them by lo2dask's masks, count words, mine templates with Drain, write
what each sequence holds to Parquet. Each side is a process of its own, from its start to its end. A peer over 20 GB or
20 minutes is ended, recorded so, and not asked again. The peers run in a virtual environment that is made below a
temporary folder with LogLead from the package index (about 2 GB); --environment uses one that is there.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from common import drop, read_all, report, tree_of, working_folder
from results import keep, markdown
from whole import Limits, Measured, lo2dask, measure

from lo2dask.features.masks import load_masks
from lo2dask.memory import parse_bytes
from lo2dask.sizing.timings import tree_bytes

PEERS = ("loglead", "pandas", "polars")
SIDES = ("lo2dask 2", "lo2dask 1", *PEERS)
LIMITS = Limits(memory=20e9, seconds=20 * 60)
NOT_DONE = {
    "lo2dask": "does more than the peers: trigrams, statements, start-up check, rejects and their accounts, resumable "
    "records, checksums (no switch turns them off); keeps bags (word, count), not each sequence's words in order",
    "loglead": "drops lines without a time (stack traces); no threads or levels as columns; no dates; no rejects: a "
    "file that cannot be read is warned of; Drain on each line; cannot resume; holds all in memory; one process, "
    "polars' threads",
    "pandas": "no dates, loggers or levels; no rejects: bytes that are no UTF-8 are replaced; cannot resume; holds all "
    "in memory; one core",
    "polars": "no dates, loggers or levels; no rejects: bytes that are no UTF-8 are replaced; cannot resume; a line "
    "that holds the byte 1 is cut there; one process, polars' threads",
}


def main(words: Sequence[str]) -> list[dict[str, Any]]:
    """Measure all sides in turn at each size; return the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["250MB", "500MB", "1GB", "2GB", "4GB"])
    parser.add_argument("--rounds", type=int, default=3, help="how often all sides are measured in turn")
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=SIDES)
    parser.add_argument("--environment", type=Path, help="a virtual environment with LogLead, instead of a new one")
    parser.add_argument("--folder", type=Path, default=None, help="keep trees here instead of in a temporary folder")
    parser.add_argument("--results", type=Path, help="write peers.md, peers.parquet and peers.png into this folder")
    arguments = parser.parse_args(words)
    rows: list[dict[str, Any]] = []
    out_of_race: set[str] = set()
    with working_folder(arguments.folder) as folder:
        python = arguments.environment or folder / "environment"
        if set(arguments.sides) & set(PEERS):
            make_environment(python)
        masks = write_masks(folder / "masks.json")
        tree_of(folder, "30MB")
        for side in arguments.sides:
            # Imports and compiled code are read from the disk, or made, once.
            run_side(side, folder / "tree-30MB", folder / "peers-out", python, masks)
        for size in arguments.sizes:
            root = tree_of(folder, size)
            read_all(root)
            for turn in range(arguments.rounds):
                for side in [*arguments.sides[turn % 2 :], *arguments.sides[: turn % 2]]:
                    if side in out_of_race:
                        continue
                    found, output = run_side(side, root, folder / "peers-out", python, masks)
                    report(f"{side}, {size}, round {turn + 1}", str(found))
                    rows.append(_row(side, size, turn, found, output))
                    if found.status != "done":
                        out_of_race.add(side)
        versions = peer_versions(python) if set(arguments.sides) & set(PEERS) else "none"
    said = ["\n".join(f"- {side}: {text}." for side, text in NOT_DONE.items())]
    parts = [markdown(shown(rows)), "What each side does not do, or does besides:", *said, f"Peers: {versions}."]
    keep(arguments.results, "peers", rows, parts, lambda axes: draw(axes, rows))
    return rows


def make_environment(folder: Path) -> None:
    """Make a virtual environment with LogLead, unless it is there."""
    if (folder / "bin" / "python").exists():
        return
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", "loglead", "pyarrow"], check=True)


def peer_versions(folder: Path) -> str:
    """Name the versions that the peers ran with."""
    command = [folder / "bin" / "python", "-m", "pip", "list", "--format", "json"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    wanted = {"loglead", "polars", "pandas", "scikit-learn", "drain3", "pyarrow"}
    return ", ".join(f"{one['name']} {one['version']}" for one in listed if one["name"].lower() in wanted)


def write_masks(path: Path) -> Path:
    r"""Write lo2dask's masks for others: ``\1`` (RE2, Python) and ``${1}`` (Rust) in the replacements."""
    rules = [
        {"pattern": mask.pattern, "backslash": mask.replacement,
         "dollar": re.sub(r"\\(\d)", r"${\1}", mask.replacement)}
        for mask in load_masks(None)
    ]  # fmt: skip
    path.write_text(json.dumps(rules), encoding="utf-8")
    return path


def run_side(side: str, root: Path, out: Path, environment: Path, masks: Path) -> tuple[Measured, int]:
    """Run one side on nothing: (figures, bytes it wrote)."""
    drop(out)
    if side in PEERS:
        script = Path(__file__).with_name(f"peer_{side}.py")
        command = [str(environment / "bin" / "python"), str(script), str(root), str(out), str(masks)]
    else:
        command = lo2dask("load", "--root", root, "--output-dir", out, "--workers", side.split()[1],
                          "--no-trim-init-lines", "--no-windows")  # fmt: skip
    found = measure(command, LIMITS)
    output = tree_bytes(out)
    drop(out)
    return found, output


def _row(side: str, size: str, turn: int, found: Measured, output: int) -> dict[str, Any]:
    return {
        "side": side, "size": size, "bytes": parse_bytes(size), "round": turn + 1, "status": found.status,
        "seconds": round(found.seconds, 2), "cpu_seconds": round(found.cpu, 2), "peak_mb": round(found.peak / 1e6),
        "output_mb": round(output / 1e6, 1),
    }  # fmt: skip


def shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tell each side's medians at each size, and how they compare with lo2dask on 2 workers."""
    table = []
    for size in dict.fromkeys(row["size"] for row in rows):
        first: dict[str, float] = {}
        for side in dict.fromkeys(row["side"] for row in rows if row["size"] == size):
            own = [row for row in rows if row["size"] == size and row["side"] == side]
            figure = {name: median(row[name] for row in own) for name in ("seconds", "cpu_seconds", "peak_mb")}
            first = first or figure
            table.append({
                "size": size, "side": side, "wall s": f"{figure['seconds']:.1f}",
                "processor s": f"{figure['cpu_seconds']:.1f}", "peak MB": f"{figure['peak_mb']:,.0f}",
                "output MB": f"{median(row['output_mb'] for row in own):.1f}",
                "wall / first": f"{figure['seconds'] / first['seconds']:.1f}",
                "processor / first": f"{figure['cpu_seconds'] / first['cpu_seconds']:.1f}",
                "peak / first": f"{figure['peak_mb'] / first['peak_mb']:.1f}", "ended": own[-1]["status"],
            })  # fmt: skip
    return table


def draw(axes: Any, rows: list[dict[str, Any]]) -> None:
    """Draw a line per side: processor seconds by size, what was ended left out."""
    for side in dict.fromkeys(row["side"] for row in rows):
        own = [row for row in rows if row["side"] == side and row["status"] == "done"]
        sizes = sorted({row["bytes"] for row in own})
        cpu = [median(row["cpu_seconds"] for row in own if row["bytes"] == size) for size in sizes]
        axes.plot([size / 1e9 for size in sizes], cpu, marker="o", label=side)
    axes.set(xlabel="logs (GB)", ylabel="processor time (s)", xscale="log", yscale="log")
    axes.legend()


if __name__ == "__main__":
    main(sys.argv[1:])
