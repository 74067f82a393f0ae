"""Phase B: the raw tree becomes partitioned Parquet."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.buffers.columns import strings
from lo2dask.errors import IntegrityError
from lo2dask.execute.session import Session, using
from lo2dask.execute.spill import check_room
from lo2dask.features.masks import load_masks
from lo2dask.features.textpass import LINES, bags_schema
from lo2dask.formats.kinds import Translation
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.ingest.batch import TEXT, LoadJob, TextJob, current_batch, load_batch
from lo2dask.ingest.enhance import are_few, enhance_tables
from lo2dask.ingest.formats import check_formats, choose_formats
from lo2dask.ingest.metrics import METRICS_PREFIX, MetricsSummary, load_metrics
from lo2dask.ingest.plan import LoadPlan, begin_load, check_normal, make_plan, open_output
from lo2dask.ingest.text import EnhanceKey, mark_text, read_format
from lo2dask.models.sample import hashes
from lo2dask.options import LoadOptions, fingerprint
from lo2dask.parse.events import LinePolicy
from lo2dask.sizing.needs import load_needs
from lo2dask.sizing.timings import note
from lo2dask.sources.layouts import Tree, find_tree
from lo2dask.sources.manifest import REJECTED
from lo2dask.sources.names import split_problem
from lo2dask.storage import check_disk
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import LOAD
from lo2dask.tables.parts import count_rows, ensure_part, open_part, part_paths, read_metadata, read_parts
from lo2dask.tables.records import Key, Record, Stage, prune_outputs, unnamed_parts

logger = logging.getLogger(__name__)

# Part of the rejects that the scan made.
_SCAN_PART = "scan.parquet"


@dataclass(frozen=True)
class LoadSummary:
    """What a load did; bytes and seconds of the batches done now, everything else of the whole tree."""

    output: Path
    runs: int
    test_cases: int
    services: int
    files: int
    bytes: int
    events: int
    sequences: int
    rejects: int
    batches: int
    skipped: int
    seconds: float
    enhanced: bool
    lines: dict[str, int] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    metrics: MetricsSummary | None = None


def load(options: LoadOptions, session: Session | None = None, line_format: LineFormat | None = None) -> LoadSummary:
    """Load a raw tree of logs into ``options.output_dir``; with ``line_format``, all lines are of that one.

    Raises
    ------
    InputError : the root or an option cannot be used.
    IntegrityError : rows went missing between the raw lines and the tables.
    """
    started = time.perf_counter()
    layout = Layout(options.output_dir)
    with using(session, options) as own:
        enhancing = options.enhance and options.save_parquet
        key_of = partial(_key_of, options)
        key_of(LO2)  # a mask file that cannot be used is told before the tree is scanned
        plan, records = read_tree(options, key_of if enhancing else None, own, line_format)
        if records and not any(record["skipped"] for record in records):
            seconds = time.perf_counter() - started
            figures = {"bytes": plan.bytes, "files": plan.files, "in_client": float(own.in_client)}
            note(layout, "load", seconds=seconds, workers=own.workers(), **figures)
        metrics = load_metrics(layout, options, own, plan.labels) if options.load_metrics else None
        if enhancing:
            enhance_tables(layout, key_of(read_format(layout)), own)
        summary = _summary(layout, plan, records, time.perf_counter() - started, enhancing)
        return replace(summary, metrics=metrics)


def read_tree(
    options: LoadOptions,
    key_of: Callable[[LineFormat], EnhanceKey] | None,
    session: Session,
    line_format: LineFormat | None = None,
    known: Translation | None = None,
    tree: Tree | None = None,
) -> tuple[LoadPlan, list[dict[str, Any]]]:
    """Read a raw tree into tables, and with ``key_of`` its text too; return the plan and the batches' records.

    ``key_of`` says what the text of a line format depends on; ``known`` are the formats of its kinds of files, where a
    bundle remembers them; ``tree`` is what lies below the root, where the caller has looked.
    """
    layout, tree = Layout(options.output_dir), tree or find_tree(options.root, options)
    resumed = open_output(layout, options, options.root)
    plan = make_plan(options.root, options, layout, session, tree)
    if known is None:
        check_normal(plan, options)
    if known is None and plan.batches and plan.labels.is_labelled and not plan.has_error:
        source = f"--labels {options.labels}" if options.labels else f"--normal {' '.join(options.normal)}"
        logger.warning("%s: no error case is left, so nothing can be judged", source)
    if resumed and layout.record("load", 0).parent.is_dir():
        logger.info("resuming in %s", layout.root)
    if known is not None:
        check_formats(layout, options, known)
    made = partial(_load_job, layout, options, key_of, line_format, plan)
    if not options.load_metrics:  # of which there may be many
        session.work_here(plan.files, plan.bytes)
    # What is loaded as LO2's lines, and has not changed, needs no second look.
    job = made(known or Translation({}))
    done = _current_batches(plan, job)
    if len(done) < len(plan.batches):
        session.prepare(load_batch.__module__)
        if known is None and line_format is None:
            job = made(choose_formats(layout, options, session))
            done = _current_batches(plan, job)
    records = _load_batches(plan, job, done, options, session)
    _warn_of_labels(plan, records, options)
    _finish(layout, plan, records, options, job.policy)
    if job.text:
        mark_text(layout, job.text.key)
    return plan, records


def _warn_of_labels(plan: LoadPlan, records: list[dict[str, Any]], options: LoadOptions) -> None:
    """Name a label with times that met no log: a wrong year or zone would leave what it marks normal."""
    met = {place for record in records for place in record["labels_met"]}
    lost = [part for place, part in enumerate(plan.labels.timed) if place not in met]
    if lost:
        logger.warning(
            "--labels %s: %d of %d times meet no event of their logs, the first in line %d: look at their dates and "
            "zones", options.labels, len(lost), len(plan.labels.timed), lost[0].line,
        )  # fmt: skip


def _key_of(options: LoadOptions, line_format: LineFormat) -> EnhanceKey:
    return EnhanceKey.of(options, load_masks(options.mask_file, line_format.name))


def _load_job(
    layout: Layout,
    options: LoadOptions,
    key_of: Callable[[LineFormat], EnhanceKey] | None,
    line_format: LineFormat | None,
    plan: LoadPlan,
    translation: Translation,
) -> LoadJob:
    """Return what all batches of a load have in common; ``line_format``, where given, is that of all lines."""
    line_format = line_format or translation.line_format
    key = key_of(line_format) if key_of else None
    text = TextJob(key.masks, key.kinds, options.save_events, key.text, line_format, key.window_ms) if key else None
    inputs = [options.fingerprint("load"), line_format.name, translation.to_plain(), *_timed(plan)]
    return LoadJob(
        layout.root, LinePolicy.from_options(options, line_format, translation, plan.is_lo2), options.save_events,
        fingerprint(inputs), text, options.init_lines_to_skip, plan.labels,
    )  # fmt: skip


def _timed(plan: LoadPlan) -> list[str]:
    """Write the labels that batches take by the times of events, which no file's state shows."""
    return [repr(plan.labels.timed)] if plan.labels.timed else []


