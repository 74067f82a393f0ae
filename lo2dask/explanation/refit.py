"""Where a model to explain comes from: train kept it, the user names a bundle, or it is fitted here.

A model is fitted here when train kept none of that name, or when an option that shapes it is given and differs from
what it was trained with; an option left at its default means "as trained". Such models, and given bundles, are fitted
and scored in a side folder by train's own code, so that train's files do not change.
"""

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.models import bundle
from lo2dask.models.registry import FOREST, is_known
from lo2dask.options import ExplainOptions, ForestOptions, HoldoutOptions, TrainOptions, fingerprint, flag_name, plain
from lo2dask.options.common import CommonOptions, WritingOptions
from lo2dask.storage import copy_file, list_paths, read_json, remove_tree
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths
from lo2dask.tables.records import Key, Stage, StageType
from lo2dask.tables.state import StateType, read_state, write_state
from lo2dask.training.bundles import check_text
from lo2dask.training.scoring import Target, score_all, write_predictions
from lo2dask.training.sides import link_tables
from lo2dask.training.train import NOTHING, train_models
from lo2dask.training.units import TRAIN, split_of, working_folder

logger = logging.getLogger(__name__)

# Bundles of the user that were scored in a side folder.
GIVEN = StageType("given", "the given bundles are scored again")
TRAINED_OPTIONS_FILE = "trained_options.json"
TRAINED_OPTIONS = StateType("trained_options", {"sha256": str, "options": dict}, "it is read from a bundle again")
# Options that say how to run, not what is fitted.
_RUNNING = {
    *CommonOptions.__dataclass_fields__, *WritingOptions.__dataclass_fields__,
    *("predict_batch_size", "list_models", "skip_if"),
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A model's bundle, the folder of its predictions and the folder of its measures."""

    key: str
    bundle: Path
    predictions: Path
    measures: Path


def kept_sources(layout: Layout) -> dict[str, Source]:
    """List the models that train kept and scored, the forest first."""
    keys = sorted((path.stem for path in list_paths(layout.models, ".joblib")), key=lambda key: (key != FOREST, key))
    return {key: _source(layout, key) for key in keys if part_paths(layout.predictions / key)}


def trained_models(layout: Layout) -> list[str]:
    """List the models of the last training, the forest first; without a record of it, those kept that have a name."""
    kept = list(kept_sources(layout))
    record = Stage(layout, TRAIN).read()
    last = [line["key"] for line in record.summary["models"]] if record else kept
    # A training that was interrupted leaves no record, but its baselines, which are no models of the registry.
    return [key for key in kept if key in last and (key == FOREST or is_known(key))]


def trained_options_path(layout: Layout) -> Path:
    """Return the file that keeps the options of the last training."""
    return layout.internal / TRAINED_OPTIONS_FILE


def sources_of(keys: Sequence[str], options: ExplainOptions, layout: Layout, session: Session) -> list[Source]:
    """Collect or make the models to explain, in the order of their keys.

    Raises
    ------
    InputError : a given bundle is missing, of another model, or reads text that is not that of the tables.
    """
    kept, given = kept_sources(layout), _given_bundles(keys, options)
    changed = _find_changes(keys, kept, given, options, _trained_options(layout))
    made = _fit(changed, options, layout, session) if changed else {}
    made |= _score_given(given, kept, options, layout, session) if given else {}
    _name_earlier([key for key in keys if key not in made], layout)
    _name_ignored(keys, given, options, bool(made))
    _remove_others(layout, {source.bundle.parents[2].name for source in made.values()})
    return [made.get(key) or kept[key] for key in keys]


def _name_earlier(keys: Sequence[str], layout: Layout) -> None:
    """Warn of models that the last training left out: what is explained is that of an earlier one."""
    for key in sorted({*keys} - {*trained_models(layout)}):
        way = "--skip-if leaves it out, " if key == FOREST else ""
        logger.warning("model %s is of an earlier training, the last one has none: %strain it for a new one", key, way)


def _name_ignored(keys: Sequence[str], given: dict[str, Path], options: ExplainOptions, is_scored: bool) -> None:
    """Warn of options that have no effect on the models that are explained."""
    ignored = {
        "--predict-batch-size": options.predict_batch_size != ExplainOptions.predict_batch_size and not is_scored,
        "--load-model": options.load_model is not None and FOREST not in keys,
        "--load-sup-models": options.load_sup_models is not None and not given.keys() - {FOREST},
    }
    reasons = {
        "--predict-batch-size": "train has scored all models that are explained",
        "--load-model": "the forest is not explained",
        "--load-sup-models": f"{options.load_sup_models} has no bundle of {', '.join(k for k in keys if k != FOREST)}",
    }
    for flag in (flag for flag, is_ignored in ignored.items() if is_ignored):
        logger.warning("%s has no effect: %s", flag, reasons[flag])


def differing(names: Sequence[str], options: ExplainOptions, trained: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are not at their default and not what a model was trained with."""
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    values = {name: getattr(options, name) for name in names if name in trained}
    return {name: v for name, v in values.items() if v != defaults[name] and plain(v) != trained[name]}


def _source(layout: Layout, key: str) -> Source:
    return Source(key, layout.models / f"{key}.joblib", layout.predictions / key, layout.measures)


def _fit_options(of: type) -> list[str]:
    return [field.name for field in dataclasses.fields(of) if field.name not in _RUNNING]


def _find_changes(
    keys: Sequence[str],
    kept: dict[str, Source],
    given: dict[str, Path],
    options: ExplainOptions,
    trained: dict[str, Any],
) -> dict[str, dict[str, Any]]:
    """Return the models to fit, each with the options that differ."""
    changed = {}
    for key in keys:
        names = _fit_options(ForestOptions if key == FOREST else HoldoutOptions)
        changes = differing(names, options, trained)
        if key in given or (key in kept and not changes):
            continue
        named = ", ".join(f"{flag_name(name)} {value}" for name, value in changes.items())
        reason = f"trained with other options ({named})" if key in kept else "train kept no such model"
        logger.warning("%s is fitted for the explanation: %s", key, reason)
        changed[key] = changes
    return changed


def _trained_options(layout: Layout) -> dict[str, Any]:
    """Read the options of the last training from any bundle that it kept, or from the copy of an earlier reading."""
    kept = kept_sources(layout)
    source = kept[next(iter([*trained_models(layout), *kept]))]
    cache = source.bundle.parents[1] / TRAINED_OPTIONS_FILE
    digest = bundle.hash_path(source.bundle).read_text(encoding="utf-8").split()[0]
    earlier = read_state(cache, TRAINED_OPTIONS)
    if not earlier or earlier["sha256"] != digest:
        earlier = {"sha256": digest, "options": plain(bundle.load(source.bundle)["options"])}
        write_state(cache, TRAINED_OPTIONS, earlier)
    return dict(earlier["options"])


def _fit(
    changed: dict[str, dict[str, Any]], options: ExplainOptions, layout: Layout, session: Session
) -> dict[str, Source]:
    """Fit and score models in a side folder, as train would."""
    trained = _trained_options(layout)
    side = link_tables(layout, side_folders(layout) / fingerprint([trained, plain(changed)]))
    values: dict[str, Any] = {}
    for changes in changed.values():
        values |= changes
    fields = {field.name for field in dataclasses.fields(TrainOptions)}
    base = {name: _typed(name, value) for name, value in (trained | values).items() if name in fields}
    base |= {
        "root": side.root,
        "models": tuple(key for key in changed if key != FOREST),
        "skip_if": FOREST not in changed,
        "phase": "full",
        "load_model": None,
        "predict_batch_size": options.predict_batch_size,
        "sample_seed": trained.get("sample_seed", options.sample_seed),
    }
    train_models(TrainOptions(**base), session, beside=NOTHING)
    return {key: _source(side, key) for key in changed}


def _typed(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return Path(value) if name == "mask_file" and value is not None else value


def _given_bundles(keys: Sequence[str], options: ExplainOptions) -> dict[str, Path]:
    """Return the bundles that the user names."""
    given = {}
    if options.load_model and FOREST in keys:
        given[FOREST] = options.load_model
    folder = options.load_sup_models
    if folder:
        if not folder.is_dir():
            raise InputError(f"--load-sup-models {folder}: no such folder; train writes it with --save-sup-models")
        given |= {key: folder / f"{key}.joblib" for key in keys if (folder / f"{key}.joblib").is_file()}
    return given


def _score_given(
    given: dict[str, Path], kept: dict[str, Source], options: ExplainOptions, layout: Layout, session: Session
) -> dict[str, Source]:
    """Score with given bundles in a side folder; one that train kept as well is not scored again."""
    todo = {key: path for key, path in given.items() if key not in kept or not _same(path, kept[key].bundle)}
    trained = bundle.load(kept[trained_models(layout)[0]].bundle) if todo else {}
    for key, path in todo.items():
        content = bundle.load(path)
        if content["key"] != key:
            raise InputError(f"{path}: a bundle of {content['key']}, not of {key}")
        check_text(str(path), layout, content, trained)
    if not todo:
        return {}
    digests = {key: bundle.hash_path(path).read_text(encoding="utf-8") for key, path in todo.items()}
    name = fingerprint([digests, read_json(layout.marker("enhance"))])
    side = link_tables(layout, side_folders(layout) / name)
    copy_file(layout.split, side.split)
    targets = [_copy_bundle(key, path, side, options.predict_batch_size) for key, path in todo.items()]
    if any(_names(side.predictions / key) != _names(layout.enhanced) for key in todo):
        score_all(side, targets, session)
        write_predictions(side, targets, session)
        remove_tree(working_folder(side))
        Stage(side, GIVEN).commit(Key(name, ""), _given_files(side, todo), {})
    return {key: _source(side, key) for key in todo}


def _given_files(side: Layout, keys: Iterable[str]) -> list[Path]:
    bundles = [side.models / f"{key}.joblib" for key in keys]
    hashes = map(bundle.hash_path, bundles)
    return [side.split, *bundles, *hashes, *(p for key in keys for p in part_paths(side.predictions / key))]


def _copy_bundle(key: str, path: Path, side: Layout, batch: int) -> Target:
    target = side.models / f"{key}.joblib"
    copy_file(path, target)
    copy_file(bundle.hash_path(path), bundle.hash_path(target))
    return Target(key, target, split_of(key), batch)


def _names(folder: Path) -> list[str]:
    return [path.name for path in part_paths(folder)]


def _same(path: Path, kept: Path) -> bool:
    marks = [bundle.hash_path(path), bundle.hash_path(kept)]
    return all(mark.is_file() for mark in marks) and len({mark.read_text().split()[0] for mark in marks}) == 1


def side_folders(layout: Layout) -> Path:
    """Return the folder of the side folders, in which models are fitted or scored to be explained."""
    return layout.internal / "explain" / "fitted"


def _remove_others(layout: Layout, used: set[str]) -> None:
    for folder in side_folders(layout).glob("*"):
        if folder.name not in used:
            remove_tree(folder)
