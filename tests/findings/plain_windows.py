"""The score D of windows as the formulas of findings/judge.py have it: one log after another, one window after another.

A log is a list of lines (time in ms, statement); a statement's first letter tells what it is: e, c or s.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field

Line = tuple[int, str]
Key = tuple[str, str, str]  # run, test case, service
SECOND = 1000


@dataclass
class Window:
    """What one second of a log has: counts and longest runs of statements, the longest silence that ends in it."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    runs: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    silence: int = -1

    def take(self, statement: str, run: int, silence: int) -> None:
        """Count one line."""
        self.counts[statement] += 1
        self.runs[statement] = max(self.runs[statement], run)
        self.silence = max(self.silence, silence)


def windows_of(lines: list[Line]) -> dict[int, Window]:
    """Cut a log into seconds; those without a line have the silence that spans them."""
    found: dict[int, Window] = {}
    run = 0
    for place, (time, statement) in enumerate(lines):
        before = lines[place - 1] if place else None
        run = run + 1 if before and before[1] == statement else 1
        window = found.setdefault(time // SECOND, Window())
        window.take(statement, run, time - before[0] if before else -1)
    for first, second in zip(sorted(found)[:-1], sorted(found)[1:], strict=True):
        for silent in range(first + 1, second):
            found[silent] = Window(silence=found[second].silence)
    return dict(sorted(found.items()))


def figures(window: Window, normals: list[list[Line]]) -> dict[str, float]:
    """Return u, e, g and r of a window, held against some normal logs."""
    others = [one for log in normals for one in windows_of(log).values()]
    longest = {s: max((one.runs.get(s, 0) for one in others), default=0) for s in window.counts}
    most = {s: max((one.counts.get(s, 0) for one in others), default=0) for s in window.counts}
    silence = max((one.silence for one in others), default=0)
    errors = [(n - most[s]) / math.sqrt(most[s] + 1) for s, n in window.counts.items() if s.startswith("e")]
    repeated = [math.log2((n + 1) / (longest[s] + 1)) for s, n in window.runs.items()]
    new = {s: n for s, n in window.counts.items() if longest[s] == 0 and not s.startswith("c")}
    refused = sum(n for s, n in new.items() if s.startswith("e"))
    unseen = [weigh_unseen(refused if s.startswith("e") else n, s) for s, n in new.items()]
    return {
        "unseen": max(unseen, default=0.0),
        "errors": max([0.0, *errors]) if window.counts else -math.inf,
        "gap": math.log2((max(window.silence, 0) + 50) / (max(silence, 0) + 50)),
        "run": max(repeated, default=-math.inf),
    }


def weigh_unseen(count: int, statement: str) -> float:
    """Return what lines of an unseen statement count."""
    return (20 if statement.startswith("e") else 10) + math.log2(1 + count) if count >= 2 else 1.25


def scales_of(logs: dict[Key, list[Line]], training: set[Key], judged: Key) -> dict[str, tuple[float, float]]:
    """Return median and spread of each figure over the training normals, each judged without its run.

    Gaps have one scale for all services that have any. A training normal is no measure of itself: its run's figures
    count for the median, not for the largest.
    """
    values: dict[str, list[float]] = {"errors": [], "gap": [], "run": []}
    largest = {name: 0.0 for name in values}
    if not any(key[2] == judged[2] and normals_for(logs, training, key) for key in training):
        return {}
    for key in training:
        others = normals_for(logs, training, key)
        for window in windows_of(logs[key]).values() if others else ():
            found = figures(window, others)
            for name in values:
                if name == "gap" or (window.counts and key[2] == judged[2]):
                    values[name].append(found[name])
                    if judged not in training or key[0] != judged[0]:
                        largest[name] = max(largest[name], found[name])
    scales = {}
    for name, numbers in values.items():
        if numbers:
            median = sorted(numbers)[(len(numbers) + 1) // 2 - 1]
            scales[name] = (median, max(largest[name] - median, 1.0))
    return scales


def normals_for(logs: dict[Key, list[Line]], training: set[Key], key: Key) -> list[list[Line]]:
    """Return the training logs of a service; without the own run of one of them."""
    own_run = key[0] if key in training else None
    return [logs[one] for one in sorted(training) if one[2] == key[2] and one[0] != own_run]


def judge(logs: dict[Key, list[Line]], training: set[Key]) -> dict[tuple[Key, int], tuple[float, str, bool]]:
    """Return D, what speaks for it and whether it is an alarm, of every window; a service without normals has none."""
    judged = {}
    for key, lines in logs.items():
        normals, scales = normals_for(logs, training, key), scales_of(logs, training, key)
        for begin, window in windows_of(lines).items() if normals else ():
            found = figures(window, normals)
            scores = {"unseen": found.pop("unseen")}
            for name, value in found.items():
                median, spread = scales.get(name, (0.0, 1.0))
                scores[name] = (value - median) / spread
            component = max(scores, key=lambda name: scores[name])
            judged[key, begin] = (scores[component], component, scores[component] > 1.25)
    return judged


def score_lines(logs: dict[Key, list[Line]], training: set[Key], key: Key) -> list[float]:
    """Return the score of every line of a log that is no training normal, in its window, after the line before it."""
    normals, lines = normals_for(logs, training, key), logs[key]
    scales = scales_of(logs, training, key) | {"surprise": surprise_scale(normals)}
    others = [one for log in normals for one in windows_of(log).values()]
    scores = []
    for place, (time, statement) in enumerate(lines):
        second = [at for at, (other, _) in enumerate(lines) if other // SECOND == time // SECOND]
        count = sum(lines[at][1] == statement for at in second)
        longest = max(one.runs.get(statement, 0) for one in others)
        most = max(one.counts.get(statement, 0) for one in others)
        values = {"run": math.log2((run_within(lines, second, place) + 1) / (longest + 1))}
        if statement.startswith("e"):
            values["errors"] = (count - most) / math.sqrt(most + 1)
        elif place:
            values["surprise"] = surprise(lines[place - 1][1], statement, normals)
        scaled = {name: (value - scales[name][0]) / scales[name][1] for name, value in values.items()}
        scaled["surprise"] = 0.5 * scaled.get("surprise", 0.0)
        is_new = longest == 0 and not statement.startswith("c")
        unseen = 20 if statement.startswith("e") else 10 if count >= 2 else 1.25
        scores.append(max(0.0, *scaled.values()) + (unseen if is_new else 0))
    return scores


def run_within(lines: list[Line], second: list[int], place: int) -> int:
    """Return the length of the run of equal statements in a second that a line is in."""
    first = last = place
    while first - 1 in second and lines[first - 1][1] == lines[place][1]:
        first -= 1
    while last + 1 in second and lines[last + 1][1] == lines[place][1]:
        last += 1
    return last - first + 1


def pairs_of(log: list[Line]) -> list[tuple[str, str]]:
    names = [statement for _, statement in log]
    return list(zip(names[:-1], names[1:], strict=True))


def surprise(before: str, statement: str, logs: list[list[Line]], known: int | None = None) -> float:
    """Return -log2 P(statement | before) by the pairs of some logs."""
    pairs = [pair for log in logs for pair in pairs_of(log)]
    size = len({second for _, second in pairs}) if known is None else known
    share = (sum(s == statement for _, s in pairs) + 0.5) / (len(pairs) + (size + 1) / 2)
    both, first = pairs.count((before, statement)), sum(p == before for p, _ in pairs)
    return -math.log2((both + 5 * share) / (first + 5))


def surprise_scale(normals: list[list[Line]]) -> tuple[float, float]:
    """Return median and spread of the surprise at each normal line, without its own log."""
    known = len({second for log in normals for _, second in pairs_of(log)})
    values = sorted(
        surprise(*pair, [other for other in normals if other is not log], known)
        for log in normals
        for pair in pairs_of(log)
    )
    median = values[(len(values) + 1) // 2 - 1]
    return median, max(values[-1] - median, 1.0)
