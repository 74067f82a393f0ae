"""Phases C to E: enhancement, Isolation Forest, registry models, measures."""

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import joblib

from lo2dask.errors import InputError
from lo2dask.execute.session import Session, using
from lo2dask.features.masks import load_masks
from lo2dask.features.templates import Templates
from lo2dask.memory import parse_bytes
from lo2dask.models import bundle, registry
from lo2dask.models.split import Groups, Split, hold_out, hold_out_newest_normal
from lo2dask.options import CommonOptions, TrainOptions, fingerprint, plain
from lo2dask.stages import measures as measuring
from lo2dask.stages.enhance import enhance
from lo2dask.stages.exports import export_enhanced, export_forest, export_models
from lo2dask.stages.fitting import FitPlan, fit_units, unit_path
from lo2dask.stages.scoring import Target, read_scores, score_all, write_predictions
from lo2dask.stages.text import EnhanceKey, load_fingerprint, loaded
from lo2dask.stages.units import BASELINE, FOREST, Unit, working_folder
from lo2dask.stages.vocabularies import choose_columns, count_parts
from lo2dask.storage import read_json, write_json
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_parts

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelLine:
    """One model in a line: was it fitted, on what, and how it did on the hold-out (or why there is no figure)."""

    key: str
    fitted: bool
    rows: int
    features: int
    seconds: float
    f1: float | None
    auc_roc: float | None
    average_precision: float | None
    reason: str | None
    warning: str | None


@dataclass(frozen=True)
class TrainSummary:
    """What a training did; ``current`` tells that all of it was there already."""

    root: Path
    enhanced: bool
    models: tuple[ModelLine, ...] = ()
    metrics: Path | None = None
    saved: Path | None = None
    current: bool = False
    seconds: float = 0.0
    notes: tuple[str, ...] = field(default=())


def train(options: TrainOptions, session: Session | None = None) -> TrainSummary:
    """Enhance ``options.root`` if need be, fit the models, score every sequence, measure.

    Raises
    ------
    InputError : no loaded tables, an unknown model or column, a bundle in the way.
    Lo2Error : the masks are too weak to mine templates.
    """
    started = time.perf_counter()
    layout = Layout(options.root)
    specs = _specs(options)
    loaded(layout)
    with using(session, options) as own:
        enhanced = enhance(options, own)
        if options.save_enhancers:
            export_enhanced(options, layout, own)
        if options.phase == "enhancers":
            return TrainSummary(options.root, enhanced, seconds=time.perf_counter() - started)
        key = fingerprint([_train_fingerprint(options), data_fingerprint(layout, options)])
        marker = read_json(layout.marker("train"))
        current = options.resume and bool(marker) and marker["key"] == key and _is_whole(layout, marker)
        if not current:
            layout.marker("train").unlink(missing_ok=True)
            lines = _train(options, layout, specs, own)
            marker = {"key": key, "models": [line.__dict__ for line in lines]}
            write_json(layout.marker("train"), marker)
        exported = export_forest(options, layout, own)
        notes = export_models(options, layout, [spec.key for spec in specs if spec.key != FOREST])
        lines = tuple(ModelLine(**line) for line in marker["models"])
        folder = metrics_folder(options)
        return TrainSummary(
            options.root, enhanced, lines, folder, exported, current, time.perf_counter() - started, tuple(notes)
        )


def metrics_folder(options: TrainOptions) -> Path:
    """Give the folder of the measures."""
    return options.metrics_dir or Layout(options.root).measures


def data_fingerprint(layout: Layout, options: TrainOptions) -> str:
    """Hash what the models learn from: the loaded tables and how they were enhanced."""
    key = EnhanceKey.of(options, load_masks(options.mask_file))
    return fingerprint([load_fingerprint(layout), key.all])


def _specs(options: TrainOptions) -> list[registry.ModelSpec]:
    """Resolve what is to be trained, before any work; a name that is not known ends here."""
    specs = [] if options.skip_if else [registry.forest_spec(options)]
    if options.phase == "full":
        specs += [registry.spec(key) for key in dict.fromkeys(options.models)]
    if options.phase == "if" and options.skip_if:
        raise InputError("--phase if with --skip-if leaves nothing to train; leave one of them out")
    return specs


