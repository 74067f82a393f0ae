"""How far a model can be trusted: the block beside its measures, the verdict, and that partitions do not matter."""

import json
import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.models.uncertainty import Units
from lo2dask.options import TrainOptions
from lo2dask.reporting.trust import trust_rows
from lo2dask.tables.groups import group_parts
from lo2dask.tables.layout import Layout
from lo2dask.training.cases import Cases, read_truth, warn_of_unknown
from lo2dask.training.measures import SequenceKeys
from lo2dask.training.simple import read_pairs
from lo2dask.training.train import train_models
from lo2dask.training.trust import TrustJob, count_equal, describe_units, judge_in_words, judge_scores, recall_at
from tests.trees import load_tree, make_tree, plant_errors, table_of, train_root


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    tree = make_tree(tmp_path_factory.mktemp("tree") / "raw", runs=6)
    plant_errors(tree)
    return tree


@pytest.fixture(scope="module")
def root(raw, tmp_path_factory):
    return load_tree(raw, tmp_path_factory.mktemp("one") / "out")


def _trust(folder, key):
    return json.loads((folder / "metrics" / f"{key}.json").read_text())["trust"]


def _keys():
    rows = [
        ("run_1", "correct", "token"),
        ("run_1", "correct", "user"),
        ("run_2", "delete_token_404", "token"),
        ("run_2", "delete_token_404", "refresh-token"),
        ("run_1", "strange", "user"),
    ]
    run, case, service = (pa.chunked_array([list(column)]) for column in zip(*rows, strict=True))
    return SequenceKeys(run, case, service, np.array([name != "correct" for _, name, _ in rows]))


def test_the_score_of_a_case_is_the_largest_of_its_services():
    cases = Cases.of(_keys())
    scores = np.array([1.0, 2.0, np.nan, 5.0, np.nan])
    np.testing.assert_array_equal(cases.largest(scores), [2.0, np.nan, 5.0])
    assert [cases.services[place] if place >= 0 else "" for place in cases.top_services(scores)] == [
        *("user", "", "refresh-token")
    ]


def test_a_file_names_the_failing_services(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text("run,test_case,service\nrun_1,strange,user\n,delete_token_404,token\n")
    cases = Cases.of(_keys(), read_truth(path))
    named = dict(zip(cases.names, cases.failing.tolist(), strict=True))
    assert {name: cases.services[at] for name, at in named.items() if at >= 0} == {
        "strange": "user",
        "delete_token_404": "token",
    }
    path.write_text("run,test_case,service\nrun_2,strange,user\n")
    assert Cases.of(_keys(), read_truth(path)).failing.tolist().count(-1) == 2
    assert read_truth(None) == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [("case,service\na,b\n", "first line must name"), ("test_case,service\na,\n", "line 2 lacks"), (None, "cannot be")],
)
def test_a_file_of_failing_services_that_cannot_be_read_is_named(tmp_path, text, told):
    path = tmp_path / "truth.csv"
    if text:
        path.write_text(text)
    with pytest.raises(InputError, match=f"--services-truth .*truth.csv: .*{told}"):
        train_models(TrainOptions(root=tmp_path, services_truth=path), Session.serial())


def test_names_of_failing_services_that_are_not_loaded_are_told_once(tmp_path, monkeypatch, caplog):
    path = tmp_path / "truth.csv"
    monkeypatch.setattr(SequenceKeys, "read", lambda layout: _keys())
    path.write_text("run,test_case,service\nrun_1,strange,user\n,delete_token_404,token\n")
    warn_of_unknown(path, Layout(tmp_path))
    warn_of_unknown(None, Layout(tmp_path))
    assert not caplog.messages
    path.write_text("run,test_case,service\nrun_9,strange,user\n" + "".join(f",case_{n},tokn\n" for n in range(5)))
    warn_of_unknown(path, Layout(tmp_path))
    assert caplog.messages == [
        f"--services-truth {path}: 1 of its runs not in the tables: run_9; 5 of its test cases not in the tables: "
        "case_0, case_1, case_2; 1 of its services not in the tables: tokn"
    ]


def test_bystanders_are_all_but_the_failing_service():
    cases = Cases.of(_keys())
    # refresh-token fails in delete_token_404; nobody knows who fails in another case.
    np.testing.assert_array_equal(
        cases.without_failing(np.array([1.0, 2.0, 3.0, 5.0, 9.0])), [1.0, 2.0, 3.0, np.nan, np.nan]
    )


