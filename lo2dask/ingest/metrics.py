"""Metrics and traces of a raw tree become lo2_metrics.parquet and lo2_traces.parquet: millions of files, few tasks."""

import itertools
import time
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.errors import IntegrityError
from lo2dask.execute.session import Session
from lo2dask.ingest.batch import inputs_fingerprint, write_rejects
from lo2dask.memory import parse_bytes
from lo2dask.options import LoadOptions, fingerprint
from lo2dask.parse.cells import MetricError
from lo2dask.parse.chunks import Reading
from lo2dask.parse.metrics import MetricSamples
from lo2dask.parse.traces import parse_spans
from lo2dask.parse.wide_table import parse_wide_table
from lo2dask.sources.labels import Labels
from lo2dask.sources.manifest import READ_AS_METRIC, Batch, Pick, batch_files, cut_batches
from lo2dask.sources.tree import SourceFile
from lo2dask.storage import open_at
from lo2dask.tables.layout import Layout, part_name
from lo2dask.tables.parts import count_rows, ensure_part, open_part, part_paths
from lo2dask.tables.records import Key, Stage, StageType, prune_outputs, unnamed_parts

# Rejects of this stage lie next to those of the logs, under names of their own.
METRICS_PREFIX = "metrics-"
STAGE = "metrics"
METRICS = StageType(
    STAGE,
    "the metrics are checked against their batches again",
    part=dict.fromkeys(("batch", "files", "bytes", "samples", "spans", "rejects"), int),
    part_again="its metrics are read again",
)
# Raw bytes whose numbers are cast, and written, at once: it bounds a task's memory.
GROUP_BYTES = 16 << 20
# Series or rows of one file that are named in lo2_rejects.parquet.
MOST_DETAILS = 20


@dataclass(frozen=True)
class MetricsSummary:
    """What was read; ``bytes`` of the batches done now, everything else of the whole tree."""

    files: int
    bytes: int
    samples: int
    spans: int
    rejects: int
    batches: int
    skipped: int
    seconds: float


@dataclass(frozen=True)
class MetricsJob:
    """What is the same for every batch; no ``names`` = all metrics."""

    root: Path
    names: frozenset[str]
    options: str
    labels: Labels

    @property
    def pick(self) -> Pick:
        """Which files of the manifest are read."""
        return partial(picked_files, names=self.names)


def load_metrics(layout: Layout, options: LoadOptions, session: Session, labels: Labels) -> MetricsSummary:
    """Read the metric and trace files of the manifest, which a load with ``--load-metrics`` has written.

    Raises
    ------
    IntegrityError : a table has not the rows that the batches wrote.
    """
    started = time.perf_counter()
    own = [labels.patterns, sorted(labels.rows.items()), *([repr(labels.timed)] if labels.timed else [])]
    key = options.fingerprint("metrics") if labels == Labels() else fingerprint([options.fingerprint("metrics"), own])
    job = MetricsJob(layout.root, frozenset(options.metric_names), key, labels)
    target = parse_bytes(options.partition_size, "--partition-size")
    batches = list(cut_batches(part_paths(layout.manifest), target, job.pick))
    done = [read_current(batch, job) for batch in batches]
    waiting = [batch for batch, record in zip(batches, done, strict=True) if record is None]
    stage = Stage(layout, METRICS)
    if waiting:
        stage.invalidate()
        for batch in waiting:
            stage.part(batch.index).invalidate()
    fresh = iter(session.map(metrics_batch, waiting, STAGE, job=job) if waiting else [])
    records = [record or next(fresh) for record in done]
    stage.keep_parts([batch.index for batch in batches])
    _finish(stage, job)
    read = [record for record, before in zip(records, done, strict=True) if before is None]
    return MetricsSummary(
        sum(record["files"] for record in records), sum(record["bytes"] for record in read),
        sum(record["samples"] for record in records), sum(record["spans"] for record in records),
        sum(record["rejects"] for record in records), len(records), len(records) - len(read),
        time.perf_counter() - started,
    )  # fmt: skip


