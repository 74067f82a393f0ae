"""The log of one service in one test case: draws requests, lays their lines out in time, thins, renders."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from lo2dask.domain import CORRECT
from lo2dask.synthesis import kinds as mix
from lo2dask.synthesis.cases import error_case
from lo2dask.synthesis.compiled import Program, compile_kinds
from lo2dask.synthesis.render import Rendering, Slots, render
from lo2dask.synthesis.schedule import Ints, Lines, expand, sequential_starts
from lo2dask.synthesis.streams import stream

CORRECT_RATIO = 6.4
"""Requests of a whole ``correct`` log over those of the slice, whose logs are cut: makes 3.5 MB of token log."""

CORRECT_S, ERROR_S = 60.0, 20.0
"""Seconds that ``correct`` and an error case run in v1."""

ERROR_SHARE = 0.17
"""Requests of the injected error, as a share of the service's other requests; read off the slice's two error cases."""

DISPLACED = 0.55
"""What is left of the correct requests of the kind that the injected error displaces."""

CLUSTER_THREADS = 16
"""Threads of hazelcast in each service."""

FIRST_ERROR_AFTER = 40
"""Requests before a service that has just started answers its first error."""

WARM_PACE = 0.45
"""Time that requests of a later test case take, as a share of that in the first: the machine is warm."""

CORRECT_LEAD_S = {
    "client": 1.0,
    "code": 3.5,
    "key": 6.0,
    "refresh-token": 6.0,
    "service": 1.5,
    "token": 4.0,
    "user": 1.5,
}
"""Seconds into ``correct`` until the first request reaches a service: without a client, there is no token to get."""


@dataclass(frozen=True)
class LogSpec:
    """What to write: one service log, a pure function of these values."""

    seed: int
    run: str
    test_case: str
    service: str
    scale: float
    start: int
    """Seconds since 1970 at which the test case begins."""
    seconds: float
    is_first: bool
    """Whether the test case is the first of its run: the services have just started."""
    is_steady: bool = False
    """Whether error cases bear the load of ``correct``, as in v2; in v1 they bear less of it, service after service."""

    @property
    def bears_full_load(self) -> bool:
        """Whether the traffic is that of ``correct`` by the second."""
        return self.is_steady or self.test_case == CORRECT


def service_log(spec: LogSpec) -> bytes:
    """Return the whole log."""
    rng = _stream(spec)
    program = _program_of(spec)
    drawn = _draw_kinds(spec, program, rng)
    if not len(drawn):
        return b""
    lines = expand(program, drawn, rng, _pace(spec))
    threads, starts, times = _times(spec, program, drawn, lines, rng)
    order = np.argsort(times, kind="stable")
    kept = _thin(spec, program, lines, order, rng)
    slots = Slots(program, drawn, threads, starts, (spec.seed, spec.run, spec.service))
    return render(program, Rendering(lines.template[kept], lines.request[kept], times[kept]), slots, rng)


def drawn_kinds(spec: LogSpec) -> list[str]:
    """Name the requests and cluster events of a log in their order, before it is thinned: all that it contains."""
    program = _program_of(spec)
    return [program.kinds[number].name for number in _draw_kinds(spec, program, _stream(spec)).tolist()]


def _stream(spec: LogSpec) -> np.random.Generator:
    return stream(spec.seed, spec.run, spec.test_case, spec.service)


def _pace(spec: LogSpec) -> float:
    # Under v1, `correct` is always the first. Where the order is shuffled, the pace must not tell it from the errors.
    is_cold = spec.is_first or (spec.test_case == CORRECT and not spec.is_steady)
    return 1.0 if is_cold else WARM_PACE


def _program_of(spec: LogSpec) -> Program:
    return _program(spec.service, spec.test_case, spec.is_first, spec.bears_full_load)


@lru_cache(maxsize=256)
def _program(service: str, test_case: str, is_first: bool, bears_full_load: bool) -> Program:
    kinds = list(mix.MIXES[service].kinds)
    # The other weights were read off v1's error cases, which bear another load than `correct`: without that, the mix
    # is that of `correct`, or every error case would show in a service that it never calls.
    if not bears_full_load:
        kinds = [k if k.error_weight is None else replace(k, weight=k.error_weight) for k in kinds]
    if test_case != CORRECT and error_case(test_case).service == service:
        case = error_case(test_case)
        kinds = [replace(k, weight=k.weight * DISPLACED) if k.name == case.displaces else k for k in kinds]
        kinds.append(case.request)
    kinds += [*mix.CLUSTER_EVENTS, mix.MAP_STORE_FAILURE]
    if is_first:
        kinds += [mix.first_failure(k) for k in kinds if _fails(k)][:1]
        kinds.append(mix.startup(service))
    return compile_kinds(kinds)


def _draw_kinds(spec: LogSpec, program: Program, rng: np.random.Generator) -> Ints:
    """Draw the kind of each request and cluster event, in the order in which they come."""
    traffic = mix.MIXES[spec.service]
    column = 0 if spec.bears_full_load else 1
    size = CORRECT_RATIO * spec.seconds / CORRECT_S if column == 0 else spec.seconds / ERROR_S
    ratio = spec.scale * size * np.exp(rng.normal(0.0, 0.06))
    names = {kind.name: number for number, kind in enumerate(program.kinds)}
    requests = round(traffic.requests[column] * ratio)
    groups = [_weighted(program, [k.name for k in traffic.kinds], requests, rng)]
    if spec.test_case in names:
        groups.append(np.full(max(3, round(ERROR_SHARE * requests)), names[spec.test_case]))
    events = rng.poisson(traffic.cluster_lines[column] * ratio / 1.3)
    groups.append(_weighted(program, [k.name for k in mix.CLUSTER_EVENTS], events, rng))
    failures = rng.poisson(traffic.map_store_failures[column] * ratio)
    groups.append(np.full(failures, names[mix.MAP_STORE_FAILURE.name]))
    return _in_order(program, rng.permutation(np.concatenate(groups)), spec.test_case)


def _in_order(program: Program, busy: Ints, test_case: str) -> Ints:
    """Put the start-up first, and the first error answer after some requests, with none before it but injected ones."""
    names = [kind.name for kind in program.kinds]
    startup_kind = [number for number, name in enumerate(names) if name == "startup"]
    first = [number for number, name in enumerate(names) if name.startswith("first ")]
    head, rest = busy[:FIRST_ERROR_AFTER], busy[FIRST_ERROR_AFTER:]
    if first:
        fails = [_fails(kind) and kind.name != test_case for kind in program.kinds]
        head = head[~np.array(fails)[head]]
    once = [np.array(numbers, dtype=np.int64) for numbers in (startup_kind, first)]
    return np.concatenate([once[0], head, once[1], rest])


def _fails(kind: mix.RequestKind) -> bool:
    return kind.thread == mix.WORKER and any("ERROR" in line for line in kind.lines)


def _weighted(program: Program, names: list[str], n: int, rng: np.random.Generator) -> Ints:
    """Draw n kinds by weight; the weights waver from log to log, as a load generator's do."""
    if not names or not n:
        return np.empty(0, dtype=np.int64)
    chosen = [number for number, kind in enumerate(program.kinds) if kind.name in names]
    weights = np.array([program.kinds[number].weight for number in chosen], dtype=np.float64)
    weights *= np.exp(rng.normal(0.0, 0.12, len(weights)))
    shares = np.cumsum(weights) / weights.sum()
    return np.array(chosen)[np.searchsorted(shares[:-1], rng.random(n), side="right")]


