"""Scores training normals by models that have not seen their run, so that the scores of new runs compare with theirs.

Each model is fitted again without some of the normal runs, and scores these. A model that learns from normals alone
leaves out one run at a time, up to :data:`MOST_ALONE` normal runs; beyond, and for the others, the runs are dealt to
five folds. An algorithm that can take a row out of what it has learned needs no fit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa

from lo2dask.buffers.columns import strings
from lo2dask.execute.session import Session
from lo2dask.features.matrix import Columns
from lo2dask.models.conformal import ALPHA, least_normals
from lo2dask.models.spec import ModelSpec
from lo2dask.models.split import Split
from lo2dask.sources.names import run_order
from lo2dask.storage import list_paths, source_of
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, prune_parts, read_part
from lo2dask.training.fitting import unit_path
from lo2dask.training.measures import SequenceKeys
from lo2dask.training.scoring import FittedModel, Target, keep_scores, read_part_scores, score_part_rows
from lo2dask.training.units import BASELINE, KEY_COLUMNS, TrainingRows, Unit, file_stamp, read_splits, write_splits

MOST_ALONE, FOLDS = 50, 5
# How the training normals were scored.
ALONE, FOLDED, SEEN = "leave-one-run-out", "in five folds by run", "by a model that has seen them"
Fit = Callable[[Sequence[Unit]], Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class LeftOut:
    """A model's fits without some runs: the split of each one (by name), and the units that were fitted."""

    target: Target
    spec: ModelSpec
    folds: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def score_left_out(
    layout: Layout, targets: Sequence[Target], units: Sequence[Unit], fit: Fit, session: Session
) -> dict[str, str]:
    """Keep left-out scores of the training normals as the calibrating scores; return how, by key.

    ``fit`` fits units and returns their records by name. Models whose folds cannot all be fitted are left as they are.
    """
    own = {
        target.key: [unit for unit in units if unit.spec.key == target.key and not unit.spec.key.startswith(BASELINE)]
        for target in targets
    }
    done = {key: ALONE for key, members in own.items() if members and members[0].spec.behaviour.score_normals}
    todo = [target for target in targets if own[target.key] and target.key not in done]
    splits, rows = read_splits(layout), SequenceKeys.read(layout)
    runs = {side: _normal_runs(rows, splits[side]) for side in {target.side for target in todo}}
    folds: dict[str, Split] = {}
    planned, ways = {}, {}
    for target in todo:
        members, normal = own[target.key], runs[target.side]
        if len(normal) < 2:
            continue
        alone = members[0].spec.normal_only and len(members) == 1 and len(normal) <= MOST_ALONE
        dealt = _deal(normal, len(normal) if alone else FOLDS)
        names = [f"{target.side}~{len(dealt)}~{number}" for number in range(len(dealt))]
        split = splits[target.side]
        folds |= {name: replace(split, runs=split.runs | left) for name, left in zip(names, dealt, strict=True)}
        planned[target] = {name: [replace(unit, side=name) for unit in members] for name in names}
        ways[target.key] = ALONE if len(dealt) == len(normal) else FOLDED
    if not planned:
        return done
    write_splits(layout, {**splits, **folds})
    jobs = _fit(layout, planned, fit)
    names = [path.name for path in part_paths(layout.enhanced)]
    session.map(score_left_out_part, names, "left out", root=layout.root, jobs=jobs)
    write_splits(layout, splits)
    return done | {job.target.key: ways[job.target.key] for job in jobs}


def score_left_out_part(name: str, root: Path, jobs: Sequence[LeftOut]) -> int:
    """Score one part's training normals by the models that have not seen their run."""
    layout = Layout(root)
    splits = read_splits(layout)
    loaded = {
        unit: _read_unit(unit_path(layout, unit), service, file_stamp(unit_path(layout, unit)))
        for job in jobs
        for _, units in job.folds
        for unit, service in units
    }
    needed = {column for model in loaded.values() for column in model.columns.needed}
    part = read_part(layout.enhanced / name, [*KEY_COLUMNS, *sorted(needed)])
    for job in jobs:
        scores, labels, left_out = read_part_scores(layout, job.target.key, name)
        normal = TrainingRows(job.target.side, normal_only=True).mask(part, splits)
        for fold, units in job.folds:
            chosen = normal & splits[fold].mask(part["run"], part["test_case"], part["service"])
            if chosen.any():
                models = [loaded[unit] for unit, _ in units]
                rows = part.filter(pa.array(chosen))
                found = score_part_rows(rows, job.spec, models, job.target.batch)[0]
                left_out[chosen] = np.where(np.isnan(found), left_out[chosen], found)
        keep_scores(layout, job.target.key, name, (scores, labels, left_out))
    return part.num_rows


def describe_calibrations(calibrations: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say which normals the run scores of models (by key) are compared with, or that they are too few."""
    judged = {key: value for key, value in calibrations.items() if not value.get("own_limit")}
    few = min((len(value["normal_maxima"]) for value in judged.values()), default=least_normals())
    if few < least_normals():
        return [
            f"{few} normal cases to compare with: no run can be flagged at p ≤ {ALPHA} (that takes {least_normals()}); "
            "runs are ranked by their scores; excess has a limit of its own"
        ]
    ways = {way: [key for key, value in judged.items() if value["scored"] == way] for way in (ALONE, FOLDED, SEEN)}
    return [f"p of runs: normals scored {way}: {', '.join(keys)}" for way, keys in ways.items() if keys]


def _fit(layout: Layout, planned: Mapping[Target, Mapping[str, Sequence[Unit]]], fit: Fit) -> list[LeftOut]:
    """Fit all folds of all models at once; leave no samples behind that no bundle names."""
    units = [unit for of_target in planned.values() for members in of_target.values() for unit in members]
    samples = layout.models / "samples"
    before = [path.name for path in list_paths(samples, ".parquet")]
    records = fit(list({unit.name: unit for unit in reversed(units)}.values()))
    prune_parts(samples, before)
    jobs = []
    for target, of_target in planned.items():
        folds = tuple(
            (name, tuple((unit.name, unit.service) for unit in members if records[unit.name]["fitted"]))
            for name, members in of_target.items()
        )
        if all(members for _, members in folds):
            jobs.append(LeftOut(target, next(iter(of_target.values()))[0].spec, folds))
    return jobs


def _normal_runs(rows: SequenceKeys, split: Split) -> list[str]:
    """Return the runs of the training normals, the oldest first."""
    normal = pa.array(~split.mask(rows.run, rows.test_case, rows.service) & ~rows.anomaly)
    return sorted(set(strings(rows.run.filter(normal)).to_pylist()), key=run_order)


def _deal(runs: Sequence[str], folds: int) -> list[frozenset[str]]:
    """Deal runs to folds in turn."""
    return [frozenset(runs[start::folds]) for start in range(min(folds, len(runs)))]


@lru_cache(maxsize=512)
def _read_unit(path: Path, service: str, stamp: tuple[int, int, int]) -> FittedModel:
    unit = joblib.load(source_of(path))
    return FittedModel(service, unit["model"], Columns.from_plain(unit["columns"]), unit["scoring"])
