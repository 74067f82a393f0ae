"""Reads the lines of chosen sequences: from the events table, else from the raw tree that the manifest names."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.explanation.evidence import Patterns, Texts
from lo2dask.features.lines import TextBlock, read_text
from lo2dask.features.masks import Mask
from lo2dask.features.templates import Templates
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.ingest.batch import read_blocks
from lo2dask.ingest.text import loaded, read_format, read_translation
from lo2dask.memory import parse_bytes
from lo2dask.options import LoadOptions
from lo2dask.parse.chunks import Reading
from lo2dask.parse.columns import FILE, FileKeys
from lo2dask.parse.events import EventParser, LinePolicy
from lo2dask.parse.line_ranges import locate_rows
from lo2dask.parse.raw_lines import raw_line
from lo2dask.schema import seq_id
from lo2dask.sources.manifest import Batch, batch_files, cut_batches
from lo2dask.sources.tree import SourceFile
from lo2dask.storage import to_path
from lo2dask.tables.layout import Layout, part_name
from lo2dask.tables.parts import part_paths, read_row_groups

BUNDLE_LINES = 100_000
# What an error may be told by, beyond its level.
ERROR_TEXT = r"\bERR\d{5}\b|[a-z]Exception\b"
_COLUMNS = ["seq_id", "line_no", "m_timestamp", "m_message", "thread", "correlation_id", "level", "is_continuation"]


@dataclass(frozen=True)
class LineSource:
    """Where lines are read from and how; ``policy`` is None where the events table is there.

    ``raw_tokens``: the main bags are of the raw lines; ``has_raw_bags``: their patterns are wanted too.
    """

    root: Path
    policy: LinePolicy | None
    masks: tuple[Mask, ...]
    raw_tokens: bool
    has_raw_bags: bool = False
    line_format: LineFormat = LO2


@dataclass(frozen=True)
class PartLines:
    """One part of the sequence table and the batch of logs that it was made from; None where that is not known."""

    name: str
    batch: Batch | None


@dataclass(frozen=True)
class SequenceLines:
    """The lines of one sequence: events in order (columns _COLUMNS), their line format, log and patterns.

    ``patterns`` are of the text that the main bags are of; ``raw_patterns`` of the raw lines, if asked for.
    """

    seq_id: str
    file: SourceFile
    events: pa.Table
    line_format: LineFormat
    patterns: Patterns
    raw_patterns: Patterns | None = None

    def rows(self, indexes: list[int]) -> list[dict[str, Any]]:
        """Return some lines: path, line_no, m_timestamp, and the whole line as m_message."""
        chosen = self.events.take(pa.array(indexes, pa.int64()))
        shown = chosen.select(["line_no", "m_timestamp"])
        rows = shown.append_column("m_message", raw_line(chosen, self.line_format)).to_pylist()
        return list(locate_rows(self.file, rows))


def line_source(layout: Layout, masks: tuple[Mask, ...], raw_tokens: bool) -> LineSource:
    """Return where the lines of a folder's sequences are to be read."""
    options = _load_options(layout)
    line_format = read_format(layout)
    policy = None
    if not options.save_events:
        is_lo2 = loaded(layout)["is_lo2"]
        policy = LinePolicy.from_options(options, line_format, read_translation(layout), is_lo2)
    return LineSource(layout.root, policy, masks, raw_tokens, line_format=line_format)


def part_records(layout: Layout) -> list[PartLines]:
    """Pair each part of the sequence table with its batch of logs."""
    size = parse_bytes(_load_options(layout).partition_size, "--partition-size")
    batches = {part_name(batch.index): batch for batch in cut_batches(part_paths(layout.manifest), size)}
    return [PartLines(path.name, batches.get(path.name)) for path in part_paths(layout.enhanced)]


def read_lines(record: PartLines, wanted: Iterable[str], source: LineSource) -> Iterator[SequenceLines]:
    """Read the lines of the wanted sequences of one part; a log that is missing has none."""
    files = wanted_files(record, wanted)
    if not files:
        return
    templates = Templates.load(Layout(source.root).template_state)
    known: dict[str, str] = {}
    if source.policy is None:
        sequences = _from_events(Layout(source.root).events / record.name, sorted(files))
    else:
        sequences = ((name, _from_raw(file, source.policy)) for name, file in sorted(files.items()))
    for some in _bundle(sequences):
        joined = pa.concat_tables([events for _, events in some]).unify_dictionaries().combine_chunks()
        _, block = read_text(joined, source.masks, templates.line_format)
        line_templates, texts, end = _templates(block, templates, known), Texts(block.lines), 0
        for name, events in some:
            start, end = end, end + events.num_rows
            text = _Text(events, block, texts, block.line[start:end], line_templates)
            raw = text.patterns(raw=True) if source.has_raw_bags else None
            patterns = text.patterns(source.raw_tokens)
            yield SequenceLines(name, files[name], events, source.line_format, patterns, raw)


