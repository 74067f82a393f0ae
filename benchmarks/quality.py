"""How well do the models find errors, measured honestly?

python benchmarks/quality.py                    # the real slice and 20 made-up runs
python benchmarks/quality.py --parts real       # the real slice alone
python benchmarks/quality.py --quick            # 6 made-up runs, few models: a first look

The real slice (beside the repository, or --sample) has errors in one run alone, so unsupervised models are measured
there by leaving one run out, and supervised ones on made-up runs only, cut as the paper cuts them (--balance-correct).
"""

import argparse
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from common import report, working_folder

from lo2dask.execute.session import Session
from lo2dask.models import bundle
from lo2dask.models.evaluate import auc_roc
from lo2dask.models.evaluate import measures as measures_of
from lo2dask.models.registry import from_plain, pairs, spec
from lo2dask.models.runs import RunRows, calibrated, run_scores
from lo2dask.models.split import Split
from lo2dask.options import LoadOptions, SynthOptions, TrainOptions
from lo2dask.schema import KEYS
from lo2dask.stages.load import load
from lo2dask.stages.scoring import bundle_parts, score_part_rows
from lo2dask.stages.sides import link_tables
from lo2dask.stages.train import metrics_folder, train
from lo2dask.stages.units import BASELINE
from lo2dask.storage import read_json
from lo2dask.synth import write_tree
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part

UNSUPERVISED = tuple(key for key in pairs() if not spec(key).supervised)
SUPERVISED = tuple(key for key in pairs() if spec(key).supervised and spec(key).representation != "all")
QUICK = ("if_words", "drift_words", "oov_templates", "lr_words", "dt_templates", "xgb_words")
TRIM = 100
KINDS = {False: "one", True: "per service"}


@dataclass
class Held:
    """What the folds say of one model: calibrated scores of left-out sequences and runs, and whether order changes."""

    services: dict[str, list[tuple[bool, float]]]
    runs: list[tuple[bool, float]]
    grows: bool = False


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="real,run,test-case", help="what to measure, separated by comma")
    parser.add_argument("--sample", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "lo2-sample")
    parser.add_argument("--runs", type=int, default=20, help="made-up runs")
    parser.add_argument("--scale", type=float, default=0.5, help="size of the made-up files, 1 = as published")
    parser.add_argument("--folder", type=Path, help="work here and leave it; default: a temporary folder")
    parser.add_argument("--models", help="keys, separated by comma; default: every sensible pair")
    parser.add_argument("--quick", action="store_true", help="6 runs and few models")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    models = QUICK if arguments.quick else (*UNSUPERVISED, *SUPERVISED)
    models = tuple(arguments.models.split(",")) if arguments.models else models
    with working_folder(arguments.folder) as folder:
        if "real" in parts:
            real(arguments.sample / "v1", folder, [key for key in models if not spec(key).supervised])
        runs, scale = (6, 0.1) if arguments.quick else (arguments.runs, arguments.scale)
        for by in ("run", "test-case"):
            if by in parts:
                made_up(folder, (runs, scale), by, models)


def real(sample: Path, folder: Path, models: Sequence[str]) -> None:
    """Leave each run of the slice out in turn; print a table of AUC per service and over services combined."""
    plain = _load(sample, folder / "real", init_lines_to_skip=TRIM)
    doubled = _load(_doubled(sample, folder / "doubled-tree"), folder / "doubled", init_lines_to_skip=2 * TRIM)
    tables = [_whole(Layout(root)) for root in (plain, doubled)]
    runs = sorted(set(tables[0]["run"].to_pylist()))
    found: dict[tuple[str, str], Held] = {}
    for per_service, kind in KINDS.items():
        for run in runs:
            side = link_tables(Layout(plain), folder / "fold")
            options = TrainOptions(root=side.root, models=tuple(models), skip_if=True, per_service=per_service)
            train(options, Session.serial(), {"sup": Split("run", runs=frozenset({run}))})
            for key in models:
                held = found.setdefault((kind, key), Held(defaultdict(list), []))
                _measure_fold(side.models / f"{key}.joblib", run, tables, held)
            shutil.rmtree(side.root)
    _print_real(found)


