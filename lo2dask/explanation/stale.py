"""Removes what phase F wrote of models that are no longer trained, so that nobody takes it for current."""

import logging
from collections.abc import Collection
from pathlib import Path

from lo2dask.explanation.artefacts import Artefacts
from lo2dask.explanation.refit import trained_models
from lo2dask.storage import list_paths, read_json, remove_tree
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths

logger = logging.getLogger(__name__)


def remove_stale(layout: Layout, explained: Collection[str]) -> list[str]:
    """Remove the files of models that train kept once and no longer keeps; give their keys.

    A model is known by the marker that phase F left of it. Those that were fitted for an explanation alone stay, and
    so does every file that phase F does not write.
    """
    markers = {path.stem: path for path in list_paths(layout.internal / "explain", ".json")}
    current = {*explained, *trained_models(layout)}
    stale = [key for key, path in markers.items() if key not in current and _of_training(path)]
    for key in stale:
        for path in _files(Artefacts(layout.explainability, key)):
            path.unlink(missing_ok=True)
        for folder in _tables(Artefacts(layout.explainability, key)):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        remove_tree(layout.internal / "explain" / key)
        markers[key].unlink()
        logger.warning("%s is no longer trained: what was explained of it is removed", key)
    return stale


def _of_training(marker: Path) -> bool:
    """Return whether a marker is one of a model that train kept; other notes lie next to the markers."""
    found = read_json(marker)
    return isinstance(found, dict) and "evidence" in found and not found.get("fitted_here", False)


def _tables(files: Artefacts) -> tuple[Path, Path]:
    return files.predictions, files.explanations


def _files(files: Artefacts) -> list[Path]:
    names = ("top_features.txt", "false_positives.txt", "false_negatives.txt", "nn_mapping.csv")
    parts = [path for table in _tables(files) for path in part_paths(table)]
    return [files.metrics, *files.plots, *files.notes, *(files.path(name) for name in names), *parts]
