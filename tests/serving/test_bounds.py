"""Answers within bounds."""

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from lo2dask.serving.bounds import CUT_MARK, LONGEST, Bounds, Found, safe


def test_what_is_left_out_is_counted() -> None:
    rows = [{"text": "x" * 100} for _ in range(50)]
    answer = Bounds(rows=10, chars=100_000).answer({"a": 1}, lines=Found(rows, 50), more=Found(rows[:3], 3))
    assert (len(answer["lines"]), len(answer["more"]), answer["left_out"]) == (10, 3, {"lines": 40})
    answer = Bounds(rows=40, chars=1_000).answer({}, lines=Found(rows, None), more=Found(rows[:1], 1))
    assert 0 < len(answer["lines"]) < 10
    assert answer["left_out"] == {"lines": f"at least {50 - len(answer['lines'])}", "more": 1}
    assert Bounds(rows=10, chars=1).limit(1_000_000) == 10
    assert Bounds(rows=10, chars=1).limit(-5) == 1


def test_texts_are_cut_and_cannot_act() -> None:
    assert safe("a\x1b[31m\u202e\ud800\n") == "a\\x1b[31m\\u202e\\ud800\\n"
    assert safe("x" * (LONGEST + 1)) == "x" * LONGEST + CUT_MARK
    assert safe({"t": datetime(2024, 6, 28, tzinfo=UTC), "n": float("nan"), "l": (1, "\t")}) == {
        **{"t": "2024-06-28T00:00:00+00:00", "n": None, "l": [1, "\\t"]}
    }


@given(st.lists(st.text(max_size=50)), st.integers(1, 20), st.integers(200, 2_000))
def test_an_answer_is_never_longer_than_it_may_be(texts: list[str], rows: int, chars: int) -> None:
    answer = Bounds(rows, chars).answer({}, lines=Found([{"text": text} for text in texts], len(texts)))
    assert len(answer["lines"]) <= rows
    assert len(json.dumps(answer, ensure_ascii=False)) <= chars
    assert len(answer["lines"]) + answer["left_out"].get("lines", 0) == len(texts)
