from lo2dask.models.evaluate import leakage_line
from lo2dask.reporting.verdicts import baselines, figures, short, side_in_words, verdict

GOOD = {"auc_roc": 0.97, "average_precision": 0.9, "f1": 0.8}
POOR = {"auc_roc": 0.66, "average_precision": 0.6, "f1": 0.5}
NONE = {"auc_roc": None, "average_precision": None, "f1": None, "reason": "no sequence"}


def measures(own, length, startup, side="holdout"):
    lines = {
        side: leakage_line(own, length),
        "startup_lines": {side: leakage_line(own, startup, "the start-up lines alone")},
    }
    return {"holdout": NONE, side: own, "leakage": lines}


def test_a_verdict_says_by_how_much_and_against_what():
    text = verdict(measures(GOOD, POOR, GOOD))
    assert "better than the length of the logs by .30: AUC .97 against .66" in text
    assert "no better than the start-up lines: AUC .97 against .97" in text
    assert text.endswith("(on the hold-out)")


def test_without_a_measured_holdout_the_training_part_speaks_and_is_named():
    own = measures(GOOD, POOR, POOR, "train")
    assert figures(own)["auc_roc"] == 0.97
    assert "which it has seen" in verdict(own)
    assert "training part" in side_in_words(own)


def test_what_was_not_measured_has_its_reason_once():
    assert verdict(measures(NONE, POOR, POOR)) == "not measured, because no sequence (on the hold-out)"
    assert verdict({}) == "not measured, because no baseline was fitted beside it"
    alone = verdict(measures(GOOD, {"reason": "no model could be fitted"}, POOR))
    assert "not compared with the length of the logs: no model could be fitted" in alone


def test_figures_are_short():
    assert [short(value) for value in (0.314, 1.0, -0.05, 0.0)] == [".31", "1.00", "-.05", ".00"]


def test_baselines_are_listed_with_their_figures():
    listed = baselines(measures(GOOD, POOR, NONE))
    assert [(name, line["auc_roc"]) for name, line in listed] == [("the length of the logs", 0.66)]
