"""Checks of the paths that a user names for exports: nothing that lo2dask did not write there is ever replaced."""

import json
from pathlib import Path

import pyarrow.parquet as pq

from lo2dask.errors import InputError
from lo2dask.models import bundle
from lo2dask.models.registry import FOREST
from lo2dask.options import TrainOptions
from lo2dask.schema import IF_PREDICTIONS
from lo2dask.storage import is_local, source_of
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths
from lo2dask.training.units import measures_path

_OWN = ("_lo2dask", "explainability", "metrics", "report.html", "report.md", "lo2_grid.csv", "lo2_grid.md")


def check_targets(options: TrainOptions, layout: Layout, keys: list[str], written: list[str]) -> None:
    """Check, before any work, that no export replaces what it must not; ``written`` are the targets of --save-if.

    Raises
    ------
    InputError : a target is one of the folder's own tables, or was not written by lo2dask.
    """
    if options.phase != "enhancers" and not options.skip_if:
        if options.save_if:
            check_predictions(options, layout, options.save_if, written)
        if options.save_model:
            _check_bundle("--save-model", options.save_model, layout)
        if options.save_model or options.dump_metadata:
            path = (options.save_model.parent if options.save_model else layout.root / "models") / "model.yml"
            bundle.check_model_yml(path, options.save_model, options.overwrite_model)
    if options.phase == "full" and options.save_sup_models:
        for key in keys:
            _check_bundle("--save-sup-models", options.save_sup_models / f"{key}.joblib", layout)
    if options.metrics_dir and options.phase != "enhancers":
        _check_measures(options.metrics_dir, layout, keys)
    other = options.enhancers_output_dir
    if options.save_enhancers and other and is_local(other) and other.resolve() != layout.root.resolve():
        if Layout(other).internal.exists() or other.is_file():
            raise InputError(f"--enhancers-output-dir {other}: lo2dask load wrote this folder; name another")


def is_csv(target: Path) -> bool:
    """Return whether predictions are written as CSV, by the name of their file."""
    return target.name.lower().endswith((".csv", ".csv.gz"))


def target_name(target: Path, layout: Layout) -> str:
    """Name a target in records: a path below the output folder is relative, as the folder may move."""
    return str(target.relative_to(layout.root) if target.is_relative_to(layout.root) else target.resolve())


def check_predictions(options: TrainOptions, layout: Layout, target: Path, written: list[str]) -> None:
    """Check that --save-if names nothing that --save-if of this output folder did not write.

    Raises
    ------
    InputError : it does, and --overwrite-if is not given, or would replace other files than predictions.
    """
    if is_local(target) and target.resolve() == layout.if_predictions.resolve():
        return
    _refuse_own("--save-if", target, layout)
    if is_csv(target):
        if target.is_dir():
            raise InputError(f"--save-if {target}: a folder of this name is there; name a file")
        is_free, is_ours = not target.exists(), target.is_file() and _has_header(target)
    else:
        if target.is_file():
            raise InputError(f"--save-if {target}: a file is there; name a folder (Parquet), or a .csv file")
        names = [path.name for path in (target.iterdir() if target.is_dir() else ())]
        is_free, is_ours = not names, _are_predictions(target, names)
    if is_free or (is_ours and (options.overwrite_if or target_name(target, layout) in written)):
        return
    way_out = "give --overwrite-if to replace them, or name" if is_ours else "name"
    which = "predictions of another output folder or command are" if is_ours else "something else is"
    raise InputError(f"--save-if {target}: {which} there; {way_out} a path that does not exist yet")


def _are_predictions(target: Path, names: list[str]) -> bool:
    # What a killed process left is hidden.
    shown = [name for name in names if not name.startswith(".")]
    parts = part_paths(target)
    if not all(name.startswith("part-") for name in shown) or len(parts) != len(shown):
        return False
    try:
        return all(pq.read_schema(source_of(path)).names == IF_PREDICTIONS.names for path in parts)
    except (OSError, ValueError):  # pyarrow's errors of a damaged file are ValueErrors
        return False


def _has_header(target: Path) -> bool:
    import pandas as pd

    try:
        return list(pd.read_csv(source_of(target), nrows=0).columns) == IF_PREDICTIONS.names
    except (OSError, ValueError, EOFError):
        return False


def _check_bundle(flag: str, path: Path, layout: Layout) -> None:
    _refuse_own(flag, path, layout)
    if path.is_dir():
        raise InputError(f"{flag} {path}: a folder is there; name a file, as {path / 'lo2_if.joblib'}")
    hashed = bundle.hash_path(path)
    if path.exists() and not bundle.is_bundle(path):
        raise InputError(f"{flag} {path}: it is no bundle of lo2dask and is not replaced; name another path")
    if hashed.exists() and not bundle.is_hash(hashed):
        raise InputError(f"{flag} {path}: {hashed.name} is no SHA-256 file and is not replaced; name another path")


def _check_measures(folder: Path, layout: Layout, keys: list[str]) -> None:
    if not (is_local(folder) and folder.resolve() == layout.measures.resolve()):
        _refuse_own("--metrics-dir", folder, layout)
    if folder.is_file():
        raise InputError(f"--metrics-dir {folder}: a file is there; name a folder")
    for path in (measures_path(folder, key) for key in keys):
        if path.exists() and not _is_measures(path):
            raise InputError(f"--metrics-dir {folder}: its {path.name} is not of lo2dask; name another folder")
    table = measures_path(folder, FOREST).with_suffix(".csv")
    if table.exists() and not table.read_bytes().startswith(b"side,group,measure,value"):
        raise InputError(f"--metrics-dir {folder}: its {table.name} is not of lo2dask; name another folder")


def _is_measures(path: Path) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"train", "holdout"} <= set(content)


def _refuse_own(flag: str, target: Path, layout: Layout) -> None:
    """Refuse a target that is a table or file of the output folder, is inside one, or contains the output folder."""
    if is_local(target) and is_local(layout.root):
        target, root = target.resolve(), layout.root.resolve()
    else:
        root = layout.root
    if root == target or root.is_relative_to(target):
        raise InputError(f"{flag} {target}: that is the output folder itself, or holds it; name another path")
    name = target.relative_to(root).parts[0] if target.is_relative_to(root) else ""
    is_table = name.endswith(".parquet") and (name.startswith("lo2_") or name.endswith("_runs.parquet"))
    if name in _OWN or is_table:
        raise InputError(f"{flag} {target}: {name} is one of the output folder's own; name another path")
