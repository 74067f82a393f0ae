"""``excess`` against logs that nobody has labelled."""

import numpy as np
import pyarrow as pa
from scipy import sparse

from lo2dask.models import lack
from lo2dask.models.rows import Rows
from lo2dask.vocabulary.counts import TokenCounts

TOKENS = pa.array(["e1", "s1", "s2"])


def _rows(counts, runs, minutes=None, tokens=TOKENS):
    counts = np.array(counts)
    size = len(runs)
    nothing = TokenCounts(counts=sparse.csr_matrix((size, 0), dtype=np.int64), tokens=pa.array([], pa.string()))
    return Rows(
        sparse.csr_matrix(counts), service=["cart"] * size, run=runs, tokens=tokens, outside=nothing, log=runs,
        minutes=np.ones(size) if minutes is None else np.array(minutes),
    )  # fmt: skip


COUNTS = [[2, 50, 40 + n] for n in range(9)] + [[60, 50, 40]]
RUNS = [f"run-{n}" for n in range(10)]


def _state(rows):
    return lack.finish(lack.collect(rows, None), None)


def test_a_fault_in_the_reference_does_not_raise_what_is_normal():
    found = lack.weigh(_state(_rows(COUNTS, RUNS)), _rows([[60, 50, 40], [2, 50, 0]], ["new-1", "new-2"]))
    assert found.statement == ["e1", "s2"]
    assert found.score[0] > 3
    assert found.normal_max[0] == 2
    assert np.isnan(found.rate[0])
    assert (found.rate[1], found.count[1]) == (0, 0)
    assert 40 < found.normal_rate[1] < 45
    own = lack.weigh(_state(_rows(COUNTS, RUNS)), _rows(COUNTS, RUNS), left_out=True).score
    assert own.argmax() == 9
    assert own[9] > 3 > own[:9].max()


def test_what_is_normal_is_told_as_logs_have_it_whatever_the_length_of_this_one():
    found = lack.weigh(_state(_rows(COUNTS, RUNS)), _rows([[600, 500, 400]], ["new-1"]))
    assert (found.statement, found.count.tolist(), found.normal_max.tolist()) == (["e1"], [600], [2])


def test_a_log_without_the_error_that_most_have_lacks_nothing():
    """Where most runs have a fault, those without it are well; so are those without a line of its stack trace."""
    tokens = pa.array(["c1", "e1", "s1"])
    counts = [[60, 60, 40 + n] for n in range(6)] + [[0, 0, 40 + n] for n in range(4)]
    rows = _rows(counts, RUNS, tokens=tokens)
    found = lack.weigh(_state(rows), rows, left_out=True)
    assert found.score[6:].max() <= 3
    missing = lack.weigh(_state(rows), _rows([[60, 60, 0]], ["new-1"], tokens=tokens))
    assert missing.score[0] > 3
    assert missing.statement == ["s1"]


def test_faults_in_several_of_few_logs_do_not_hide_each_other():
    counts = [[0, 0, 0, 50, 40 + n] for n in range(30)]
    for number in range(3):
        counts[10 * number][number] = 20
    runs, tokens = [f"run-{n:02}" for n in range(30)], pa.array(["e1", "e2", "e3", "s1", "s2"])
    rows = _rows(counts, runs, tokens=tokens)
    found = lack.weigh(_state(rows), rows, left_out=True)
    assert np.flatnonzero(found.score > 3).tolist() == [0, 10, 20]
    assert [found.statement[row] for row in (0, 10, 20)] == ["e1", "e2", "e3"]


def test_parts_merge_in_any_order_and_the_newest_logs_are_kept(monkeypatch):
    monkeypatch.setattr(lack, "MOST_LOGS", 6)
    pieces = [lack.collect(_rows(COUNTS[at : at + 2], RUNS[at : at + 2]), None) for at in range(0, 10, 2)]
    forward = backward = pieces[0]
    for piece in pieces[1:]:
        forward = lack.merge(forward, piece)
    backward = pieces[-1]
    for piece in pieces[-2::-1]:
        backward = lack.merge(piece, backward)
    assert forward["rows"] == backward["rows"] == 10
    assert forward["logs"].equals(backward["logs"])
    assert forward["cells"].equals(backward["cells"])
    assert forward["logs"]["run"].to_pylist() == RUNS[4:]


def test_a_service_of_one_run_has_no_score_when_that_is_left_out():
    state = _state(_rows(COUNTS[:1], RUNS[:1]))
    assert np.isnan(lack.weigh(state, _rows(COUNTS[:1], RUNS[:1]), left_out=True).score).all()
    assert np.isfinite(lack.weigh(state, _rows(COUNTS[:1], ["other"], [0.0])).score).all()