def _train(
    options: TrainOptions, layout: Layout, specs: Sequence[registry.ModelSpec], session: Session
) -> list[ModelLine]:
    folder = working_folder(layout)
    shutil.rmtree(folder, ignore_errors=True)
    splits = make_splits(layout, options)
    write_json(layout.split, {side: split.to_json() for side, split in splits.items()})
    units = _units(options, layout, specs)
    given = options.load_model is not None and not options.skip_if
    fitted = [unit for unit in units if not (given and unit.spec.key == FOREST)]
    records = _fit(options, layout, fitted, session)
    targets = _keep_bundles(options, layout, fitted, splits)
    if given:
        targets.append(_given_forest(options, layout))
    score_all(layout, targets, session)
    lines = _measure(options, layout, targets, splits, records)
    write_predictions(layout, targets, session)
    shutil.rmtree(folder, ignore_errors=True)
    return lines


def make_splits(layout: Layout, options: TrainOptions) -> dict[str, Split]:
    """Choose the hold-out of the registry models ("sup") and of the forest ("if")."""
    columns = ["run", "test_case", "service"]
    parts = read_parts(layout.enhanced, columns)
    groups = Groups.merge(Groups.of(part["run"], part["test_case"], part["service"]) for part in parts)
    return {
        "sup": hold_out(groups, options, options.sample_seed),
        "if": hold_out_newest_normal(groups, options.if_holdout_fraction),
    }


def _units(options: TrainOptions, layout: Layout, specs: Sequence[registry.ModelSpec]) -> list[Unit]:
    """List what is to be fitted: each model, or each model of each service, and the baselines on length alone."""
    services = [""]
    if options.per_service:
        found: set[str] = set()
        for part in read_parts(layout.enhanced, ["service"]):
            found.update(part["service"].unique().to_pylist())
        services = sorted(found)
    wanted = [(spec, "if" if spec.key == FOREST else "sup") for spec in specs]
    baselines = [
        (replace(registry.length_baseline(), key=f"{BASELINE}_{side}"), side)
        for side in sorted({side for _, side in wanted})
    ]
    return [Unit(spec, side, service) for spec, side in (*wanted, *baselines) for service in services]


def _fit(options: TrainOptions, layout: Layout, units: Sequence[Unit], session: Session) -> dict[str, dict[str, Any]]:
    tokens = list(dict.fromkeys(token for unit in units for token in unit.columns.tokens))
    rows = [unit.rows for unit in units] + [unit.columns.rows for unit in units] + [token.rows for token in tokens]
    counts, buckets = count_parts(layout, tokens, list(dict.fromkeys(rows)), session)
    columns = choose_columns(layout, [unit.columns for unit in units], counts, buckets, session)
    budget = parse_bytes(options.memory_budget, "--memory-budget")
    plan = FitPlan(layout.root, options.sample_seed, budget, not options.disable_memory_guard, options.oov_counts)
    return fit_units(plan, units, columns, counts, session)


def _keep_bundles(
    options: TrainOptions, layout: Layout, units: Sequence[Unit], splits: dict[str, Split]
) -> list[Target]:
    """Join the units of each model into the bundle that train keeps."""
    common = {
        "options": options.affecting("load", "enhance") | _train_options(options),
        "data_fingerprint": data_fingerprint(layout, options),
        "versions": bundle.versions(),
        "masks": [[mask.name, mask.pattern, mask.replacement] for mask in load_masks(options.mask_file)],
        "templates": Templates.load(layout.template_state).to_plain(),
        "raw_tokens": options.tokens == "raw",
    }
    targets = []
    for key in dict.fromkeys(unit.spec.key for unit in units):
        of_key = [unit for unit in units if unit.spec.key == key]
        first, side = of_key[0], of_key[0].side
        loaded_units = [joblib.load(unit_path(layout, unit.name)) for unit in of_key]
        content = {**common, "key": key, "spec": first.spec.to_plain(), "split": splits[side].to_json()}
        path = layout.models / f"{key}.joblib"
        bundle.save(path, content | _joined(loaded_units, options.per_service), overwrite=True)
        targets.append(Target(key, path, side, options.predict_batch_size))
    return targets


