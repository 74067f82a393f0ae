"""How far a model can be trusted, in words."""

from lo2dask.reporting.trust import trust_lines, trust_rows

BLOCK = {
    "units": "20 cases of 20 runs: 8 normal, 12 errors of 3 types; 15 normal runs to learn from",
    "reason": None,
    "remarks": ["the length alone tells the classes apart here, so no model can be better"],
    "verdict": "better than every simple baseline by .31 [.12, .46]",
    "average_precision": {"value": 0.97, "low": 0.9, "high": 1.0, "draws": 2000},
    "prevalence": 0.6,
    "auc": {"value": 0.98, "p": 0.00012, "assignments": 125_970, "is_exact": True, "scheme": "whole runs"},
    "bystander_auc": {"value": 0.52, "low": 0.3, "high": 0.7, "draws": 2000},
    "gain": {
        "value": 0.31,
        "low": 0.12,
        "high": 0.46,
        "over": "baseline_length",
        "over_words": "the length of the logs",
    },
    "baselines": {"baseline_flag_all": {"average_precision": 0.6}, "baseline_length": {"average_precision": 0.66}},
    "recall_at_false_alarms": {"rate": 0.01, "value": None, "reason": "not measurable with 8 normals"},
    "service_named": {"right": 11, "of": 12, "services": 7},
    "false_culprits": {"flagged": 0, "of": 8},
    "per_error_type": {
        "easy": {"cases": 2, "rank": 1.5, "of": 20, "recall": 1.0, "service_named": 1.0, "lift": 7.0},
        "hard": {"cases": 2, "rank": 9.5, "of": 20, "recall": None, "service_named": None, "lift": None},
    },
    "equal_logs": {"copied": 3, "held": 40, "least_lines": 20},
    "models_compared": 2,
    "chance_of_best": 0.0002,
}


def test_each_verdict_stands_once():
    other = BLOCK | {"bystander_auc": None}
    better = "better than every simple baseline by .31 [.12, .46]"
    assert trust_lines({"excess": BLOCK, "if": BLOCK | {"verdict": "not better"}, "oov_words": other}) == [
        f"trust: {better}: excess (AP .97, chance .60, bystander AUC .52), oov_words (AP .97, chance .60)",
        "trust: not better: if (AP .97, chance .60, bystander AUC .52)",
    ]


def test_all_there_is_to_know():
    rows = dict(trust_rows(BLOCK))
    assert rows["Mind"].startswith("the length alone")
    assert rows["Average precision"] == ".97 [.90, 1.00], chance .60"
    assert rows["AUC"] == ".98, p = 0.00012 (125,970 exact permutations of whole runs)"
    assert rows["AUC of the innocent services"] == ".52 [.30, .70]; .5 is honest"
    assert rows["Gain in average precision"] == ".31 [.12, .46] over the length of the logs"
    assert rows["Simple baselines"] == "the length of the logs .66, flagging everything .60"
    assert rows["Recall at 1 false alarm in 100"] == "not measurable with 8 normals"
    assert rows["Failing service scores highest"] == "11 of 12 (chance .14)"
    assert rows["Normal cases flagged"] == "0 of 8"
    assert rows["Hardest error types"] == (
        "hard: rank 9.5 of 20; easy: rank 1.5 of 20, flagged 1.00, service named 1.00 (7.0 × chance)"
    )
    assert rows["Equal bags on both sides of the split"].startswith("3 of 40 held-out logs of 20 lines and more equal")


def test_what_is_not_known():
    rows = dict(trust_rows(BLOCK | {"bystander_auc": None, "service_named": {"right": 0, "of": 0, "services": 3}}))
    assert rows["AUC of the innocent services"] == "not measured: the failing service is not known"
    reason = {"reason": "no case has a score", "verdict": "not measured, as no case has a score"}
    assert trust_lines({"if": BLOCK | reason}) == ["trust: not measured, as no case has a score: if"]
    assert [title for title, _ in trust_rows(BLOCK | reason)] == ["Verdict", "Measured on"]