def made_up(folder: Path, size: tuple[int, float], by: str, models: Sequence[str]) -> None:
    """Train on made-up runs, cut as the paper does; print each model's hold-out beside the sequence length's."""
    runs, scale = size
    raw, out = folder / f"synth-{runs}-{scale}", folder / f"made-up-{runs}-{scale}"
    if not raw.exists():
        write_tree(SynthOptions(out=raw, runs=runs, errors_per_run=4, scale=scale))
    _load(raw, out, balance_correct=True)
    print(f"\nmade-up runs: {runs}, scale {scale}, --balance-correct, hold-out by {by}")
    best: dict[tuple[bool, str], tuple[float, str]] = {}
    for per_service, kind in KINDS.items():
        side = link_tables(Layout(out), folder / "side")
        options = TrainOptions(
            root=side.root, models=tuple(models), skip_if=True, per_service=per_service, holdout_by=by
        )
        train(options, Session.serial())
        for key in models:
            measures = read_json(metrics_folder(options) / f"{key}.json")
            values = _print_line(f"{kind:<12} {key}", by, measures, _of_runs(side, key))
            for level, value in values.items():
                place = (spec(key).supervised, level)
                best[place] = max(best.get(place, (-1.0, "")), (value, f"{key} ({kind})"))
        _print_baselines(side, kind)
        shutil.rmtree(side.root)
    for (supervised, level), (value, name) in sorted(best.items(), reverse=True):
        by_run = by == "run"
        measure, least = ("F1", 0.98) if supervised and by_run else ("AUC", 0.95 if by_run else 0.9)
        chosen = f"the best of {len(models) * len(KINDS)}, chosen on this very hold-out: an upper bound"
        report(
            f"best {'' if supervised else 'un'}supervised, {level}", f"{measure} {value:.3f}, aim {least}", name, chosen
        )


def _print_line(name: str, by: str, measures: dict, runs: dict) -> dict[str, float]:
    """Print a model's hold-out; give its F1 (supervised, by run) or AUC, of single sequences and of whole runs.

    A model that is no better than the sequence length alone gives 0.
    """
    held, length = measures["holdout"], measures["leakage"]["holdout"]
    supervised = spec(name.split()[-1]).supervised
    services = " ".join(f"{service} {_figure(of['auc_roc'])}" for service, of in held["per_service"].items())
    report(
        name,
        *(f"{measure} {_figure(held[measure])}" for measure in ("f1", "auc_roc", "average_precision")),
        *(f"runs' {measure} {_figure(runs[measure])}" for measure in ("f1", "auc_roc")),
        f"length alone {_figure(length['auc_roc'])}", f"| {services}",
    )  # fmt: skip
    chosen = "f1" if supervised and by == "run" else "auc_roc"
    better = not length["warning"]
    return {"sequences": better * (held[chosen] or 0.0), "whole runs": better * (runs[chosen] or 0.0)}


def _print_baselines(layout: Layout, kind: str) -> None:
    """Print what the sequence length alone says of single held-out sequences, measured as the models are."""
    columns = ["anomaly", "score", "pred_ano", "split"]
    for folder in sorted(layout.predictions.glob(f"{BASELINE}_*")):
        table = pa.concat_tables([read_part(path, columns) for path in part_paths(folder)])
        held = table.filter(pa.compute.equal(table["split"].cast(pa.string()), "holdout"))
        found = measures_of(*(held[name].to_numpy() for name in columns[:3]))
        figures = (f"{name} {_figure(found[name])}" for name in ("f1", "auc_roc", "average_precision"))
        report(f"{kind:<12} sequence length alone", *figures)


