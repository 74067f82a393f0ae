"""Whether the tables of a folder add up: batch by batch, and those of the whole tree with the sums over all batches."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.buffers.columns import strings
from lo2dask.errors import Lo2Error
from lo2dask.execute.session import Session
from lo2dask.ingest.batch import TEXT
from lo2dask.ingest.text import ENHANCE, table_has_raw_bags
from lo2dask.memory import parse_bytes
from lo2dask.models.registry import FOREST
from lo2dask.options import LoadOptions
from lo2dask.sources.manifest import Batch, cut_batches
from lo2dask.storage import entries
from lo2dask.tables.layout import Layout, part_name
from lo2dask.tables.loads import LOAD
from lo2dask.tables.parts import part_paths, read_parts
from lo2dask.tables.records import Stage
from lo2dask.training.units import TRAIN, working_folder
from lo2dask.verification.folder import AGAIN, Named, missing_parts
from lo2dask.verification.parts import BatchResult, Checks, Problem, check_batch, named_ids


@dataclass(frozen=True)
class Compared:
    """What was compared: each batch, and the number of ``models`` whose predictions were compared with the tables."""

    problems: tuple[Problem, ...] = ()
    results: tuple[BatchResult, ...] = ()
    models: int = 0


def compare_tables(
    layout: Layout, checksums: bool, known: Sequence[Problem], session: Session, is_scored: bool = False
) -> Compared:
    """Compare the tables of a folder with one another; files of ``known`` problems are not read.

    Of a load that did not finish only the batches that are done are compared. The working folder of a tree that
    ``is_scored`` has no templates of its own: its bundle has them.
    """
    loaded, problem = Stage(layout, LOAD).inspect()
    if loaded is None:
        is_lost = not problem and part_paths(layout.sequences)
        return Compared((Problem("_lo2dask/load.json", "missing, though there are tables"),) if is_lost else ())
    damaged = frozenset(one.where for one in known)
    checks, batches, problems = _plan(layout, loaded.summary, checksums, damaged, is_scored)
    if not loaded.summary["done"]:
        batches = [batch for batch in batches if Stage(layout, LOAD).part(batch.index).path.is_file()]
    results = session.map(check_batch, batches, "verify", checks=checks)
    problems += _of_stages(layout, checks, batches)
    problems += (problem for one in results for problem in one.problems)
    problems += [*_duplicates(layout, results, batches, session), *_totals(layout, results, checks)]
    return Compared(tuple(problems), tuple(results), len(checks.models))


def unfinished_stages(layout: Layout, named: Named) -> list[Problem]:
    """Name what a command was stopped in, the load or what follows it: repeating the command removes what it left."""
    loaded, enhanced = Stage(layout, LOAD).inspect()[0], Stage(layout, ENHANCE).path
    if loaded and not loaded.summary["done"]:
        return [Problem("load", f"it did not finish; {AGAIN}")]
    if part_paths(layout.enhanced) and not enhanced.is_file():
        return [Problem(enhanced.relative_to(layout.root).as_posix(), f"the enhancement did not finish; {AGAIN}")]
    # What training leaves between its maps goes with its end.
    stopped = [Problem("train", f"it did not finish; {AGAIN}")] if working_folder(layout).is_dir() else []
    return [*stopped, *named.unfinished]


def _plan(
    layout: Layout, marker: Mapping[str, Any], checksums: bool, damaged: frozenset[str], is_scored: bool
) -> tuple[Checks, list[Batch], list[Problem]]:
    """Return what the batches are checked for, the batches, and what hinders their check."""
    loading = LoadOptions(root=Path(marker["root"]), **marker["options"])
    trained = Stage(layout, TRAIN).inspect()[0]
    # Until a load is done, predictions are of what was there before it.
    keys = [line["key"] for line in trained.summary["models"]] if trained and marker["done"] else []
    if is_scored and layout.predictions.is_dir():
        keys = sorted(entry.name for entry in entries(layout.predictions) if entry.is_dir())
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
        layout.root, checksums, loading.save_events, loading.continuation_lines == "merge",
        enhanced, has_raw_bags, tuple(models), damaged, mined=not is_scored,
    )  # fmt: skip
    return checks, batches, problems


def _of_stages(layout: Layout, checks: Checks, batches: Sequence[Batch]) -> Iterator[Problem]:
    """Name tables and records that are missing."""
    for folder in (layout.templates, layout.vocabulary) if checks.enhanced and checks.mined else ():
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
