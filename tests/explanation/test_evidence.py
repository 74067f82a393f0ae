import math

import numpy as np
import pyarrow as pa
import pytest

from lo2dask.explanation.evidence import Normals, Patterns, Texts, pick_lines, select_carried
from lo2dask.explanation.evidence_search import tokens_only_in

TEXTS = ["DEBUG say hello", "ERROR failed ERR11000", "DEBUG say bye", "at frame one", "at frame two"]


def patterns(templates: list[str] | None = None, errors: tuple[int, ...] = (1,)) -> Patterns:
    flags = np.isin(np.arange(len(TEXTS)), errors)
    return Patterns(
        Texts(pa.array(TEXTS)),
        np.arange(5),
        templates or ["t0", "t1", "t0", "t3", "t4"],
        np.array([5, 1, 2, 1, 1]),
        np.arange(5) * 10,
        flags,
    )


def normals(total: int, templates: dict[str, int]) -> Normals:
    return Normals(total, templates, dict.fromkeys(templates, 1))


def feature(name: str, shap: float, value: float = 1.0) -> dict:
    return {"feature": name, "shap": shap, "value": value}


def test_only_features_that_lines_carry_and_that_speak_for_an_anomaly_count():
    features = [
        feature("ERR11000", 2.0),
        feature("hello", -1.0),
        feature("absent", 3.0, 0.0),
        feature("seq_len", 4.0, 7.0),
    ]
    assert select_carried(features, ("words",)) == {"words": {"ERR11000": 2.0}}
    many = [feature("words:ERR11000", 2.0), feature("templates:t3", 1.0), feature("trigrams: ER", 0.5)]
    assert select_carried(many, ("words", "trigrams", "templates")) == {
        "words": {"ERR11000": 2.0},
        "templates": {"t3": 1.0},
        "trigrams": {" ER": 0.5},
    }
    assert select_carried(features, ()) == {}


@pytest.mark.parametrize(("kind", "token"), [("words", "ERR11000"), ("trigrams", "R11"), ("templates", "t1")], ids=str)
def test_the_line_with_the_strongest_feature_comes_first(kind, token):
    everywhere = normals(9, dict.fromkeys(["t0", "t1", "t3", "t4"], 9))
    picks = pick_lines(patterns(), {kind: {token: 1.5}}, everywhere)
    assert [pick.index for pick in picks] == [10]
    assert picks[0].share == 1.0
    assert picks[0].novelty == 0.0


def test_what_a_line_weighs_does_not_depend_on_the_texts_beside_it():
    tokens = {"one": 0.1, "two": 0.2, "three": 0.3}
    alone = Texts(pa.array(["one two three"])).words.weigh(tokens)
    beside = Texts(pa.array(["one two three", "three", "two", "one"])), Texts(pa.array(["three", "two one three two"]))
    reversed_order = Texts(pa.array(["three two one"])).words.weigh(tokens)
    assert beside[0].words.weigh(tokens)[0] == alone[0] == reversed_order[0] == beside[1].words.weigh(tokens)[1]


def test_new_templates_are_evidence_without_any_feature_and_errors_lead():
    known = normals(9, {"t0": 9, "t4": 3})
    picks = pick_lines(patterns(), {}, known)
    assert [pick.template for pick in picks] == ["t1", "t3", "t4"]
    assert picks[0].novelty == 1.0
    assert picks[2].novelty == pytest.approx(math.log(10 / 4) / math.log(10))
    assert [pick.index for pick in pick_lines(patterns(errors=()), {}, known)] == [10, 30, 40]


def test_each_template_is_shown_once_with_all_lines_that_are_alike():
    picks = pick_lines(patterns(), {"words": {"bye": 1.0}}, normals(9, {"t1": 9, "t3": 9, "t4": 9, "t0": 9}))
    assert [(pick.index, pick.alike) for pick in picks] == [(20, 7)]


def test_without_normals_only_shares_count():
    assert pick_lines(patterns(), {}, normals(0, {})) == []
    assert len(pick_lines(patterns(), {"words": {"say": 1.0}}, normals(0, {}))) == 1


def test_the_number_of_lines_is_bounded():
    assert len(pick_lines(patterns(["a", "b", "c", "d", "e"]), {}, normals(5, {}), limit=3)) == 3


def test_differences_are_the_most_frequent_first():
    flagged, normal = {"a": 1, "b": 5, "c": 5, "same": 2}, {"same": 9, "z": 1}
    assert tokens_only_in(flagged, normal) == ["b", "c", "a"]
    assert tokens_only_in(normal, flagged) == ["z"]
    assert tokens_only_in({"a": 1, "b": 2}, {}, limit=1) == ["b"]
