"""The task of loading one batch: raw bytes are read once, and events, sequences and the text pass come out of that."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lo2dask import schema
from lo2dask.errors import IntegrityError
from lo2dask.features.figures import BaseFigures
from lo2dask.features.masks import MASKS, Mask
from lo2dask.features.startup import STARTUP, StartupWords
from lo2dask.features.textpass import CODES, LINES, TextPass, TextTables, bags_schema
from lo2dask.features.windows import WINDOW_COUNTS
from lo2dask.formats.json_lines import JsonFormat, what_is_missing
from lo2dask.formats.kinds import PLAIN
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.formats.wrappers import unwrap
from lo2dask.ingest.formats import read_sample
from lo2dask.options import fingerprint
from lo2dask.parse.chunks import BLOCK_BYTES, Reading, Reject, read_chunks
from lo2dask.parse.clock import NO_TIME
from lo2dask.parse.columns import FileKeys
from lo2dask.parse.events import EventParser, LinePolicy
from lo2dask.sources.labels import Labels, TimedLabel
from lo2dask.sources.manifest import Batch, batch_files
from lo2dask.sources.tree import SourceFile
from lo2dask.storage import flushing_together
from lo2dask.tables.layout import Layout, part_index, part_name
from lo2dask.tables.loads import LOAD
from lo2dask.tables.parts import open_part, read_part, read_row_groups, write_part
from lo2dask.tables.records import Key, Stage, StageType
from lo2dask.vocabulary.spill import write_counts

TEXT = StageType("text", "the text pass is done again", part_again="the text pass of its batch is done again")


@dataclass(frozen=True)
class TextJob:
    """How the text pass of every batch runs; ``key`` hashes what it depends on beyond the loaded tables."""

    masks: tuple[Mask, ...]
    kinds: schema.TokenKinds
    keep_codes: bool
    key: str
    line_format: LineFormat = LO2
    window_ms: int = 0

    @property
    def summary(self) -> dict[str, Any]:
        """What the record of a batch tells of the text pass."""
        return {"window_ms": self.window_ms}

    def start(self, n_files: int) -> TextPass:
        """Begin the text pass of a batch of so many files."""
        return TextPass(n_files, self.masks, self.kinds, self.keep_codes, self.line_format, self.window_ms)


@dataclass(frozen=True)
class LoadJob:
    """What is the same for every batch of a load; ``text`` is None where enhancement is left to train.

    The words of the first ``startup`` raw lines of each log are kept apart, for the leakage line; 0 = none. ``labels``
    say what is normal where that depends on the times of a log's events.
    """

    root: Path
    policy: LinePolicy
    save_events: bool
    options: str
    text: TextJob | None
    startup: int = 0
    labels: Labels = field(default_factory=Labels)

    @property
    def layout(self) -> Layout:
        """Paths below the output folder."""
        return Layout(self.root)


def load_batch(batch: Batch, job: LoadJob) -> dict[str, Any]:
    """Load one batch, or verify that it is loaded; return its summary, "inputs" (a hash) and "skipped"."""
    done = current_batch(batch, job)
    if done:
        return done
    files = batch_files(batch)
    key = Key(inputs_fingerprint(files), job.options)
    loading, reading_text = (Stage(job.layout, of).part(batch.index) for of in (LOAD, TEXT))
    loading.invalidate()
    reading_text.invalidate()
    labelled, met = label_by_time(files, job)
    summary, written, of_text = _load(batch, labelled, job)
    summary["labels_met"] = met
    # Records are flushed with the others, before they count as done.
    loading.commit(key, written, summary, durable=False)
    if job.text:
        reading_text.commit(text_key(key, job.text), of_text, job.text.summary, durable=False)
    return {**summary, "inputs": key.inputs, "skipped": False}


def current_batch(batch: Batch, job: LoadJob) -> dict[str, Any] | None:
    """Return what :func:`load_batch` would of a batch that is loaded and current; the logs are not read."""
    record = Stage(job.layout, LOAD).part(batch.index).read()
    if not record or record.key.options != job.options or not record.has_outputs(job.root):
        return None
    if record.key.inputs != inputs_fingerprint(batch_files(batch)):
        return None
    if job.text and not Stage(job.layout, TEXT).part(batch.index).is_current(text_key(record.key, job.text)):
        return None
    return {**record.summary, "inputs": record.key.inputs, "skipped": True}


def text_key(loaded: Key, job: TextJob) -> Key:
    """Return the key of a batch's text pass from that of its load."""
    return Key(loaded.inputs, fingerprint([loaded.options, job.key]))


