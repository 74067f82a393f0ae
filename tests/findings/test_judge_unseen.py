"""Unseen statements on the scale of windows: an error level first, then what is repeated; a single line is no alarm."""

import numpy as np

from lo2dask.findings.judge import ALARM, weigh_unseen


def test_an_error_level_ranks_above_the_rest_and_a_single_line_below_every_alarm() -> None:
    count = np.array([1, 2, 1000, 1, 2, 1000])
    is_error = np.array([False] * 3 + [True] * 3)
    assert weigh_unseen(count, is_error).tolist() == [
        ALARM, 10 + np.log2(3), 10 + np.log2(1001), ALARM, 20 + np.log2(3), 20 + np.log2(1001),
    ]  # fmt: skip
