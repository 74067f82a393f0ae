"""Plants bursts into logs: a few lines or a silence, at a known place of one log of a run that has no fault.

A plant of lines is at most 1 % of the log's lines, within a second; the least is three lines. Kinds:

- new error: lines of one statement of level ERROR that no log has
- known error: lines of one statement of level ERROR that the normal logs of the service have
- silence: all lines from some line on come 2 to 4 s later
- duplicates: a line is repeated in a row
- missing: lines are gone
- reordered: what neighbouring lines say is swapped, their times stay
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lo2dask.sources.names import DAY_MS, log_service

KINDS = ("new error", "known error", "silence", "duplicates", "missing", "reordered")
LEAST, SHARE, SECOND = 3, 0.01, 1000
SILENCE = (2000, 4000)
# What load trims from the start of a log, and plants stay behind.
START = 100
_TIME = re.compile(r"(\d\d):(\d\d):(\d\d)\.(\d{3})")
_LEVEL = re.compile(r"^\S+ \[[^]]*\] .{0,30}?\b(ERROR|FATAL|SEVERE|CRITICAL)\b")
_NEW = (
    "ERROR com.networknt.planted.Pool acquire - no connection within the time limit, the pool is exhausted",
    "ERROR com.networknt.planted.Cache evict - entry is corrupt and cannot be read back",
    "ERROR com.networknt.planted.Store write - replica does not answer, giving up",
)
_LETTERS = np.array(list("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"))


@dataclass(frozen=True)
class Log:
    """A log: its lines, and their times in ms since its first midnight, never falling; -1 before the first time."""

    lines: list[str]
    times: np.ndarray
    timed: np.ndarray

    @classmethod
    def read(cls, path: Path) -> "Log":
        """Read a log."""
        return cls.of(path.read_text(encoding="utf-8", errors="surrogateescape").split("\n"))

    @classmethod
    def of(cls, lines: list[str]) -> "Log":
        """Read the times of lines."""
        found = [_TIME.match(line) for line in lines]
        timed = np.array([one is not None for one in found])
        clock = np.array([_milliseconds(one) for one in found if one])
        times = np.full(len(lines), -1)
        times[timed] = clock + DAY_MS * np.cumsum(np.diff(clock, prepend=clock[:1]) < -DAY_MS // 2)
        return cls(lines, np.maximum.accumulate(times), timed)

    @property
    def events(self) -> np.ndarray:
        """Return the lines after the start-up that have a time, as the next line has."""
        return START + np.flatnonzero(self.timed[START:-1] & self.timed[START + 1 :])

    @property
    def size(self) -> int:
        """Return how many lines a plant has at most."""
        return max(LEAST, int(SHARE * (len(self.lines) - START)))

    def windows(self, start: int, end: int) -> int:
        """Count the windows of a second that overlap a span of time (ms)."""
        known = self.times[START:][self.times[START:] >= 0]
        low, high = max(known[0] // SECOND, start // SECOND), min(known[-1] // SECOND, end // SECOND)
        return max(int(high - low) + 1, 0)


@dataclass(frozen=True)
class Plant:
    """What was planted: the log with it, the lines that are new there, from when to when, and how many lines (ms)."""

    log: Log
    lines: frozenset[str]
    start: int
    end: int
    size: int


def plant(kind: str, log: Log, errors: Sequence[str], draw: np.random.Generator) -> Plant | None:
    """Plant a burst into a log; ``errors`` are lines of level ERROR of the service's normals. None: it has no place."""
    events = log.events
    if len(events) < 2 * LEAST or (kind == "known error" and not errors):
        return None
    size = int(draw.integers(LEAST, log.size + 1))
    at = int(draw.choice(events[1:-1]))
    if kind in ("new error", "known error"):
        text = str(draw.choice(_NEW)) if kind == "new error" else errors[int(draw.integers(len(errors)))]
        bodies = [_body(text, kind == "new error", draw) for _ in range(size)]
        return _insert(log, int(log.times[at]), bodies, draw)
    if kind == "silence":
        return _shift(log, at, int(draw.integers(SILENCE[0], SILENCE[1] + 1)))
    if kind == "duplicates":
        lines = [*log.lines[:at], *[log.lines[at]] * size, *log.lines[at:]]
        return Plant(Log.of(lines), frozenset([log.lines[at].strip()]), int(log.times[at]), int(log.times[at]), size)
    near = events[(events >= at) & (log.times[events] < log.times[at] + SECOND)]
    return _remove(log, near, size, draw) if kind == "missing" else _swap(log, near, size, draw)


