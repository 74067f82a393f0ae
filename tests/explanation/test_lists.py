import functools

import pyarrow as pa

from lo2dask.buffers.visible import token_label, visible
from lo2dask.explanation.lists import Outcome, false_negatives_text, false_positives_text, outcome_of
from lo2dask.schema import PREDICTIONS


def predictions() -> pa.Table:
    """Twelve sequences, ranked by number; every third normal is flagged and every second error missed."""
    rows = []
    for number in range(12):
        normal = number % 2 == 0
        flagged = number % 3 == 0 if normal else number % 4 == 1
        rows.append(
            {
                "seq_id": f"run_{number % 3}__case__oauth2-{number:02d}",
                "run": f"run_{number % 3}",
                "test_case": "correct" if normal else f"error_{number % 4}",
                "service": "token" if number < 6 else "user",
                "normal": normal,
                "anomaly": not normal,
                "pred_ano": int(flagged),
                "score": 1.0 - number / 20,
                "rank": number + 1,
                "split": "train" if number < 4 else "holdout",
            }
        )
    return pa.Table.from_pylist(rows, PREDICTIONS)


def test_lists_and_counts():
    outcome = outcome_of(predictions())
    assert outcome.false_positives.rows["rank"].to_pylist() == [1, 7]
    assert outcome.false_negatives.rows["rank"].to_pylist() == [4, 8, 12]
    text = false_positives_text("lr", outcome.false_positives)
    assert "2 in all" in text
    assert "token, train: 1 of 2 normal sequences (50.0%)" in text
    assert "user, holdout: 1 of 3 normal sequences (33.3%)" in text
    missed = false_negatives_text("lr", outcome.false_negatives)
    assert "error_3, holdout: 2 of 2 anomalous sequences (100.0%)" in missed
    assert "error_1, holdout: 0 of 2" in missed
    assert missed.count("run_") == 3


def test_parts_merge_to_the_same_text():
    table = predictions()
    parts = [outcome_of(table.slice(start, 5)) for start in (10, 0, 5)]
    merged = functools.reduce(Outcome.merge, parts)
    whole = outcome_of(table)
    assert false_positives_text("m", merged.false_positives) == false_positives_text("m", whole.false_positives)
    assert false_negatives_text("m", merged.false_negatives) == false_negatives_text("m", whole.false_negatives)


def test_a_list_without_a_row_says_so():
    text = false_positives_text("m", outcome_of(PREDICTIONS.empty_table()).false_positives)
    assert "0 in all" in text
    assert text.endswith("sequences\nnone\n")


def test_control_characters_show_as_text():
    assert visible("a\x1b[31mred\x07") == r"a\x1b[31mred\x07"
    assert visible("left\u202eright\u2028next\ttab") == r"left\u202eright\u2028next\ttab"
    assert visible("grüße 漢字 <script>") == "grüße 漢字 <script>"
    table = predictions().to_pylist()
    for row in table:
        row["seq_id"] = "run\x1b]0;title\x07" + row["seq_id"]
    assert "\x1b" not in false_positives_text("m", outcome_of(pa.Table.from_pylist(table, PREDICTIONS)).false_positives)


def test_token_labels_show_spaces_at_the_ends():
    assert token_label(" ab") == "␣ab"
    assert token_label("a b ") == "a b␣"
    assert token_label("   ") == "␣␣␣"
    assert token_label("") == "(empty)"
