"""Reads files into chunks that fit the CPU's cache: many small files in one, or a block of a large one.

A chunk always ends with a whole line. What cannot be read becomes a reject, and the rest is read all the same.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import FileIO, RawIOBase
from itertools import pairwise

import numpy as np

from lo2dask.buffers.arrays import Bytes
from lo2dask.buffers.padded import PADDING, padded
from lo2dask.errors import IntegrityError
from lo2dask.sources.content import START_BYTES, text_problem
from lo2dask.sources.streams import PartsReader
from lo2dask.sources.tree import SourceFile
from lo2dask.storage import open_at, read_into

CHUNK_BYTES = 8 << 20
# Events are written, and their text is counted, in blocks of about so many bytes: it bounds a task's memory.
BLOCK_BYTES = 64 << 20
LONGEST_LINE = 1 << 20
TOO_LONG = ("line too long", f"lines left out, of more than {LONGEST_LINE} bytes: {{}}")
_NEWLINE = 0x0A


@dataclass(frozen=True)
class Reject:
    """One row of lo2_rejects.parquet."""

    path: str
    member: str
    stage: str
    reason: str
    detail: str


@dataclass
class Segment:
    """A chunk's share of one file: ``size`` bytes of whole lines; ``index`` numbers the file within its batch.

    ``first`` marks a file's first segment, ``whole`` its only one; ``lost`` counts the lines left out between the
    segment before and this one.
    """

    index: int
    file: SourceFile
    size: int
    first: bool
    whole: bool
    lost: int = 0


@dataclass(frozen=True)
class Chunk:
    """Segments of files, at most one per file, and the padded buffer (buffers.padded) that holds them in order."""

    segments: list[Segment]
    buffer: Bytes

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return len(self.buffer) - PADDING

    def texts(self) -> list[bytes]:
        """Copy the segments."""
        ends = np.cumsum([0, *(segment.size for segment in self.segments)]).tolist()
        return [self.buffer[start:end].tobytes() for start, end in pairwise(ends)]


@dataclass
class Counts:
    """Lines of a batch: what came in is what was kept, dropped for a stated reason, or rejected."""

    lines_in: int = 0
    kept: int = 0
    trimmed: int = 0
    blank: int = 0
    continuation: int = 0
    balanced: int = 0
    rejected: int = 0

    def add(self, other: "Counts") -> None:
        """Add another chunk's counts."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def check(self, where: str) -> None:
        """Assert that no line was lost.

        Raises
        ------
        IntegrityError : lines in are not lines kept, dropped or rejected.
        """
        out = self.kept + self.trimmed + self.blank + self.continuation + self.balanced + self.rejected
        if out != self.lines_in:
            raise IntegrityError(f"{where}: {self.lines_in} lines came in, {out} are accounted for")


@dataclass
class Reading:
    """What reading has seen so far: counts of lines, bytes read, and what was not used."""

    counts: Counts = field(default_factory=Counts)
    bytes_read: int = 0
    stage: str = "load"
    reasons: dict[tuple[SourceFile, str, str], int] = field(default_factory=dict)

    def reject(self, file: SourceFile, reason: str, detail: str = "", count: int = 0) -> None:
        """Record that (a part of) a file was not used.

        The blocks of a large file make one row together: their counts are added, and stand for ``{}`` in ``detail``.
        """
        key = (file, reason, detail)
        self.reasons[key] = count + self.reasons.get(key, 0)

    @property
    def rejects(self) -> list[Reject]:
        """The rows for lo2_rejects.parquet, in the order in which they occurred."""
        return [
            Reject(file.path, file.member, self.stage, reason, detail.replace("{}", str(count), 1) if count else detail)
            for (file, reason, detail), count in self.reasons.items()
        ]

    def count_lines(self, file: SourceFile) -> int:
        """Count a file's lines ahead of parsing, in blocks; only done when a rule needs a large file's number."""
        lines, left, end = 0, file.limit, b""
        with file.open() as raw:
            while left > 0 and (block := raw.read(min(left, CHUNK_BYTES))):
                lines, left, end = lines + block.count(b"\n"), left - len(block), block[-1:]
        return lines + (end not in (b"", b"\n"))


def read_chunks(files: Iterable[SourceFile], reading: Reading) -> Iterator[Chunk]:
    """Read files in order into chunks of about CHUNK_BYTES; rejects go into ``reading``."""
    room = _Room()
    for index, file in enumerate(files):
        if file.problem:
            reading.reject(file, *file.rejection)
        elif file.size == 0:
            reading.reject(file, "empty", "0 bytes")
        elif file.size <= CHUNK_BYTES and not file.parts:
            if not room.takes(file.size):
                yield room.chunk()
                room = _Room()
            with _rejecting(file, reading):
                room.read(index, file, reading)
        else:
            if room.segments:
                yield room.chunk()
                room = _Room()
            with _rejecting(file, reading):
                yield from _read_blocks(index, file, reading)
    if room.segments:
        yield room.chunk()


