"""Phase C: templates are mined once, and each part of the sequence table gets its figures, bags and template ids."""

import time
from collections.abc import Sequence
from functools import partial

import pyarrow as pa

from lo2dask import schema
from lo2dask.errors import IntegrityError
from lo2dask.execute.frames import FrameStep
from lo2dask.execute.session import Session
from lo2dask.execute.spill import spill_folder
from lo2dask.features.statements import Statements
from lo2dask.features.templates import Templates
from lo2dask.ingest.finishing import COLUMNS, MESSAGES, SUMMARY, count_templates, finish_part, read_messages
from lo2dask.ingest.mining import match, mine
from lo2dask.ingest.plan import clear_leftovers
from lo2dask.ingest.text import (
    ENHANCE,
    EnhanceKey,
    load_fingerprint,
    read_masks,
    resolve_token_kinds,
    run_text_pass,
    text_is_current,
)
from lo2dask.options import TrainOptions
from lo2dask.sizing.needs import loaded_spill_bytes
from lo2dask.sizing.timings import note
from lo2dask.storage import remove_tree
from lo2dask.tables.layout import Layout, part_index
from lo2dask.tables.loads import FEW_PARTS, LOAD, load_size
from lo2dask.tables.parts import count_rows, part_paths, prune_parts, write_part
from lo2dask.tables.records import Key, Stage
from lo2dask.vocabulary.counts import COUNTED
from lo2dask.vocabulary.limits import VocabularyLimits
from lo2dask.vocabulary.reduce import VocabularyPlan, merge_spilled, sum_counts
from lo2dask.vocabulary.spill import Spill
from lo2dask.vocabulary.write import write_vocabulary

# Parts whose counts of templates are held together.
_SUMMED_AT_ONCE = 256
# Up to so many parts of so many raw bytes are finished by the client: importing dask.dataframe takes about as long.
PARTS_FINISHED_HERE, BYTES_FINISHED_HERE = FEW_PARTS, 2 << 30


def enhance(options: TrainOptions, session: Session) -> bool:
    """Enhance the tables of ``options.root`` unless they are current; return whether there was anything to do.

    The text comes from lo2_events.parquet, else from the raw tree that the manifest names.
    """
    layout = Layout(options.root)
    key = resolve_token_kinds(layout, EnhanceKey.of(options, read_masks(layout, options.mask_file)))
    if is_enhanced(layout, key):
        return False
    if not text_is_current(layout, key):
        run_text_pass(layout, key, options.raw_root, session)
    enhance_tables(layout, key, session)
    return True


def is_enhanced(layout: Layout, key: EnhanceKey) -> bool:
    """Return whether the enhanced table, templates, statements and vocabulary are there and current."""
    return Stage(layout, ENHANCE).is_current(_stage_key(layout, key)) and _has_parts(layout, key)


def _has_parts(layout: Layout, key: EnhanceKey) -> bool:
    """Return whether all parts of the enhanced table are there and current."""
    wanted = [path.name for path in part_paths(layout.sequences)]
    stage, own = Stage(layout, ENHANCE), _stage_key(layout, key)
    is_whole = all(stage.part(part_index(name)).is_current(own) for name in wanted)
    return is_whole and wanted == [path.name for path in part_paths(layout.enhanced)]


def _stage_key(layout: Layout, key: EnhanceKey) -> Key:
    return Key(load_fingerprint(layout), key.all)


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
    Stage(layout, ENHANCE).invalidate()
    clear_leftovers(layout)
    started = time.perf_counter()
    where = _session_for(layout, session)
    with spill_folder(where, layout.spill, loaded_spill_bytes(layout, key.kinds)) as folder:
        mined = mine(layout)
        spilled = Spill(folder, key.kinds.counted)
        finishing = time.perf_counter()
        summaries = _finish_parts(layout, key, where, spilled)
        parts_seconds = time.perf_counter() - finishing
        templates = _sum_templates(summaries)
        _write_templates(layout, mined, templates)
        rows = [summary["spilled"][0].as_py() for summary in summaries]
        limits = VocabularyLimits(min_df=1, max_df=1.0, max_features=key.max_features, binary=False)
        n_rows = count_rows(layout.sequences)
        plans = [VocabularyPlan(representation, limits, n_rows) for representation in spilled.names]
        merged = merge_spilled(spilled, rows, plans, where)
        write_vocabulary(layout, dict(zip(spilled.names, merged, strict=True)), templates, limits, n_rows)
    seconds = time.perf_counter() - started
    figures = {"parts_seconds": parts_seconds, "in_client": float(where.is_serial)}
    note(layout, "enhance", seconds=seconds, workers=where.workers(), **figures)
    tables = (layout.templates, layout.statements, layout.vocabulary)
    outputs = [path for table in tables for path in part_paths(table)]
    outputs += [layout.template_state, layout.template_mapping]
    Stage(layout, ENHANCE).commit(_stage_key(layout, key), outputs, {})


