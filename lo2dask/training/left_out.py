"""Scores training normals by models that have not seen their run, so that the scores of new runs compare with theirs.

Each model is fitted again without some of the normal runs, and scores these. A model that learns from normals alone
leaves out one run at a time, up to :data:`MOST_ALONE` normal runs; beyond, and for the others, the runs are dealt to
five folds. An algorithm that can take a row out of what it has learned needs no fit.

Where no run is held out (``--holdout-by loro`` or ``folds``), all rows are scored so, and models are measured by that.
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
from lo2dask.models.split import LORO, N_FOLDS, Split, deal
from lo2dask.sources.names import run_order
from lo2dask.storage import list_paths, source_of
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, prune_parts, read_part
from lo2dask.training.fitting import unit_path
from lo2dask.training.measures import SequenceKeys
from lo2dask.training.scoring import FittedModel, Target, keep_scores, read_part_scores, score_part_rows
from lo2dask.training.units import BASELINE, KEY_COLUMNS, TrainingRows, Unit, file_stamp, read_splits, write_splits

MOST_ALONE = 50
# How the training normals were scored.
ALONE, FOLDED, SEEN = "leave-one-run-out", "in five folds by run", "by a model that has seen them"
Fit = Callable[[Sequence[Unit]], Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class LeftOut:
    """A model's fits without some runs: the split of each one (by name), and the units that were fitted.

    ``every``: all rows are scored, not normals alone.
    """

    target: Target
    every: bool
    spec: ModelSpec
    folds: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def score_left_out(
    layout: Layout, targets: Sequence[Target], units: Sequence[Unit], fit: Fit, session: Session
) -> dict[str, str]:
    """Keep left-out scores of the training normals as the calibrating scores; return how, by key.

    ``fit`` fits units and returns their records by name. Models whose folds cannot all be fitted are left as they are.
    Of splits that hold nothing out, left-out scores of all rows are kept under :func:`held_key`.
    """
    splits, rows = read_splits(layout), SequenceKeys.read(layout)
    done, planned, folds, ways = {}, {}, dict(splits), {}
    for target in targets:
        members, split = [unit for unit in units if unit.spec.key == target.key], splits[target.side]
        if not members or (target.key.startswith(BASELINE) and not split.is_crossed):
            continue
        spec = members[0].spec
        if spec.behaviour.score_normals and not split.is_crossed:
            done[target.key] = ALONE
            continue
        runs, dealt = _plan_folds(rows, split, spec.normal_only and len(members) == 1)
        if len(dealt) > 1:
            names = [f"{target.side}~{len(dealt)}~{number}" for number in range(len(dealt))]
            folds |= {name: replace(split, runs=split.runs | left) for name, left in zip(names, dealt, strict=True)}
            planned[target] = {name: [replace(unit, side=name) for unit in members] for name in names}
            ways[target.key] = ALONE if len(dealt) == runs else FOLDED
    if not planned:
        return done
    write_splits(layout, folds)
    jobs = _fit(layout, planned, fit, splits)
    names = [path.name for path in part_paths(layout.enhanced)]
    session.map(score_left_out_part, names, "left out", root=layout.root, jobs=jobs)
    write_splits(layout, splits)
    return done | {job.target.key: ways[job.target.key] for job in jobs}


def held_key(key: str) -> str:
    """Return the key that a model's scores of left-out runs are kept under; NaN where no model was fitted."""
    return f"{key}~held"


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
        held, held_labels = np.full(part.num_rows, np.nan), np.zeros(part.num_rows)
        normal = TrainingRows(job.target.side, normal_only=not job.every).mask(part, splits)
        for fold, units in job.folds:
            chosen = normal & splits[fold].mask(part["run"], part["test_case"], part["service"])
            if chosen.any():
                models = [loaded[unit] for unit, _ in units]
                rows = part.filter(pa.array(chosen))
                held[chosen], held_labels[chosen] = score_part_rows(rows, job.spec, models, job.target.batch)
        if not job.spec.behaviour.score_normals:
            keep_scores(layout, job.target.key, name, (scores, labels, np.where(np.isnan(held), left_out, held)))
        if job.every:
            keep_scores(layout, held_key(job.target.key), name, (held, held_labels, held))
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


def _fit(
    layout: Layout, planned: Mapping[Target, Mapping[str, Sequence[Unit]]], fit: Fit, splits: Mapping[str, Split]
) -> list[LeftOut]:
    """Fit all folds of all models at once; leave no samples behind that no bundle names."""
    units = [unit for of_target in planned.values() for members in of_target.values() for unit in members]
    samples = layout.models / "samples"
    before = [path.name for path in list_paths(samples, ".parquet")]
    records = fit(list({unit.name: unit for unit in reversed(units)}.values()))
    prune_parts(samples, before)
    jobs = []
    for target, of_target in planned.items():
        every = splits[target.side].is_crossed
        folds = tuple(
            (name, tuple((unit.name, unit.service) for unit in members if records[unit.name]["fitted"]))
            for name, members in of_target.items()
        )
        if every or all(members for _, members in folds):
            jobs.append(LeftOut(target, every, next(iter(of_target.values()))[0].spec, folds))
    return jobs


def _plan_folds(rows: SequenceKeys, split: Split, alone: bool) -> tuple[int, list[frozenset[str]]]:
    """Return how many runs there are to leave out, and the folds: one run at a time where ``alone`` allows it."""
    if split.is_crossed:
        runs = sorted(set(strings(rows.run).to_pylist()), key=run_order)
        return len(runs), deal(runs, len(runs) if split.by == LORO else N_FOLDS)
    normal = rows.normals(split)
    runs = sorted(set(strings(rows.run.filter(pa.array(normal))).to_pylist()), key=run_order)
    folds = len(runs) if alone and len(runs) <= MOST_ALONE else N_FOLDS
    return len(runs), [frozenset(runs[start::folds]) for start in range(min(folds, len(runs)))]


@lru_cache(maxsize=512)
def _read_unit(path: Path, service: str, stamp: tuple[int, int, int]) -> FittedModel:
    unit = joblib.load(source_of(path))
    return FittedModel(service, unit["model"], Columns.from_plain(unit["columns"]), unit["scoring"])
