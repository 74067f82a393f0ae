import dataclasses
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.spatial.distance import jensenshannon

from lo2dask.models import merged, registry, score
from lo2dask.models.rows import Rows

from .conftest import fit_merged, make

RARITY, OOV, DRIFT = (registry.spec(f"{name}_words") for name in ("rarity", "oov", "drift"))
COUNTS = np.array([[900, 3, 0, 1], [400, 0, 2, 0], [0, 0, 0, 0]], dtype=np.float32)


def _rows(counts, distinct=None, occurrences=None, service="token"):
    rows = len(counts)
    distinct = np.zeros(rows, int) if distinct is None else np.array(distinct)
    occurrences = distinct if occurrences is None else np.array(occurrences)
    run, matrix = [f"run {row}" for row in range(rows)], csr_matrix(np.asarray(counts, dtype=np.float32))
    return Rows(matrix, distinct, occurrences, np.array([service] * rows), run)


def test_rarity_follows_the_formula_token_by_token():
    state = fit_merged(RARITY, _rows(COUNTS), 1)
    n = COUNTS.sum()
    rare = [(-math.log(count / n)) ** 3 for count in (3, 2, 1)]
    unseen = math.log(n) ** 3
    test = _rows([[5, 1, 0, 0], [7, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], distinct=[0, 2, 1, 0])
    expected = [rare[0] / 2, 2 * unseen / 3, (sum(rare) + unseen) / 5, 0.0]
    assert score.score(RARITY, state, {}, test) == pytest.approx(expected)


def test_rarity_gives_nothing_to_a_token_above_one_percent_and_something_at_one_percent():
    state = fit_merged(RARITY, _rows([[98, 1, 1]]), 1)
    assert state["scores"].tolist() == pytest.approx([0.0, math.log(100) ** 3, math.log(100) ** 3])


def test_oov_counts_distinct_words_or_occurrences():
    test = _rows([[1, 0, 0, 0]] * 3, distinct=[0, 1, 2], occurrences=[0, 9, 2])
    state = fit_merged(OOV, _rows(COUNTS), 1)
    assert score.score(OOV, state, {}, test).tolist() == [0, 1, 2]
    assert score.score(OOV, state, {"occurrences": True}, test).tolist() == [0, 9, 2]
    threshold = {"threshold": registry.spec("oov_words").threshold}
    assert score.label(score.score(OOV, state, {}, test), threshold).tolist() == [0, 0, 1]


def _reference_drift(train, test, unknown):
    """Jensen-Shannon distance to the mean shares by scipy, over the largest leave-one-out distance."""
    shares = train / train.sum(axis=1, keepdims=True)
    others = [(shares.sum(axis=0) - own) / (len(shares) - 1) for own in shares]
    widest = max(jensenshannon(own, other, 2) for own, other in zip(shares, others, strict=True))
    wide = np.column_stack([test, unknown])
    wide = wide / wide.sum(axis=1, keepdims=True)
    mean = np.append(shares.mean(axis=0), 0.0)
    return np.array([jensenshannon(row, mean, 2) for row in wide]) / widest


def test_drift_equals_scipys_distances():
    generator = np.random.default_rng(5)
    train, test = generator.poisson(3, (9, 20)) + 0.0, generator.poisson(2, (6, 20)) + 0.0
    unknown = np.array([0, 0, 3, 1, 0, 40])
    state = fit_merged(DRIFT, _rows(train), 3)
    scores = score.score(DRIFT, state, {}, _rows(test, distinct=unknown > 0, occurrences=unknown))
    assert scores == pytest.approx(_reference_drift(train, test, unknown), rel=1e-6)


def test_drift_leaves_a_training_normal_out_of_its_own_mean():
    train = np.random.default_rng(5).poisson(3, (9, 20)) + 0.0
    state = fit_merged(DRIFT, _rows(train), 2)
    left_out = merged.score_drift_left_out(state, _rows(train))
    assert left_out.max() == 1.0, "the widest of them is the unit"
    shares = train / train.sum(axis=1, keepdims=True)
    first = jensenshannon(shares[0], shares[1:].mean(axis=0), 2) / state["scale"]["token"]
    assert left_out[0] == pytest.approx(first, rel=1e-6)
    assert (left_out > score.score(DRIFT, state, {}, _rows(train))).all()
    assert np.array_equal(score.score_training_normals(DRIFT, state, {}, _rows(train)), left_out)


def test_drift_does_not_depend_on_a_logs_length():
    made = make(registry.spec("drift_words"))
    state = fit_merged(DRIFT, made.counts.take(~made.y), 2)
    rows = made.test_counts
    long = Rows(rows.matrix * 8, rows.unknown_distinct, rows.unknown_occurrences * 8, rows.service)
    assert np.array_equal(score.score(DRIFT, state, {}, long), score.score(DRIFT, state, {}, rows))


def test_drift_knows_each_service_by_itself():
    a, b = [[8, 2, 0, 0], [8, 3, 0, 0], [9, 2, 0, 0]], [[0, 0, 8, 2], [0, 0, 9, 2], [0, 0, 8, 3]]
    service = np.array(["a"] * 3 + ["b"] * 3)
    both = Rows(csr_matrix(np.array(a + b, dtype=np.float32)), np.zeros(6, int), np.zeros(6, int), service)
    state = fit_merged(DRIFT, both, 2)
    rows = np.array([[8, 2, 0, 0], [0, 0, 8, 2]], dtype=np.float32)
    own = score.score(
        DRIFT, state, {}, Rows(csr_matrix(rows), np.zeros(2, int), np.zeros(2, int), np.array(["a", "b"]))
    )
    swapped = score.score(
        DRIFT, state, {}, Rows(csr_matrix(rows), np.zeros(2, int), np.zeros(2, int), np.array(["b", "a"]))
    )
    new = score.score(
        DRIFT, state, {}, Rows(csr_matrix(rows), np.zeros(2, int), np.zeros(2, int), np.array(["c", "c"]))
    )
    assert own.max() <= 1.0 < new.min() < swapped.min()


def test_drift_of_an_empty_sequence_and_of_a_single_normal_is_finite():
    state = fit_merged(DRIFT, _rows([[4, 1, 0, 0]]), 1)
    scores = score.score(DRIFT, state, {}, _rows([[4, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]]))
    assert scores.tolist() == pytest.approx([0.0, 1.0, 1.0])


@pytest.mark.parametrize("algorithm", ["rarity", "oov", "drift"])
def test_states_are_equal_to_the_bit_for_any_partitioning_and_plain(algorithm):
    made = make(registry.spec(f"{algorithm}_words"))
    normals = made.counts.take(~made.y)
    one = pickle.dumps(fit_merged(registry.spec(f"{algorithm}_words"), normals, 1))
    assert all(
        pickle.dumps(fit_merged(registry.spec(f"{algorithm}_words"), normals, parts)) == one
        for parts in (2, 31, len(normals))
    )
    assert b"lo2dask" not in one


def test_no_normal_row_at_all_is_told_by_the_state():
    empty = _rows(np.zeros((0, 4)))
    for algorithm in ("rarity", "oov", "drift"):
        assert fit_merged(registry.spec(f"{algorithm}_words"), empty, 1)["rows"] == 0


NAMES = st.sampled_from(["token", "max", "run"])
SUMS = st.integers(0, 2**50).map(int)
STATISTICS = st.fixed_dictionaries({name: st.dictionaries(NAMES, SUMS) for name in ("sums", "max")})


@given(STATISTICS, STATISTICS, STATISTICS)
def test_merging_is_associative_and_commutative_adds_sums_and_keeps_the_largest(a, b, c):
    merge = merged.merge_shares
    left = merge(merge(a, b), c)
    assert left == merge(a, merge(b, c)) == merge(c, merge(b, a))
    for name, value in left["sums"].items():
        assert value == sum(part["sums"].get(name, 0) for part in (a, b, c))
    for name, value in left["max"].items():
        assert value == max(part["max"][name] for part in (a, b, c) if name in part["max"])


@pytest.mark.parametrize("service", ["maxscale", "run"])
def test_drift_of_a_service_is_the_same_in_one_part_and_in_two_whatever_its_name(service):
    rows = _rows([[1, 2, 0, 0], [3, 0, 1, 0], [0, 2, 2, 1]], service=service)
    assert pickle.dumps(fit_merged(DRIFT, rows, 2)) == pickle.dumps(fit_merged(DRIFT, rows, 1))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=2, max_size=12), st.integers(2, 5))
