"""Shared by the tests of synth: the real slice, small options, and figures of a log."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lo2dask.options import SynthOptions

LINE = re.compile(rb"(\d\d:\d\d:\d\d\.\d{3}) \[([^\]]+)\]  (\S*) (DEBUG|INFO |ERROR|WARN ) (\S+) (\S+) - ?")
SLICE_CASES = ("correct", "get_token_page_400_no_page", "register_user_400_no_password")


@dataclass(frozen=True)
class Figures:
    """What the shape tests compare."""

    lines: float
    bytes_per_line: float
    continuation_share: float
    words_per_line: float
    distinct_word_share: float
    error_share: float
    info_share: float
    loggers: frozenset[bytes]


def figures(log: bytes) -> Figures:
    lines = log.removesuffix(b"\n").split(b"\n")
    events = [match for match in map(LINE.match, lines) if match]
    words = log.split()
    levels = Counter(match.group(4) for match in events)
    n_events = max(len(events), 1)
    return Figures(
        lines=len(lines),
        bytes_per_line=len(log) / len(lines),
        continuation_share=1 - len(events) / len(lines),
        words_per_line=len(words) / len(lines),
        distinct_word_share=len(set(words)) / len(words),
        error_share=levels[b"ERROR"] / n_events,
        info_share=levels[b"INFO "] / n_events,
        loggers=frozenset(match.group(5) for match in events),
    )


def mean(logs: list[bytes]) -> Figures:
    """Mean of each figure over some logs; the union of their loggers."""
    all_figures = [figures(log) for log in logs]
    numbers = {
        name: sum(getattr(one, name) for one in all_figures) / len(all_figures)
        for name in Figures.__dataclass_fields__
        if name != "loggers"
    }
    return Figures(**numbers, loggers=frozenset().union(*(one.loggers for one in all_figures)))


@pytest.fixture(scope="session")
def real_slice() -> Path:
    default = Path(__file__).resolve().parents[2].parent / "shared" / "lo2-sample"
    path = Path(os.environ.get("LO2DASK_SAMPLE", default))
    if not path.is_dir():
        pytest.skip(f"the real LO2 slice is not at {path}")
    return path


@pytest.fixture
def options(tmp_path: Path) -> Callable[..., SynthOptions]:
    """Make options of a small tree; the keywords replace what they name."""

    def make(**changes: object) -> SynthOptions:
        values: dict = {"out": tmp_path / "tree", "runs": 2, "scale": 0.01, "jobs": 1, **changes}
        return SynthOptions(**values)

    return make


def contents(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield relative path and content of every file below a folder, sorted."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            yield path.relative_to(root).as_posix(), path.read_bytes()
