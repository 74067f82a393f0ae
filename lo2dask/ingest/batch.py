"""The task of loading one batch: raw bytes are read once, and events, sequences and the text pass come out of that."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lo2dask import schema
from lo2dask.errors import IntegrityError
from lo2dask.features.figures import BaseFigures
from lo2dask.features.masks import MASKS, Mask
from lo2dask.features.startup import STARTUP, StartupWords
from lo2dask.features.textpass import CODES, LINES, TextPass, TextTables, bags_schema
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.options import fingerprint
from lo2dask.parse.chunks import BLOCK_BYTES, Reading, Reject, read_chunks
from lo2dask.parse.columns import FileKeys
from lo2dask.parse.events import EventParser, LinePolicy
from lo2dask.sources.manifest import Batch, batch_files
from lo2dask.sources.tree import SourceFile
from lo2dask.storage import flushing_together, read_json, status, write_json
from lo2dask.tables.layout import Layout, part_name
from lo2dask.tables.parts import checksum, open_part, write_part
from lo2dask.vocabulary.spill import write_counts


@dataclass(frozen=True)
class TextJob:
    """How the text pass of every batch runs."""

    masks: tuple[Mask, ...]
    kinds: schema.TokenKinds
    keep_codes: bool
    line_format: LineFormat = LO2

    def start(self, n_files: int) -> TextPass:
        """Begin the text pass of a batch of so many files."""
        return TextPass(n_files, self.masks, self.kinds, self.keep_codes, self.line_format)


@dataclass(frozen=True)
class LoadJob:
    """What is the same for every batch of a load; ``text`` is None where enhancement is left to train.

    The words of the first ``startup`` raw lines of each log are kept apart, for the leakage line; 0 = none.
    """

    root: Path
    policy: LinePolicy
    save_events: bool
    options: str
    text: TextJob | None
    startup: int = 0

    @property
    def layout(self) -> Layout:
        """Paths below the output folder."""
        return Layout(self.root)


def load_batch(batch: Batch, job: LoadJob) -> dict[str, Any]:
    """Load one batch, or verify that it is loaded; return its record."""
    files = batch_files(batch)
    inputs = inputs_fingerprint(files)
    path = job.layout.record("load", batch.index)
    record = read_json(path)
    if record and record["inputs"] == inputs and record["options"] == job.options and outputs_hold(job.root, record):
        return {**record, "skipped": True}
    path.unlink(missing_ok=True)
    record = {**_load(batch, files, job), "inputs": inputs, "options": job.options}
    write_json(path, record, durable=False)  # it is flushed with the others, before they count as done
    return {**record, "skipped": False}


def inputs_fingerprint(files: list[SourceFile]) -> str:
    """Hash what says whether a file changed: its place, size and time of change."""
    return fingerprint([[f.path, f.member, f.offset, f.size, f.mtime_ns] for f in files])


def outputs_hold(root: Path, record: dict[str, Any]) -> bool:
    """Return whether all files of a record are there with the size they were written with."""
    for name, (size, _) in record["outputs"].items():
        try:
            if status(root / name).st_size != size:
                return False
        except FileNotFoundError:
            return False
    return True


def update_outputs(layout: Layout, name: str, path: Path) -> None:
    """Record that a later stage wrote one of a batch's files again.

    Raises
    ------
    IntegrityError : the batch has no record.
    """
    place = layout.record("load", int(name.removeprefix("part-").removesuffix(".parquet")))
    record = read_json(place)
    if record is None:
        raise IntegrityError(f"{place}: missing or damaged; load again")
    record["outputs"] |= dict([output_entry(layout.root, path)])
    write_json(place, record, durable=False)


def output_entry(root: Path, path: Path) -> tuple[str, list[Any]]:
    """Return what a record says of one file: its place, and size and checksum."""
    return path.relative_to(root).as_posix(), [status(path).st_size, checksum(path)]


def read_blocks(parser: EventParser, files: list[SourceFile]) -> Iterator[pa.Table]:
    """Parse files into blocks of event rows (columns.EVENTS), asserting the counts of lines."""
    reading = parser.reading
    waiting: list[pa.Table] = []
    size = 0
    for chunk in read_chunks(files, reading):
        waiting.append(parser.parse(chunk))
        size += chunk.size
        if size >= BLOCK_BYTES:
            yield pa.concat_tables(waiting).unify_dictionaries()
            waiting, size = [], 0
    waiting += parser.finish()
    if waiting:
        yield pa.concat_tables(waiting).unify_dictionaries()
    reading.counts.check(files[0].path)


def _load(batch: Batch, files: list[SourceFile], job: LoadJob) -> dict[str, Any]:
    started = time.perf_counter()
    keys, reading, base = FileKeys.of(files), Reading(), BaseFigures(len(files))
    text = job.text.start(len(files)) if job.text else None
    startup = StartupWords(len(files), MASKS, job.policy.line_format)
    name, written, events = part_name(batch.index), [], 0
    with flushing_together():
        with ExitStack() as stack:
            writer = None
            if job.save_events:
                written.append(job.layout.events / name)
                writer = stack.enter_context(open_part(written[-1], schema.EVENTS))
            parser = EventParser(
                keys, job.policy, reading, with_messages=text is not None or job.save_events, heads=job.startup
            )
            for block in read_blocks(parser, files):
                startup.add(parser.take_heads())
                base.add(block)
                events += block.num_rows
                if writer:
                    writer.write(block)
                if text:
                    text.add(block)
        sequences = base.table(keys)
        written.append(job.layout.sequences / name)
        write_part(written[-1], sequences, schema.SEQUENCES)
        if text:
            written += write_text(job.layout, name, text.tables(sequences, base.rows()), text)
        if job.startup:
            bags = startup.bags().take(pa.array(base.rows()))
            written.append(job.layout.startup / name)
            write_part(written[-1], pa.table([sequences["seq_id"], bags], names=STARTUP.names), STARTUP)
        _reject_empty(files, base, reading)
        written += write_rejects(job.layout, name, reading.rejects)
    return {
        "batch": batch.index,
        "files": len(files),
        "bytes": reading.bytes_read,
        "events": events,
        "sequences": sequences.num_rows,
        "rejects": len(reading.rejects),
        "lines": asdict(reading.counts),
        "outputs": dict(output_entry(job.root, path) for path in written),
        "seconds": round(time.perf_counter() - started, 3),
    }


def write_text(layout: Layout, name: str, tables: TextTables, text: TextPass) -> list[Path]:
    """Write what the text pass left of one batch; return the files, without the counts that enhancement consumes."""
    write_counts(layout.counted(name), tables.counted, durable=True)
    write_part(layout.text / "bags" / name, tables.bags, bags_schema(text.kinds))
    write_part(layout.text / "lines" / name, tables.lines, LINES)
    written = [layout.text / "bags" / name, layout.text / "lines" / name]
    if text.keep_codes:
        write_part(layout.text / "codes" / name, tables.codes, CODES)
        written.append(layout.text / "codes" / name)
    return written


def _reject_empty(files: list[SourceFile], base: BaseFigures, reading: Reading) -> None:
    """A log of which no line was kept makes no sequence: that is said, not passed over."""
    known = {(reject.path, reject.member) for reject in reading.rejects}
    for file, length in zip(files, base.lengths.tolist(), strict=True):
        if length == 0 and (file.path, file.member) not in known:
            reading.reject(file, "no event", "no line was kept")


def write_rejects(layout: Layout, name: str, rejects: list[Reject]) -> list[Path]:
    """Write a batch's part of lo2_rejects.parquet, if it has any."""
    path = layout.rejects / name
    if not rejects:
        path.unlink(missing_ok=True)
        return []
    rows = pa.Table.from_pylist([asdict(reject) for reject in rejects], schema=schema.REJECTS)
    write_part(path, rows, schema.REJECTS)
    return [path]
