"""Labels by the names of folders and by a file of the user's."""

from pathlib import Path

import pytest

from lo2dask.errors import InputError
from lo2dask.sources.labels import Labels, read_labels


def test_correct_takes_its_numbers_and_other_patterns_are_globs() -> None:
    assert [Labels().normal("r", case) for case in ("correct", "correct_1", "Correct", "pay_404")] == [
        *(True, True, False, False)
    ]
    labels = Labels(("ok*", "calm"))
    assert [labels.normal("r", case) for case in ("ok-1", "calm", "correct", "calm2")] == [True, True, False, False]
    assert Labels(("mon*",), by_run=True).normal("monday", "unlabelled") is True
    assert Labels().normal("r", "unlabelled") is None
    assert Labels(is_labelled=False).normal("r", "correct") is None


def test_names_that_resemble_a_normal_one_are_told() -> None:
    assert Labels().resembling({"correct_1", "correct_old", "baseline-2", "Normal", "abnormal", "pay"}) == [
        *("Normal", "baseline-2", "correct_old")
    ]
    assert "--normal correct 'correct_old'" in Labels().problem("correct_old")
    assert Labels(("correct*",)).problem("correct_old") == ""


def table(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text)
    return path


def test_the_most_specific_row_counts(tmp_path: Path) -> None:
    text = "run,test_case,service,label\nr1,,,normal\nr1,pay,,fault\nr1,pay,cart,Normal\nr2,,user,fault\n"
    labels = Labels(rows=read_labels(table(tmp_path, text)))
    assert labels.normal("r1", "calm", "user") is True
    assert labels.normal("r1", "pay", "user") is False
    assert labels.normal("r1", "pay", "cart") is True
    assert labels.normal("r2", "pay", "user") is False
    assert labels.normal("r2", "pay", "cart") is None
    assert labels.normal("r3", "pay", "cart") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run,tag\nr1,normal\n", "unknown column 'tag'"),
        ("label\nnormal\n", "no column 'run'"),
        ("run,start,label\nr1,1,normal\n", "labels of times .* are not read"),
        ("run,label\nr1,\n", "line 2 needs a run and a label"),
        ("run,label\nr1,normal,more\n", "line 2 needs a run and a label"),
        ("run,label\nr1,normal\nr1,fault\n", "line 3 contradicts an earlier one: r1"),
        ("run,label\n", "it has no row"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_labels(table(tmp_path, text))
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path / "missing.csv")
