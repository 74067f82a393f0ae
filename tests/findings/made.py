"""Hand-made tables of an output folder, written by the tables' own writer."""

from pathlib import Path

import pyarrow as pa

from lo2dask import schema
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import write_part

Bags = dict[tuple[str, str, str], dict[str, int]]


def write_bags(root: Path, bags: Bags, templates: dict[str, str], parts: int = 2) -> Layout:
    """Write lo2_sequences_enhanced.parquet, all but keys and templates null, and lo2_templates.parquet."""
    layout = Layout(root)
    rows = [
        {
            **{"run": run, "test_case": case, "service": service, "seq_id": f"{run}__{case}__{service}"},
            **{"normal": schema.is_normal(case), "anomaly": not schema.is_normal(case)},
            "e_templates": [{"token": token, "count": count} for token, count in sorted(bag.items())],
        }
        for (run, case, service), bag in bags.items()
    ]
    for part in range(parts):
        table = pa.Table.from_pylist(rows[part::parts], schema.ENHANCED)
        write_part(layout.enhanced / f"part-{part:06d}.parquet", table, schema.ENHANCED)
    named = [{"e_event_drain_id": token, "template": text} for token, text in templates.items()]
    write_table(layout.templates, named, schema.TEMPLATES)
    return layout


def write_table(folder: Path, rows: list[dict], of: pa.Schema) -> None:
    """Write a table of one part."""
    write_part(folder / "part-000000.parquet", pa.Table.from_pylist(rows, of), of)
