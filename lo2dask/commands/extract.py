"""Unpacks archived runs into a raw tree, some at a time; can be stopped and resumed at any moment.

A run is unpacked into a hidden folder and renamed when it is whole, so the tree never shows half a run. A record of
each run names its archive, the options, and every file with size and checksum: from it a later call knows what is done,
and `verify` finds what was damaged.
"""

import contextlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

from lo2dask.errors import InputError, Lo2Error
from lo2dask.memory import parse_bytes
from lo2dask.options import ExtractOptions, fingerprint
from lo2dask.processes import process_pool
from lo2dask.schema import is_normal
from lo2dask.sources.archives import (
    DAMAGE,
    NO_LIMIT,
    ArchivedRun,
    TooLargeError,
    find_archives,
    list_cases,
    measure,
    unpack,
)  # fmt: skip
from lo2dask.sources.names import run_order
from lo2dask.sources.select import draw_order
from lo2dask.storage import free_bytes, locked_outputs, walk
from lo2dask.tables.layout import Layout
from lo2dask.tables.records import Key, Record, Stage, StageType, describe_outputs

logger = logging.getLogger(__name__)

EXTRACT = StageType("extract", "the run is unpacked again")
_FAILURES = ("damaged archive", "too large")
_PART = re.compile(r"\..+\.(?P<pid>\d+)\.part")


@dataclass(frozen=True)
class ExtractedRun:
    """One run that was unpacked; ``refused`` are (archive, member, reason). A damaged archive leaves no run."""

    name: str
    files: int
    bytes: int
    refused: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class ExtractSummary:
    """What was done, or under ``--dry-run`` would be.

    ``runs`` are the names chosen, chunk by chunk in their order; ``todo`` those that were not there yet; ``packed``,
    ``unpacked`` and ``free`` are bytes: of ``todo`` in the archives, of its files, as far as that is known without
    unpacking, and on the target's disk. ``rejects`` are (archive, member, reason).
    """

    out: Path
    runs: tuple[str, ...]
    todo: tuple[str, ...]
    packed: int
    unpacked: int
    free: int
    files: int
    bytes: int
    seconds: float
    rejects: tuple[tuple[str, str, str], ...]
    dry_run: bool

    @property
    def skipped(self) -> int:
        """Runs that were there already."""
        return len(self.runs) - len(self.todo)

    @property
    def failed(self) -> tuple[str, ...]:
        """The archives of which nothing was unpacked, as they are damaged or too large."""
        return tuple(path for path, _, reason in self.rejects if reason.startswith(_FAILURES))


# Called as progress(run, done, total) when a run is done.
Progress = Callable[[ExtractedRun, int, int], None]


@dataclass(frozen=True)
class _Task:
    run: ArchivedRun
    out: Path
    errors_per_run: int
    seed: int
    max_bytes: int
    max_ratio: int

    @property
    def limit(self) -> int:
        """Bytes that the run may unpack to."""
        return min(self.max_bytes, self.max_ratio * self.run.packed)

    @property
    def target(self) -> Path:
        """Folder of the run."""
        return self.out / self.run.name

    @property
    def stage(self) -> Stage:
        """The record of what was unpacked."""
        return Stage(Layout(self.out), EXTRACT, self.run.name)

    @property
    def key(self) -> Key:
        """The key of a run that was unpacked from this archive with these options."""
        run, seed = self.run, self.seed if self.errors_per_run >= 0 else None
        archive = [os.path.basename(run.path), run.member, run.size, run.mtime_ns]
        return Key(fingerprint(archive), fingerprint([self.errors_per_run, seed]))


def extract(options: ExtractOptions, progress: Progress | None = None) -> ExtractSummary:
    """Unpack the chosen runs of ``options.src`` into ``options.out``.

    Raises
    ------
    InputError : source or target cannot be used, or a run's folder is there that extract did not write.
    Lo2Error : the target cannot be written.
    """
    if options.chunk > options.split:
        raise InputError(f"--chunk {options.chunk}: --split makes {options.split} chunks; give 1 to {options.split}")
    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"{options.out} is a file: give extract a folder")
    with contextlib.nullcontext() if options.dry_run else locked_outputs(options):
        return _extract(options, progress)


def _extract(options: ExtractOptions, progress: Progress | None) -> ExtractSummary:
    started = time.perf_counter()
    found, left = find_archives(options.src)
    chosen = choose_runs(found, options)
    most = parse_bytes(options.max_bytes, "--max-bytes") if options.max_bytes else NO_LIMIT
    drawn = max(options.errors_per_run, -1)
    tasks = [_Task(run, options.out, drawn, options.seed, most, options.max_ratio) for run in chosen]
    todo = [task for task in tasks if not (options.resume and _is_done(task))]
    _check_foreign(todo)
    results: list[ExtractedRun] = []
    free = free_bytes(options.out) or 0
    unpacked, too_large = _measure_all(todo, options.dry_run)
    most = min(free, todo[0].max_bytes) if todo else free
    if unpacked > most:
        raise InputError(
            f"{options.out}: what is chosen unpacks to {unpacked:,} bytes, {most:,} are free or allowed: "
            "take fewer runs (--count, --chunk), or another disk"
        )
    if not options.dry_run:
        remove_leftovers(options.out)
        for result in _unpack_all(todo, options.jobs):
            results.append(result)
            if progress:
                progress(result, len(results), len(todo))
            if sum(one.bytes for one in results) > todo[0].max_bytes:
                raise Lo2Error(f"{options.out}: more than --max-bytes {options.max_bytes} are unpacked: stopped")
    rejects = (
        too_large
        + [(path, "", reason) for path, reason in left]
        + [row for result in results for row in result.refused]
    )
    return ExtractSummary(
        options.out, tuple(run.name for run in chosen), tuple(task.run.name for task in todo),
        sum(task.run.packed for task in todo), unpacked, free, sum(result.files for result in results),
        sum(result.bytes for result in results), time.perf_counter() - started, tuple(rejects), options.dry_run,
    )  # fmt: skip