def test_recall_needs_as_many_normals_as_its_rate():
    y = np.arange(300) >= 200
    score = np.concatenate([np.arange(200.0), np.full(60, 500.0), np.full(40, 198.0)])
    assert recall_at(y, score)["value"] == 1.0
    assert recall_at(y, np.where(score == 198, 197.0, score))["value"] == 0.6
    few = recall_at(y[150:], score[150:])
    assert (few["value"], few["reason"]) == (None, "not measurable with 50 normals")


def test_equal_logs_are_of_one_service():
    service = pa.chunked_array([["a", "a", "b", "a", "b", "a"]])
    numbers, held = np.array([5.0, 6.0, 5.0, 5.0, 7.0, np.nan]), np.array([0, 0, 0, 1, 1, 1], bool)
    assert count_equal(numbers, service, held, ~held) == {"copied": 1, "held": 2, "least_lines": 20}


def test_units_in_words():
    units = Units.of(np.array([0, 0, 0, 1, 1], bool), np.array([1, 2, 3, 4, 5]))
    assert describe_units(units, 2, 5)["units"] == (
        "5 cases of 5 runs: 3 normal, 2 errors of 2 types; 5 normal runs to learn from, so no false-alarm rate below "
        "1 in 6 can be claimed"
    )


@pytest.mark.parametrize(
    ("gain", "runs", "chance", "words"),
    [
        ((0.31, 0.12, 0.46), 40, 0.001, "better than every simple baseline by .31 [.12, .46]"),
        ((0.31, 0.12, 0.46), 8, 0.001, "better than every simple baseline by .31 [.12, .46]"),
        ((0.31, 0.12, 0.46), 4, 0.001, "too few runs to tell"),
        ((0.31, 0.12, 0.46), 8, 0.2, "too few runs to tell"),
        ((0.31, -0.1, 0.46), 8, 0.001, "too few runs to tell"),
        ((0.31, -0.1, 0.46), 40, 0.001, "no better than the length of the logs"),
        ((0.31, 0.12, 0.46), 40, 0.2, "no better than the length of the logs"),
        ((-0.2, -0.3, 0.1), 3, 0.5, "no better than the length of the logs"),
    ],
)
def test_verdicts(gain, runs, chance, words):
    figures = dict(zip(("value", "low", "high"), gain, strict=True))
    block = {
        "gain": {**figures, "over": "baseline_length", "over_words": "the length of the logs"},
        "baselines": {"baseline_length": {"average_precision": 0.6}},
        "chance_of_best": chance,
        "normal_runs": runs,
        "anomalous_runs": runs + 3,
    }
    assert judge_in_words(block) == words


def test_the_block_of_a_training(root):
    train_root(root, models=("excess", "lr_words"), skip_if=True)
    block = _trust(root, "excess")
    assert (block["runs"], block["cases"], block["normal"], block["anomalous"]) == (6, 18, 6, 12)
    assert block["models_compared"] == 2
    assert block["average_precision"]["value"] > 0.9
    assert block["service_named"] == {"right": 1, "of": 3, "services": 3}
    assert block["prevalence"] == pytest.approx(2 / 3)
    types = block["per_error_type"]
    assert sum(one["cases"] for one in types.values()) == 12
    assert all(1 <= one["rank"] <= one["of"] == 18 for one in types.values())
    named = [one for one in types.values() if one["service_named"] is not None]
    assert [one["lift"] for one in named] == [3 * one["service_named"] for one in named]
    assert 0 <= block["equal_logs"]["copied"] <= block["equal_logs"]["held"]
    assert (block["auc"]["scheme"], block["auc"]["is_exact"]) == ("cases within their runs", True)
    assert (block["auc"]["assignments"], block["auc"]["p"] < 0.02) == (729, True)
    assert set(block["baselines"]) == {
        *("baseline_length", "baseline_duration", "baseline_unseen", "baseline_2gram", "baseline_ecvc"),
        "baseline_flag_all",
    }
    assert block["baselines"]["baseline_flag_all"]["average_precision"] == block["prevalence"]
    # A made-up error log is longer than a correct one.
    assert block["verdict"] == "no better than the length of the logs"
    assert block["remarks"][0].startswith("the length of the logs alone tells the classes apart here")
    # The hold-out alone has never been seen by a model that learns from errors; nor by the one on start-up lines.
    held = _trust(root, "lr_words")
    assert held["cases"] < block["cases"]
    assert "baseline_startup" in held["baselines"]
    assert "baseline_startup" not in block["baselines"]


