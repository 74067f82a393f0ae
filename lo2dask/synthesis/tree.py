"""Writes the tree: plans its runs, has each test case written by some process, and sums up."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lo2dask.errors import InputError
from lo2dask.options import SynthOptions
from lo2dask.processes import process_pool
from lo2dask.storage import locked_outputs
from lo2dask.synthesis import layouts
from lo2dask.synthesis.faults import write_faults
from lo2dask.synthesis.metrics import wide_table
from lo2dask.synthesis.sidecars import STRAYS
from lo2dask.synthesis.sinks import FolderSink, TarSink
from lo2dask.synthesis.target import prepare_target
from lo2dask.synthesis.timeline import RunPlan, plan_runs

IN_PROCESS_BYTES: Final = 24_000_000
"""Below this many bytes, starting processes takes longer than writing the tree."""


@dataclass(frozen=True)
class SynthSummary:
    """What was written; ``test_cases`` counts those of all runs, ``seconds`` the time it took."""

    root: Path
    runs: int
    test_cases: int
    files: int
    bytes: int
    seconds: float


@dataclass(frozen=True)
class _Task:
    """A run, or some parts of it; without parts, the table of its metrics. A process can do it knowing nothing else."""

    options: SynthOptions
    run: RunPlan
    parts: tuple[str, ...]


def write_tree(options: SynthOptions, progress: Callable[[int, int, int], None] | None = None) -> SynthSummary:
    """Write an LO2-shaped tree; the same options give the same bytes, whatever the number of processes.

    Parameters
    ----------
    progress : called after each piece of work with those done, those in all, and the bytes that it has written.

    Raises
    ------
    InputError : the target is in use, or a test case or service is unknown.
    """
    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"{options.out} is a file: give synth a folder that is new or empty")
    with locked_outputs(options):
        return _write_tree(options, progress)


def _write_tree(options: SynthOptions, progress: Callable[[int, int, int], None] | None) -> SynthSummary:
    began = time.perf_counter()
    runs = plan_runs(options)
    prepare_target(options, [layouts.run_entry(options, run) for run in runs])
    sizes = []
    tasks = _tasks(options, runs)
    for files, size in _results(tasks, options):
        sizes.append((files, size))
        if progress is not None:
            progress(len(sizes), len(tasks), size)
    home = options.out / layouts.run_folder(options)
    strays = FolderSink(home)
    for name, content in STRAYS.items():
        strays.add(name, content)
    sizes.append((strays.files, strays.size))
    if options.faults:
        sizes.append(write_faults(options, home))
    return SynthSummary(
        root=options.out,
        runs=len(runs),
        test_cases=sum(len(run.cases) for run in runs),
        files=sum(files for files, _ in sizes),
        bytes=sum(size for _, size in sizes),
        seconds=time.perf_counter() - began,
    )


def _tasks(options: SynthOptions, runs: list[RunPlan]) -> list[_Task]:
    tables = [_Task(options, run, ()) for run in runs if options.with_metrics and options.layout == "sample"]
    if options.tar:
        return [_Task(options, run, layouts.parts(options, run)) for run in runs] + tables
    return [_Task(options, run, (part,)) for run in runs for part in layouts.parts(options, run)] + tables


def _results(tasks: list[_Task], options: SynthOptions) -> Iterator[tuple[int, int]]:
    jobs = min(options.jobs or os.cpu_count() or 1, len(tasks))
    if jobs == 1 or layouts.expected_bytes(options, [task.run for task in tasks[:1]]) * len(tasks) < IN_PROCESS_BYTES:
        yield from map(_write, tasks)
        return
    with process_pool(jobs) as pool:
        yield from pool.map(_write, tasks)


def _write(task: _Task) -> tuple[int, int]:
    """Write one task; return the number of files and their bytes."""
    if not task.parts:
        table = FolderSink(task.options.out / "metrics")
        table.add(f"{task.run.name}.csv", wide_table(task.options, task.run))
        return table.files, table.size
    with _sink(task) as sink:
        for part in task.parts:
            for path, content in layouts.files_of(task.options, task.run, part):
                sink.add(path, content)
    return sink.files, sink.size


def _sink(task: _Task) -> FolderSink:
    if task.options.tar:
        return TarSink(task.options.out / layouts.run_entry(task.options, task.run), task.run.name, task.run.end)
    return FolderSink(task.options.out / layouts.run_entry(task.options, task.run))
