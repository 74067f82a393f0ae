import datetime as dt
from pathlib import Path

import pytest

from lo2dask.explanation.story import describe_row

ROOT = Path("/out")
TEMPLATES = {"e7": "ERROR failed <*>"}


def row(**changes: object) -> dict:
    line = {
        "path": "/logs/run/case/oauth2-user.log",
        "line_no": 12,
        "m_timestamp": dt.datetime(2024, 6, 28, 16, 40, 12),
        "m_message": "ERROR failed ERR12011 \x1b[2J",
        "e_event_drain_id": "e7",
        "alike": 3,
        "share": 0.25,
        "novelty": 1.0,
        "normal_max": 0,
    }
    features = [{"feature": "ERR12011", "value": 1.0, "shap": 0.5}, {"feature": "e7", "value": 1.0, "shap": -0.25}]
    made = {
        "seq_id": "run__case__oauth2-user",
        "run": "run",
        "test_case": "case",
        "service": "user",
        "anomaly": True,
        "score": 0.75,
        "rank": 2,
        "split": "holdout",
        "explained": True,
        "features": features,
        "evidence": "read",
        "lines": [line],
        "missing": [],
        "nearest_normal": "run__correct__oauth2-user",
        "nearest_type": "labelled",
        "similarity": 0.5,
        "words_gained": ["ERR12011", " x"],
        "words_lost": [],
        "templates_gained": ["e7"],
        "templates_lost": [],
    }
    return made | changes


def test_a_story_has_all_that_speaks_for_the_flag():
    told = describe_row(row(), "event_lr_words", ROOT, TEMPLATES)
    for part in (
        "event_lr_words flags it: score 0.75, rank 2, holdout; it is an anomaly",
        "+0.5         1  ERR12011",
        "e7: ERROR failed <*>",
        "new lines: no normal sequence of the service has such a line\n    line 12 (3 alike)",
        "lines are of /logs/run/case/oauth2-user.log",
        "nearest normal (by label, training part) (0.500 alike): run__correct__oauth2-user",
        "only here, words: ERR12011  ␣x",
        "only here, template e7: ERROR failed <*>",
        "only there, words: none",
    ):
        assert part in told


def test_terminal_codes_are_written_out():
    hostile = row(run="\x1b]0;x\x07", test_case="a\rb", words_gained=["\x9b31m"], nearest_normal="\x1b[0m")
    told = describe_row(hostile, "m", ROOT, {"e7": "\x07"})
    assert not [char for char in told if ord(char) < 32 and char != "\n"]
    assert "\x9b" not in told
    assert r"\x1b[2J" in told


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"anomaly": False}, "a false positive"),
        ({"explained": False}, "it has no SHAP values"),
        ({"lines": [], "evidence": "gone"}, "none of its log lines could be read again"),
        (
            {"lines": [], "evidence": "beyond limit"},
            "not read (--evidence-limit); lo2dask show /out run/case reads them",
        ),
        ({"lines": []}, "no line to show: none of its lines is new"),
    ],
)
def test_what_is_missing_is_said(changes, said):
    assert said in describe_row(row(**changes), "m", ROOT, TEMPLATES)


def test_without_a_neighbour_nothing_is_said_of_one():
    assert "nearest normal" not in describe_row(row(nearest_normal=None), "m", ROOT, TEMPLATES)


def test_new_lines_missing_ones_and_changed_counts_are_told_apart():
    lines = [
        {**row()["lines"][0], "line_no": number, "normal_max": most}
        for number, most in ((1, 0), (2, 2), (3, 3), (4, None))
    ]
    told = describe_row(row(lines=lines, missing=["e7"]), "m", ROOT, TEMPLATES)
    parts = (
        "\n  new lines: no normal sequence of the service has such a line\n    line 1 (3 alike)\n",
        "\n  missing lines: every normal sequence of the service has such a line\n    e7: ERROR failed <*>\n",
        "\n  changed counts: more such lines than in any normal sequence of the service\n"
        "    line 2 (3 alike, at most 2 in a normal sequence)\n",
        "\n  other lines that carry what speaks for an anomaly\n    line 3 (3 alike, at most 3 in a normal sequence)\n",
        "\n    line 4 (3 alike)\n",
    )
    places = [told.index(part) for part in parts]
    assert places == sorted(places)
    assert "%" not in told


def test_what_speaks_by_its_absence_is_said_as_absence():
    features = [
        {"feature": "started", "value": 0.0, "shap": 0.75},
        {"feature": "failed", "value": 0.0, "shap": -0.5},
        {"feature": "e7", "value": 2.0, "shap": 0.25},
    ]
    told = describe_row(row(features=features), "m", ROOT, TEMPLATES)
    missing = told.index("missing: it lacks what others have, and that speaks for an anomaly (SHAP value)")
    assert told.index("+0.75  started") > missing
    assert told.count("started") == 1
    assert "-0.5    absent  failed" in told[:missing]
    assert "+0.25         2  e7: ERROR failed <*>" in told[:missing]
