"""The table of the vocabularies, lo2_vocabulary.parquet."""

from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa

from lo2dask import schema
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import open_part
from lo2dask.vocabulary.limits import VocabularyLimits, choose

# Rows of a row group: all of the vocabulary at the usual --max-features, and what the writer holds at once.
VOCABULARY_ROWS = 1 << 20


def write_vocabulary(
    layout: Layout, merged: Mapping[str, Iterable[pa.Table]], templates: pa.Table, limits: VocabularyLimits, n_rows: int
) -> None:
    """Write the tokens of each representation: of those ``merged`` from spilled counts, and of counted templates.

    ``n_rows`` is the number of sequences.
    """
    streams = {**merged, "templates": [choose(templates, limits, n_rows)]}
    with open_part(layout.vocabulary / "part-000000.parquet", schema.VOCABULARY) as writer:
        for group in _groups((name, streams[name]) for name in schema.REPRESENTATIONS if name in streams):
            writer.write(group)


def _groups(streams: Iterable[tuple[str, Iterable[pa.Table]]]) -> Iterator[pa.Table]:
    """Gather the tables of all representations into row groups, each of a fixed number of rows but the last.

    How a table is chunked shows in the bytes of its file, and a merge's tables depend on the buckets: so each group has
    one chunk a representation.
    """
    waiting: list[pa.Table] = [schema.VOCABULARY.empty_table()]
    for name, tables in streams:
        first = len(waiting)
        for table in tables:
            waiting.append(table.add_column(0, "representation", pa.array([name] * table.num_rows, pa.string())))
            while sum(part.num_rows for part in waiting) >= VOCABULARY_ROWS:
                group = pa.concat_tables(waiting)
                yield group.slice(0, VOCABULARY_ROWS).combine_chunks()
                waiting, first = [group.slice(VOCABULARY_ROWS)], 0
        waiting[first:] = [pa.concat_tables([schema.VOCABULARY.empty_table(), *waiting[first:]]).combine_chunks()]
    yield pa.concat_tables(waiting)