def picked_files(rows: pa.Table, names: frozenset[str]) -> pa.ChunkedArray:
    """Pick the metric and trace files of a manifest part; a file of another metric is not even opened."""
    chosen = pc.equal(rows["why"], READ_AS_METRIC)
    if not names:
        return chosen
    files = pa.array([f"{prefix}{name}.json" for name in sorted(names) for prefix in ("metric_", "")])
    return pc.and_(chosen, pc.or_(pc.not_equal(rows["kind"], "metric"), pc.is_in(rows["name"], files)))


def read_current(batch: Batch, job: MetricsJob) -> dict[str, Any] | None:
    """Return the summary of a batch that is read and current, without reading its files."""
    record = Stage(Layout(job.root), METRICS).part(batch.index).read()
    if not record or record.key.options != job.options or not record.has_outputs(job.root):
        return None
    same = record.key.inputs == inputs_fingerprint(batch_files(batch, job.pick))
    return dict(record.summary) if same else None


def metrics_batch(batch: Batch, job: MetricsJob) -> dict[str, Any]:
    """Read one batch's files into its parts of the two tables; return its summary."""
    layout, files, name = Layout(job.root), batch_files(batch, job.pick), part_name(batch.index)
    part = Stage(layout, METRICS).part(batch.index)
    part.invalidate()
    reading = Reading(stage=STAGE)
    (layout.traces / name).unlink(missing_ok=True)
    with ExitStack() as stack:
        metrics = stack.enter_context(open_part(layout.metrics / name, schema.METRICS))
        for table in _sample_groups(files, job, reading):
            metrics.write(_label_by_time(table, job.labels, "timestamp", "timestamp"))
    written = [layout.metrics / name]
    spans = _span_tables(files, reading, job.labels)
    if spans:
        with open_part(layout.traces / name, schema.TRACES) as traces:
            traces.write(_label_by_time(pa.concat_tables(spans), job.labels, "start", "end"))
        written.append(layout.traces / name)
    written += write_rejects(layout, METRICS_PREFIX + name, reading.rejects)
    summary = {
        "batch": batch.index,
        "files": len(files),
        "bytes": reading.bytes_read,
        "samples": metrics.rows,
        "spans": sum(table.num_rows for table in spans),
        "rejects": len(reading.rejects),
    }
    part.commit(Key(inputs_fingerprint(files), job.options), written, summary)
    return summary


def _finish(stage: Stage, job: MetricsJob) -> None:
    """Remove what an earlier plan left, complete the tables, and assert that nothing was lost."""
    layout, records = stage.layout, list(stage.records())
    logs = [path for path in part_paths(layout.rejects) if not path.name.startswith(METRICS_PREFIX)]
    prune_outputs((layout.metrics, layout.traces, layout.rejects), layout.root, records, logs)
    for folder, row_schema, count in (
        (layout.metrics, schema.METRICS, "samples"),
        (layout.traces, schema.TRACES, "spans"),
    ):
        ensure_part(folder, row_schema)
        expected = sum(record.summary[count] for record in records)
        if count_rows(folder) != expected:
            raise IntegrityError(f"{folder}: {count_rows(folder)} rows, the batches wrote {expected}")
    key = Key(fingerprint([record.key.inputs for record in records]), job.options)
    stage.commit(key, unnamed_parts((layout.metrics, layout.traces), layout.root, records), {})


def _sample_groups(files: Iterable[SourceFile], job: MetricsJob, reading: Reading) -> Iterator[pa.Table]:
    """Read the metric files in order, some GROUP_BYTES at once."""
    group: list[tuple[SourceFile, bytes]] = []
    size = 0
    for file in files:
        if file.kind == "trace" or (data := _read(file, reading)) is None:
            continue
        if file.kind == "metric table":
            yield from _parse_groups(group, reading, job.labels)
            group, size = [], 0
            yield from _wide_table(file, data, job, reading)
            continue
        group.append((file, data))
        size += len(data)
        if size >= GROUP_BYTES:
            yield from _parse_groups(group, reading, job.labels)
            group, size = [], 0
    yield from _parse_groups(group, reading, job.labels)


