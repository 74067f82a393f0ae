"""Memory of a process tree and sizes in words: PSS on Linux, RSS elsewhere (psutil)."""

import psutil

from lo2dask.errors import InputError

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_bytes(text: str, option: str = "size") -> int:
    """Read a size such as ``64MB``, ``2 GiB`` or ``1000000``: bytes.

    Raises
    ------
    InputError : the text is not a size, or not above zero.
    """
    cleaned = text.strip().upper().replace(" ", "")
    digits = cleaned.rstrip("KMGTIB")
    try:
        value = int(float(digits) * UNITS[cleaned[len(digits) :]])
    except (ValueError, KeyError, OverflowError):
        value = 0
    if value <= 0:
        raise InputError(f"{option}: {text!r} is not a size; write it as 64MB, 2GiB or a number of bytes")
    return value


def format_bytes(size: float) -> str:
    """Write a size in decimal units: 1234567 is ``1.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def measure() -> str:
    """Name the measure that :func:`process_memory` returns here: PSS or RSS."""
    return "PSS" if psutil.LINUX else "RSS"


def process_memory(process: psutil.Process) -> int:
    """Return one process's memory in bytes: PSS on Linux, RSS elsewhere; 0 when it is gone."""
    try:
        return process.memory_full_info().pss if psutil.LINUX else process.memory_info().rss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def tree_memory(pid: int | None = None) -> int:
    """Sum the memory of a process and all its descendants, in bytes."""
    try:
        root = psutil.Process(pid)
        members = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(process_memory(member) for member in members)
