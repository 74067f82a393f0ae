"""lo2dask/README.md, the map of the package: its table names every room once, in the order of tests/test_floors.py."""

import re

from tests.test_floors import PACKAGE, ROOMS

MAP = PACKAGE / "README.md"
ROW = re.compile(r"\| `([a-z_]+)(/?)` \|(.+)\|")


def rows() -> list[tuple[str, bool, str]]:
    """List the map's rows: name, whether it is a folder, and what the room holds."""
    assert MAP.is_file(), f"{MAP} is missing: it names each room with what it holds"
    matches = map(ROW.fullmatch, MAP.read_text(encoding="utf-8").splitlines())
    return [(match[1], bool(match[2]), match[3].strip()) for match in matches if match]


def test_every_room_is_named_once_in_the_order_of_the_floors() -> None:
    assert [name for name, _, _ in rows()] == [room for room in ROOMS if room]


def test_folders_are_marked_as_such_and_each_room_says_what_it_holds() -> None:
    for name, is_folder, holds in rows():
        assert (PACKAGE / name).is_dir() == is_folder, name
        assert is_folder or (PACKAGE / f"{name}.py").is_file(), name
        assert holds.strip("| "), f"{name}: what does it hold?"


def test_nothing_of_the_package_is_missing_in_the_map() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert {name for name, is_folder, _ in rows() if is_folder} == folders
    assert {name for name, is_folder, _ in rows() if not is_folder} == modules
