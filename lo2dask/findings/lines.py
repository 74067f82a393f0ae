"""The unusual lines of chosen windows: the raw log is read again there, and nowhere else.

A line of a statement that no normal log has scores 20 if it is of an error level, 10 if the window has two of it, else
1.25; to that is added the largest of 0, the scaled run of equal lines
that it is in, and the scaled number of such lines in its window (statements of an error level) or half the scaled
surprise at it after the line before (others). See judge.py for the scales.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.buffers.arrays import Bools, Bytes, Ints
from lo2dask.buffers.columns import codes
from lo2dask.buffers.padded import padded
from lo2dask.buffers.slices import encode_slices, slices
from lo2dask.features.masks import Mask, normalise
from lo2dask.features.statements import CONTINUATION, ERROR, kinds_of
from lo2dask.findings.judge import LEAST_UNSEEN, UNSEEN, Scales
from lo2dask.findings.normals import Normals, ServiceNormals, ServiceStatistics
from lo2dask.findings.read import ALARM
from lo2dask.formats.kinds import Translation
from lo2dask.ingest.mining import whole_mapping
from lo2dask.parse.line_ranges import locate, read_line_bytes
from lo2dask.parse.lines import find_lines as split_lines
from lo2dask.parse.text import without_marks
from lo2dask.parse.translate import translate_text
from lo2dask.sources.names import DAY_MS
from lo2dask.sources.tree import SourceFile
from lo2dask.tables.layout import Layout

# Lines that are read before a window.
_BEFORE = 10
# The lines, each with its log, its number there and whether a finding or a notice shows it.
FOUND = pa.schema(
    [*schema.LINES, pa.field("seq_id", pa.string()), pa.field("number", pa.int64()), pa.field("is_shown", pa.bool_())]
)


@dataclass(frozen=True)
class Wanted:
    """What is read of one log: windows (first line, last line, begin in ms since 1970), and lines that are shown.

    These are the ``evidence`` of its finding and, ``extra``, lines of notices.

    ``left_out`` is the run that its normals are without, "" = none; ``begin`` a time of the log in ms since 1970, which
    tells the day of evidence that is in no window.
    """

    seq_id: str
    run: str
    test_case: str
    service: str
    left_out: str
    begin: int
    windows: tuple[tuple[int, int, int], ...]
    evidence: tuple[int, ...]
    extra: tuple[int, ...] = ()

    @property
    def shown(self) -> tuple[int, ...]:
        """All lines that are shown."""
        return (*self.evidence, *self.extra)

    @property
    def lines(self) -> int:
        """Return how many lines that is at most."""
        return sum(last - first + 1 + _BEFORE for first, last, _ in self.windows) + len(self.shown)


@dataclass(frozen=True)
class LineReader:
    """How raw lines become statements, and what they are judged by."""

    layout: Layout
    masks: tuple[Mask, ...]
    translation: Translation
    normals: Mapping[str, ServiceStatistics]
    scales: Scales

    @property
    def messages(self) -> pa.Array:
        """The distinct messages of the tables."""
        return whole_mapping(self.layout)["message"]

    @property
    def known(self) -> pa.Array:
        """The statement id of each of them."""
        return whole_mapping(self.layout)["statement_id"]


def find_lines(logs: Sequence[tuple[SourceFile, Wanted]], reader: LineReader, limit: int) -> tuple[pa.Table, int]:
    """Read and score the wanted lines of some logs (:data:`FOUND`): each log's highest ``limit`` scores, all evidence.

    Returns
    -------
    the lines, and how many of the logs are gone.
    """
    there, pieces, translated = [], [], []
    for file, wanted in logs:
        # The line before a window is what its first line is judged after; some may be empty, or were not kept.
        ranges = [(max(first - _BEFORE, 1), last) for first, last, _ in wanted.windows]
        try:
            read = list(read_line_bytes(file, [*ranges, *((line, line) for line in wanted.shown)]))
        except OSError:
            continue
        there.append((file, wanted, sum(data.count(b"\n") or 1 for _, data in read)))
        pieces += read
        if reader.translation.is_needed:
            translated += [(first, translate_text(data, file, reader.translation)) for first, data in read]
    lines = ReadLines.of(translated or pieces, reader, pieces)
    normals, start, chosen = Normals(reader.normals, lines.names), 0, []
    for _, wanted, count in there:
        chosen.append(_choose(wanted, lines.slice(start, count), start, (reader, normals, limit)))
        start += count
    return _table(there, lines, chosen), len(logs) - len(there)


@dataclass(frozen=True)
class Chosen:
    """Chosen lines of a log: places among all that were read, scores, begins of their windows (ms), which are shown."""

    rows: Ints
    scores: np.ndarray
    begins: Ints
    is_shown: Bools


def _choose(wanted: Wanted, read: "ReadLines", start: int, context: tuple[LineReader, Normals, int]) -> Chosen:
    """Score the lines of one log, and choose the best and the evidence; its first line has the place ``start``."""
    reader, normals, limit = context
    numbers = read.numbers
    previous, scores = _previous(numbers, read.statement), np.zeros(len(numbers))
    begins = np.full(len(numbers), wanted.begin)
    own = normals.of(wanted.service)
    window = np.full(len(numbers), -1)
    for place, (first, last, begin) in enumerate(sorted(wanted.windows)):
        within = slice(*np.searchsorted(numbers, [first, last + 1]))
        begins[within], window[within] = begin, place
    rows = np.flatnonzero((window >= 0) & (read.statement >= 0))
    if own is not None and len(rows):
        said = (window[rows], read.statement[rows], previous[rows])
        scores[rows] = _score(said, read.kinds, own, (reader, wanted))
    is_shown = np.isin(numbers, wanted.shown)
    keep = is_shown.copy()
    best = np.argsort(-scores, kind="stable")[:limit]
    keep[best[scores[best] > 0]] = True
    kept = np.flatnonzero(keep)
    return Chosen(start + kept, scores[kept], begins[kept], is_shown[kept])


def _table(logs: Sequence[tuple[SourceFile, Wanted, int]], read: "ReadLines", chosen: Sequence[Chosen]) -> pa.Table:
    """Join the chosen lines of all logs (:data:`FOUND`)."""
    if not chosen:
        return FOUND.empty_table()
    rows, scores, begins, is_shown = (
        np.concatenate([getattr(one, name) for one in chosen]) for name in ("rows", "scores", "begins", "is_shown")
    )
    log = pa.array(np.repeat(np.arange(len(chosen)), [len(one.rows) for one in chosen]))
    paths, places, own_numbers = _locate_all([file for file, _, _ in logs], [read.numbers[one.rows] for one in chosen])
    names = {
        name: pa.array([getattr(wanted, name) for _, wanted, _ in logs])
        for name in ("seq_id", "run", "test_case", "service")
    }
    columns = {
        **{name: values.take(log) for name, values in names.items()},
        "path": paths.take(places),
        "line_no": own_numbers,
        "time": pa.array(times_of_day(read.clock[rows], begins) * 1000).cast(schema.TIME),
        "score": scores,
        "statement": read.messages.take(pa.array(rows)),
        "text": read.texts(rows),
        "number": read.numbers[rows],
        "is_shown": is_shown,
    }
    return pa.table({name: columns[name] for name in FOUND.names}, schema=FOUND)


def _locate_all(files: Sequence[SourceFile], numbers: Sequence[Ints]) -> tuple[pa.Array, pa.Array, Ints]:
    """Return the files that lines lie in, each line's place among them and its number there, log by log."""
    paths: list[str] = []
    places, own = [], []
    for file, lines in zip(files, numbers, strict=True):
        names, where, there = locate(file, lines)
        places.append(len(paths) + where)
        own.append(there)
        paths += names
    return pa.array(paths, pa.string()), pa.array(np.concatenate(places)), np.concatenate(own)


