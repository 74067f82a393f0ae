"""Token counts that the parts have spilled become vocabularies: one map reduces the buckets, one pass merges them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from lo2dask import schema
from lo2dask.execute.session import Session
from lo2dask.storage import link_file, list_paths
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import PartWriter, count_rows
from lo2dask.vocabulary.adding import Share
from lo2dask.vocabulary.limits import Limits, choose
from lo2dask.vocabulary.merging import Cut, Run, group_runs, merge_runs, sort_runs, write_run
from lo2dask.vocabulary.spilling import add_shares, read_work, spill

# A bucket has about so many spilled counts, eight trigrams as one. Tokens that many parts share are spilled by each of
# them, so its distinct ones are fewer; should they be too many all the same, it is added up in shares.
BUCKET_WORK = 1 << 20
# Each bucket is one reading of every part's file: more would cost more time than memory is saved.
MOST_BUCKETS = 256
# Rows of a row group of the vocabulary: all of it at the usual --max-features, and what the writer holds at once.
VOCABULARY_ROWS = 1 << 20


@dataclass(frozen=True)
class Spill:
    """A folder to which each part spills counted tables of the same ``names``."""

    folder: Path
    names: tuple[str, ...]

    def add(self, part: str, tables: Iterable[pa.Table]) -> list[int]:
        """Spill a part's counted tables, which come in the order of their names; return the work of each."""
        return spill(self._path(part), tables)

    def take(self, part: str, path: Path) -> list[int]:
        """Take over what a part has spilled elsewhere; return the work of each table."""
        link_file(path, self._path(part))
        path.unlink()
        return read_work(self._path(part))

    def parts(self) -> list[Path]:
        """List what the parts have spilled."""
        return list_paths(self.folder, ".arrow")

    def remove(self) -> None:
        """Remove what the parts have spilled."""
        for path in self.parts():
            path.unlink(missing_ok=True)

    def _path(self, part: str) -> Path:
        return self.folder / f"{part}.arrow"


@dataclass(frozen=True)
class Counted:
    """A vocabulary to make: the name of its counts among each part's tables, its limits, the rows counted."""

    name: str
    limits: Limits
    n_rows: int


@dataclass(frozen=True)
class Bucket:
    """A share of the tokens of the ``number``-th vocabulary, hardly more than ``room``; ``floor`` is its known cut."""

    number: int
    share: Share
    room: int
    floor: int | None = None


def merge_spilled(
    spilled: Spill, work: Iterable[Sequence[int]], wanted: Sequence[Counted], session: Session
) -> list[Iterator[pa.Table]]:
    """Return each vocabulary as a stream of tables in byte order; ``work`` is what each part's spilling gave.

    A map adds up the buckets of each; they tell where it is cut, and a last map sorts what is left. Between the two,
    a bucket of which too little was written, which is hardly ever, is added up again.
    """
    totals = dict(zip(spilled.names, np.sum([[0] * len(spilled.names), *work], axis=0).tolist(), strict=True))
    shares = [_shares(totals[counted.name]) for counted in wanted]
    buckets = [
        Bucket(number, share, totals[counted.name] // len(own))
        for number, (counted, own) in enumerate(zip(wanted, shares, strict=True))
        for share in own
    ]
    add = partial(session.map, add_bucket, label="vocabulary", spilled=spilled, wanted=tuple(wanted))
    runs: dict[Bucket, list[Run]] = dict(zip(buckets, add(buckets), strict=True))
    cuts = [Cut.of(_of(number, runs), counted.limits) for number, counted in enumerate(wanted)]
    low = [bucket for bucket, own in runs.items() if any(run.floor > cuts[bucket.number].lowest for run in own)]
    runs |= zip(low, add([replace(bucket, floor=cuts[bucket.number].lowest) for bucket in low]), strict=True)
    groups = [(number, group) for number, cut in enumerate(cuts) for group in group_runs(_of(number, runs), cut)]
    with ThreadPoolExecutor(1) as aside:
        # A large tree's parts take seconds to go; what cannot be removed goes with the folder.
        aside.submit(spilled.remove)
        ordered = session.map(sort_bucket, [(group, cuts[number]) for number, group in groups], "vocabulary")
    paths: list[list[Path]] = [[] for _ in wanted]
    for (number, _), path in zip(groups, ordered, strict=True):
        paths[number].append(path)
    return [merge_runs(own, cut) for own, cut in zip(paths, cuts, strict=True)]


def _of(number: int, runs: Mapping[Bucket, list[Run]]) -> list[Run]:
    """Return the runs of one vocabulary."""
    return [run for bucket, own in runs.items() if bucket.number == number for run in own]


def _shares(work: int) -> list[Share]:
    """Cut spilled counts into buckets, by what adding them up takes."""
    buckets = 1 << (min(work // BUCKET_WORK, MOST_BUCKETS - 1)).bit_length()
    return [Share(number, buckets) for number in range(buckets)]


def add_bucket(bucket: Bucket, spilled: Spill, wanted: Sequence[Counted]) -> list[Run]:
    """Add up one bucket of one vocabulary; write what may be chosen of it as runs."""
    counted, folder = wanted[bucket.number], spilled.folder / "runs"
    table = spilled.names.index(counted.name)
    runs: list[Run] = []
    for sums in add_shares(spilled.parts(), table, bucket.share, room=bucket.room):
        # A copy of a task may end late: what is written again has another name.
        again = "" if bucket.floor is None else "-again"
        path = folder / f"{bucket.number}-{bucket.share.number}-{len(runs)}{again}.arrow"
        runs.append(write_run(path, sums, counted.limits, counted.n_rows, bucket.floor))
    return runs


def sort_bucket(record: tuple[list[Path], Cut]) -> Path:
    """Sort some runs of a vocabulary."""
    return sort_runs(*record)


def write_vocabulary(
    layout: Layout, merged: Mapping[str, Iterable[pa.Table]], templates: pa.Table, limits: Limits
) -> None:
    """Write the tokens of each representation: of those ``merged`` from spilled counts, and of counted templates."""
    streams = {**merged, "templates": [choose(templates, limits, count_rows(layout.enhanced))]}
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