def _joined(units: Sequence[dict[str, Any]], per_service: bool) -> dict[str, Any]:
    names = ("model", "vectorizer", "columns", "scoring", "record")
    if not per_service:
        return {"per_service": False} | {name: units[0][name] for name in names}
    return {"per_service": True} | {name: {unit["service"]: unit[name] for unit in units} for name in names}


def _given_forest(options: TrainOptions, layout: Layout) -> Target:
    """Take a bundle that the user gives in place of a fitted forest."""
    assert options.load_model is not None
    content = bundle.load(options.load_model)
    if content["spec"]["algorithm"] != "if":
        raise InputError(f"--load-model {options.load_model}: a bundle of {content['key']}, not of an Isolation Forest")
    path = layout.models / f"{FOREST}.joblib"
    bundle.save(path, {name: value for name, value in content.items() if name not in ("layout", "fingerprint")}, True)
    return Target(FOREST, path, "if", options.predict_batch_size)


def _measure(
    options: TrainOptions, layout: Layout, targets: Sequence[Target], splits: dict[str, Split],
    records: dict[str, dict[str, Any]],
) -> list[ModelLine]:  # fmt: skip
    """Measure every model on what is held out, write it down, and give a line for each."""
    rows = measuring.Rows.read(layout)
    baselines = {}
    for target in targets:
        if target.key.startswith(BASELINE):
            baselines[target.side] = measuring.measure(rows, splits[target.side], *read_scores(layout, target.key))
    lines = []
    for target in targets:
        if target.key.startswith(BASELINE):
            continue
        scores, labels = read_scores(layout, target.key)
        split = splits[target.side]
        if target.key == FOREST:
            found = measuring.forest_measures(options, rows, split, scores, labels)
        else:
            found = measuring.measure(rows, split, scores, labels)
        found = measuring.with_leakage(found, baselines.get(target.side))
        found["runs_calibration"] = measuring.write_runs(layout, target.key, rows, split, scores)
        found["fit"] = [record for name, record in records.items() if name.split("@")[0] == target.key]
        _write(options, target.key, found)
        lines.append(_line(target.key, found))
    return lines


def _write(options: TrainOptions, key: str, found: dict[str, Any]) -> None:
    folder = metrics_folder(options)
    name = "if_metrics" if key == FOREST else key
    measuring.write_measures(folder, name, found)
    if key == FOREST:
        measuring.write_csv(folder / "if_metrics.csv", found)


def _line(key: str, found: dict[str, Any]) -> ModelLine:
    fits = found["fit"] or [{"fitted": True, "rows": 0, "features": 0, "seconds": 0.0, "reason": None}]
    head = measuring.headline(found)
    unfitted = next((fit["reason"] for fit in fits if not fit["fitted"]), None)
    return ModelLine(
        key, any(fit["fitted"] for fit in fits), sum(fit["rows"] for fit in fits),
        max(fit["features"] for fit in fits), round(sum(fit["seconds"] for fit in fits), 3),
        head["f1"], head["auc_roc"], head["average_precision"], unfitted or head["reason"],
        found.get("leakage", {}).get("holdout", {}).get("warning"),
    )  # fmt: skip


def _train_options(options: TrainOptions) -> dict[str, Any]:
    """Give the options that the models and measures depend on, as plain types."""
    common = set(CommonOptions.__dataclass_fields__)
    places = {"root", "raw_root", "save_if", "save_model", "save_sup_models", "metrics_dir", "enhancers_output_dir"}
    doing = {"overwrite_model", "overwrite_enhancers", "save_enhancers", "dump_metadata", "list_models"}
    names = sorted(set(options.__dataclass_fields__) - common - places - doing)
    return {name: plain(getattr(options, name)) for name in names}


def _train_fingerprint(options: TrainOptions) -> str:
    return fingerprint([_train_options(options), bundle.versions(), str(options.metrics_dir or "")])


def _is_whole(layout: Layout, marker: dict[str, Any]) -> bool:
    """Tell whether what an earlier training wrote is still there."""
    names = {path.name for path in part_paths(layout.enhanced)}
    for line in marker["models"]:
        there = {path.name for path in part_paths(layout.predictions / line["key"])}
        if there != names or not (layout.models / f"{line['key']}.joblib").is_file():
            return False
    return True
