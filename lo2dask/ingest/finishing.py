"""The steps that turn what the text pass left of a part into a finished part, each over the rows of one partition."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lo2dask import schema
from lo2dask.errors import IntegrityError
from lo2dask.execute.frames import to_frame, to_table
from lo2dask.features.bags import coded_bags, to_token_lists
from lo2dask.ingest.batch import update_outputs
from lo2dask.ingest.mining import read_mapping
from lo2dask.ingest.text import ENHANCE, EnhanceKey
from lo2dask.storage import flushing_together
from lo2dask.tables.layout import Layout, part_index
from lo2dask.tables.parts import group_rows, part_buffer, read_part
from lo2dask.tables.records import Key, Stage
from lo2dask.tables.splice import add_columns, splice
from lo2dask.vocabulary.counts import COUNTED, TokenCounts, count_bags
from lo2dask.vocabulary.spill import Spill

if TYPE_CHECKING:
    import pandas as pd

# A part's sequences, each with its messages (features.textpass.LINES) and how often it has them.
MESSAGES = pa.schema([pa.field("seq_id", pa.string()), pa.field("messages", schema.CODED_BAG)])
COLUMNS = pa.schema(
    [
        pa.field("seq_id", pa.string()),
        pa.field("n_templates", pa.int64()),
        pa.field("e_templates", schema.CODED_BAG),
        pa.field(schema.STATEMENTS_BAG, schema.CODED_BAG),
    ]
)
# One row a part: how many of its sequences have each template, and the work that its spilled counts make.
SUMMARY = pa.schema(
    [pa.field("templates", pa.list_(pa.struct(list(COUNTED)))), pa.field("spilled", pa.list_(pa.int64()))]
)


def read_messages(name: str, layout: Layout) -> "pd.DataFrame":
    """Read the messages of a part's sequences (:data:`MESSAGES`)."""
    bags = read_part(layout.text / "bags" / name, ["seq_id", "lines"])
    texts = read_part(layout.text / "lines" / name, ["message"])["message"].cast(pa.string()).combine_chunks()
    lines = bags["lines"].combine_chunks()
    items = lines.flatten()
    coded = pa.DictionaryArray.from_arrays(items.field("line"), texts)
    pairs = pa.StructArray.from_arrays([coded, items.field("count")], fields=list(schema.CODED_BAG.value_type))
    offsets = pa.array(lines.offsets.to_numpy() - lines.offsets[0].as_py())
    messages = pa.ListArray.from_arrays(offsets, pairs)
    return to_frame(pa.table([bags["seq_id"].cast(pa.string()), messages], schema=MESSAGES))


def count_templates(frame: "pd.DataFrame", layout: Layout) -> "pd.DataFrame":
    """Turn each sequence's messages into its templates and statements (:data:`COLUMNS`)."""
    table = to_table(frame)
    messages = table["messages"].combine_chunks()
    items = messages.flatten()
    tokens = items.field("token")
    shape = (len(messages), len(tokens.dictionary))
    by_message = sparse.csr_matrix((items.field("count"), tokens.indices, messages.offsets), shape=shape)
    ids = read_mapping(layout, tokens.dictionary, ["e_event_drain_id", "statement_id"])
    templates, statements = (_count(by_message, of) for of in ids)
    n_templates = pc.list_value_length(templates).cast(pa.int64())
    return to_frame(pa.table([table["seq_id"], n_templates, templates, statements], schema=COLUMNS))


def finish_part(
    frame: "pd.DataFrame", name: str, layout: Layout, key: EnhanceKey, record: Key, spilled: Spill | None
) -> "pd.DataFrame":
    """Splice the columns of a part into its tables, and spill its token counts; return its :data:`SUMMARY`.

    ``record`` is the key under which the part is recorded.
    """
    own = to_table(frame)
    stage = Stage(layout, ENHANCE).part(part_index(name))
    stage.invalidate()
    has_events = (layout.events / name).is_file()
    with flushing_together():
        if has_events:
            _add_ids(layout, name, key.keep_normalized)
        _write_enhanced(layout, name, own, key)
    if has_events:
        update_outputs(layout, name, layout.events / name)
    stage.commit(record, [layout.enhanced / name], {}, durable=False)
    work = _spill_counts(layout, name, spilled) if spilled else []
    layout.counted(name).unlink(missing_ok=True)
    counted = count_bags(own["e_templates"].cast(schema.BAG)).to_pylist()
    return to_frame(pa.table([[counted], [work]], schema=SUMMARY))


