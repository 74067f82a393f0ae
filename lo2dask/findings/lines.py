"""The unusual lines of chosen windows: the raw log is read again there, and nowhere else.

A line of a statement that no normal log has scores 20 if it is of an error level, 10 if the window has two of it, else
1.25; to that is added the largest of 0, the scaled run of equal lines
that it is in, and the scaled number of such lines in its window (statements of an error level) or half the scaled
surprise at it after the line before (others). See judge.py for the scales.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from lo2dask import schema
from lo2dask.buffers.arrays import Ints
from lo2dask.buffers.padded import padded
from lo2dask.buffers.slices import encode_slices
from lo2dask.features.masks import Mask, normalise
from lo2dask.features.statements import CONTINUATION, ERROR, kinds_of
from lo2dask.findings.judge import ALARM, LEAST_UNSEEN, UNSEEN, to_scale
from lo2dask.findings.normals import Normals, ServiceNormals, Statistics
from lo2dask.formats.line_format import LineFormat
from lo2dask.ingest.mining import read_mapping
from lo2dask.parse.line_ranges import read_line_ranges
from lo2dask.sources.names import DAY_MS
from lo2dask.sources.tree import SourceFile
from lo2dask.tables.layout import Layout

# Lines that are read before a window.
_BEFORE = 10
FOUND = schema.LINES.append(pa.field("is_evidence", pa.bool_()))


@dataclass(frozen=True)
class Wanted:
    """What is read of one log: windows (first line, last line, begin in ms since 1970), and lines that are evidence.

    ``left_out`` is the run that its normals are without, "" = none; ``begin`` a time of the log in ms since 1970, which
    tells the day of evidence that is in no window.
    """

    run: str
    test_case: str
    service: str
    left_out: str
    begin: int
    windows: tuple[tuple[int, int, int], ...]
    evidence: tuple[int, ...]


@dataclass(frozen=True)
class LineReader:
    """How raw lines become statements, and what they are judged by."""

    layout: Layout
    masks: tuple[Mask, ...]
    line_format: LineFormat
    statistics: Statistics
    scales: Mapping[str, Any]


def find_lines(file: SourceFile, wanted: Wanted, reader: LineReader, limit: int) -> pa.Table:
    """Read and score the wanted lines of one log (:data:`FOUND`): the highest ``limit`` scores, and all evidence.

    Raises
    ------
    OSError : the log is gone.
    """
    windows = sorted(wanted.windows)
    # The line before a window is what its first line is judged after; some may be empty, or were not kept.
    ranges = [(max(first - _BEFORE, 1), last) for first, last, _ in windows] + [
        (line, line) for line in wanted.evidence
    ]
    read = list(read_line_ranges(file, ranges))
    if not read:
        return FOUND.empty_table()
    numbers = np.array([number for number, _ in read])
    texts = [text.strip() for _, text in read]
    clock, messages = _read_messages(texts, reader)
    ids = read_mapping(reader.layout, messages, ["statement_id"])[0].dictionary_encode()
    names, statement = ids.dictionary.cast(pa.string()), ids.indices.fill_null(-1).to_numpy().astype(np.int64)
    kinds, normals = kinds_of(names), Normals(reader.statistics, names).of(wanted.service)
    previous, scores = _previous(numbers, statement), np.zeros(len(read))
    begins = np.full(len(read), wanted.begin)
    for first, last, begin in windows:
        within = (numbers >= first) & (numbers <= last)
        begins[within] = begin
        rows = np.flatnonzero(within & (statement >= 0))
        if normals is not None and len(rows):
            scores[rows] = _score(statement[rows], previous[rows], kinds, normals, (reader, wanted))
    is_evidence = np.isin(numbers, wanted.evidence)
    best = np.argsort(-scores, kind="stable")[:limit]
    keep = np.zeros(len(read), dtype=bool)
    keep[best[scores[best] > 0]] = True
    keep |= is_evidence
    columns = {
        **{name: pa.array([getattr(wanted, name)] * len(read)) for name in ("run", "test_case", "service")},
        "path": pa.array([f"{file.path}:{file.member}" if file.member else file.path] * len(read)),
        "line_no": numbers,
        "time": pa.array(_times(clock, begins) * 1000).cast(schema.TIME),
        "score": scores,
        "statement": messages,
        "text": texts,
        "is_evidence": is_evidence,
    }
    return pa.table({name: columns[name] for name in FOUND.names}, schema=FOUND).filter(pa.array(keep))


def best_lines(tables: Sequence[pa.Table], limit: int) -> Iterator[pa.Table]:
    """Yield the best lines of each case (schema.LINES), given the found lines of all logs, sorted by case."""
    rows = pa.concat_tables([FOUND.empty_table(), *tables]).to_pylist()
    case = ("run", "test_case")
    rows.sort(key=lambda row: (*(row[name] for name in case), -row["score"], row["path"], row["line_no"]))
    for _, group in groupby(rows, key=lambda row: tuple(row[name] for name in case)):
        distinct = {(row["path"], row["line_no"]): row for row in group}
        yield pa.Table.from_pylist(list(distinct.values())[:limit], schema=FOUND).select(schema.LINES.names)


def _read_messages(texts: Sequence[str], reader: LineReader) -> tuple[Ints, pa.Array]:
    """Return the time of day of lines in ms (-1 = none), and their normalised text after the header."""
    lines = [text.encode() for text in texts]
    sizes = np.array([len(line) for line in lines], dtype=np.int64)
    ends = np.cumsum(sizes + 1) - 1
    buffer = padded(b"".join(line + b"\n" for line in lines))
    header = reader.line_format.find_headers(buffer, ends - sizes, ends)
    statements = encode_slices(buffer, header.statement, ends)
    bodies = normalise(statements.dictionary.cast(pa.string()), reader.masks)
    return header.time_ms, bodies.dictionary.cast(pa.string()).take(bodies.indices).take(statements.indices)


def _previous(numbers: Ints, statement: Ints) -> Ints:
    """Return the statement of the line before each line, those without one passed over; -1 where it was not read."""
    at = np.arange(len(numbers))
    latest = np.maximum.accumulate(np.where(statement >= 0, at, -1))
    before = np.append(-1, latest[:-1])
    start = np.maximum.accumulate(np.where(np.diff(numbers, prepend=numbers[0] - 1) == 1, 0, at))
    return np.where(before >= start, statement[before], -1)


def _score(
    own: Ints, before: Ints, kinds: np.ndarray, normals: ServiceNormals, context: tuple[LineReader, Wanted]
) -> np.ndarray:
    """Score the lines of one window by their statements and those of the lines before them: float64 (lines,)."""
    reader, wanted = context
    scales, left_out = reader.scales.get(wanted.service, {}), wanted.left_out or None
    kind, longest = kinds[own], normals.run.without(left_out)[own]
    repeated = to_scale(np.log2((_run_lengths(own) + 1) / (longest + 1)), scales, "run")
    counts, most = np.bincount(own)[own], normals.count.without(left_out)[own]
    errors = to_scale((counts - most) / np.sqrt(most + 1), scales, "errors")
    pairs = normals.pairs.surprise(np.where(before >= 0, before, 0), own)
    surprise = np.where(before >= 0, 0.5 * to_scale(pairs, scales, "surprise"), 0.0)
    added = np.maximum.reduce([np.zeros(len(own)), repeated, np.where(kind == ERROR, errors, surprise)])
    is_new = (longest == 0) & (kind != CONTINUATION)
    unseen = np.where(kind == ERROR, UNSEEN[True], np.where(counts >= LEAST_UNSEEN, UNSEEN[False], ALARM))
    return added + np.where(is_new, unseen, 0.0)


def _run_lengths(values: Ints) -> Ints:
    """Return the length of the run of equal values that each is in."""
    starts = np.flatnonzero(np.diff(values, prepend=values[0] - 1) != 0)
    lengths = np.diff(np.append(starts, len(values)))
    return np.repeat(lengths, lengths)


def _times(clock: Ints, begins: Ints) -> Ints:
    """Put times of day on the day of their window; a line without one has the time of its window's begin."""
    distance = (clock - begins) % DAY_MS
    distance = np.where(distance > DAY_MS // 2, distance - DAY_MS, distance)
    return np.where(clock >= 0, begins + distance, begins)
