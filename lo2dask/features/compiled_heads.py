"""Loops over the times of lines' heads, compiled by Numba (parse.compiled says how and when)."""

import numpy as np
import numpy.typing as npt

from lo2dask.buffers.arrays import Ints
from lo2dask.buffers.kernels import compiled

Bytes = npt.NDArray[np.uint8]

_POINT, _COLON, _NOUGHT = (np.uint8(ord(letter)) for letter in ".:0")
_SIX, _TEN = np.uint64(6), np.uint64(10)


@compiled
def count_times(rows: Ints, stamps: Ints, day: int, cells: Ints, counts: Ints) -> int:
    """Count runs of equal times of day by row.

    ``cells`` takes the row of each run times a day, plus the time; ``counts`` how long it is.

    Returns
    -------
    how many runs there are.
    """
    found, begin = 0, np.int64(0)
    for line in range(len(rows)):
        # Time mostly goes on within the day of the line before.
        time = stamps[line] - begin
        if time < 0 or time >= day:
            time = stamps[line] % day
            begin = stamps[line] - time
        cell = rows[line] * day + time
        if found == 0 or cells[found - 1] != cell:
            cells[found], counts[found] = cell, 0
            found += 1
        counts[found - 1] += 1
    return found


@compiled
def write_clocks(time_ms: Ints, letters: Bytes) -> None:
    """Write times of day (ms) as ``HH:MM:SS.mmm``, each into a row of letters."""
    for row in range(len(time_ms)):
        # Unsigned, of which a division by a constant is a multiplication.
        rest = np.uint64(time_ms[row])
        for place in range(11, -1, -1):
            if place == 8:
                letters[row, place] = _POINT
            elif place == 2 or place == 5:
                letters[row, place] = _COLON
            elif place == 3 or place == 6:
                letters[row, place] = _NOUGHT + rest % _SIX
                rest //= _SIX
            else:
                letters[row, place] = _NOUGHT + rest % _TEN
                rest //= _TEN
