"""Does what killed the predecessor pass under a hard limit? 3,468 sequences, 6.07 GB, 4 GB for all processes together.

python benchmarks/killer.py                      # the named size; logs are made first, 6.07 GB
python benchmarks/killer.py --share 0.1          # a tenth of the runs, the same logs
python benchmarks/killer.py --results results    # also killer.md, killer.parquet, killer.png

Load, forest, four models, findings, explain and report, in one `run`. The limit is the kernel's where a control group
(cgroup v2) can be made; elsewhere a watchdog looks every quarter of a second and ends everything that is over it.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import drop, report, working_folder
from results import keep, markdown
from whole import Limits, Measured, lo2dask, measure

from lo2dask.memory import format_bytes, parse_bytes
from lo2dask.options import SynthOptions
from lo2dask.sizing.timings import read_timings
from lo2dask.synthesis import write_tree
from lo2dask.tables.layout import Layout

RUNS, SCALE, BYTES, SEQUENCES = 99, 1.89, 6.07e9, 3_468
MODELS = "excess,event_lr_words,event_rf_words,event_xgb_words"
BUDGET = "1GB"  # of one fit: the default is more than such a worker has
GROUPS = Path("/sys/fs/cgroup")


def main(words: Sequence[str]) -> dict[str, Any]:
    """Make the logs, run under the limit, tell how it ended; return the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="share of the named 99 runs")
    parser.add_argument("--limit", default="4GB", help="memory of all processes together")
    parser.add_argument("--memory-limit", default="1.3GB", help="memory of each worker, as lo2dask takes it")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None, help="keep the logs here instead of in a temporary folder")
    parser.add_argument("--results", type=Path, help="write killer.md, killer.parquet and killer.png into this folder")
    arguments = parser.parse_args(words)
    limit, runs = parse_bytes(arguments.limit), max(1, round(RUNS * arguments.share))
    with working_folder(arguments.folder) as folder:
        raw, out = folder / f"killer-{runs}", folder / "killer-out"
        if not raw.exists():
            made = write_tree(SynthOptions(out=raw, runs=runs, errors_per_run=4, scale=SCALE))
            report("made the logs", format_bytes(made.bytes), f"named size {format_bytes(BYTES)}")
        drop(out)
        command = lo2dask("run", "--root", raw, "--output-dir", out, "--models", MODELS,
                          "--workers", arguments.workers, "--memory-limit", arguments.memory_limit,
                          "--memory-budget", BUDGET)  # fmt: skip
        group = control_group(limit)
        found = measure(in_group(command, group), Limits(memory=limit), lambda: read_timings(Layout(out)))
        held_by = "cgroup v2" if group else "watchdog"
        if group:
            group.rmdir()
        timings = read_timings(Layout(out))
        row = {
            "runs": runs, "bytes": int(timings.get("load", {}).get("bytes", 0)),
            "sequences": int(timings.get("train", {}).get("sequences", 0)), "limit_mb": round(limit / 1e6),
            "held_by": held_by, "peak_mb": round(found.peak / 1e6), "seconds": round(found.seconds, 1),
            "cpu_seconds": round(found.cpu, 1), "status": found.status, "report": (out / "report.html").exists(),
        }  # fmt: skip
        drop(out)
    report("killer", str(found), f"of {format_bytes(limit)}, {held_by}")
    said = [f"The named size is {SEQUENCES:,} sequences, {format_bytes(BYTES)}. Models: forest, {MODELS}.",
            markdown([row]), markdown(by_stage(found))]  # fmt: skip
    keep(arguments.results, "killer", [row], said, lambda axes: draw(axes, found, limit))
    return row


def by_stage(found: Measured) -> list[dict[str, Any]]:
    """Tell each stage's time and peak."""
    rows, start = [], 0.0
    for stage, end in [*found.marks.items(), ("report", found.seconds)]:
        figures = found.between(start, end)
        rows.append({"stage": stage, "s": f"{end - start:.0f}", "processor s": f"{figures['cpu']:.0f}",
                     "peak": format_bytes(figures["peak"])})  # fmt: skip
        start = end
    return rows


def control_group(limit: int) -> Path | None:
    """Make a control group (version 2) with a hard limit and no swap; None where that is not possible."""
    try:
        if "memory" not in (GROUPS / "cgroup.subtree_control").read_text().split():
            return None
        group = GROUPS / f"lo2dask-killer-{os.getpid()}"
        group.mkdir()
        (group / "memory.max").write_text(str(limit))
        (group / "memory.swap.max").write_text("0")
    except OSError:
        return None
    return group


def in_group(command: Sequence[str], group: Path | None) -> list[str]:
    """Let a command enter a control group before it starts."""
    if group is None:
        return list(command)
    return ["sh", "-c", f"echo $$ > {shlex.quote(str(group / 'cgroup.procs'))} && exec {shlex.join(command)}"]


def draw(axes: Any, found: Measured, limit: int) -> None:
    """Draw memory over time, the limit and the ends of stages."""
    axes.plot([moment.when for moment in found.moments], [moment.memory / 1e9 for moment in found.moments])
    axes.axhline(limit / 1e9, color="C3", linestyle="--", label="limit")
    for stage, when in found.marks.items():
        axes.axvline(when, color="grey", linewidth=0.7)
        axes.text(when, 0, f"{stage} ", ha="right", va="bottom", fontsize=7, rotation=90)
    axes.set(xlabel="seconds", ylabel="memory of all processes (GB)", ylim=(0, limit * 1.1 / 1e9))
    axes.legend()


if __name__ == "__main__":
    main(sys.argv[1:])
