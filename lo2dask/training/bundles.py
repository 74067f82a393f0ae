"""The bundles that train keeps: all that scoring new runs needs, from the options of load to the run calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.buffers.columns import among
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.features.statements import Statements, are_templates
from lo2dask.features.templates import Templates
from lo2dask.findings.tasks import WindowJob, read_state
from lo2dask.ingest.text import EnhanceKey, load_fingerprint, loaded, need_bags, read_masks, table_has_raw_bags
from lo2dask.models import bundle
from lo2dask.models.guard import cap
from lo2dask.models.registry import FOREST
from lo2dask.models.split import Split
from lo2dask.options import CommonOptions, TrainOptions, fingerprint, plain
from lo2dask.options.common import WritingOptions
from lo2dask.schema import TokenKinds
from lo2dask.sources.layouts import LO2
from lo2dask.storage import read_scratch
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import read_parts
from lo2dask.training.fitting import unit_path
from lo2dask.training.limits import alert_percentile
from lo2dask.training.scoring import Target, by_service
from lo2dask.training.units import Unit, split_of

# Options that shape a model beyond its spec, its data and its split.
_SETUP = ("sample_seed", "memory_budget", "disable_memory_guard", "oov_counts")


def data_fingerprint(layout: Layout, options: TrainOptions) -> str:
    """Hash what the models learn from: the loaded tables and how their text was read."""
    return fingerprint([load_fingerprint(layout), EnhanceKey.of(options, read_masks(layout, options.mask_file)).text])


def train_options(options: TrainOptions) -> dict[str, Any]:
    """Return the options that the models and measures depend on, as plain types."""
    common = {*CommonOptions.__dataclass_fields__, *WritingOptions.__dataclass_fields__}
    paths = {
        "root",
        "raw_root",
        "save_if",
        "save_model",
        "save_sup_models",
        "metrics_dir",
        "enhancers_output_dir",
        "services_truth",
    }
    actions = {"overwrite_if", "overwrite_model", "overwrite_enhancers", "save_enhancers", "dump_metadata"}
    others = {"list_models", "trust"}
    names = sorted(set(options.__dataclass_fields__) - common - paths - actions - others)
    return {name: plain(getattr(options, name)) for name in names}


def keep_bundles(
    options: TrainOptions, layout: Layout, units: Sequence[Unit], splits: Mapping[str, Split]
) -> list[Target]:
    """Join the units of each model into the bundle that train keeps."""
    common = _common(options, layout)
    targets = []
    for key in dict.fromkeys(unit.spec.key for unit in units):
        of_key = [unit for unit in units if unit.spec.key == key]
        first, side = of_key[0], of_key[0].side
        fitted = [read_scratch(unit_path(layout, unit.name)) for unit in of_key]
        # What was fitted, not what was asked for: the guard lowers what is over its caps.
        params = first.spec.params if options.disable_memory_guard else cap(first.spec)[0].params
        spec = replace(first.spec, params=params)
        content = {**common, "key": key, "spec": spec.to_plain(), "split": splits[side].to_json()}
        if key == FOREST:
            content["setup"] = content["setup"] | {"alert_percentile": alert_percentile(options)}
        if "statements" in spec.bags:
            content["statements"] = _known_statements(layout, fitted[0]["columns"]).to_plain()
        path = layout.models / f"{key}.joblib"
        bundle.save(path, content | _join_units(fitted, any(unit.service for unit in of_key)), overwrite=True)
        targets.append(Target(key, path, side, options.predict_batch_size))
    return targets


def keep_given_forest(options: TrainOptions, layout: Layout) -> Target:
    """Keep a user's bundle instead of fitting a forest.

    Raises
    ------
    InputError : it is of another model, or reads text or templates that are not those of the tables.
    """
    assert options.load_model is not None
    content = bundle.load(options.load_model)
    if content["spec"]["algorithm"] != FOREST:
        raise InputError(f"--load-model {options.load_model}: a bundle of {content['key']}, not of an Isolation Forest")
    check_text(f"--load-model {options.load_model}", layout, content, _common(options, layout))
    path = layout.models / f"{FOREST}.joblib"
    bundle.save(path, content, overwrite=True)
    return Target(FOREST, path, split_of(FOREST), options.predict_batch_size)


def keep_calibration(record: tuple[Path, Mapping[str, Any]]) -> str:
    """Add a model's run calibration to its bundle."""
    path, calibration = record
    content = bundle.load(path)
    bundle.save(path, content | {"calibration": dict(calibration)}, overwrite=True)
    return path.name


