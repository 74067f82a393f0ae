"""How far is `lo2dask plan` off? Its forecast from one run against measured runs of 0.5, 2 and 8 GB.

python benchmarks/plan.py                            # load and enhance of 0.5, 2 and 8 GB, train and explain up to 2 GB
python benchmarks/plan.py --sizes 100MB 250MB        # a first look
python benchmarks/plan.py --models-up-to 8GB         # train and explain at every size

The rates come from a run of their own (--from-size); the aim is an error of at most 20 % in the time of all stages, in
the memory of the load and in the output folder's size. The stored rates are shown next to them: they are those of
another hour or machine, and have no aim.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from common import drop, report, tree_of, working_folder

from lo2dask.commands.plan import rates_of
from lo2dask.memory import parse_bytes, tree_memory
from lo2dask.options import LoadOptions, TrainOptions
from lo2dask.sizing.forecast import STORED, Rates, Wanted, forecast
from lo2dask.sizing.timings import batch_seconds, read_timings, tree_bytes
from lo2dask.tables.layout import Layout

AIM = 0.2


def main() -> int:
    """Measure the run that gives the rates, then each size; return 1 if a forecast is off by too much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["500MB", "2GB", "8GB"])
    parser.add_argument("--from-size", default="1GB", help="the run that gives the rates")
    parser.add_argument("--models-up-to", default="2GB", help="train and explain up to this size")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None, help="keep trees here instead of in a temporary folder")
    arguments = parser.parse_args()
    worst = 0.0
    with working_folder(arguments.folder) as folder:
        # The first run of all reads programs and libraries from the disk, which no later one does.
        run_through(folder, "60MB", arguments.workers, True)
        _, out, _ = run_through(folder, arguments.from_size, arguments.workers, True)
        rates = rates_of(out)
        report("rates", rates.source)
        for rate in ("start", "overhead", "load_task", "enhance_fixed", "enhance_task", "enhance_serial", "train_fixed",
                     "train_sequence", "explain_fixed", "explain_sequence", "tables", "sequence"):  # fmt: skip
            report(f"  {rate}", f"{getattr(rates, rate):.3g}", f"stored {getattr(STORED, rate):.3g}")
        drop(out)
        for size in arguments.sizes:
            models = parse_bytes(size) <= parse_bytes(arguments.models_up_to)
            raw, out, peak = run_through(folder, size, arguments.workers, models)
            worst = max(worst, compare(size, raw, out, peak, rates, arguments.workers))
            drop(out)
    report("largest error", f"{worst:.0%} (aim {AIM:.0%})")
    return int(worst > AIM)


def run_through(folder: Path, size: str, workers: int, models: bool) -> tuple[int, Path, int]:
    """Load a made-up tree, train and explain, each as a command; give raw bytes, folder, peak memory of the load."""
    tree, out = tree_of(folder, size), folder / f"out-{size}"
    drop(out)
    peak = command("load", "--root", str(tree), "--output-dir", str(out), "--workers", str(workers))
    for name in ("train", "explain") if models else ():
        command(name, "--root", str(out), "--workers", str(workers))
    return batch_seconds(Layout(out))[1], out, peak


def command(*words: str) -> int:
    """Run the console program as a user does; return the most memory that it and its processes held."""
    process = subprocess.Popen([sys.executable, "-m", "lo2dask", *words, "--quiet"])
    peak = 0
    while process.poll() is None:
        peak = max(peak, tree_memory(process.pid))
        time.sleep(0.3)
    if process.returncode:
        raise SystemExit(f"lo2dask {words[0]} ended with {process.returncode}")
    return peak


def compare(size: str, raw: int, out: Path, peak: int, rates: Rates, workers: int) -> float:
    """Print what was measured next to what was forecast; return the largest error of what has an aim."""
    wanted = Wanted(raw, workers, parse_bytes(LoadOptions.partition_size), parse_bytes(TrainOptions.memory_budget))
    needs, stored = forecast(rates, wanted), forecast(STORED, wanted)
    timings = read_timings(Layout(out))
    errors = []
    for stage, figures in timings.items():
        errors.append(line(f"{size}, {stage}", figures["seconds"], needs.seconds[stage], stored.seconds[stage], "s"))
    whole = [sum(of[stage] for stage in timings) for of in (_seconds(timings), needs.seconds, stored.seconds)]
    errors.append(line(f"{size}, all of it", *whole, "s"))
    errors.append(line(f"{size}, memory to load", peak / 1e6, needs.load_memory / 1e6, stored.load_memory / 1e6, "MB"))
    if "explain" in timings:
        written = tree_bytes(out)
        errors.append(line(f"{size}, output", written / 1e6, needs.output / 1e6, stored.output / 1e6, "MB"))
    return max(errors[-3 if "explain" in timings else -2 :])


def line(name: str, found: float, said: float, stored: float, unit: str) -> float:
    """Print one figure, measured and forecast; return the error."""
    error = abs(said / found - 1)
    report(name, f"{found:9.1f} {unit}", f"forecast {said:9.1f} ({said / found - 1:+.0%})", f"stored {stored:9.1f}")
    return error


def _seconds(timings: dict[str, dict[str, float]]) -> dict[str, float]:
    return {stage: figures["seconds"] for stage, figures in timings.items()}


if __name__ == "__main__":
    sys.exit(main())