def inputs_fingerprint(files: list[SourceFile]) -> str:
    """Hash what identifies the state of each file: path, offset, size, modification time, label, parts."""
    return fingerprint(
        [
            [f.path, f.member, f.offset, f.size, f.mtime_ns, f.normal, [[part.path, part.size] for part in f.parts]]
            for f in files
        ]
    )


def update_outputs(layout: Layout, name: str, path: Path) -> None:
    """Record that a later stage wrote one of a batch's files again.

    Raises
    ------
    IntegrityError : the batch has no record.
    """
    batch = Stage(layout, LOAD).part(part_index(name))
    if not batch.update([path], durable=False):
        raise IntegrityError(f"{batch.path}: missing or damaged; load again")


def label_by_time(files: list[SourceFile], job: LoadJob) -> tuple[list[SourceFile], list[int]]:
    """Label the logs that labels of parts of their runs are for, by their first and last event: these are read twice.

    The text of a log is written while it is read, with its label, which its last event may change.

    Returns
    -------
    the logs, and the places of the labels that met one.
    """
    keys = [(file.run, file.test_case, file.service) for file in files]
    rows = [row for row, key in enumerate(keys) if job.labels.timed_of(key)]
    if not rows:
        return files, []
    met: set[TimedLabel] = set()
    some, found = [files[row] for row in rows], BaseFigures(len(rows))
    for block in read_blocks(EventParser(FileKeys.of(some), replace(job.policy, balance=False), Reading()), some):
        found.add(block)
    labelled = files.copy()
    for row, start, end in zip(rows, found.starts.tolist(), found.ends.tolist(), strict=True):
        if end != NO_TIME:
            labelled[row] = replace(files[row], normal=job.labels.normal_between(keys[row], start, end))
            met.update(job.labels.met_between(keys[row], start, end))
    return labelled, [place for place, part in enumerate(job.labels.timed) if part in met]


def read_blocks(parser: EventParser, files: list[SourceFile]) -> Iterator[pa.Table]:
    """Parse files into blocks of event rows (columns.EVENTS), asserting the counts of lines.

    Each chunk of a block has dictionaries of its own.
    """
    reading = parser.reading
    waiting: list[pa.Table] = []
    size = 0
    for chunk in read_chunks(files, reading):
        waiting.append(parser.parse(chunk))
        size += chunk.size
        if size >= BLOCK_BYTES:
            yield pa.concat_tables(waiting)
            waiting, size = [], 0
    waiting += parser.finish()
    if waiting:
        yield pa.concat_tables(waiting)
    reading.counts.check(files[0].path)


def _load(batch: Batch, files: list[SourceFile], job: LoadJob) -> tuple[dict[str, Any], list[Path], list[Path]]:
    """Write the parts of a batch; return its summary, and the files of its load and of its text pass."""
    started = time.perf_counter()
    keys, reading, base = FileKeys.of(files), Reading(), BaseFigures(len(files))
    text = job.text.start(len(files)) if job.text else None
    startup = StartupWords(len(files), MASKS, job.policy.line_format)
    name, written, of_text, events = part_name(batch.index), [], [], 0
    with flushing_together():
        with ExitStack() as stack:
            writer = None
            if job.save_events:
                written.append(job.layout.events / name)
                writer = stack.enter_context(open_part(written[-1], schema.EVENTS))
            parser = EventParser(
                keys, job.policy, reading, with_text=text is not None or job.save_events,
                with_ids=job.save_events or (text is not None and text.reads_ids), start_lines=job.startup,
            )  # fmt: skip
            for block in read_blocks(parser, files):
                startup.add(parser.take_start_rows())
                base.add(block)
                events += block.num_rows
                if writer:
                    block = block.unify_dictionaries()
                    writer.write(block)
                if text:
                    text.add(block)
        sequences = base.table(keys)
        written.append(job.layout.sequences / name)
        write_part(written[-1], sequences, schema.SEQUENCES)
        if text:
            of_text = write_text(job.layout, name, text.tables(sequences, base.rows()), text)
        if job.startup:
            bags = startup.bags().take(pa.array(base.rows()))
            written.append(job.layout.startup / name)
            write_part(written[-1], pa.table([sequences["seq_id"], bags], names=STARTUP.names), STARTUP)
        _reject_unusable(base, parser)
        written += write_rejects(job.layout, name, reading.rejects)
    _check_written(job, name, parser)
    summary = {
        "batch": batch.index,
        "files": len(files),
        "bytes": reading.bytes_read,
        "events": events,
        "sequences": sequences.num_rows,
        "rejects": len(reading.rejects),
        "lines": asdict(reading.counts),
        "seconds": round(time.perf_counter() - started, 3),
    }
    return summary, written, of_text


