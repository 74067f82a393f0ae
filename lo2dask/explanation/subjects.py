"""Which models are explained: those that train kept, or those that the options name."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.explanation.merged_parts import DESCRIPTION, Subject
from lo2dask.explanation.refit import Source, sources_of, trained_models
from lo2dask.ingest.text import need_bags, table_has_raw_bags
from lo2dask.models import bundle, registry
from lo2dask.models.registry import FOREST, from_plain
from lo2dask.models.spec import ModelSpec
from lo2dask.options import ExplainOptions, fingerprint
from lo2dask.storage import read_json, status
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths
from lo2dask.tables.state import StateType, read_state, write_state
from lo2dask.training.units import measures_path

logger = logging.getLogger(__name__)

_MODEL = {"features": int, "reason": (str, type(None))}
BUNDLE_SPEC = StateType(
    "spec", {"sha256": str, "spec": dict, "models": {str: _MODEL}}, "it is read from the bundle again"
)


@dataclass(frozen=True)
class Described:
    """A model to explain.

    ``subjects`` are its fitted models (one, or one per service); ``unfitted`` is the reason why there is none;
    ``features`` is the width of the widest; ``measures`` are train's; ``state`` hashes all that the explanation
    depends on.
    """

    subjects: tuple[Subject, ...]
    unfitted: str
    spec: ModelSpec
    features: int
    measures: dict[str, Any]
    state: str

    @property
    def first(self) -> Subject:
        """The subject that names the model's files."""
        return self.subjects[0]


def choose_keys(options: ExplainOptions, kept: list[str], layout: Layout) -> list[str]:
    """Choose the models to explain; the one that neighbours are searched for comes first.

    Raises
    ------
    InputError : a key is unknown, train kept no model at all, or the tables have no such bags.
    """
    named = [("--sup-models", key) for key in options.sup_models] + [("--nn-source", options.nn_source)]
    read = {f"{flag} {key}": registry.spec(key, flag).bags for flag, key in named if key != FOREST}
    if not kept:
        raise InputError(f"--root {layout.root}: no model in it; first: lo2dask train --root {layout.root}")
    for asked, bags in read.items():
        need_bags(asked, bags, table_has_raw_bags(layout))
    known = [key for key in kept if registry.is_known(key)]
    wanted = list(options.sup_models) or known
    # Some models are always explained, even where the options name others.
    wanted += [key for key in known if registry.spec(key).always_explained]
    if not options.skip_if and (FOREST in kept or options.nn_source == FOREST):
        wanted = [FOREST, *wanted]
    source = options.nn_source
    if source == FOREST and options.skip_if:
        if not wanted:
            raise InputError(f"--skip-if: train kept no model but the forest in {layout.root}; name some: --sup-models")
        source = wanted[0]
        logger.warning("--skip-if leaves the forest out: neighbours are searched for %s (--nn-source)", source)
    return list(dict.fromkeys([source, *wanted]))


def choose_subjects(options: ExplainOptions, layout: Layout, session: Session) -> list[Described]:
    """Describe the models to explain; the one that neighbours are searched for comes first."""
    keys = choose_keys(options, trained_models(layout), layout)
    sources = sources_of(keys, options, layout, session)
    return [_describe(source, options, layout, session) for source in sources]


def read_spec(path: Path) -> dict[str, Any]:
    """Read a bundle's description: spec (plain), and for each service's model its features and reason."""
    content = bundle.load(path)
    names = list(content["model"]) if content["per_service"] else [""]
    models = {}
    for name in names:
        of = {k: content[k][name] if content["per_service"] else content[k] for k in ("model", "columns", "record")}
        width = sum(len(tokens) for tokens in of["columns"]["tokens"].values()) + len(of["columns"]["numeric"])
        models[name] = {"features": width, "reason": None if of["model"] is not None else of["record"]["reason"]}
    return {"spec": content["spec"], "models": models}


def _describe(source: Source, options: ExplainOptions, layout: Layout, session: Session) -> Described:
    described = _cached_spec(source, layout, session)
    spec, models = from_plain(described["spec"]), described["models"]
    need_bags(source.key, spec.bags, table_has_raw_bags(layout))
    fitted = [name for name, model in models.items() if model["reason"] is None] or list(models)
    reasons = "; ".join(sorted({model["reason"] for model in models.values() if model["reason"]}))
    subjects = tuple(
        Subject(
            layout.root, source.key, name, source.bundle, source.predictions, spec.explainer, spec.is_binary,
            options.sample_seed,
        )
        for name in fitted
    )  # fmt: skip
    tables = (source.predictions, layout.enhanced, layout.findings)
    return Described(
        subjects,
        reasons if all(model["reason"] for model in models.values()) else "",
        spec,
        max(model["features"] for model in models.values()),
        _measures(source),
        fingerprint([described["sha256"], *map(_stamps, tables), _measures(source)]),
    )


def _measures(source: Source) -> dict[str, Any]:
    return read_json(measures_path(source.measures, source.key)) or {}


def _cached_spec(source: Source, layout: Layout, session: Session) -> dict[str, Any]:
    """Read a bundle's description on a worker, or the copy of an earlier reading of the same file."""
    cache = layout.internal / "explain" / source.key / DESCRIPTION
    digest = bundle_digest(source.bundle)
    earlier = read_state(cache, BUNDLE_SPEC)
    if earlier and digest and earlier["sha256"] == digest:
        return dict(earlier)
    content = {**session.call(read_spec, source.bundle, label=f"{source.key}: bundle"), "sha256": digest}
    write_state(cache, BUNDLE_SPEC, content)
    return content


def bundle_digest(path: Path) -> str:
    """Return the SHA-256 in the file next to a bundle, empty if there is none."""
    digest = bundle.hash_path(path)
    return digest.read_text(encoding="utf-8").split()[0] if digest.is_file() else ""


def _stamps(folder: Path) -> list[list[Any]]:
    files = ((path.name, status(path)) for path in part_paths(folder))
    return [[name, one.st_size, one.st_mtime_ns] for name, one in files]