def _current_batches(plan: LoadPlan, job: LoadJob) -> dict[int, dict[str, Any]]:
    """Return the records of the batches that are done and current, by number."""
    return {batch.index: done for batch in plan.batches if (done := current_batch(batch, job))}


def _load_batches(
    plan: LoadPlan, job: LoadJob, done: dict[int, dict[str, Any]], options: LoadOptions, session: Session
) -> list[dict[str, Any]]:
    """Run the map of batches without those that are done; return the records of all.

    The room for the tables, and for what the enhancement that follows spills, is checked now: hours later is too late.
    """
    need = load_needs(options, plan.bytes, plan.files, workers=1)
    records = dict(done)
    waiting = [batch for batch in plan.batches if batch.index not in records]
    if waiting:
        check_disk(job.layout.root, round(need.load_output * len(waiting) / len(plan.batches)))
        check_room(session, job.layout.spill, need.spill)
        # What enhancement made of the earlier batches no longer fits.
        for stage in ("text", "enhance"):
            job.layout.marker(stage).unlink(missing_ok=True)
        for batch in waiting:
            Stage(job.layout, LOAD).part(batch.index).invalidate()
        begin_load(job.layout, options, options.root)
        if job.text and not are_few(len(plan.batches), plan.bytes):
            session.prepare_frames()
        for record in session.map(load_batch, waiting, "load", job=job):
            records[record["batch"]] = record
    return [records[batch.index] for batch in plan.batches]


def _finish(
    layout: Layout, plan: LoadPlan, records: list[dict[str, Any]], options: LoadOptions, policy: LinePolicy
) -> None:
    """Remove what an earlier plan left, complete the tables, and assert that nothing was lost."""
    _write_scan_rejects(layout)
    named = _prune(layout, [batch.index for batch in plan.batches])
    ensure_part(layout.rejects, schema.REJECTS)
    if not plan.batches:  # metrics alone
        ensure_part(layout.sequences, schema.SEQUENCES)
        ensure_part(layout.text / "bags", bags_schema(schema.TokenKinds.of(options.tokens)))
        ensure_part(layout.text / "lines", LINES)
    _check_totals(layout, records, options)
    fresh = [record["batch"] for record in records if not record["skipped"]]
    for stage in (Stage(layout, LOAD), Stage(layout, TEXT)):
        stage.flush(index for index in fresh if stage.part(index).path.is_file())
    # What no batch has written: the manifest, the rejects of the scan and parts without a row.
    tables = (layout.rejects, layout.sequences, layout.text / "bags", layout.text / "lines")
    others = [path for path in unnamed_parts(tables, layout.root, named) if not path.name.startswith(METRICS_PREFIX)]
    inputs = [record["inputs"] for record in records] + _timed(plan)
    key = Key(fingerprint(inputs), options.fingerprint("load"))
    summary = {"root": str(options.root.resolve()), "options": options.affecting("load"), "done": True}
    translation = policy.translation if policy.translation and policy.translation.has_effect else None
    summary |= {"format": policy.line_format.name, "formats": translation.to_plain() if translation else {}}
    summary["is_lo2"] = plan.is_lo2
    Stage(layout, LOAD).commit(key, [*part_paths(layout.manifest), *others], summary)


