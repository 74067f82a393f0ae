"""How long each stage of a folder took, and on how much: ``lo2dask plan --from`` projects other sizes from it.

Timings lie in a file of their own, because they differ from run to run, and tables and records must not. A stage that
was resumed in the middle writes none: it would look faster than it is.
"""

from pathlib import Path
from typing import Any

from lo2dask.storage import entries, list_paths, read_json, write_json
from lo2dask.tables.layout import Layout

NAME = "timings"


def note(layout: Layout, stage: str, **figures: float) -> None:
    """Keep the figures of a finished stage: ``seconds`` and ``workers``, and what else it counts."""
    earlier = read_timings(layout)
    write_json(layout.marker(NAME), {**earlier, stage: {name: round(value, 3) for name, value in figures.items()}})


def read_timings(layout: Layout) -> dict[str, dict[str, Any]]:
    """Return the figures of the stages by name."""
    return dict(read_json(layout.marker(NAME)) or {})


def batch_seconds(layout: Layout) -> tuple[float, int, int]:
    """Add up the records of the load's batches: (worker seconds, raw bytes, batches)."""
    records = [read_json(path) or {} for path in list_paths(layout.record("load", 0).parent, ".json")]
    return sum(r.get("seconds", 0.0) for r in records), sum(r.get("bytes", 0) for r in records), len(records)


def tree_bytes(folder: Path) -> int:
    """Add up the sizes of all files below a folder; a missing one has none."""
    try:
        found = list(entries(folder))
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return sum(tree_bytes(folder / entry.name) if entry.is_dir() else entry.stat().st_size for entry in found)
