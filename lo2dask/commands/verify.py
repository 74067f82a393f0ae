"""Whether an output folder adds up: files, records, checksums, rows, references, bundles. Nothing is changed."""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lo2dask.commands.audit import AUDIT
from lo2dask.commands.extract import EXTRACT
from lo2dask.commands.grid import GRID_STAGE
from lo2dask.commands.report import REPORT
from lo2dask.commands.score import SCORE
from lo2dask.errors import InputError, Lo2Error
from lo2dask.execute.session import Session, using
from lo2dask.explanation.merged_parts import DESCRIPTION
from lo2dask.explanation.refit import GIVEN, TRAINED_OPTIONS, side_folders, trained_options_path
from lo2dask.explanation.stale import EXPLAIN
from lo2dask.explanation.subjects import BUNDLE_SPEC
from lo2dask.findings.read import count_findings, has_findings
from lo2dask.ingest.batch import TEXT
from lo2dask.ingest.metrics import METRICS
from lo2dask.ingest.text import ENHANCE
from lo2dask.models.bundle import hash_path
from lo2dask.options import VerifyOptions
from lo2dask.sizing.timings import TIMINGS
from lo2dask.storage import check_not_in_use, open_read, walk
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import LOAD
from lo2dask.tables.parts import count_rows
from lo2dask.tables.records import Stage
from lo2dask.tables.state import StateType, check_exists, check_layout
from lo2dask.training.exports import EXPORTS, IF_PREDICTIONS
from lo2dask.training.sides import LINKS
from lo2dask.training.units import SPLIT, TRAIN
from lo2dask.verification.folder import AGAIN, Named, read_records, stray_hashes, unnamed_bundles, unnamed_files
from lo2dask.verification.parts import Problem, check_files
from lo2dask.verification.tables import Compared, compare_tables, unfinished_stages

STAGES = (
    *(EXTRACT, LOAD, METRICS, TEXT, ENHANCE, TRAIN, IF_PREDICTIONS, EXPORTS),
    *(GRID_STAGE, EXPLAIN, REPORT, AUDIT, SCORE, GIVEN, LINKS),
)
FINISHING = (METRICS, TEXT, ENHANCE)  # a record of the whole follows those of their parts
_SAVING = "--save-model or --save-sup-models"
TASKS = 64  # at most, of the files that records name