def _parse_groups(
    group: list[tuple[SourceFile, bytes]], reading: Reading, labels: Labels, plain: bool = False
) -> Iterator[pa.Table]:
    """Parse files together; where one of them has a number that is none, each by itself, by the general parser."""
    samples = MetricSamples(labels)
    problems: list[tuple[SourceFile, str]] = []
    for file, data in group:
        try:
            problems += ((file, why) for why in samples.add(data, file.run, file.test_case or None, plain))
        except MetricError as error:
            problems.append((file, str(error)))
    try:
        yield samples.table()
    except MetricError:
        for one in group:
            yield from _parse_groups([one], reading, labels, plain=True)
        return
    _reject_parts(problems, "invalid metric", reading)


def _wide_table(file: SourceFile, data: bytes, job: MetricsJob, reading: Reading) -> Iterator[pa.Table]:
    try:
        samples, problems = parse_wide_table(data, file.run, job.names, job.labels)
        _reject_parts([(file, problem) for problem in problems], "invalid metric", reading)
        yield samples
    except MetricError as error:
        reading.reject(file, "invalid metric", str(error))


def _span_tables(files: Iterable[SourceFile], reading: Reading, labels: Labels) -> list[pa.Table]:
    tables = []
    for file in files:
        if file.kind != "trace" or (data := _read(file, reading)) is None:
            continue
        try:
            spans, problems = parse_spans(data, file.run, file.test_case or None, file.name, labels)
            _reject_parts([(file, problem) for problem in problems], "invalid trace", reading)
            tables.append(spans)
        except MetricError as error:
            reading.reject(file, "invalid trace", str(error))
    return [table for table in tables if table.num_rows]


def _label_by_time(table: pa.Table, labels: Labels, start: str, end: str) -> pa.Table:
    """Label rows anew by labels of parts of their runs, each by its own time, from one column to the other."""
    if not labels.timed:
        return table
    names = [name for name in ("run", "test_case", "service") if name in table.column_names]
    times = np.stack([table[name].cast(pa.timestamp("ms"), safe=False).cast(pa.int64()) for name in (start, end)])
    normal = table["normal"].to_numpy().astype(object)
    groups = table.append_column("row", pa.array(np.arange(len(table)))).group_by(names).aggregate([("row", "list")])
    for group in groups.to_pylist():
        rows, key = group["row_list"], (group["run"], group["test_case"] or "", group.get("service") or "")
        if labels.timed_of(key):
            moments, places = np.unique(times[:, rows], axis=1, return_inverse=True)
            known = np.array([labels.normal_between(key, *pair) for pair in moments.T.tolist()], dtype=object)
            normal[rows] = known[places]
    column = pa.array(normal, pa.bool_())
    for name, values in (("normal", column), ("anomaly", pc.invert(column))):
        table = table.set_column(table.column_names.index(name), name, values)
    return table


def _reject_parts(problems: list[tuple[SourceFile, str]], reason: str, reading: Reading) -> None:
    """Record the series or rows of files that were left out; beyond some of one file, only their number."""
    for file, group in itertools.groupby(problems, key=lambda pair: pair[0]):
        details = Counter(detail for _, detail in group).most_common()
        for detail, count in details[:MOST_DETAILS]:
            reading.reject(file, reason, detail if count == 1 else f"{detail}, {count} times")
        if more := sum(count for _, count in details[MOST_DETAILS:]):
            reading.reject(file, reason, f"{more} more like these")


def _read(file: SourceFile, reading: Reading) -> bytes | None:
    """Read a whole file, or a member of a tar; None if there is nothing to parse, which is recorded."""
    if file.problem or file.size == 0:
        reading.reject(file, *(file.rejection if file.problem else ("empty", "0 bytes")))
        return None
    try:
        with open_at(file.path, file.offset) as raw:
            data = raw.read(file.size)
    except OSError as error:
        vanished = isinstance(error, FileNotFoundError)
        reading.reject(file, "vanished" if vanished else "unreadable", error.strerror or str(error))
        return None
    reading.bytes_read += len(data)
    if len(data) < file.size:
        reading.reject(file, "truncated", f"{file.size - len(data)} of {file.size} bytes are missing")
        return None
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return data.decode("utf-16", "replace").encode()
    return data.removeprefix(BOM_UTF8)