def choose_runs(found: list[ArchivedRun], options: ExtractOptions) -> list[ArchivedRun]:
    """Order the runs by ``--mode``, take the first ``--count``, and of those the chunk asked for."""
    ordered = sorted(found, key=lambda run: run_order(run.name), reverse=options.mode == "newest")
    if options.mode == "every2":
        ordered = ordered[::2]
    if options.mode == "random":
        rank = {name: number for number, name in enumerate(draw_order(options.seed, "", [run.name for run in found]))}
        ordered = sorted(found, key=lambda run: rank[run.name])
    counted = ordered[: options.count] if options.count > 0 else ordered
    if options.chunk == 0:
        return counted
    borders = [len(counted) * number // options.split for number in range(options.split + 1)]
    return counted[borders[options.chunk - 1] : borders[options.chunk]]


def remove_leftovers(out: Path) -> int:
    """Remove the half-written runs of earlier commands, which have ended: the folder is locked; return their number."""
    parts = [(path, _PART.fullmatch(path.name)) for path in out.iterdir()] if out.is_dir() else []
    dead = [path for path, match in parts if match]
    for path in dead:
        shutil.rmtree(path, ignore_errors=True)
    return len(dead)


def _measure_all(todo: list[_Task], compressed: bool) -> tuple[int, list[tuple[str, str, str]]]:
    """Add up what runs unpack to, without ``compressed`` only those of plain tars; also list what a dry run finds.

    Compressed archives must be read whole for it, which only a dry run does.
    """
    size, failed = 0, []
    for task in todo:
        if not (task.run.is_plain or compressed):
            continue
        try:
            size += measure(task.run, _chosen_cases(task), task.limit)
        except TooLargeError as error:
            failed.append((task.run.path, task.run.member, f"too large: {error}; --max-ratio, --max-bytes"))
        except DAMAGE as error:
            failed.append((task.run.path, task.run.member, f"damaged archive: {error}"))
    return size, failed if compressed else []


def _is_done(task: _Task) -> bool:
    return task.target.is_dir() and task.stage.is_current(task.key)


def _check_foreign(todo: list[_Task]) -> None:
    for task in todo:
        if task.target.exists() and not task.stage.path.is_file():
            raise InputError(f"{task.target} is there, and extract did not write it: move it away, or give another OUT")


def _unpack_all(todo: list[_Task], jobs: int) -> Iterator[ExtractedRun]:
    """Unpack runs in several processes; results come as they are ready."""
    workers = min(jobs or os.cpu_count() or 1, len(todo))
    if workers <= 1:
        yield from map(unpack_run, todo)
        return
    with process_pool(workers) as pool:
        try:
            for future in as_completed([pool.submit(unpack_run, task) for task in todo]):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def unpack_run(task: _Task) -> ExtractedRun:
    """Unpack one run into a hidden folder and rename it.

    Raises
    ------
    Lo2Error : the target cannot be written.
    """
    run = task.run
    part = task.out / f".{run.name}.{os.getpid()}.part"
    old = task.out / f".{run.name}-old.{os.getpid()}.part"
    try:
        part.mkdir(parents=True)
        found = unpack(run, part, _chosen_cases(task), task.limit)
        outputs = describe_outputs(part, walk(part))
        if task.target.exists():
            os.rename(task.target, old)
        # Before the files are in place: a run without a record would be taken for the user's own.
        task.stage.write(Record(task.key, {f"{run.name}/{name}": one for name, one in outputs.items()}, {}))
        os.rename(part, task.target)
    except DAMAGE as error:
        logger.warning("%s: damaged archive, left out: %s", run.path, error)
        return ExtractedRun(run.name, 0, 0, ((run.path, run.member, f"damaged archive: {error}"),))
    except TooLargeError as error:
        reason = f"too large: {error}; --max-ratio, --max-bytes"
        return ExtractedRun(run.name, 0, 0, ((run.path, run.member, reason),))
    except OSError as error:
        where = error.filename or task.target
        raise Lo2Error(f"{where}: {error.strerror}; run the same command again; it resumes") from error
    finally:
        for folder in (part, old):
            shutil.rmtree(folder, ignore_errors=True)
    return ExtractedRun(run.name, found.files, found.bytes, tuple((run.path, *pair) for pair in found.refused))


def _chosen_cases(task: _Task) -> frozenset[str] | None:
    """Draw error cases as load does with the same seed; None = all."""
    if task.errors_per_run < 0:
        return None
    cases = list_cases(task.run)
    errors = [case for case in cases if not is_normal(case)]
    return frozenset({*filter(is_normal, cases), *draw_order(task.seed, task.run.name, errors)[: task.errors_per_run]})
