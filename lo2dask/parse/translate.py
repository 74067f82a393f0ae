"""Chunks of any format become chunks of canonical lines, one for each line, so that line numbers stay."""

from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.buffers.padded import padded, text_bytes
from lo2dask.formats.fields import TextLines, write_canonical, write_untimed
from lo2dask.formats.json_lines import JsonFormat, have_several
from lo2dask.formats.kinds import PLAIN, UNREAD, KindFormat, Translation
from lo2dask.formats.wrappers import unwrap
from lo2dask.parse.chunks import Chunk, Reading, Segment
from lo2dask.parse.clock import NO_TIME, Days
from lo2dask.parse.lines import Lines, find_lines
from lo2dask.parse.text import without_marks
from lo2dask.sources.names import run_clock
from lo2dask.sources.tree import SourceFile

_NO_HEADER = "no line has a header of the format {}, which the other files of its kind have; one looks like {!r}"
_SEVERAL = ("several records", "lines of several OpenTelemetry records, each kept as one event: {}")
_UNREAD = "too few lines of its service are of a known format: describe them in a YAML file (--format FILE.yaml)"


@dataclass
class Translator:
    """Translates the chunks of a batch in order; a file without any header is left out and recorded."""

    translation: Translation
    reading: Reading

    def __post_init__(self) -> None:
        """Begin with no file left out, no line before, and no day."""
        self._left_out: set[int] = set()
        self._days = Days()
        self._before = b""

    def translate(self, chunk: Chunk, lines: Lines) -> Chunk:
        """Return the chunk with canonical lines, without the segments of files that have no header at its start."""
        ends = np.cumsum([0, *(segment.size for segment in chunk.segments)])
        borders = np.searchsorted(lines.raw_ends, ends)
        segments, texts = [], []
        for (kind, _), group in groupby(
            zip(chunk.segments, pairwise(borders.tolist()), pairwise(ends.tolist()), strict=True),
            key=lambda pair: self._group(pair[0]),
        ):
            pairs = list(group)
            if kind.is_lo2 and not self.translation.is_needed:
                segments += [(segment, segment.size) for segment, _, _ in pairs]
                texts += [chunk.buffer[low:high].data for _, _, (low, high) in pairs]
                continue
            start, end = pairs[0][1][0], pairs[-1][1][1]
            some = text_lines(chunk, lines, [pair[0] for pair in pairs], (start, end), self.translation.timezone)
            written, headed = translate_lines(self._with_before(some, pairs[0][0], kind), kind, self._days)
            written, headed = written[start - end :], headed[start - end :]
            several = np.zeros(end - start, dtype=bool)
            if kind.name == JsonFormat.name and pc.any(pc.match_substring(some.texts, "logRecords")).as_py():
                several = have_several(unwrap(some, kind.wrappers))
            for segment, (low, high), _ in pairs:
                part = slice(low - start, high - start)
                if self._is_strange(segment, kind, headed[part]):
                    continue
                if several[part].any():
                    self.reading.reject(segment.file, *_SEVERAL, int(several[part].sum()))
                text, offsets = text_bytes(written[part])
                segments.append((segment, int(offsets[-1] - offsets[0])))
                texts.append(text[offsets[0] : offsets[-1]].data)
        sized = [Segment(**{**vars(segment), "size": size}) for segment, size in segments]
        return Chunk(sized, padded(*texts))

    def _group(self, segment: Segment) -> tuple[KindFormat, int]:
        """Return what segments that are translated together share; a log's parts of lines end with it."""
        kind = self.translation.of(segment.file.service)
        return kind, segment.index if "cri-time" in kind.wrappers else -1

    def _with_before(self, lines: TextLines, segment: Segment, kind: KindFormat) -> TextLines:
        """Put the line before a block of a log to the block's lines, where a part of a line may go on with it."""
        if "cri-time" not in kind.wrappers or not len(lines.starts):
            return lines
        before, self._before = self._before, lines.buffer[lines.starts[-1] : lines.ends[-1]].tobytes()
        if segment.first or segment.lost:
            return lines
        size, rows = len(before), np.maximum(np.arange(-1, len(lines.starts)), 0)
        starts, ends = (np.append(first, one + size) for first, one in ((0, lines.starts), (size, lines.ends)))
        indented = np.append(False, lines.indented)
        buffer = padded(before, lines.buffer.data)
        return replace(lines.take(rows), buffer=buffer, starts=starts, ends=ends, indented=indented)

    def _is_strange(self, segment: Segment, kind: KindFormat, headed: Bools) -> bool:
        if segment.index in self._left_out:
            return True
        if not segment.first or kind.name == PLAIN or headed.any():
            return False
        self._left_out.add(segment.index)
        detail = _UNREAD if kind.name == UNREAD else _NO_HEADER.format(kind.label, kind.reader.example)
        self.reading.reject(segment.file, "no header", detail)
        return True


def text_lines(chunk: Chunk, lines: Lines, segments: list[Segment], rows: tuple[int, int], timezone: str) -> TextLines:
    """Return the lines of adjacent segments of a chunk, ``rows`` (start, end) of all its lines."""
    start, end = rows
    counts = np.diff(np.searchsorted(lines.raw_ends[start:end], _ends(chunk, segments)), prepend=0)
    begins = np.append(-1, lines.raw_ends)[start:end] + 1
    latest = np.repeat([segment.file.mtime_ns // 1_000_000 for segment in segments], counts)
    clocks = [run_clock(segment.file.run).begin_ms for segment in segments]
    begin = np.repeat(_or_no_time(clocks), counts)
    day = np.repeat(_or_no_time([segment.file.day_ms for segment in segments]), counts)
    file = np.repeat([segment.index for segment in segments], counts)
    starts = lines.starts[start:end]
    return TextLines(chunk.buffer, starts, lines.ends[start:end], starts > begins, file, latest, begin, day, timezone)


def _or_no_time(values: list[int | None]) -> Ints:
    return np.array([NO_TIME if value is None else value for value in values], np.int64)


def translate_lines(lines: TextLines, kind: KindFormat, days: Days) -> tuple[pa.StringArray, Bools]:
    """Return canonical lines, each with its newline, and which of them have a header."""
    lines = unwrap(lines, kind.wrappers)
    fields = days.date(lines, kind.reader.read(lines))
    headed = np.zeros(len(lines.starts), dtype=bool)
    headed[fields.rows] = True
    written = write_untimed(lines.texts) if kind.name == PLAIN else write_canonical(lines.texts, fields)
    return pc.binary_join_element_wise(written, "\n", ""), headed


def translate_text(data: bytes, file: SourceFile, translation: Translation) -> bytes:
    """Return whole lines of a file, as they lie on disk, as canonical lines."""
    data = without_marks(data if data.endswith(b"\n") else data + b"\n")
    data = data if data.isascii() else data.decode(errors="replace").encode()
    segment = Segment(0, file, len(data), first=False, whole=False)
    chunk = Chunk([segment], padded(data))
    translated = Translator(translation, Reading()).translate(chunk, find_lines(chunk.buffer))
    return translated.buffer[: translated.size].tobytes()


def _ends(chunk: Chunk, segments: list[Segment]) -> Ints:
    """Return where segments end in a chunk."""
    ends = np.cumsum([segment.size for segment in chunk.segments])
    first = next(place for place, segment in enumerate(chunk.segments) if segment is segments[0])
    return ends[first : first + len(segments)]
