"""Cases made by hand: ten runs of two normal and two anomalous cases, with logs of two services."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from lo2dask.audit.cases import Cases

RUNS, SERVICES = 10, ("code", "token")
NAMES = tuple((f"LO2_run_17000{run:05d}", name) for run in range(RUNS) for name in ("correct", "correct_1", "x", "y"))
NORMAL = np.array([name.startswith("correct") for _, name in NAMES])
IDS, WORDS = ("s1", "s2", "e3", "c4"), ("hello", "boot", "ready")
N = 2 * len(NAMES)


def make_cases(seed: int = 0, **changes: object) -> Cases:
    """Make cases in which nothing tells the classes apart, but for what is changed."""
    draw = np.random.default_rng(seed)
    figures = {name: draw.integers(100, 200, N).astype(float) for name in ("length", "duration", "size")}
    starts = np.repeat(np.concatenate([draw.permutation(4) * 60_000.0 + run * 86_400_000 for run in range(RUNS)]), 2)
    cases = Cases(
        names=NAMES,
        run=np.repeat(np.arange(RUNS), 4),
        normal=NORMAL,
        services=SERVICES,
        of_sequence=np.repeat(np.arange(len(NAMES)), 2),
        service=np.tile([0, 1], len(NAMES)),
        figures={**figures, "start": starts},
        bags=draw.integers(0, 2**60, N).astype(np.uint64),
        statements=sparse.csr_matrix((draw.random((N, 4)) < [1.0, 0.5, 0.5, 0.5]).astype(np.int8)),
        ids=IDS,
        startup=sparse.csr_matrix((draw.random((N, 3)) < [1.0, 0.5, 0.5]).astype(np.int8)),
        words=WORDS,
        total=len(NAMES),
    )
    return replace(cases, **changes)  # type: ignore[arg-type]


def anomalous(cases: Cases, service: int) -> np.ndarray:
    """Return which sequences are anomalous logs of a service."""
    return ~cases.normal[cases.of_sequence] & (cases.service == service)
