"""Committed reads: a table as its records describe it, while another process may be loading, resuming or killed.

Parts and records change one after another, so a reader that lists a folder may see some parts of a table, or parts of
two loads. A committed read takes the parts that records name, compares each with its checksum, and the records with
themselves afterwards.
"""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lo2dask.errors import InputError
from lo2dask.options.paths import to_path
from lo2dask.storage import list_paths
from lo2dask.tables.layout import Layout

_POLL_SECONDS = 0.2


class _HalfStateError(Exception):
    """The folder is between two committed states."""


def read_table(root: str | Path, name: str, wait: float = 0.0) -> pa.Table:
    """Read a table of an output folder in its last committed state.

    Parameters
    ----------
    root : the output folder.
    name : the table, as ``sequences`` for ``lo2_sequences.parquet``, or ``excess_runs`` for ``excess_runs.parquet``.
    wait : seconds to wait for a committed state; a load that runs may take longer.

    Raises
    ------
    InputError : there is no such table, or the command that writes it has not ended.
    """
    layout = Layout(to_path(root))
    # Run scores are named after their model.
    table = f"{name}.parquet" if name.endswith("_runs") else f"lo2_{name}.parquet"
    deadline = time.monotonic() + wait
    while True:
        try:
            return _read_once(layout, table)
        except _HalfStateError as half:
            if time.monotonic() >= deadline:
                remedy = "wait until the command that writes it has ended, or run it again if it failed"
                raise InputError(f"{layout.root}: {table}: {half}; {remedy}") from half
            time.sleep(_POLL_SECONDS)


def _read_once(layout: Layout, table: str) -> pa.Table:
    before = _named_parts(layout, table)
    parts = [_read_part(layout.root / name, checksum) for name, checksum in sorted(before.items())]
    if _named_parts(layout, table) != before or any(part.schema != parts[0].schema for part in parts):
        raise _HalfStateError("it is being written")
    return pa.concat_tables(parts)


def _named_parts(layout: Layout, table: str) -> dict[str, str]:
    """Return the checksums of a table's parts, from the records of stages that are done."""
    load = _content(layout.marker("load"))
    if not load.get("summary", {}).get("done"):
        raise _HalfStateError("the load has not ended" if load else "nothing was loaded, or the load has not begun")
    paths = list_paths(layout.internal, ".json")
    for stage in ("load", "metrics", "text", "enhance"):
        paths += list_paths(layout.record(stage, 0).parent, ".json")
    parts: dict[str, str] = {}
    tables: set[str] = set()
    for record in map(_content, paths):
        named = {name: one["checksum"] for name, one in record.get("outputs", {}).items() if ".parquet/" in name}
        tables |= {name.partition(".parquet/")[0].removeprefix("lo2_") for name in named}
        outputs = {name: checksum for name, checksum in named.items() if name.startswith(f"{table}/")}
        if outputs and not layout.marker(record["type"]).is_file():
            raise _HalfStateError(f"the stage {record['type']} has not ended")
        parts |= outputs
    if not parts:
        raise _HalfStateError(f"no record names it (there are {', '.join(sorted(tables))})")
    return parts


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise _HalfStateError(f"{path.name} is damaged") from error
    return content if isinstance(content, dict) else {}


def _read_part(path: Path, checksum: str) -> pa.Table:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise _HalfStateError(f"{path.name} is missing") from error
    if hashlib.sha256(data).hexdigest()[: len(checksum)] != checksum:
        raise _HalfStateError(f"{path.name} is not what its record describes")
    return pq.read_table(pa.BufferReader(data))
