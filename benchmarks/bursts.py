"""Are planted bursts found, in which service, when, and which line?

python benchmarks/bursts.py                    # made-up runs and the real slice, 200 plants each, two seeds
python benchmarks/bursts.py --quick            # 2 plants into few made-up runs: a first look

Plants (planter.py says which) go into 10 made-up correct runs, with 20 others to learn from; and into the correct runs
of the real slice (next to the repository, or --sample), each left out in turn. A plant is a copy of its run, and all
are scored at once by `lo2dask score`. It is found if the run's best window, of all services, is of its service and
within 2 s of it; its line is found if one of its lines is among the run's ten best. Chance is the share of the run's
windows that would have counted as found. Intervals are Wilson's, 95 %.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bursts_slice import learn, print_doubled, slice_folds
from common import drop, report, working_folder
from planter import KINDS, SECOND, START, Log, Plant, copy_case, error_lines, plant, service_logs

from lo2dask.commands.score import score
from lo2dask.domain import CORRECT
from lo2dask.execute.session import Session
from lo2dask.findings.judge import ALARM
from lo2dask.options import ScoreOptions, SynthOptions
from lo2dask.sources.names import DAY_MS
from lo2dask.synthesis import write_tree
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part

# Kinds that are to be found; of the others there are half as many plants.
SOUGHT = KINDS[:4]
NEAR, FIRST = 2000, 10
# The longest silence of a service's normal logs, in ms: a shorter one is not expected to stand out.
Longest = dict[str, int]


@dataclass(frozen=True)
class Fold:
    """Runs to plant into (the folders of their correct cases), cases to learn from, and the bundle learned there."""

    name: str
    cases: Sequence[Path]
    normals: Sequence[Path]
    bundle: Path


@dataclass(frozen=True)
class Result:
    """One plant and what became of it; ``expected``: a silence is longer than every normal one of its service.

    ``hit_new``: found, if windows that score the same without the plant are left out.
    """

    data: str
    seed: int
    kind: str
    run: str
    service: str
    start: int
    end: int
    size: int
    expected: bool
    chance: float
    hit: bool
    hit_new: bool
    line_hit: bool | None
    best: str
    own_score: float
    best_score: float


def main() -> None:
    """Measure and print."""
    arguments = parse(sys.argv[1:])
    with working_folder(arguments.folder) as folder:
        measure(arguments, folder)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30, help="made-up runs; a third of them is planted into; 0 = none")
    parser.add_argument("--plants", type=int, default=200, help="plants of the kinds that are to be found")
    parser.add_argument("--seeds", default="1,2", help="seeds of the plants and of the made-up runs, by comma")
    parser.add_argument("--scale", type=float, default=0.2, help="size of the made-up logs, 1 = as published")
    parser.add_argument("--sample", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "lo2-sample")
    parser.add_argument("--folder", type=Path, help="work here and leave it; default: a temporary folder")
    parser.add_argument("--results", type=Path, help="write bursts.md and bursts.parquet into this folder")
    parser.add_argument("--quick", action="store_true", help="2 plants into 6 made-up runs, one seed, no slice")
    arguments = parser.parse_args(words)
    if arguments.quick:
        arguments.runs, arguments.plants, arguments.seeds, arguments.sample = 6, 2, "1", Path("none")
    return arguments


def measure(arguments: argparse.Namespace, folder: Path) -> list[Result]:
    """Plant into made-up runs and into the slice, print the tables, and write them where --results says."""
    results: list[Result] = []
    alarms: list[tuple[str, int, int]] = []
    for seed in (int(text) for text in arguments.seeds.split(",")):
        names = {}
        if arguments.runs:
            names["made-up"] = [made_up(folder / f"made-up-{seed}", arguments.runs, arguments.scale, seed)]
        if (arguments.sample / "v1").is_dir():
            names["slice"] = [Fold(*fold) for fold in slice_folds(arguments.sample / "v1", folder / "slice")]
        for name, own in names.items():
            for index, fold in enumerate(own):
                wanted = [*_kinds(arguments.plants)][index :: len(own)]
                found, quiet = run_fold((name, fold), wanted, seed, folder / f"planted-{name}-{seed}-{index}")
                results += found
                alarms += [(name, seed, count) for count in quiet]
    text = table(results, alarms)
    print(text, flush=True)
    if arguments.results:
        arguments.results.mkdir(parents=True, exist_ok=True)
        (arguments.results / "bursts.md").write_text(text + "\n", encoding="utf-8")
        pq.write_table(pa.Table.from_pylist([asdict(one) for one in results]), arguments.results / "bursts.parquet")
    if (arguments.sample / "v1").is_dir():
        print_doubled(arguments.sample, folder / "slice")
    else:
        report("real slice", f"skipped: there is no {arguments.sample / 'v1'}")
    return results


def made_up(folder: Path, runs: int, scale: float, seed: int) -> Fold:
    """Make correct runs, and learn from two thirds of them."""
    raw = folder / "raw"
    if not raw.exists():
        write_tree(SynthOptions(out=raw, runs=runs, errors_per_run=0, scale=scale, seed=seed, jobs=1))
    cases = [path / CORRECT for path in sorted(raw.iterdir()) if path.is_dir()]
    planted, normals = cases[: max(runs // 3, 1)], cases[max(runs // 3, 1) :]
    return Fold("made-up", planted, normals, learn(normals, folder / "learn"))


def run_fold(named: tuple[str, Fold], wanted: Sequence[str], seed: int, folder: Path) -> tuple[list[Result], list[int]]:
    """Plant, score, and compare; return what became of the plants, and the alarms of each run without one."""
    name, fold = named
    drop(folder)
    errors, draw = error_lines([path for case in fold.normals for path in service_logs(case).values()]), None
    draw = np.random.default_rng([seed, *fold.name.encode()])
    plants: dict[str, tuple[str, str, str, Plant]] = {}
    for case in fold.cases:
        copy_case(case, folder / "raw" / case.parent.name / CORRECT, {})
    for number, kind in enumerate(wanted, 1):
        case, service, planted = _draw(kind, fold, errors, draw)
        # The number of a run's name is the end of its clock: a few seconds more change nothing.
        prefix, end = case.parent.name.rsplit("-", 1)
        run = f"{prefix}-{int(end) + number}"
        copy_case(case, folder / "raw" / run / CORRECT, {service: planted.log.lines})
        plants[run] = (kind, case.parent.name, service, planted)
    score(ScoreOptions(root=folder / "raw", bundle=fold.bundle, output_dir=folder / "out"), Session.serial())
    layout, longest = Layout(folder / "out"), _longest(fold.normals)
    windows, lines = _by_run(layout.windows), _by_run(layout.lines)
    results = []
    for run, (kind, base, service, planted) in plants.items():
        found = _judge(service, planted, windows.get(run, []), windows.get(base, []))
        top = {row["text"].strip() for row in lines.get(run, [])[:FIRST]}
        expected = kind != "silence" or planted.size > longest.get(service, 0)
        logs = {other: Log.read(path) for other, path in service_logs(folder / "raw" / run / CORRECT).items()}
        near = planted.log.windows(planted.start - NEAR, planted.end + NEAR)
        chance = near / sum(log.windows(0, 2 * DAY_MS) for log in logs.values())
        results.append(Result(
            name, seed, kind, run, service, planted.start, planted.end, planted.size, expected, chance,
            line_hit=bool(top & planted.lines) if planted.lines else None, **found,
        ))  # fmt: skip
    quiet = [sum(row["score"] > ALARM for row in windows.get(case.parent.name, [])) for case in fold.cases]
    return results, quiet


def _draw(kind: str, fold: Fold, errors: dict[str, list[str]], draw: np.random.Generator) -> tuple[Path, str, Plant]:
    """Draw a run and a service until the kind has a place in its log."""
    while True:
        case = fold.cases[int(draw.integers(len(fold.cases)))]
        logs = service_logs(case)
        service = str(draw.choice(sorted(logs)))
        planted = plant(kind, Log.read(logs[service]), errors.get(service, []), draw)
        if planted is not None:
            return case, service, planted


def _kinds(plants: int) -> Iterator[str]:
    """Share plants out over the kinds that are to be found, and half as many a kind over the others."""
    for number in range(plants):
        yield SOUGHT[number % len(SOUGHT)]
    for number in range(plants * (len(KINDS) - len(SOUGHT)) // len(SOUGHT) // 2):
        yield KINDS[len(SOUGHT) + number % (len(KINDS) - len(SOUGHT))]


def _longest(normals: Sequence[Path]) -> Longest:
    found: Longest = {}
    for case in normals:
        for service, path in service_logs(case).items():
            log = Log.read(path)
            times = log.times[START:][log.timed[START:]]
            found[service] = max(found.get(service, 0), int(np.diff(times).max(initial=0)))
    return found


def _by_run(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Read a table, the highest score first, by run."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for path in part_paths(folder):
        for row in read_part(path).to_pylist():
            rows.setdefault(row["run"], []).append(row)
    return {run: sorted(own, key=lambda row: -row["score"]) for run, own in rows.items()}


def _judge(
    service: str, planted: Plant, windows: Sequence[dict[str, Any]], without: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Compare the best windows of a run with what was planted."""
    before = {(row["service"], row["window_start"]): row["score"] for row in without}
    new = [row for row in windows if row["score"] > before.get((row["service"], row["window_start"]), 0) + 1e-6]
    near = [row for row in windows if _is_near(row, service, planted)]
    best = windows[0] if windows else None
    return {
        "hit": best is not None and _is_near(best, service, planted),
        "hit_new": bool(new) and _is_near(new[0], service, planted),
        "best": f"{best['service']} {best['component']}" if best else "",
        "own_score": near[0]["score"] if near else 0.0,
        "best_score": best["score"] if best else 0.0,
    }


