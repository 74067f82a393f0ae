"""Files that appear whole or not at all: written under a temporary name, flushed to disk, then renamed.

In an object store there is no rename: there an object is put in one piece, which comes to the same. Local paths go
the straight way through ``os`` and ``pathlib``; fsspec is not even imported for them.
"""

import contextlib
import errno
import filecmp
import io
import json
import os
import pickle
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from lo2dask.errors import InputError
from lo2dask.options.paths import is_local, to_path
from lo2dask.storage.room import naming_file

_COPY_BYTES = 1 << 20
# The files that are being flushed and wait to be renamed.
_TOGETHER: ContextVar["_Together | None"] = ContextVar("together", default=None)
# A disk takes no more at once.
_FLUSHING_THREADS = 8


class Entry(Protocol):
    """One name of a listing: ``os.DirEntry``, or its equivalent in an object store."""

    @property
    def name(self) -> str:
        """The name within its folder."""

    @property
    def path(self) -> str:
        """The whole path, or URL."""

    def is_dir(self) -> bool:
        """Return whether it is a folder."""

    def is_file(self) -> bool:
        """Return whether it is a file."""

    def is_symlink(self) -> bool:
        """Return whether it is a link."""

    def stat(self) -> os.stat_result:
        """Return size and time of change."""


@contextlib.contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """Return a temporary local path; on success it replaces ``path``, on failure it is removed.

    The temporary name is unique, because two copies of a task may run at once. What need not survive a crash of the
    machine is not ``durable``: it is not flushed to disk. Within :func:`flushing_together` it is renamed at the end.
    """
    if not is_local(path):
        from lo2dask.storage.remote import uploading

        with uploading(path) as temporary:
            yield temporary
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    together = _TOGETHER.get()
    with contextlib.ExitStack() as stack:
        stack.enter_context(naming_file(path))
        stack.callback(temporary.unlink, missing_ok=True)
        yield temporary
        if together is not None and durable:
            together.add(temporary, path)
            stack.pop_all()  # it is for that block to remove
            return
        if durable:
            _flush(temporary)
        _rename(temporary, path)


class _Together:
    """Files that are renamed together; a thread of the pool flushes each as soon as it is written."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._written: list[tuple[Path, Path, Future[None]]] = []

    def add(self, temporary: Path, path: Path) -> None:
        """Begin to flush a file that will replace ``path``."""
        self._written.append((temporary, path, self._pool.submit(_flush, temporary)))

    def rename_all(self) -> None:
        """Rename the files when all of them are flushed."""
        for _, _, flushed in self._written:
            flushed.result()
        for temporary, path, _ in self._written:
            _rename(temporary, path)

    def remove(self) -> None:
        """Remove those that were not renamed."""
        for temporary, _, _ in self._written:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def flushing_together() -> Iterator[None]:
    """Flush what is written in this block to disk while the block goes on; wait for that where it ends well.

    Local files are renamed then, and not before; if the block fails, they are removed.
    """
    with ThreadPoolExecutor(_FLUSHING_THREADS) as pool:
        together = _Together(pool)
        token = _TOGETHER.set(together)
        try:
            yield
            together.rename_all()
        finally:
            _TOGETHER.reset(token)
            together.remove()


def flush_all(paths: Iterable[Path]) -> None:
    """Flush files that were written without being durable."""
    with ThreadPoolExecutor(_FLUSHING_THREADS) as pool:
        list(pool.map(_flush, filter(is_local, paths)))


def _rename(temporary: Path, path: Path) -> None:
    try:
        os.replace(temporary, path)
    except IsADirectoryError as error:
        raise InputError(
            f"{path} is a folder, where lo2dask writes a file: remove it and run the same command again"
        ) from error


def _flush(path: Path) -> None:
    with naming_file(path), open(path, "rb+") as file:
        os.fsync(file.fileno())


def write_bytes(path: Path, data: bytes, durable: bool = True) -> None:
    """Write a whole file by rename; ``durable`` is that of :func:`replacing`."""
    with replacing(path, durable) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 text file by rename."""
    write_bytes(path, text.encode())


def write_json(path: Path, data: Any, durable: bool = True) -> None:
    """Write JSON by rename, keys sorted, so that the same data give the same bytes.

    What may be damaged after a crash of the machine need not be ``durable``.
    """
    write_bytes(path, (json.dumps(data, sort_keys=True, indent=1, allow_nan=False) + "\n").encode(), durable)


