"""Uncertainty beside scikit-learn, plain enumeration and what is known of small samples."""

import time
from itertools import combinations, product

import numpy as np
import pytest
from sklearn import metrics

from lo2dask.models import uncertainty
from lo2dask.models.uncertainty import (
    CASES,
    RUNS,
    WITHIN,
    Draws,
    Units,
    auc,
    average_precision,
    bootstrap,
    bootstrap_difference,
    chance_of_best,
    holm,
    permutation_p,
    random_areas,
)


def _tied(seed, n=60):
    rng = np.random.default_rng(seed)
    return rng.random(n) < 0.4, rng.integers(0, 12, n) / 7


@pytest.mark.parametrize("seed", range(20))
def test_measures_are_those_of_scikit_learn(seed):
    y, score = _tied(seed)
    assert auc(y, score) == pytest.approx(metrics.roc_auc_score(y, score), abs=1e-12)
    assert average_precision(y, score) == pytest.approx(metrics.average_precision_score(y, score), abs=1e-12)


def test_units_exchange_what_their_runs_allow():
    y = np.array([0, 0, 1, 1], bool)
    assert Units.of(y, ["a", "a", "b", "c"]).scheme == RUNS
    assert Units.of(y, ["a", "b", "a", "b"]).scheme == WITHIN
    assert Units.of(y, ["a", "b", "a", "c"]).scheme == CASES
    assert Units.of(y, ["a", "b", "a", "c"]).class_runs == (2, 2)


