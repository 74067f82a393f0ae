"""One chunk of whole lines to event rows: which lines are kept, their times, their columns."""

from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from lo2dask.buffers.arrays import Bools, Bytes, Ints
from lo2dask.buffers.padded import padded_text
from lo2dask.buffers.slices import slices
from lo2dask.formats.header import Header
from lo2dask.formats.kinds import Translation
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.options import LoadingOptions
from lo2dask.parse.chunks import LONGEST_LINE, TOO_LONG, Chunk, Counts, Reading, read_chunks
from lo2dask.parse.clock import NO_TIME, continue_day, fill_times, to_timestamps
from lo2dask.parse.columns import (
    EVENTS,
    FileKeys,
    event_columns,
    event_starts,
    merge_continuations,
    text_columns,
)
from lo2dask.parse.lines import KeptLines, Lines, find_lines
from lo2dask.parse.text import remove_marks, repair_utf8
from lo2dask.parse.translate import Translator

# The LO2 paper cuts `correct` logs (60 s) to the length of error cases: 1/7.05 of their lines (arXiv 2504.12067).
CORRECT_CUT = 7.05
_UNCOUNTED = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class LinePolicy:
    """How lines are read, and which are kept.

    ``skip`` start-up lines are dropped; ``continuation`` is the policy for lines that continue an event; ``balance``
    is whether `correct` is cut; ``line_format`` what a line looks like, after ``translation`` where there is one.
    """

    skip: int
    continuation: str
    balance: bool
    line_format: LineFormat = LO2
    translation: Translation | None = None

    @classmethod
    def from_options(
        cls,
        options: LoadingOptions,
        line_format: LineFormat,
        translation: Translation,
        is_lo2: bool,
    ) -> "LinePolicy":
        """Take the policy from load's options; without --trim-init-lines, those of LO2's layout are trimmed alone."""
        is_trimmed = is_lo2 if options.trim_init_lines is None else options.trim_init_lines
        skip = options.init_lines_to_skip if is_trimmed else 0
        return cls(skip, options.continuation_lines, options.balance_correct, line_format, translation)


@dataclass
class FileState:
    """What a later block of the same file needs: raw lines so far, the last time, the file's lines if counted."""

    index: int = -1
    lines: int = 0
    last: int = NO_TIME
    total: int = 0


