"""Parts as partitions of a Dask dataframe, Arrow-backed, with an explicit schema at each step.

Importing dask.dataframe takes over half a second: it is imported where the first frame is made.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd


class FrameStep(NamedTuple):
    """A function that makes a partition (an Arrow-backed frame), and the schema of what it makes."""

    function: Callable[..., "pd.DataFrame"]
    schema: pa.Schema


def to_frame(table: pa.Table) -> "pd.DataFrame":
    """Return a table as a frame whose columns stay Arrow's, without a copy."""
    import pandas as pd

    return table.to_pandas(types_mapper=pd.ArrowDtype)


def to_table(frame: "pd.DataFrame") -> pa.Table:
    """Return an Arrow-backed frame as a table, without a copy."""
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()


def run_here(read: FrameStep, steps: Sequence[FrameStep], parts: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
    """Take parts through the steps in this process: (index of the part, what the last step leaves)."""
    for index, part in enumerate(parts):
        frame = read.function(part)
        for step in steps[:-1]:
            frame = step.function(frame)
        yield index, to_table(steps[-1].function(frame, part))


def run_frames(
    client: Any, read: FrameStep, steps: Sequence[FrameStep], parts: Sequence[str]
) -> Iterator[tuple[int, pa.Table]]:
    """Do the same on a cluster, one partition a part: results come as they are done."""
    import dask.dataframe as dd
    from distributed import as_completed, futures_of

    def made(step: FrameStep) -> dict[str, Any]:
        """Return what Dask is told of a step's partitions."""
        return {"meta": to_frame(step.schema.empty_table()), "enforce_metadata": False}

    frame = dd.from_map(read.function, list(parts), **made(read))
    for step in steps[:-1]:
        frame = frame.map_partitions(step.function, **made(step))
    frame = frame.map_partitions(_with_part, steps[-1].function, tuple(parts), **made(steps[-1]))
    futures = list(futures_of(client.persist(frame)))
    indexes = {future.key: index for index, future in enumerate(futures)}
    for future in as_completed(futures):
        yield indexes[future.key], to_table(future.result())


def _with_part(
    frame: "pd.DataFrame",
    function: Callable[..., "pd.DataFrame"],
    parts: tuple[str, ...],
    partition_info: dict[str, Any] | None = None,
) -> "pd.DataFrame":
    """Call a step with the name of its part; Dask fills in ``partition_info``."""
    assert partition_info is not None
    return function(frame, parts[partition_info["number"]])
