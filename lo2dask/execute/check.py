"""`lo2dask cluster check`: starts or reaches a cluster, runs the pre-flight, measures, and ends it."""

import time
from dataclasses import dataclass
from pathlib import Path

from distributed import Client, Worker

from lo2dask.errors import InputError
from lo2dask.execute.bandwidth import measure_reading, measure_writing
from lo2dask.execute.cluster import start_client
from lo2dask.execute.preflight import Needs, Report, ask_all, preflight
from lo2dask.execute.probe import Finding
from lo2dask.memory import parse_bytes
from lo2dask.options import CheckOptions


@dataclass(frozen=True)
class WorkerLine:
    """One worker that passed: what it has, and how fast it reads and writes, in bytes a second."""

    address: str
    finding: Finding
    skew: float
    reading: float | None
    writing: float | None


@dataclass(frozen=True)
class CheckSummary:
    """A cluster that passed the pre-flight; ``seconds`` from the start to the first answers."""

    cluster: str
    scheduler: str
    encrypted: bool
    seconds: float
    root: Path | None
    output: Path | None
    workers: tuple[WorkerLine, ...]


def check_cluster(options: CheckOptions) -> CheckSummary:
    """Start or reach the cluster and examine every worker.

    Raises
    ------
    InputError : which worker lacks what, or why there is no cluster.
    """
    memory = parse_bytes(options.memory_budget, "--memory-budget")
    inputs = tuple(path.absolute() for path in [options.root] if path)
    for path in inputs:
        if not path.exists():
            raise InputError(f"--root {path}: no such folder")
    output = options.output_dir.absolute() if options.output_dir else None
    began = time.perf_counter()
    with (
        start_client(options.file, options, memory) as client,
        preflight(client, Needs(inputs, output, memory)) as report,
    ):
        seconds = time.perf_counter() - began
        address = str(client.scheduler_info(n_workers=0)["address"])
        workers = _lines(client, report, inputs[0] if inputs else None, output)
    return CheckSummary(options.file, address, address.startswith("tls://"), seconds, options.root, output, workers)


def _lines(client: Client, report: Report, root: Path | None, output: Path | None) -> tuple[WorkerLine, ...]:
    indexes = {address: index for index, address in enumerate(sorted(report.findings))}
    speeds = ask_all(client, _measure, root, output, indexes)
    lines = []
    for address in sorted(report.findings):
        answer = speeds.get(address)
        reading, writing = answer if isinstance(answer, tuple) else (None, None)
        lines.append(WorkerLine(address, report.findings[address], report.skew[address], reading, writing))
    return tuple(lines)


def _measure(
    root: Path | None, output: Path | None, indexes: dict[str, int], dask_worker: Worker
) -> tuple[float | None, float | None]:
    reading = measure_reading(root, indexes.get(dask_worker.address, 0)) if root else None
    return reading, measure_writing(output) if output else None
