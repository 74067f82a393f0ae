"""The pre-flight: no work begins before every worker has shown that it can do it; later ones pass it too."""

import asyncio
import contextlib
import logging
import platform
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Client, Worker, WorkerPlugin

from lo2dask.compat import call_in_loop, retire_worker
from lo2dask.errors import InputError
from lo2dask.execute.probe import (
    NETWORK_FILE_SYSTEMS,
    Finding,
    Request,
    answer_name,
    examine,
    package_versions,
    read_patiently,
)
from lo2dask.memory import format_bytes, parse_bytes
from lo2dask.options import CommonOptions

logger = logging.getLogger(__name__)

TOKENS = "preflight"
SCRATCH_NEEDED = 1_000_000_000
SKEW_ALLOWED = 30.0
ANSWER_TIMEOUT = 120.0
FAREWELL_TIMEOUT = 5.0


@dataclass(frozen=True)
class Needs:
    """What a command needs of each worker: folders to read and to write, memory in bytes."""

    inputs: tuple[Path, ...] = ()
    output: Path | None = None
    memory: int = 0

    @classmethod
    def of(cls, options: CommonOptions) -> "Needs":
        """Read them off a command's options: those that read a raw tree have ``root`` next to ``output_dir``."""
        root, output = getattr(options, "root", None), getattr(options, "output_dir", None)
        budget = getattr(options, "memory_budget", None)
        return cls(
            _paths(root, getattr(options, "raw_root", None)),
            next(iter(_paths(output, root)), None),
            parse_bytes(budget, "--memory-budget") if budget else 0,
        )


@dataclass(frozen=True)
class Report:
    """What the pre-flight found of each worker, by address, and how far its clock is off, in seconds."""

    findings: Mapping[str, Finding]
    skew: Mapping[str, float]


def _paths(*values: object) -> tuple[Path, ...]:
    """Keep those that are paths of a file system, not an object store's URL."""
    return tuple(value for value in values if isinstance(value, Path) and ":/" not in str(value))


@contextlib.contextmanager
def preflight(client: Client, needs: Needs) -> Iterator[Report]:
    """Examine all workers, keep later ones to the same demands until the block ends, and clear up.

    Raises
    ------
    InputError : in one line, which worker lacks what.
    """
    with _tokens(needs) as request:
        plugin = Preflight(request, needs.memory)
        began = time.time()
        answers = ask_all(client, examine, request)
        ended = time.time()
        findings = _all_answered(answers)
        skew = {address: _skew(finding.now, began, ended) for address, finding in findings.items()}
        for address, finding in findings.items():
            problems = [*plugin.lacking(finding), *_answer_problems(request, address), *_skew_problems(skew[address])]
            if problems:
                raise InputError(_line(address, finding, problems))
        client.register_plugin(plugin)
        try:
            yield Report(findings, skew)
        finally:
            _release(client)


class Preflight(WorkerPlugin):
    """Examines a worker when it joins; one that is not fit leaves before it gets a task."""

    name = "lo2dask-preflight"

    def __init__(self, request: Request, memory: int) -> None:
        """Keep the demands, among them the versions that the client, which makes this, has itself."""
        self.request, self.memory = request, memory
        self.packages, self.python = package_versions(), platform.python_version()

    async def setup(self, worker: Worker) -> None:
        """Examine; runs before the worker's first task."""
        finding = await asyncio.to_thread(examine, self.request, worker)
        lacking = self.lacking(finding)
        if lacking:
            logger.error(_line(worker.address, finding, lacking))
            # It cannot close before it has started, which waits for this.
            retire_worker(worker, self.name)

    def lacking(self, finding: Finding) -> list[str]:
        """List what a worker lacks, in words."""
        lacking = [f"does not see {path}" for path in finding.unseen]
        if finding.token_problem:
            lacking.append(f"does not share the output folder: {finding.token_problem}")
        if _minor(finding.python) != _minor(self.python):
            lacking.append(f"has Python {finding.python}, the client {self.python}")
        for name, version in self.packages.items():
            there = finding.packages.get(name, version)
            if there != version:
                lacking.append(f"has {name} {there or '(not installed)'}, the client {version or '(not installed)'}")
        if finding.memory < self.memory:
            lacking.append(
                f"has {format_bytes(finding.memory)} of memory, less than --memory-budget {format_bytes(self.memory)}"
            )
        return lacking + _scratch_problems(finding)


