"""Where files go: a folder, or an uncompressed tar with headers that depend on nothing but the content."""

import io
import tarfile
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

Kind = type[BaseException] | None


class Sink(Protocol):
    """Takes the files of a run by their path inside it, and counts them and their bytes."""

    files: int
    size: int

    def add(self, path: str, content: bytes) -> None:
        """Write one file."""

    def __enter__(self) -> Self:
        """Start."""

    def __exit__(self, kind: Kind, error: BaseException | None, trace: TracebackType | None) -> None:
        """Finish."""


class FolderSink:
    """Writes files below a folder."""

    def __init__(self, root: Path) -> None:
        """Take the folder; it need not exist."""
        self.root = root
        self.files = 0
        self.size = 0

    def add(self, path: str, content: bytes) -> None:
        """Write one file."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        self.files += 1
        self.size += len(content)

    def __enter__(self) -> Self:
        """Start; a folder needs no preparation."""
        return self

    def __exit__(self, kind: Kind, error: BaseException | None, trace: TracebackType | None) -> None:
        """Finish; a folder needs none."""


class TarSink:
    """Writes files into a tar, below one top folder; it appears under its name only when complete."""

    def __init__(self, path: Path, top: str, mtime: int) -> None:
        """Take the file to write, the name of the folder inside, and the time to stamp on its members."""
        self.path = path
        self.top = top
        self.mtime = mtime
        self.files = 0
        self.size = 0

    def add(self, path: str, content: bytes) -> None:
        """Append one member."""
        member = tarfile.TarInfo(f"{self.top}/{path}")
        member.size = len(content)
        member.mtime = self.mtime
        self._tar.addfile(member, io.BytesIO(content))
        self.files += 1
        self.size += len(content)

    def __enter__(self) -> Self:
        """Open the tar under a name of its own."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._part = self.path.with_name(self.path.name + ".part")
        self._tar = tarfile.open(self._part, "w", format=tarfile.GNU_FORMAT)
        return self

    def __exit__(self, kind: Kind, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it; give it its name if nothing went wrong."""
        self._tar.close()
        if kind is None:
            self._part.replace(self.path)
        else:
            self._part.unlink()