def _count(by_message: sparse.csr_matrix, ids: pa.Array) -> pa.ListArray:
    """Count what messages belong to by sequence: bags of ``ids``."""
    encoded = ids.dictionary_encode()
    ones, rows = np.ones(len(ids), np.int32), np.arange(len(ids) + 1)
    of_message = sparse.csr_matrix((ones, encoded.indices, rows), shape=(len(ids), len(encoded.dictionary)))
    return coded_bags(TokenCounts((by_message @ of_message).tocsr(), encoded.dictionary)).cast(schema.CODED_BAG)


def _write_enhanced(layout: Layout, name: str, own: pa.Table, key: EnhanceKey) -> None:
    """Write a part of the enhanced table.

    The bags are large and lie in a part already: their bytes are taken over as they are.
    """
    path = layout.text / "bags" / name
    sequences = read_part(layout.sequences / name)
    if not own["seq_id"].cast(pa.string()).equals(sequences["seq_id"].cast(pa.string())):
        raise IntegrityError(f"{path}: not the sequences of {layout.sequences / name}")
    columns = {column: sequences[column] for column in sequences.column_names}
    columns |= {column: own[column] for column in COLUMNS.names[1:]}
    if key.token_lists:
        bags = [column for column in key.kinds.representations.values() if column not in columns]
        columns |= {bag: read_part(path, [bag])[bag] for bag in bags}
        columns |= {bag: _to_lists(columns[bag]) for bag in key.kinds.representations.values()}
    wanted = key.kinds.enhanced(key.token_lists)
    extra = pa.schema([field for field in wanted if field.name in columns])
    spliced = part_buffer([pa.table([columns[n] for n in extra.names], names=extra.names)], extra)
    splice(layout.enhanced / name, [path, spliced], wanted.names)


def _to_lists(bags: pa.ChunkedArray) -> pa.ListArray:
    return to_token_lists(bags.cast(schema.BAG).combine_chunks())


def _add_ids(layout: Layout, name: str, normalized: bool) -> None:
    """Add e_event_drain_id (and e_message_normalized) to the events part, whose other columns stay as they are."""
    codes = read_part(layout.text / "codes" / name)["line"].combine_chunks()
    lines = read_part(layout.text / "lines" / name, ["line", "message"])
    message, line = (lines[column].cast(pa.string()).combine_chunks() for column in ("message", "line"))
    ids = read_mapping(layout, message, ["e_event_drain_id"])[0].dictionary_encode()
    extra = pa.schema([schema.DRAIN_ID, *([schema.NORMALIZED] if normalized else [])])
    rows = group_rows(layout.events / name)
    if sum(rows) != len(codes):
        raise IntegrityError(f"{layout.events / name}: {sum(rows)} events, the text pass saw {len(codes)}")

    def groups() -> Iterator[pa.Table]:
        """Yield the new columns of each row group."""
        start = 0
        for count in rows:
            code = codes.slice(start, count)
            start += count
            drain = pa.DictionaryArray.from_arrays(ids.indices.take(code), ids.dictionary)
            yield pa.table([drain, *([line.take(code)] if normalized else [])], names=extra.names)

    add_columns(layout.events / name, part_buffer(groups(), extra), extra.names, schema.EVENTS.names)


def _spill_counts(layout: Layout, name: str, spilled: Spill) -> list[int]:
    """Spill a part's counted tokens: as the text pass left them or, where they are spent, counted from the bags."""
    if layout.counted(name).is_file():
        return spilled.take(name, layout.counted(name))
    bags = [schema.REPRESENTATIONS[representation] for representation in spilled.names]
    return spilled.add(name, (count_bags(read_part(layout.text / "bags" / name, [bag])[bag]) for bag in bags))