def _times(
    spec: LogSpec, program: Program, drawn: Ints, lines: Lines, rng: np.random.Generator
) -> tuple[Ints, Ints, Ints]:
    """Return thread number and start of each request, and the time of each line, in microseconds since 1970."""
    window = _window_us(spec)
    sort = np.array([(mix.WORKER, mix.CLUSTER, mix.MAIN).index(kind.thread) for kind in program.kinds])[drawn]
    starts = rng.uniform(*window, len(drawn))
    pace = np.ones(len(drawn))
    size = np.where(sort == 0, mix.MIXES[spec.service].threads, CLUSTER_THREADS)
    threads = rng.integers(0, size, len(drawn))
    workers = np.flatnonzero(sort == 0)
    starts[workers], pace[workers] = sequential_starts(lines.duration_us[workers], threads[workers], window, rng)
    starts[sort == 2] = 0.0
    times = starts[lines.request] + lines.offset_us * pace[lines.request]
    origin = spec.start * 1_000_000
    return threads, origin + starts.astype(np.int64), origin + times.astype(np.int64)


def _window_us(spec: LogSpec) -> tuple[float, float]:
    if spec.bears_full_load:
        lead = min(CORRECT_LEAD_S[spec.service], spec.seconds / 3)
        return lead * 1e6, spec.seconds * 1e6
    first, last = mix.MIXES[spec.service].window
    return first * spec.seconds * 1e6, last * spec.seconds * 1e6


def _thin(spec: LogSpec, program: Program, lines: Lines, order: Ints, rng: np.random.Generator) -> Ints:
    """Keep every second line, as the published archive does; a log of a running service begins anywhere."""
    skipped = 0 if spec.is_first else int(rng.integers(0, min(50, len(order) // 4 + 1)))
    parity = int(rng.integers(0, 2))
    kept = order[skipped + parity :: 2]
    if spec.test_case == CORRECT or error_case(spec.test_case).service != spec.service:
        return kept
    marked = _lines_with(program, f'"code":"{error_case(spec.test_case).code}"')
    # In a tiny log, thinning could drop the only line that names the error.
    return kept if marked[lines.template[kept]].any() else order[skipped + 1 - parity :: 2]


def _lines_with(program: Program, text: str) -> np.ndarray:
    return np.array([text in line for kind in program.kinds for line in kind.lines])
