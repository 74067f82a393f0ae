"""Differences between models over several hold-outs: paired draws, Holm, too few runs."""

import numpy as np
import pytest

from lo2dask.models.uncertainty import Draws, Units, bootstrap, bootstrap_mean
from lo2dask.training.differences import BEST, FEW, REAL, UNSURE, compare_all


def _scores(seed, runs, **shifts):
    """Make two hold-outs of the same runs, each of both classes, and scores that are shifted for errors."""
    rng = np.random.default_rng(seed)
    y, run = np.tile([False, False, True, True], runs), np.repeat(np.arange(runs), 4)
    noise = [rng.normal(size=len(y)) for _ in range(2)]
    own = {name: rng.normal(size=len(y)) for name in shifts}
    return {
        name: [(Units(y, run), shared + 0.1 * own[name] + shift * y) for shared in noise]
        for name, shift in shifts.items()
    }


def test_one_hold_out_is_the_bootstrap_of_one():
    units, score = _scores(1, 10, a=1.0)["a"][0]
    drawn = bootstrap_mean([(units, score)], "average_precision", Draws())
    one = bootstrap(units, score, "average_precision")
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx([one.low, one.high])


@pytest.mark.parametrize("seed", range(5))
def test_what_is_worse_is_told_and_what_is_alike_is_not(seed):
    found = compare_all(_scores(seed, 40, good=3.0, alike=3.0, worse=0.5, chance=0.0), seed)
    assert {found["good"].difference, found["alike"].difference} == {BEST, UNSURE}
    assert found["worse"].difference == found["chance"].difference == REAL
    assert found["chance"].comparisons == 3
    assert found["worse"].behind_low > 0
    assert found["chance"].chance == 0.5


def test_few_runs_tell_nothing():
    found = compare_all(_scores(1, 4, good=3.0, chance=0.0), 1)
    assert (found["good"].difference, found["chance"].difference) == (BEST, FEW)
    assert compare_all({}, 1) == {}