@dataclass(frozen=True)
class VerifySummary:
    """What was checked, and what does not add up, one line each; records name ``recorded`` files of ``bytes``.

    ``scored`` are the rows that ``score`` wrote and ``findings`` what stands out in them, else None.
    """

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
    scored: int | None = None
    findings: int | None = None


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
    unfinished = [*unfinished_stages(layout, named), *_unfinished_scores(layout, inner)]
    scored = None
    with using(session, options) as own:
        if not any(map(_is_scored, inner)):  # which may be larger than what names them
            own.work_here(len(named.outputs), sum(output.size for output in named.outputs.values()))
        problems = [*_check_files(layout, named, options, own), *unfinished]
        compared = [compare_tables(layout, options.checksums, problems, own)]
        for folder in inner:
            found, tables = _check_inner(layout, folder, named, options, own)
            problems += found
            if _is_scored(folder):
                compared.append(tables)
                rows, found = _compare_scores(layout, folder, tables, problems)
                scored, problems = (scored or 0) + rows, problems + found
        # What a stopped command left is removed when it is repeated.
        problems += () if unfinished else unnamed_files(layout, named, inner)
        bundles = unnamed_bundles(layout, named)
        problems += [*own.map(check_bundle, bundles, "bundles", root=layout.root), *stray_hashes(layout)]
        problems += compared[0].problems
    findings = None
    if scored is not None and has_findings(layout) and not any(problems):
        findings, found = _count(lambda: count_findings(layout), layout.findings.name)
        problems += found
    listed = _one_for_each_file(problems)
    results = [one for tables in compared for one in tables.results]
    names = ("files", "events", "sequences", "rejects")
    counts = {name: sum(getattr(one, name) for one in results) for name in names}
    kept = [name for name in named.outputs if name.endswith(".joblib")]
    return VerifySummary(
        output=layout.root, problems=listed, batches=len(results),
        models=sum(tables.models for tables in compared), bundles=len(bundles) + len(kept),
        recorded=len(named.outputs), bytes=sum(output.size for output in named.outputs.values()),
        seconds=time.perf_counter() - started, scored=scored,
        findings=findings,
        **counts,
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
) -> tuple[list[Problem], Compared]:
    """Check an output folder inside this one, and compare the tables of a scored tree.

    A side folder also holds links to this one's files.
    """
    states = {folder.split: SPLIT, folder.marker(TIMINGS.name): TIMINGS}
    named = read_records(folder, STAGES, states, FINISHING)
    links = Stage(folder, LINKS).inspect()[0]
    if links:
        own = read_records(folder, (TRAIN, IF_PREDICTIONS, GIVEN), {}).outputs
        names = links.summary["names"]
        named.outputs = {name: outer.outputs[name] for name in names if name in outer.outputs} | own
        gone = (name for name in names if not (folder.root / name).exists())
        named.problems += [Problem(name, "missing, though it was linked") for name in gone]
    named.commands = dict.fromkeys(named.outputs, "score" if _is_scored(folder) else "explain")
    unfinished = unfinished_stages(folder, named)
    is_stopped = bool(unfinished or _unfinished_scores(layout, [folder]))
    problems = [*_check_files(folder, named, options, session), *unfinished]
    problems += () if is_stopped else unnamed_files(folder, named, ())
    tables = Compared()
    if _is_scored(folder):
        tables = compare_tables(folder, options.checksums, problems, session, is_scored=True)
    where = folder.root.relative_to(layout.root).as_posix()
    return [Problem(f"{where}/{one.where}", one.what) for one in (*problems, *tables.problems)], tables


def _is_scored(folder: Layout) -> bool:
    return folder.root.parent.name == SCORE.name


def _unfinished_scores(layout: Layout, inner: Iterable[Layout]) -> list[Problem]:
    """Name the scored trees, of the folders inside this one, whose record is missing."""
    records = (Stage(layout, SCORE).part(folder.root.name).path for folder in inner if _is_scored(folder))
    gone = [path.relative_to(layout.root).as_posix() for path in records if not path.is_file()]
    return [Problem(name, f"the scoring did not finish; {AGAIN}") for name in gone]


def _compare_scores(
    layout: Layout, folder: Layout, tables: Compared, known: Sequence[Problem]
) -> tuple[int, list[Problem]]:
    """Count the rows of the predictions that score wrote of a tree: there is one for each of its sequences."""
    record = Stage(layout, SCORE).part(folder.root.name).inspect()[0]
    parts = [name for name in record.outputs if "_predictions.parquet/" in name] if record else []
    if not parts or any(problem.where in parts for problem in known):
        return 0, []
    table = parts[0].partition("/")[0]
    rows, damaged = _count(lambda: sum(count_rows(layout.root / name) for name in parts), table)
    sequences = sum(one.sequences for one in tables.results)
    if damaged or rows == sequences or tables.problems:
        return rows, damaged
    return rows, [Problem(table, f"{rows:,} rows for {sequences:,} sequences")]


def _count(rows: Callable[[], int], where: str) -> tuple[int, list[Problem]]:
    """Count rows; without checksums, that a part is damaged is only seen now."""
    try:
        return rows(), []
    except Lo2Error as error:
        return 0, [Problem(where, str(error))]


def _one_for_each_file(problems: Iterable[Problem | None]) -> tuple[str, ...]:
    """Return the problems as text, of each file the first: what is damaged is found again wherever it is read."""
    first: dict[str, list[Problem]] = {}
    for problem in filter(None, problems):
        first.setdefault(problem.where, []).append(problem)
    return tuple(dict.fromkeys(str(some[0]) for some in first.values()))
