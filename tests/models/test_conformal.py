"""p-values by plain loops, and how often they flag what is like the normals."""

import numpy as np
import pytest

from lo2dask.models.conformal import left_out_centres, limit_of, p_values
from lo2dask.models.runs import RunRows, calibrate, flag, run_scores


def test_p_is_the_share_of_normals_that_are_as_odd():
    normals = np.array([1.0, 2.0, 2.0, 5.0])
    np.testing.assert_allclose(p_values(np.array([0.0, 2.0, 3.0, 9.0]), normals), [1, 4 / 5, 2 / 5, 1 / 5])
    np.testing.assert_allclose(p_values(normals, normals, is_among=True), [1, 3 / 4, 3 / 4, 1 / 4])
    assert p_values(np.array([3.0]), np.empty(0)).tolist() == [1.0]
    assert limit_of(np.arange(18)) is None
    for count in (19, 38, 39, 200):
        values = np.random.default_rng(count).normal(size=count)
        new = np.linspace(-4, 4, 999)
        np.testing.assert_array_equal(new > limit_of(values), p_values(new, values) <= 0.05)


@pytest.mark.parametrize("count", [2, 3, 4, 19, 40, 41])
def test_centres_leave_each_value_out(count):
    values = np.random.default_rng(count).integers(0, 9, count).astype(float)
    median, spread = left_out_centres(values)
    for place in range(count):
        others = np.delete(values, place)
        assert median[place] == np.median(others)
        assert spread[place] == np.quantile(others, 0.95, method="higher") - np.median(others)


def _sample(seed, normals, new=200, services=7):
    """Return cases of normals, then of new ones that are like them; services differ in scale, shape and noise."""
    rng, count = np.random.default_rng(seed), normals + new
    shapes = (
        rng.normal(size=(services, count)),
        rng.exponential(size=(services, count)),
        rng.poisson(2, (services, count)),
    )
    score = shapes[seed % 3] * 10.0 ** rng.integers(-2, 3, (services, 1)) + rng.normal(size=(services, 1))
    # A run that is odd in one service is odder in the others too.
    score += 0.5 * score.std(axis=1, keepdims=True) * rng.normal(size=count)
    run = np.array([f"run_{n:04}" for n in range(count)])
    names = np.repeat([f"s{n}" for n in range(services)], count)
    return RunRows(np.tile(run, services), np.full(services * count, "correct"), names, score.ravel())


def _flagged(seed, normals):
    rows = _sample(seed, normals)
    learned = np.isin(rows.run, np.unique(rows.run)[:normals])
    calibration = calibrate(rows, learned)
    table = run_scores(rows, calibration, {})
    new = table["score_run"].to_numpy()[normals:]
    assert flag(new, calibration).astype(int).tolist() == table["pred_ano"].to_pylist()[normals:]
    return table["pred_ano"].to_numpy()[normals:].mean()


@pytest.mark.parametrize(
    "normals", [40, *(pytest.param(count, marks=pytest.mark.thorough) for count in (59, 100, 200))]
)
def test_normals_are_flagged_at_the_nominal_rate(normals):
    rate = np.mean([_flagged(seed, normals) for seed in range(200)])
    assert 0.02 <= rate <= 0.08, rate


def test_fewer_than_nineteen_normals_flag_nothing():
    assert not any(_flagged(seed, normals) for seed in range(20) for normals in (1, 2, 5, 18))
