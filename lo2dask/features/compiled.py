"""Loops that numpy cannot do in one pass, compiled by Numba on first use and kept on disk for the next process.

Importing this takes half a second: only who counts raw trigrams does.
"""

import numpy as np
import numpy.typing as npt

from lo2dask.parse.compiled import compiled
from lo2dask.parse.lines import Bytes, Ints


@compiled
def count_windows(
    text: Bytes, offsets: Ints, numbers: npt.NDArray[np.int32], width: int, counts: npt.NDArray[np.int32]
) -> None:
    """Add the windows of three bytes within each line to ``counts``.

    ``offsets`` are the borders of the lines in ``text``, one more than lines; ``numbers`` maps a byte to its number
    below ``width``; the window of numbers a, b, c is counted in cell ``(a * width + b) * width + c``.
    """
    for line in range(len(offsets) - 1):
        start, stop = offsets[line], offsets[line + 1]
        if stop - start < 3:
            continue
        first, second = numbers[text[start]], numbers[text[start + 1]]
        for at in range(start + 2, stop):
            third = numbers[text[at]]
            counts[(first * width + second) * width + third] += 1
            first, second = second, third
