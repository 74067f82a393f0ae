"""Models on made-up runs: every one at each level, next to the length of the logs and what an ideal reader reaches."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common import report
from ideal import Ceiling, ceilings
from quality_levels import (
    LEVELS,
    RUNS,
    SCALED,
    SEQUENCES,
    SERVICES,
    Levels,
    Logs,
    figure,
    levels_of,
    per_service,
    with_length,
)

from lo2dask.commands.load import load
from lo2dask.commands.train import train
from lo2dask.execute.session import Session
from lo2dask.models.registry import spec
from lo2dask.models.runs import calibrate
from lo2dask.options import LoadOptions, SynthOptions, TrainOptions
from lo2dask.storage import read_json
from lo2dask.synthesis import write_tree
from lo2dask.tables.layout import Layout
from lo2dask.training.lines import metrics_folder
from lo2dask.training.sides import link_tables
from lo2dask.training.units import BASELINE

ERRORS_PER_RUN = 4
KINDS = {False: "one", True: "per service"}
THINNING = 0.1
"""Lines of a v2 tree: its reduced logs keep every 20th line, those of v1 every second."""

_TRAINED_LENGTH, _UNUSUAL_LENGTH = "length alone, trained", "length alone, unusual"
_SHORT = {"f1": "F1", "auc_roc": "AUC", "average_precision": "AP"}


@dataclass(frozen=True)
class Tree:
    """A made-up tree: v1 is cut as the paper does, v2's lengths say nothing as they are."""

    runs: int
    scale: float
    layout: str = "v1"

    @property
    def name(self) -> str:
        """Name its folders."""
        return f"{self.layout}-{self.runs}-{self.scale:g}"


@dataclass(frozen=True)
class _Aim:
    """What the models of a sort should reach: a measure and its least value."""

    measure: str
    least: float


def made_up(folder: Path, tree: Tree, by: str, models: Sequence[str]) -> None:
    """Train on made-up runs; print each model's hold-out at each level, then the best next to its baselines."""
    loaded = _loaded(folder, tree)
    cut = "--balance-correct" if tree.layout == "v1" else "not cut"
    print(f"\nmade-up runs: {tree.runs}, {tree.layout}, scale {tree.scale:g}, {cut}, hold-out by {by}")
    found: dict[tuple[str, str], Levels] = {}
    for separate, kind in KINDS.items():
        side = link_tables(Layout(loaded), folder / "side")
        options = TrainOptions(root=side.root, models=tuple(models), skip_if=True, per_service=separate, holdout_by=by)
        train(options, Session.serial())
        for key in models:
            logs = Logs.read(side.predictions / key)
            calibration = read_json(metrics_folder(options) / f"{key}.json")["runs_calibration"]
            found[kind, key] = _print_levels(f"{kind:<12} {key}", logs, calibration)
        for name, (logs, calibration) in _baselines(side).items():
            found[kind, name] = _print_levels(f"{kind:<12} {name}", logs, calibration)
        shutil.rmtree(side.root)
    limits = ceilings(tree.layout, tree.scale, ERRORS_PER_RUN)
    _print_limits(limits)
    _print_best(found, by, limits[-1])


def _loaded(folder: Path, tree: Tree) -> Path:
    raw, out = folder / f"synth-{tree.name}", folder / f"made-up-{tree.name}"
    if not raw.exists():
        write_tree(
            SynthOptions(
                out=raw, runs=tree.runs, errors_per_run=ERRORS_PER_RUN, scale=tree.scale, layout=tree.layout, jobs=1
            )
        )
    load(LoadOptions(root=raw, output_dir=out, balance_correct=tree.layout == "v1"), Session.serial())
    return out


def _baselines(side: Layout) -> dict[str, tuple[Logs, dict]]:
    """Return what lengths alone say: by the model of the leakage line, and by how unusual they are."""
    (folder,) = sorted(side.predictions.glob(f"{BASELINE}_*"))
    logs = Logs.read(folder)
    trained = logs, calibrate(logs.as_run_rows, logs.training_normal)
    return {_TRAINED_LENGTH: trained, _UNUSUAL_LENGTH: with_length(logs, side)}


def _print_levels(name: str, logs: Logs, calibration: dict) -> Levels:
    levels = levels_of(logs, calibration)
    services = " ".join(f"{service} {figure(of['auc_roc'])}" for service, of in per_service(logs.of_holdout()).items())
    shown = {SEQUENCES: tuple(_SHORT), SCALED: ("f1", "auc_roc"), RUNS: ("f1", "auc_roc"), SERVICES: ("f1", "auc_roc")}
    columns = [
        f"{level}: " + " ".join(f"{_SHORT[key]} {figure(levels[level][key])}" for key in keys)
        for level, keys in shown.items()
    ]
    report(f"{name:<38}", *columns, f"| {services}")
    return levels


def _print_limits(limits: Sequence[Ceiling]) -> None:
    """Print what a reader of single logs reaches that knows what synth plants; over whole runs, all of it is seen."""
    for limit in limits:
        services = " ".join(f"{service} {figure(auc)}" for service, auc in limit.services.items())
        report(
            f"ideal: {limit.name}",
            f"{SEQUENCES}: F1 {figure(limit.f1)} AUC {figure(limit.auc)}",
            f"| {services}",
        )


def _print_best(found: dict[tuple[str, str], Levels], by: str, limit: Ceiling) -> None:
    """Print the best model of each sort and level, how many reach the aim, and what the lengths reach there.

    Models that read the length themselves (numeric, all) are no part of it: under v1 they are that baseline again.
    """
    for supervised in (False, True):
        aim = _Aim("f1", 0.98) if supervised and by == "run" else _Aim("auc_roc", 0.95 if by == "run" else 0.9)
        for level in LEVELS:
            for kind in KINDS.values():
                own = {key: levels[level][aim.measure] or 0.0 for (of, key), levels in found.items() if of == kind}
                lengths = {name: own.pop(name) for name in (_TRAINED_LENGTH, _UNUSUAL_LENGTH)}
                values = {key: own[key] for key in own if _counts_for(key, supervised)}
                if values:
                    _print_one(f"{'' if supervised else 'un'}supervised, {level}, {kind}", aim, values, lengths)
        single = limit.f1 if aim.measure == "f1" else limit.auc
        report(f"{'' if supervised else 'un'}supervised, {SEQUENCES}, ideal", f"{_SHORT[aim.measure]} {figure(single)}")


def _counts_for(key: str, supervised: bool) -> bool:
    return spec(key).supervised == supervised and not spec(key).numeric


def _print_one(name: str, aim: _Aim, values: dict[str, float], lengths: dict[str, float]) -> None:
    best = max(values, key=lambda key: values[key])
    reach = sum(value >= aim.least for value in values.values())
    told = {-1: "not beaten", 0: "a tie", 1: "beaten"}
    beside = (f"{length} {value:.3f} {told[_sign(values[best] - value)]}" for length, value in lengths.items())
    report(
        f"{name:<42}",
        f"best {_SHORT[aim.measure]} {values[best]:.3f} {best} (chosen on this very hold-out)",
        f"aim {aim.least} reached by {reach} of {len(values)}",
        *beside,
    )


def _sign(value: float) -> int:
    return (value > 1e-9) - (value < -1e-9)
