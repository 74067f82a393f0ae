"""Whether an output folder adds up: files, records, checksums, rows, references, bundles. Nothing is changed."""

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lo2dask.commands.audit import AUDIT
from lo2dask.commands.extract import EXTRACT
from lo2dask.commands.grid import GRID_STAGE
from lo2dask.commands.report import REPORT
from lo2dask.commands.score import SCORE
from lo2dask.errors import InputError
from lo2dask.execute.session import Session, using
from lo2dask.explanation.merged_parts import DESCRIPTION
from lo2dask.explanation.refit import GIVEN, TRAINED_OPTIONS, side_folders, trained_options_path
from lo2dask.explanation.stale import EXPLAIN
from lo2dask.explanation.subjects import BUNDLE_SPEC
from lo2dask.ingest.batch import TEXT
from lo2dask.ingest.metrics import METRICS
from lo2dask.ingest.text import ENHANCE
from lo2dask.models.bundle import hash_path
from lo2dask.options import VerifyOptions
from lo2dask.sizing.timings import TIMINGS
from lo2dask.storage import check_not_in_use, open_read, walk
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import LOAD
from lo2dask.tables.records import Stage
from lo2dask.tables.state import StateType, check_exists, check_layout
from lo2dask.training.exports import EXPORTS, IF_PREDICTIONS
from lo2dask.training.sides import LINKS
from lo2dask.training.units import SPLIT, TRAIN
from lo2dask.verification.folder import (
    Named,
    read_records,
    stray_hashes,
    unnamed_bundles,
    unnamed_files,
)
from lo2dask.verification.parts import Problem, check_files
from lo2dask.verification.tables import compare_tables, unfinished_stages

STAGES = (
    *(EXTRACT, LOAD, METRICS, TEXT, ENHANCE, TRAIN, IF_PREDICTIONS, EXPORTS),
    *(GRID_STAGE, EXPLAIN, REPORT, AUDIT, SCORE, GIVEN, LINKS),
)
FINISHING = (METRICS, TEXT, ENHANCE)  # a record of the whole follows those of their parts
_SAVING = "--save-model or --save-sup-models"
TASKS = 64  # at most, of the files that records name


@dataclass(frozen=True)
class VerifySummary:
    """What was checked, and what does not add up, one line each; records name ``recorded`` files of ``bytes``."""

    output: Path
    problems: tuple[str, ...]
    batches: int
    files: int
    events: int
    sequences: int
    rejects: int
    models: int
    bundles: int
    recorded: int
    bytes: int
    seconds: float


def verify(options: VerifyOptions, session: Session | None = None) -> VerifySummary:
    """Check an output folder: its files against their records, and its tables against one another.

    Raises
    ------
    InputError : no command has written into the folder.
    """
    started = time.perf_counter()
    layout = Layout(options.output_dir)
    check_exists(layout)
    check_not_in_use(layout.root)
    check_layout(layout)
    named = read_records(layout, STAGES, _states(layout), FINISHING)
    if next(walk(layout.internal), None) is None:
        raise InputError(f"{layout.root}: nothing was loaded into it; lo2dask load --output-dir {layout.root}")
    inner = _inner_folders(layout)
    unfinished = unfinished_stages(layout, named)
    with using(session, options) as own:
        problems = [*_check_files(layout, named, options, own), *unfinished]
        tables = compare_tables(layout, options.checksums, problems, own)
        for folder in inner:
            problems += _check_inner(layout, folder, named, options, own)
        # What a stopped command left is removed when it is repeated.
        problems += () if unfinished else unnamed_files(layout, named, inner)
        bundles = unnamed_bundles(layout, named)
        problems += [*own.map(check_bundle, bundles, "bundles", root=layout.root), *stray_hashes(layout)]
        problems += tables.problems
    names = ("files", "events", "sequences", "rejects")
    counts = {name: sum(getattr(one, name) for one in tables.results) for name in names}
    kept = [name for name in named.outputs if name.endswith(".joblib")]
    return VerifySummary(
        output=layout.root, problems=_one_for_each_file(problems), batches=len(tables.results),
        models=tables.models, bundles=len(bundles) + len(kept),
        recorded=len(named.outputs),
        bytes=sum(output.size for output in named.outputs.values()), seconds=time.perf_counter() - started, **counts,
    )  # fmt: skip


