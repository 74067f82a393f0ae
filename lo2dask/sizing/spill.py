"""How many bytes of scratch counting the tokens of a tree takes."""

import pyarrow.compute as pc

from lo2dask.memory import parse_bytes
from lo2dask.options import LoadOptions
from lo2dask.sizing.forecast import spill_bytes
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import read_load
from lo2dask.tables.parts import read_parts

_SIZES = ["size", "selected"]


def load_spill_bytes(options: LoadOptions, size: int) -> int:
    """Project the bytes of scratch that a load of ``size`` raw bytes takes to count their tokens; 0 = it does not."""
    if not (options.enhance and options.save_parquet):
        return 0
    return spill_bytes(size, parse_bytes(options.partition_size, "--partition-size"), options.tokens)


def loaded_spill_bytes(layout: Layout, tokens: str) -> int:
    """Project the bytes that the tokens of all loaded logs take in a spill, from the manifest."""
    size = sum(
        pc.sum(table.filter(table["selected"])["size"]).as_py() or 0 for table in read_parts(layout.manifest, _SIZES)
    )
    marker = read_load(layout)
    assert marker is not None, f"{layout.root}: no load in it"
    return spill_bytes(size, parse_bytes(marker["options"]["partition_size"]), tokens)
