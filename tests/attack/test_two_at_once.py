"""Two commands on one folder at the same time: one works, the other ends or waits; nothing is mixed."""

import os
import random
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lo2dask.storage import LOCK
from tests.attack.program import Folders, done, finish, problems, start, tables
from tests.attack.tally import TALLY
from tests.conftest import Answer

pytestmark = pytest.mark.slow

REPEATS = int(os.environ.get("LO2DASK_ATTACK_REPEATS", "3"))
REFUSED = re.compile(
    r"lo2dask: .+ is in use: lo2dask (\w+) is at work there \(process (\d+) on \S+, since 20\S+ ?\S*\); "
    r"wait for it with --wait"
)
Lines = Callable[[Folders], tuple[list[str], list[str]]]


def two_loads(at: Folders) -> tuple[list[str], list[str]]:
    return [*at.line("load"), "--no-resume"], [*at.line("load"), "--no-resume"]


def load_and_train(at: Folders) -> tuple[list[str], list[str]]:
    return [*at.line("load"), "--no-resume"], at.line("train")


def two_trainings(at: Folders) -> tuple[list[str], list[str]]:
    short = ["train", "--root", str(at.out), "--models", "lr_words", "--if-n-estimators", "10", "--workers", "1"]
    return [*short, "--holdout-by", "run"], [*short, "--holdout-by", "group"]


def two_scores(at: Folders) -> tuple[list[str], list[str]]:
    return at.line("score"), [*at.line("score"), "--bundle", str(at.out / "models" / "lr_words.joblib")]


def explain_and_report(at: Folders) -> tuple[list[str], list[str]]:
    return [*at.line("explain"), "--nn-top-k", "2"], at.line("report")


PAIRS: dict[str, Lines] = {
    "load and load": two_loads,
    "load and train": load_and_train,
    "train and train": two_trainings,
    "score and score": two_scores,
    "explain and report": explain_and_report,
}


@dataclass(frozen=True)
class Pair:
    """Folders as they were before, both command lines, and what either order or one alone leaves."""

    at: Folders
    before: Path
    lines: tuple[list[str], list[str]]
    alone: tuple[dict[str, bytes], dict[str, bytes]]
    both: tuple[dict[str, bytes], dict[str, bytes]]

    def restore(self) -> None:
        """Make the folders what they were."""
        restore(self.at, self.before)


def restore(at: Folders, before: Path) -> None:
    for name in ("out", "scored"):
        shutil.rmtree(getattr(at, name), ignore_errors=True)
        shutil.copytree(before / name, getattr(at, name))


def state(at: Folders) -> dict[str, bytes]:
    """Read all tables, and the split, of both folders."""
    split = at.out / "_lo2dask" / "split.json"
    found = {f"{root.name}/{name}": data for root in (at.out, at.scored) for name, data in tables(root).items()}
    return found | {"split": split.read_bytes() if split.is_file() else b""}


@pytest.fixture(scope="module", params=PAIRS)
def pair(request: pytest.FixtureRequest, finished: Folders, tmp_path_factory: pytest.TempPathFactory):  # noqa: ANN201
    """A pair of commands, both of which have been run alone and one after the other, in either order."""
    before = tmp_path_factory.mktemp("before")
    for name in ("out", "scored"):
        shutil.copytree(getattr(finished, name), before / name)
    lines = PAIRS[request.param](finished)
    alone, both = [], []
    for first, second in (lines, lines[::-1]):
        done(*first)
        alone.append(state(finished))
        done(*second)
        both.append(state(finished))
        restore(finished, before)
    yield Pair(finished, before, lines, (alone[0], alone[1]), (both[0], both[1]))
    restore(finished, before)


def at_once(pair: Pair, seed: int, *more: str) -> tuple[list[int], list[Answer]]:
    """Start both, in a drawn order and with less than a second between them; return their processes and answers."""
    TALLY.add("two at once")
    rng = random.Random(seed)
    order = rng.choice([(0, 1), (1, 0)])
    started = {}
    for place in order:
        started[place] = start(*pair.lines[place], *more)
        time.sleep(rng.choice([0.0, 0.3 * rng.random()]))
    answers = {place: finish(started[place]) for place in order}
    return [started[place].pid for place in (0, 1)], [answers[place] for place in (0, 1)]


def wrong(pair: Pair, allowed: list[dict[str, bytes]]) -> list[str]:
    """List what is wrong with the folders afterwards."""
    found = [*problems(pair.at.out), *problems(pair.at.scored)]
    found += [f"{path} is left" for root in (pair.at.out, pair.at.scored) for path in root.rglob(LOCK)]
    return found + ([] if state(pair.at) in allowed else ["a mixture: neither order leaves these tables"])


@pytest.mark.parametrize("seed", range(REPEATS))
def test_one_works_and_the_other_names_it(pair: Pair, seed: int) -> None:
    pids, answers = at_once(pair, seed)
    codes = [answer.code for answer in answers]
    allowed = list(pair.both)
    faults = []
    if codes == [0, 0]:  # the second came when the first had ended
        pass
    elif sorted(codes) == [0, 2]:
        refused, worked = codes.index(2), codes.index(0)
        match = REFUSED.fullmatch(answers[refused].err.strip())
        if not match or (match[1], match[2]) != (pair.lines[worked][0], str(pids[worked])):
            faults.append(f"the line of the second does not name the first: {answers[refused].err!r}")
        allowed = [pair.alone[worked]]
    else:
        faults.append(f"exit codes {codes}: {[answer.err[-500:] for answer in answers]}")
    faults += wrong(pair, allowed)
    pair.restore()
    TALLY.check("other", faults)


@pytest.mark.parametrize("seed", range(REPEATS))
def test_the_second_waits(pair: Pair, seed: int) -> None:
    _, answers = at_once(pair, 1000 + seed, "--wait")
    faults = [f"exit code {one.code}: {one.err[-500:]}" for one in answers if one.code]
    faults += wrong(pair, list(pair.both))
    pair.restore()
    TALLY.check("other", faults)
