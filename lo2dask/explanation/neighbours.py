"""The nearest normal sequence of each flagged one: sparse cosine similarity against a bounded, seeded sample.

Normals are labelled normal and in the training part (``LABELLED``), or not flagged by the model (``UNFLAGGED``). Of
each stratum (service and test case) the sequences with the smallest seeded hashes are drawn, whatever the parts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from lo2dask.explanation.draw import Ids
from lo2dask.explanation.summary import Floats
from lo2dask.storage import replacing, source_of

BLOCK_BYTES = 64 * 2**20
DECIMALS = 12  # equal similarities differ in the last bits, and must be ties
LABELLED, UNFLAGGED = "labelled", "unflagged"
NAMES = {LABELLED: "nearest normal (by label, training part)", UNFLAGGED: "nearest unflagged sequence"}


@dataclass(frozen=True)
class NormalRows:
    """Some normals: feature rows, and of each row its seq_id, seeded hash and stratum."""

    rows: sparse.csr_matrix
    ids: Ids
    hashes: npt.NDArray[np.uint64]
    strata: Ids

    def take(self, chosen: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "NormalRows":
        """Select some of them."""
        return NormalRows(
            sparse.csr_matrix(self.rows[chosen]), self.ids[chosen], self.hashes[chosen], self.strata[chosen]
        )

    @classmethod
    def join(cls, pieces: Iterable["NormalRows"]) -> "NormalRows":
        """Join those of several parts."""
        several = list(pieces)
        rows = sparse.vstack([one.rows for one in several], format="csr")
        return cls(rows, *(np.concatenate([getattr(one, n) for one in several]) for n in ("ids", "hashes", "strata")))

    def save(self, path: Path) -> None:
        """Write them to a file."""
        names = {name: getattr(self, name).astype(str) for name in ("ids", "strata")}
        matrix = {name: getattr(self.rows, name) for name in ("data", "indices", "indptr", "shape")}
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, hashes=self.hashes, **names, **matrix)

    @classmethod
    def load(cls, path: Path) -> "NormalRows":
        """Read them from a file."""
        with np.load(source_of(path)) as saved:
            rows = sparse.csr_matrix((saved["data"], saved["indices"], saved["indptr"]), tuple(saved["shape"]))
            return cls(rows, saved["ids"].astype(object), saved["hashes"], saved["strata"].astype(object))


def may_be_drawn(normals: NormalRows, counts: Mapping[str, int], drawn: Mapping[str, int]) -> npt.NDArray[np.bool_]:
    """Return the rows of one part that can be among those drawn: bool (rows,).

    Hashes are spread evenly, so the ``n`` smallest of ``N`` lie below ``n / N`` of their range but for a few; six
    standard deviations more leave none out in practice, and bound what all parts together keep.
    """
    shares = {name: (n + 6 * n**0.5 + 6) / max(counts[name], 1) for name, n in drawn.items()}
    limits = np.array([shares.get(name, 0.0) for name in normals.strata.tolist()])
    return np.asarray(normals.hashes / 2.0**64 <= limits)


def draw(normals: NormalRows, drawn: Mapping[str, int]) -> NormalRows:
    """Keep of each stratum the rows with the smallest hashes, ties by seq_id; return them sorted by seq_id."""
    order = np.lexsort((normals.ids.astype(str), normals.hashes))
    seen: Counter[str] = Counter()
    kept = []
    for row, stratum in zip(order.tolist(), normals.strata[order].tolist(), strict=True):
        seen[stratum] += 1
        if seen[stratum] <= drawn[stratum]:
            kept.append(row)
    chosen = np.array(kept, dtype=np.int64)
    return normals.take(chosen[np.argsort(normals.ids[chosen].astype(str), kind="stable")])


def unit_rows(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    """Scale every row to length one, in float64; a row without entries stays empty."""
    rows = sparse.csr_matrix(rows, dtype=np.float64)
    lengths = np.sqrt(rows.multiply(rows).sum(axis=1)).A1
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    rows.data *= np.repeat(scale, np.diff(rows.indptr))
    return rows


def nearest(
    flagged: sparse.csr_matrix, flagged_ids: Ids, normals: sparse.csr_matrix, ids: Ids, block_bytes: int = BLOCK_BYTES
) -> tuple[Ids, Floats]:
    """Return the most similar normal of each flagged row, never the row itself: its seq_id and the cosine.

    Where none has anything in common with the row, these are "" and 0. Ties go to the smaller seq_id.

    Parameters
    ----------
    flagged : (rows, n features) as :func:`unit_rows` returns them
    normals : (n features, normals) unit rows, transposed, in the order of their ``ids``
    block_bytes : bound of the dense similarities held at once
    """
    best, similarity = np.full(flagged.shape[0], "", dtype=object), np.zeros(flagged.shape[0])
    if not len(ids):
        return best, similarity
    own = {seq_id: column for column, seq_id in enumerate(ids.tolist())}
    step = max(1, block_bytes // (24 * len(ids)))
    for start in range(0, flagged.shape[0], step):
        # The sum of one pair runs over the flagged row's entries in column order, whatever else is in the block.
        block = np.minimum(np.round((flagged[start : start + step] @ normals).toarray(), DECIMALS), 1.0)
        for row, seq_id in enumerate(flagged_ids[start : start + step].tolist()):
            if seq_id in own:
                block[row, own[seq_id]] = 0.0
        columns = block.argmax(axis=1)
        values = block[np.arange(len(block)), columns]
        similarity[start : start + step] = values
        best[start : start + step] = np.where(values > 0, ids[columns], "")
    return best, similarity
