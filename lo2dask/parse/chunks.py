"""Reads files into chunks that fit the CPU's cache: many small files in one, or a block of a large one.

A chunk always ends with a whole line. What cannot be read becomes a reject, and the rest is read all the same.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lo2dask.errors import IntegrityError
from lo2dask.sources.tree import SourceFile
from lo2dask.storage import open_at

CHUNK_BYTES = 8 << 20
LONGEST_LINE = 1 << 20
TOO_LONG = ("line too long", f"lines left out, of more than {LONGEST_LINE} bytes: {{}}")
# A file whose head holds more control bytes than this is no text.
BINARY_SHARE = 0.1
_TEXT = bytes(range(0x20, 0x7F)) + b"\t\n\r\f\v\x1b\x00" + bytes(range(0x80, 0x100))


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
    """A chunk's share of one file: ``data`` holds whole lines; ``index`` numbers the file within its batch.

    ``first`` marks a file's first segment, ``whole`` its only one; ``lost`` counts the lines left out between the
    segment before and this one.
    """

    index: int
    file: SourceFile
    data: bytes
    first: bool
    whole: bool
    lost: int = 0


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
    found: dict[tuple[str, str, str], tuple[str, int]] = field(default_factory=dict)

    def reject(self, file: SourceFile, reason: str, detail: str = "", count: int = 0) -> None:
        """Record that (a part of) a file was not used.

        The blocks of a large file make one row together: their counts are added, and stand for ``{}`` in ``detail``.
        """
        key = (file.path, file.member, reason)
        self.found[key] = (detail, count + self.found.get(key, ("", 0))[1])

    @property
    def rejects(self) -> list[Reject]:
        """The rows for lo2_rejects.parquet, in the order in which they were found."""
        return [
            Reject(path, member, self.stage, reason, detail.replace("{}", str(count), 1) if count else detail)
            for (path, member, reason), (detail, count) in self.found.items()
        ]

    def count_lines(self, file: SourceFile) -> int:
        """Count a file's lines ahead of parsing, in blocks; only done when a rule needs a large file's number."""
        lines, left, end = 0, file.size, b""
        with open_at(file.path, file.offset) as raw:
            while left > 0 and (block := raw.read(min(left, CHUNK_BYTES))):
                lines, left, end = lines + block.count(b"\n"), left - len(block), block[-1:]
        return lines + (end not in (b"", b"\n"))


def read_chunks(files: Iterable[SourceFile], reading: Reading) -> Iterator[list[Segment]]:
    """Read files in order into lists of segments of about CHUNK_BYTES together; rejects go into ``reading``."""
    chunk: list[Segment] = []
    size = 0
    for index, file in enumerate(files):
        for segment in _segments(index, file, reading):
            # A chunk holds one segment of a file at most: what a later one needs is kept between chunks.
            if chunk and (not segment.first or size + len(segment.data) > CHUNK_BYTES):
                yield chunk
                chunk, size = [], 0
            chunk.append(segment)
            size += len(segment.data)
    if chunk:
        yield chunk


def _segments(index: int, file: SourceFile, reading: Reading) -> Iterator[Segment]:
    if file.problem:
        reading.reject(file, "unreadable", file.problem)
        return
    if file.size == 0:
        reading.reject(file, "empty", "0 bytes")
        return
    try:
        yield from _read_blocks(index, file, reading)
    except FileNotFoundError:
        reading.reject(file, "vanished", "it was there when the tree was scanned")
    except OSError as error:
        reading.reject(file, "unreadable", error.strerror or str(error))


def _read_blocks(index: int, file: SourceFile, reading: Reading) -> Iterator[Segment]:
    """Read one file in blocks that end with a line; a line over LONGEST_LINE is left out and counted."""
    left, carry, first, skipping, lost = file.size, b"", True, False, 0
    with open_at(file.path, file.offset) as raw:
        while left > 0:
            block = raw.read(min(left, CHUNK_BYTES))
            if not block:
                reading.reject(file, "truncated", f"{left} of {file.size} bytes are missing")
                break
            left -= len(block)
            reading.bytes_read += len(block)
            if first and _is_binary(block[:8192]):
                reading.reject(file, "binary", "no text: control bytes in its first 8 KiB")
                return
            if skipping:
                block, skipping = _skip_line(block)
            cut = len(block) if left == 0 else block.rfind(b"\n") + 1
            data = carry + block[:cut] if cut else b""
            carry = block[cut:] if cut else carry + block
            if data:
                yield Segment(index, file, _ended(data), first, first and left == 0, lost)
                first, lost = False, 0
            if len(carry) > LONGEST_LINE:
                _reject_line(file, reading)
                carry, skipping, lost = b"", True, lost + 1
    if carry:
        yield Segment(index, file, _ended(carry), first, first, lost)


def _ended(data: bytes) -> bytes:
    return data if data.endswith(b"\n") else data + b"\n"


def _skip_line(block: bytes) -> tuple[bytes, bool]:
    end = block.find(b"\n") + 1
    return (block[end:], False) if end else (b"", True)


def _reject_line(file: SourceFile, reading: Reading) -> None:
    reading.counts.lines_in += 1
    reading.counts.rejected += 1
    reading.reject(file, *TOO_LONG, 1)


def _is_binary(head: bytes) -> bool:
    return len(head.translate(None, _TEXT)) > BINARY_SHARE * len(head)
