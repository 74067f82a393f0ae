"""Which line formats read a log: a trial before a load."""

from pathlib import Path

import numpy as np

from lo2dask.errors import InputError
from lo2dask.formats.detect import Choice, detect, with_notes
from lo2dask.formats.kinds import KindFormat
from lo2dask.formats.presets import PRESETS
from lo2dask.ingest.formats import check_zone, read_asked, read_sample, try_wrapped
from lo2dask.parse.chunks import CHUNK_BYTES, Reading, read_chunks
from lo2dask.sources.tree import SourceFile, join_parts
from lo2dask.storage import status

FIRST_LINES = 1_000


def try_formats(file: Path, name: str = "auto", timezone: str = "UTC") -> list[Choice]:
    """Return for each format how many of a log's first lines it finds a header in, the best first.

    ``name`` is a format or a YAML file to try alone, or ``auto``; ``timezone`` the zone of times without one.

    Raises
    ------
    InputError : the file is not there, or is no text; there is no such format or zone.
    """
    check_zone(timezone)
    asked = read_asked(name)
    if not file.is_file():
        raise InputError(f"--try {file}: {'it is a folder; give one log' if file.is_dir() else 'no such file'}")
    found = status(file)
    log = SourceFile(str(file), "", 0, found.st_size, found.st_mtime_ns, "", "", file.name, "log", "")
    # A compressed log is read as it is in a tree.
    (log,) = join_parts([log])
    lines = read_sample([log], timezone, CHUNK_BYTES)
    if not len(lines.starts):
        raise InputError(f"--try {file}: no line of text in it{_problem(log)}")
    lines = lines.take(np.arange(min(len(lines.starts), FIRST_LINES)))
    kinds = [asked] if asked else [KindFormat(preset) for preset in PRESETS]
    choices = [with_notes(try_wrapped(kind, lines), lines) for kind in kinds]
    # What load would take comes first.
    best = detect(lines).kind
    return sorted(choices, key=lambda choice: (choice.kind != best, -choice.worth))


def _problem(log: SourceFile) -> str:
    """Write why a log cannot be read; "" where nothing is wrong with it."""
    reading = Reading()
    next(read_chunks([log], reading), None)
    return "".join(f"; {reject.reason}: {reject.detail}" for reject in reading.rejects[:1])
