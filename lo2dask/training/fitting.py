"""Fit all units: samples are drawn, their rows gathered part by part, and each unit is one task.

A fit without some runs takes the rows and columns that were gathered for the unit's own fit.
"""

import functools
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from lo2dask.buffers.columns import among, is_true, strings
from lo2dask.execute.session import Session
from lo2dask.features.matrix import canonical, to_matrix, to_sklearn
from lo2dask.models.fit import Fitted, fit_model, from_state
from lo2dask.models.guard import cap, plan_fit
from lo2dask.models.merged_rows import read_merged_rows
from lo2dask.models.sample import Chosen, candidates, choose, merge_candidates, quotas, strata
from lo2dask.models.spec import Merging, Setup
from lo2dask.models.split import stopping_runs
from lo2dask.options import fingerprint
from lo2dask.storage import list_paths, read_scratch, write_scratch
from lo2dask.tables.groups import Group, group_parts
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part, read_parts, write_part
from lo2dask.training.boosting import fit_on_all_workers
from lo2dask.training.units import KEY_COLUMNS, TrainingRows, Unit, read_columns, read_splits, working_folder
from lo2dask.training.vocabularies import ChosenColumns, RowCounts


@dataclass(frozen=True)
class FitPlan:
    """What the fits share."""

    root: Path
    seed: int
    budget: int
    guarded: bool
    occurrences: bool


@dataclass(frozen=True)
class RowSelection:
    """Rows to gather from every part: training rows, all of them or a sample (a file of seq_ids), as a matrix."""

    rows: TrainingRows
    columns: Path
    binary: bool
    sample: Path | None

    @property
    def name(self) -> str:
        """Name the gathered rows by a hash."""
        return fingerprint([asdict(self.rows), self.columns.name, self.binary, self.sample and self.sample.name])


@dataclass(frozen=True)
class Sample:
    """A stratified sample to draw of ``total`` training rows: ``quota`` rows of each stratum."""

    rows: TrainingRows
    quota: dict[str, int]
    total: int

    def folder(self, layout: Layout) -> Path:
        """Return the folder of the parts' candidates."""
        return working_folder(layout) / "candidates" / fingerprint([asdict(self.rows), self.quota])


@dataclass(frozen=True)
class FitJob:
    """One unit with its columns, its gathered rows ("" for a merged statistic), what the guard changed, the sample."""

    unit: Unit
    columns: Path
    gathered: str
    changes: tuple[str, ...]
    sample: dict[str, Any] | None = None
    distributed: bool = False
    left_out: frozenset[str] = frozenset()

    @property
    def fold_name(self) -> str:
        """Name the file of the unit as fitted without the runs ``left_out``."""
        return f"{self.unit.name}~{fingerprint(sorted(self.left_out))}"

    @property
    def merging(self) -> Merging:
        """How the statistics of a merged model become one."""
        merging = self.unit.spec.merging
        assert merging, self.unit.name
        return merging


def fit_units(
    plan: FitPlan,
    units: Sequence[Unit],
    columns: dict[str, ChosenColumns],
    counts: dict[str, RowCounts],
    session: Session,
) -> tuple[dict[str, dict[str, Any]], list[FitJob]]:
    """Fit every unit and keep it below the working folder; return the fit records by unit name, and the jobs."""
    layout = Layout(plan.root)
    merged = [unit for unit in units if unit.spec.is_merged]
    rest = [unit for unit in units if not unit.spec.is_merged]
    jobs, selections = _plan_jobs(plan, rest, columns, counts, session)
    names = [path.name for path in part_paths(layout.enhanced)]
    if selections:
        session.map(select_rows, names, "gather", root=plan.root, selections=selections)
    alone = [job for job in jobs if not job.distributed]
    spread = [job for job in jobs if job.distributed]
    records = session.map(fit_unit, alone, "fit", plan=plan)
    records += [_fit_spread(plan, job, names, session) for job in spread]
    merges = [FitJob(unit, columns[unit.columns.name].path, "", ()) for unit in merged]
    if merges:
        records += _fit_merged(plan, merges, session)
    jobs = [*alone, *spread, *merges]
    return {job.unit.name: record for job, record in zip(jobs, records, strict=True)}, jobs


def unit_path(layout: Layout, unit_name: str) -> Path:
    """Return the file of a fitted unit between the maps."""
    return working_folder(layout) / "units" / f"{unit_name}.pickle"


def select_rows(name: str, root: Path, selections: Sequence[RowSelection]) -> int:
    """Write the gathered rows of one part, one file per selection."""
    layout = Layout(root)
    splits = read_splits(layout)
    for selection in selections:
        columns = read_columns(selection.columns)
        part = read_part(layout.enhanced / name, dict.fromkeys([*KEY_COLUMNS, *columns.needed]))
        keep = selection.rows.mask(part, splits)
        if selection.sample:
            keep &= Chosen(strings(read_part(selection.sample)["seq_id"])).mask(part["seq_id"])
        chosen = part.filter(keep)
        gathered = {
            "matrix": to_matrix(chosen, columns, selection.binary),
            "anomaly": is_true(chosen["anomaly"]),
            "run": chosen["run"].cast("string").to_pylist(),
        }
        write_scratch(_gathered(layout, selection.name) / f"{name}.pickle", gathered)
    return len(selections)


