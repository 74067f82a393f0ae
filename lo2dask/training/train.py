"""Phases C to E: enhancement, Isolation Forest, registry models, measures."""

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lo2dask import schema
from lo2dask.execute.session import Session, using
from lo2dask.execute.spill import spill_folder
from lo2dask.findings.make import NO_ANSWERS, judge_windows, write_findings
from lo2dask.findings.tasks import WindowJob
from lo2dask.ingest.enhance import enhance
from lo2dask.ingest.text import has_raw_bags, loaded, moved_root, read_masks
from lo2dask.memory import parse_bytes
from lo2dask.models import bundle, registry
from lo2dask.models.registry import EXCESS, FOREST
from lo2dask.models.split import FOLDS, LORO, Split
from lo2dask.options import TrainOptions, fingerprint
from lo2dask.schema import TokenKinds
from lo2dask.sizing.needs import loaded_spill_bytes
from lo2dask.sizing.timings import note, tree_bytes
from lo2dask.storage import list_paths, locked_outputs, read_json, remove_tree
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import load_size
from lo2dask.tables.parts import checksum, count_rows, part_paths
from lo2dask.tables.records import Key, Stage
from lo2dask.training.answers import find_answers
from lo2dask.training.baselines import score_startup
from lo2dask.training.bundles import (
    data_fingerprint,
    keep_bundles,
    keep_calibrations,
    keep_given_forest,
    keep_windows,
    train_options,
)
from lo2dask.training.cases import read_truth, warn_of_unknown
from lo2dask.training.choices import Chosen, choose, list_units
from lo2dask.training.differences import keep_cases
from lo2dask.training.exports import export_enhanced, export_forest, export_models, written_targets
from lo2dask.training.fitting import FitJob, FitPlan, fit_units
from lo2dask.training.left_out import Refit, describe_calibrations, fit_left_out
from lo2dask.training.limits import describe_options, set_alert_limit
from lo2dask.training.lines import ModelLine, measure_models, metrics_folder, runs_path, write_lines
from lo2dask.training.reference import is_unlabelled
from lo2dask.training.scoring import (
    LeftOut,
    Target,
    score_all,
    write_predictions,
)
from lo2dask.training.simple import score_simple
from lo2dask.training.specs import check_specs, choose_specs
from lo2dask.training.targets import check_targets
from lo2dask.training.trust import measure_trust, plan_trust
from lo2dask.training.units import (
    BASELINE,
    SUPERVISED,
    TRAIN,
    Tokens,
    Unit,
    measures_path,
    read_splits,
    working_folder,
    write_splits,
)
from lo2dask.training.vocabularies import choose_columns, count_parts
from lo2dask.vocabulary.spill import Spill

logger = logging.getLogger(__name__)
# What is made beside the models and their measures.
FINDINGS, CASES, NOTHING = "findings", "cases", ""
# The forest has a hold-out of its own.
_MEASURED = {
    LORO: "on each run by a model that has not seen it (if: on its hold-out)",
    FOLDS: "in five folds by run (if: on its hold-out)",
}


@dataclass(frozen=True)
class TrainSummary:
    """What a training did; ``current``: everything was there already. ``measured`` says on what, in words."""

    root: Path
    enhanced: bool
    models: tuple[ModelLine, ...] = ()
    metrics: Path | None = None
    saved: Path | None = None
    current: bool = False
    seconds: float = 0.0
    notes: tuple[str, ...] = field(default=())
    measured: str = "on the hold-out"


