"""The words of each log's first lines, kept apart: trimming drops these lines because they give the label away.

Nothing but the leakage line reads them: it shows how well a model does on the start-up lines alone.
"""

from collections.abc import Sequence

import pyarrow as pa

from lo2dask import schema
from lo2dask.features.bags import add_slabs, to_bags
from lo2dask.features.lines import read_slab
from lo2dask.features.masks import Mask
from lo2dask.features.tokens import TokenCounts
from lo2dask.features.words import count_words
from lo2dask.parse.lines import Ints

STARTUP = pa.schema([pa.field("seq_id", pa.string()), pa.field("e_words", schema.BAG)])


class StartupWords:
    """Counts the words of the first lines of each file of a batch, slab by slab."""

    def __init__(self, n_files: int, masks: tuple[Mask, ...]) -> None:
        """Begin with no line of any of the batch's files."""
        self._n_files, self._masks = n_files, masks
        self._slabs: list[tuple[Ints, TokenCounts]] = []

    def add(self, heads: Sequence[pa.Table]) -> None:
        """Add first lines (parse.columns.text_columns), whose seq_id codes are the numbers of the batch's files."""
        if heads:
            rows, slab = read_slab(pa.concat_tables(heads).unify_dictionaries(), self._masks)
            self._slabs.append((rows, count_words(slab.lines, slab.by_line)))

    def bags(self) -> pa.ListArray:
        """Give one bag (schema.BAG) for each file."""
        return to_bags(add_slabs(self._slabs, self._n_files))