def fit_unit(job: FitJob, plan: FitPlan) -> dict[str, Any]:
    """Fit one unit on its gathered rows; return its record."""
    return _keep(Layout(plan.root), job, _fit_gathered(job, plan))


def fit_fold(job: FitJob, plan: FitPlan) -> bool:
    """Fit one unit on its gathered rows but those of the runs ``left_out``; return whether it could be fitted."""
    fitted = _fit_gathered(job, plan)
    write_scratch(unit_path(Layout(plan.root), job.fold_name), (fitted.model, fitted.scoring))
    return fitted.record.fitted


def _fit_gathered(job: FitJob, plan: FitPlan) -> Fitted:
    paths = list_paths(_gathered(Layout(plan.root), job.gathered), ".pickle")
    parts = [read_scratch(path) for path in paths]
    matrix = canonical(sparse.vstack([part["matrix"] for part in parts], format="csr"))
    y, runs = np.concatenate([part["anomaly"] for part in parts]), [run for part in parts for run in part["run"]]
    if job.left_out:
        kept = np.flatnonzero(~among(runs, sorted(job.left_out)))
        matrix, y, runs = canonical(matrix[kept]), y[kept], [runs[row] for row in kept.tolist()]
    spec = cap(job.unit.spec)[0] if plan.guarded else job.unit.spec
    setup = Setup(plan.seed, job.changes, plan.occurrences, measured=not job.left_out)
    if spec.is_distributed:
        matrix, y, setup = _hold_stopping(matrix, y, runs, setup)
    return fit_model(spec, matrix, y, setup)


def _fit_spread(plan: FitPlan, job: FitJob, names: Sequence[str], session: Session) -> dict[str, Any]:
    """Fit on all workers at once, on rows that are too many for one fit's budget."""
    layout = Layout(plan.root)
    spec = cap(job.unit.spec)[0] if plan.guarded else job.unit.spec
    files = [_gathered(layout, job.gathered) / f"{name}.pickle" for name in names]
    fitted = fit_on_all_workers(spec, files, working_folder(layout) / "shares" / job.unit.name, plan.seed, session)
    return _keep(layout, job, fitted)


def _hold_stopping(matrix: Any, y: np.ndarray, runs: list[str], setup: Setup) -> tuple[Any, np.ndarray, Setup]:
    """Hold the newest training runs out for early stopping, unless either side would lack a class."""
    late = among(runs, stopping_runs(set(runs)))
    sides = (y[late], y[~late])
    if not all(side.any() and not side.all() for side in sides):
        return matrix, y, setup
    held = replace(setup, stopping_matrix=canonical(matrix[np.flatnonzero(late)]), stopping_y=y[late])
    return canonical(matrix[np.flatnonzero(~late)]), y[~late], held


def _plan_jobs(
    plan: FitPlan,
    units: Sequence[Unit],
    columns: dict[str, ChosenColumns],
    counts: dict[str, RowCounts],
    session: Session,
) -> tuple[list[FitJob], list[RowSelection]]:
    """Bound each unit's rows by the budget and draw the samples that this needs."""
    bounds, distributed = [], {}
    for unit in units:
        chosen, total = columns[unit.columns.name], counts[unit.rows.name].total
        size = (total, chosen.width, chosen.cells_per_row)
        allowed, changes, distributed[unit.name] = plan_fit(
            unit.spec, size, plan.budget, plan.guarded, not session.is_serial
        )
        bounds.append((unit, chosen, allowed, changes))
    wanted = {(unit.rows, allowed) for unit, _, allowed, _ in bounds if allowed < counts[unit.rows.name].total}
    samples = _draw_samples(plan, sorted(wanted, key=lambda pair: (pair[0].name, pair[1])), counts, session)
    jobs, selections = [], {}
    for unit, chosen, allowed, changes in bounds:
        path, described = samples.get((unit.rows, allowed), (None, None))
        selection = RowSelection(unit.rows, chosen.path, unit.spec.vectorizer.binary, path)
        selections[selection.name] = selection
        jobs.append(FitJob(unit, chosen.path, selection.name, changes, described, distributed[unit.name]))
    return jobs, list(selections.values())


def _draw_samples(
    plan: FitPlan, wanted: Sequence[tuple[TrainingRows, int]], counts: dict[str, RowCounts], session: Session
) -> dict[tuple[TrainingRows, int], tuple[Path, dict[str, Any]]]:
    """Draw stratified samples by a hash of seq_id, so that they are the same for any partitioning."""
    if not wanted:
        return {}
    samples = [Sample(rows, quotas(counts[rows.name].strata, n), counts[rows.name].total) for rows, n in wanted]
    names = [path.name for path in part_paths(Layout(plan.root).enhanced)]
    session.map(sample_part, names, "sample", root=plan.root, samples=samples, seed=plan.seed)
    drawn = session.map(draw_sample, samples, "sample", root=plan.root, seed=plan.seed)
    return dict(zip(wanted, drawn, strict=True))