def train_models(
    options: TrainOptions,
    session: Session | None = None,
    splits: Mapping[str, Split] | None = None,
    beside: str = FINDINGS,
) -> TrainSummary:
    """Enhance ``options.root`` if need be, fit the models, score every sequence, measure, write what stands out.

    ``splits`` ("if" for the forest, "sup" for the registry models) hold out what the options would not choose.
    ``beside`` is what is made beside the models: findings and trust, the held-out cases (grid), or nothing (explain).

    Raises
    ------
    InputError : no loaded tables, an unknown model or column, a bundle in the way.
    Lo2Error : the masks are too weak to mine templates.
    """
    started = time.perf_counter()
    layout = Layout(options.root)
    read_truth(options.services_truth)  # before anything is made
    bundle.check_owner(layout.root, options.trust)
    specs = choose_specs(options)
    with contextlib.ExitStack() as held:
        # Before the checks: another command may be about to change what they read.
        held.enter_context(locked_outputs(options))
        loaded(layout)
        check_specs(options, specs, has_raw_bags(layout, options))
        check_targets(options, layout, [spec.key for spec in specs], written_targets(layout))
        own = held.enter_context(using(session, options))
        if beside != CASES:  # a grid has many fits
            own.work_here(*load_size(layout))
        enhanced = enhance(options, own)
        if options.save_enhancers:
            export_enhanced(options, layout)
        if options.phase == "enhancers":
            return TrainSummary(options.root, enhanced, seconds=time.perf_counter() - started)
        warn_of_unknown(options.services_truth, layout)
        key = _train_key(options, layout, splits or {})
        stage = Stage(layout, TRAIN)
        record = stage.read_current(key) if options.resume else None
        current = record is not None
        if record is None:
            chosen = choose(options, layout, specs, splits or {})  # what is refused leaves the folder as it is
            stage.invalidate()
            fresh = _train(options, layout, chosen, own, beside)
            outputs = _outputs(layout, metrics_folder(options), [line.key for line in fresh])
            record = stage.commit(key, outputs, {"models": [asdict(line) for line in fresh]})
        exported = export_forest(options, layout, key.digest, own)
        lines = tuple(ModelLine(**line) for line in record.summary["models"])
        notes = describe_options(options)
        notes += export_models(options, layout, [line.key for line in lines if line.key != FOREST])
        notes += sorted({split.reason for split in read_splits(layout).values() if split.reason})
        if beside == FINDINGS:
            notes += describe_calibrations(_read_calibrations(options, lines))
        notes += [f"{line.key} is the same model as {line.same_as}" for line in lines if line.same_as]
        if options.skip_if and options.dump_metadata:
            notes.append("no model.yml is written: it describes the forest, which --skip-if leaves out")
        return TrainSummary(
            options.root, enhanced, lines, metrics_folder(options), exported, current, time.perf_counter() - started,
            tuple(notes), _MEASURED.get(read_splits(layout)[SUPERVISED].by, "on the hold-out"),
        )  # fmt: skip


def _read_calibrations(options: TrainOptions, lines: Sequence[ModelLine]) -> dict[str, dict[str, Any]]:
    paths = {line.key: measures_path(metrics_folder(options), line.key) for line in lines if line.fitted}
    return {key: (read_json(path) or {})["runs_calibration"] for key, path in paths.items()}


def _train(options: TrainOptions, layout: Layout, chosen: Chosen, session: Session, beside: str) -> list[ModelLine]:
    started = time.perf_counter()
    groups, specs, splits = chosen
    folder = working_folder(layout)
    remove_tree(folder)
    write_splits(layout, splits)
    units = list_units(options, layout, specs)
    if is_unlabelled(groups):  # what they would be measured by is not there
        units = [unit for unit in units if not unit.spec.key.startswith(BASELINE)]
    given = options.load_model is not None and not options.skip_if
    fitted = [unit for unit in units if not (given and unit.spec.key == FOREST)]
    distinct = list({unit.name: unit for unit in reversed(fitted)}.values())[::-1]
    by_name, fits = _fit(options, layout, distinct, session)
    records = _records(fitted, by_name)
    targets = keep_bundles(options, layout, fitted, splits)
    if given:
        targets.append(keep_given_forest(options, layout))
    ways: dict[str, str] = {}
    folds: list[LeftOut] = []
    if beside == FINDINGS or any(split.is_crossed for split in splits.values()):
        plan, by_unit = _fit_plan(options, layout), {job.unit.name: job for job in fits}
        refit = Refit(plan, by_unit, lambda units: _fit(options, layout, units, session)[0])
        ways, folds = fit_left_out(layout, targets, fitted, refit, session)
    score_all(layout, targets, session, folds)
    limit = set_alert_limit(options, layout, targets, session)
    sides = sorted({target.side for target in targets})
    startup = {} if is_unlabelled(groups) else score_startup(layout, sides, options.sample_seed, session)
    measured, calibrations = measure_models(options, layout, targets, records, startup, ways)
    if FOREST in measured:
        measured[FOREST] |= limit
    trust: dict[str, Any] = {}
    if beside:
        baselines = (score_simple(layout, sides, session), startup)
        jobs = plan_trust({spec.key: spec for spec in specs}, targets, calibrations, baselines, options)
        trust = measure_trust(layout, jobs, session) if beside == FINDINGS else keep_cases(layout, jobs, session)
    lines = write_lines(options, measured, trust)
    keep_calibrations(targets, calibrations, session)
    if beside == FINDINGS:
        _find(options, layout, targets, calibrations, session)
    write_predictions(layout, targets, session)
    figures = {"sequences": count_rows(layout.enhanced), "models": len(lines), "scratch": tree_bytes(folder)}
    seconds, in_client = time.perf_counter() - started, float(session.in_client)
    remove_tree(folder)
    note(layout, "train", seconds=seconds, workers=session.workers(), in_client=in_client, **figures)
    same = registry.same_models(spec for spec in specs if spec.key != FOREST)
    return [replace(line, same_as=same.get(line.key)) for line in lines]


