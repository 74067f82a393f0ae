"""What verify names as the way out heals a folder: afterwards it is ok, and its tables are those from before."""

import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.attack.program import Folders, done, files, here, kinds, problems, tables
from tests.attack.tally import TALLY
from tests.attack.test_damage import SPARE, flip, may_be_missing

pytestmark = pytest.mark.slow

ORDER = ("load", "train", "explain", "report", "grid", "score")
# What is said of a record, or of a file that none names, has no command in it: this one writes it again.
WRITTEN_BY = {
    "report": r"(_lo2dask/)?report\.",
    "grid": r"(_lo2dask/grid|lo2_grid)",
    "explain": r"(_lo2dask/explain|explainability/)",
    "train": r"(_lo2dask/(train|split|if_pred|exports|models|predictions)|models/|metrics/|\w+_runs\.|lo2_if_pred)",
    "load": r"",
}
MOST_ROUNDS = 4
SHARES = 4


def command_of(problem: str, is_score: bool) -> str:
    """Return the command that a line of verify names, or that writes the file it is about."""
    named = re.search(r"run lo2dask (\w+)", problem)
    if is_score or named:
        return "score" if is_score else named[1]  # type: ignore[index]
    return next(command for command, pattern in WRITTEN_BY.items() if re.match(pattern, problem))


def take_way_out(root: Path, at: Folders) -> list[str]:
    """Do what verify says, until it says nothing more; return what is still wrong."""
    for _ in range(MOST_ROUNDS):
        said = problems(root)
        if not said:
            return []
        for line in said:
            if "; delete it" in line:
                (root / line.split(": ")[0]).unlink()
        commands = {command_of(line, root == at.scored) for line in said}
        for command in sorted(commands, key=ORDER.index):
            answer = here(*at.line(command))
            # A bundle without its hash is replaced on demand only: the command says how.
            if flag := re.search(r"; give (--overwrite-model) to replace it", answer.err):
                answer = here(*at.line(command), flag[1])
            if answer.code:
                return [f"lo2dask {command} ended with {answer.code}: {answer.err.splitlines()[-1]}"]
    return problems(root)


def attacks(root: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """List what is done to each kind of file: of several, the first is flipped and the last deleted at once."""

    def both(paths: list[Path]) -> None:
        flip_middle(paths[0])
        paths[-1].unlink()

    for kind, paths in kinds(root).items():
        if len(paths) > 1:
            yield f"{kind}: one flipped, one deleted", partial(both, paths)
        else:
            yield f"{kind}: flipped", partial(flip_middle, paths[0])
            yield f"{kind}: deleted", paths[0].unlink


def flip_middle(path: Path) -> None:
    flip(path, path.stat().st_size // 2)


@pytest.fixture
def at(finished: Folders, tmp_path: Path) -> Iterator[Folders]:
    """The finished folders; they are as before when a test has ended."""
    for name in ("out", "scored"):
        shutil.copytree(getattr(finished, name), tmp_path / name)
    yield finished
    put_back(finished, tmp_path)


def put_back(at: Folders, kept: Path) -> None:
    """Make both folders what they were."""
    for name in ("out", "scored"):
        shutil.rmtree(getattr(at, name))
        shutil.copytree(kept / name, getattr(at, name))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("name", ["out", "scored"])
def test_every_kind_of_file_is_healed(at: Folders, tmp_path: Path, name: str, share: int) -> None:
    root: Path = getattr(at, name)
    before, names = tables(root), {path.relative_to(root) for path in files(root)}
    unhealed = []
    for what, damage in list(attacks(root))[share::SHARES]:
        TALLY.add("healing")
        damage()
        left = take_way_out(root, at)
        if not left and tables(root) != before:
            left = sorted({one for one, data in tables(root).items() ^ before.items()})
        # What only saves time need not come back.
        left += [
            f"{path} is gone"
            for path in names - {path.relative_to(root) for path in files(root)}
            if path.name not in SPARE
        ]
        unhealed += [f"{what}: {problem}" for problem in left]
        print(f"{name}/{what}: {left or 'healed'}", flush=True)
        put_back(at, tmp_path)
    TALLY.check("unhealed", unhealed)


@pytest.mark.timeout(3600)
def test_what_only_saves_time_may_be_missing(at: Folders) -> None:
    before = tables(at.out)
    spare = [path for path in files(at.out) if may_be_missing(path)]
    assert {path.name for path in spare} >= set(SPARE)
    for path in spare:
        TALLY.add("healing")
        path.unlink()
        TALLY.check("unhealed", problems(at.out))
    for command in ("load", "train", "explain", "grid", "report"):
        done(*at.line(command))
    TALLY.check("unhealed", problems(at.out))
    TALLY.check("unhealed", sorted({name for name, _ in tables(at.out).items() ^ before.items()}))