def sample_part(name: str, root: Path, samples: Sequence[Sample], seed: int) -> int:
    """Keep one part's candidates for each sample: no process holds those of all parts."""
    layout = Layout(root)
    splits = read_splits(layout)
    part = read_part(layout.enhanced / name, KEY_COLUMNS)
    for sample in samples:
        chosen = part.filter(sample.rows.mask(part, splits))
        names = strata(chosen["service"], chosen["test_case"])
        found = candidates(strings(chosen["seq_id"]).to_pylist(), names, sample.quota, seed)
        write_part(sample.folder(layout) / name, found, found.schema)
    return part.num_rows


def draw_sample(sample: Sample, root: Path, seed: int) -> tuple[Path, dict[str, Any]]:
    """Join the candidates of all parts, one by one; return the file of the sample's seq_ids, and what it is."""
    layout = Layout(root)
    parts = read_parts(sample.folder(layout))
    chosen = choose(functools.reduce(lambda left, right: merge_candidates([left, right], sample.quota), parts))
    described = chosen.describe(sample.total, seed)
    path = layout.models / "samples" / f"{described['sha256'][:16]}.parquet"
    write_part(path, chosen.to_table(), chosen.to_table().schema)
    return path, described


def _fit_merged(plan: FitPlan, jobs: Sequence[FitJob], session: Session) -> list[dict[str, Any]]:
    """Fit the merged statistics: each pass is a map over groups of parts and one merge per unit."""
    started, groups = time.perf_counter(), group_parts(Layout(plan.root).enhanced)
    for number in range(max(job.merging.passes for job in jobs)):
        todo = [job for job in jobs if job.merging.passes > number]
        session.map(statistics_group, groups, "statistics", root=plan.root, jobs=todo, number=number)
        session.map(merge_statistics, todo, "merge", root=plan.root, number=number)
    seconds = (time.perf_counter() - started) / len(jobs)
    return session.map(keep_merged, jobs, "keep", plan=plan, seconds=seconds)


def statistics_group(group: Group, root: Path, jobs: Sequence[FitJob], number: int) -> int:
    """Write the statistics of a group of parts for one pass, one file per unit."""
    layout = Layout(root)
    splits = read_splits(layout)
    for job in jobs:
        columns = read_columns(job.columns)
        part = group.read(layout.enhanced, dict.fromkeys([*KEY_COLUMNS, *columns.needed]))
        chosen = part.filter(job.unit.rows.mask(part, splits))
        rows = read_merged_rows(chosen, columns)
        state = read_scratch(_state(layout, job)) if number else None
        write_scratch(_statistics(layout, job, number) / f"{group.name}.pickle", job.merging.partial(rows, state))
    return len(jobs)


def merge_statistics(job: FitJob, root: Path, number: int) -> str:
    """Merge all groups' statistics of one unit, one by one, and keep the state."""
    layout = Layout(root)
    parts = (read_scratch(path) for path in list_paths(_statistics(layout, job, number), ".pickle"))
    before = read_scratch(_state(layout, job)) if number else None
    state = job.merging.finish(functools.reduce(job.merging.merge, parts), before)
    write_scratch(_state(layout, job), state)
    return job.unit.name


def keep_merged(job: FitJob, plan: FitPlan, seconds: float) -> dict[str, Any]:
    """Close the fit of a merged statistic; return its record."""
    layout = Layout(plan.root)
    setup = Setup(seed=plan.seed, occurrences=plan.occurrences)
    width = read_columns(job.columns).width
    state = read_scratch(_state(layout, job))
    return _keep(layout, job, from_state(job.unit.spec, state, seconds, width, setup))


def _keep(layout: Layout, job: FitJob, fitted: Fitted) -> dict[str, Any]:
    columns = read_columns(job.columns)
    record = {**fitted.record.to_plain(), "service": job.unit.service, "sample": job.sample}
    unit = {
        "service": job.unit.service,
        "model": fitted.model,
        "vectorizer": to_sklearn(columns),
        "columns": columns.to_plain(),
        "scoring": fitted.scoring,
        "record": record,
    }
    write_scratch(unit_path(layout, job.unit.name), unit)
    return record


def _gathered(layout: Layout, name: str) -> Path:
    return working_folder(layout) / "rows" / name


def _statistics(layout: Layout, job: FitJob, number: int) -> Path:
    return working_folder(layout) / "statistics" / job.unit.name / str(number)


def _state(layout: Layout, job: FitJob) -> Path:
    return working_folder(layout) / "states" / f"{job.unit.name}.pickle"