def test_pairs_are_those_of_neighbouring_lines(root):
    layout, lines = Layout(root), Counter()
    ids = dict(zip(*(table_of(layout.statements)[name].to_pylist() for name in ("text", "statement_id")), strict=True))
    for group in group_parts(layout.enhanced):
        of_part = group.read(layout.enhanced, ["seq_id", "e_statements"]).to_pylist()
        found = read_pairs(layout, group)
        pairs = [one.split(" ") for one in found.tokens.to_pylist()]
        assert {one for pair in pairs for one in pair} <= {"", *ids.values()}
        for row, counts in zip(of_part, found.counts.toarray(), strict=True):
            first, second = Counter(), Counter()
            for (before, after), count in zip(pairs, counts.tolist(), strict=True):
                first[before] += count
                second[after] += count
            said = Counter({bag["token"]: bag["count"] for bag in row["e_statements"]})
            # Each line stands once before another one or the end, and once after another one or the start.
            assert +first == +second == said + Counter([""])
            lines += said
    assert lines.total() > 1_000


def test_without_windows_the_baseline_on_pairs_says_why_it_is_not_fitted(raw, tmp_path):
    root = load_tree(raw, tmp_path / "out", windows=False)
    train_root(root, models=("drift_words",), skip_if=True, windows=False)
    block = _trust(root, "drift_words")
    assert "baseline_2gram" not in block["baselines"]
    assert "--no-windows" in block["unfitted"]["baseline_2gram"]
    assert "pairs of neighbouring statements not fitted: no pairs" in dict(trust_rows(block))["Simple baselines"]


@pytest.mark.thorough
def test_partitions_and_workers_do_not_matter(root, raw, tmp_path, two_workers):
    other = load_tree(raw, tmp_path / "out", partition_size="600KB")
    copy = shutil.copytree(root, tmp_path / "copy")
    train_root(root, models=("excess", "drift_words"), skip_if=True)
    train_root(other, models=("excess", "drift_words"), skip_if=True)
    train_models(TrainOptions(root=copy, models=("excess", "drift_words"), skip_if=True), two_workers)
    for key in ("excess", "drift_words"):
        assert _trust(root, key) == _trust(other, key) == _trust(copy, key)
    assert len(list(Layout(other).enhanced.iterdir())) > 1


def test_a_side_without_a_class_says_so(root):
    train_root(root, sup_holdout_fraction=0.0, models=("lr_words",))
    block = _trust(root, "lr_words")
    assert block["verdict"] == "not measured, as no case has a score"


def _made_up(seed, runs=60, **shifts):
    """Make cases of three services, the last of which fails; each of them has a score, a length and other counts."""
    rng, services = np.random.default_rng(seed), ("code", "key", "refresh-token")
    bad = np.arange(runs) % 2 == 1
    names = np.where(bad, "delete_token_404", "correct").repeat(3)
    run = np.array([f"run_{n:03}" for n in range(runs)]).repeat(3)
    columns = [pa.chunked_array([list(column)]) for column in (run, names, services * runs)]
    failing = np.tile([False, False, True], runs) & bad.repeat(3)
    noise = {name: rng.normal(size=3 * runs) for name in ("score", "length", "ecvc")}
    for name, (shift, everywhere) in shifts.items():
        noise[name] += shift * (bad.repeat(3) if everywhere else failing)
    baselines = {"baseline_length": noise["length"], "baseline_ecvc": noise["ecvc"]}
    cases = Cases.of(SequenceKeys(*columns, bad.repeat(3)))
    return cases, noise["score"], baselines | {"baseline_flag_all": np.ones(3 * runs)}


def _judge(seed, **changes):
    cases, score, baselines = _made_up(seed, **changes)
    job = TrustJob("a", "sup", True, True, {"threshold": 3.0, "own_limit": True}, {}, None, 3, seed)
    return judge_scores(cases, score, ~cases.anomaly[cases.group], baselines, job)


@pytest.mark.parametrize("seed", range(5))
def test_a_model_that_finds_the_failing_service_is_better(seed):
    block = _judge(seed, score=(5, False))
    assert block["verdict"].startswith("better than every simple baseline by ")
    assert not block["remarks"]
    assert 0.2 < block["bystander_auc"]["value"] < 0.7
    assert block["service_named"]["right"] > 25
    assert "low" in block["auc"]


@pytest.mark.parametrize("seed", range(5))
def test_a_model_that_reads_the_length_is_told(seed):
    block = _judge(seed, score=(5, True), length=(8, True))
    assert block["verdict"] == "no better than the length of the logs"
    assert "more than the error" in block["remarks"][-1]
    assert block["bystander_auc"]["value"] > 0.9


@pytest.mark.parametrize("seed", range(5))
def test_a_model_that_knows_nothing_is_never_better(seed):
    assert not _judge(seed)["verdict"].startswith("better")
    assert not _judge(seed, runs=8)["verdict"].startswith("better")


def test_few_runs_tell_nothing():
    assert _judge(1, runs=6, score=(5, False))["verdict"] == "too few runs to tell"
