"""What a load needs, by the one forecast; and what counting the tokens of loaded tables does."""

import pyarrow.compute as pc

from lo2dask.memory import parse_bytes
from lo2dask.options import LoadOptions
from lo2dask.schema import TokenKinds
from lo2dask.sizing.forecast import STORED, Forecast, Wanted, forecast, spill_bytes
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import read_load
from lo2dask.tables.parts import read_parts


def load_needs(options: LoadOptions, size: int, sequences: int, workers: int) -> Forecast:
    """Forecast a load of ``size`` raw bytes in so many logs; without enhancement it counts no tokens.

    Raises
    ------
    InputError : ``--partition-size`` is not a size.
    """
    wanted = Wanted(
        bytes=size,
        workers=workers,
        batch=parse_bytes(options.partition_size, "--partition-size"),
        budget=0,
        save_events=options.save_events,
        sequences=sequences,
        kinds=TokenKinds.of(options.tokens) if options.enhance and options.save_parquet else None,
    )
    return forecast(STORED, wanted)


def loaded_spill_bytes(layout: Layout, kinds: TokenKinds) -> int:
    """Project the bytes that the tokens of all loaded logs take in a spill, from the manifest."""
    tables = (table.filter(table["selected"]) for table in read_parts(layout.manifest, ["size", "selected"]))
    size = sum(pc.sum(table["size"]).as_py() or 0 for table in tables)
    load = read_load(layout)
    assert load is not None, f"{layout.root}: no load in it"
    return spill_bytes(size, parse_bytes(load["options"]["partition_size"]), kinds)
