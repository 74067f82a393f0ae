"""The texts by which findings and windows name statements."""

from pathlib import Path

from lo2dask.buffers.columns import strings
from lo2dask.features.templates import Templates, readable
from lo2dask.storage import cached_files
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import read_part


def read_statements(layout: Layout) -> dict[str, tuple[str, str]]:
    """Return text and template of each statement id; a template of several texts its own. A worker keeps them."""
    return _read_statements(layout.statements / "part-000000.parquet", layout.template_state)


@cached_files(maxsize=1)
def _read_statements(path: Path, templates: Path) -> dict[str, tuple[str, str]]:
    table = read_part(path, ["statement_id", "text", "e_event_drain_id"])
    mined = Templates.load(templates)
    texts = dict(zip(mined.ids, map(readable, mined.texts), strict=True))
    found: dict[str, tuple[str, str]] = {}
    for one, text, template in zip(*(strings(table[name]).to_pylist() for name in table.column_names), strict=True):
        found[one] = (text if one not in found else texts.get(template, text), template)
    return found
