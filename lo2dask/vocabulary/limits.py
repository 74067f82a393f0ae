"""Which tokens of exact counts (columns: COUNTED) make a vocabulary.

Tokens rank by count, highest first, ties by token in byte order; the first ``max_features`` are kept and then sorted by
token. Limits are those of scikit-learn's CountVectorizer (min_df as a number of rows, max_df as a share).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class VocabularyLimits:
    """Which tokens are kept: min_df rows, at most the share max_df of rows, the first max_features by count.

    ``binary`` ranks by document frequency, as a vectoriser of ones and zeros does; 0 features = no cap.
    """

    min_df: int = 2
    max_df: float = 0.9
    max_features: int = 100_000
    binary: bool = True

    @property
    def rank(self) -> str:
        """Name the column by which tokens rank."""
        return "document_frequency" if self.binary else "count"


def choose(table: pa.Table, limits: VocabularyLimits, n_rows: int) -> pa.Table:
    """Return the tokens that the limits keep of counts over ``n_rows``, in byte order."""
    return select(table, limits, n_rows).sort_by("token")


def select(table: pa.Table, limits: VocabularyLimits, n_rows: int) -> pa.Table:
    """Return the tokens that the limits keep of counts over ``n_rows``, in no order.

    What is kept of a whole is kept of each of its parts: parts may be selected from first, and then all together.
    """
    frequency = table["document_frequency"].to_numpy()
    within = (frequency >= limits.min_df) & (frequency <= limits.max_df * n_rows)
    kept = table if within.all() else table.filter(pa.array(within))
    if not limits.max_features or kept.num_rows <= limits.max_features:
        return kept
    rank = kept[limits.rank].to_numpy()
    lowest = np.partition(rank, -limits.max_features)[-limits.max_features]
    above, tied = np.flatnonzero(rank > lowest), np.flatnonzero(rank == lowest)
    tokens = kept.select(["token"]).take(pa.array(tied))
    first = pc.select_k_unstable(tokens, limits.max_features - len(above), sort_keys=[("token", "ascending")])
    return kept.take(pa.array(np.concatenate([above, tied[first.to_numpy()]])))