def write_text(layout: Layout, name: str, tables: TextTables, text: TextPass) -> list[Path]:
    """Write what the text pass left of one batch; return the files, without the counts that enhancement consumes."""
    write_counts(layout.counted(name), tables.counted, durable=True)
    write_part(layout.text / "bags" / name, tables.bags, bags_schema(text.kinds))
    write_part(layout.text / "lines" / name, tables.lines, LINES)
    written = [layout.text / "bags" / name, layout.text / "lines" / name]
    if text.windows:
        write_part(layout.window_counts / name, tables.windows, WINDOW_COUNTS)
        written.append(layout.window_counts / name)
    if text.keep_codes:
        write_part(layout.text / "codes" / name, tables.codes, CODES)
        written.append(layout.text / "codes" / name)
    return written


def _check_written(job: LoadJob, name: str, parser: EventParser) -> None:
    """Check in the written parts that the lines of each file are rows of its own, dropped or rejected.

    Raises
    ------
    IntegrityError : they are not, or two files have the same id.
    """
    kept = parser.read - parser.dropped
    files = np.flatnonzero(kept)
    ids = parser.keys.columns(files)["seq_id"].cast(pa.string())
    path = job.layout.sequences / name
    table = read_part(path, ["seq_id", "seq_len"])
    if len(ids.unique()) != len(ids) or not table["seq_id"].cast(pa.string()).combine_chunks().equals(ids):
        raise IntegrityError(f"{path}: its rows are not one for each log of which lines were kept")
    lines = table["seq_len"].to_numpy()
    if job.save_events:
        path, lines = job.layout.events / name, np.zeros(len(files), dtype=np.int64)
        for rows in read_row_groups(path, ["seq_id", "e_lines_len"], dictionary=ids):
            codes = rows["seq_id"].combine_chunks().indices.to_numpy()
            lines += np.bincount(codes, rows["e_lines_len"].to_numpy(), len(files)).astype(np.int64)
    wrong = lines != kept[files] if job.save_events or job.policy.continuation != "merge" else lines > kept[files]
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise IntegrityError(f"{path}: {ids[row]} has {lines[row]} lines, {kept[files[row]]} of its log were kept")


def _reject_unusable(base: BaseFigures, parser: EventParser) -> None:
    """Record each log of which no line was kept, which makes no sequence, and each of which no line has a time."""
    reading, is_blank = parser.reading, (parser.read == parser.blank).tolist()
    known = {file for file, _, _ in reading.reasons}
    ends = zip(parser.keys.files, base.lengths.tolist(), base.ends.tolist(), is_blank, strict=True)
    for file, length, end, blank in ends:
        if length == 0 and file not in known:
            reason = "it holds nothing but blank lines" if blank else f"no line was kept; {_expected(parser, file)}"
            reading.reject(file, "no event", reason)
        elif length and end == NO_TIME:
            reason = f"none of its {length} lines has a time, they are kept without; {_expected(parser, file)}"
            reading.reject(file, "no time", reason)


def _expected(parser: EventParser, file: SourceFile) -> str:
    """Say what a line with a time looks like; of JSON, which keys of one there might be, and which there are."""
    translation = parser.policy.translation
    if translation is None or not translation.is_needed:
        return f"a line with a time looks like {parser.policy.line_format.example!r}"
    kind = translation.of(file.service)
    if kind.name == PLAIN:
        return f"the format {PLAIN} reads none"
    if kind.name == JsonFormat.name:
        lines = read_sample([file], translation.timezone)
        if missing := what_is_missing(unwrap(lines, kind.wrappers), ["time"]):
            return missing
    return f"a line with a time looks like {kind.reader.example!r}"


def write_rejects(layout: Layout, name: str, rejects: list[Reject]) -> list[Path]:
    """Write a batch's part of lo2_rejects.parquet, if it has any."""
    path = layout.rejects / name
    if not rejects:
        path.unlink(missing_ok=True)
        return []
    rows = pa.Table.from_pylist([asdict(reject) for reject in rejects], schema=schema.REJECTS)
    write_part(path, rows, schema.REJECTS)
    return [path]
