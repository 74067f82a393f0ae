import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lo2dask.errors import IntegrityError
from lo2dask.models.split import (
    REFERENCE,
    Groups,
    Split,
    check_runs,
    deal,
    hold_out,
    hold_out_both_classes,
    hold_out_newest_normal,
    stopping_runs,
)
from lo2dask.options import HoldoutOptions
from lo2dask.sources.names import run_order

RUNS = [f"light-oauth2-data-{1719590000 + i}" for i in (9, 100, 25, 3, 77)]
NEWEST = RUNS[1]
CASES = ("correct", "delete_404", "update_400", "get_403")


def _groups(runs=RUNS, cases=CASES, services=("token", "user")):
    keys = [(run, case, service) for run in runs for case in cases for service in services]
    return _labelled(keys)


def _labelled(keys):
    keys = sorted(keys)
    return Groups.of(*zip(*keys, strict=True), pa.array([case == "correct" for _, case, _ in keys]))


def test_what_nobody_has_labelled_is_learned_from_in_a_reference_alone():
    columns = [["a", "b", "c", "a"], ["x"] * 4, ["s"] * 4, pa.array([None, True, False, False])]
    keys = dict(zip(("run", "test_case", "service", "anomaly"), columns, strict=True))
    assert Split("run").training(keys).tolist() == [False, False, True, True]
    assert Split("run").training(keys, normal_only=False).tolist() == [False, True, True, True]
    reference = Split(REFERENCE, runs=frozenset({"c"}))
    assert reference.training(keys).tolist() == [True, False, False, True]
    groups = Groups.of(*columns[:3], pa.array([None, False, True, None]))
    assert (groups.classes, list(groups.rows(groups.unlabelled))) == (2, [("a", "x", "s")])


def _options(**changes):
    return HoldoutOptions(**changes)


def test_run_holds_out_the_newest_whole_runs_by_epoch_and_not_by_name():
    split = hold_out(_groups(), _options(sup_holdout_fraction=0.4), 42)
    assert split.runs == {RUNS[1], RUNS[4]}
    short = hold_out(_groups(["run_9", "run_10", "run_2"]), _options(), 42)
    assert short.runs == {"run_10"}


@pytest.mark.parametrize(
    ("runs", "fraction", "least", "held"),
    [(5, 0.2, 1, 1), (5, 0.39, 1, 1), (5, 0.2, 3, 3), (5, 0.9, 9, 4), (1, 0.2, 1, 0), (5, 0, 1, 0), (100, 0.29, 1, 29)],
)
def test_as_many_runs_as_the_rule_says_and_never_all(runs, fraction, least, held):
    groups = _groups([f"run_{i:04d}" for i in range(runs)], ("correct",), ("token",))
    split = hold_out(groups, _options(sup_holdout_fraction=fraction, sup_holdout_min_groups=least), 1)
    assert len(split.runs) == held


def test_group_counts_in_each_bucket_by_itself():
    keys = [("run_1", "correct", "token"), ("run_2", "correct", "token"), ("run_1", "get_403", "token")]
    split = hold_out(_labelled(keys), _options(holdout_by="group"), 42)
    held = split.mask(["run_1", "run_2", "run_1"], ["correct", "correct", "get_403"], ["token"] * 3)
    assert held.tolist() == [False, True, False]


def test_test_case_holds_out_whole_error_types_and_normal_rows_of_the_newest_run():
    groups = _groups()
    split = hold_out(groups, _options(holdout_by="test-case"), 42)
    runs, cases, services = zip(*groups.rows(), strict=True)
    held = split.mask(runs, cases, services)
    (unseen,) = split.cases
    assert unseen != "correct"
    for (run, case, _), out in zip(groups.rows(), held, strict=True):
        assert out == (case == unseen or (case == "correct" and run == NEWEST))


def test_test_case_never_holds_out_a_case_without_a_label_as_an_error_type():
    cases = ["correct", "get_403", "del_404", *(f"unknown_{at}" for at in range(5))]
    label = [True, False, False, *[None] * 5]
    groups = Groups.of([run for run in RUNS for _ in cases], cases * 5, ["s"] * 40, pa.array(label * 5))
    held = {case for seed in range(9) for case in hold_out(groups, _options(holdout_by="test-case"), seed).cases}
    assert held == {"get_403", "del_404"}


def test_shuffle_draws_by_seed_and_not_by_the_order_of_the_groups():
    runs = [f"run_{i}" for i in range(30)]
    options = _options(sup_holdout_shuffle=True)
    first, again = hold_out(_groups(runs), options, 1), hold_out(_groups(runs[::-1]), options, 1)
    assert first == again
    assert first.runs != hold_out(_groups(runs), options, 2).runs
    assert first.runs != hold_out(_groups(runs), _options(), 1).runs


