"""Whether an output folder adds up: files, records, checksums, rows, references, bundles. Nothing is changed."""

import hashlib
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.buffers.columns import strings
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
from lo2dask.ingest.batch import TEXT
from lo2dask.ingest.metrics import METRICS
from lo2dask.ingest.text import ENHANCE, table_has_raw_bags
from lo2dask.memory import parse_bytes
from lo2dask.models.bundle import hash_path
from lo2dask.models.registry import FOREST
from lo2dask.options import LoadOptions, VerifyOptions
from lo2dask.sizing.timings import TIMINGS
from lo2dask.sources.manifest import Batch, cut_batches
from lo2dask.storage import check_not_in_use, open_read, walk
from lo2dask.tables.layout import Layout, part_name
from lo2dask.tables.loads import LOAD
from lo2dask.tables.parts import part_paths, read_parts
from lo2dask.tables.records import Stage
from lo2dask.tables.state import StateType, check_exists, check_layout
from lo2dask.training.exports import EXPORTS, IF_PREDICTIONS
from lo2dask.training.sides import LINKS
from lo2dask.training.units import SPLIT, TRAIN
from lo2dask.verification.folder import (
    Named,
    missing_parts,
    read_records,
    stray_hashes,
    unnamed_bundles,
    unnamed_files,
)
from lo2dask.verification.parts import BatchResult, Checks, Problem, check_batch, check_files, named_ids

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
    loaded, problem = Stage(layout, LOAD).inspect()
    with using(session, options) as own:
        problems = _check_files(layout, named, options, own)
        damaged = frozenset(problem.where for problem in problems)
        for folder in inner:
            problems += _check_inner(layout, folder, named, options, own)
        problems += unnamed_files(layout, named, inner)
        bundles = unnamed_bundles(layout, named)
        problems += [*own.map(check_bundle, bundles, "bundles", root=layout.root), *stray_hashes(layout)]
        checks, found = None, []
        batches: list[Batch] = []
        if loaded:
            checks, batches, failed = _plan(options, layout, loaded.summary, damaged)
            found = own.map(check_batch, batches, "verify", checks=checks)
            problems += [*failed, *_of_stages(layout, loaded.summary, checks, batches)]
            problems += (problem for one in found for problem in one.problems)
            problems += [*_duplicates(layout, found, batches, own), *_totals(layout, found, checks)]
        elif not problem and part_paths(layout.sequences):
            problems.append(Problem("_lo2dask/load.json", "missing, though there are tables"))
    names = ("files", "events", "sequences", "rejects")
    counts = {name: sum(getattr(one, name) for one in found) for name in names}
    kept = [name for name in named.outputs if name.endswith(".joblib")]
    return VerifySummary(
        output=layout.root, problems=_one_for_each_file(problems), batches=len(batches),
        models=len(checks.models) if checks else 0, bundles=len(bundles) + len(kept),
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
    problems = [*_check_files(folder, named, options, session), *unnamed_files(folder, named, ())]
    where = folder.root.relative_to(layout.root).as_posix()
    return [Problem(f"{where}/{problem.where}", problem.what) for problem in problems]


def _one_for_each_file(problems: Iterable[Problem | None]) -> tuple[str, ...]:
    """Return the problems as text, of each file the first: what is damaged is found again wherever it is read."""
    first: dict[str, list[Problem]] = {}
    for problem in filter(None, problems):
        first.setdefault(problem.where, []).append(problem)
    return tuple(dict.fromkeys(str(some[0]) for some in first.values()))


def _plan(
    options: VerifyOptions, layout: Layout, marker: Mapping[str, Any], damaged: frozenset[str]
) -> tuple[Checks, list[Batch], list[Problem]]:
    """Return what the batches are checked for, the batches, and what hinders their check."""
    loading = LoadOptions(root=Path(marker["root"]), **marker["options"])
    trained = Stage(layout, TRAIN).inspect()[0]
    keys = [line["key"] for line in trained.summary["models"]] if trained else []
    models = [(layout.predictions / key).relative_to(layout.root).as_posix() for key in keys]
    if part_paths(layout.if_predictions) and FOREST in keys:
        models.append(layout.if_predictions.name)
    enhanced, has_raw_bags, problems = Stage(layout, ENHANCE).inspect()[0] is not None, False, []
    manifest = part_paths(layout.manifest)
    try:
        if damaged.isdisjoint(path.relative_to(layout.root).as_posix() for path in manifest):
            batches = list(cut_batches(manifest, parse_bytes(loading.partition_size)))
        else:
            batches, problems = [], [Problem("batches", "not compared: the manifest is damaged")]
        has_raw_bags = table_has_raw_bags(layout)
    except Lo2Error as error:
        batches, problems = [], [Problem("batches", f"not compared: {error}")]
    checks = Checks(
        layout.root, options.checksums, loading.save_events, loading.continuation_lines == "merge",
        enhanced, has_raw_bags, tuple(models), damaged,
    )  # fmt: skip
    return checks, batches, problems


def _of_stages(
    layout: Layout, marker: Mapping[str, Any], checks: Checks, batches: Sequence[Batch]
) -> Iterator[Problem]:
    """Name the stages that did not finish, and records that are missing."""
    if not marker["done"]:
        yield Problem("load", "it did not finish; run the same command again, it resumes")
    if part_paths(layout.enhanced) and not checks.enhanced:
        yield Problem(layout.enhanced.name, "the enhancement did not finish; run the same command again, it resumes")
    for folder in (layout.templates, layout.vocabulary) if checks.enhanced else ():
        if not part_paths(folder):
            yield Problem(folder.name, "missing, though the tables are enhanced")
    for of in (ENHANCE, TEXT):
        yield from missing_parts(layout, of, Stage(layout, of).inspect()[0], (batch.index for batch in batches))


def _duplicates(
    layout: Layout, results: Sequence[BatchResult], batches: Sequence[Batch], session: Session
) -> Iterator[Problem]:
    """Name sequences that occur more than once; hashes are compared first, so that no ids are held."""
    hashed = [one.ids for one in results if one.ids is not None]
    values, counts = np.unique(np.concatenate(hashed) if hashed else np.zeros(0, np.uint64), return_counts=True)
    if not (counts > 1).any():
        return
    pairs = zip(batches, results, strict=True)
    names = [part_name(batch.index) for batch, one in pairs if one.ids is not None and len(one.ids)]
    named = session.map(named_ids, names, "sequences", root=layout.root, wanted=values[counts > 1])
    parts_of: dict[str, list[str]] = {}
    for seq_id, part in (pair for found in named for pair in found):
        parts_of.setdefault(seq_id, []).append(part)
    for seq_id, parts in sorted(parts_of.items()):
        if len(parts) > 1:
            yield Problem(layout.sequences.name, f"{seq_id} is there {len(parts)} times: {', '.join(parts)}")


def _totals(layout: Layout, results: Sequence[BatchResult], checks: Checks) -> list[Problem]:
    """Compare the tables of the whole tree with the sums over all batches."""
    tables = (*part_paths(layout.templates), *part_paths(layout.vocabulary))
    is_damaged = not checks.damaged.isdisjoint(path.relative_to(layout.root).as_posix() for path in tables)
    if not checks.enhanced or is_damaged or not (part_paths(layout.templates) and part_paths(layout.vocabulary)):
        return []
    try:
        templates = pa.concat_tables(read_parts(layout.templates)).unify_dictionaries()
        events, sequences = sum(one.events for one in results), sum(one.sequences for one in results)
        mined = int(pc.sum(templates["n_events"]).as_py() or 0)
        kinds = schema.TokenKinds(masked=True, raw=checks.has_raw_bags).representations
        problems = list(_vocabulary(layout, templates, sequences, kinds))
    except (Lo2Error, pa.ArrowException, KeyError) as error:
        return [Problem(layout.templates.name, f"not compared with {layout.vocabulary.name}: {error}")]
    if mined != events:
        text = f"n_events adds up to {mined:,}, the tables have {events:,} events"
        problems.insert(0, Problem(layout.templates.name, text))
    return problems


def _vocabulary(layout: Layout, templates: pa.Table, sequences: int, known: Collection[str]) -> Iterator[Problem]:
    name = layout.vocabulary.name
    ids = strings(templates["e_event_drain_id"]).to_pylist()
    counted = dict(zip(ids, templates["n_sequences"].to_pylist(), strict=True))
    for part in read_parts(layout.vocabulary):
        column = strings(part["representation"])
        unknown = set(pc.unique(column).to_pylist()) - set(known)
        if unknown:
            yield Problem(name, f"{sorted(unknown)[0]} is no representation of {layout.enhanced.name}")
        most = pc.max(part["document_frequency"]).as_py() or 0
        if most > sequences:
            yield Problem(name, f"a token in {most:,} sequences, there are {sequences:,}")
        chosen = part.filter(pc.equal(column, "templates"))
        pairs = zip(strings(chosen["token"]).to_pylist(), chosen["document_frequency"].to_pylist(), strict=True)
        wrong = next(((token, n) for token, n in pairs if counted.get(token) != n), None)
        if wrong:
            says = f"{layout.templates.name} says {counted.get(wrong[0], 'nothing of it')}"
            yield Problem(name, f"template {wrong[0]} in {wrong[1]:,} sequences, {says}")