def best_lines(tables: Iterable[pa.Table], limit: int) -> Iterator[pa.Table]:
    """Yield the best lines of each case (schema.LINES); the logs of a case are in parts that follow one another."""
    waiting = FOUND.empty_table()
    for table in tables:
        waiting = pa.concat_tables([waiting, table]).combine_chunks()
        if not waiting.num_rows:
            continue
        # What the last case has may go on in the next part.
        last = pc.and_(*(pc.equal(waiting[name], waiting[name][-1]) for name in ("run", "test_case")))
        yield from _cut_cases(waiting.filter(pc.invert(last)), limit)
        waiting = waiting.filter(last)
    yield from _cut_cases(waiting, limit)


def _cut_cases(rows: pa.Table, limit: int) -> Iterator[pa.Table]:
    """Sort the lines of whole cases, the highest score first, and cut each case to the limit."""
    run, case, path = (codes(rows[name])[0] for name in ("run", "test_case", "path"))
    order = np.lexsort((rows["line_no"].to_numpy(), path, -rows["score"].to_numpy(), case, run))
    starts = np.flatnonzero(np.diff(run[order], prepend=-1) | np.diff(case[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    if len(order):
        yield rows.select(schema.LINES.names).take(pa.array(order[rank < limit]))


@dataclass(frozen=True)
class ReadLines:
    """Raw lines that were read again: number, time of day in ms (-1 = none), normalised text after the header.

    ``statement`` is a place among ``names``, the ids of statements, or -1: not in the tables; ``kinds`` is what the ids
    are; ``spans`` (2 x lines) bound the lines, without white space at their ends, in ``buffer``.
    """

    numbers: Ints
    clock: Ints
    messages: pa.Array
    names: pa.Array
    statement: Ints
    kinds: np.ndarray
    buffer: Bytes
    spans: Ints

    @classmethod
    def of(
        cls, pieces: Sequence[tuple[int, bytes]], reader: LineReader, shown: Sequence[tuple[int, bytes]]
    ) -> "ReadLines":
        """Split pieces of a log (number of the first line, whole lines) into lines and find their statements.

        ``shown`` are the same lines as they lie on disk; ``pieces`` may be a translation of them.
        """
        buffer, counts = _as_buffer(pieces)
        lines = split_lines(buffer)
        numbers = [np.arange(first, first + count) for (first, _), count in zip(pieces, counts, strict=True)]
        header = reader.translation.line_format.find_headers(buffer, lines.starts, lines.ends)
        statements = encode_slices(buffer, header.statement, lines.ends)
        bodies = normalise(statements.dictionary.cast(pa.string()), reader.masks)
        texts = bodies.dictionary.cast(pa.string())
        known = reader.known.take(pc.index_in(texts, reader.messages)).take(bodies.indices).take(statements.indices)
        ids = known.dictionary_encode()
        names = ids.dictionary.cast(pa.string())
        return cls(
            np.concatenate([np.zeros(0, np.int64), *numbers]),
            header.time_ms,
            texts.take(bodies.indices).take(statements.indices),
            names,
            ids.indices.fill_null(-1).to_numpy().astype(np.int64),
            kinds_of(names),
            *_bounds(buffer if shown is pieces else _as_buffer(shown)[0]),
        )

    def slice(self, start: int, count: int) -> "ReadLines":
        """Return the lines of one log."""
        rows = slice(start, start + count)
        return replace(
            self,
            numbers=self.numbers[rows],
            clock=self.clock[rows],
            messages=self.messages[rows],
            statement=self.statement[rows],
            spans=self.spans[:, rows],
        )

    def texts(self, rows: Ints) -> pa.Array:
        """Return some lines."""
        return slices(self.buffer, *self.spans[:, rows])


def _as_buffer(pieces: Sequence[tuple[int, bytes]]) -> tuple[Bytes, list[int]]:
    """Return pieces as text in one padded buffer, and how many lines each has."""
    whole = [without_marks(data if data.endswith(b"\n") else data + b"\n") for _, data in pieces]
    text = b"".join(whole)
    if not text.isascii():
        text = text.decode(errors="replace").encode()
    return padded(text), [data.count(b"\n") for data in whole]


def _bounds(buffer: Bytes) -> tuple[Bytes, Ints]:
    lines = split_lines(buffer)
    return buffer, np.stack([lines.starts, lines.ends])


def _previous(numbers: Ints, statement: Ints) -> Ints:
    """Return the statement of the line before each line, those without one passed over; -1 where it was not read."""
    at = np.arange(len(numbers))
    latest = np.maximum.accumulate(np.where(statement >= 0, at, -1))
    before = np.append(-1, latest[:-1])
    start = np.maximum.accumulate(np.where(np.diff(numbers, prepend=-1) == 1, 0, at))
    return np.where(before >= start, statement[before], -1)


def _score(
    said: tuple[Ints, Ints, Ints], kinds: np.ndarray, normals: ServiceNormals, context: tuple[LineReader, Wanted]
) -> np.ndarray:
    """Score the lines of a log by window, their statements and those of the lines before them: float64 (lines,)."""
    (window, own, before), (reader, wanted) = said, context
    key = window * len(kinds) + own
    kind, longest = kinds[own], normals.run.without(wanted.left_out or None)[own]
    repeated = _scaled(np.log2((_run_lengths(key) + 1) / (longest + 1)), (reader.scales, wanted), "run")
    counts, most = np.bincount(key)[key], normals.count.without(wanted.left_out or None)[own]
    errors = _scaled((counts - most) / np.sqrt(most + 1), (reader.scales, wanted), "errors")
    pairs = normals.pairs.surprise(np.where(before >= 0, before, 0), own)
    surprise = np.where(before >= 0, 0.5 * _scaled(pairs, (reader.scales, wanted), "surprise"), 0.0)
    added = np.maximum.reduce([np.zeros(len(own)), repeated, np.where(kind == ERROR, errors, surprise)])
    is_new = (longest == 0) & (kind != CONTINUATION)
    unseen = np.where(kind == ERROR, UNSEEN[True], np.where(counts >= LEAST_UNSEEN, UNSEEN[False], ALARM))
    return added + np.where(is_new, unseen, 0.0)


def _scaled(values: np.ndarray, context: tuple[Scales, Wanted], figure: str) -> np.ndarray:
    """Put figures on the scale of the normals of a log: 0 is their median, 1 their largest."""
    scales, wanted = context
    median, spread = scales.of(wanted.service, figure, wanted.left_out or None)
    return (values - median) / spread


def _run_lengths(values: Ints) -> Ints:
    """Return the length of the run of equal values that each is in."""
    starts = np.flatnonzero(np.diff(values, prepend=values[0] - 1) != 0)
    lengths = np.diff(np.append(starts, len(values)))
    return np.repeat(lengths, lengths)


def times_of_day(clock: Ints, begins: Ints) -> Ints:
    """Put times of day on the day of their window; a line without one has the time of its window's begin."""
    distance = (clock - begins) % DAY_MS
    distance = np.where(distance > DAY_MS // 2, distance - DAY_MS, distance)
    return np.where(clock >= 0, begins + distance, begins)
