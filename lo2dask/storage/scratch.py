"""Scratch folders whose owner holds a lock next to them, so that what a killed one left is recognised and removed.

A process number would not do: containers share a temporary folder and not their processes.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lo2dask.storage.lock import is_same_file, try_lock

_PREFIX, _SUFFIX = "lo2dask-", ".lock"


@contextlib.contextmanager
def scratch_folder(parent: str | Path = "") -> Iterator[Path]:
    """Return a new private folder in ``parent``, or in the system's temporary folder, until the block ends."""
    where = Path(parent or tempfile.gettempdir())
    clear_scratch(where)
    descriptor, lock = _new_lock(where)
    folder = lock.with_suffix("")
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        _remove(folder, lock)
        os.close(descriptor)


def clear_scratch(parent: Path) -> None:
    """Remove the scratch folders whose owners have ended: a killed one cannot do it itself."""
    for lock in parent.glob(f"{_PREFIX}*{_SUFFIX}"):
        # A lock of another user, or on a file system without locks, is left alone.
        with contextlib.suppress(OSError):
            descriptor = os.open(lock, os.O_RDWR)
            try:
                if try_lock(descriptor):
                    _remove(lock.with_suffix(""), lock)
            finally:
                os.close(descriptor)


def _new_lock(parent: Path) -> tuple[int, Path]:
    while True:
        descriptor, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=parent)
        try:
            # Another process may have taken it for an abandoned one before it was locked.
            if try_lock(descriptor) and is_same_file(Path(name), descriptor):
                return descriptor, Path(name)
        except OSError:  # no locks here
            return descriptor, Path(name)
        os.close(descriptor)


def _remove(folder: Path, lock: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        lock.unlink()