@contextlib.contextmanager
def _rejecting(file: SourceFile, reading: Reading) -> Iterator[None]:
    """Reject a file that cannot be read in the block."""
    try:
        yield
    except FileNotFoundError:
        reading.reject(file, "vanished", "it was there when the tree was scanned")
    except OSError as error:
        reading.reject(file, "unreadable", error.strerror or str(error))


class _Room:
    """The buffer of a chunk to come, which small files are read into."""

    def __init__(self) -> None:
        # A newline may be missing after the last line.
        self._buffer = np.empty(CHUNK_BYTES + 1 + PADDING, dtype=np.uint8)
        self._size = 0
        self.segments: list[Segment] = []

    def takes(self, size: int) -> bool:
        """Return whether a file of ``size`` bytes goes into the chunk."""
        return not self.segments or self._size + size < CHUNK_BYTES

    def read(self, index: int, file: SourceFile, reading: Reading) -> None:
        """Read a whole file."""
        room = self._buffer[self._size : self._size + file.size].data
        with open_at(file.path, file.offset) as raw:
            size = read_into(raw, room)
            _note_change(file, raw, reading)
        reading.bytes_read += size
        problem = text_problem(bytes(room[: min(size, START_BYTES)]))
        if problem:
            reading.reject(file, *problem)
            return
        if size < file.size:
            _reject_truncated(file, file.size - size, reading)
        if size:
            start, self._size = self._size, self._size + size
            if self._buffer[self._size - 1] != _NEWLINE:
                self._buffer[self._size] = _NEWLINE
                self._size += 1
            self.segments.append(Segment(index, file, self._size - start, first=True, whole=True))

    def chunk(self) -> Chunk:
        """Return the chunk; nothing more is read into it."""
        buffer = self._buffer[: self._size + PADDING]
        buffer[self._size :] = 0
        buffer.flags.writeable = False
        return Chunk(self.segments, buffer)


def _read_blocks(index: int, file: SourceFile, reading: Reading) -> Iterator[Chunk]:
    """Read one file in blocks that end with a line; a line over LONGEST_LINE is left out and counted."""
    carry, first, skipping, lost, is_start = b"", True, False, 0, True
    with file.open() as raw:
        for block, left in _blocks(raw, file, reading):
            reading.bytes_read += len(block)
            problem = text_problem(block[:START_BYTES]) if is_start else None
            if problem:
                reading.reject(file, *problem)
                return
            is_start = False
            if skipping:
                block, skipping = _skip_line(block)
            cut = len(block) if left == 0 else block.rfind(b"\n") + 1
            data = carry + block[:cut] if cut else b""
            carry = block[cut:] if cut else carry + block
            if data:
                data = _ended(data)
                yield Chunk([Segment(index, file, len(data), first, first and left == 0, lost)], padded(data))
                first, lost = False, 0
            if len(carry) > LONGEST_LINE:
                _reject_line(file, reading)
                carry, skipping, lost = b"", True, lost + 1
        _note_change(file, raw, reading)
    if carry:
        data = _ended(carry)
        yield Chunk([Segment(index, file, len(data), first, first, lost)], padded(data))


def _blocks(raw: RawIOBase, file: SourceFile, reading: Reading) -> Iterator[tuple[bytes, int]]:
    """Read a file in blocks, each with the number of bytes after it, or for a stream 0 if there are none."""
    if isinstance(raw, PartsReader):
        block = raw.read(CHUNK_BYTES)
        while block:
            following = raw.read(CHUNK_BYTES)
            yield block, len(following or b"")
            block = following
        if raw.problem:
            reading.reject(file, "truncated", raw.problem)
        return
    left = file.size
    while left > 0:
        block = raw.read(min(left, CHUNK_BYTES))
        if not block:
            _reject_truncated(file, left, reading)
            return
        left -= len(block)
        yield block, left


def _ended(data: bytes) -> bytes:
    return data if data.endswith(b"\n") else data + b"\n"


def _skip_line(block: bytes) -> tuple[bytes, bool]:
    end = block.find(b"\n") + 1
    return (block[end:], False) if end else (b"", True)


def _reject_truncated(file: SourceFile, missing: int, reading: Reading) -> None:
    reading.reject(file, "truncated", f"{missing} of {file.size} bytes are missing")


def _reject_line(file: SourceFile, reading: Reading) -> None:
    reading.counts.lines_in += 1
    reading.counts.rejected += 1
    reading.reject(file, *TOO_LONG, 1)


def _note_change(file: SourceFile, raw: RawIOBase, reading: Reading) -> None:
    """Record that a log on a local disk has changed since the tree was scanned; what was read of it is kept."""
    if not isinstance(raw, FileIO) or not file.mtime_ns:
        return
    state = os.fstat(raw.fileno())
    grown = 0 if file.member else state.st_size - file.size
    if grown > 0:
        reading.reject(file, "still written", f"{grown} bytes more than when the tree was scanned: load again later")
    elif state.st_mtime_ns != file.mtime_ns and grown == 0:
        reading.reject(file, "changed", "it was written after the tree was scanned: load again")
