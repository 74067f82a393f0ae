"""The words of each log's first lines, kept apart: trimming drops these lines because they give the label away.

Nothing but the leakage line reads them: it shows how well a model does on the start-up lines alone.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from lo2dask import schema
from lo2dask.features.bags import add_slabs, to_bags
from lo2dask.features.lines import read_slab
from lo2dask.features.masks import Mask
from lo2dask.features.tokens import TokenCounts, count_words
from lo2dask.parse.chunks import Reading, read_chunks
from lo2dask.parse.columns import FileKeys
from lo2dask.parse.events import EventParser, LinePolicy
from lo2dask.parse.lines import Ints
from lo2dask.sources.tree import SourceFile
from lo2dask.storage import open_at

STARTUP = pa.schema([pa.field("seq_id", pa.string()), pa.field("e_words", schema.BAG)])
# The first hundred lines of a log take some 16 KB; of longer ones, what fits is looked at.
HEAD_BYTES = 32 << 10


def startup_words(files: Sequence[SourceFile], lines: int, masks: tuple[Mask, ...]) -> pa.ListArray:
    """Count the words of the first ``lines`` raw lines of each file: one bag (schema.BAG) per file."""
    heads = [replace(file, size=_head_size(file, lines)) for file in files]
    # What cannot be read is rejected, and blank lines are counted, where the whole files are read.
    reading = Reading()
    parser = EventParser(FileKeys.of(heads), LinePolicy(0, "keep", False), reading, with_statements=True)
    slabs: list[tuple[Ints, TokenCounts]] = []
    for chunk in read_chunks(heads, reading):
        events = parser.parse(chunk)
        if events.num_rows:
            rows, slab = read_slab(events, masks)
            words = count_words(slab.lines)
            slabs.append((rows, TokenCounts((slab.by_line @ words.counts).tocsr().astype(np.int32), words.tokens)))
    return to_bags(add_slabs(slabs, len(files)))


def _head_size(file: SourceFile, lines: int) -> int:
    """Give the bytes of a file's first lines; a file that cannot be read has none."""
    if file.problem or not file.size:
        return 0
    try:
        with open_at(file.path, file.offset) as raw:
            head = raw.read(min(file.size, HEAD_BYTES))
    except OSError:
        return 0
    ends = np.flatnonzero(np.frombuffer(head, dtype=np.uint8) == 10)
    if len(ends) >= lines:
        return int(ends[lines - 1]) + 1
    # A line that the bound cuts would be a word that the log does not have.
    return len(head) if len(head) == file.size or not len(ends) else int(ends[-1]) + 1