def check_bundle(path: Path, root: Path) -> Problem | None:
    """Compare a bundle with the hash next to it; nothing of it is loaded."""
    file, name = hash_path(path), path.relative_to(root).as_posix()
    if not file.is_file():
        return Problem(name, f"{file.name} is missing, so damage cannot be found")
    digest = hashlib.sha256()
    with open_read(path) as opened:
        while block := opened.read(1 << 20):
            digest.update(block)
    words = file.read_text(encoding="utf-8", errors="replace").split()
    if words[:1] == [digest.hexdigest()]:
        return None
    way_out = f"an earlier train left it and none makes it again: delete both, or train its model with {_SAVING}"
    return Problem(name, f"is not what {file.name} says; {way_out}")


def _states(layout: Layout) -> dict[Path, StateType]:
    """List the state files that are no records."""
    states = {layout.split: SPLIT, layout.marker(TIMINGS.name): TIMINGS, trained_options_path(layout): TRAINED_OPTIONS}
    return states | dict.fromkeys((layout.internal / "explain").glob(f"*/{DESCRIPTION}"), BUNDLE_SPEC)


def _inner_folders(layout: Layout) -> list[Layout]:
    """List the output folders inside this one: of scored trees, and of models that were fitted to be explained."""
    folders = [*(layout.internal / "score").glob("*"), *side_folders(layout).glob("*")]
    return [Layout(folder) for folder in sorted(folders) if folder.is_dir()]


def _check_files(layout: Layout, named: Named, options: VerifyOptions, session: Session) -> list[Problem]:
    """Check the files that records name, about equal numbers in each task."""
    files = sorted(named.outputs.items())
    chunks = [files[start::TASKS] for start in range(min(TASKS, len(files)))]
    shared = {"root": layout.root, "checksums": options.checksums}
    results = session.map(check_files, chunks, "files", **shared)
    return [*named.problems, *(named.with_way_out(problem) for some in results for problem in some)]


def _check_inner(
    layout: Layout, folder: Layout, outer: Named, options: VerifyOptions, session: Session
) -> list[Problem]:
    """Check an output folder inside this one; a side folder also holds links to this one's files."""
    states = {folder.split: SPLIT, folder.marker(TIMINGS.name): TIMINGS}
    named = read_records(folder, STAGES, states, FINISHING)
    links = Stage(folder, LINKS).inspect()[0]
    if links:
        own = read_records(folder, (TRAIN, IF_PREDICTIONS, GIVEN), {}).outputs
        names = links.summary["names"]
        named.outputs = {name: outer.outputs[name] for name in names if name in outer.outputs} | own
        gone = (name for name in names if not (folder.root / name).exists())
        named.problems += [Problem(name, "missing, though it was linked") for name in gone]
    named.commands = dict.fromkeys(named.outputs, "score" if folder.root.parent.name == "score" else "explain")
    unfinished = unfinished_stages(folder, named)
    problems = [*_check_files(folder, named, options, session), *(unfinished or unnamed_files(folder, named, ()))]
    where = folder.root.relative_to(layout.root).as_posix()
    return [Problem(f"{where}/{problem.where}", problem.what) for problem in problems]


def _one_for_each_file(problems: Iterable[Problem | None]) -> tuple[str, ...]:
    """Return the problems as text, of each file the first: what is damaged is found again wherever it is read."""
    first: dict[str, list[Problem]] = {}
    for problem in filter(None, problems):
        first.setdefault(problem.where, []).append(problem)
    return tuple(dict.fromkeys(str(some[0]) for some in first.values()))
