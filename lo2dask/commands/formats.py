"""Which line formats read a log: a trial before a load."""

from pathlib import Path

import numpy as np

from lo2dask.errors import InputError
from lo2dask.formats.detect import Choice
from lo2dask.formats.kinds import KindFormat
from lo2dask.formats.presets import PRESETS
from lo2dask.ingest.formats import read_sample, try_wrapped
from lo2dask.parse.chunks import CHUNK_BYTES
from lo2dask.sources.tree import SourceFile
from lo2dask.storage import status

FIRST_LINES = 1_000


def try_formats(file: Path) -> list[Choice]:
    """Return for each format how many of a log's first lines it finds a header in, the best first.

    Raises
    ------
    InputError : the file is not there, or is no text.
    """
    if not file.is_file():
        raise InputError(f"--try {file}: no such file")
    found = status(file)
    source = SourceFile(str(file), "", 0, found.st_size, found.st_mtime_ns, "", "", file.name, "log", "")
    lines = read_sample([source], "UTC", CHUNK_BYTES)
    if not len(lines.starts):
        raise InputError(f"--try {file}: no line of text in it")
    lines = lines.take(np.arange(min(len(lines.starts), FIRST_LINES)))
    choices = [try_wrapped(KindFormat(name), lines) for name in PRESETS]
    return sorted(choices, key=lambda choice: -choice.headed)