@dataclass
class EventParser:
    """Parses the chunks of one batch in order; only a file larger than a chunk leaves state between two of them.

    The text of the first ``start_lines`` raw lines of each log is kept apart, whatever the policy does with them.
    The columns of text are null unless ``with_text``; without ``with_ids`` they tell of correlation ids that there are.
    """

    keys: FileKeys
    policy: LinePolicy
    reading: Reading
    with_text: bool = False
    with_ids: bool = True
    start_lines: int = 0
    starts: list[tuple[Ints, Ints, pa.Array]] = field(default_factory=list)
    state: FileState = field(default_factory=FileState)
    unfinished: pa.Table | None = None
    read: Ints = field(init=False)
    dropped: Ints = field(init=False)
    blank: Ints = field(init=False)

    def __post_init__(self) -> None:
        """Begin with no line of any file: ``read``, ``dropped`` and ``blank`` count the lines of each."""
        self.read, self.dropped, self.blank = np.zeros((3, len(self.keys.files)), dtype=np.int64)
        self.translator = self._translator(self.reading)

    def parse(self, chunk: Chunk) -> pa.Table:
        """Parse one chunk into event rows (columns.EVENTS)."""
        chunk, lines = self._read_lines(chunk, self.reading, self.translator)
        if not chunk.segments:
            return EVENTS.empty_table()
        buffer, layout = chunk.buffer, _lay_out(lines, chunk)
        header = self.policy.line_format.find_headers(buffer, layout.starts, layout.ends)
        stamps = self._stamps(header, layout)
        keep = self._keep(buffer, header, layout)
        self._remember(chunk.segments[-1].index, stamps, layout)
        if self.start_lines:
            self._keep_starts(buffer, layout, header)
        if self.policy.continuation == "fill":
            stamps = layout.filled
        kept = _take(layout, header, stamps, keep)
        table = event_columns(buffer, kept, self.keys, self.policy.line_format, self.with_text, self.with_ids)
        return self._merge(table) if self.policy.continuation == "merge" else table

    def _translator(self, reading: Reading) -> Translator | None:
        translation = self.policy.translation
        return Translator(translation, reading) if translation and translation.has_effect else None

    def _read_lines(self, chunk: Chunk, reading: Reading, translator: Translator | None) -> tuple[Chunk, Lines]:
        """Return a chunk as text of the policy's line format, and its lines."""
        lines = find_lines(chunk.buffer)
        if lines.has_escape or not lines.is_ascii:
            repaired = repair_utf8(remove_marks(chunk), reading)
            if repaired is not chunk:
                chunk, lines = repaired, find_lines(repaired.buffer)
        if translator:
            chunk = translator.translate(chunk, lines)
            lines = find_lines(chunk.buffer)
        return chunk, lines

    def take_start_rows(self) -> list[pa.Table]:
        """Return and forget the first lines kept since the last call (columns.text_columns)."""
        if not self.starts:
            return []
        file, time_ms = (np.concatenate(columns) for columns in list(zip(*self.starts, strict=True))[:2])
        buffer, borders = padded_text(pa.concat_arrays([texts for *_, texts in self.starts]))
        self.starts = []
        header = self.policy.line_format.find_headers(buffer, borders[:-1], borders[1:])
        # What tells that a line is no event may stand before it.
        return [text_columns(buffer, borders[1:], file, replace(header, time_ms=time_ms), self.keys)]

    def finish(self) -> list[pa.Table]:
        """Return the event that was held back because the next chunk might have gone on with it."""
        return [] if self.unfinished is None else [merge_continuations(self.unfinished)]

    def _merge(self, table: pa.Table) -> pa.Table:
        if self.unfinished is not None:
            table = pa.concat_tables([self.unfinished, table]).unify_dictionaries()
        starts = event_starts(table)
        whole = int(starts[-1]) if len(starts) else 0
        self.unfinished = table.slice(whole)
        return merge_continuations(table.slice(0, whole))

    def _stamps(self, header: Header, layout: "_Layout") -> Ints:
        stamps = self._timestamps(header.time_ms, layout.file, layout.first_rows)
        before = self.state.last if layout.continues(self.state.index) else NO_TIME
        needs_day = not self.policy.line_format.has_date and self.keys.begin_ms[self.state.index] == NO_TIME
        if before != NO_TIME and needs_day:
            first = slice(0, int(layout.end_rows[0]))
            stamps[first] = continue_day(stamps[first], before)
        layout.filled = fill_times(stamps, layout.first_rows, layout.end_rows, before)
        if self.policy.continuation == "fill" and layout.is_partial and layout.filled[-1] == NO_TIME:
            last = int(layout.file[-1])
            layout.filled[layout.file == last] = self._first_time(last)
        return stamps

    def _timestamps(self, time_ms: Ints, file: Ints, first_rows: Ints) -> Ints:
        """Return the time of each line in ms since 1970, NO_TIME for none."""
        if self.policy.line_format.has_date:
            return np.where(time_ms >= 0, time_ms, NO_TIME)
        return to_timestamps(time_ms, self.keys.begin_ms[file], first_rows)

    def _first_time(self, index: int) -> int:
        """Look ahead for a large file's first time, when a whole block at its start has none."""
        reading = Reading()
        translator = self._translator(reading)
        for raw in read_chunks([self.keys.files[index]], reading):
            chunk, lines = self._read_lines(raw, reading, translator)
            header = self.policy.line_format.find_headers(chunk.buffer, lines.starts, lines.ends)
            if (header.time_ms >= 0).any():
                first = header.time_ms[header.time_ms >= 0][:1]
                return int(self._timestamps(first, np.array([index]), np.zeros(1, dtype=np.int64))[0])
        return NO_TIME

    def _keep(self, buffer: Bytes, header: Header, layout: "_Layout") -> Bools:
        """Decide each line's fate, the first reason wins, and count it."""
        number = self._numbers(layout)
        totals = self._totals(layout)
        left = np.ones(len(number), dtype=bool)
        counts = Counts(lines_in=len(number))

        def drop(lines: Bools) -> int:
            """Drop lines that are still kept; return how many."""
            dropped = left & lines
            left[dropped] = False
            return int(dropped.sum())

        skipped = np.where(totals > self.policy.skip, self.policy.skip, 0)
        layout.bad = self._bad_lines(buffer, layout)
        counts.rejected = drop(layout.bad)
        counts.trimmed = drop(number < skipped)
        if self.policy.balance:
            cut = skipped + ((totals - skipped) / CORRECT_CUT).astype(np.int64)
            counts.balanced = drop(self.keys.is_normal[layout.file] & (number >= cut))
        counts.blank = drop(blank := layout.starts == layout.ends)
        if self.policy.continuation == "drop":
            counts.continuation = drop(header.continues)
        counts.kept = int(left.sum())
        self.read += np.bincount(layout.file, minlength=len(self.read))
        self.dropped += np.bincount(layout.file[~left], minlength=len(self.read))
        self.blank += np.bincount(layout.file[blank], minlength=len(self.read))
        self.reading.counts.add(counts)
        return left

    def _keep_starts(self, buffer: Bytes, layout: "_Layout", header: Header) -> None:
        """Copy a chunk's few first lines: what is made of them is made of all chunks' at once."""
        chosen = np.flatnonzero((layout.number < self.start_lines) & (layout.starts < layout.ends) & ~layout.bad)
        if len(chosen):
            texts = slices(buffer, layout.starts[chosen], layout.ends[chosen])
            self.starts.append((layout.file[chosen], header.time_ms[chosen], texts))

    def _numbers(self, layout: "_Layout") -> Ints:
        """Number each line within its file, from 0."""
        layout.number = np.arange(len(layout.file)) - layout.first_rows
        if layout.continues(self.state.index):
            layout.number[: layout.end_rows[0]] += self.state.lines
        layout.number += layout.lost
        return layout.number

    def _totals(self, layout: "_Layout") -> Ints:
        """Count the lines of each line's file; a file of several blocks is counted ahead when a rule needs it."""
        totals = layout.end_rows - layout.first_rows + layout.lost
        layout.total = 0
        if layout.continues(self.state.index):
            layout.total = self.state.total
            totals = np.where(layout.file == self.state.index, self.state.total or _UNCOUNTED, totals)
        last = int(layout.file[-1])
        if layout.is_partial and not (layout.continues(self.state.index) and last == self.state.index):
            needed = self.policy.balance or totals[-1] <= self.policy.skip
            layout.total = self.reading.count_lines(self.keys.files[last]) if needed else 0
            totals = np.where(layout.file == last, layout.total or _UNCOUNTED, totals)
        return totals

    def _bad_lines(self, buffer: Bytes, layout: "_Layout") -> Bools:
        """Find the lines that cannot be used and reject them: over-long ones and those with NUL bytes."""
        bad = layout.ends - layout.starts > LONGEST_LINE
        self._reject_lines(layout, bad, *TOO_LONG)
        if layout.has_nul:
            at = np.flatnonzero(buffer[: layout.size] == 0)
            nul = np.zeros(len(bad), dtype=bool)
            nul[np.searchsorted(layout.raw_ends, at)] = True
            self._reject_lines(layout, nul & ~bad, "NUL bytes", "lines left out: {}")
            bad = bad | nul
        return bad

    def _reject_lines(self, layout: "_Layout", bad: Bools, reason: str, detail: str) -> None:
        for index, count in zip(*np.unique(layout.file[bad], return_counts=True), strict=True):
            self.reading.reject(self.keys.files[index], reason, detail, int(count))

    def _remember(self, index: int, stamps: Ints, layout: "_Layout") -> None:
        """Keep what the next block of the last file will need."""
        tail = int(layout.first_rows[-1])
        timed = stamps[tail:][stamps[tail:] != NO_TIME]
        last = int(timed[-1]) if timed.size else int(layout.filled[-1])
        self.state = FileState(index, int(layout.number[-1]) + 1, last, layout.total)