def wanted_files(record: PartLines, wanted: Iterable[str]) -> dict[str, SourceFile]:
    """Return the logs of the wanted sequences of one part, by seq_id."""
    ids = set(wanted)
    files = batch_files(record.batch) if record.batch and ids else []
    return {name: file for file in files if not file.problem and (name := _seq_id(file)) in ids}


def _bundle(sequences: Iterable[tuple[str, pa.Table]]) -> Iterator[list[tuple[str, pa.Table]]]:
    """Put sequences together up to :data:`BUNDLE_LINES`: lines that they share are masked once."""
    some: list[tuple[str, pa.Table]] = []
    for name, events in sequences:
        if events.num_rows:
            some.append((name, events))
        if sum(table.num_rows for _, table in some) >= BUNDLE_LINES:
            yield some
            some = []
    if some:
        yield some


def _load_options(layout: Layout) -> LoadOptions:
    marker = loaded(layout)
    return LoadOptions(root=to_path(marker["root"]), **marker["options"])


def _seq_id(file: SourceFile) -> str:
    return seq_id(file.run, file.test_case, file.name)


def _from_raw(file: SourceFile, policy: LinePolicy) -> pa.Table:
    blocks = read_blocks(EventParser(FileKeys.of([file]), policy, Reading(), with_text=True), [file])
    tables = [block.select(_COLUMNS) for block in blocks]
    return _joined(tables) if tables else pa.table({})


def _joined(tables: list[pa.Table]) -> pa.Table:
    """Join the event rows of a sequence."""
    events = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    # In the order of their first lines, whatever order the dictionary had.
    messages = events["m_message"].cast(pa.string()).dictionary_encode()
    events = events.set_column(events.schema.get_field_index("m_message"), "m_message", messages)
    return events.append_column(FILE, pa.array(np.zeros(len(events), dtype=np.int32)))


def _from_events(path: Path, ids: list[str]) -> Iterator[tuple[str, pa.Table]]:
    """Read events of chosen sequences; a sequence's events are consecutive, perhaps over several row groups."""
    pieces: dict[str, list[pa.Table]] = {}
    for group in read_row_groups(path, _COLUMNS):
        chosen = group.filter(pc.is_in(group["seq_id"].cast(pa.string()), pa.array(ids, pa.string())))
        for name in pc.unique(chosen["seq_id"].cast(pa.string())).to_pylist():
            pieces.setdefault(name, []).append(chosen.filter(pc.equal(chosen["seq_id"].cast(pa.string()), name)))
    for name, tables in sorted(pieces.items()):
        yield name, _joined(tables)


def _templates(block: TextBlock, templates: Templates, known: dict[str, str]) -> list[str]:
    """Match the normalised lines of a block; ``known`` keeps the template of each message."""
    bodies = block.bodies.to_pylist()
    fresh = sorted({body for body in bodies if body not in known})
    known.update(zip(fresh, templates.match(fresh), strict=True))
    return [known[body] for body in bodies]


@dataclass(frozen=True)
class _Text:
    """The text of one sequence: its events, the block of several sequences with its texts, its own lines in it, and the
    templates of all of them.
    """

    events: pa.Table
    block: TextBlock
    texts: Texts
    line: np.ndarray
    templates: list[str]

    def patterns(self, raw: bool) -> Patterns:
        """Return the distinct lines of the sequence, normalised or raw."""
        if raw:
            encoded = self._raw_lines(self.events).dictionary_encode()
            texts = Texts(encoded.dictionary)
            rows, first, counts = np.unique(encoded.indices.to_numpy(), return_index=True, return_counts=True)
        else:
            lines, first, counts = np.unique(self.line, return_index=True, return_counts=True)
            # In the order of the log: the numbers of lines, and sums over their tokens, differ with the bundle.
            order = np.argsort(first)
            first, counts, rows, texts = first[order], counts[order], lines[order], self.texts
        templates = [self.templates[code] for code in self.line[first].tolist()]
        return Patterns(texts, rows, templates, counts, first, self._errors(self.events.take(pa.array(first))))

    def _raw_lines(self, events: pa.Table) -> pa.Array:
        return raw_line(events, self.block.line_format).combine_chunks()

    def _errors(self, events: pa.Table) -> np.ndarray:
        level = events["level"].cast(pa.string()).combine_chunks()
        is_error = pc.or_(
            pc.is_in(level, pa.array(self.block.line_format.error_levels, pa.string())),
            pc.match_substring_regex(self._raw_lines(events), ERROR_TEXT),
        )
        return is_error.to_numpy(zero_copy_only=False).astype(bool)
