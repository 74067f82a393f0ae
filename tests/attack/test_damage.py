"""Verify names every file that a command wrote and that is not what it was: alone, and with all others."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attack.program import Folders, files, is_state, kinds, problems
from tests.attack.tally import TALLY

pytestmark = pytest.mark.slow

PLACES = 20
FOLDERS = ("out", "scored")
# What is kept to save time alone may be missing.
SPARE = ("timings.json", "spec.json", "trained_options.json")


@pytest.fixture
def root(finished: Folders, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder to damage; it is put back as it was."""
    folder: Path = getattr(finished, request.param)
    before = {path: path.read_bytes() for path in files(folder)}
    yield folder
    for path in set(files(folder)) - set(before):
        path.unlink()
    for path, content in before.items():
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)
    assert problems(folder) == []


def name_of(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def silent(root: Path, damaged: list[Path], what: str) -> list[str]:
    """List the damaged files that verify does not name."""
    TALLY.add("damage", len(damaged))
    named = {line.split(": ")[0] for line in problems(root)}
    return [f"{name}: {what}" for path in damaged if (name := name_of(path, root)) not in named]


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << offset % 8
    path.write_bytes(data)


@pytest.mark.parametrize("root", FOLDERS, indirect=True)
@pytest.mark.parametrize("states", [False, True])
def test_a_flipped_bit_at_many_places_of_every_file(root: Path, states: bool) -> None:
    rng = random.Random(1)
    damaged = [path for path in files(root) if path.stat().st_size and is_state(path) == states]
    assert len(damaged) > 5
    for _ in range(PLACES):
        offsets = [rng.randrange(path.stat().st_size) for path in damaged]
        for path, offset in zip(damaged, offsets, strict=True):
            flip(path, offset)
        found = silent(root, damaged, f"one of the bits {offsets}")
        for path, offset in zip(damaged, offsets, strict=True):
            flip(path, offset)
        TALLY.check("silent", found)


def cut(path: Path, rng: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def swap(path: Path, rng: random.Random) -> None:
    """Put another file of the same folder in its place, or one of the same suffix."""
    top = next(parent for parent in path.parents if (parent / "_lo2dask").is_dir())
    others = [one for one in files(path.parent) + files(top) if one.suffix == path.suffix]
    path.write_bytes(next(one.read_bytes() for one in others if one.read_bytes() != path.read_bytes()))


ALONE: dict[str, Callable[[Path, random.Random], object]] = {
    "flipped": lambda path, rng: flip(path, rng.randrange(path.stat().st_size)),
    "cut off": cut,
    "empty": lambda path, rng: path.write_bytes(b""),
    "longer": lambda path, rng: path.write_bytes(path.read_bytes() + b"x"),
    "swapped": swap,
    "missing": lambda path, rng: path.unlink(),
}


def may_be_missing(path: Path) -> bool:
    """Return whether a file only saves time."""
    return path.name in SPARE


def has_other(path: Path, root: Path) -> bool:
    """Return whether a file can be swapped with another one."""
    return any(one.suffix == path.suffix and one.read_bytes() != path.read_bytes() for one in files(root))


@pytest.mark.parametrize("root", FOLDERS, indirect=True)
@pytest.mark.parametrize("how", ALONE)
def test_one_file_of_every_kind_alone(root: Path, how: str) -> None:
    rng = random.Random(how)
    found = []
    for paths in kinds(root).values():
        path = rng.choice(paths)
        if (how == "missing" and may_be_missing(path)) or (how == "swapped" and not has_other(path, root)):
            continue
        content, missing_state = path.read_bytes(), how == "missing" and is_state(path)
        ALONE[how](path, rng)
        if missing_state:  # it is told by the name of what it would speak of
            TALLY.add("damage")
            found += [] if problems(root) else [f"{name_of(path, root)}: {how}"]
        else:
            found += silent(root, [path], how)
        path.write_bytes(content)
    TALLY.check("silent", found)


@pytest.mark.parametrize("root", FOLDERS, indirect=True)
@pytest.mark.parametrize("name", ["part-000999.parquet", "block.parquet", "000999.json", "notes.txt"])
def test_a_file_too_many_in_every_folder(root: Path, name: str) -> None:
    folders = {path.parent for path in files(root)} - {root, root / "models"}
    for folder in folders:
        (folder / name).write_bytes(b"PAR1")
    TALLY.check("silent", silent(root, [folder / name for folder in sorted(folders)], "too many"))
