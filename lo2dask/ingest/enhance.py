"""Phase C: templates are mined once, and each part of the sequence table gets its figures, bags and template ids."""

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lo2dask import schema
from lo2dask.errors import IntegrityError
from lo2dask.execute.session import Session
from lo2dask.execute.spill import spill_folder
from lo2dask.features.bags import to_bags, to_token_lists
from lo2dask.features.masks import load_masks
from lo2dask.features.templates import Templates, check_masks, mine_templates, readable
from lo2dask.features.textpass import LINES
from lo2dask.ingest.batch import update_outputs
from lo2dask.ingest.plan import clear_leftovers
from lo2dask.ingest.text import (
    EnhanceKey,
    load_fingerprint,
    read_format,
    resolve_token_kinds,
    run_text_pass,
    text_is_current,
)
from lo2dask.options import TrainOptions
from lo2dask.sizing.spill import loaded_spill_bytes
from lo2dask.sizing.timings import note
from lo2dask.storage import flush_all, flushing_together, list_paths, read_json, remove_tree, write_json
from lo2dask.tables.append import add_columns, splice
from lo2dask.tables.columns import columns_buffer
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import count_rows, group_rows, part_buffer, part_paths, prune_parts, read_part, write_part
from lo2dask.vocabulary.adding import Share, TokenSums
from lo2dask.vocabulary.limits import Limits, count_bags
from lo2dask.vocabulary.spilled import Counted, Spill, merge_spilled, write_vocabulary
from lo2dask.vocabulary.tokens import TokenCounts

logger = logging.getLogger(__name__)

MAPPING = pa.schema([pa.field("message", pa.string()), pa.field("e_event_drain_id", pa.string())])
_MINED = pa.schema([LINES.field(name) for name in ("message", "n_events", "first_seen")])
_MAPPING_FILE = "template_of_message.parquet"
# So many distinct messages of parts are added up at once, or those of one part that has more.
_MINED_AT_ONCE = 1 << 14


def enhance(options: TrainOptions, session: Session) -> bool:
    """Enhance the tables of ``options.root`` unless they are current; return whether there was anything to do.

    The text comes from lo2_events.parquet, else from the raw tree that the manifest names.
    """
    layout = Layout(options.root)
    key = resolve_token_kinds(layout, EnhanceKey.of(options, load_masks(options.mask_file)))
    if is_enhanced(layout, key):
        return False
    if not text_is_current(layout, key):
        run_text_pass(layout, key, options.raw_root, session)
    enhance_tables(layout, key, session)
    return True


def is_enhanced(layout: Layout, key: EnhanceKey) -> bool:
    """Return whether the enhanced table, the templates and the vocabulary are there and current."""
    complete = all(part_paths(folder) for folder in (layout.templates, layout.vocabulary))
    return _has_parts(layout, key) and complete and layout.template_state.is_file()


def _has_parts(layout: Layout, key: EnhanceKey) -> bool:
    """Return whether all parts of the enhanced table are there and current."""
    wanted = [path.name for path in part_paths(layout.sequences)]
    there = [path.name for path in part_paths(layout.enhanced)]
    marked = read_json(layout.marker("enhance")) == {"key": key.all, "load": load_fingerprint(layout)}
    return marked and wanted == there


def enhance_tables(layout: Layout, key: EnhanceKey, session: Session) -> None:
    """Mine the templates and finish every part; the text pass must have run.

    Raises
    ------
    Lo2Error : the masks are too weak to mine templates.
    InputError : the scratch disk has no room for the parts' token counts.
    IntegrityError : a part's rows are not those of the loaded sequences.
    """
    if is_enhanced(layout, key):
        return
    layout.marker("enhance").unlink(missing_ok=True)
    clear_leftovers(layout)
    started = time.perf_counter()
    need = loaded_spill_bytes(layout, key.tokens)
    with spill_folder(session, layout.spill, need) as folder:
        mined = _mine(layout)
        spilled = Spill(folder, tuple(kind for kind in schema.representations(key.tokens) if kind != "templates"))
        finishing = time.perf_counter()
        summaries = _finish_parts(layout, key, session, spilled)
        finished = time.perf_counter()
        templates = _sum_templates(summaries)
        _write_templates(layout, mined, templates)
        limits = Limits(min_df=1, max_df=1.0, max_features=key.max_features, binary=False)
        n_rows = count_rows(layout.enhanced)
        wanted = [Counted(kind, limits, n_rows) for kind in spilled.names]
        merged = merge_spilled(spilled, (summary["spilled"] for summary in summaries), wanted, session)
        write_vocabulary(layout, dict(zip(spilled.names, merged, strict=True)), templates, limits)
    parts = finished - finishing
    note(layout, "enhance", seconds=time.perf_counter() - started, parts_seconds=parts, workers=session.workers())
    write_json(layout.marker("enhance"), {"key": key.all, "load": load_fingerprint(layout)})


