"""What is computed once from the distinct messages of the whole tree: templates and statements.

A message is a normalised line after its header. Its statement is the message itself, by a number in the order of the
texts; its template is what Drain makes of all messages together.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.buffers.arrays import Ints
from lo2dask.buffers.columns import strings
from lo2dask.features.statements import Statements, are_too_many, letters_of
from lo2dask.features.templates import Templates, check_masks, mine_templates, readable
from lo2dask.features.textpass import LINES
from lo2dask.formats.line_format import LineFormat
from lo2dask.ingest.text import read_format
from lo2dask.storage import cached_files
from lo2dask.tables.groups import Group
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part, write_part

logger = logging.getLogger(__name__)

# What each message belongs to.
MAPPING = pa.schema([pa.field(name, pa.string()) for name in ("message", "e_event_drain_id", "statement_id")])
_MESSAGES = pa.schema([LINES.field(name) for name in ("message", "is_continuation", "n_events", "first_seen")])
# So many distinct messages of parts are added up at once, or those of one part that has more.
_ROWS_AT_ONCE = 1 << 14


def mine(layout: Layout) -> pa.Table:
    """Mine the union of all parts' distinct messages; write templates, statements and what maps messages to them.

    Returns
    -------
    the templates (schema.TEMPLATES without n_sequences), in no order.

    Raises
    ------
    Lo2Error : the masks are too weak to mine templates.
    """
    messages = _add_up_messages(layout)
    texts = messages["message"].to_pylist()
    templates, ids = mine_templates(texts, read_format(layout))
    templates.save(layout.template_state)
    lines = int(pc.sum(messages["n_events"]).as_py() or 0)
    statements = Statements(by_template=are_too_many(messages.num_rows, lines))
    if statements.by_template:
        logger.warning("%d distinct statements are too many to compare; templates take their place", messages.num_rows)
    _write_mapping(layout, messages, ids, statements)
    matched = messages.append_column("e_event_drain_id", pa.array([ids[text] for text in texts], pa.string()))
    sums = matched.group_by("e_event_drain_id").aggregate([("n_events", "sum"), ("first_seen", "min")])
    shown = dict(zip(templates.ids, map(readable, templates.texts), strict=True))
    names = sums["e_event_drain_id"].to_pylist()
    return pa.table(
        {
            "e_event_drain_id": names,
            "template": [shown[name] for name in names],
            "n_events": sums["n_events_sum"],
            "first_seen": sums["first_seen_min"],
        }
    )


def match(layout: Layout, templates: Templates, statements: Statements) -> None:
    """Match the distinct messages against given templates, learn nothing, and write what maps messages to them.

    ``statements`` names those that are known.
    """
    messages = _add_up_messages(layout)
    texts = messages["message"].to_pylist()
    _write_mapping(layout, messages, dict(zip(texts, templates.match(texts), strict=True)), statements)


def read_mapping(layout: Layout, messages: pa.Array, columns: Sequence[str]) -> list[pa.Array]:
    """Return the template ids or the statement ids (``columns`` of :data:`MAPPING`) of some messages."""
    mapping = whole_mapping(layout)
    at = pc.index_in(messages, mapping["message"])
    return [mapping[name].take(at) for name in columns]


def read_line_statements(layout: Layout, group: Group) -> tuple[pa.DictionaryArray, Ints]:
    """Return the statement id of each distinct line of a group's parts, and where those of each sequence's part begin.

    The windows of a sequence name lines by their places in its own part.
    """
    lines = [strings(read_part(layout.text / "lines" / name, ["message"])["message"]) for name in group.names]
    ids = read_mapping(layout, pa.concat_arrays(lines), ["statement_id"])[0].dictionary_encode()
    return ids, np.repeat(np.cumsum([0, *map(len, lines)])[:-1], group.rows)


def whole_mapping(layout: Layout) -> dict[str, pa.Array]:
    """Return the columns of :data:`MAPPING`; a worker keeps the last ones, as it asks for each part."""
    return _read_mapping(layout.template_mapping)


@cached_files(maxsize=1)
def _read_mapping(path: Path) -> dict[str, pa.Array]:
    table = read_part(path)
    return {name: strings(table[name]) for name in MAPPING.names}


def _write_mapping(layout: Layout, messages: pa.Table, templates: Mapping[str, str], statements: Statements) -> None:
    """Write lo2_statements.parquet, and what maps each message to its template and statement."""
    ordered = messages.sort_by("message")
    texts = ordered["message"].combine_chunks()
    ids = pa.array([templates[text] for text in texts.to_pylist()], pa.string())
    line_format = read_format(layout)
    columns = _split_sources(texts, line_format)
    letters = letters_of(texts, columns["level"], ordered["is_continuation"].combine_chunks(), line_format)
    numbers = pa.array(statements.number(texts.to_pylist(), letters, ids.to_pylist()), pa.string())
    write_part(layout.template_mapping, pa.table([texts, ids, numbers], schema=MAPPING), MAPPING)
    columns |= {"statement_id": numbers, "text": texts, "e_event_drain_id": ids}
    columns |= {name: ordered[name] for name in ("is_continuation", "n_events")}
    rows = pa.table({name: columns[name] for name in schema.STATEMENTS.names})
    write_part(layout.statements / "part-000000.parquet", rows, schema.STATEMENTS)


def _split_sources(texts: pa.Array, line_format: LineFormat) -> dict[str, pa.Array]:
    """Return level, logger and method of messages, null where one does not begin with them."""
    ends = map(line_format.find_source_end, texts.to_pylist())
    sources = [text[:end] for text, end in zip(texts.to_pylist(), ends, strict=True)]
    fields = [line_format.split_source(source) if source else (None,) * 3 for source in sources]
    names = ("level", "logger", "method")
    return {name: pa.array([row[index] for row in fields], pa.string()) for index, name in enumerate(names)}


def _add_up_messages(layout: Layout) -> pa.Table:
    """Add up the messages of all parts (columns: _MESSAGES); a continuation is one in all of its lines."""
    counted = _MESSAGES.empty_table()
    total = 0
    for parts in _read_some(layout.text / "lines", _MESSAGES.names):
        sums = pa.concat_tables([counted, *parts]).group_by("message")
        counted = sums.aggregate([("is_continuation", "all"), ("n_events", "sum"), ("first_seen", "min")])
        counted = counted.rename_columns(_MESSAGES.names)
        # Asked again and again, so that masks which do nothing never pile up a whole tree's messages here.
        total = int(pc.sum(counted["n_events"]).as_py() or 0)
        check_masks(counted.num_rows, total, counted["message"][:1000].to_pylist())
    logger.info("%d lines, %d distinct after masking", total, counted.num_rows)
    return counted


def _read_some(folder: Path, columns: Sequence[str]) -> Iterator[list[pa.Table]]:
    """Read a table's parts, as many at once as have about _ROWS_AT_ONCE rows."""
    parts: list[pa.Table] = []
    for path in part_paths(folder):
        parts.append(read_part(path, columns))
        if sum(part.num_rows for part in parts) >= _ROWS_AT_ONCE:
            yield parts
            parts = []
    if parts:
        yield parts
