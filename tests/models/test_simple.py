"""Simple baselines beside their formulas, for any number of parts, and with runs left out."""

import itertools
import math
import os
import pickle
import statistics
from collections import Counter
from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from lo2dask.models import registry, simple
from lo2dask.models.rows import Rows
from lo2dask.vocabulary.counts import TokenCounts

SPECS = {spec.key: spec for spec in registry.simple_baselines()}
NORMALS = [
    ("run_1", "token", {"e1": 2, "s1": 90, "s2": 8}),
    ("run_2", "token", {"e1": 1, "s1": 50, "s2": 40, "c1": 9}),
    ("run_3", "token", {"s1": 70, "s2": 20, "s3": 10}),
    ("run_1", "user", {"s1": 10}),
]
PAIRS = [
    ("run_1", "token", "s1 s2 s2 s1"),
    ("run_2", "token", "s1 s2 s3"),
    ("run_3", "token", ""),
    ("run_1", "user", "s1"),
    ("run_4", "mute", ""),
]
NEW = [
    ("run_9", "token", {"e1": 20, "s1": 80}),
    ("run_9", "token", {"s1": 90, "s2": 8, "e1": 2, "s7": 1}),
    ("run_9", "token", {"s8": 2, "s9": 98, "c9": 3}),
    ("run_9", "user", {"s1": 10}),
    ("run_9", "key", {"s1": 10}),
]


def statements(logs):
    names = sorted({name for _, _, counts in logs for name in counts}, reverse=True)
    cells = np.array([[counts.get(name, 0) for name in names] for *_, counts in logs], np.int32)
    outside = TokenCounts(csr_matrix(cells.reshape(len(logs), len(names))), pa.array(names, pa.string()))
    run, service = (np.array([log[at] for log in logs], dtype=object) for at in (0, 1))
    nothing = csr_matrix((len(logs), 0), dtype=np.float32)
    return Rows(nothing, service=service, run=run, tokens=pa.array([], pa.string()), outside=outside)


def lengths(logs):
    values = simple.log_lines(np.array([sum(counts.values()) for *_, counts in logs], dtype=float))
    run, service = (np.array([log[at] for log in logs], dtype=object) for at in (0, 1))
    return Rows(csr_matrix(values[:, None]), service=service, run=run)


def learn(key, logs, order=(0, 1, 2, 3), cuts=(1, 2, 3)):
    merging, read = SPECS[key].behaviour.merging, lengths if SPECS[key].numeric else statements
    bounds = [0, *cuts, len(logs)]
    shuffled = [logs[place] for place in order]
    pieces = [merging.partial(read(shuffled[a:b]), None) for a, b in zip(bounds, bounds[1:], strict=False)]
    return merging.finish(reduce(merging.merge, pieces), None)


def score(key, state, logs, left_out=False):
    own, read = SPECS[key].behaviour, lengths if SPECS[key].numeric else statements
    return own.score_normals(state, read(logs)) if left_out else own.score(state, {}, read(logs))


def plain_vectors(counts, others):
    def distance(other):
        names = {*counts, *other}
        pairs = [(counts.get(name, 0), other.get(name, 0)) for name in names]
        return sum(abs(a - b) for a, b in pairs) / sum(max(a, b) for a, b in pairs)

    return min((distance(other) for other in others), default=math.nan)


def others_of(logs, service, run=None):
    return [counts for own, name, counts in logs if name == service and own != run]


@pytest.mark.parametrize("key", SPECS)
@pytest.mark.parametrize(("order", "cuts"), [((3, 1, 0, 2), (2,)), ((2, 3, 1, 0), ())])
def test_any_order_of_parts_gives_the_same_scores(key, order, cuts):
    for logs, left_out in ((NEW, False), (NORMALS, True)):
        one = score(key, learn(key, NORMALS), logs, left_out)
        other = score(key, learn(key, NORMALS, order, cuts), logs, left_out)
        np.testing.assert_array_equal(one, other)


def test_count_vectors_beside_the_formula():
    state = learn("baseline_ecvc", NORMALS)
    expected = [plain_vectors(counts, others_of(NORMALS, service)) for _, service, counts in NEW]
    np.testing.assert_allclose(score("baseline_ecvc", state, NEW), expected)
    left = [plain_vectors(counts, others_of(NORMALS, service, run)) for run, service, counts in NORMALS]
    np.testing.assert_allclose(score("baseline_ecvc", state, NORMALS, left_out=True), left)


def test_length_beside_the_formula():
    state = learn("baseline_length", NORMALS)
    others = [math.log(sum(counts.values())) for counts in others_of(NORMALS, "token")]
    expected = abs(math.log(103) - statistics.mean(others)) / max(statistics.stdev(others), simple.LEAST_SPREAD)
    found = score("baseline_length", state, NEW)
    assert found[2] == pytest.approx(expected, abs=1e-4)
    # One normal log tells no spread: that of a usual service is taken.
    assert found[3] == pytest.approx(0, abs=1e-4)
    assert np.isnan(found[4])
    long = [(f"run_{n}", "token", {"s1": lines}) for n, lines in enumerate((10, 100, 1000, 30))]
    left = score("baseline_length", learn("baseline_length", long), long, left_out=True)
    rest = [math.log(value) for value in (10, 1000, 30)]
    assert left[1] == pytest.approx(abs(math.log(100) - statistics.mean(rest)) / statistics.stdev(rest), abs=1e-4)


