"""Compressed and rotated logs, read in place: one stream of text from one or several files, in bounded memory."""

import bz2
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

from lo2dask.storage import open_at

# What compressed text is taken to unpack to, where its size decides about batches: it is not known before it is read.
RATIO = 10
_READ_BYTES = 1 << 16
# Of a damaged .zst so much of what precedes the damage may be lost.
_ZSTD_BYTES = 1 << 12
_PACKED = re.compile(r"(?P<name>.+)\.(?P<codec>gz|bz2|xz|zst)")
_DATE = r"(?:19|20)\d\d-?(?:0[1-9]|1[0-2])-?(?:[0-3]\d)(?:[-_T.]?\d[\d_.-]*)?"
# A number after the extension, or a date before or after it; a number before it counts replicas.
_ROTATED = (
    re.compile(r"(?P<name>.+)\.(?P<number>\d{1,4})"),
    re.compile(r"(?P<name>.+)\.(?P<old>old)"),
    re.compile(rf"(?P<name>.+\.\w+)[.-](?P<date>{_DATE})"),
    re.compile(rf"(?P<name>.+?)[._-](?P<date>{_DATE})(?P<end>\.[a-z]+)"),
)
_NEWLINE = b"\n"
# What files are called repeats from run to run: what names mean is kept for so many.
NAMES_KEPT = 4096


@dataclass(frozen=True)
class Part:
    """One file of a log that is compressed or rotated; ``size`` are its bytes as it lies there."""

    path: str
    size: int

    @property
    def text_bytes(self) -> int:
        """Bytes of its text, estimated where it is compressed."""
        return self.size * RATIO if codec(self.path) else self.size


@dataclass(frozen=True)
class RotatedName:
    """What a file's name says: the name of the log, and the key that sorts its files from the oldest on."""

    name: str
    age: tuple[int, ...]


def codec(name: str) -> str:
    """Return what a file is compressed with, by its name: gz, bz2, xz, zst, or ""."""
    match = _PACKED.fullmatch(name)
    return match["codec"] if match else ""


@lru_cache(maxsize=NAMES_KEPT)
def rotated_name(name: str) -> RotatedName:
    """Split a file's name into its log's and its age: ``x.log.2.gz`` is before ``x.log.1``, that before ``x.log``.

    Dated files are sorted by date, after numbered ones; the file without number or date is the newest.
    """
    packed = _PACKED.fullmatch(name)
    plain = packed["name"] if packed else name
    for pattern in _ROTATED:
        if match := pattern.fullmatch(plain):
            found = match.groupdict()
            if found.get("number"):
                return RotatedName(found["name"], (0, -int(found["number"])))
            age = (1,) if found.get("old") else (2, *_numbers(found["date"]))
            return RotatedName(found["name"] + (found.get("end") or ""), age)
    return RotatedName(plain, (3,))


def _numbers(date: str) -> tuple[int, ...]:
    """Return a date's day as one number, and the numbers after it."""
    day, rest = re.fullmatch(r"(\d{4}-?\d\d-?\d\d)(.*)", date).groups()  # type: ignore[union-attr]
    return (int(day.replace("-", "")), *map(int, re.findall(r"\d+", rest)))


class PartsReader(io.RawIOBase):
    """Reads the text of several files as one: ``problem`` says at the end what is missing, "" = nothing."""

    def __init__(self, parts: Sequence[Part]) -> None:
        """Begin before the first byte; no file is opened yet."""
        super().__init__()
        self.problem = ""
        self._blocks = self._texts(parts)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, room: Any) -> int:
        """Fill a buffer; 0 only at the end.

        Raises
        ------
        OSError : a file is gone, or cannot be read.
        """
        filled, room = 0, memoryview(room).cast("B")
        while filled < len(room):
            if not self._left:
                self._left = memoryview(next(self._blocks, b""))
            if not self._left:
                break
            size = min(len(room) - filled, len(self._left))
            room[filled : filled + size] = self._left[:size]
            self._left, filled = self._left[size:], filled + size
        return filled

    def _texts(self, parts: Sequence[Part]) -> Iterator[bytes]:
        """Give the text of one file after the other; each begins a line."""
        for index, part in enumerate(parts):
            last, size = _NEWLINE, 0
            try:
                for block in _read_text(part):
                    if block:
                        last, size = block[-1:], size + len(block)
                        yield block
            except EOFError as error:
                self.problem += f"{'; ' if self.problem else ''}{part.path}: {error} after {size} bytes of text"
            if last != _NEWLINE and index < len(parts) - 1:
                yield _NEWLINE

    def close(self) -> None:
        """Close the file that is open."""
        if not self.closed:
            self._blocks.close()  # type: ignore[attr-defined]
        super().close()


def _read_text(part: Part) -> Iterator[bytes]:
    """Read a file's text block by block; EOFError says what is wrong with a compressed one."""
    kind = codec(part.path)
    with open_at(part.path, 0) as raw:
        if kind == "zst":
            yield from _read_zstd(raw)
        elif kind:
            yield from _unpack(_raw_blocks(raw, part.size), _DECODERS[kind])
        else:
            yield from _raw_blocks(raw, part.size)


def _raw_blocks(raw: io.RawIOBase, size: int) -> Iterator[bytes]:
    while size > 0 and (block := raw.read(min(size, _READ_BYTES))):
        size -= len(block)
        yield block


class _Gzip:
    """The decoder of one member of a .gz, with the methods of the standard library's other ones."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Decode up to so many bytes."""
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        """The bytes after its end."""
        return self._zlib.unused_data

    @property
    def needs_input(self) -> bool:
        """Whether there is nothing to decode before more comes."""
        return not self._zlib.unconsumed_tail


_DECODERS: dict[str, Callable[[], Any]] = {"gz": _Gzip, "bz2": bz2.BZ2Decompressor, "xz": lzma.LZMADecompressor}


def _unpack(blocks: Iterator[bytes], make: Callable[[], Any]) -> Iterator[bytes]:
    """Decode what may be several streams in one file, as ``gunzip`` does."""
    decoder, is_begun, streams = make(), False, 0
    for block in blocks:
        data = block
        while data or not (decoder.needs_input or decoder.eof):
            if not is_begun and streams:
                data = data.lstrip(b"\0")  # what pads the end
                if not data:
                    break
            is_begun = True
            try:
                text = decoder.decompress(data, _READ_BYTES)
            except (zlib.error, OSError, lzma.LZMAError, ValueError) as error:
                raise EOFError(f"damaged ({error})") from error
            yield text
            data = b""
            if decoder.eof:
                data, decoder, is_begun, streams = decoder.unused_data, make(), False, streams + 1
    if is_begun:
        raise EOFError("the stream ends early")


def _read_zstd(raw: io.RawIOBase) -> Iterator[bytes]:
    with pa.PythonFile(raw, "r") as file, pa.CompressedInputStream(file, "zstd") as stream:
        try:
            while text := stream.read(_ZSTD_BYTES):
                yield text
        except OSError as error:
            raise EOFError(f"the stream ends early, or is damaged ({error})") from error
