"""``excess`` beside a plain computation by its formula, for any number of parts; what is left out, new or a trace."""

import math
from collections import Counter
from functools import reduce

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from lo2dask.models.excess import collect, finish, merge, weigh
from lo2dask.models.rows import Rows
from lo2dask.vocabulary.counts import TokenCounts

KNOWN = ("e1", "s1", "s2", "c1")


def rows_of(logs: list[tuple[str, str, dict[str, int]]]) -> Rows:
    """Make rows from (run, service, counts of statements); those outside KNOWN are unknown."""
    other = sorted({name for _, _, counts in logs for name in counts} - set(KNOWN))
    matrix = np.array([[counts.get(name, 0) for name in KNOWN] for _, _, counts in logs], dtype=np.float32)
    rest = np.array([[counts.get(name, 0) for name in other] for _, _, counts in logs], dtype=np.int32)
    outside = TokenCounts(csr_matrix(rest.reshape(len(logs), len(other))), pa.array(other, pa.string()))
    run, service = (np.array([log[at] for log in logs], dtype=object) for at in (0, 1))
    return Rows(csr_matrix(matrix), service=service, run=run, tokens=pa.array(KNOWN), outside=outside)


def learn(logs: list, parts: int = 1) -> dict:
    rows = rows_of(logs)
    pieces = [collect(rows.take(index), None) for index in np.array_split(np.arange(len(logs)), parts)]
    return finish(reduce(merge, pieces[::-1]), None)


def plain_excess(counts: dict[str, int], normals: list[dict[str, int]]) -> float:
    """Compute E as the formula has it."""
    lines, best = sum(counts.values()), 0.0
    for name, count in counts.items():
        share = max((log.get(name, 0) / sum(log.values()) for log in normals), default=0.0)
        if name.startswith("e"):
            best = max(best, (count - share * lines) / math.sqrt(share * lines + 1))
        if share == 0 and not name.startswith("c") and count >= 3:
            best = max(best, count)
    return best


NORMALS = [
    ("run_1", "token", {"e1": 2, "s1": 90, "s2": 8}),
    ("run_2", "token", {"e1": 1, "s1": 50, "s2": 40, "c1": 9}),
    ("run_3", "token", {"s1": 70, "s2": 20, "s3": 10}),
    ("run_1", "user", {"s1": 10}),
]
NEW = [
    ("run_9", "token", {"e1": 20, "s1": 80}),
    ("run_9", "token", {"e1": 2, "s1": 98}),
    ("run_9", "token", {"s9": 2, "s1": 98}),
    ("run_9", "token", {"s9": 3, "s1": 97}),
    ("run_9", "token", {"c9": 50, "s1": 50}),
    ("run_9", "token", {"e9": 1, "s1": 50}),
    ("run_9", "user", {"e1": 5, "s1": 5}),
]


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_it_is_the_formula_for_any_number_of_parts(parts: int) -> None:
    state = learn(NORMALS, parts)
    found = weigh(state, rows_of(NEW))
    logs = Counter(service for _, service, _ in NORMALS)
    assert state["runs"] == dict(logs)
    for row, (_, service, counts) in enumerate(NEW):
        normals = [log for _, of, log in NORMALS if of == service]
        assert found.score[row] == pytest.approx(plain_excess(counts, normals)), counts
    assert found.statement == ["e1", "", "", "s9", "", "e9", "e1"]
    assert found.count.tolist() == [20, 0, 0, 3, 0, 1, 5]
    assert found.normal_max.tolist() == [2, 0, 0, 0, 0, 0, 0]
    assert found.is_unseen.tolist() == [False, False, False, True, False, True, True]


def test_a_run_left_out_is_no_normal() -> None:
    found = weigh(learn(NORMALS), rows_of(NORMALS), left_out=True)
    for row, (run, service, counts) in enumerate(NORMALS[:3]):
        others = [log for other, of, log in NORMALS if of == service and other != run]
        assert found.score[row] == pytest.approx(plain_excess(counts, others))
    assert np.isnan(found.score[3]), "the only run of its service"


def test_a_service_without_normals_has_no_excess() -> None:
    assert np.isnan(weigh(learn(NORMALS), rows_of([("run_9", "code", {"e1": 9})])).score[0])


def test_doubled_lines_name_the_same_statement() -> None:
    state = learn(NORMALS)
    doubled = [(run, service, {name: 2 * count for name, count in counts.items()}) for run, service, counts in NEW[:2]]
    once, twice = weigh(state, rows_of(NEW[:2])), weigh(state, rows_of(doubled))
    assert twice.statement == once.statement
    assert (twice.score > 3).tolist() == (once.score > 3).tolist() == [True, False]


def test_a_log_with_every_line_doubled_has_the_same_excess_unless_it_has_few_statements() -> None:
    state = learn(NORMALS)
    once = {"e1": 5, "s9": 2, **{f"s{number}": 10 + number for number in range(10, 20)}}
    twice = {name: 2 * count for name, count in once.items()}
    found = weigh(state, rows_of([("run_8", "token", once), ("run_9", "token", twice)]))
    assert found.score[0] == found.score[1]
    assert found.count.tolist() == [29, 58]  # as often as the log has it
    few = weigh(state, rows_of([("run_9", "token", {"e9": 50})]))
    assert few.score[0] == 50


def test_counts_are_those_of_the_logs_where_every_line_is_doubled() -> None:
    twice = {"e1": 20, **{f"s{number}": 2 * (10 + number) for number in range(10, 20)}}
    state = learn([(f"run_{number}", "token", twice) for number in range(4)])
    found = weigh(state, rows_of([("run_9", "token", {**twice, "e1": 80})]))
    assert (found.statement, found.count.tolist(), found.normal_max.tolist()) == (["e1"], [80], [20])


def test_statements_of_one_request_are_no_log_written_many_times() -> None:
    request = {f"s{number}": 400 for number in range(10, 20)}
    state = learn([(f"run_{number}", "token", request) for number in range(4)])
    found = weigh(state, rows_of([("run_9", "token", {**request, "s9": 40})]))
    assert (found.score.tolist(), found.count.tolist(), found.statement) == ([40], [40], ["s9"])
    trace = {f"c{number}": 40 for number in range(2, 9)}
    found = weigh(state, rows_of([("run_9", "token", {"e9": 40, "s10": 30, "s11": 20, **trace})]))
    assert (found.score.tolist(), found.count.tolist()) == ([40], [40])
