"""Which runs and test cases a tree holds, under which names, and when each ran."""

from dataclasses import dataclass
from typing import Final

from lo2dask.domain import CORRECT, ERROR_CASES, SERVICES
from lo2dask.options import SynthOptions
from lo2dask.synthesis.cases import error_case
from lo2dask.synthesis.service_log import CORRECT_S, ERROR_S
from lo2dask.synthesis.streams import stream

RUN_S: Final = 800
"""Length of a run, from its first line to the epoch in its name; longer only where its test cases need it."""

CADENCE_S: Final = 43
"""From the start of one error case to that of the next."""

DAY_S: Final = 86_400
STEADY_SECONDS: Final = (20, 180)
"""Bounds of a test case's length in v2."""


@dataclass(frozen=True)
class CasePlan:
    """One test case of a run."""

    name: str
    start: int
    seconds: int
    is_first: bool


@dataclass(frozen=True)
class RunPlan:
    """One run; ``end`` is when its last test case is over."""

    name: str
    start: int
    end: int
    cases: tuple[CasePlan, ...]


def plan_runs(options: SynthOptions) -> list[RunPlan]:
    """Return the runs of a tree in the order of their names."""
    return [_plan_run(options, index) for index in range(options.runs)]


def services_of(options: SynthOptions) -> tuple[str, ...]:
    """Return the services to write."""
    return tuple(options.services) or SERVICES


def _plan_run(options: SynthOptions, index: int) -> RunPlan:
    moment = options.epoch + index * _spacing_s(options)
    names = _error_names(options, index)
    if options.layout == "v2":
        return _shuffled_run(options, moment, names)
    span = max(RUN_S, int(CORRECT_S) + CADENCE_S * (len(names) + 1))
    start = moment - span
    cases = [CasePlan(CORRECT, start, int(CORRECT_S), True)]
    for number, name in enumerate(names):
        cases.append(CasePlan(name, start + int(CORRECT_S) + 20 + number * CADENCE_S, int(ERROR_S), False))
    name = f"run_{index + 1:04d}" if options.layout == "guide" else f"light-oauth2-data-{moment}"
    return RunPlan(name, start, moment, tuple(cases))


def _shuffled_run(options: SynthOptions, start: int, names: list[str]) -> RunPlan:
    rng = stream(options.seed, start, "order")
    order = [(CORRECT, *names)[i] for i in rng.permutation(len(names) + 1).tolist()]
    cases, at = [], start
    for number, name in enumerate(order):
        seconds = int(rng.integers(STEADY_SECONDS[0], STEADY_SECONDS[1] + 1))
        cases.append(CasePlan(name, at, seconds, number == 0))
        at += seconds + 10
    return RunPlan(f"LO2_run_{start}", start, at, tuple(cases))


def _error_names(options: SynthOptions, index: int) -> list[str]:
    """Draw the error cases of a run by seed and run, so that one run's draw never depends on another."""
    if options.test_cases:
        return [name for name in dict.fromkeys(options.test_cases) if name != CORRECT and error_case(name)]
    known = ERROR_CASES
    wanted = len(known) if options.errors_per_run < 0 else min(options.errors_per_run, len(known))
    drawn = stream(options.seed, index, "errors").permutation(len(known))[:wanted]
    return [known[i] for i in sorted(drawn.tolist())]


def _spacing_s(options: SynthOptions) -> int:
    """Return the seconds between runs: over an hour, and such that midnight falls into a test case of an early one.

    A date read off a run's name is then wrong by a day unless the loader minds midnight.
    """
    steps = min(2, options.runs - 1)
    if steps <= 0:
        return 3600
    head = 12 if options.layout == "v2" else 12 - _span_s(options)
    first = options.epoch + head
    return (-first % DAY_S + DAY_S * (-first % DAY_S < 3600 * steps)) // steps


def _span_s(options: SynthOptions) -> int:
    errors = len(options.test_cases) or (options.errors_per_run if options.errors_per_run >= 0 else len(ERROR_CASES))
    return max(RUN_S, int(CORRECT_S) + CADENCE_S * (errors + 1))
