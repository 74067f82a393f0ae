"""Files that lie next to the service logs and are no sequences: load generator, database, tracing, and strays."""

from datetime import UTC, datetime
from typing import Final

from lo2dask.domain import CORRECT
from lo2dask.synthesis.cases import error_case
from lo2dask.synthesis.streams import stream
from lo2dask.synthesis.timeline import CasePlan, RunPlan

STRAYS: Final = {
    "prerun results/locust.log": b"[2024-06-28 10:00:00,000] locust/INFO/locust.main: Run time limit set to 10 s\n",
    "collect.log": b"collected by the nightly job\n",
}
"""A folder and a file next to the runs, as real trees have them."""


def _at(moment: int) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


def locust_log(case: CasePlan) -> bytes:
    """Return the load generator's log: it names the injected error, so whoever reads it knows the label."""
    begin, end = _at(case.start), _at(case.start + case.seconds)
    host = "locust/INFO/locust"
    lines = [
        f"[{begin:%Y-%m-%d %H:%M:%S},112] {host}.main: Run time limit set to {case.seconds} seconds",
        f"[{begin:%Y-%m-%d %H:%M:%S},113] {host}.main: Starting Locust 2.28.0",
        f"[{begin:%Y-%m-%d %H:%M:%S},240] {host}.runners: Ramping to 10 users at a rate of 10.00 per second",
        f"[{begin:%Y-%m-%d %H:%M:%S},415] {host}.user.task: executing test case {case.name}",
    ]
    if case.name != CORRECT:
        error = error_case(case.name)
        answer = f"{error.service} answered {error.code}, as expected"
        lines.append(f"[{begin:%Y-%m-%d %H:%M:%S},931] {host}.user.task: {answer}")
    lines.append(f"[{end:%Y-%m-%d %H:%M:%S},003] {host}.main: --run-time limit reached, shutting down")
    return ("\n".join(lines) + "\n").encode()


def database_log(seed: int, run: RunPlan, case: CasePlan) -> bytes:
    """Return the database's log of a test case."""
    rng = stream(seed, run.name, case.name, "mysqldb")
    lines = []
    for offset in sorted(rng.integers(0, case.seconds, 12).tolist()):
        at = _at(case.start + offset)
        fraction, thread = int(rng.integers(0, 10**6)), int(rng.integers(8, 90))
        lines.append(
            f"{at:%Y-%m-%dT%H:%M:%S}.{fraction:06d}Z {thread} [Note] Aborted connection to db: 'oauth2' "
            "user: 'mysqluser' (Got an error reading communication packets)"
        )
    return ("\n".join(lines) + "\n").encode()


def tracing_log(case: CasePlan) -> bytes:
    """Return the tracing container's log of a test case."""
    at = case.start + 0.25
    return (
        f'{{"level":"info","ts":{at},"caller":"channelz/funcs.go:340","msg":"[core][Channel #1] Channel Connectivity '
        'change to READY","system":"grpc","grpc_log":true}\n'
    ).encode()
