"""Samples of rows by a seeded hash of seq_id, the same for any parts and any order."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Ids = npt.NDArray[np.object_]


@dataclass(frozen=True)
class RowCut:
    """The rows with the smallest hashes, up to and including this one; ties by seq_id."""

    last: int
    seq_id: str

    def mask(self, hashes: Hashes, ids: Ids) -> npt.NDArray[np.bool_]:
        """Return which rows are drawn: bool (rows,)."""
        level = np.uint64(self.last)
        tied = (hashes == level) & (ids.astype(str) <= self.seq_id)
        return np.asarray((hashes < level) | tied)


@dataclass(frozen=True)
class Lowest:
    """The ``limit`` smallest (key, seq_id) of some rows, rising, and how many rows there are; limit 0 keeps none."""

    limit: int
    rows: int
    pairs: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, limit: int, keys: Iterable[int], ids: Iterable[str]) -> "Lowest":
        """Take the rows of one part."""
        pairs = list(zip(keys, ids, strict=True))
        return cls(limit, len(pairs), tuple(heapq.nsmallest(limit, pairs)))

    def merge(self, other: "Lowest") -> "Lowest":
        """Join the rows of another part."""
        pairs = heapq.nsmallest(self.limit, [*self.pairs, *other.pairs])
        return Lowest(self.limit, self.rows + other.rows, tuple(pairs))

    def cut(self) -> RowCut | None:
        """Return what draws these rows; None when that is all rows (limit 0, or no more rows than the limit)."""
        if not self.limit or self.rows <= self.limit:
            return None
        return RowCut(*self.pairs[-1])


def mask_drawn(cut: RowCut | None, hashes: Hashes, ids: Ids) -> npt.NDArray[np.bool_]:
    """Return which rows a cut draws: bool (rows,); None draws all."""
    return np.ones(len(hashes), dtype=bool) if cut is None else cut.mask(hashes, ids)
