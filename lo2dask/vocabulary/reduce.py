"""Spilled token counts become vocabularies: one map sums and selects bucket by bucket, the rest is a merge.

A bucket's task writes what may be chosen of its tokens. With a cap (``max_features``), this is no more than the cap;
the client selects among these, some files at a time. Without one, each task writes its tokens
in byte order, and the client reads and sorts one range of tokens after the other from all files.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.execute.session import Session
from lo2dask.vocabulary.counts import COUNTED
from lo2dask.vocabulary.limits import VocabularyLimits, choose, select
from lo2dask.vocabulary.spill import (
    Bucket,
    Spill,
    fit_buckets,
    open_counts,
    read_batches,
    read_bucket,
    write_batches,
)

# Distinct tokens that a task holds, with their sums.
MOST_BYTES = 64 << 20
# A bucket has about so many spilled rows. Tokens that many parts share are spilled by each of them, so its distinct
# ones are fewer; should they be too many all the same, the bucket is split.
BUCKET_ROWS = 1 << 18
# Each bucket is one reading of every part's file: more would cost more time than memory is saved.
_MOST_BUCKETS = 256
# Buckets are not split further; so many tokens with equal low bits are not made by chance.
_MOST_SPLITS = 1 << 32
# Tables of parts held before they are summed: each also takes memory of its own, which no size of its columns tells.
_MOST_TABLES = 1024
# Rows that the client reads before it selects again; rows of a batch of a file, and batches that begin in one range.
MERGE_ROWS, BATCH_ROWS, RANGE_BATCHES = 1 << 20, 1 << 12, 1 << 6


@dataclass(frozen=True)
class VocabularyPlan:
    """A vocabulary to make: the name of its counts among each part's tables, its limits, the rows counted."""

    name: str
    limits: VocabularyLimits
    n_rows: int


@dataclass(frozen=True)
class Selection:
    """A file of selected tokens of one bucket; of one in byte order, ``firsts`` has the first token of each batch."""

    path: Path
    firsts: list[str]


def merge_spilled(
    spilled: Spill, rows: Iterable[Sequence[int]], plans: Sequence[VocabularyPlan], session: Session
) -> list[Iterator[pa.Table]]:
    """Return each vocabulary as a stream of tables in byte order (columns: COUNTED).

    ``rows`` is what :meth:`Spill.add` or :meth:`Spill.take` returned for each part. The streams read files in the
    spill's folder, which has to stay until they have ended.
    """
    totals = dict(zip(spilled.names, np.sum([[0] * len(spilled.names), *rows], axis=0).tolist(), strict=True))
    numbers = [fit_buckets(totals[plan.name], BUCKET_ROWS, 1, _MOST_BUCKETS) for plan in plans]
    tasks = [(plan, Bucket(number, of)) for plan, of in enumerate(numbers) for number in range(of)]
    reduce = partial(session.map, reduce_bucket, label="vocabulary", spilled=spilled, plans=tuple(plans))
    found: list[list[Selection]] = [[] for _ in plans]
    for (plan, _), selections in zip(tasks, reduce(tasks), strict=True):
        found[plan] += selections
    return [merge(own, plan) for own, plan in zip(found, plans, strict=True)]


def reduce_bucket(task: tuple[int, Bucket], spilled: Spill, plans: Sequence[VocabularyPlan]) -> list[Selection]:
    """Sum one bucket of the n-th vocabulary, and write what may be chosen of it, in one file or several."""
    number, bucket = task
    plan = plans[number]
    table = spilled.names.index(plan.name)
    return [
        write_selection(spilled.folder / "selected" / f"{number}-{bucket.number}-{split}.arrow", sums, plan)
        for split, sums in enumerate(sum_bucket(spilled.parts(), table, bucket, MOST_BYTES))
    ]


def sum_bucket(paths: Sequence[Path], table: int, bucket: Bucket, most: int) -> Iterator[pa.Table]:
    """Sum a bucket of the n-th table of all spilled parts (columns: COUNTED), in no order.

    Where its distinct tokens take more than ``most`` bytes, it comes in several tables without a common token: it is
    halved on the way, and the other halves are read afterwards.
    """
    waiting = [bucket]
    while waiting:
        own = waiting.pop()
        sums, added, held = COUNTED.empty_table(), [], 0
        for path in paths:
            added.append(read_bucket(path, table, own))
            held += added[-1].nbytes
            if path != paths[-1] and held <= most // 2 and len(added) < _MOST_TABLES:
                continue
            sums, added, held = sum_counts([sums, *added]), [], 0
            while sums.nbytes > most and sums.num_rows > 1 and own.of < _MOST_SPLITS:
                own, other = own.halves()
                waiting.append(other)
                sums = own.select(sums)
        yield sums


def sum_counts(tables: Iterable[pa.Table]) -> pa.Table:
    """Sum counted tables (columns: COUNTED) by token, in no order."""
    counted = pa.concat_tables([COUNTED.empty_table(), *tables])
    # A task has one core, and threads would only compete for it.
    grouped = pa.TableGroupBy(counted, "token", use_threads=False)
    summed = grouped.aggregate([(name, "sum") for name in COUNTED.names[1:]])
    return summed.rename_columns(COUNTED.names)


def write_selection(path: Path, sums: pa.Table, plan: VocabularyPlan) -> Selection:
    """Write what may be chosen of a bucket's tokens: with a cap in no order, else in byte order."""
    limits = plan.limits
    selected = (select if limits.max_features else choose)(sums, limits, plan.n_rows).combine_chunks()
    batches = selected.to_batches(max_chunksize=BATCH_ROWS)
    write_batches(path, COUNTED, batches)
    return Selection(path, [] if limits.max_features else [batch["token"][0].as_py() for batch in batches])


def merge(selections: Sequence[Selection], plan: VocabularyPlan) -> Iterator[pa.Table]:
    """Merge selections without a common token into one vocabulary: tables in byte order (columns: COUNTED)."""
    return _merge_capped(selections, plan) if plan.limits.max_features else _merge_ranges(selections)


def _merge_capped(selections: Iterable[Selection], plan: VocabularyPlan) -> Iterator[pa.Table]:
    kept = [COUNTED.empty_table()]
    for selection in selections:
        with open_counts(selection.path) as file:
            kept.append(read_batches(file, range(file.num_record_batches)))
        if sum(table.num_rows for table in kept) > max(MERGE_ROWS, 2 * plan.limits.max_features):
            kept = [select(pa.concat_tables(kept), plan.limits, plan.n_rows)]
    yield choose(pa.concat_tables(kept), plan.limits, plan.n_rows)


def _merge_ranges(selections: Sequence[Selection]) -> Iterator[pa.Table]:
    # Python compares by code point, which for UTF-8 is the order of bytes.
    borders = sorted(first for selection in selections for first in selection.firsts)[::RANGE_BATCHES]
    for low, high in zip(borders, [*borders[1:], None], strict=False):
        yield pa.concat_tables([_read_range(each, low, high) for each in selections]).sort_by("token")


def _read_range(selection: Selection, low: str, high: str | None) -> pa.Table:
    """Read the tokens from ``low`` up to but not including ``high`` of a file in byte order; None = all."""
    firsts = selection.firsts
    start, stop = max(bisect_right(firsts, low) - 1, 0), len(firsts) if high is None else bisect_left(firsts, high)
    with open_counts(selection.path) as file:
        found = read_batches(file, range(start, stop))
    found = found.filter(pc.greater_equal(found["token"], low))
    return found if high is None else found.filter(pc.less(found["token"], high))
