"""Conformal p-values: how many normals, each scored by a model that has not seen its run, are as odd as a new one.

p = (1 + normals with at least its score) / (1 + normals); over exchangeable normals it is below α in at most a share
α of them (Vovk, Gammerman & Shafer 2005). With fewer than 19 normals no p is as low as .05, so nothing is flagged.
"""

import math

import numpy as np

ALPHA = 0.05
QUANTILE = 0.95


def p_values(scores: np.ndarray, normals: np.ndarray, is_among: np.ndarray | bool = False) -> np.ndarray:
    """Return the p of scores among those of normals: float64 (scores,), 1 without a normal.

    Where ``is_among`` holds, a score is that of one of the normals, and counts once.
    """
    ordered, itself = np.sort(np.asarray(normals, dtype=np.float64)), np.where(is_among, 0, 1)
    higher = len(ordered) - np.searchsorted(ordered, np.asarray(scores, dtype=np.float64))
    higher = np.maximum(higher, 1 - itself)  # at least itself
    return (itself + higher) / np.maximum(itself + len(ordered), 1)


def least_normals(alpha: float = ALPHA) -> int:
    """Return the fewest normals with which a p can be as low as α."""
    return math.ceil(1 / alpha - 1e-9) - 1


def limit_of(normals: np.ndarray, alpha: float = ALPHA) -> float | None:
    """Return the limit above which a new score has p ≤ α; None with too few normals."""
    allowed = int(alpha * (len(normals) + 1) + 1e-9)
    return float(np.sort(normals)[-allowed]) if allowed else None


def left_out_centres(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median of all other values and their spread (95 % quantile less median) for each: float64 (values,).

    At least two values.
    """
    order = np.argsort(values, kind="stable")
    ordered, place = values[order], np.empty(len(values), dtype=np.int64)
    place[order] = np.arange(len(values))
    others = len(values) - 1

    def take(index: int) -> np.ndarray:
        """Return the value at a place among the others of each."""
        return ordered[index + (place <= index)]

    median = (take((others - 1) // 2) + take(others // 2)) / 2
    return median, take(math.ceil(QUANTILE * (others - 1) - 1e-9)) - median
