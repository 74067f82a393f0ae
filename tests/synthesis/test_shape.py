"""The shape of synthetic logs against the real slice; TOLERANCES states how close, and says why where it is wide."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from lo2dask.domain import SERVICES
from lo2dask.synthesis.service_log import CORRECT_RATIO, LogSpec, service_log

from .conftest import SLICE_CASES, Figures, mean

SEEDS = 6
START = 1_719_592_186
STARTUP_LOGGERS = {
    b"com.networknt.server.Server",
    b"c.n.service.SingletonServiceFactory",
    b"com.networknt.config.Config",
    b"com.zaxxer.hikari.HikariConfig",
    b"com.zaxxer.hikari.HikariDataSource",
    b"com.zaxxer.hikari.pool.HikariPool",
    b"c.n.oauth.cache.ClientMapStore",
    b"c.n.oauth.cache.RefreshTokenMapStore",
}
"""Loggers that synth's start-up lines bring along; the slice has most of its start-up cut away."""


@dataclass(frozen=True)
class Tolerance:
    """Lines, bytes and words are relative; shares of lines and of levels are absolute."""

    lines: float
    bytes_per_line: float
    words_per_line: float
    distinct_word_share: float
    continuation_share: float
    level_share: float


TOLERANCES = {
    "correct": Tolerance(0.10, 0.05, 0.05, 0.15, 0.03, 0.015),
    # The slice holds one log of each error case, not five: its own scatter is in here.
    "error": Tolerance(0.25, 0.10, 0.10, 0.25, 0.12, 0.055),
    # The key service logs only some hundred lines, of rare events with long traces.
    "key": Tolerance(0.35, 0.07, 0.15, 0.25, 0.15, 0.03),
}


@cache
def _real(root: Path, case: str, service: str) -> Figures:
    paths = sorted(root.glob(f"v1/*/{case}/light-oauth2-oauth2-{service}-1.log"))
    return mean([path.read_bytes() for path in paths])


@cache
def _synthetic(case: str, service: str) -> Figures:
    """Figures of logs without start-up; of ``correct`` the first part is taken. The slice is cut the same way."""
    logs = []
    for seed in range(SEEDS):
        seconds = 60 if case == "correct" else 20
        log = service_log(LogSpec(seed, "run", case, service, 1.0, START, seconds, is_first=False))
        if case == "correct":
            lines = log.splitlines(keepends=True)
            log = b"".join(lines[: round(len(lines) / CORRECT_RATIO)])
        logs.append(log)
    return mean(logs)


@pytest.fixture(params=SLICE_CASES)
def case(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    return request.param


def _tolerance(case: str, service: str) -> Tolerance:
    if service == "key":
        return TOLERANCES["key"]
    return TOLERANCES["correct" if case == "correct" else "error"]


def test_sizes_match_the_slice(real_slice: Path, case: str, service: str) -> None:
    real, synthetic, tolerance = _real(real_slice, case, service), _synthetic(case, service), _tolerance(case, service)
    for name in ("lines", "bytes_per_line", "words_per_line", "distinct_word_share"):
        expected = pytest.approx(getattr(real, name), rel=getattr(tolerance, name))
        assert getattr(synthetic, name) == expected, name


def test_mix_matches_the_slice(real_slice: Path, case: str, service: str) -> None:
    real, synthetic, tolerance = _real(real_slice, case, service), _synthetic(case, service), _tolerance(case, service)
    assert synthetic.continuation_share == pytest.approx(real.continuation_share, abs=tolerance.continuation_share)
    assert synthetic.error_share == pytest.approx(real.error_share, abs=tolerance.level_share)
    assert synthetic.info_share == pytest.approx(real.info_share, abs=tolerance.level_share)


def test_loggers_are_those_of_the_slice(real_slice: Path, service: str) -> None:
    real = frozenset().union(*(_real(real_slice, name, service).loggers for name in SLICE_CASES))
    first = mean([service_log(LogSpec(7, "run", "correct", service, 1.0, START, 60, is_first=True))])
    synthetic = first.loggers.union(*(_synthetic(name, service).loggers for name in SLICE_CASES))
    assert real <= synthetic
    assert synthetic - real <= STARTUP_LOGGERS


def test_continuation_lines_are_a_fifth_of_the_slice_and_of_synth(real_slice: Path) -> None:
    def share(of) -> float:  # noqa: ANN001
        rows = [of(service) for service in SERVICES]
        return sum(row.lines * row.continuation_share for row in rows) / sum(row.lines for row in rows)

    real = share(lambda service: _real(real_slice, "correct", service))
    assert share(lambda service: _synthetic("correct", service)) == pytest.approx(real, abs=0.02)


@pytest.mark.parametrize("service", ["token"])
def test_scale_1_is_the_published_size(service: str) -> None:
    log = service_log(LogSpec(42, "run", "correct", service, 1.0, START, 60, is_first=True))
    assert len(log) == pytest.approx(3.5e6, rel=0.15)
