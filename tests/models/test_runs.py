import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.models.runs import BOUND, RUNS, RunRows, best_services, calibrate, name_services, run_scores, uncalibrated

SERVICES = ("code", "token")


def _rows(scores):
    """Make rows from {(run, case): (score of code, score of token)}."""
    keys = [(run, case, service) for run, case in scores for service in SERVICES]
    run, case, service = (np.array(column) for column in zip(*keys, strict=True))
    return RunRows(run, case, service, np.array([value for pair in scores.values() for value in pair], dtype=float))


SCORES = {
    ("run_1", "correct"): (1.0, 1000.0),
    ("run_2", "correct"): (1.2, 1200.0),
    ("run_3", "correct"): (1.4, 1100.0),
    ("run_4", "correct"): (1.3, 1150.0),
    ("run_4", "get_403"): (1.2, 2000.0),
    ("run_4", "del_404"): (2.0, 1100.0),
}


def _calibrated(scores=SCORES):
    rows = _rows(scores)
    return rows, calibrate(rows, (rows.test_case == "correct") & (rows.run != "run_4"))


def test_a_run_scores_as_its_strongest_service():
    rows, calibration = _calibrated()
    assert calibration["services"]["code"]["median"] == 1.2
    assert calibration["services"]["token"]["spread"] == 100.0
    table = run_scores(rows, calibration, {("run_4", "get_403"): "token"}).to_pylist()
    by_key = {(row["run"], row["test_case"]): row for row in table}
    assert by_key["run_4", "get_403"]["score_run"] == 9.0
    assert by_key["run_4", "get_403"]["top_service"] == "token"
    assert by_key["run_4", "del_404"]["top_service"] is None
    assert [by_key["run_4", case]["rank"] for case in ("get_403", "del_404")] == [1, 2]
    # Higher than all three normals, which are too few to flag anything.
    assert by_key["run_4", "get_403"]["p"] == by_key["run_4", "del_404"]["p"] == 1 / 4
    assert not any(row["pred_ano"] for row in table)


def test_a_case_is_flagged_from_nineteen_normals_on():
    for normals, flagged in ((18, 0), (19, 1)):
        scores = {(f"run_{n:02}", "correct"): (n % 7, n % 5) for n in range(normals)} | {("run_99", "get_403"): (99, 0)}
        rows = _rows(scores)
        learned = rows.test_case == "correct"
        calibration = calibrate(rows, learned)
        table = run_scores(RunRows(rows.run, rows.test_case, rows.service, rows.score, learned), calibration, {})
        assert table["pred_ano"].to_pylist() == [0] * normals + [flagged]
        assert table["p"].to_pylist()[-1] == 1 / (normals + 1)
        # A normal counts once among the normals.
        assert min(table["p"].to_pylist()[:-1]) >= 1 / normals
        assert (calibration["threshold"] is None) == (flagged == 0)


@given(st.lists(st.tuples(*2 * [st.integers(-9, 9)]), min_size=1, max_size=30), st.integers(-20, 20))
def test_training_normals_have_the_ps_of_their_ranks(normals, other):
    """Each is held against all of them as they were calibrated, itself among them: no p below one in so many."""
    scores = {(f"run_{n:02}", "correct"): pair for n, pair in enumerate(normals)} | {("run_99", "get_403"): (other, 0)}
    rows = _rows(scores)
    learned = rows.test_case == "correct"
    calibration = calibrate(rows, learned)
    table = run_scores(RunRows(rows.run, rows.test_case, rows.service, rows.score, learned), calibration, {})
    own = table.filter(table["test_case"].to_numpy() == "correct")
    assert sorted(own["score_run"].to_pylist()) == calibration["normal_maxima"]
    of_rank = [(own["score_run"].to_numpy() >= score).mean() for score in own["score_run"].to_pylist()]
    assert own["p"].to_pylist() == of_rank
    assert min(of_rank) >= 1 / len(normals)


def test_order_of_rows_and_json_change_nothing():
    rows, calibration = _calibrated()
    order = np.random.default_rng(0).permutation(len(rows.score))
    mixed = RunRows(rows.run[order], rows.test_case[order], rows.service[order], rows.score[order])
    again = json.loads(json.dumps(calibration))
    assert run_scores(mixed, again, {}).equals(run_scores(rows, calibration, {}))
    assert run_scores(rows, calibration, {}).schema == RUNS


def test_no_service_outweighs_the_others_and_no_spread_is_no_division_by_zero():
    scores = {key: (0.0, value) for key, (_, value) in SCORES.items()} | {("run_5", "get_403"): (1e9, 1100.0)}
    rows, calibration = _calibrated(scores)
    table = run_scores(rows, calibration, {}).to_pylist()
    assert calibration["services"]["code"]["spread"] == calibration["services"]["token"]["spread"] > 0
    assert max(row["score_run"] for row in table) == BOUND
    assert all(np.isfinite(row["score_run"]) for row in table)


def test_a_service_without_training_normals_and_no_training_at_all_still_score():
    rows, calibration = _calibrated()
    new = RunRows(["run_9"], ["correct"], ["key"], np.array([5.0]))
    assert run_scores(new, calibration, {})["n_services"].to_pylist() == [1]
    none = calibrate(rows, np.zeros(len(rows.score), bool))
    table = run_scores(rows, none, {})
    assert none["threshold"] is None
    assert table["pred_ano"].to_pylist() == [0] * 6
    empty = RunRows([], [], [], np.empty(0))
    assert run_scores(empty, calibration, {}).schema == RUNS
    assert run_scores(empty, calibration, {}).num_rows == 0


def test_a_model_with_a_limit_of_its_own_is_not_calibrated():
    rows = _rows(
        {("run_1", "correct"): (1.0, 2.9), ("run_1", "get_403"): (50.0, 3.1), ("run_2", "correct"): (3.0, 0.0)}
    )
    answers = name_services(rows, 3.0)
    assert answers == {("run_1", "get_403"): "code"}
    best = best_services(rows)["run_1", "get_403"]
    assert (best.service, best.score, round(best.margin, 6)) == ("code", 50.0, 46.9)
    table = run_scores(rows, uncalibrated(3.0), answers)
    assert table["score_run"].to_pylist() == [2.9, 50.0, 3.0]
    assert table["pred_ano"].to_pylist() == [0, 1, 0]
    assert table["top_service"].to_pylist() == [None, "code", None]


def test_the_best_service_is_what_a_plain_loop_finds():
    generator = np.random.default_rng(3)
    rows = 400
    run, case = (np.array([f"{name}_{n}" for n in generator.integers(9, size=rows)]) for name in ("run", "case"))
    service = np.array([f"s{n}" for n in generator.integers(4, size=rows)])
    score = generator.integers(-2, 5, size=rows).astype(float)
    by_case = {}
    for key, name, value in zip(zip(run, case, strict=True), service, score, strict=True):
        own = by_case.setdefault(key, {})
        own[name] = max(value, own.get(name, value))
    found = best_services(RunRows(run, case, service, score))
    assert set(found) == set(by_case)
    for key, scores in by_case.items():
        first, *others = sorted(scores, key=lambda name: (-scores[name], name))
        margin = scores[first] - (scores[others[0]] if others else 0.0)
        assert (found[key].service, found[key].score, found[key].margin) == (first, scores[first], margin)
    assert best_services(RunRows([], [], [], np.empty(0))) == {}
