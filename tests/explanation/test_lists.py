from pathlib import Path

import pyarrow as pa

from lo2dask.buffers.visible import token_label, visible
from lo2dask.explanation.lists import write_lists
from lo2dask.schema import PREDICTIONS
from lo2dask.tables.parts import write_part


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
                "score_held_out": 1.0 - number / 20,
                "rank": number + 1,
                "split": "train" if number < 4 else "holdout",
            }
        )
    return pa.Table.from_pylist(rows, PREDICTIONS)


def lists(folder: Path, *parts: pa.Table) -> tuple[tuple[int, int], str, str]:
    """Write the lists of a model m from the parts of its table; return the counts and the two texts."""
    paths = []
    for number, part in enumerate(parts):
        renamed = part.rename_columns([{"score": "score_m", "rank": "rank_m"}.get(n, n) for n in part.column_names])
        paths.append(folder / f"part-{number}.parquet")
        write_part(paths[-1], renamed, renamed.schema)
    texts = (folder / "false_positives.txt", folder / "false_negatives.txt")
    counts = write_lists(paths, texts, "m")
    return counts, texts[0].read_text(), texts[1].read_text()


def ranks(text: str) -> list[int]:
    return [int(line.split()[0]) for line in text.split("\nsequences\n")[1].splitlines()]


def test_lists_and_counts(tmp_path):
    counts, text, missed = lists(tmp_path, predictions())
    assert counts == (2, 3)
    assert ranks(text) == [1, 7]
    assert ranks(missed) == [4, 8, 12]
    assert "2 in all" in text
    assert "token, train: 1 of 2 normal sequences (50.0%)" in text
    assert "user, holdout: 1 of 3 normal sequences (33.3%)" in text
    assert "error_3, holdout: 2 of 2 anomalous sequences (100.0%)" in missed
    assert "error_1, holdout: 0 of 2" in missed


def test_parts_give_the_same_text(tmp_path):
    table = predictions()
    (tmp_path / "parts").mkdir()
    parts = [table.slice(start, 5) for start in (10, 0, 5)]
    assert lists(tmp_path / "parts", *parts) == lists(tmp_path, table)


def test_a_list_without_a_row_says_so(tmp_path):
    _, text, _ = lists(tmp_path, PREDICTIONS.empty_table())
    assert "0 in all" in text
    assert text.endswith("sequences\nnone\n")


def test_a_model_that_was_not_fitted_has_no_mistakes(tmp_path):
    table = predictions()
    nothing = pa.nulls(table.num_rows, pa.int8())
    table = table.set_column(table.column_names.index("pred_ano"), PREDICTIONS.field("pred_ano"), nothing)
    assert lists(tmp_path, table)[0] == (0, 0)


def test_control_characters_show_as_text(tmp_path):
    assert visible("a\x1b[31mred\x07") == r"a\x1b[31mred\x07"
    assert visible("left\u202eright\u2028next\ttab") == r"left\u202eright\u2028next\ttab"
    assert visible("grüße 漢字 <script>") == "grüße 漢字 <script>"
    table = predictions().to_pylist()
    for row in table:
        row["seq_id"] = "run\x1b]0;title\x07" + row["seq_id"]
    assert "\x1b" not in lists(tmp_path, pa.Table.from_pylist(table, PREDICTIONS))[1]


def test_token_labels_show_spaces_at_the_ends():
    assert token_label(" ab") == "␣ab"
    assert token_label("a b ") == "a b␣"
    assert token_label("   ") == "␣␣␣"
    assert token_label("") == "(empty)"
