"""How fast a worker reads the data and writes the output: small samples, read past the page cache where that can be."""

import itertools
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

SAMPLE_BYTES = 64_000_000
SAMPLE_SECONDS = 5.0
_BLOCK = 4 << 20


def measure_reading(root: Path, index: int = 0) -> float | None:
    """Read a sample of the files below ``root``, beginning at the share ``index``: bytes a second, None without files.

    Each worker of a cluster takes another share, so that one does not read what another has just cached.
    """
    size, began = 0, time.perf_counter()
    files = itertools.islice(_files(root), 2000)
    for path in itertools.islice(files, 3 * index, None):
        size += _read(path)
        if size > SAMPLE_BYTES or time.perf_counter() - began > SAMPLE_SECONDS:
            break
    return size / max(time.perf_counter() - began, 1e-6) if size else None


def measure_writing(folder: Path) -> float:
    """Write a sample into ``folder``, flushed to disk, and remove it: bytes a second."""
    path = folder / f"{uuid.uuid4().hex}.sample"
    block = os.urandom(_BLOCK)
    began, size = time.perf_counter(), 0
    try:
        with open(path, "wb") as file:
            while size < SAMPLE_BYTES and time.perf_counter() - began < SAMPLE_SECONDS:
                size += file.write(block)
            file.flush()
            os.fsync(file.fileno())
        return size / max(time.perf_counter() - began, 1e-6)
    finally:
        path.unlink(missing_ok=True)


def _files(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root):
        names.sort()
        yield from (Path(folder, name) for name in sorted(files))


def _read(path: Path) -> int:
    size = 0
    try:
        with open(path, "rb", buffering=0) as file:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while block := file.read(_BLOCK):
                size += len(block)
    except OSError:
        return size
    return size