def error_lines(paths: Sequence[Path]) -> dict[str, list[str]]:
    """Return a line of each statement of level ERROR of each service, without its time."""
    found: dict[str, dict[str, str]] = {}
    for path in paths:
        service, log = log_service(path.name), Log.read(path)
        for line in log.lines[START:] if service else ():
            level = _LEVEL.match(line)
            if level:
                statement = re.sub(r"[0-9a-f-]{8,}|\d+", "", line[level.start(1) :])
                found.setdefault(str(service), {}).setdefault(statement, line[12:])
    return {service: sorted(texts.values()) for service, texts in found.items()}


def service_logs(case: Path) -> dict[str, Path]:
    """Return the logs of a case by service."""
    named = [(log_service(path.name), path) for path in sorted(case.glob("*.log"))]
    return {str(service): path for service, path in named if service}


def copy_case(case: Path, target: Path, changed: dict[str, list[str] | None]) -> None:
    """Write a case with some services' logs changed (None: left out); the others are links to the same bytes."""
    target.mkdir(parents=True, exist_ok=True)
    for service, path in service_logs(case).items():
        lines = changed.get(service, [])
        if lines:
            (target / path.name).write_text("\n".join(lines), encoding="utf-8", errors="surrogateescape")
        elif lines is not None:
            os.link(path, target / path.name)


def _milliseconds(found: re.Match[str]) -> int:
    hours, minutes, seconds, rest = (int(part) for part in found.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * SECOND + rest


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds % DAY_MS, SECOND)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"


def _body(text: str, is_new: bool, draw: np.random.Generator) -> str:
    """Return a line behind its time, with a correlation id of its own."""
    own = "".join(draw.choice(_LETTERS, 22))
    if is_new:
        return f" [XNIO-1 task-{int(draw.integers(1, 5))}]  {own} {text}"
    return re.sub(r"(\]\s+)[\w-]{22}(\s)", rf"\g<1>{own}\g<2>", text, count=1)


def _insert(log: Log, start: int, bodies: Sequence[str], draw: np.random.Generator) -> Plant:
    times = np.sort(start + draw.integers(0, SECOND - 50, len(bodies)))
    places = np.searchsorted(log.times, times, side="right")
    lines, added = list(log.lines), []
    for place, time, body in zip(places[::-1].tolist(), times[::-1].tolist(), bodies, strict=True):
        added.append(_clock(time) + body)
        # An empty last piece is what stands behind the last line's end.
        lines.insert(min(place, len(log.lines) - (log.lines[-1] == "")), added[-1])
    return Plant(Log.of(lines), frozenset(line.strip() for line in added), int(times[0]), int(times[-1]), len(bodies))


def _shift(log: Log, at: int, length: int) -> Plant:
    lines = list(log.lines)
    for place in range(at, len(lines)):
        found = _TIME.match(lines[place])
        if found:
            lines[place] = _clock(_milliseconds(found) + length) + lines[place][12:]
    start, end = int(log.times[at - 1]), int(log.times[at]) + length
    return Plant(Log.of(lines), frozenset(), start, end, end - start)


def _remove(log: Log, near: np.ndarray, size: int, draw: np.random.Generator) -> Plant:
    gone = set(draw.permutation(near)[:size].tolist())
    lines = [line for place, line in enumerate(log.lines) if place not in gone]
    return Plant(Log.of(lines), frozenset(), int(log.times[near[0]]), int(log.times[near[-1]]), len(gone))


def _swap(log: Log, near: np.ndarray, size: int, draw: np.random.Generator) -> Plant:
    lines, moved = list(log.lines), set()
    for place in draw.permutation(near[:-1])[:size].tolist():
        if log.timed[place + 1 : place + 3].all():
            first, second = lines[place], lines[place + 1]
            lines[place], lines[place + 1] = first[:12] + second[12:], second[:12] + first[12:]
            moved |= {lines[place].strip(), lines[place + 1].strip()}
    return Plant(Log.of(lines), frozenset(moved), int(log.times[near[0]]), int(log.times[near[-1]]), size)
