"""Groups of consecutive parts, which a task takes at once: what it does for each model and service is done once."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from lo2dask.buffers.arrays import Ints
from lo2dask.storage import cached_files
from lo2dask.tables.parts import part_paths, read_metadata, read_part, write_part

# A larger part is a group of its own; bytes are those of all columns before compression.
MOST_ROWS, MOST_BYTES = 1_000, 8 << 20


@dataclass(frozen=True)
class Group:
    """The ``names`` of consecutive parts of a table, and how many ``rows`` each has."""

    names: tuple[str, ...]
    rows: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name a file of the whole group; such names are in the order of the groups."""
        return self.names[0]

    def read(self, folder: Path, columns: Iterable[str] | None = None) -> pa.Table:
        """Read all parts of a table, or some of its columns, as one."""
        wanted = None if columns is None else list(columns)
        parts = [read_part(folder / name, wanted) for name in self.names]
        return parts[0] if len(parts) == 1 else pa.concat_tables(parts).unify_dictionaries().combine_chunks()

    def write(self, folder: Path, table: pa.Table, schema: pa.Schema, owner: Ints | None = None) -> None:
        """Write each part's rows of a table; ``owner`` is the row of the group that each belongs to, ascending."""
        borders = np.cumsum([0, *self.rows])
        borders = borders if owner is None else np.searchsorted(owner, borders)
        for name, (start, end) in zip(self.names, pairwise(borders.tolist()), strict=True):
            write_part(folder / name, table.slice(start, end - start), schema)


def group_parts(folder: Path, names: Collection[str] | None = None) -> list[Group]:
    """Group the parts of a table, or some of them: at most MOST_ROWS rows and MOST_BYTES bytes together."""
    groups: list[list[tuple[str, int, int]]] = []
    for path in part_paths(folder) if names is None else [folder / name for name in names]:
        part = (path.name, *_size(path))
        together = [*groups[-1], part] if groups else []
        if together and sum(p[1] for p in together) <= MOST_ROWS and sum(p[2] for p in together) <= MOST_BYTES:
            groups[-1] = together
        else:
            groups.append([part])
    return [Group(tuple(name for name, *_ in parts), tuple(rows for _, rows, _ in parts)) for parts in groups]


@cached_files(maxsize=1 << 16)
def _size(path: Path) -> tuple[int, int]:
    """Return the rows and bytes of a part; all stages of a command ask for them."""
    footer = read_metadata(path)
    return footer.num_rows, sum(footer.row_group(at).total_byte_size for at in range(footer.num_row_groups))