def test_unseen_statements_are_counted_once_and_traces_never():
    state = learn("baseline_unseen", NORMALS)
    np.testing.assert_array_equal(score("baseline_unseen", state, NEW), [0, 1, 2, 0, np.nan])
    np.testing.assert_array_equal(score("baseline_unseen", state, NORMALS, left_out=True), [0, 0, 1, np.nan])


def pairs(logs):
    """Count the pairs of neighbours, of nothing and the first one, of the last one and nothing."""
    said = [(run, service, ["", *text.split(), ""] if text else []) for run, service, text in logs]
    return [(*of, Counter(map(" ".join, itertools.pairwise(ids)))) for *of, ids in said]


def test_pairs_that_no_normal_log_has_are_a_share_of_all():
    state = learn("baseline_2gram", pairs(PAIRS))
    new = pairs(
        [(*log[:2], text) for log, text in zip(PAIRS, ("s1 s2 s9 s2", "s2 s2 s2", "", "s1", "s1"), strict=True)]
    )
    # Start and end count: "s1 s2 s9 s2" has five pairs, of which s2-s9, s9-s2 and s2-end are new.
    np.testing.assert_allclose(score("baseline_2gram", state, new), [3 / 5, 2 / 4, np.nan, 0, np.nan])
    # A log without times is no normal log to compare with.
    left = score("baseline_2gram", state, pairs(PAIRS), left_out=True)
    np.testing.assert_allclose(left, [3 / 5, 2 / 4, np.nan, np.nan, np.nan])


def test_flagging_everything_tells_nothing_apart():
    assert set(score("baseline_flag_all", learn("baseline_flag_all", NORMALS), NEW).tolist()) == {1.0}


def test_no_more_vectors_are_kept_than_a_bound(monkeypatch):
    monkeypatch.setattr(simple, "MOST_VECTORS", 2)
    one = learn("baseline_ecvc", NORMALS)
    other = learn("baseline_ecvc", NORMALS, (3, 2, 1, 0), (1,))
    assert [len(vectors) for _, vectors in sorted(one["kept"].items())] == [2, 1]
    assert one["kept"] == other["kept"]


def test_baselines_are_no_models_that_can_be_named():
    assert not [key for key in SPECS if registry.is_known(key)]


@pytest.mark.parametrize("key", SPECS)
def test_a_baseline_pickles(key):
    assert pickle.loads(pickle.dumps(SPECS[key])).key == key


def _hadoop():
    folder = Path(__file__).resolve().parents[3] / "shared" / "landauer-sample" / "hadoop_loghub"
    folder = Path(os.environ.get("LO2DASK_LANDAUER", folder))
    if not folder.is_dir():
        pytest.skip(f"the sequences of Landauer et al. are not at {folder}; name their folder with LO2DASK_LANDAUER")
    logs = []
    for name in ("hadoop_train", "hadoop_test_normal", "hadoop_test_abnormal"):
        lines = (folder / name).read_text().splitlines()
        logs.append([(name, "hadoop", ids) for name, ids in (line.split(",") for line in lines)])
    return logs, [[(*of, Counter(f"s{one}" for one in ids.split())) for *of, ids in some] for some in logs]


def _f1(normal, abnormal):
    return 2 * abnormal.sum() / (abnormal.sum() + normal.sum() + len(abnormal))


def test_the_figures_of_landauer_and_others():
    texts, (train, normal, abnormal) = _hadoop()
    state = learn("baseline_unseen", train, range(len(train)), ())
    flags = [score("baseline_unseen", state, logs) > 0 for logs in (normal, abnormal)]
    assert round(_f1(*flags), 3) == 0.321
    state = learn("baseline_ecvc", train, range(len(train)), ())
    scores = [score("baseline_ecvc", state, logs) for logs in (normal, abnormal)]
    for logs, found in zip((normal, abnormal), scores, strict=True):
        np.testing.assert_allclose(found[:5], [plain_vectors(log[2], [log[2] for log in train]) for log in logs[:5]])
    # Their threshold is the best on the test set: at 0 it flags everything, which is what their Hadoop figure is.
    best = max(range(100), key=lambda limit: _f1(*(found >= limit / 100 for found in scores)))
    assert (best, round(_f1(*(found >= 0 for found in scores)), 3)) == (0, 0.915)
    known = {pair for *_, counts in pairs(texts[0]) for pair in counts}
    state = learn("baseline_2gram", pairs(texts[0]), range(len(train)), ())
    scores = [score("baseline_2gram", state, pairs(some)) for some in texts[1:]]
    for some, found in zip(texts[1:], scores, strict=True):
        plain = [sum(n for pair, n in own.items() if pair not in known) / own.total() for *_, own in pairs(some)]
        np.testing.assert_allclose(found, plain)
    assert round(_f1(*(found > 0 for found in scores)), 3) == 0.457


def test_what_is_kept_of_unseen_statements_does_not_grow_with_the_runs():
    logs = [(f"run_{at:02d}", "token", {"s1": 1}) for at in range(40)]
    merging = SPECS["baseline_unseen"].behaviour.merging
    state = merging.finish(reduce(merging.merge, (merging.partial(statements([log]), None) for log in logs)), None)
    assert state["runs"] == {"token": {"run_00", "run_01"}}
    assert simple.score_unseen(state, statements(logs), True).tolist() == [0.0] * 40