@pytest.mark.parametrize("by", ["run", "group", "test-case"])
def test_a_split_survives_json_and_takes_any_kind_of_array(by):
    groups = _groups()
    split = hold_out(groups, _options(holdout_by=by), 42)
    assert Split.from_json(split.to_json()) == split
    columns = [pa.array(column) for column in zip(*groups.rows(), strict=True)]
    expected = split.mask(*(column.to_pylist() for column in columns))
    assert 0 < expected.sum() < len(expected)
    chunked = [pa.chunked_array([column.dictionary_encode()]) for column in columns]
    assert np.array_equal(split.mask(*chunked), expected)
    assert np.array_equal(split.mask(*(np.array(column.to_pylist()) for column in columns)), expected)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from(CASES), st.sampled_from("ab")), min_size=1, max_size=40),
    st.floats(0, 0.9),
    st.integers(0, 3),
)
def test_no_run_is_on_both_sides_and_the_training_part_is_never_empty(keys, fraction, least):
    groups = _labelled({(f"run_{run}", case, service) for run, case, service in keys})
    split = hold_out(groups, _options(sup_holdout_fraction=fraction, sup_holdout_min_groups=least), 0)
    held = split.mask(*zip(*groups.rows(), strict=True))
    runs = np.array([run for run, _, _ in groups.rows()])
    assert not set(runs[held]) & set(runs[~held])
    assert not held.all()


def test_a_run_on_both_sides_is_refused():
    groups = _groups()
    broken = Split("run", buckets=frozenset({(NEWEST, "correct", "token")}))
    with pytest.raises(IntegrityError, match=NEWEST):
        check_runs(broken, groups)


def test_the_forest_holds_out_the_newest_runs_that_have_normal_sequences():
    keys = [("run_1", "correct", "a"), ("run_2", "correct", "a"), ("run_3", "get_403", "a")]
    groups = _labelled(keys)
    assert hold_out_newest_normal(groups, 0.2).runs == {"run_2"}
    assert not hold_out_newest_normal(groups, 0.0).runs
    assert Groups.merge([groups, groups]).table.equals(groups.table)


def test_early_stopping_needs_a_second_run():
    assert stopping_runs(["run_1", "run_10", "run_2", "run_2"]) == {"run_10"}
    assert not stopping_runs(["run_1", "run_1"])


def _of_cases(*cases):
    return _labelled([(run, case, service) for run, case in cases for service in ("key", "token")])


def test_where_the_newest_run_lacks_a_class_buckets_or_all_runs_in_turn_are_taken():
    mixed = _of_cases(*((f"run_{n}", case) for n in range(4) for case in ("correct", "get_404")))
    assert hold_out_both_classes(mixed, _options(), 1) == hold_out(mixed, _options(), 1)
    buckets = _of_cases(*((f"run_{n}", "get_404" if n < 2 else "correct") for n in range(4)))
    split = hold_out_both_classes(buckets, _options(), 1)
    assert split.by == "group"
    assert split.reason == "the hold-out has no error, so runs of each service and test case are held out"
    for runs, by in ((4, "loro"), (20, "loro"), (21, "folds")):
        few = _of_cases(("run_00", "get_404"), *((f"run_{n:02}", "correct") for n in range(1, runs)))
        split = hold_out_both_classes(few, _options(), 1)
        assert (split.by, split.is_crossed, split.runs) == (by, True, frozenset())
        assert Split.from_json(split.to_json()) == split
        assert split.reason.startswith("the hold-out has no error, so models are measured by leaving out ")


def test_what_cannot_be_measured_is_held_out_as_asked():
    options = _options()
    for groups in (_of_cases(("run_1", "correct"), ("run_2", "correct")), _of_cases(("run_1", "correct"))):
        assert hold_out_both_classes(groups, options, 1) == hold_out(groups, options, 1)
    assert hold_out_both_classes(_of_cases(("run_1", "correct")), options.replace(holdout_by="folds"), 1).by == "folds"
    nothing = options.replace(sup_holdout_fraction=0.0)
    assert not hold_out_both_classes(_of_cases(("run_1", "correct"), ("run_2", "get_404")), nothing, 1).is_crossed


def test_folds_are_neighbours_in_time():
    runs = [f"light-oauth2-data-{n}" for n in range(95, 106)]
    folds = deal(reversed(runs), 5)
    assert [run for fold in folds for run in sorted(fold, key=run_order)] == runs
    assert [len(fold) for fold in folds] == [3, 2, 2, 2, 2]
    assert len(deal(runs[:3], 5)) == 3
