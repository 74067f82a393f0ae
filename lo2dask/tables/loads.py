"""The record of a load: of the whole, which names the raw tree and the options, and of each batch with its counts."""

import math
from typing import Any

from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths
from lo2dask.tables.records import Stage, StageType
from lo2dask.tables.state import check_layout

# The records of so many batches are read at once.
FEW_PARTS = 16
_BATCH = {
    **dict.fromkeys(("batch", "files", "bytes", "events", "sequences", "rejects"), int),
    "lines": {str: int},
    "labels_met": [int],
    "seconds": float,
}
LOAD = StageType(
    "load",
    "the load is checked against its batches again",
    {"root": str, "options": dict, "done": bool, "format": str, "formats": dict, "is_lo2": bool},
    _BATCH,
    "its batch is loaded again",
)


def read_load(layout: Layout) -> dict[str, Any] | None:
    """Read what a load says of itself: root, options, done, and inputs (a hash, once it is done); None without one.

    Raises
    ------
    InputError : another version of lo2dask has written the folder.
    """
    check_layout(layout)
    record = Stage(layout, LOAD).read()
    return {**record.summary, "inputs": record.key.inputs} if record else None


def batch_summaries(layout: Layout) -> list[dict[str, Any]]:
    """Read what the batches say of themselves: files, bytes, events, sequences, rejects, lines, seconds."""
    return [dict(record.summary) for record in Stage(layout, LOAD).records()]


def load_size(layout: Layout) -> tuple[float, float]:
    """Count the files and raw bytes of a load; infinite for more than FEW_PARTS batches, or where records are lost."""
    parts = len(part_paths(layout.sequences))
    batches = batch_summaries(layout) if parts <= FEW_PARTS else []
    if len(batches) < parts:
        return math.inf, math.inf
    return sum(batch["files"] for batch in batches), sum(batch["bytes"] for batch in batches)
