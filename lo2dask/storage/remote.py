"""Object stores, through fsspec: objects are read in ranges, listed by folder, and put whole, so none is ever half.

A path of an object store is a ``UPath`` (see options/places.py). Imported only where a URL was given.
"""

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

# Read ahead of what is asked for: small, because footers and tar headers lie far apart.
BLOCK_BYTES = 1 << 18


@dataclass(frozen=True)
class RemoteEntry:
    """What a listing says of one name, with the methods of ``os.DirEntry``; it is its own status."""

    name: str
    path: str
    folder: bool
    st_size: int
    st_mtime_ns: int

    def is_dir(self) -> bool:
        """Return whether it is a folder: a common beginning of keys."""
        return self.folder

    def is_file(self) -> bool:
        """Return whether it is an object."""
        return not self.folder

    def is_symlink(self) -> bool:
        """Tell that there are no links in an object store."""
        return False

    def stat(self) -> "RemoteEntry":
        """Return size and time of change."""
        return self

    @property
    def st_ino(self) -> int:
        """Objects have no number."""
        return 0

    @property
    def st_mode(self) -> int:
        """The kind of the entry, as ``os.stat`` gives it."""
        return stat.S_IFDIR if self.folder else stat.S_IFREG


@dataclass
class RangeReader:
    """A file-like reader of one object from a place on: each read is one request."""

    path: Any
    position: int
    at_end: bool = False

    def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes; b"" at the end."""
        if size <= 0 or self.at_end:  # a store may refuse to be asked for what lies after
            return b""
        data: bytes = self.path.fs.cat_file(self.path.path, start=self.position, end=self.position + size)
        self.position += len(data)
        self.at_end = len(data) < size
        return data

    def readinto(self, room: memoryview) -> int:
        """Read up to the room's bytes into it; give their number, 0 at the end."""
        data = self.read(len(room))
        room[: len(data)] = data
        return len(data)

    def __enter__(self) -> "RangeReader":
        """Enter the block that reads; nothing is held open."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the block."""


def scan(path: Any) -> Iterator[RemoteEntry]:
    """List a folder, one request per thousand names.

    Raises
    ------
    FileNotFoundError : nothing lies below it.
    """
    own = path.path.rstrip("/")
    for info in path.fs.ls(own, detail=True):
        # A store's console leaves an empty object in the place of a folder.
        if info["name"].rstrip("/") != own:
            yield _entry(path, info)


def status(path: Any) -> RemoteEntry:
    """Ask for an object's size and time of change.

    Raises
    ------
    FileNotFoundError : no such object.
    """
    info = path.fs.info(path.path)
    if info["type"] != "file":
        raise FileNotFoundError(2, "no such object", str(path))
    return _entry(path, info)


def open_file(path: Any) -> BinaryIO:
    """Open an object for reading with seeks."""
    file: BinaryIO = path.fs.open(path.path, "rb", block_size=BLOCK_BYTES)
    return file


@contextmanager
def uploading(path: Any) -> Iterator[Path]:
    """Return a local temporary file; on success it is put in the object's place, in one piece."""
    with _scratch() as folder:
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


@contextmanager
def _scratch() -> Iterator[Path]:
    # The name tells whose it is: what a killed process left is removed by a later one.
    with tempfile.TemporaryDirectory(prefix=f"lo2dask-{os.getpid()}-") as folder:
        yield Path(folder)


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
