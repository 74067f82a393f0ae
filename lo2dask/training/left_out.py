"""Fits models without some of the normal runs, so that the scores of new runs compare with those of unseen normals.

A model that learns from normals alone leaves out one run at a time, up to :data:`MOST_ALONE` normal runs, or
:data:`MOST_LOCAL` where its scores hang on the number of rows (LOF, whose fit on a fifth less ranks new runs too high);
beyond, and for the others, the runs are dealt to five folds. A fold is fitted on the rows gathered for the model's own
fit, with its columns: a word that only left-out runs have is then a column without a value, which teaches nothing.
Models of merged statistics take a row or run out of what they have learned, and need no fit.

Where no run is held out (``--holdout-by loro`` or ``folds``), all rows are scored so, and models are measured by that.
There, models of merged statistics are fitted again in full, with vocabularies of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from lo2dask.buffers.columns import codes
from lo2dask.execute.session import Session
from lo2dask.models.conformal import ALPHA, least_normals
from lo2dask.models.split import LORO, N_FOLDS, Split, deal
from lo2dask.sources.names import run_order
from lo2dask.storage import list_paths
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import prune_parts
from lo2dask.training.fitting import FitJob, FitPlan, fit_fold, unit_path
from lo2dask.training.measures import SequenceKeys
from lo2dask.training.scoring import Fold, LeftOut, Target
from lo2dask.training.units import BASELINE, Unit, read_splits, write_splits

MOST_ALONE, MOST_LOCAL = 10, 50
# How the training normals were scored.
ALONE, FOLDED, SEEN = "leave-one-run-out", "in five folds by run", "by a model that has seen them"


@dataclass(frozen=True)
class Refit:
    """How units were fitted: their jobs by name; ``fit`` fits other units from the tables, and returns records."""

    plan: FitPlan
    jobs: Mapping[str, FitJob]
    fit: Callable[[Sequence[Unit]], Mapping[str, Mapping[str, Any]]]


def fit_left_out(
    layout: Layout, targets: Sequence[Target], units: Sequence[Unit], refit: Refit, session: Session
) -> tuple[dict[str, str], list[LeftOut]]:
    """Fit every model without some runs; return how its training normals are scored, by key, and the folds.

    A model whose folds cannot all be fitted has none, and neither has one whose fit takes all workers.
    """
    splits, rows = read_splits(layout), SequenceKeys.read(layout)
    ways: dict[str, str] = {}
    cheap: dict[Target, list[list[FitJob]]] = {}
    full: dict[Target, list[frozenset[str]]] = {}
    for target in targets:
        members, split = [unit for unit in units if unit.spec.key == target.key], splits[target.side]
        if not members or (target.key.startswith(BASELINE) and not split.is_crossed):
            continue
        spec, jobs = members[0].spec, [refit.jobs[unit.name] for unit in members]
        most = MOST_LOCAL if spec.behaviour.hangs_on_rows else MOST_ALONE
        if spec.behaviour.score_normals and not split.is_crossed:
            ways[target.key] = ALONE
            continue
        count, dealt = _plan_folds(rows, split, most if spec.normal_only and len(members) == 1 else 0)
        again = spec.is_merged or any(job.distributed for job in jobs)
        if len(dealt) < 2 or (again and not split.is_crossed):
            continue
        ways[target.key] = ALONE if len(dealt) == count else FOLDED
        if again:
            full[target] = dealt
        else:
            cheap[target] = [[replace(job, left_out=runs) for job in jobs] for runs in dealt]
    made = _fit_cheap(layout, cheap, refit.plan, session) | _fit_full(layout, full, units, refit.fit)
    outs = [LeftOut(target.key, splits[target.side].is_crossed, folds) for target, folds in made.items()]
    outs = [out for out in outs if out.every or all(fold.units for fold in out.folds)]
    kept = {out.key for out in outs}
    folded = {target.key for target in (*cheap, *full)}
    return {key: way for key, way in ways.items() if key in kept or key not in folded}, outs


def describe_calibrations(calibrations: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say which normals the run scores of models (by key) are compared with, or that they are too few."""
    notes = [_tell_not_judged(value["not_judged"]) for value in calibrations.values() if value.get("not_judged")]
    judged = {key: value for key, value in calibrations.items() if not value.get("own_limit")}
    counts = {key: len(value["normal_maxima"]) for key, value in judged.items()}
    short = [key for key, count in counts.items() if count < least_normals()]
    for few in sorted({counts[key] for key in short}):
        keys = [key for key in short if counts[key] == few]
        named = "" if len(keys) == len(judged) else f"{', '.join(keys)}: "
        notes.append(
            f"{named}{few} normal cases to compare with: no run can be flagged at p ≤ {ALPHA} (that takes "
            f"{least_normals()}); runs are ranked by their scores; excess has a limit of its own"
        )
    for way in (ALONE, FOLDED, SEEN):
        keys = [key for key, value in judged.items() if value["scored"] == way and key not in short]
        notes += [f"p of runs: normals scored {way}: {', '.join(keys)}"] if keys else []
    return list(filter(None, notes))