def enhance_with(layout: Layout, key: EnhanceKey, templates: Templates, session: Session) -> None:
    """Finish every part with given templates: lines are matched, nothing is mined; the text pass must have run.

    Raises
    ------
    IntegrityError : a part's rows are not those of the loaded sequences.
    """
    if _has_parts(layout, key):
        return
    layout.marker("enhance").unlink(missing_ok=True)
    messages: set[str] = set()
    for path in part_paths(layout.text / "lines"):
        messages.update(read_part(path, ["message"])["message"].to_pylist())
    ordered = sorted(messages)
    _write_mapping(layout, dict(zip(ordered, templates.match(ordered), strict=True)))
    _finish_parts(layout, key, session)
    write_json(layout.marker("enhance"), {"key": key.all, "load": load_fingerprint(layout)})


def _finish_parts(
    layout: Layout, key: EnhanceKey, session: Session, spilled: Spill | None = None
) -> list[dict[str, Any]]:
    names = [path.name for path in part_paths(layout.sequences)]
    summaries = session.frames(finish_part, names, "enhance", root=layout.root, key=key, spilled=spilled)
    prune_parts(layout.enhanced, names)
    if part_paths(layout.events):  # whose records have been updated
        flush_all(list_paths(layout.record("load", 0).parent, ".json"))
    remove_tree(layout.counts)  # what an earlier plan's parts left
    if count_rows(layout.enhanced) != count_rows(layout.sequences):
        raise IntegrityError(f"{layout.enhanced}: {count_rows(layout.enhanced)} rows, {layout.sequences} has others")
    return summaries


def _write_mapping(layout: Layout, mapping: dict[str, str]) -> None:
    table = pa.table([list(mapping), list(mapping.values())], schema=MAPPING)
    write_part(layout.internal / _MAPPING_FILE, table, MAPPING)


def finish_part(frame: pd.DataFrame, root: Path, key: EnhanceKey, spilled: Spill | None) -> pd.DataFrame:
    """Finish the part that the frame's one row names: enhanced rows, template ids of its events, token counts."""
    layout, name = Layout(root), frame["record"].iloc[0]
    ids = _line_ids(layout, name)
    with flushing_together():
        if has_events := (layout.events / name).is_file():
            _add_ids(layout, name, ids, key.keep_normalized)
        templates = _write_enhanced(layout, name, ids, key)
    if has_events:
        update_outputs(layout, name, layout.events / name)
    work = _spill_counts(layout, name, spilled) if spilled else []
    layout.counted(name).unlink(missing_ok=True)
    summary = {"templates": count_bags(templates), "spilled": work}
    return pd.DataFrame({"result": pd.Series([summary], dtype=object)})


def _write_enhanced(layout: Layout, name: str, ids: pa.Array, key: EnhanceKey) -> pa.ListArray:
    """Write a part of the enhanced table; return its bags of templates."""
    place = layout.text / "bags" / name
    sequences, bags = read_part(layout.sequences / name), read_part(place, ["seq_id", "lines"])
    if not bags["seq_id"].cast(pa.string()).equals(sequences["seq_id"].cast(pa.string())):
        raise IntegrityError(f"{place}: not the sequences of {layout.sequences / name}")
    template_bags = to_bags(_templates_of(bags["lines"].combine_chunks(), ids))
    columns = {column: sequences[column] for column in sequences.column_names}
    columns |= {"e_event_drain_id": template_bags, "n_templates": _lengths(template_bags)}
    if key.token_lists:
        others = [name for name in schema.representations(key.tokens).values() if name != "e_event_drain_id"]
        columns |= {name: read_part(place, [name])[name] for name in others}
        columns |= {name: to_token_lists(_array(columns[name])) for name in (*others, "e_event_drain_id")}
    # The bags are large and stand in a part already: their bytes are taken over as they are.
    wanted = schema.enhanced(key.tokens, key.token_lists)
    extra = pa.schema([field for field in wanted if field.name in columns])
    own = part_buffer([pa.table([columns[n] for n in extra.names], names=extra.names)], extra)
    splice(layout.enhanced / name, [place, own], wanted.names)
    return template_bags


def _mine(layout: Layout) -> pa.Table:
    """Mine the union of all parts' distinct messages; write the state and the message table, give the templates."""
    counted = _MINED.empty_table()
    total = 0
    for parts in _gathered(layout.text / "lines", _MINED.names):
        counted = _add_up([counted, *parts], "message")
        # Asked again and again, so that masks which do nothing never pile up a whole tree's messages here.
        total = int(pc.sum(counted["n_events"]).as_py() or 0)
        check_masks(counted.num_rows, total, counted["message"][:1000].to_pylist())
    logger.info("%d lines, %d distinct after masking", total, counted.num_rows)
    templates, mapping = mine_templates(counted["message"].to_pylist(), read_format(layout))
    templates.save(layout.template_state)
    _write_mapping(layout, mapping)
    ids = pa.array([mapping[message] for message in counted["message"].to_pylist()], pa.string())
    by_id = _add_up([counted.set_column(0, "e_event_drain_id", ids)], "e_event_drain_id")
    texts = dict(zip(templates.ids, map(readable, templates.texts), strict=True))
    found = by_id["e_event_drain_id"].to_pylist()
    return pa.table(
        {
            "e_event_drain_id": found,
            "template": [texts[name] for name in found],
            "n_events": by_id["n_events"],
            "first_seen": by_id["first_seen"],
        }
    )


