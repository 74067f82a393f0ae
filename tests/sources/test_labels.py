"""Labels by the names of folders and by a file of the user's."""

from datetime import datetime
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
    labels = read_labels(table(tmp_path, text))
    assert labels.normal("r1", "calm", "user") is True
    assert labels.normal("r1", "pay", "user") is False
    assert labels.normal("r1", "pay", "cart") is True
    assert labels.normal("r2", "pay", "user") is False
    assert labels.normal("r2", "pay", "cart") is None
    assert labels.normal("r3", "pay", "cart") is None


def test_part_of_a_run_is_labelled_by_time(tmp_path: Path) -> None:
    text = """run,service,start,end,label
r1,,2026-03-07 11:00,2026-03-07T09:10Z,timeout
r1,cart,,2026-03-07T07:00Z,disk
r2,,,,normal
r2,,2026-03-07T09:00Z,,slow
r3,,2026-03-07T09:00Z,2026-03-07T10:00Z,normal
"""
    labels = read_labels(table(tmp_path, text), "Europe/Helsinki")

    def label(run: str, service: str, start: str, end: str) -> bool | None:
        times = (datetime.fromisoformat(f"2026-03-07T{time}:00Z").timestamp() * 1000 for time in (start, end))
        return labels.normal_between((run, "unlabelled", service), *map(int, times))

    assert label("r1", "user", "08:00", "08:59") is True
    assert label("r1", "user", "08:00", "09:00") is False
    assert label("r1", "user", "09:10", "10:00") is False
    assert label("r1", "user", "09:11", "10:00") is True
    assert [label("r1", one, "06:00", "06:30") for one in ("cart", "user")] == [False, True]
    assert [label("r2", "user", *times) for times in (("08:00", "08:30"), ("08:00", "09:30"))] == [True, False]
    assert [label("r3", "user", *times) for times in (("09:00", "10:00"), ("08:59", "10:00"))] == [True, None]
    assert label("r4", "user", "09:00", "09:01") is None
    assert (labels.runs, labels.normal("r1", "unlabelled", "cart")) == ({"r1", "r2", "r3"}, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run,tag\nr1,normal\n", "unknown column 'tag'"),
        ("label\nnormal\n", "no column 'run'"),
        ("run,start,label\nr1,noon,normal\n", "line 2: Invalid isoformat string: 'noon'; write 2026-03-07T09:00"),
        ("run,start,end,label\nr1,2026-03-07,2026-03-06,x\n", "line 2: its start is after its end"),
        ("run,label\nr1,\n", "line 2 needs a run and a label"),
        ("run,label\nr1,normal,more\n", "line 2 needs a run and a label"),
        ("run,label\nr1,normal\nr1,fault\n", "line 3 contradicts an earlier one: r1"),
        ("run,label\n", "it has no row"),
        ("run,label,run\nr1,normal,r2\n", "the column 'run' twice"),
        ("\ufeffrun;label\nr1;normal\n", "unknown column 'run;label'"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_labels(table(tmp_path, text))
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path / "missing.csv")
