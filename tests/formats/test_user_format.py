"""Formats of the user's own: what a file may say, and what is refused."""

from pathlib import Path

import pytest
import yaml

from lo2dask.errors import InputError
from lo2dask.formats.kinds import KindFormat, Translation
from lo2dask.formats.user_format import KEYS, lines_of, make_user_format, read_user_format
from lo2dask.parse.clock import Days
from lo2dask.parse.translate import translate_lines

OWN = {
    "name": "till",
    "pattern": r"(?P<time>\S+ \S+) <(?P<thread>[^>]*)> (?P<level>\w+)/(?P<logger>\w+) "
    r"#(?P<correlation_id>\w*) (?P<message>.*)",
    "time": ["%d.%m.%Y %H:%M:%S.%f", "%d.%m.%Y %H:%M:%S"],
    "timezone": "Europe/Helsinki",
    "continuation": "indent",
    "levels": {"broken": "ERROR"},
    "example": "02.01.2026 03:04:05.678 <t 1> broken/Till #c9 no paper",
}  # fmt: skip


def write(folder: Path, **changes: object) -> Path:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({**OWN, **changes}), encoding="utf-8")
    return path


def test_a_file_makes_a_format_that_travels_as_plain_types(tmp_path: Path) -> None:
    own = read_user_format(write(tmp_path))
    assert set(own) <= set(KEYS)
    translation = Translation({"till": KindFormat("till", (), own)}, KindFormat("till", (), own))
    assert Translation.from_plain(translation.to_plain()) == translation
    lines, _ = translate_lines(
        lines_of([OWN["example"], "02.01.2026 03:04:06 <> info/A # b", "  x"]), translation.of("till"), Days()
    )
    assert [line.strip() for line in lines.to_pylist()] == [
        "2026-01-02T01:04:05.678 [t 1]  c9 ERROR Till - no paper", "2026-01-02T01:04:06.000 []   INFO A - b", "x",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"example": "no"}, "text does not match the pattern"),
        ({"time": "%d.%m %H"}, "time is none of %d"),
        ({"time": "%Y"}, "needs an hour"),
        ({"time": "%m %H"}, "needs a day"),
        ({"time": ["%d.%m.%Y %H:%M:%S", "%H:%M:%S"]}, "time: some have a date and some have none"),
        ({"time": "%Q"}, "%Q is not known"),
        ({"pattern": "(?P<time>.*) (?P<color>.*)"}, "no group called color"),
        ({"pattern": "(.*)"}, "no group"),
        ({"pattern": "(?P<time>["}, "pattern"),
        ({"continuation": "never"}, "'never' is none of"),
        ({"timezone": "Mars"}, "'Mars' is not known"),
        ({"colour": 1}, "colour is no key"),
        ({"name": ""}, "name is missing"),
        ({"pattern": 5}, "pattern has no group"),
        ({"pattern": "(?P<time>.*)(?P<time>.*)"}, "pattern: "),
        ({"pattern": "(?P<time>.*?) (.*)"}, "pattern: .*unnamed"),
        ({"pattern": r"(?P<time>\S+)(?=x)"}, "pattern: .*perl operator"),
        ({"time": []}, "time is missing"),
        ({"time": [""]}, "time: '' needs an hour"),
        ({"time": {"a": 1}}, "time: .* needs an hour"),
        ({"time": ["%d %H", "%d %d %H"]}, "time: .* twice"),
        ({"time": "epoch_h"}, "time: 'epoch_h' needs"),
        ({"year": "abc"}, "year: 'abc' is no year"),
        ({"year": [2026]}, "year: "),
        ({"year": -1}, "year: -1"),
        ({"levels": ["a"]}, "levels: write each as"),
        ({"levels": "ERROR"}, "levels: write each as"),
        ({"levels": {"broken": "BOOM"}}, "levels: 'BOOM' is none of TRACE"),
        ({"timezone": ["UTC"]}, "timezone: .* is not known"),
        ({"timezone": "Europe"}, "timezone: 'Europe' is not known"),
        ({"continuation": ["indent"]}, "continuation: "),
        ({"example": ["a"]}, "example: "),
        ({"example": "32.01.2026 03:04:05 <> info/A # b"}, "example: its time is none of %d"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(tmp_path: Path, changes: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_user_format(write(tmp_path, **changes))


@pytest.mark.parametrize("content", ["- a", "text", "5", "", "name: [", "a: 1\na: 2", "\x00"])
def test_a_file_that_is_no_format_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=r"--format .*own\.yaml: "):
        read_user_format(path)
    with pytest.raises(InputError, match="none.yaml"):
        read_user_format(tmp_path / "none.yaml")


@pytest.mark.parametrize(("continuation", "rows"), [("indent", [0]), ("no-header", [0, 1])])
def test_indented_headers_are_events_unless_the_format_says_no(continuation: str, rows: list[int]) -> None:
    own = make_user_format({**OWN, "continuation": continuation})
    assert own.read(lines_of([OWN["example"], "  " + OWN["example"], "x"])).rows.tolist() == rows


def test_the_first_shape_that_fits_counts_and_a_year_may_be_given() -> None:
    own = make_user_format({
        "name": "a", "pattern": r"(?P<time>\w+ \d+ \S+|\d+) ", "time": ["%b %d %H:%M:%S", "epoch_s"], "year": 2020,
        "example": "Feb 29 01:00:00 x",
    })  # fmt: skip
    found = own.read(lines_of(["Feb 29 01:00:00 x", "1582938000 y", "Feb 30 01:00:00 z", "x"]))
    assert found.time_ms.tolist() == [1582938000000] * 2
    assert found.rows.tolist() == [0, 1]
    assert found.message.to_pylist() == ["x", "y"]


def test_a_time_without_a_date_is_one_of_day() -> None:
    own = make_user_format({
        "name": "a", "pattern": r"(?P<time>\S+) (?P<level>\S+) ", "time": ["%H:%M:%S.%f", "%H:%M"],
        "example": "09:00:01.5 WARN x",
    })  # fmt: skip
    found = own.read(lines_of(["09:00:01.5 WARN x", "10:30 INFO y", "25:00 INFO z"]))
    assert (found.has_date, found.time_ms.tolist()) == (False, [32_401_500, 37_800_000])
    assert found.level.to_pylist() == ["WARN", "INFO"]