def _prune(layout: Layout, batches: list[int]) -> list[Record]:
    """Remove the parts and records that an earlier plan left; return the records of the batches."""
    records: list[Record] = []
    for stage in (Stage(layout, LOAD), Stage(layout, TEXT)):
        stage.keep_parts(batches)
        records += stage.records()
    text_folders = [layout.text / kind for kind in ("bags", "lines", "codes")]
    rejects = part_paths(layout.rejects)
    kept = [path for path in rejects if path.name.startswith(METRICS_PREFIX)]
    others = [path for path in rejects if path not in kept]
    # The empty part of a table without rejects stays: a command that has nothing to do writes nothing.
    if len(others) == 1 and _has_no_row(others[0]):
        kept += others
    folders = (layout.startup, layout.window_counts, layout.events, layout.sequences, layout.rejects, *text_folders)
    prune_outputs(folders, layout.root, records, [*kept, layout.rejects / _SCAN_PART])
    return records


def _has_no_row(part: Path) -> bool:
    try:
        return read_metadata(part).num_rows == 0
    except IntegrityError:
        return False  # damaged: it is removed, and written again


def _write_scan_rejects(layout: Layout) -> None:
    """Record what the scan found unreadable outside the chosen logs, such as a damaged tar, part by part."""
    path, tables = layout.rejects / _SCAN_PART, _scan_rejects(layout)
    first = next(tables, None)
    if first is None:
        path.unlink(missing_ok=True)
        return
    with open_part(path, schema.REJECTS) as part:
        for table in chain([first], tables):
            part.write(table)


def _scan_rejects(layout: Layout) -> Iterator[pa.Table]:
    """Read the rejects of the scan (schema.REJECTS) from each part of the manifest that has some."""
    for table in read_parts(layout.manifest, ["path", "member", "problem", "selected", "why", "kind"]):
        rows = []
        for row in table.filter(pc.and_(pc.not_equal(table["problem"], ""), pc.invert(table["selected"]))).to_pylist():
            reason, detail = split_problem(row["problem"])
            is_unreadable = reason == "unreadable" and row["kind"] in ("tar", "log", "folder")
            if is_unreadable or row["why"] == REJECTED:
                rows.append((row["path"], row["member"], "scan", reason, detail))
        if rows:
            columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
            yield pa.table(columns, schema=schema.REJECTS)


def _check_totals(layout: Layout, records: list[dict[str, Any]], options: LoadOptions) -> None:
    for folder, name, written in (
        (layout.sequences, "sequences", True),
        (layout.events, "events", options.save_events),
    ):
        expected = sum(record[name] for record in records)
        if written and count_rows(folder) != expected:
            raise IntegrityError(f"{folder}: {count_rows(folder)} rows, the batches wrote {expected}")
    names = (strings(table["seq_id"]).to_pylist() for table in read_parts(layout.sequences, ["seq_id"]))
    ids = np.concatenate([np.zeros(0, np.uint64), *(hashes(part, 0) for part in names)])
    if len(np.unique(ids)) != len(ids):
        raise IntegrityError(f"{layout.sequences}: two sequences have the same seq_id")


def _summary(
    layout: Layout, plan: LoadPlan, records: list[dict[str, Any]], seconds: float, enhanced: bool
) -> LoadSummary:
    lines: dict[str, int] = {}
    for record in records:
        for name, count in record["lines"].items():
            lines[name] = lines.get(name, 0) + count
    services: set[str] = set()
    cases: set[str] = set()
    for table in read_parts(layout.manifest, ["test_case", "service", "selected"]):
        chosen = table.filter(table["selected"])
        services.update(chosen["service"].unique().to_pylist())
        cases.update(chosen["test_case"].unique().to_pylist())
    fresh = [record for record in records if not record["skipped"]]
    return LoadSummary(
        layout.root, len(plan.runs), len(cases), len(services), plan.files,
        sum(record["bytes"] for record in fresh), sum(record["events"] for record in records),
        sum(record["sequences"] for record in records), count_rows(layout.rejects), len(records),
        len(records) - len(fresh), seconds, enhanced, lines, plan.ignored,
    )  # fmt: skip
