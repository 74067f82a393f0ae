"""When each request runs, on which thread, and when its lines are logged: microseconds from the case's start."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lo2dask.formats.lo2 import write_times
from lo2dask.synthesis.compiled import Program

Ints = NDArray[np.int64]

MAX_BUSY = 0.93
"""Share of the time that a thread works at most; above it, its requests are quicker."""


@dataclass(frozen=True)
class Lines:
    """Lines of the requests given, request by request: template, request, and microseconds since the request began."""

    template: Ints
    request: Ints
    offset_us: NDArray[np.float64]
    duration_us: NDArray[np.float64]


def expand(program: Program, kinds: Ints, rng: np.random.Generator, pace: float = 1.0) -> Lines:
    """Lay out all lines of the requests whose kinds are given; a smaller pace is quicker."""
    lengths = program.kind_length[kinds]
    first = np.cumsum(lengths) - lengths
    request = np.repeat(np.arange(len(kinds)), lengths)
    template = np.arange(len(request)) - np.repeat(first - program.kind_start[kinds], lengths)
    waits = rng.standard_exponential(len(request)) * program.wait_us[template] * pace
    waits[first] = 0.0
    total = np.cumsum(waits)
    offset = total - np.repeat(total[first], lengths)
    return Lines(template, request, offset, offset[first + lengths - 1])


def sequential_starts(
    durations: NDArray[np.float64], threads: Ints, window: tuple[float, float], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Start the requests of each thread one after another within the window (microseconds).

    Returns
    -------
    starts, and the factor by which each request must run faster to fit.
    """
    starts = np.zeros(len(durations))
    pace = np.ones(len(durations))
    span = window[1] - window[0]
    for thread in range(int(threads.max(initial=-1)) + 1):
        mine = np.flatnonzero(threads == thread)
        work = durations[mine]
        factor = min(1.0, MAX_BUSY * span / max(work.sum(), 1.0))
        idle = rng.standard_exponential(len(mine) + 1)
        idle *= (span - work.sum() * factor) / idle.sum()
        starts[mine] = window[0] + np.cumsum(idle[:-1]) + (np.cumsum(work) - work) * factor
        pace[mine] = factor
    return starts, pace


def clock_texts(times_us: Ints) -> list[bytes]:
    """Return times of day ``HH:MM:SS.mmm`` of microseconds since any midnight."""
    times = write_times(pa.array(times_us // 1000).cast(pa.timestamp("ms")))
    return times.cast(pa.binary()).to_pylist()