def _find(
    options: TrainOptions, layout: Layout, targets: Sequence[Target], calibrations: Mapping[str, Any], session: Session
) -> None:
    """Write what stands out: windows, timeline, lines and, where ``excess`` was trained, findings."""
    target = next((target for target in targets if target.key == EXCESS), None)
    split = read_splits(layout)[target.side if target else SUPERVISED]
    moved = moved_root(layout, options.raw_root)
    job = WindowJob(layout.root, working_folder(layout) / "windows", options.window_ms, split, layout.root, moved)
    answers = NO_ANSWERS
    if target and target.key in calibrations:
        answers = find_answers(layout, target, calibrations[target.key], session)
    judge_windows(job, answers, session)
    if target:
        session.call(keep_windows, target.path, job, label="bundles")
    else:
        # Run scores of an earlier training would be taken for those of the findings.
        remove_tree(runs_path(layout, EXCESS))
    write_findings(job, answers, read_masks(job.layout, options.mask_file), session)


def _fit_plan(options: TrainOptions, layout: Layout) -> FitPlan:
    budget = parse_bytes(options.memory_budget, "--memory-budget")
    return FitPlan(layout.root, options.sample_seed, budget, not options.disable_memory_guard, options.oov_counts)


def _fit(
    options: TrainOptions, layout: Layout, units: Sequence[Unit], session: Session
) -> tuple[dict[str, dict[str, Any]], list[FitJob]]:
    tokens = list(dict.fromkeys(token for unit in units for token in unit.columns.tokens))
    rows = [unit.rows for unit in units] + [unit.columns.rows for unit in units] + [token.rows for token in tokens]
    need = _spill_need(layout, TokenKinds.of(options.tokens), tokens)
    with spill_folder(session, layout.spill, need) as folder:
        spilled = Spill(folder, tuple(dict.fromkeys(token.counted for token in tokens)))
        counts, spilled_rows = count_parts(layout, tokens, list(dict.fromkeys(rows)), spilled, session)
        columns = choose_columns(layout, [unit.columns for unit in units], counts, (spilled, spilled_rows), session)
    return fit_units(_fit_plan(options, layout), units, columns, counts, session)


def _records(units: Sequence[Unit], by_name: dict[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the fit records of each model; one that was fitted under another key has its own in them."""
    records: dict[str, list[dict[str, Any]]] = {}
    for unit in units:
        records.setdefault(unit.spec.key, []).append(by_name[unit.name] | {"key": unit.spec.key})
    return records


def _spill_need(layout: Layout, kinds: TokenKinds, tokens: Sequence[Tokens]) -> int:
    """Estimate what counting tokens spills: of the main bags and of those of raw tokens."""
    pairs = {(token.representation, token.rows.side, token.rows.normal_only) for token in tokens}
    raw = sum(name in schema.RAW for name, *_ in pairs)
    main = loaded_spill_bytes(layout, TokenKinds(masked=kinds.masked, raw=not kinds.masked)) * (len(pairs) - raw)
    return main + (loaded_spill_bytes(layout, TokenKinds.of("raw")) * raw if raw else 0)


def _train_key(options: TrainOptions, layout: Layout, splits: Mapping[str, Split]) -> Key:
    given = [checksum(options.load_model)] if options.load_model and options.load_model.is_file() else []
    named = [options.services_truth, *map(Path, options.reference)]
    given += [checksum(path) for path in named if path and path.is_file()]
    chosen = {side: split.to_json() for side, split in splits.items()}
    settings = [train_options(options), bundle.versions(), str(options.metrics_dir or ""), chosen, *given]
    return Key(data_fingerprint(layout, options), fingerprint(settings))


def _outputs(layout: Layout, folder: Path, keys: Sequence[str]) -> list[Path]:
    """List the files of a training: split, bundles with hashes, measures, predictions, run scores; and of what stays.

    Baselines stay, and models of earlier trainings, which explain may be asked for.
    """
    others = [path.stem for path in list_paths(layout.models, ".joblib") if path.stem not in keys]
    files = [layout.split]
    for key in (*keys, *others):
        measured, kept = measures_path(folder, key), layout.models / f"{key}.joblib"
        measures = [measured, *([measured.with_suffix(".csv")] if key == FOREST else [])]
        files += [path for path in measures if key in keys or path.is_file()]
        files += [*part_paths(runs_path(layout, key)), *part_paths(layout.predictions / key)]
        files += [kept, bundle.hash_path(kept)]
    for table in layout.answers():
        files += part_paths(table)
    return files
