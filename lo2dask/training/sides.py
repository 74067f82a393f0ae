"""A side folder: the loaded and enhanced tables of another folder, by hard links, in which train can work freely."""

from pathlib import Path

from lo2dask.ingest.text import ENHANCE
from lo2dask.storage import link_file
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths
from lo2dask.tables.records import Key, Stage, StageType

LINKS = StageType("links", "the tables are linked again", {"names": [str]})


def link_tables(layout: Layout, folder: Path) -> Layout:
    """Link the tables, templates and records of ``layout``, and nothing else, into ``folder``; return its layout."""
    side = Layout(folder)
    linked = [layout.template_state, layout.template_mapping]
    linked += [layout.marker(stage) for stage in ("load", "text", "enhance")]
    linked += [part.path for part in Stage(layout, ENHANCE).parts()]
    tables = (layout.enhanced, layout.sequences, layout.templates, layout.statements, layout.vocabulary, layout.startup)
    # The 2-gram baseline reads the pairs of each log's statements.
    for table in (*tables, layout.window_counts, layout.text / "lines"):
        linked += part_paths(table)
    names = [path.relative_to(layout.root).as_posix() for path in linked if path.is_file()]
    for path in linked:
        target = side.root / path.relative_to(layout.root)
        target.unlink(missing_ok=True)
        if path.is_file():
            link_file(path, target)
    # Their sizes and checksums are in the records of ``layout``.
    Stage(side, LINKS).commit(Key("", ""), [], {"names": names})
    return side