def keep_calibrations(targets: Sequence[Target], calibrations: Mapping[str, Any], session: Session) -> None:
    """Add the run calibrations to the bundles, on the workers: a bundle may be large."""
    records = [(target.path, calibrations[target.key]) for target in targets if target.key in calibrations]
    session.map(keep_calibration, records, "bundles")


def keep_windows(path: Path, job: WindowJob) -> str:
    """Add to a bundle what the normal windows are like, so that it judges the windows of new runs."""
    if job.window_ms:
        content = bundle.load(path)
        learned = {"windows": read_state(job.state), "window_ms": job.window_ms}
        bundle.save(path, content | learned, overwrite=True)
    return path.name


def unfitted_reasons(content: Mapping[str, Any]) -> dict[str, str]:
    """Return why models of a bundle are not fitted, by service ("" = all services)."""
    models, records = (by_service(content, name) for name in ("model", "record"))
    return {service: records[service]["reason"] for service, model in models.items() if model is None}


def _common(options: TrainOptions, layout: Layout) -> dict[str, Any]:
    cases: set[str] = set()
    for part in read_parts(layout.enhanced, ["test_case"]):
        cases.update(pc.unique(part["test_case"]).to_pylist())
    return {
        "options": options.affecting("enhance") | train_options(options),
        "setup": {name: plain(getattr(options, name)) for name in _SETUP},
        # New runs have the layout that these have.
        "load": loaded(layout)["options"] | ({"layout": LO2} if loaded(layout)["is_lo2"] else {}),
        "formats": loaded(layout)["formats"],
        "test_cases": sorted(cases),
        "data_fingerprint": data_fingerprint(layout, options),
        "versions": bundle.versions(),
        "masks": [[mask.name, mask.pattern, mask.replacement] for mask in read_masks(layout, options.mask_file)],
        "templates": Templates.load(layout.template_state).to_plain(),
        "raw_tokens": not TokenKinds.of(options.tokens).masked,
    }


def _known_statements(layout: Layout, columns: Mapping[str, Any]) -> Statements:
    """Return the ids of the statements that a model knows, by their texts."""
    known = columns["tokens"]["statements"]
    if are_templates(known):
        return Statements(by_template=True)
    parts = read_parts(layout.statements, ["statement_id", "text"])
    rows = pa.concat_tables(part.filter(pa.array(among(part["statement_id"], known))) for part in parts)
    return Statements(dict(zip(rows["text"].to_pylist(), rows["statement_id"].to_pylist(), strict=True)))


def _join_units(units: Sequence[dict[str, Any]], per_service: bool) -> dict[str, Any]:
    names = ("model", "vectorizer", "columns", "scoring", "record")
    if not per_service:
        return {"per_service": False} | {name: units[0][name] for name in names}
    return {"per_service": True} | {name: {unit["service"]: unit[name] for unit in units} for name in names}


def check_text(named: str, layout: Layout, content: Mapping[str, Any], trained: Mapping[str, Any]) -> None:
    """Check that a bundle reads text as the tables have it; ``trained`` is the content of one fitted on them.

    Raises
    ------
    InputError : its tokens cannot occur in the tables; ``named`` is the option or file that names it.
    """
    bag = content["spec"]["representation"]
    need_bags(named, (bag,), table_has_raw_bags(layout))
    textless = ("numeric", *schema.RAW)  # numbers, and bags of lines as they stand
    wrong = [name for name in ("masks", "raw_tokens") if content[name] != trained[name] and bag not in textless]
    if bag in ("templates", "all") and content["templates"] != trained["templates"]:
        wrong.append("templates")
    if wrong:
        raise InputError(
            f"{named}: it was fitted with other {' and '.join(wrong).replace('_', ' ')} than "
            f"the tables of {layout.root} have; score the raw tree with it: lo2dask score"
        )