def ask_all(client: Client, function: Any, *arguments: Any, timeout: float = ANSWER_TIMEOUT) -> dict[str, Any]:
    """Run a function on every worker: its result, or what it raised, by the worker's address.

    Raises
    ------
    InputError : they do not all answer in time.
    """

    async def ask() -> Any:
        """Run the function on all workers."""
        return await client.run(function, *arguments, on_error="return")

    try:
        return dict(call_in_loop(client, ask, timeout))
    except TimeoutError as error:
        raise InputError(f"a worker does not answer within {timeout:.0f} s; see `dask` logs of the workers") from error


def _release(client: Client) -> None:
    """Ask nothing more of workers that join; of a scheduler that is lost, nothing can be asked."""

    async def release() -> None:
        """Take the plugin off the workers."""
        await client.unregister_worker_plugin(Preflight.name)

    if client.status == "running":
        with contextlib.suppress(OSError):
            call_in_loop(client, release, FAREWELL_TIMEOUT)


@contextlib.contextmanager
def _tokens(needs: Needs) -> Iterator[Request]:
    """Leave the client's token in the output folder, for as long as workers may join."""
    if needs.output is None:
        yield Request(inputs=needs.inputs)
        return
    new = [folder for folder in (needs.output, *needs.output.parents) if not folder.exists()]
    folder = needs.output / "_lo2dask" / TOKENS / uuid.uuid4().hex[:12]
    token = uuid.uuid4().hex
    folder.mkdir(parents=True)
    (folder / "client").write_text(token)
    try:
        yield Request(folder, token, needs.inputs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for empty in (folder.parent, needs.output / "_lo2dask", *new):
            with contextlib.suppress(OSError):
                empty.rmdir()


def _all_answered(answers: Mapping[str, Any]) -> dict[str, Finding]:
    if not answers:
        raise InputError("the cluster has no worker")
    for address, answer in answers.items():
        if isinstance(answer, ImportError):
            raise InputError(f"worker {address} lacks a package: {answer}; install what the client has there")
        if isinstance(answer, BaseException):
            raise InputError(f"worker {address} cannot be examined: {type(answer).__name__}: {answer}")
    return dict(answers)


def _answer_problems(request: Request, address: str) -> list[str]:
    if request.tokens is None:
        return []
    name = answer_name(address)
    problem = read_patiently(request.tokens / name, f"{request.token} {name}", request.patience)
    return [f"its output does not reach the client: {problem}"] if problem else []


def _skew(now: float, began: float, ended: float) -> float:
    """Return by how many seconds a clock lies outside the interval in which it was read; negative if slow."""
    return min(0.0, now - began) + max(0.0, now - ended)


def _skew_problems(skew: float) -> list[str]:
    side = "slow" if skew < 0 else "fast"
    return [f"its clock is {abs(skew):.0f} s {side}; set it by NTP"] if abs(skew) > SKEW_ALLOWED else []


def _scratch_problems(finding: Finding) -> list[str]:
    if finding.scratch_type in NETWORK_FILE_SYSTEMS:
        return [
            f"has its scratch {finding.scratch} on a network file system ({finding.scratch_type}); name a local folder"
        ]
    if finding.scratch_free < SCRATCH_NEEDED:
        return [f"has {format_bytes(finding.scratch_free)} free in {finding.scratch}, less than 1 GB"]
    return []


def _line(address: str, finding: Finding, lacking: Sequence[str]) -> str:
    return f"worker {finding.name} on {finding.host} ({address}) {'; '.join(lacking)}"


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