def test_any_counts_give_finite_scores_that_do_not_depend_on_parts(counts, parts):
    rows = _rows(np.array(counts), distinct=[sum(row) % 2 for row in counts])
    for spec in (RARITY, OOV, DRIFT):
        one, many = (fit_merged(spec, rows, n) for n in (1, min(parts, len(counts))))
        scores = score.score(spec, one, {}, rows)
        assert np.isfinite(scores).all()
        assert (scores >= 0).all()
        assert np.array_equal(scores, score.score(spec, many, {}, rows, batch=3))


def test_rarity_and_oov_leave_out_a_training_normal_and_what_its_run_alone_has():
    generator = np.random.default_rng(3)
    counts, run = generator.poisson(0.4, (8, 30)) + 0.0, np.repeat(["a", "b", "c", "d"], 2)
    counts[:, 0] = 500
    rows = dataclasses.replace(_rows(counts), run=run)
    oov, rarity = fit_merged(OOV, rows, 3), fit_merged(RARITY, rows, 3)
    alone = [
        [bool(c) and not counts[run != own, at].any() for at, c in enumerate(row)]
        for row, own in zip(counts, run, strict=True)
    ]
    assert np.any(alone)
    assert score.score_training_normals(OOV, oov, {}, rows).tolist() == np.sum(alone, axis=1).tolist()
    expected = []
    for index, row in enumerate(counts):
        others = np.where(alone[index], 0, np.delete(counts, index, axis=0).sum(axis=0))
        total = np.delete(counts, index, axis=0).sum()
        found = [0.0 if n > 0.01 * total else (-math.log(n / total) if n else math.log(total)) ** 3 for n in others]
        expected.append(np.mean(np.array(found)[row > 0]))
    assert score.score_training_normals(RARITY, rarity, {}, rows) == pytest.approx(expected)
