"""What train leaves for its users under the paths that they name: predictions, bundles, model.yml, enhanced tables."""

import filecmp
import shutil
from collections.abc import Sequence
from pathlib import Path

from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.models import bundle
from lo2dask.options import TrainOptions
from lo2dask.stages.measures import forest_part
from lo2dask.stages.units import FOREST
from lo2dask.storage import read_json, replacing
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, prune_parts


def export_forest(options: TrainOptions, layout: Layout, session: Session) -> Path | None:
    """Write the forest's predictions, and its bundle and model.yml if asked for; give the bundle's path."""
    if options.skip_if:
        return None
    kept = layout.models / f"{FOREST}.joblib"
    content = bundle.load(kept)
    target = options.save_if or layout.if_predictions
    names = [path.name for path in part_paths(layout.predictions / FOREST)]
    session.wave(
        forest_part,
        names,
        "if predictions",
        root=layout.root,
        threshold=_threshold(options, layout, content),
        target=target,
    )
    prune_parts(target, names)
    saved = None
    if options.save_model:
        plain = {name: value for name, value in content.items() if name not in ("layout", "fingerprint")}
        bundle.save(options.save_model, plain, options.overwrite_model)
        saved = options.save_model
    if options.dump_metadata or saved:
        folder = saved.parent if saved else layout.root / "models"
        bundle.write_model_yml(folder / "model.yml", content, saved or kept)
    return saved


def export_models(options: TrainOptions, layout: Layout, keys: Sequence[str]) -> list[str]:
    """Write the registry models' bundles to --save-sup-models; give a note for each that is not fitted."""
    notes = []
    for key in keys if options.save_sup_models and options.phase == "full" else ():
        assert options.save_sup_models is not None
        content = bundle.load(layout.models / f"{key}.joblib")
        plain = {name: value for name, value in content.items() if name not in ("layout", "fingerprint")}
        bundle.save(options.save_sup_models / f"{key}.joblib", plain, options.overwrite_model)
        if content["model"] is None:
            notes.append(f"{key}: saved without a model: {content['record']['reason']}")
    return notes


def export_enhanced(options: TrainOptions, layout: Layout, session: Session) -> None:
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
    there = {path.name: path for path in part_paths(target)} if target.exists() else {}
    same = set(there) == {path.name for path in parts} and all(
        filecmp.cmp(path, there[path.name], shallow=False) for path in parts
    )
    if same:
        return
    if there and not options.overwrite_enhancers:
        raise InputError(f"{target} holds another enhanced table; give --overwrite-enhancers to replace it")
    for path in parts:
        with replacing(target / path.name) as temporary:
            shutil.copyfile(path, temporary)
    prune_parts(target, [path.name for path in parts])


def _threshold(options: TrainOptions, layout: Layout, content: dict[str, object]) -> float:
    """Give the alert threshold: the percentile that was asked for, else the contamination's own."""
    measured = read_json((options.metrics_dir or layout.measures) / "if_metrics.json") or {}
    asked = (measured.get("threshold") or {}).get("threshold")
    own = content["scoring"].get("threshold") if isinstance(content["scoring"], dict) else None
    return float(asked if asked is not None else own if own is not None else float("inf"))
