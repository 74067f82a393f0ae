"""How long each stage of a folder took, and on how much: ``lo2dask plan --from`` projects other sizes from it.

Timings lie in a file of their own, because they differ from run to run, and tables and records must not. A stage that
was resumed in the middle writes none: it would look faster than it is.
"""

from pathlib import Path
from typing import Any

from lo2dask.storage import entries
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import batch_summaries
from lo2dask.tables.state import StateType, read_state, write_state

NAME = "timings"
TIMINGS = StateType(NAME, {"stages": {str: {str: float}}}, "each stage is timed when it is next done from nothing")


def note(layout: Layout, stage: str, **figures: float) -> None:
    """Keep the figures of a finished stage: ``seconds`` and ``workers``, and what else it counts."""
    earlier = read_timings(layout)
    stages = {**earlier, stage: {name: round(value, 3) for name, value in figures.items()}}
    write_state(layout.marker(NAME), TIMINGS, {"stages": stages})


def read_timings(layout: Layout) -> dict[str, dict[str, Any]]:
    """Return the figures of the stages by name."""
    state = read_state(layout.marker(NAME), TIMINGS)
    return state["stages"] if state else {}


def batch_seconds(layout: Layout) -> tuple[float, int, int]:
    """Add up the records of the load's batches: (worker seconds, raw bytes, batches)."""
    records = batch_summaries(layout)
    return sum(record["seconds"] for record in records), sum(record["bytes"] for record in records), len(records)


def tree_bytes(folder: Path) -> int:
    """Add up the sizes of all files below a folder; a missing one has none."""
    try:
        listed = list(entries(folder))
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return sum(tree_bytes(folder / entry.name) if entry.is_dir() else entry.stat().st_size for entry in listed)