def _is_near(row: dict[str, Any], service: str, planted: Plant) -> bool:
    # Times of a plant are since the log's first midnight.
    start = _of_day(row["window_start"])
    start += DAY_MS * round((planted.start - start) / DAY_MS)
    overlaps = start <= planted.end + NEAR and start + SECOND >= planted.start - NEAR
    return bool(row["service"] == service and overlaps)


def _of_day(time: Any) -> int:
    """Return a timestamp's time of day in ms."""
    return int(time.hour * 3600 + time.minute * 60 + time.second) * 1000 + time.microsecond // 1000


def table(results: Sequence[Result], alarms: Sequence[tuple[str, int, int]]) -> str:
    """Write the shares of found plants as a Markdown table, and the alarms of runs without a plant below it."""
    lines = ["| data | seed | kind | plants | window first | its line in ten | left out what was there | chance |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    groups = {(one.data, one.seed, one.kind): 0 for one in results}
    order = sorted(groups, key=lambda key: (key[0], key[1], KINDS.index(key[2])))
    for data, seed, kind in order:
        own = [one for one in results if (one.data, one.seed, one.kind) == (data, seed, kind)]
        lines.append(_row(data, seed, kind, own))
        if not all(one.expected for one in own):
            lines.append(_row(data, seed, "silence, longer than normal", [one for one in own if one.expected]))
    for data, seed in sorted({(data, seed) for data, seed, _ in alarms}):
        counts = [count for name, own, count in alarms if (name, own) == (data, seed)]
        told = f"{sum(count > 0 for count in counts)} of {len(counts)} runs without a plant, {sum(counts)} windows"
        lines += ["", f"Alarms, {data}, seed {seed}: {told}"]
    return "\n".join(lines)


def _row(data: str, seed: int, kind: str, own: Sequence[Result]) -> str:
    with_lines = [bool(one.line_hit) for one in own if one.line_hit is not None]
    cells = [
        *(data, str(seed), kind, str(len(own)), share([one.hit for one in own]), share(with_lines)),
        *(share([one.hit_new for one in own]), f"{np.mean([one.chance for one in own] or [np.nan]):.3f}"),
    ]
    return f"| {' | '.join(cells)} |"


def share(hits: Sequence[bool]) -> str:
    """Write a share with its 95 % interval (Wilson)."""
    if not hits:
        return "–"
    n, p, z = len(hits), sum(hits) / len(hits), 1.96
    middle, half = (p + z * z / (2 * n)), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return f"{p:.2f} [{max(low, 0):.2f}, {min(high, 1):.2f}]"


if __name__ == "__main__":
    main()
