"""Checks, before any work, that the folders a command writes cannot harm what it reads."""

import logging
import os
from pathlib import Path

from lo2dask.errors import InputError
from lo2dask.memory import format_bytes
from lo2dask.options.paths import is_local
from lo2dask.storage.files import free_bytes

logger = logging.getLogger(__name__)


def check_apart(output: Path, root: Path, option: str) -> None:
    """Check that an output folder is not a raw tree, nor inside or above it.

    Raises
    ------
    InputError : it is; a command that starts over would remove files of the tree.
    """
    if _contains(root, output):
        relation = "is the raw tree" if _contains(output, root) else "lies inside the raw tree"
    elif _contains(output, root):
        relation = "holds the raw tree"
    else:
        return
    raise InputError(f"{option} {output} {relation} {root}: choose a folder apart from it")


def check_name(output: Path, option: str) -> None:
    """Check an output path; warn of a folder NAME=VALUE in it, which other readers take for a column of every table.

    Raises
    ------
    InputError : it is not UTF-8, which Parquet's readers need, or Python reads names in another encoding here.
    """
    try:
        str(output).encode()
    except UnicodeEncodeError:
        shown = str(output).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise InputError(f"{option} {shown}: not UTF-8 here: choose another, or set PYTHONUTF8=1") from None
    named = next((part for part in output.parts if "=" in part.strip("=")), "")
    if named:
        logger.warning(
            "%s %s: DuckDB and polars take the folder %s for a column; read with hive_partitioning=false, or rename it",
            option, output, named,
        )  # fmt: skip


def check_disk(folder: Path, need: int) -> None:
    """Check that the disk of an output folder has room for ``need`` bytes.

    Raises
    ------
    InputError : it has not.
    """
    free = free_bytes(folder)
    if free is not None and free < need:
        raise InputError(
            f"{folder}: {format_bytes(free)} free on its disk, but the load writes about {format_bytes(need)} there; "
            "make room, or choose another --output-dir"
        )


def _contains(folder: Path, path: Path) -> bool:
    """Return whether a path is a folder or lies below it, whatever names lead there."""
    if is_local(folder) != is_local(path):
        return False
    if not is_local(folder):
        return f"{path}/".startswith(f"{str(folder).rstrip('/')}/")
    if not folder.exists():
        return path.resolve().is_relative_to(folder.resolve())
    resolved = path.resolve()
    return any(one.exists() and os.path.samefile(one, folder) for one in (resolved, *resolved.parents))