def _tell_not_judged(counted: Mapping[str, Any]) -> str:
    """Say how many logs ``excess`` has nothing to compare with (see answers.describe_normals); "" for none."""
    logs, more = counted["logs"], counted["services"] - len(counted["first"])
    if not logs:
        return ""
    names = ", ".join(counted["first"]) + (f" and {more:,} more" if more else "")
    found = f"{logs:,} log{'' if logs == 1 else 's'} of {names}"
    return f"not judged by excess, as it has no other log of the service to compare with: {found}"


def _fit_cheap(
    layout: Layout, planned: Mapping[Target, list[list[FitJob]]], plan: FitPlan, session: Session
) -> dict[Target, tuple[Fold, ...]]:
    """Fit folds on gathered rows; models that differ in their key alone share them."""
    jobs = {job.fold_name: job for folds in planned.values() for members in folds for job in members}
    fitted = dict(zip(jobs, session.map(fit_fold, list(jobs.values()), "left out", plan=plan), strict=True))

    def to_fold(members: Sequence[FitJob]) -> Fold:
        """Name the files of those that could be fitted."""
        files = [(unit_path(layout, j.fold_name), j.unit.service, j.columns) for j in members if fitted[j.fold_name]]
        return Fold(members[0].left_out, tuple(files))

    return {target: tuple(to_fold(members) for members in folds) for target, folds in planned.items()}


def _fit_full(
    layout: Layout, planned: Mapping[Target, list[frozenset[str]]], units: Sequence[Unit], fit: Callable[..., Any]
) -> dict[Target, tuple[Fold, ...]]:
    """Fit folds from the tables, on splits that hold their runs out; leave no samples that no bundle names."""
    if not planned:
        return {}
    splits, samples = read_splits(layout), layout.models / "samples"
    sides = {(t, runs): f"{t.side}~{len(dealt)}~{at}" for t, dealt in planned.items() for at, runs in enumerate(dealt)}
    folds = {
        (target, runs): [replace(unit, side=side) for unit in units if unit.spec.key == target.key]
        for (target, runs), side in sides.items()
    }
    before = [path.name for path in list_paths(samples, ".parquet")]
    write_splits(layout, splits | {side: replace(splits[t.side], runs=runs) for (t, runs), side in sides.items()})
    records = fit(list({unit.name: unit for members in folds.values() for unit in members}.values()))
    write_splits(layout, splits)
    prune_parts(samples, before)
    return {
        target: tuple(
            Fold(runs, tuple((unit_path(layout, u.name), u.service, None) for u in own if records[u.name]["fitted"]))
            for (of, runs), own in folds.items()
            if of == target
        )
        for target in planned
    }


def _plan_folds(rows: SequenceKeys, split: Split, most: int) -> tuple[int, list[frozenset[str]]]:
    """Return how many runs there are to leave out, and the folds: of one run each up to ``most`` of them."""
    if split.is_crossed:
        runs = sorted(_runs_of(rows.run), key=run_order)
        return len(runs), deal(runs, len(runs) if split.by == LORO else N_FOLDS)
    normal = rows.normals(split)
    runs = sorted(_runs_of(rows.run.filter(pa.array(normal))), key=run_order)
    folds = len(runs) if len(runs) <= most else N_FOLDS
    return len(runs), [frozenset(runs[start::folds]) for start in range(min(folds, len(runs)))]


def _runs_of(column: pa.ChunkedArray) -> list[str]:
    names: list[str] = codes(column)[1]
    return names
