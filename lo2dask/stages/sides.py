"""A side folder: the loaded and enhanced tables of another folder, by hard links, in which train can work freely."""

import os
import shutil
from pathlib import Path

from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths


def link_tables(layout: Layout, folder: Path) -> Layout:
    """Give ``folder`` the tables, templates and markers of ``layout``, and nothing else."""
    side = Layout(folder)
    linked = [layout.template_state, *(layout.marker(stage) for stage in ("load", "text", "enhance"))]
    for table in (layout.enhanced, layout.sequences, layout.templates, layout.vocabulary, layout.startup):
        linked += part_paths(table)
    for path in linked:
        target = side.root / path.relative_to(layout.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        if path.is_file():
            _link(path, target)
    return side


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(path, target)
