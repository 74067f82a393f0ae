"""The most similar normal sequence of each flagged one: sparse cosine similarity, block by block."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from lo2dask.explanation.summary import Floats, strongest

BLOCK_BYTES = 64 * 2**20
DECIMALS = 12  # equal similarities differ in the last bits, and must be ties

Ids = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Matches:
    """The best k normals of each flagged row, best first, ties by seq_id.

    Attributes
    ----------
    similarity : (flagged rows, k) cosine, from 0 to 1; 0 where there is none
    ids : (flagged rows, k) seq_id of the normal; empty where none has anything in common with the row
    """

    similarity: Floats
    ids: Ids

    @classmethod
    def none(cls, rows: int, k: int) -> "Matches":
        """Make the matches among no normals."""
        return cls(np.zeros((rows, k)), np.full((rows, k), "", dtype=object))

    def merge(self, other: "Matches") -> "Matches":
        """Keep the best k among the normals of both."""
        k = self.similarity.shape[1]
        similarity = np.hstack([self.similarity, other.similarity])
        ids = np.hstack([self.ids, other.ids])
        order = np.lexsort((ids.astype(str), -similarity), axis=1)[:, :k]
        return Matches(np.take_along_axis(similarity, order, axis=1), np.take_along_axis(ids, order, axis=1))


def unit_rows(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    """Scale every row to length one, in float64; a row without entries stays empty."""
    rows = sparse.csr_matrix(rows, dtype=np.float64)
    lengths = np.sqrt(rows.multiply(rows).sum(axis=1)).A1
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    rows.data *= np.repeat(scale, np.diff(rows.indptr))
    return rows


def nearest(
    flagged: sparse.csr_matrix, normals: sparse.csr_matrix, ids: Ids, k: int = 1, block_bytes: int = BLOCK_BYTES
) -> Matches:
    """Find the k most similar normals of each flagged row within one part.

    Parameters
    ----------
    flagged, normals : (rows, n features) as :func:`unit_rows` gives them
    ids : (normal rows,) their seq_ids
    block_bytes : bound of the dense similarities held at once
    """
    order = np.argsort(ids.astype(str), kind="stable")
    transposed, ids = normals[order].T.tocsr(), ids[order]
    step = max(1, block_bytes // (48 * max(1, len(ids))))
    pieces = [
        _nearest_block(flagged[start : start + step], transposed, ids, k) for start in range(0, flagged.shape[0], step)
    ]
    return join(pieces, k)


def join(pieces: Iterable[Matches], k: int) -> Matches:
    """Put the matches of several blocks of flagged rows below one another."""
    blocks = [Matches.none(0, k), *pieces]
    return Matches(np.vstack([b.similarity for b in blocks]), np.vstack([b.ids for b in blocks]))


def _nearest_block(flagged: sparse.csr_matrix, transposed: sparse.csr_matrix, ids: Ids, k: int) -> Matches:
    # The sum of one pair runs over the flagged row's entries in column order, whatever else is in the block.
    similarity = np.minimum(np.round((flagged @ transposed).toarray(), DECIMALS), 1.0)
    positions, values = strongest(similarity, np.arange(len(ids)), k)
    return Matches(values, np.where(positions >= 0, np.append(ids, "")[positions], ""))
