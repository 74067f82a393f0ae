"""How does a whole `run` grow, stage by stage, and what would all of LO2 take?

python benchmarks/scaling.py                                    # 0.5 to 16 GB, 1 and 2 workers
python benchmarks/scaling.py --sizes 60MB 125MB 250MB           # a first look
python benchmarks/scaling.py --results results                  # also scaling.md, scaling.parquet, scaling.png

Processor time is what is projected: another's work on the machine leaves it nearly alone. Of each stage, what all
workers spent at the same steps (spread) and the rest (serial) are fitted as lines a + b x; x is bytes for the load,
sequences for what follows. On n cores a stage takes the serial line, a worker's share of the spread line's a, and
b x / n, on a quiet machine whose disks keep up. The check fits the smaller sizes alone and predicts the largest. Report
is what remains of the command, its end included.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import drop, report, tree_of, working_folder
from results import keep, markdown
from whole import Measured, lo2dask, measure

from lo2dask.sizing.timings import read_timings
from lo2dask.tables.layout import Layout

STAGES = ("load", "enhance", "train", "explain", "report")
ALL_BYTES, ALL_SEQUENCES, CORES = 340e9, 657_000, (2, 16, 128)


def main(words: Sequence[str]) -> list[dict[str, Any]]:
    """Measure each size on each number of workers; fit, check, project; return the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["500MB", "1GB", "2GB", "4GB", "8GB", "16GB"])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--folder", type=Path, default=None, help="keep trees here instead of in a temporary folder")
    parser.add_argument("--results", type=Path, help="write scaling.md, .parquet and .png into this folder")
    arguments = parser.parse_args(words)
    rows: list[dict[str, Any]] = []
    profile: list[dict[str, Any]] = []
    with working_folder(arguments.folder) as folder:
        # The first run of all compiles, and reads programs and libraries from the disk, which no later one does.
        run_through(tree_of(folder, "30MB"), folder / "scaling-out", 1)
        for size in arguments.sizes:
            for workers in arguments.workers:
                found, own = run_through(tree_of(folder, size), folder / "scaling-out", workers)
                report(f"run, {size}, {workers} workers", str(found))
                rows += [{"size": size, **row} for row in own]
                profile = profile_of_slowest(found, own)
    parts = [markdown(shown(rows)), "Projection to 340 GB and 657,000 sequences, in hours:", markdown(projected(rows))]
    parts += [f"Check, fitted without the largest size: {check(rows)}"]
    parts += [f"Slowest stage of the last run: {profile[0]['stage']}. Its steps:", markdown(profile)]
    keep(arguments.results, "scaling", rows, parts, lambda axes: draw(axes, rows))
    return rows


def run_through(root: Path, out: Path, workers: int) -> tuple[Measured, list[dict[str, Any]]]:
    """Run the whole command on nothing; give it and a row for each stage. Raise RuntimeError if it fails."""
    drop(out)
    command = lo2dask("run", "--root", root, "--output-dir", out, "--workers", workers)
    found = measure(command, marks=lambda: read_timings(Layout(out)))
    timings = read_timings(Layout(out))
    drop(out)
    if found.status != "done":
        raise RuntimeError(found.status)
    rows, start = [], 0.0
    for stage in STAGES:
        end = found.seconds if stage == "report" else found.marks[stage]
        figures = found.between(start, end)
        if stage == "report":
            figures["cpu"] = found.cpu - found.cpu_at(start)
        rows.append({
            "workers": workers, "bytes": int(timings["load"]["bytes"]), "sequences": int(timings["train"]["sequences"]),
            "stage": stage, "start": start, "seconds": end - start, "cpu_seconds": figures["cpu"],
            "spread_seconds": found.spread(start, end, workers), "peak_mb": round(figures["peak"] / 1e6),
        })  # fmt: skip
        start = end
    for row in rows:
        row["serial_seconds"] = max(row["cpu_seconds"] - row["spread_seconds"], 0.0)
    return found, rows


def profile_of_slowest(found: Measured, rows: list[dict[str, Any]], longest: int = 12) -> list[dict[str, Any]]:
    """Tell the steps of a run's slowest stage, longest first."""
    slowest = max(rows, key=lambda row: row["seconds"])
    steps = found.profile(slowest["start"], slowest["start"] + slowest["seconds"])[:longest]
    return [
        {"stage": slowest["stage"], "step": name, "s": f"{seconds:.1f}", "processor s": f"{cpu:.1f}"}
        for name, seconds, cpu in steps
    ]


def shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put a run's stages side by side: wall seconds (processor seconds)."""
    table: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        first = {"size": row["size"], "workers": row["workers"], "sequences": f"{row['sequences']:,}"}
        own = table.setdefault((row["size"], row["workers"]), first)
        own[row["stage"]] = f"{row['seconds']:.0f} ({row['cpu_seconds']:.0f})"
    for key, own in table.items():
        mine = [row for row in rows if (row["size"], row["workers"]) == key]
        own["all"] = f"{sum(r['seconds'] for r in mine):.0f} ({sum(r['cpu_seconds'] for r in mine):.0f})"
        own["peak"] = f"{max(r['peak_mb'] for r in mine):,} MB"
    return list(table.values())


def line(rows: list[dict[str, Any]], stage: str, workers: int, name: str = "cpu_seconds") -> tuple[float, float]:
    """Fit a stage's figure as a + b x, neither below 0, small sizes weighing as much as large ones."""
    own = [row for row in rows if row["stage"] == stage and row["workers"] == workers]
    x, y = np.array([_amount(row) for row in own]), np.array([max(row[name], 0.01) for row in own])
    if len(own) == 1:
        return 0.0, float(y[0] / x[0])
    slope, base = np.polyfit(x, y, 1, w=1 / y)
    if slope < 0:
        return float(y.mean()), 0.0
    return (float(base), float(slope)) if base >= 0 else (0.0, float((y / x).mean()))


def _amount(row: Mapping[str, Any]) -> float:
    return float(row["bytes"] if row["stage"] == "load" else row["sequences"])


def seconds_on(rows: list[dict[str, Any]], stage: str, amount: float, cores: int) -> tuple[float, float]:
    """Project a stage to an amount and a number of cores: (seconds, share of what grows that is spread)."""
    workers = max(row["workers"] for row in rows)
    serial, growth = line(rows, stage, workers, "serial_seconds")
    each, spread = line(rows, stage, workers, "spread_seconds")
    share = spread / (spread + growth) if spread + growth else 0.0
    return serial + growth * amount + each / workers + spread * amount / cores, share


def projected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Project each stage to all of LO2 on several numbers of cores: hours."""
    table, totals = [], dict.fromkeys(CORES, 0.0)
    for stage in STAGES:
        amount = ALL_BYTES if stage == "load" else ALL_SEQUENCES
        hours = {cores: seconds_on(rows, stage, amount, cores)[0] / 3600 for cores in CORES}
        share = seconds_on(rows, stage, amount, 1)[1]
        totals = {cores: totals[cores] + hours[cores] for cores in CORES}
        table.append({"stage": stage, "spread": f"{share:.0%}"} | {f"{c} cores": f"{hours[c]:.2f}" for c in CORES})
    return [*table, {"stage": "all", "spread": ""} | {f"{c} cores": f"{totals[c]:.2f}" for c in CORES}]


def check(rows: list[dict[str, Any]]) -> str:
    """Predict the largest size from the smaller ones, each number of workers by itself; tell how ideal the wall was."""
    largest, said = max(row["bytes"] for row in rows), []
    smaller = [row for row in rows if row["bytes"] < largest]
    for workers in sorted({row["workers"] for row in smaller}):
        own = [row for row in rows if row["bytes"] == largest and row["workers"] == workers]
        if not own:
            continue
        lines = [(row, line(smaller, row["stage"], workers)) for row in own]
        guessed = sum(base + slope * _amount(row) for row, (base, slope) in lines)
        real, wall = sum(row["cpu_seconds"] for row in own), sum(row["seconds"] for row in own)
        text = f"{workers} workers {guessed:.0f} s of processor time, measured {real:.0f} s ({guessed / real - 1:+.0%})"
        if workers > 1:
            ideal = sum(row["serial_seconds"] + row["spread_seconds"] / workers for row in own)
            text += f"; wall time by this model {ideal:.0f} s, measured {wall:.0f} s"
        said.append(text)
    return "; ".join(said) or "one size alone, nothing to check"


def draw(axes: Any, rows: list[dict[str, Any]]) -> None:
    """Draw a line per stage and number of workers: seconds by size."""
    for stage in STAGES:
        for workers in sorted({row["workers"] for row in rows}):
            own = [row for row in rows if row["stage"] == stage and row["workers"] == workers]
            x, y = [row["bytes"] / 1e9 for row in own], [row["cpu_seconds"] for row in own]
            axes.plot(x, y, marker="o", linestyle="-" if workers > 1 else ":", color=f"C{STAGES.index(stage)}",
                      label=f"{stage}, {workers} workers")  # fmt: skip
    axes.set(xlabel="logs (GB)", ylabel="processor time (s)", xscale="log", yscale="log")
    axes.legend(fontsize=7)


if __name__ == "__main__":
    main(sys.argv[1:])
