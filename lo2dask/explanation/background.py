"""The mean training row: exact sums over the training part, mergeable over its parts in any order."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from lo2dask.explanation.summary import Floats

# Counts are whole numbers; scaled numeric columns are rounded to this grid, so that their sum is exact too.
GRID = 2.0**-24


@dataclass(frozen=True)
class Background:
    """Number of background rows and the sum of each of their columns (n features,)."""

    rows: int
    total: Floats

    @classmethod
    def zero(cls, width: int) -> "Background":
        """Make the background of no row."""
        return cls(0, np.zeros(width))

    def merge(self, other: "Background") -> "Background":
        """Add the rows of another part."""
        return Background(self.rows + other.rows, self.total + other.total)

    def mean(self) -> Floats:
        """Return the mean row; zero when there is none."""
        return self.total / max(self.rows, 1)


def background_of(rows: sparse.csr_matrix, taken: npt.NDArray[np.bool_]) -> Background:
    """Sum up the rows of one part that belong to the background."""
    chosen = rows[taken]
    data = np.rint(chosen.data.astype(np.float64) / GRID) * GRID
    total = np.bincount(chosen.indices, weights=data, minlength=rows.shape[1])
    return Background(chosen.shape[0], np.asarray(total, dtype=np.float64))
