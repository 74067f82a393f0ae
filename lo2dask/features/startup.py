"""The words of each log's first lines, kept apart: trimming drops these lines because they reveal the label.

Nothing but the leakage line reads them: it shows how well a model does on the start-up lines alone.
"""

from collections.abc import Sequence

import pyarrow as pa

from lo2dask import schema
from lo2dask.buffers.arrays import Ints
from lo2dask.features.bags import add_blocks, to_bags
from lo2dask.features.lines import read_text
from lo2dask.features.masks import Mask
from lo2dask.features.words import count_words
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.vocabulary.counts import TokenCounts

STARTUP = pa.schema([pa.field("seq_id", pa.string()), pa.field("e_words", schema.BAG)])


class StartupWords:
    """Counts the words of the first lines of each file of a batch, block by block."""

    def __init__(self, n_files: int, masks: tuple[Mask, ...], line_format: LineFormat = LO2) -> None:
        """Begin with no line of any of the batch's files."""
        self._n_files, self._masks, self._line_format = n_files, masks, line_format
        self._blocks: list[tuple[Ints, TokenCounts]] = []

    def add(self, events: Sequence[pa.Table]) -> None:
        """Add first lines (parse.columns.text_columns)."""
        if events:
            rows, block = read_text(pa.concat_tables(events).unify_dictionaries(), self._masks, self._line_format)
            self._blocks.append((rows, count_words(block.lines, block.by_line)))

    def bags(self) -> pa.ListArray:
        """Return one bag (schema.BAG) for each file."""
        return to_bags(add_blocks(self._blocks, self._n_files))
