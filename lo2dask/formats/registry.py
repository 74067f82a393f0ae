"""The line formats by name: records on disk keep the name, jobs carry the value."""

from lo2dask.errors import InputError
from lo2dask.formats.canonical import CANONICAL
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2

FORMATS: dict[str, LineFormat] = {LO2.name: LO2, CANONICAL.name: CANONICAL}


def find_format(name: str) -> LineFormat:
    """Return the line format of a name.

    Raises
    ------
    InputError : there is none; the message lists those there are.
    """
    if name not in FORMATS:
        raise InputError(f"no line format is called {name!r}; there are: {', '.join(sorted(FORMATS))}")
    return FORMATS[name]
