"""Token counts that the parts have spilled become vocabularies: one wave reduces the buckets, one pass merges them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.execute.session import Session
from lo2dask.features.adding import Share
from lo2dask.features.merging import Cut, Run, merge_runs, sort_run, write_run
from lo2dask.features.spilling import add_shares, spill
from lo2dask.features.vocabulary import Limits, candidates, choose
from lo2dask.memory import parse_bytes
from lo2dask.options import LoadOptions
from lo2dask.stages.forecast import spill_bytes
from lo2dask.stages.plan import manifest_rows
from lo2dask.storage import link_file, list_paths, read_json
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import PartWriter, count_rows

# A bucket holds about so many spilled bytes, half as large as in memory. Tokens that many parts share are spilled by
# each of them, so its distinct ones take less; should they be too many all the same, it is added up in shares.
BUCKET_BYTES = 16 << 20
# Each bucket is one reading of every part's file: more would cost more time than memory is saved.
MOST_BUCKETS = 256
# Rows of a row group of the vocabulary: all of it at the usual --max-features, and what the writer holds at once.
VOCABULARY_ROWS = 1 << 20
_SIZES = ["size", "selected"]


@dataclass(frozen=True)
class Spill:
    """A folder to which each part spills counted tables of the same ``names``, each in so many buckets."""

    folder: Path
    names: tuple[str, ...]
    buckets: int

    @classmethod
    def of(cls, folder: Path, names: Iterable[str], need: int) -> "Spill":
        """Cut a spill of about ``need`` bytes into buckets."""
        buckets = min(max(1, math.ceil(need / BUCKET_BYTES)), MOST_BUCKETS)
        return cls(folder, tuple(names), 1 << (buckets - 1).bit_length())

    def add(self, part: str, tables: Iterable[pa.Table]) -> None:
        """Spill a part's counted tables, which come in the order of their names."""
        spill(self._path(part), tables, [self.buckets] * len(self.names))

    def take(self, part: str, path: Path) -> None:
        """Take over what a part has spilled elsewhere."""
        link_file(path, self._path(part))
        path.unlink()

    def _path(self, part: str) -> Path:
        return self.folder / f"{part}.arrow"

    def parts(self) -> list[Path]:
        """List what the parts have spilled."""
        return list_paths(self.folder, ".arrow")


@dataclass(frozen=True)
class Counted:
    """A vocabulary to make: the name of its counts among each part's tables, its limits, the rows counted."""

    name: str
    limits: Limits
    n_rows: int


def merge_spilled(spilled: Spill, wanted: Sequence[Counted], session: Session) -> Iterator[Iterator[pa.Table]]:
    """Give each vocabulary as a stream of tables, its tokens in byte order.

    A wave adds up all buckets of all vocabularies; they tell where each is cut, and a second wave sorts what is left.
    """
    records = [(number, bucket) for number in range(len(wanted)) for bucket in range(spilled.buckets)]
    found = session.wave(add_bucket, records, "vocabulary", spilled=spilled, wanted=tuple(wanted))
    runs: list[list[Run]] = [[] for _ in wanted]
    for (number, _), written in zip(records, found, strict=True):
        runs[number] += written
    cuts = [Cut.of(own, counted.limits) for own, counted in zip(runs, wanted, strict=True)]
    sorting = [(run.path, cut) for own, cut in zip(runs, cuts, strict=True) for run in own if run.reaches(cut)]
    ordered = session.wave(sort_bucket, sorting, "vocabulary")
    for own, cut in zip(runs, cuts, strict=True):
        paths = {run.path for run in own}
        yield merge_runs([path for (of, _), path in zip(sorting, ordered, strict=True) if of in paths], cut)


def add_bucket(record: tuple[int, int], spilled: Spill, wanted: Sequence[Counted]) -> list[Run]:
    """Add up one bucket of one vocabulary; write what may be chosen of it as runs."""
    number, bucket = record
    counted = wanted[number]
    shares = add_shares(spilled.parts(), spilled.names.index(counted.name), Share(bucket, spilled.buckets))
    folder = spilled.folder / "runs"
    return [
        write_run(
            folder / f"{number}-{bucket}-{share}.arrow",
            candidates(table, counted.limits, counted.n_rows),
            counted.limits,
        )
        for share, table in enumerate(shares)
    ]


def sort_bucket(record: tuple[Path, Cut]) -> Path:
    """Sort one run of a vocabulary."""
    return sort_run(*record)


def write_vocabulary(layout: Layout, spilled: Spill, templates: pa.Table, max_features: int, session: Session) -> None:
    """Write the first max_features tokens of each representation: of the spilled ones, and of counted ``templates``."""
    limits, n_rows = Limits(min_df=1, max_df=1.0, max_features=max_features, binary=False), count_rows(layout.enhanced)
    merged = merge_spilled(spilled, [Counted(kind, limits, n_rows) for kind in spilled.names], session)
    streams = dict(zip(spilled.names, merged, strict=True)) | {"templates": iter([choose(templates, limits, n_rows)])}
    with PartWriter(layout.vocabulary / "part-000000.parquet", schema.VOCABULARY) as writer:
        for group in _groups((kind, streams[kind]) for kind in schema.REPRESENTATIONS if kind in streams):
            writer.write(group)


def _groups(merged: Iterable[tuple[str, Iterable[pa.Table]]]) -> Iterator[pa.Table]:
    """Gather the tables of all representations into row groups, each of a fixed number of rows but the last.

    How a table is chunked shows in the bytes of its file, and the merge's chunks depend on the buckets: so they go.
    """
    waiting: list[pa.Table] = [schema.VOCABULARY.empty_table()]
    for kind, tables in merged:
        whole = len(waiting)
        for table in tables:
            waiting.append(table.add_column(0, "representation", pa.array([kind] * table.num_rows, pa.string())))
            while sum(part.num_rows for part in waiting) >= VOCABULARY_ROWS:
                group = pa.concat_tables(waiting)
                yield group.slice(0, VOCABULARY_ROWS).combine_chunks()
                waiting, whole = [group.slice(VOCABULARY_ROWS)], 0
        waiting[whole:] = [pa.concat_tables([schema.VOCABULARY.empty_table(), *waiting[whole:]]).combine_chunks()]
    yield pa.concat_tables(waiting)


def tokens_need(options: LoadOptions, size: int) -> int:
    """Project the bytes of scratch that a load of ``size`` raw bytes takes to count their tokens; 0 = it does not."""
    if not (options.enhance and options.save_parquet):
        return 0
    return spill_bytes(size, parse_bytes(options.partition_size, "--partition-size"), options.tokens)


def spill_need(layout: Layout, tokens: str) -> int:
    """Project the bytes that the tokens of all loaded logs take in a spill, from the manifest."""
    size = sum(pc.sum(table.filter(table["selected"])["size"]).as_py() or 0 for table in manifest_rows(layout, _SIZES))
    return spill_bytes(size, parse_bytes(read_json(layout.marker("load"))["options"]["partition_size"]), tokens)
