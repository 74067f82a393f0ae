"""Object stores, through fsspec: objects are read in ranges, listed by folder, and put whole, so none is ever half.

A path of an object store is a ``UPath`` (see options/paths.py). Imported only where a URL was given.
"""

import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lo2dask.storage.scratch import scratch_folder

# Read ahead of what is asked for: small, because footers and tar headers lie far apart.
BLOCK_BYTES = 1 << 18


@dataclass(frozen=True)
class RemoteEntry:
    """One name of a listing, with the methods of ``os.DirEntry``."""

    name: str
    path: str
    folder: bool
    size: int
    mtime_ns: int

    def is_dir(self) -> bool:
        """Return whether it is a folder: a common prefix of keys."""
        return self.folder

    def is_file(self) -> bool:
        """Return whether it is an object."""
        return not self.folder

    def is_symlink(self) -> bool:
        """Return False: an object store has no links."""
        return False

    def stat(self) -> os.stat_result:
        """Return type, size and time of change; an object has no inode number."""
        mode = stat.S_IFDIR if self.folder else stat.S_IFREG
        times = {"st_mtime_ns": self.mtime_ns}
        return os.stat_result((mode, 0, 0, 0, 0, 0, self.size, 0, self.mtime_ns // 10**9, 0), times)


class RangeReader(io.RawIOBase):
    """Reads one object from an offset on; each read is one request."""

    def __init__(self, path: Any, position: int) -> None:
        """Keep the path and the offset in bytes; nothing is requested yet."""
        self._path = path
        self._position = position
        self._at_end = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read up to the buffer's size into it; return the number of bytes, 0 at the end."""
        if not len(buffer) or self._at_end:  # a store may refuse a range that begins at the end
            return 0
        data: bytes = self._path.fs.cat_file(self._path.path, start=self._position, end=self._position + len(buffer))
        self._position += len(data)
        self._at_end = len(data) < len(buffer)
        buffer[: len(data)] = data
        return len(data)


def scan(path: Any) -> Iterator[RemoteEntry]:
    """List a folder, one request per thousand names.

    Raises
    ------
    FileNotFoundError : nothing lies below it.
    """
    own = path.path.rstrip("/")
    for info in path.fs.ls(own, detail=True):
        # A store's console leaves an empty object that stands for a folder.
        if info["name"].rstrip("/") != own:
            yield _entry(path, info)


def status(path: Any) -> os.stat_result:
    """Ask for an object's size and time of change.

    Raises
    ------
    FileNotFoundError : no such object.
    """
    info = path.fs.info(path.path)
    if info["type"] != "file":
        raise FileNotFoundError(2, "no such object", str(path))
    return _entry(path, info).stat()


def open_file(path: Any) -> BinaryIO:
    """Open an object for reading with seeks."""
    file: BinaryIO = path.fs.open(path.path, "rb", block_size=BLOCK_BYTES)
    return file


@contextmanager
def uploading(path: Any) -> Iterator[Path]:
    """Return a local temporary file; on success it becomes the object, in one request."""
    with scratch_folder() as folder:
        temporary = folder / path.name
        yield temporary
        path.fs.put_file(str(temporary), path.path)


def copy_object(source: Any, target: Any) -> None:
    """Copy an object within its store, which moves no byte through this machine."""
    target.fs.cp_file(source.path, target.path)


def remove_tree(path: Any) -> None:
    """Remove all objects below a folder; none is no error."""
    try:
        path.fs.rm(path.path, recursive=True)
    except FileNotFoundError:
        return


def _entry(path: Any, info: dict[str, Any]) -> RemoteEntry:
    name = info["name"].strip("/")
    folder = info["type"] == "directory"
    return RemoteEntry(
        name.rpartition("/")[2], f"{path.protocol}://{name}", folder, int(info.get("size") or 0), _time_of(info)
    )


def _time_of(info: dict[str, Any]) -> int:
    """Return an object's time of change in ns; a store that counts whole seconds gets the rest from the content's tag.

    So an object that is put twice in one second with other content is still noticed.
    """
    changed = next((info[name] for name in ("LastModified", "mtime", "updated", "created") if info.get(name)), 0)
    seconds = changed.timestamp() if hasattr(changed, "timestamp") else _seconds(changed)
    tag = str(info.get("ETag") or info.get("etag") or "")
    if not tag:
        return int(seconds * 1e9)
    digest = hashlib.blake2b(tag.encode(), digest_size=8).digest()
    return int(seconds) * 10**9 + int.from_bytes(digest) % 10**9


def _seconds(changed: Any) -> float:
    if isinstance(changed, str):
        from datetime import datetime

        return datetime.fromisoformat(changed).timestamp()
    return float(changed)
