"""The record of an explanation, and the removal of files of models that are no longer trained."""

import logging
from collections.abc import Collection
from pathlib import Path

from lo2dask.explanation.artefacts import Artefacts
from lo2dask.explanation.refit import trained_models
from lo2dask.storage import remove_tree
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths
from lo2dask.tables.records import Stage, StageType

logger = logging.getLogger(__name__)

_MODEL = {
    **{"model": str, "shap": str, "neighbours": (int, type(None)), "current": bool, "normals": str},
    "normals_compared": (int, type(None)),
    **dict.fromkeys(("rows", "features", "flagged", "not_explained", "false_positives", "false_negatives"), int),
}
# One named part for each model; ``fitted_here``: train kept no such model, it was fitted for the explanation alone.
EXPLAIN = StageType(
    "explain",
    "what was explained is done again",
    part={"model": _MODEL, "evidence": bool, "fitted_here": bool},
    part_again="its model is explained again",
)


def remove_stale(layout: Layout, explained: Collection[str]) -> list[str]:
    """Remove the files of models that train kept once and no longer keeps; give their keys.

    A model is known by its record. Those that were fitted for an explanation alone stay, and
    so does every file that phase F does not write.
    """
    current = {*explained, *trained_models(layout)}
    others = {str(part.index): part for part in Stage(layout, EXPLAIN).parts() if part.index not in current}
    stale = [key for key, part in others.items() if (record := part.read()) and not record.summary["fitted_here"]]
    for key in stale:
        for path in _files(Artefacts(layout.explainability, key)):
            path.unlink(missing_ok=True)
        for folder in _tables(Artefacts(layout.explainability, key)):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        remove_tree(layout.internal / "explain" / key)
        others[key].invalidate()
        logger.warning("%s is no longer trained: its explanation is removed", key)
    return stale


def _tables(files: Artefacts) -> tuple[Path, Path]:
    return files.predictions, files.explanations


def _files(files: Artefacts) -> list[Path]:
    names = ("top_features.txt", "false_positives.txt", "false_negatives.txt", "nn_mapping.csv")
    parts = [path for table in _tables(files) for path in part_paths(table)]
    return [files.metrics, *files.plots, *files.notes, *(files.path(name) for name in names), *parts]
