"""The lines of chosen sequences as load has counted them: only what is shown is read from the logs again.

The text pass leaves the normalised lines of each sequence with their counts, and the first line of each statement in
each window (features.windows). Of a statement whose lines differ in their headers, the first line of all is shown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Ints
from lo2dask.buffers.columns import strings
from lo2dask.explanation.evidence import Patterns, Texts
from lo2dask.explanation.line_search import BUNDLE_LINES, ERROR_TEXT, LineSource, PartLines, wanted_files
from lo2dask.explanation.summary import Flags
from lo2dask.features.statements import ERROR, kinds_of
from lo2dask.findings.judge import Scales
from lo2dask.findings.lines import LineReader, ReadLines, times_of_day
from lo2dask.findings.part import flatten_lists
from lo2dask.ingest.batch import TEXT
from lo2dask.ingest.mining import read_mapping
from lo2dask.ingest.text import read_translation
from lo2dask.parse.line_ranges import locate_rows, read_line_bytes
from lo2dask.parse.translate import translate_text
from lo2dask.schema import TIME
from lo2dask.sources.tree import SourceFile
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import read_part
from lo2dask.tables.records import Stage

# Lines that are read before one that continues an event, for its time.
_BEFORE = 200


@dataclass(frozen=True)
class _Lines:
    """The distinct normalised lines of a part: texts, messages, template ids, whether headless, whether of an error.

    ``statement`` is the number of the first line that has the same message.
    """

    texts: pa.Array
    messages: pa.Array
    templates: list[str]
    headless: Flags
    errors: Flags
    statement: Ints

    @classmethod
    def read(cls, layout: Layout, name: str) -> "_Lines":
        """Read them."""
        table = read_part(layout.text / "lines" / name, ["line", "message"])
        messages = strings(table["message"])
        ids, templates = read_mapping(layout, messages, ["statement_id", "e_event_drain_id"])
        texts = strings(table["line"])
        headless = np.asarray(pc.equal(texts, messages))
        errors = (kinds_of(ids) == ERROR) | np.asarray(pc.match_substring_regex(texts, ERROR_TEXT))
        encoded = messages.dictionary_encode().indices.to_numpy()
        _, first = np.unique(encoded, return_index=True)
        return cls(texts, messages, templates.to_pylist(), headless, errors, first[encoded])

    def patterns(self, texts: Texts, rows: Ints, lines: Ints, counts: Ints, first: Ints) -> Patterns:
        """Return some lines as the patterns of a sequence; ``rows`` are their places in ``texts``."""
        return Patterns(
            texts, rows, [self.templates[line] for line in lines.tolist()], counts, first, self.errors[lines]
        )


@dataclass(frozen=True)
class CountedSequence:
    """One sequence: its log, its patterns (``first`` are line numbers), and of each pattern more for its first line.

    ``begins`` are begins of windows (ms since 1970), ``since`` the lines to read from, ``messages`` what they say.
    """

    file: SourceFile
    patterns: Patterns
    begins: Ints
    since: Ints
    messages: pa.Array


def read_counted(record: PartLines, wanted: Iterable[str], source: LineSource) -> dict[str, CountedSequence]:
    """Return the wanted sequences of one part by seq_id, without those that are not fully counted.

    None is where events are kept, where tokens of raw lines are asked for, or where load counted no windows.
    """
    if source.policy is None or source.raw_tokens or source.has_raw_bags:
        return {}
    layout, files = Layout(source.root), wanted_files(record, wanted)
    window_ms = _window_ms(layout, record) if files else 0
    if not window_ms:
        return {}
    lines, ids = _Lines.read(layout, record.name), pa.array(sorted(files), pa.string())
    first = _first_lines(_rows(layout.window_counts / record.name, ["windows", "cells"], ids), len(lines.statement))
    bags = _rows(layout.text / "bags" / record.name, ["lines"], ids)
    items = flatten_lists(bags["lines"])
    used, text = np.unique(items["line"], return_inverse=True)
    if len(used) > BUNDLE_LINES:
        return {}
    texts, found = Texts(lines.texts.take(pa.array(used))), {}
    borders = np.searchsorted(items["sequence"], np.arange(bags.num_rows + 1))
    for row, seq_id in enumerate(strings(bags["seq_id"]).to_pylist()):
        own = slice(borders[row], borders[row + 1])
        at = first.find(row, lines.statement[items["line"][own]])
        if at is None:
            continue
        order = np.argsort(first.line[at], kind="stable")
        at, chosen = at[order], items["line"][own][order]
        patterns = lines.patterns(texts, text[own][order], chosen, items["count"][own][order], first.line[at])
        since = first.line[at] - np.where(lines.headless[chosen], _BEFORE, 0)
        messages = lines.messages.take(pa.array(chosen))
        found[seq_id] = CountedSequence(files[seq_id], patterns, first.begin[at] * window_ms, since, messages)
    return found


def _window_ms(layout: Layout, record: PartLines) -> int:
    """Return the length of the windows that load counted in a part; 0 where it counted none, or did not say."""
    done = Stage(layout, TEXT).part(record.batch.index).read() if record.batch else None
    return int(done.summary.get("window_ms", 0)) if done else 0


def _rows(path: Path, columns: list[str], ids: pa.Array) -> pa.Table:
    """Read the rows of some sequences."""
    table = read_part(path, ["seq_id", *columns])
    return table.filter(pc.is_in(strings(table["seq_id"]), ids)).combine_chunks()


def read_shown(
    chosen: Mapping[str, tuple[CountedSequence, Iterable[int]]], source: LineSource
) -> dict[str, dict[int, dict[str, Any]]]:
    """Read chosen lines (numbers) of sequences: path, line_no, m_timestamp and m_message, by seq_id and number.

    A sequence whose log is gone, or whose lines are not those that were counted, is left out.
    """
    if not chosen:
        return {}
    layout = Layout(source.root)
    translation = read_translation(layout)
    reader = LineReader(layout, source.masks, translation, {}, Scales({}))
    there, pieces = [], []
    for seq_id, (one, numbers) in chosen.items():
        rows = np.flatnonzero(np.isin(one.patterns.first, list(numbers)))
        last = one.patterns.first[rows]
        ranges = np.column_stack([np.maximum(one.since[rows], 1), last]).tolist()
        try:
            read = list(read_line_bytes(one.file, ranges))
        except OSError:
            continue
        if translation.is_needed:
            read = [(first, translate_text(data, one.file, translation)) for first, data in read]
        there.append((seq_id, one, rows, sum(data.count(b"\n") or 1 for _, data in read)))
        pieces += read
    lines, start = ReadLines.of(pieces, reader, pieces), 0
    shown: dict[str, dict[int, dict[str, Any]]] = {}
    for seq_id, one, rows, count in there:
        events = _events(one, rows, lines.slice(start, count))
        start += count
        if events is not None:
            shown[seq_id] = events
    return shown


def _events(one: CountedSequence, rows: Ints, read: ReadLines) -> dict[int, dict[str, Any]] | None:
    """Return chosen lines by number; None if one is not what was counted, or if its time stands further above."""
    if not len(rows):
        return {}
    numbers, places = one.patterns.first[rows], np.arange(len(read.numbers))
    at = np.searchsorted(read.numbers, numbers)
    if at.max() >= len(places) or (read.numbers[at] != numbers).any():
        return None
    if read.messages.take(pa.array(at)) != one.messages.take(pa.array(rows)):
        return None
    # A line without a time has that of the line that it continues.
    latest = np.maximum.accumulate(np.where(read.clock >= 0, places, -1))[at]
    begin = np.maximum.accumulate(np.where(np.diff(read.numbers, prepend=-1) == 1, 0, places))[at]
    if (latest < begin).any():
        return None
    times = times_of_day(read.clock[latest], one.begins[rows])
    table = {
        "line_no": numbers,
        "m_timestamp": pa.array(times * 1000).cast(TIME),
        "m_message": read.texts(at),
    }
    return dict(zip(numbers.tolist(), locate_rows(one.file, pa.table(table).to_pylist()), strict=True))


@dataclass(frozen=True)
class _FirstLines:
    """The first lines of statements, by sequence (row) and statement: ``key`` is both, ascending.

    ``begin`` is the number of the line's window.
    """

    statements: int
    key: Ints
    line: Ints
    begin: Ints

    def find(self, row: int, statements: Ints) -> Ints | None:
        """Return the places of some statements of a sequence; None if one of them is in no window."""
        wanted = row * self.statements + statements
        at = np.searchsorted(self.key, wanted)
        known = len(self.key) > 0 and (self.key[np.minimum(at, len(self.key) - 1)] == wanted).all()
        return at if known else None


def _first_lines(table: pa.Table, statements: int) -> _FirstLines:
    windows, cells = (flatten_lists(table[name]) for name in ("windows", "cells"))
    starts = np.searchsorted(windows["sequence"], np.arange(table.num_rows))
    at = starts[cells["sequence"]] + cells["window"]
    key, line = cells["sequence"] * statements + cells["statement"], windows["first_line"][at] + cells["line"]
    order = np.lexsort((line, key))
    first = order[np.flatnonzero(np.diff(key[order], prepend=-1))]
    return _FirstLines(statements, key[first], line[first], windows["window"][at[first]])
