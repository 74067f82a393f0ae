"""Permutations, areas and corrections beside plain computations."""

import itertools
import math

import numpy as np
import pytest
from scipy import sparse

from lo2dask.audit.permute import areas, draw_labels, least_p, p_value, presence_gaps

RUN = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5])
NORMAL = np.array([1, 0, 0, 0, 1, 0, 1, 1, 0, 1, 0], dtype=bool)


def plain_area(values: np.ndarray, normal: np.ndarray) -> float:
    """Compare every anomalous case with every normal one, one by one."""
    pairs = [
        (values[i] > values[j]) + 0.5 * (values[i] == values[j])
        for i, j in itertools.product(np.flatnonzero(~normal), np.flatnonzero(normal))
        if not np.isnan(values[i]) and not np.isnan(values[j])
    ]
    return float(np.mean(pairs)) if pairs else 0.5


def test_labels_move_within_runs_of_both_classes_and_else_with_whole_runs() -> None:
    labels = draw_labels(RUN, NORMAL, 500, 3)
    assert (labels[0] == NORMAL).all()
    for run in (0, 1):
        assert (labels[:, run == RUN].sum(axis=1) == 1).all()
        assert (labels[1:, run == RUN].mean(axis=0) > 0.2).all(), "each case of the run gets the label in turn"
    whole = labels[:, 6:]
    assert (whole[:, 0] == whole[:, 1]).all(), "a run of one class stays in one piece"
    assert (whole[:, [0, 2, 3, 4]].sum(axis=1) == 2).all()
    assert len(np.unique(whole, axis=0)) == math.comb(4, 2)


def test_labels_are_the_same_for_the_same_seed() -> None:
    assert (draw_labels(RUN, NORMAL, 50, 3) == draw_labels(RUN, NORMAL, 50, 3)).all()
    assert (draw_labels(RUN, NORMAL, 50, 3) != draw_labels(RUN, NORMAL, 50, 4)).any()


def test_least_p_is_one_over_the_number_of_arrangements() -> None:
    assert least_p(RUN, NORMAL) == pytest.approx(1 / (3 * 3 * math.comb(4, 2)))


@pytest.mark.parametrize("seed", range(4))
def test_areas_are_those_of_all_pairs(seed: int) -> None:
    draw = np.random.default_rng(seed)
    values = draw.integers(0, 5, (len(RUN), 3)).astype(float)
    values[draw.random(values.shape) < 0.2] = np.nan
    labels = draw_labels(RUN, NORMAL, 20, seed)
    found = areas(values, labels)
    for row, column in itertools.product(range(21), range(3)):
        assert found[row, column] == pytest.approx(plain_area(values[:, column], labels[row]))


def test_areas_of_a_class_without_values_are_chance() -> None:
    values = np.where(NORMAL, np.nan, 1.0)[:, None]
    assert areas(values, NORMAL[None]).tolist() == [[0.5]]


@pytest.mark.parametrize("seed", range(4))
def test_the_gap_of_words_is_the_area_of_their_presence(seed: int) -> None:
    presence = np.random.default_rng(seed).random((len(RUN), 9)) < 0.4
    labels = draw_labels(RUN, NORMAL, 20, seed)
    largest, normal, anomalous = presence_gaps(sparse.csr_matrix(presence.astype(np.int8)), labels)
    assert largest == pytest.approx(np.abs(areas(presence.astype(float), labels) - 0.5).max(axis=1))
    assert normal == pytest.approx(presence[NORMAL].mean(axis=0))
    assert anomalous == pytest.approx(presence[~NORMAL].mean(axis=0))


def test_p_counts_the_true_labels_too() -> None:
    assert p_value(np.array([3.0, 1.0, 3.0, 4.0])) == 0.75
    assert p_value(np.array([3.0, 1.0, 2.0, 0.0])) == 0.25


def test_p_is_uniform_where_labels_mean_nothing() -> None:
    draw = np.random.default_rng(5)
    run = np.repeat(np.arange(12), 4)
    normal = np.tile([True, False, False, True], 12)
    p = []
    for seed in range(200):
        labels = draw_labels(run, normal, 200, seed)
        p.append(p_value(np.abs(areas(draw.normal(size=(48, 5)), labels) - 0.5).max(axis=1)))
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.1
    assert 0.4 <= np.mean(p) <= 0.6
