"""The figures of the real slice equal those of the predecessor, sequence by sequence."""

import csv
from pathlib import Path

import pyarrow.compute as pc
import pytest

from lo2dask import schema
from tests.trees import load_tree, table_of

COMPARED = ("seq_len", "start", "end", "duration_sec", "e_words_len", "e_trigrams_len", "distinct_words")
COMPARED += ("distinct_trigrams", "anomaly", "test_case")


@pytest.mark.parametrize(
    ("expected", "trim"),
    [
        ("sequences_trim100.csv", True),
        pytest.param("sequences_untrimmed.csv", False, marks=pytest.mark.thorough),
    ],
)
def test_equals_the_predecessor(sample_root: Path, tmp_path: Path, expected: str, trim: bool) -> None:
    with open(sample_root / "expected" / expected, newline="") as file:
        reference = {row["seq_id"]: row for row in csv.DictReader(file)}
    out = load_tree(sample_root / "v1", tmp_path, trim_init_lines=trim, continuation_lines="drop", tokens="raw")
    table = table_of(out / "lo2_sequences_enhanced.parquet")
    lengths = {name: pc.list_value_length(table[name]).to_pylist() for name in tuple(schema.MAIN.values())}
    assert len(reference) == table.num_rows == 49
    for place, row in enumerate(table.to_pylist()):
        wanted = reference[row["seq_id"]]
        found = {name: str(row.get(name)) for name in COMPARED} | {
            "start": row["start_time"].strftime("%H:%M:%S.%f")[:-3],
            "end": row["end_time"].strftime("%H:%M:%S.%f")[:-3],
            "distinct_words": str(lengths["e_words"][place]),
            "distinct_trigrams": str(lengths["e_trigrams"][place]),
            "anomaly": str(row["anomaly"]).lower(),
        }
        assert found == {name: wanted[name] for name in COMPARED}, row["seq_id"]
        print(f"{row['seq_id']}: {row['n_templates']} templates, the predecessor had {wanted['distinct_drain_ids']}")


def test_the_slice_took_place_when_it_did(sample_root: Path, tmp_path: Path) -> None:
    """Epoch 1719592986 is 2024-06-28 16:43:06, the end of its run."""
    table = table_of(load_tree(sample_root / "v1", tmp_path, enhance=False) / "lo2_sequences.parquet")
    mine = table.filter(pc.equal(table["run"], "light-oauth2-data-1719592986"))
    assert {stamp.date().isoformat() for stamp in mine["start_time"].to_pylist()} == {"2024-06-28"}
    assert mine.num_rows == 21
