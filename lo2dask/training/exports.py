"""What train leaves for its users under the paths that they name: predictions, bundles, model.yml, enhanced tables."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from lo2dask import schema
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.models import bundle
from lo2dask.models.registry import FOREST
from lo2dask.options import TrainOptions, fingerprint
from lo2dask.storage import copy_file, replacing, same_content
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, prune_parts, read_part, write_part
from lo2dask.tables.records import Key, Stage, StageType
from lo2dask.training.bundles import unfitted_reasons
from lo2dask.training.targets import is_csv, target_name

# What train writes for its user below the output folder, at paths that the user names.
EXPORTS = StageType("exports", "what train exports is written again")
# ``targets``: all paths that --save-if has written, so that they may be written again.
IF_PREDICTIONS = StageType("if_predictions", "the forest's predictions are written again", {"targets": [str]})


def export_forest(options: TrainOptions, layout: Layout, key: str, session: Session) -> Path | None:
    """Write the forest's predictions, and its bundle and model.yml if asked for; return the bundle's path.

    ``key`` names the training: predictions that were written for it are left as they are.
    """
    if options.skip_if:
        return None
    _write_predictions(options, layout, key, session)
    saved = options.save_model
    if not (saved or options.dump_metadata):
        return None
    kept = layout.models / f"{FOREST}.joblib"
    content = bundle.load(kept)
    if saved:
        bundle.save(saved, content, options.overwrite_model)
    metadata = (saved.parent if saved else layout.root / "models") / "model.yml"
    bundle.write_model_yml(metadata, content, saved or kept)
    _record(layout, [metadata, *([saved, bundle.hash_path(saved)] if saved else [])])
    return saved


def _record(layout: Layout, paths: Iterable[Path]) -> None:
    """Add files below the output folder to the record of exports; the user may move or replace those elsewhere."""
    inside = [path for path in paths if path.is_relative_to(layout.root)]
    stage = Stage(layout, EXPORTS)
    if inside and not stage.update(inside):
        stage.commit(Key("", ""), inside, {})


def written_targets(layout: Layout) -> list[str]:
    """List the paths that --save-if of this output folder has written."""
    record = Stage(layout, IF_PREDICTIONS).read()
    return list(record.summary["targets"]) if record else []


def _write_predictions(options: TrainOptions, layout: Layout, key: str, session: Session) -> None:
    """Write the forest's predictions, as Parquet or as one CSV file, unless they are there."""
    target, csv = options.save_if or layout.if_predictions, bool(options.save_if and is_csv(options.save_if))
    names = [path.name for path in part_paths(layout.predictions / FOREST)]
    where = target_name(target, layout)
    stage, own = Stage(layout, IF_PREDICTIONS), Key(key, fingerprint(where))
    is_whole = target.is_file() if csv else [path.name for path in part_paths(target)] == names
    if is_whole and stage.is_current(own):
        return
    # Recorded before the first byte, so that a training that was interrupted may go on there.
    targets = {"targets": sorted({*written_targets(layout), where})}
    stage.commit(Key("", ""), [], targets)
    if csv:
        session.call(write_csv, layout.root, target, label="if predictions")
    else:
        session.map(forest_part, names, "if predictions", root=layout.root, target=target)
        prune_parts(target, names)
    stage.commit(own, [target] if csv else part_paths(target), targets)


def write_csv(root: Path, target: Path) -> None:
    """Write the forest's predictions of all parts as one CSV file, compressed where its name ends with .gz."""
    from pyarrow import csv

    compression = "gzip" if target.suffix.lower() == ".gz" else None
    with (
        replacing(target) as temporary,
        pa.output_stream(temporary, compression=compression) as stream,
        csv.CSVWriter(stream, schema.IF_PREDICTIONS) as writer,
    ):
        for path in part_paths(Layout(root).predictions / FOREST):
            writer.write_table(read_forest(path))


def forest_part(name: str, root: Path, target: Path) -> int:
    """Write one part of the forest's predictions."""
    table = read_forest(Layout(root).predictions / FOREST / name)
    return write_part(target / name, table, schema.IF_PREDICTIONS)


def read_forest(path: Path) -> pa.Table:
    """Read one part of the forest's predictions (schema.IF_PREDICTIONS); its one alert limit is in both labels."""
    part = read_part(path)
    part = part.append_column("pred_if_threshold", part["pred_ano"])
    names = {"score_if": "score", "rank_if": "rank"}
    table = pa.table({name: part[names.get(name, name)] for name in schema.IF_PREDICTIONS.names})
    return table.cast(schema.IF_PREDICTIONS)


def export_models(options: TrainOptions, layout: Layout, keys: Sequence[str]) -> list[str]:
    """Write the registry models' bundles to --save-sup-models; return a note for each that is not fitted."""
    notes, saved = [], []
    for key in keys if options.save_sup_models and options.phase == "full" else ():
        assert options.save_sup_models is not None
        content = bundle.load(layout.models / f"{key}.joblib")
        path = options.save_sup_models / f"{key}.joblib"
        bundle.save(path, content, options.overwrite_model)
        saved += [path, bundle.hash_path(path)]
        for service, reason in unfitted_reasons(content).items():
            notes.append(f"{key}: saved without a model{f' for {service}' if service else ''}: {reason}")
    _record(layout, saved)
    return notes


def export_enhanced(options: TrainOptions, layout: Layout) -> None:
    """Copy the enhanced table to --enhancers-output-dir; what is there with the same content stays.

    Raises
    ------
    InputError : another table is there and --overwrite-enhancers is not given.
    """
    folder = options.enhancers_output_dir
    if folder is None or folder.resolve() == layout.root.resolve():
        return
    target = Layout(folder).enhanced
    parts = part_paths(layout.enhanced)
    existing = {path.name: path for path in part_paths(target)} if target.exists() else {}
    same = set(existing) == {path.name for path in parts} and all(
        same_content(path, existing[path.name]) for path in parts
    )
    if same:
        return
    if existing and not options.overwrite_enhancers:
        raise InputError(f"{target} holds another enhanced table; give --overwrite-enhancers to replace it")
    for path in parts:
        copy_file(path, target / path.name)
    prune_parts(target, [path.name for path in parts])