def enhance_with(
    layout: Layout, key: EnhanceKey, templates: Templates, statements: Statements, session: Session
) -> None:
    """Finish every part with given templates: lines are matched, nothing is mined; the text pass must have run.

    ``statements`` names those that are known.

    Raises
    ------
    IntegrityError : a part's rows are not those of the loaded sequences.
    """
    if is_enhanced(layout, key):
        return
    Stage(layout, ENHANCE).invalidate()
    templates.save(layout.template_state)
    match(layout, templates, statements)
    _finish_parts(layout, key, _session_for(layout, session))
    outputs = [*part_paths(layout.statements), layout.template_state, layout.template_mapping]
    Stage(layout, ENHANCE).commit(_stage_key(layout, key), outputs, {})


def are_few(parts: int, size: float) -> bool:
    """Return whether so many parts of so many raw bytes are finished by the client."""
    return parts <= PARTS_FINISHED_HERE and size <= BYTES_FINISHED_HERE


def _session_for(layout: Layout, session: Session) -> Session:
    """Return the session that finishes the parts: the client's own where they are few."""
    return session.here() if are_few(len(part_paths(layout.sequences)), load_size(layout)[1]) else session


def _finish_parts(layout: Layout, key: EnhanceKey, session: Session, spilled: Spill | None = None) -> list[pa.Table]:
    """Finish all parts; return the summary row of each (finishing.SUMMARY)."""
    names = [path.name for path in part_paths(layout.sequences)]
    stage = Stage(layout, ENHANCE)
    stage.keep_parts([part_index(name) for name in names])
    own = _stage_key(layout, key)
    read = FrameStep(partial(read_messages, layout=layout), MESSAGES)
    steps = [
        FrameStep(partial(count_templates, layout=layout), COLUMNS),
        FrameStep(partial(finish_part, layout=layout, key=key, record=own, spilled=spilled), SUMMARY),
    ]
    summaries = session.frames(read, steps, names, "enhance")
    prune_parts(layout.enhanced, names)
    stage.flush(part_index(name) for name in names)
    if part_paths(layout.events):  # whose records have been updated
        Stage(layout, LOAD).flush(part_index(name) for name in names)
    remove_tree(layout.counts)  # what an earlier plan's parts left
    finished, loaded = count_rows(layout.enhanced), count_rows(layout.sequences)
    if finished != loaded:
        raise IntegrityError(f"{layout.enhanced}: {finished} rows, {layout.sequences} has {loaded}")
    return summaries


def _sum_templates(summaries: Sequence[pa.Table]) -> pa.Table:
    """Sum the parts' counts of templates (columns: COUNTED), some parts at a time."""
    total = COUNTED.empty_table()
    for start in range(0, len(summaries), _SUMMED_AT_ONCE):
        counted = [summary["templates"].combine_chunks() for summary in summaries[start : start + _SUMMED_AT_ONCE]]
        total = sum_counts([total, *(pa.Table.from_struct_array(one.flatten()).cast(COUNTED) for one in counted)])
    return total


def _write_templates(layout: Layout, mined: pa.Table, templates: pa.Table) -> None:
    sequences = dict(zip(templates["token"].to_pylist(), templates["document_frequency"].to_pylist(), strict=True))
    counts = pa.array([sequences.get(name, 0) for name in mined["e_event_drain_id"].to_pylist()], pa.int64())
    table = mined.append_column("n_sequences", counts)
    order = sorted(range(table.num_rows), key=lambda row: int(table["e_event_drain_id"][row].as_py()[1:]))
    write_part(layout.templates / "part-000000.parquet", table.take(pa.array(order, pa.int64())), schema.TEMPLATES)