def _of_runs(layout: Layout, key: str) -> dict:
    """Measure the run scores of the runs and test cases that were held out."""
    held: set[tuple[str, str]] = set()
    for path in part_paths(layout.predictions / key):
        part = read_part(path, ["run", "test_case", "split"])
        chosen = part.filter(pa.compute.equal(part["split"], "holdout"))
        held.update(zip(chosen["run"].to_pylist(), chosen["test_case"].to_pylist(), strict=True))
    rows = read_part(part_paths(layout.root / f"{key}_runs.parquet")[0]).to_pylist()
    kept = [row for row in rows if (row["run"], row["test_case"]) in held]
    columns = (np.array([row[name] for row in kept]) for name in ("anomaly", "score_run", "pred_ano"))
    return measures_of(*columns)


def _measure_fold(path: Path, run: str, tables: Sequence[pa.Table], held: Held) -> None:
    """Score the left-out run with the fold's bundle, as it is and with every line twice."""
    content = bundle.load(path)
    models, calibration = list(bundle_parts(content)), content["calibration"]
    orders = []
    for table in tables:
        part = table.filter(pa.compute.equal(table["run"], run))
        scores, _ = score_part_rows(part, from_plain(content["spec"]), models, 50_000)
        scored = ~np.isnan(scores)
        part, scores = part.filter(pa.array(scored)), scores[scored]
        combined = run_scores(RunRows(part["run"], part["test_case"], part["service"], scores), calibration)
        orders.append(combined.sort_by("test_case")["score_run"].to_pylist())
        if table is tables[0]:
            own = calibrated(scores, part["service"], calibration)
            truth = zip(part["service"].to_pylist(), part["anomaly"].to_pylist(), own.tolist(), strict=True)
            for service, is_error, value in truth:
                held.services[service].append((is_error, value))
            held.runs += zip(combined["anomaly"].to_pylist(), combined["score_run"].to_pylist(), strict=True)
    held.grows |= list(np.argsort(orders[0], kind="stable")) != list(np.argsort(orders[1], kind="stable"))


def _print_real(found: dict[tuple[str, str], Held]) -> None:
    services = sorted({service for held in found.values() for service in held.services})
    print("\nreal slice, one run left out in turn: AUC of each service, of services combined; are all errors on top?")
    report("models", *services, "combined", "errors above every correct", "order kept when lines are doubled")
    for (kind, key), held in found.items():
        errors = [score for is_error, score in held.runs if is_error]
        normals = [score for is_error, score in held.runs if not is_error]
        above = min(errors, default=-1.0) > max(normals, default=0.0)
        aucs = [_figure(_auc(held.services[service])) for service in services]
        report(
            f"{kind:<12} {key}", *(f"{v:>{len(s)}}" for v, s in zip(aucs, services, strict=True)),
            f"{_figure(_auc(held.runs)):>8}", "yes" if above else "no", "no" if held.grows else "yes",
        )  # fmt: skip


def _auc(pairs: Iterable[tuple[bool, float]]) -> float | None:
    rows = list(pairs)
    truth = np.array([is_error for is_error, _ in rows])
    return auc_roc(truth, np.array([score for _, score in rows])) if truth.any() and not truth.all() else None


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _load(raw: Path, out: Path, **options: object) -> Path:
    load(LoadOptions(root=raw, output_dir=out, **options), Session.serial())  # type: ignore[arg-type]
    return out


def _whole(layout: Layout) -> pa.Table:
    tables = [read_part(path) for path in part_paths(layout.enhanced)]
    whole = pa.concat_tables(tables).unify_dictionaries()
    for name in KEYS[:4]:
        whole = whole.set_column(whole.schema.get_field_index(name), name, whole[name].cast(pa.string()))
    return whole


def _doubled(sample: Path, target: Path) -> Path:
    """Copy the service logs of a tree with every line written twice."""
    for path in sorted(sample.rglob("*.log")):
        copy = target / path.relative_to(sample)
        copy.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_bytes().splitlines(keepends=True)
        copy.write_bytes(b"".join(line + (b"" if line.endswith(b"\n") else b"\n") for line in lines for _ in (0, 1)))
    return target


if __name__ == "__main__":
    main()