def test_the_eight_runs_of_the_specification():
    # One pair of fifteen out of order: 2 of 56 assignments are as good, and .28 for the best of nine.
    y, score = np.array([0, 0, 0, 1, 1, 1, 1, 1], bool), np.array([1, 2, 4, 3, 5, 6, 7, 8.0])
    units = Units.of(y, np.arange(8))
    found = permutation_p(units, score)
    assert (found.p, found.assignments, found.is_exact) == (pytest.approx(2 / 56), 56, True)
    areas = random_areas(units)
    assert chance_of_best(areas, auc(y, score), 1) == pytest.approx(2 / 56, abs=0.005)
    assert chance_of_best(areas, auc(y, score), 9) == pytest.approx(0.28, abs=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_permutation_of_cases_beside_plain_enumeration(seed):
    y, score = _tied(seed, 9)
    y[:2] = [True, False]
    observed = metrics.roc_auc_score(y, score)
    found = []
    for chosen in combinations(range(9), int(y.sum())):
        other = np.isin(np.arange(9), chosen)
        found.append(metrics.roc_auc_score(other, score) >= observed - 1e-12)
    assert permutation_p(Units.of(y, np.arange(9)), score).p == pytest.approx(np.mean(found))


def test_permutation_within_runs_beside_plain_enumeration():
    rng = np.random.default_rng(5)
    run, y = np.repeat(np.arange(4), 3), np.tile([False, True, False], 4)
    score = rng.integers(0, 5, 12).astype(float)
    observed, found = metrics.roc_auc_score(y, score), []
    for places in product(range(3), repeat=4):
        other = np.zeros(12, bool)
        other[[3 * index + place for index, place in enumerate(places)]] = True
        found.append(metrics.roc_auc_score(other, score) >= observed - 1e-12)
    result = permutation_p(Units.of(y, run), score)
    assert (result.assignments, result.scheme) == (81, WITHIN)
    assert result.p == pytest.approx(np.mean(found))


def test_permutation_of_whole_runs_of_different_sizes():
    run = np.array([0, 0, 0, 1, 2, 2, 3])
    y, score = np.array([1, 1, 1, 0, 0, 0, 1], bool), np.array([5, 6, 2, 1, 3, 4, 7.0])
    observed, found = metrics.roc_auc_score(y, score), []
    for chosen in combinations(range(4), 2):
        found.append(metrics.roc_auc_score(np.isin(run, chosen), score) >= observed - 1e-12)
    result = permutation_p(Units.of(y, run), score)
    assert (result.p, result.assignments, result.scheme) == (pytest.approx(np.mean(found)), 6, RUNS)


def test_random_assignments_agree_with_all_of_them(monkeypatch):
    y, score = np.arange(12) < 5, np.array([9, 3, 8, 7, 2, 6, 1, 5, 4, 0, 3, 2.0])
    units = Units.of(y, np.arange(12))
    exact = permutation_p(units, score)
    monkeypatch.setattr(uncertainty, "MOST_ASSIGNMENTS", 10)
    drawn = permutation_p(units, score)
    assert exact.is_exact
    assert (drawn.is_exact, drawn.assignments) == (False, uncertainty.PERMUTATIONS)
    assert drawn.p == pytest.approx(exact.p, abs=0.01)
    assert drawn == permutation_p(units, score)


def test_many_cases_have_fewer_random_assignments(monkeypatch):
    rng = np.random.default_rng(3)
    y = np.arange(300) < 90
    score = y * 0.3 + rng.normal(size=300)
    units = Units.of(y, np.zeros(300, int))
    whole = permutation_p(units, score)
    assert whole.assignments == uncertainty.PERMUTATIONS
    monkeypatch.setattr(uncertainty, "_ASSIGNED", 300 * 5_000)
    fewer = permutation_p(units, score)
    assert fewer.assignments == 5_000
    assert fewer.p == pytest.approx(whole.p, abs=0.01)
    monkeypatch.setattr(uncertainty, "_ASSIGNED", 300)
    assert permutation_p(units, score).assignments == 1_000


@pytest.mark.parametrize(
    ("measure", "plain"),
    [("auc", metrics.roc_auc_score), ("average_precision", metrics.average_precision_score)],
)
def test_bootstrap_beside_a_plain_loop(measure, plain):
    y, score = _tied(1, 40)
    other, run = np.random.default_rng(2).random(40), np.arange(40) // 2
    how, drawn, ahead = Draws(seed=3, draws=200), [], []
    rng = np.random.default_rng(3)
    for picked in rng.integers(0, 20, (200, 20)):
        rows = np.concatenate([np.flatnonzero(run == number) for number in picked])
        drawn.append(plain(y[rows], score[rows]))
        ahead.append(drawn[-1] - plain(y[rows], other[rows]))
    units = Units.of(y, run)
    for values, found in (
        (drawn, bootstrap(units, score, measure, how)),
        (ahead, bootstrap_difference(units, (score, other), measure, how)),
    ):
        assert [found.low, found.high] == pytest.approx(np.quantile(values, [0.025, 0.975]))
        assert found.draws == 200
        assert found.low <= found.value <= found.high


def test_cases_of_one_run_count_as_one():
    y, score = _tied(4, 30)
    score = score + y
    alone = bootstrap(Units.of(y, np.arange(30)), score, "auc")
    repeated = bootstrap(Units.of(np.repeat(y, 20), np.repeat(np.arange(30), 20)), np.repeat(score, 20), "auc")
    assert [repeated.low, repeated.high] == pytest.approx([alone.low, alone.high])


def test_an_interval_is_never_without_a_width():
    y = np.arange(8) > 2
    units = Units.of(y, np.arange(8))
    perfect = bootstrap(units, y.astype(float), "auc")
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert perfect.low == pytest.approx(0.025 ** (1 / 3))
    same = bootstrap_difference(units, (y.astype(float), y * 2.0), "auc")
    assert same.low < 0 == same.value < same.high


def test_one_class_alone_has_no_interval():
    assert bootstrap(Units.of(np.ones(4, bool), np.arange(4)), np.arange(4.0), "auc") is None


def test_two_thousand_runs_take_less_than_two_seconds():
    y, score = _tied(7, 2_000)
    units = Units.of(y, np.arange(2_000))
    started = time.process_time()
    bootstrap(units, score, "auc")
    assert time.process_time() - started < 2


def test_intervals_cover_the_truth():
    # Scores of both classes are normal with means a standard deviation apart: the true AUC is .7602.
    rng, covered = np.random.default_rng(11), 0
    for _ in range(100):
        y = np.arange(80) < 40
        found = bootstrap(Units.of(y, np.arange(80)), rng.normal(size=80) + y, "auc", Draws(draws=300))
        covered += found.low <= 0.7602 <= found.high
    assert covered >= 88


def test_p_values_of_random_scores_are_even():
    rng, units = np.random.default_rng(12), Units.of(np.arange(12) < 6, np.arange(12) // 2)
    assert units.scheme == RUNS
    low = [permutation_p(units, rng.random(12)).p <= 0.1 for _ in range(300)]
    assert np.mean(low) <= 0.14


def test_holm_multiplies_by_those_that_are_left_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
