"""Where files go: a folder, or an uncompressed tar with headers that depend on nothing but the content."""

import io
import tarfile
from pathlib import Path
from types import TracebackType
from typing import Self


class FolderSink:
    """Writes files below a folder, and counts them and their bytes."""

    def __init__(self, root: Path) -> None:
        """Take the folder; it need not exist."""
        self.root = root
        self.files = 0
        self.size = 0

    def add(self, path: str, content: bytes) -> None:
        """Write one file."""
        self._write(path, content)
        self.files += 1
        self.size += len(content)

    def _write(self, path: str, content: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def __enter__(self) -> Self:
        """Start; a folder needs no preparation."""
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish; a folder needs none."""


class TarSink(FolderSink):
    """Writes files into a tar, below one top folder; it appears under its name only when complete."""

    def __init__(self, path: Path, top: str, mtime: int) -> None:
        """Take the file to write, the name of the folder inside, and the time to stamp on its members."""
        super().__init__(path)
        self.top = top
        self.mtime = mtime

    def _write(self, path: str, content: bytes) -> None:
        member = tarfile.TarInfo(f"{self.top}/{path}")
        member.size = len(content)
        member.mtime = self.mtime
        self._tar.addfile(member, io.BytesIO(content))

    def __enter__(self) -> Self:
        """Open the tar under a name of its own."""
        self.root.parent.mkdir(parents=True, exist_ok=True)
        self._part = self.root.with_name(self.root.name + ".part")
        self._tar = tarfile.open(self._part, "w", format=tarfile.GNU_FORMAT)
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it; give it its name if nothing went wrong."""
        self._tar.close()
        if error_type is None:
            self._part.replace(self.root)
        else:
            self._part.unlink()