def read_json(path: Path) -> Any:
    """Read a JSON file; None if it is missing or damaged, which both mean: make it again."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def write_scratch(path: Path, value: Any) -> None:
    """Pickle what a later step of the same command reads; joblib takes ten times as long for tables and trees."""
    with replacing(path, durable=False) as temporary, open(temporary, "wb") as file:
        pickle.dump(value, file, protocol=5)


def read_scratch(path: Path) -> Any:
    """Read what :func:`write_scratch` wrote."""
    with open_read(path) as file:
        return pickle.load(file)


def open_read(path: Path) -> BinaryIO:
    """Open a file for reading with seeks."""
    if is_local(path):
        return open(path, "rb")
    from lo2dask.storage.remote import open_file

    return open_file(path)


def open_at(path: str, offset: int) -> io.RawIOBase:
    """Open a file, named by path or URL, for unbuffered reading from a byte on."""
    if "://" in path:
        from lo2dask.storage.remote import RangeReader

        return RangeReader(to_path(path), offset)
    raw = open(path, "rb", buffering=0)
    raw.seek(offset)
    return raw


def read_into(reader: io.RawIOBase, room: memoryview) -> int:
    """Fill a buffer as far as there are bytes; return their number."""
    filled = 0
    while filled < len(room) and (size := reader.readinto(room[filled:])):
        filled += size
    return filled


def source_of(path: Path) -> Path | BinaryIO:
    """Return what joblib and numpy load a file from: a local path as it is, an object as its bytes."""
    return path if is_local(path) else io.BytesIO(path.read_bytes())


def entries(folder: str | Path) -> Iterator[Entry]:
    """List a folder as ``os.scandir`` does.

    Raises
    ------
    OSError : it is not there, or cannot be listed.
    """
    path = to_path(folder)
    if is_local(path):
        return iter(os.scandir(folder))
    from lo2dask.storage.remote import scan

    return iter(scan(path))


def walk(folder: Path, without: Sequence[Path] = ()) -> Iterator[Path]:
    """List all files below a folder in order, but those of some folders; a missing folder has none."""
    if not folder.is_dir():
        return
    for entry in sorted(entries(folder), key=lambda entry: entry.name):
        path, is_folder = folder / entry.name, False
        with contextlib.suppress(OSError):  # a link to itself
            is_folder = entry.is_dir()
        if is_folder:
            yield from walk(path, without) if path not in without else ()
        else:
            yield path


def list_paths(folder: Path, suffix: str) -> list[Path]:
    """List the files of a folder whose names end so, sorted, hidden ones left out; a missing folder has none."""
    if is_local(folder):
        return sorted(path for path in folder.glob(f"*{suffix}") if not path.name.startswith("."))
    try:
        names = [entry.name for entry in entries(folder) if entry.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in sorted(names) if name.endswith(suffix) and not name.startswith(".")]


# What changes when a file is written again: its inode, size and time of change.
Stamp = tuple[int, int, int]


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of a file."""
    found = status(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


def status(path: Path) -> os.stat_result:
    """Return a file's size and time of change.

    Raises
    ------
    FileNotFoundError : there is none, or a link that leads to itself, which is no file either.
    """
    if is_local(path):
        try:
            return path.stat()
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise FileNotFoundError(errno.ENOENT, "a circle of links", str(path)) from error
            raise
    from lo2dask.storage.remote import status as object_status

    return object_status(path)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file; it appears whole or not at all."""
    with open_read(source) as file, replacing(target) as temporary, open(temporary, "wb") as copy:
        shutil.copyfileobj(file, copy, _COPY_BYTES)


def link_file(source: Path, target: Path) -> None:
    """Make a hard link, which takes no space; copy where the file system has none."""
    if is_local(source) != is_local(target):
        copy_file(source, target)
        return
    if not is_local(target):
        from lo2dask.storage.remote import copy_object

        copy_object(source, target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        copy_file(source, target)


def same_content(one: Path, other: Path) -> bool:
    """Return whether two files hold the same bytes."""
    if is_local(one) and is_local(other):
        return filecmp.cmp(one, other, shallow=False)
    if status(one).st_size != status(other).st_size:
        return False
    with open_read(one) as left, open_read(other) as right:
        return all(block == right.read(len(block)) for block in iter(lambda: left.read(_COPY_BYTES), b""))


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it; a missing one is no error."""
    if is_local(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return
    from lo2dask.storage.remote import remove_tree as remove_objects

    remove_objects(folder)


def free_bytes(folder: Path) -> int | None:
    """Return the free bytes of the disk on which a folder lies, or will lie; None for an object store."""
    if not is_local(folder):
        return None
    path = folder.absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def remove_leftovers(folder: Path) -> int:
    """Remove the temporary files that a killed process left in a folder; return their number."""
    # An object that was not put to its end does not exist.
    leftovers = list(folder.glob(".*.tmp")) if is_local(folder) and folder.is_dir() else []
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)