@dataclass
class _Layout:
    """Lines of a chunk: stripped bounds, the file of each, and the rows where that file begins and ends."""

    starts: Ints
    ends: Ints
    raw_ends: Ints
    words: Ints
    file: Ints
    first_rows: Ints
    end_rows: Ints
    lost: Ints
    size: int
    is_partial: bool
    first_continues: bool
    is_ascii: bool
    has_nul: bool
    filled: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    number: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    bad: Bools = field(default_factory=lambda: np.empty(0, dtype=bool))
    total: int = 0

    def continues(self, index: int) -> bool:
        """Return whether the first line belongs to the file that the chunk before ended in."""
        return self.first_continues and int(self.file[0]) == index


def _lay_out(lines: Lines, chunk: Chunk) -> _Layout:
    segments = chunk.segments
    borders = np.searchsorted(lines.raw_ends, np.cumsum([segment.size for segment in segments]))
    counts = np.diff(borders, prepend=0)
    first_rows = borders - counts
    return _Layout(
        lines.starts, lines.ends, lines.raw_ends, lines.words,
        np.repeat(np.array([segment.index for segment in segments], dtype=np.int64), counts),
        np.repeat(first_rows, counts), np.repeat(borders, counts),
        np.repeat(np.array([segment.lost for segment in segments], dtype=np.int64), counts),
        chunk.size, not segments[-1].whole, not segments[0].first, lines.is_ascii, lines.has_nul,
    )  # fmt: skip


def _take(layout: _Layout, header: Header, stamps: Ints, keep: Bools) -> KeptLines:
    kept = np.flatnonzero(keep)
    return KeptLines(
        layout.starts.take(kept), layout.ends.take(kept), layout.words.take(kept), layout.file.take(kept),
        layout.number.take(kept), stamps.take(kept), header.take(keep), layout.is_ascii,
    )  # fmt: skip
