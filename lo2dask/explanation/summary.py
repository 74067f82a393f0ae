"""Summaries of SHAP values: exact sums per feature, and the strongest features of each flagged row."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# A unit of 2^-30 of the largest value leaves 23 bits for adding rows up in float64 without any rounding, so that
# sums do not depend on how rows are cut into parts; it costs at most 5e-10 of the largest value.
UNIT_BITS = 30

# Sum of the values against the model's own output: what single precision leaves over hundreds of trees.
ADDITIVITY = 1e-4


@dataclass(frozen=True)
class ShapSums:
    """Sums over rows, per feature, as whole multiples of ``unit``: adding them is exact, in any order.

    Attributes
    ----------
    rows, failed : rows summed up; rows left out because their values do not add up to the model's output
    absolute, signed : (n features,) sums of abs(phi) and of phi, in units
    unit : value of one unit, a power of two
    """

    rows: int
    failed: int
    absolute: Floats
    signed: Floats
    unit: float

    @classmethod
    def zero(cls, width: int, unit: float) -> "ShapSums":
        """Make the sums over no row."""
        return cls(0, 0, np.zeros(width), np.zeros(width), unit)

    def merge(self, other: "ShapSums") -> "ShapSums":
        """Add the sums of other rows of the same model."""
        return ShapSums(
            self.rows + other.rows,
            self.failed + other.failed,
            self.absolute + other.absolute,
            self.signed + other.signed,
            self.unit,
        )


@dataclass(frozen=True)
class Feature:
    """One feature over all explained rows: its name or label, mean abs(phi) and mean phi."""

    label: str
    mean_absolute: float
    mean_signed: float


@dataclass(frozen=True)
class TopFeatures:
    """Strongest features of some rows, by abs(phi), ties by column.

    They are the k strongest of all, and the k strongest of those that the row has and that speak for an anomaly: the
    second ones can be found in its log.

    Attributes
    ----------
    columns : (rows, 2 k) columns; -1 where a row has fewer features with a value
    values : (rows, 2 k) phi, positive = more anomalous; 0 where the column is -1
    explained : (rows,) False where the values do not add up to the model's output: such rows have no features
    """

    columns: Integers
    values: Floats
    explained: Flags

    @classmethod
    def join(cls, pieces: list["TopFeatures"], k: int) -> "TopFeatures":
        """Join the rows of several chunks."""
        if not pieces:
            return cls(np.zeros((0, 2 * k), dtype=np.int64), np.zeros((0, 2 * k)), np.zeros(0, dtype=bool))
        return cls(*(np.concatenate([getattr(p, f.name) for p in pieces]) for f in dataclasses.fields(cls)))


def unit_for(largest: float) -> float:
    """Choose the unit of the sums for values up to about ``largest``: a power of two."""
    if not largest > 0:
        return 1.0
    return math.ldexp(1.0, math.frexp(largest)[1] - UNIT_BITS)


def adds_up(total: Floats, output: Floats) -> Flags:
    """Return for each row whether base value plus SHAP values are the model's output."""
    gap = np.abs(total - output)
    return np.asarray(gap <= ADDITIVITY * np.maximum(1.0, np.abs(output)))  # False for NaN


def strongest(phi: Floats, columns: Integers, k: int) -> tuple[Integers, Floats]:
    """Pick the k largest abs(phi) of every row, largest first, ties by column.

    Parameters
    ----------
    phi : (rows, n) values
    columns : (n,) the column that each stands for, rising
    """
    size = np.abs(phi)
    k_here = min(k, size.shape[1])
    if k_here == 0 or not len(phi):
        return np.full((len(phi), k), -1, dtype=np.int64), np.zeros((len(phi), k))
    border = np.partition(size, -k_here, axis=1)[:, -k_here, None]
    chosen = size > border
    ties = size == border
    chosen |= ties & (np.cumsum(ties, axis=1) <= k_here - chosen.sum(axis=1, keepdims=True))
    positions = np.nonzero(chosen)[1].reshape(len(phi), k_here)
    picked = np.take_along_axis(phi, positions, axis=1)
    order = np.argsort(-np.abs(picked), axis=1, kind="stable")
    return pad(columns[np.take_along_axis(positions, order, axis=1)], np.take_along_axis(picked, order, axis=1), k)


def strongest_of(phi: Floats, present: Flags, columns: Integers, k: int) -> tuple[Integers, Floats]:
    """Pick the k largest abs(phi) of every row, and the k largest phi above 0 of what the row has: 2 k columns.

    Parameters
    ----------
    phi : (rows, n) values
    present : (rows, n) whether the row has the feature
    columns : (n,) the column that each stands for, rising
    """
    overall, values = strongest(phi, columns, k)
    carried, more = strongest(np.where(present & (phi > 0), phi, 0.0), columns, k)
    known = (carried[:, :, None] == overall[:, None, :]).any(axis=2)
    joined = np.hstack([overall, np.where(known, -1, carried)])
    sizes = np.hstack([values, np.where(known, 0.0, more)])
    order = np.lexsort((joined, -np.abs(sizes)), axis=1)
    return np.take_along_axis(joined, order, axis=1), np.take_along_axis(sizes, order, axis=1)


def pad(columns: Integers, values: Floats, k: int) -> tuple[Integers, Floats]:
    """Blank the features without a value and widen both arrays to k columns."""
    columns = np.where(values == 0, -1, columns)
    missing = ((0, 0), (0, k - columns.shape[1]))
    return np.pad(columns, missing, constant_values=-1), np.pad(values, missing)
