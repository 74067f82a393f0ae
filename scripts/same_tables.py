"""Compares the tables of two output folders: what two ways of running have made of the same input.

    python scripts/same_tables.py [--layout-1] ONE OTHER

Tables, predictions and scores of runs are held against each other, columns, types and every value; the rows' order
and how they are cut into parts may differ. Ends with 1 and a line for each table that differs. With ``--layout-1``, ONE
was written before times had a zone, m_message lost the header and statements came: OTHER is brought to that layout.
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lo2dask import raw_line
from lo2dask.schema import TIME

TIMES = ("m_timestamp", "start_time", "end_time", "first_seen", "timestamp")
LAYOUT_1 = {(name, TIME): pa.timestamp("ms") for name in TIMES} | {
    (name, TIME): pa.timestamp("us") for name in ("start", "end")
}


def main() -> int:
    """Compare the two folders named on the command line."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--layout-1"]
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    one, other = (Path(name) for name in arguments)
    found = differences(one, other, len(arguments) < len(sys.argv) - 1)
    print("\n".join(found) or told(one))
    return int(bool(found))


def differences(one: Path, other: Path, is_older: bool = False) -> list[str]:
    """Say in one line each which tables of two output folders are not the same; none is not the same either."""
    left, right = table_paths(one), table_paths(other)
    if is_older:
        right.pop("lo2_statements.parquet")
    missing = [f"{name}: only in one of the two" for name in sorted(left.keys() ^ right.keys())]
    if not left:
        missing.append(f"{one}: no table")
    return missing + [
        line for name in sorted(left.keys() & right.keys()) for line in compare(name, one, other, is_older)
    ]


def table_paths(output: Path) -> dict[str, Path]:
    """List the tables of an output folder: by their name below it, the folder of parts or the file."""
    internal = output / "_lo2dask" / "predictions"
    found = [*output.glob("*.parquet"), *output.glob("explainability/*.parquet"), *internal.glob("*")]
    return {str(path.relative_to(output)): path for path in found}


def compare(name: str, one: Path, other: Path, is_older: bool = False) -> list[str]:
    """Compare one table of two folders: nothing, or the line that says in what they differ."""
    left, right = read(one / name), read(other / name, is_older)
    if left.schema != right.schema:
        return [f"{name}: other columns"]
    if len(left) != len(right):
        return [f"{name}: {len(left):,} rows against {len(right):,}"]
    unequal = [column for column in left.column_names if not same(left[column], right[column])]
    return [f"{name}: other values in {', '.join(unequal)}"] if unequal else []


def read(path: Path, to_layout_1: bool = False) -> pa.Table:
    """Read all parts of a table, in an order that its values alone decide."""
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    tables = [pq.ParquetFile(file).read() for file in files]
    table = pa.concat_tables(plain(part) for part in tables) if tables else pa.table({})
    table = older(table) if to_layout_1 else table
    keys = [field.name for field in table.schema if not pa.types.is_nested(field.type)]
    return table.sort_by([(key, "ascending") for key in keys]).combine_chunks() if keys else table


def older(table: pa.Table) -> pa.Table:
    """Bring a table of layout 2 to layout 1: whole lines as m_message, times in ms without a zone, former names."""
    if {"thread", "m_message"} <= set(table.column_names):
        table = table.set_column(table.schema.get_field_index("m_message"), "m_message", raw_line(table))
    if "duration_ms" in table.column_names:
        assert table["duration_ms"].equals(table["duration"])
    table = table.drop_columns([name for name in ("duration_ms", "e_statements") if name in table.column_names])
    fields = [field.with_type(LAYOUT_1.get((field.name, field.type), field.type)) for field in table.schema]
    former = table.cast(pa.schema(fields))
    return former.rename_columns(["e_event_drain_id" if n == "e_templates" else n for n in former.column_names])


def plain(table: pa.Table) -> pa.Table:
    """Write out dictionaries, which each part has of its own."""
    fields = [field.with_type(getattr(field.type, "value_type", field.type)) if pa.types.is_dictionary(field.type)
              else field for field in table.schema]  # fmt: skip
    return table.cast(pa.schema(fields))


def same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    """Compare all values; NaN equals NaN, and is not null."""
    if not pa.types.is_floating(one.type):
        return one.equals(other)
    marks = [pc.is_nan(column) for column in (one, other)]
    return marks[0].equals(marks[1]) and all(pc.fill_null(pc.or_(marks[0], pc.equal(one, other)), True).to_pylist())


def told(output: Path) -> str:
    """Say what was compared."""
    paths = table_paths(output)
    rows = sum(pq.ParquetFile(file).metadata.num_rows for path in paths.values()
               for file in (path.glob("*.parquet") if path.is_dir() else [path]))  # fmt: skip
    return f"{len(paths)} tables and predictions, {rows:,} rows: the same"


if __name__ == "__main__":
    sys.exit(main())
