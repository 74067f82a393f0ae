"""Scratch folders that name the process they belong to, so that what a killed one left is found and removed."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

_PREFIX = "lo2dask-"


@contextlib.contextmanager
def scratch_folder(parent: str | Path = "") -> Iterator[Path]:
    """Return a new folder in ``parent``, or in the system's own for such things, until the block ends."""
    place = Path(parent or tempfile.gettempdir())
    clear_scratch(place)
    folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_scratch(parent: Path) -> None:
    """Remove the scratch folders of this machine's processes that have ended: a killed client cannot do it itself."""
    for folder in parent.glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
