"""Runs of counted tokens, one or more per bucket, are cut, sorted and merged into one vocabulary in a streaming pass.

The cut at ``max_features`` falls on a rank (a count or a document frequency) and, among the tokens of that very rank,
on a place in byte order. The rank is found from how many tokens have which, which each run tells; so no more is
sorted than what is not below it, some runs at a time. The place is found on the way, because the tokens come in byte
order then.
"""

import bisect
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Ints
from lo2dask.storage import replacing
from lo2dask.vocabulary.adding import TokenSums
from lo2dask.vocabulary.limits import COUNTED, Limits, find_candidates
from lo2dask.vocabulary.spilling import open_counts

# Rows that the merge holds of each run.
BATCH_ROWS = 4096
# A share's part of max_features times this is written of it. A hash parts tokens evenly; but trigrams are parted by
# their letters, and base64, the most varied text in logs, fills half of the shares, twice as high.
_SPARE = 4
# Rows that are sorted at once, but for a single run that has more.
SORTED_ROWS = 1 << 18


@dataclass(frozen=True)
class Run:
    """A file of counted tokens; ``numbers`` of them have the ``ranks``; those below ``floor`` were left out of it."""

    path: Path
    ranks: Ints
    numbers: Ints
    floor: int = 0

    def above(self, cut: "Cut") -> int:
        """Return the number of its tokens that are not below a cut."""
        return int(self.numbers[self.ranks >= cut.lowest].sum())


@dataclass(frozen=True)
class Cut:
    """Where a vocabulary ends: the ``lowest`` value of the column ``rank`` (0 = none) and how many ``ties`` have it."""

    rank: str
    lowest: int
    ties: int

    @classmethod
    def of(cls, runs: Iterable[Run], limits: Limits) -> "Cut":
        """Find the cut that leaves the first ``max_features`` of all runs."""
        ranks = np.concatenate([np.zeros(0, np.int64), *(run.ranks for run in runs)])
        numbers = np.concatenate([np.zeros(0, np.int64), *(run.numbers for run in runs)])
        most = limits.max_features
        if not most or numbers.sum() <= most:
            return cls(limits.rank, 0, 0)
        order = np.argsort(-ranks, kind="stable")
        lowest = ranks[order[np.searchsorted(np.cumsum(numbers[order]), most)]]
        return cls(limits.rank, int(lowest), int(most - numbers[ranks > lowest].sum()))

    def take(self, ordered: pa.Table) -> pa.Table:
        """Keep what is not below the cut of tokens in byte order: of those that tie, the first ones."""
        ranks = ordered[self.rank].to_numpy()
        tied = ranks == self.lowest
        return ordered.filter(pa.array((ranks > self.lowest) | (tied & (np.cumsum(tied) <= self.ties))))


def write_run(path: Path, sums: TokenSums, limits: Limits, n_rows: int, floor: int | None = None) -> Run:
    """Write what may be chosen of a share's tokens as a run, which counts them all.

    Those that rank below ``floor`` are left out. Not given, they are those that are too low if this share is as others:
    if _SPARE times its part of ``max_features`` ranks higher. A cut that is lower wants the run written again.
    """
    counts = sums.counts()
    found = find_candidates(counts, limits, n_rows)
    ranks = counts[COUNTED.names.index(limits.rank) - 1, found]
    if floor is None:
        expected = -(-_SPARE * limits.max_features // sums.share.of)
        floor = int(np.partition(ranks, -expected)[-expected]) if 0 < expected < len(ranks) else 0
    _write(path, sums.take(found[ranks >= floor]))
    return Run(path, *np.unique(ranks, return_counts=True), floor)


def group_runs(runs: Iterable[Run], cut: Cut) -> list[list[Path]]:
    """Group the runs by how many of their tokens are not below a cut: those of a group are sorted at once."""
    groups: list[list[Path]] = []
    room = 0
    for run in runs:
        above = run.above(cut)
        if above > room:
            groups.append([])
            room = max(SORTED_ROWS, above)
        if above:
            groups[-1].append(run.path)
            room -= above
    return groups


def sort_runs(paths: Sequence[Path], cut: Cut) -> Path:
    """Write runs without a common token as one: what is not below the cut, in byte order."""
    parts = []
    for path in paths:
        with open_counts(path) as file:
            table = file.read_all()
        parts.append(table.filter(pc.greater_equal(table[cut.rank], cut.lowest)))
    ordered = paths[0].with_suffix(".sorted")
    _write(ordered, cut.take(pa.concat_tables(parts).sort_by("token")))
    return ordered


def _write(path: Path, table: pa.Table) -> None:
    with (
        replacing(path, durable=False) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, COUNTED, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer,
    ):
        writer.write_table(table.combine_chunks(), max_chunksize=BATCH_ROWS)


def merge_runs(runs: Sequence[Path], cut: Cut) -> Iterator[pa.Table]:
    """Merge sorted runs without a common token; return what is not below the cut, in byte order."""
    ties = cut.ties
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(open_counts(run)) for run in runs]
        streams = [_Stream(_batches(reader)) for reader in readers]
        while streams := [stream for stream in streams if stream.fill()]:
            # What is not above the first end of a batch that has a successor can be overtaken by nothing.
            border = min((stream.last for stream in streams if not stream.at_end), default=None)
            table = pa.concat_tables([stream.take(border) for stream in streams]).sort_by("token")
            left = Cut(cut.rank, cut.lowest, ties)
            ties -= pc.sum(pc.equal(table[cut.rank], cut.lowest)).as_py() or 0
            yield left.take(table)


def _batches(reader: pa.ipc.RecordBatchFileReader) -> Iterator[pa.Table]:
    for number in range(reader.num_record_batches):
        yield pa.Table.from_batches([reader.get_batch(number)])


class _Stream:
    """The part of a run that has been read and not been taken."""

    def __init__(self, batches: Iterator[pa.Table]) -> None:
        self._batches = batches
        self._table = COUNTED.empty_table()
        self._next = next(batches, None)

    @property
    def at_end(self) -> bool:
        """Whether nothing comes after what is held."""
        return self._next is None

    @property
    def last(self) -> str:
        """The last token held."""
        return str(self._table["token"][-1].as_py())

    def fill(self) -> bool:
        """Read on if nothing is held; return whether anything is."""
        if self._table.num_rows == 0 and self._next is not None:
            self._table, self._next = self._next, next(self._batches, None)
        return self._table.num_rows > 0

    def take(self, border: str | None) -> pa.Table:
        """Take the tokens up to the border; None = all."""
        tokens = self._table["token"]
        # Python compares by code point, which for UTF-8 is the order of bytes.
        count = len(tokens) if border is None else bisect.bisect_right(tokens, border, key=str)
        taken, self._table = self._table.slice(0, count), self._table.slice(count)
        return taken
