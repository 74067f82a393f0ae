"""Whether Numba has kept the compiled kernels of this installation on disk, found out without importing Numba."""

import os
import sys
from pathlib import Path

# The index that Numba writes beside the code of a kernel that every load needs.
_INDEX = "kernels.copy_slices-*.nbi"
_BESIDE = Path(__file__).parent / "__pycache__"


def kernel_folder() -> Path | None:
    """Return where Numba keeps compiled kernels: NUMBA_CACHE_DIR, else beside the package, else in the user's cache.

    None if none of them can be written: then each process compiles for itself.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    mac, other = Path("~/Library/Caches/numba"), Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "numba"
    places = [Path(chosen)] if chosen else [_BESIDE, (mac if sys.platform == "darwin" else other).expanduser()]
    return next((place for place in places if _is_writable(place)), None)


def are_compiled(folder: Path) -> bool:
    """Return whether a folder of :func:`kernel_folder` holds the kernels."""
    return next(iter(folder.rglob(_INDEX)), None) is not None


def _is_writable(folder: Path) -> bool:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return os.access(there, os.W_OK)
