"""Which models are explained: those that train kept, or those that the options name."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.models import bundle, registry
from lo2dask.options import ExplainOptions, fingerprint
from lo2dask.stages.explain_parts import Subject
from lo2dask.storage import read_json, write_json
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths

logger = logging.getLogger(__name__)

FOREST = "if"


@dataclass(frozen=True)
class Described:
    """A model to explain: its algorithm, number of features, train's measures, and a hash of all it depends on."""

    subject: Subject
    algorithm: str
    features: int
    measures: dict[str, Any]
    state: str


def kept_models(layout: Layout) -> list[str]:
    """List the keys of the models that train kept and scored, the forest first."""
    keys = sorted(path.stem for path in layout.models.glob("*.joblib"))
    scored = [key for key in keys if part_paths(layout.predictions / key)]
    return sorted(scored, key=lambda key: (key != FOREST, key))


def choose_keys(options: ExplainOptions, layout: Layout) -> list[str]:
    """Choose the models to explain; the one that neighbours are sought for comes first.

    Raises
    ------
    InputError : a key is unknown, or train kept no such model.
    """
    kept = kept_models(layout)
    for key in options.sup_models:
        registry.spec(key)
    wanted = list(options.sup_models) or [key for key in kept if key != FOREST and key in registry.REGISTRY]
    # An entry that is always explained is so even where the options name others.
    wanted += [k for k in kept if k in registry.REGISTRY and registry.spec(k).always_explained and k not in wanted]
    if not options.skip_if and (FOREST in kept or options.nn_source == FOREST):
        wanted = [FOREST, *wanted]
    source = options.nn_source
    if source == FOREST and options.skip_if:
        source = wanted[0] if wanted else ""
        logger.warning("--skip-if leaves the forest out: neighbours are sought for %s (--nn-source)", source or "none")
    chosen = list(dict.fromkeys([source, *wanted])) if source else wanted
    missing = [key for key in chosen if key not in kept]
    if missing or not chosen:
        raise InputError(_missing(layout, missing, kept))
    return chosen


def choose_subjects(options: ExplainOptions, layout: Layout, session: Session) -> list[Described]:
    """Describe the models to explain; the one that neighbours are sought for comes first."""
    return [_describe(key, options, layout, session) for key in choose_keys(options, layout)]


def read_spec(path: Path, trust: bool) -> dict[str, Any]:
    """Read what a bundle says of its model: spec (plain) and number of features."""
    content = bundle.load(path, trust)
    columns = content["columns"]
    width = sum(len(tokens) for tokens in columns["tokens"].values()) + len(columns["numeric"])
    return {"spec": content["spec"], "features": width}


def _describe(key: str, options: ExplainOptions, layout: Layout, session: Session) -> Described:
    path = layout.models / f"{key}.joblib"
    said = _cached_spec(path, layout, session)
    spec = said["spec"]
    subject = Subject(
        layout.root, key, path, spec["explainer"], bool(spec["vectorizer"]["binary"]), options.sample_seed
    )
    measures = read_json(layout.measures / f"{key}.json") or read_json(layout.measures / f"{key}_metrics.json") or {}
    state = fingerprint([said["sha256"], _stamps(layout, key), measures])
    return Described(subject, spec["algorithm"], said["features"], measures, state)


def _cached_spec(path: Path, layout: Layout, session: Session) -> dict[str, Any]:
    """Read a bundle's description on a worker, or what an earlier reading of the same file left."""
    cache = layout.internal / "explain" / path.stem / "spec.json"
    beside = bundle.hash_path(path)
    digest = beside.read_text(encoding="utf-8").split()[0] if beside.is_file() else ""
    earlier = read_json(cache)
    if earlier and digest and earlier["sha256"] == digest:
        return dict(earlier)
    said = {**session.call(read_spec, path, False, label=f"{path.stem}: bundle"), "sha256": digest}
    write_json(cache, said)
    return said


def _stamps(layout: Layout, key: str) -> list[list[Any]]:
    folders = (layout.predictions / key, layout.enhanced)
    found = [(path, path.stat()) for folder in folders for path in part_paths(folder)]
    return [[path.name, stat.st_size, stat.st_mtime_ns] for path, stat in found]


def _missing(layout: Layout, missing: list[str], kept: list[str]) -> str:
    if not kept:
        return f"--root {layout.root}: no model in it; first: lo2dask train --root {layout.root}"
    forest = FOREST in missing
    others = [key for key in missing if key != FOREST]
    command = f"lo2dask train --root {layout.root}" + (f" --models {','.join(others)}" if others else "")
    hint = " (--skip-if and another --nn-source leave the forest out)" if forest else ""
    return f"train kept no {', '.join(missing) or 'model'}, only {', '.join(kept)}: run {command}{hint}"
