"""Phase B: the raw tree becomes partitioned Parquet."""

import logging
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.errors import IntegrityError
from lo2dask.execute.session import Session, using
from lo2dask.execute.spill import check_room
from lo2dask.features.masks import load_masks
from lo2dask.features.textpass import LINES, bags_schema
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.ingest.batch import LoadJob, TextJob, inputs_fingerprint, load_batch, outputs_hold
from lo2dask.ingest.enhance import enhance_tables
from lo2dask.ingest.metrics import METRICS_PREFIX, MetricsSummary, load_metrics
from lo2dask.ingest.plan import LoadPlan, make_plan, open_output
from lo2dask.ingest.text import EnhanceKey, mark_text
from lo2dask.options import LoadOptions, fingerprint
from lo2dask.parse.events import LinePolicy
from lo2dask.sizing.needs import load_needs
from lo2dask.sizing.timings import note
from lo2dask.sources.manifest import Batch, batch_files
from lo2dask.storage import flush_all, read_json, write_json
from lo2dask.tables.layout import Layout, part_name
from lo2dask.tables.parts import count_rows, ensure_part, part_paths, prune_parts, read_parts, write_part

logger = logging.getLogger(__name__)

# Files next to the logs that are no reject: they are counted by kind, and the summary says so.
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


def load(options: LoadOptions, session: Session | None = None, line_format: LineFormat = LO2) -> LoadSummary:
    """Load a raw tree of logs of one line format into ``options.output_dir``.

    Raises
    ------
    InputError : the root or an option cannot be used.
    IntegrityError : rows went missing between the raw lines and the tables.
    """
    started = time.perf_counter()
    layout = Layout(options.output_dir)
    with using(session, options) as own:
        enhancing = options.enhance and options.save_parquet
        key = EnhanceKey.of(options, load_masks(options.mask_file))
        plan, records = read_tree(options, key if enhancing else None, own, line_format)
        if records and not any(record["skipped"] for record in records):
            seconds = time.perf_counter() - started
            note(layout, "load", seconds=seconds, workers=own.workers(), bytes=plan.bytes, files=plan.files)
        metrics = load_metrics(layout, options, own) if options.load_metrics else None
        if enhancing:
            enhance_tables(layout, key, own)
        summary = _summary(layout, plan, records, time.perf_counter() - started, enhancing)
        return replace(summary, metrics=metrics)


def read_tree(
    options: LoadOptions, key: EnhanceKey | None, session: Session, line_format: LineFormat = LO2
) -> tuple[LoadPlan, list[dict[str, Any]]]:
    """Read a raw tree into tables, and with ``key`` its text too; return the plan and the batches' records."""
    layout = Layout(options.output_dir)
    resumed = open_output(layout, options, options.root)
    plan = make_plan(options.root, options, layout, session)
    if resumed:
        logger.info("going on in %s", layout.root)
    text = TextJob(key.masks, key.kinds, options.save_events, line_format) if key else None
    told = [options.fingerprint("load"), key.text if key else "", *([line_format.name] if line_format != LO2 else [])]
    job = LoadJob(
        layout.root, LinePolicy.from_options(options, line_format), options.save_events,
        fingerprint(told), text, options.init_lines_to_skip,
    )  # fmt: skip
    records = _load_batches(plan, job, session, load_needs(options, plan.bytes, plan.files, workers=1).spill)
    _finish(layout, plan, records, options, line_format)
    if key:
        mark_text(layout, key)
    return plan, records


def _load_batches(plan: LoadPlan, job: LoadJob, session: Session, need: int) -> list[dict[str, Any]]:
    """Run the map of batches; those that are done and hold are taken from their records without a cluster.

    The enhancement that follows spills ``need`` bytes: better told now than after hours that there is no room.
    """
    waiting = list(plan.batches)
    records: dict[int, dict[str, Any]] = {}
    if job.layout.record("load", 0).exists():
        current = [(batch, _current_record(batch, job)) for batch in plan.batches]
        records = {batch.index: record for batch, record in current if record}
        waiting = [batch for batch, record in current if not record]
    if waiting:
        check_room(session, job.layout.spill, need)
        # What enhancement made of the earlier batches no longer fits.
        for stage in ("text", "enhance"):
            job.layout.marker(stage).unlink(missing_ok=True)
        marker = job.layout.marker("load")
        write_json(marker, {**read_json(marker), "done": False})
        for record in session.map(load_batch, waiting, "load", job=job):
            records[record["batch"]] = record
    return [records[batch.index] for batch in plan.batches]


def _current_record(batch: Batch, job: LoadJob) -> dict[str, Any] | None:
    """Return a batch's record if it still holds, without reading the logs."""
    record = read_json(job.layout.record("load", batch.index))
    if not record or record["options"] != job.options or not outputs_hold(job.root, record):
        return None
    return {**record, "skipped": True} if record["inputs"] == inputs_fingerprint(batch_files(batch)) else None


def _finish(
    layout: Layout, plan: LoadPlan, records: list[dict[str, Any]], options: LoadOptions, line_format: LineFormat
) -> None:
    """Remove what an earlier plan left, complete the tables, and assert that nothing was lost."""
    names = [part_name(batch.index) for batch in plan.batches]
    text_folders = [layout.text / kind for kind in ("bags", "lines", "codes")]
    for folder in (layout.startup, layout.events, layout.sequences, *text_folders):
        prune_parts(folder, names)
    others = [path.name for path in part_paths(layout.rejects) if path.name.startswith(METRICS_PREFIX)]
    prune_parts(layout.rejects, [*names, *others, _SCAN_PART])
    _write_scan_rejects(layout)
    ensure_part(layout.rejects, schema.REJECTS)
    if not names:  # metrics alone
        ensure_part(layout.sequences, schema.SEQUENCES)
        ensure_part(layout.text / "bags", bags_schema(schema.TokenKinds.of(options.tokens)))
        ensure_part(layout.text / "lines", LINES)
    _check_totals(layout, records, options)
    flush_all(layout.record("load", record["batch"]) for record in records if not record["skipped"])
    inputs = fingerprint([record["inputs"] for record in records])
    marker = {**read_json(layout.marker("load")), "done": True, "inputs": inputs, "format": line_format.name}
    write_json(layout.marker("load"), marker)


def _write_scan_rejects(layout: Layout) -> None:
    """Record what the scan found unreadable outside the chosen logs, such as a damaged tar."""
    rows = []
    for table in read_parts(layout.manifest, ["path", "member", "problem", "selected", "kind"]):
        for row in table.filter(pc.not_equal(table["problem"], "")).to_pylist():
            if not row["selected"] and row["kind"] in ("tar", "log", "folder"):
                rows.append((row["path"], row["member"], "scan", "unreadable", row["problem"]))
    path = layout.rejects / _SCAN_PART
    path.unlink(missing_ok=True)
    if rows:
        columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        write_part(path, pa.table(columns, schema=schema.REJECTS), schema.REJECTS)


def _check_totals(layout: Layout, records: list[dict[str, Any]], options: LoadOptions) -> None:
    for folder, name, written in (
        (layout.sequences, "sequences", True),
        (layout.events, "events", options.save_events),
    ):
        expected = sum(record[name] for record in records)
        if written and count_rows(folder) != expected:
            raise IntegrityError(f"{folder}: {count_rows(folder)} rows, the batches wrote {expected}")


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