def _gathered(folder: Path, columns: Sequence[str]) -> Iterator[list[pa.Table]]:
    """Read a table's parts, as many at once as have about _MINED_AT_ONCE rows."""
    parts: list[pa.Table] = []
    for path in part_paths(folder):
        parts.append(read_part(path, columns))
        if sum(part.num_rows for part in parts) >= _MINED_AT_ONCE:
            yield parts
            parts = []
    if parts:
        yield parts


def _line_ids(layout: Layout, name: str) -> pa.Array:
    """Return the template id of each normalised line of a part."""
    mapping = read_part(layout.internal / _MAPPING_FILE)
    messages = read_part(layout.text / "lines" / name, ["message"])["message"].combine_chunks()
    at = pc.index_in(messages, mapping["message"].combine_chunks())
    return mapping["e_event_drain_id"].cast(pa.string()).combine_chunks().take(at)


def _templates_of(lines: pa.ListArray, ids: pa.Array) -> TokenCounts:
    """Turn each sequence's line numbers into counts of template ids."""
    encoded = ids.dictionary_encode()
    data = lines.flatten().field("count").to_numpy()
    columns = lines.flatten().field("line").to_numpy()
    offsets = lines.offsets.to_numpy()
    by_line = sparse.csr_matrix((data, columns, offsets - offsets[0]), shape=(len(lines), len(ids)))
    of_line = sparse.csr_matrix(
        (np.ones(len(ids), np.int32), encoded.indices.to_numpy(), np.arange(len(ids) + 1)),
        shape=(len(ids), len(encoded.dictionary)),
    )
    return TokenCounts((by_line @ of_line).tocsr(), encoded.dictionary)


def _add_ids(layout: Layout, name: str, ids: pa.Array, normalized: bool) -> None:
    """Add e_event_drain_id (and e_message_normalized) to the events part, whose other columns stay as they are."""
    codes = read_part(layout.text / "codes" / name)["line"].combine_chunks()
    lines = read_part(layout.text / "lines" / name, ["line"])["line"].combine_chunks()
    encoded = ids.dictionary_encode()
    extra = pa.schema([schema.DRAIN_ID, *([schema.NORMALIZED] if normalized else [])])
    rows = group_rows(layout.events / name)
    if sum(rows) != len(codes):
        raise IntegrityError(f"{layout.events / name}: {sum(rows)} events, the text pass saw {len(codes)}")

    def groups() -> Iterator[pa.Table]:
        start = 0
        for count in rows:
            code = codes.slice(start, count)
            start += count
            drain = pa.DictionaryArray.from_arrays(encoded.indices.take(code), encoded.dictionary)
            yield pa.table([drain, *([lines.take(code)] if normalized else [])], names=extra.names)

    add_columns(layout.events / name, columns_buffer(groups(), extra), extra.names, schema.EVENTS.names)


def _spill_counts(layout: Layout, name: str, spilled: Spill) -> list[int]:
    """Spill a part's counted tokens: as the text pass left them or, where they are spent, counted from the bags."""
    if layout.counted(name).is_file():
        return spilled.take(name, layout.counted(name))
    bags = [schema.REPRESENTATIONS[kind] for kind in spilled.names]
    return spilled.add(name, (count_bags(read_part(layout.text / "bags" / name, [bag])[bag]) for bag in bags))


def _sum_templates(summaries: list[dict[str, Any]]) -> pa.Table:
    """Add up how many sequences have each template, and how often (columns: COUNTED)."""
    sums = TokenSums(Share())
    for summary in summaries:
        sums.add(summary["templates"])
    return sums.table()


def _write_templates(layout: Layout, mined: pa.Table, templates: pa.Table) -> None:
    sequences = dict(zip(templates["token"].to_pylist(), templates["document_frequency"].to_pylist(), strict=True))
    counts = pa.array([sequences.get(name, 0) for name in mined["e_event_drain_id"].to_pylist()], pa.int64())
    table = mined.append_column("n_sequences", counts)
    order = sorted(range(table.num_rows), key=lambda row: int(table["e_event_drain_id"][row].as_py()[1:]))
    write_part(layout.templates / "part-000000.parquet", table.take(pa.array(order, pa.int64())), schema.TEMPLATES)


def _add_up(tables: Sequence[pa.Table], by: str) -> pa.Table:
    """Add up the events of tables, and find the first time, by a column (columns: _MINED, ``by`` the first one)."""
    added = pa.concat_tables(tables).group_by(by).aggregate([("n_events", "sum"), ("first_seen", "min")])
    return added.select([by, "n_events_sum", "first_seen_min"]).rename_columns([by, *_MINED.names[1:]])


def _lengths(bags: pa.ListArray) -> pa.Array:
    return pc.list_value_length(bags).cast(pa.int64())


def _array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
