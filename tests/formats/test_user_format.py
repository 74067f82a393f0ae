"""Formats of the user's own: what a file may say, and what is refused."""

from pathlib import Path

import pytest
import yaml

from lo2dask.errors import InputError
from lo2dask.formats.kinds import KindFormat, Translation
from lo2dask.formats.user_format import KEYS, lines_of, read_user_format
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
        lines_of([OWN["example"], "02.01.2026 03:04:06 <> info/A # b", "  x"]), translation.of("till")
    )
    assert [line.strip() for line in lines.to_pylist()] == [
        "2026-01-02T01:04:05.678 [t 1]  c9 ERROR Till - no paper", "2026-01-02T01:04:06.000 []   INFO A - b", "x",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"example": "no"}, "text does not match the pattern"),
        ({"time": "%d.%m %H"}, "time is none of %d"),
        ({"time": "%Y"}, "needs a day"),
        ({"time": "%Q"}, "%Q is not known"),
        ({"pattern": "(?P<time>.*) (?P<color>.*)"}, "no group called color"),
        ({"pattern": "(.*)"}, "no group"),
        ({"pattern": "(?P<time>["}, "pattern"),
        ({"continuation": "never"}, "'never' is none of"),
        ({"timezone": "Mars"}, "'Mars' is not known"),
        ({"colour": 1}, "colour is no key"),
        ({"name": ""}, "name is missing"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(tmp_path: Path, changes: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_user_format(write(tmp_path, **changes))
