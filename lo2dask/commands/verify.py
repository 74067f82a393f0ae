"""Whether an output folder adds up: rows, records, checksums, references, bundles. Nothing is changed."""

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
from lo2dask.commands.grid import GRID_STAGE
from lo2dask.errors import InputError
from lo2dask.execute.session import Session, using
from lo2dask.explanation.stale import EXPLAIN
from lo2dask.ingest.batch import TEXT
from lo2dask.ingest.metrics import METRICS, METRICS_PREFIX
from lo2dask.ingest.text import ENHANCE, table_has_raw_bags
from lo2dask.memory import parse_bytes
from lo2dask.models.bundle import hash_path
from lo2dask.models.registry import FOREST
from lo2dask.options import LoadOptions, VerifyOptions
from lo2dask.sizing.timings import TIMINGS
from lo2dask.sources.manifest import Batch, cut_batches
from lo2dask.storage import check_not_in_use, list_paths, open_read
from lo2dask.tables.layout import Layout, part_name
from lo2dask.tables.loads import LOAD
from lo2dask.tables.parts import part_paths, read_parts
from lo2dask.tables.records import Stage, output_path
from lo2dask.tables.state import check_layout, inspect_state
from lo2dask.training.exports import IF_PREDICTIONS
from lo2dask.training.units import SPLIT, TRAIN
from lo2dask.verification.parts import Checks, Found, Problem, check_batch, check_stage, named_ids


@dataclass(frozen=True)
class VerifySummary:
    """What was looked at, and what does not add up, one line each; ``bytes`` of the files that records name."""

    output: Path
    problems: tuple[str, ...]
    batches: int
    files: int
    events: int
    sequences: int
    rejects: int
    models: int
    bundles: int
    bytes: int
    seconds: float


def verify(options: VerifyOptions, session: Session | None = None) -> VerifySummary:
    """Check an output folder against its records, and its tables against one another.

    Raises
    ------
    InputError : nothing was loaded into the folder.
    """
    started = time.perf_counter()
    layout = Layout(options.output_dir)
    check_not_in_use(layout.root)
    check_layout(layout)
    loaded, problem = Stage(layout, LOAD).inspect()
    if loaded is None:
        reason = f"_lo2dask/load.json is {problem}" if problem else "nothing was loaded into it"
        raise InputError(f"{layout.root}: {reason}; lo2dask load --output-dir {layout.root}")
    marker = loaded.summary
    batches = _batches(layout, marker)
    bundles = [*list_paths(layout.models, ".joblib"), *list_paths(layout.root / "models", ".joblib")]
    checks = _checks(options, layout, marker)
    trained = Stage(layout, TRAIN).inspect()[0]
    recorded = {output_path(layout.root, name) for name in trained.outputs} if trained else set()
    with using(session, options) as own:
        found = own.map(check_batch, batches, "verify", checks=checks)
        problems = [*_of_stages(layout, marker, checks), *(problem for one in found for problem in one.problems)]
        problems += _twice(layout, found, batches, own)
        others = [path for path in bundles if path not in recorded]
        problems += own.map(check_bundle, others, "bundles", root=layout.root)
        problems += [p for some in own.map(check_stage, _stages(layout), "records", checks=checks) for p in some]
    problems += [*_strangers(layout, batches, checks), *_totals(layout, found, checks), *_states(layout)]
    told = tuple(dict.fromkeys(str(problem) for problem in problems if problem))
    names = ("files", "events", "sequences", "rejects", "bytes")
    counts = {name: sum(getattr(one, name) for one in found) for name in names}
    return VerifySummary(
        output=layout.root, problems=told, batches=len(batches), models=len(checks.models), bundles=len(bundles),
        seconds=time.perf_counter() - started, **counts,
    )  # fmt: skip


def check_bundle(path: Path, root: Path) -> Problem | None:
    """Compare a bundle with the hash next to it; nothing of it is loaded."""
    beside, place = hash_path(path), path.relative_to(root).as_posix()
    if not beside.is_file():
        return Problem(place, f"{beside.name} is missing, so damage cannot be told")
    digest = hashlib.sha256()
    with open_read(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    words = beside.read_text(encoding="utf-8", errors="replace").split()
    return None if words[:1] == [digest.hexdigest()] else Problem(place, f"is not what {beside.name} says")


def _stages(layout: Layout) -> list[Stage]:
    """List the records of all stages but those of the load's batches, which are checked against their logs."""
    whole = [Stage(layout, of) for of in (LOAD, METRICS, TEXT, ENHANCE, TRAIN, IF_PREDICTIONS, GRID_STAGE)]
    return [
        *whole,
        *(part for of in (METRICS, TEXT, ENHANCE, EXPLAIN, GRID_STAGE) for part in Stage(layout, of).parts()),
    ]


def _batches(layout: Layout, marker: Mapping[str, Any]) -> list[Batch]:
    options = LoadOptions(root=Path(marker["root"]), **marker["options"])
    return list(cut_batches(part_paths(layout.manifest), parse_bytes(options.partition_size)))


def _checks(options: VerifyOptions, layout: Layout, marker: Mapping[str, Any]) -> Checks:
    loading = LoadOptions(root=Path(marker["root"]), **marker["options"])
    trained = Stage(layout, TRAIN).inspect()[0]
    keys = [line["key"] for line in trained.summary["models"]] if trained else []
    models = [(layout.predictions / key).relative_to(layout.root).as_posix() for key in keys]
    if part_paths(layout.if_predictions) and FOREST in keys:
        models.append(layout.if_predictions.name)
    return Checks(
        layout.root, options.checksums, loading.save_events, loading.continuation_lines == "merge",
        layout.marker("enhance").is_file(), table_has_raw_bags(layout), tuple(models),
    )  # fmt: skip


def _of_stages(layout: Layout, marker: Mapping[str, Any], checks: Checks) -> Iterator[Problem]:
    """Say which stage did not come to its end."""
    if not marker["done"]:
        yield Problem("load", "it did not come to its end; the same command goes on")
    enhanced = part_paths(layout.enhanced)
    if enhanced and not checks.enhanced:
        yield Problem(layout.enhanced.name, "enhancement did not come to its end; the same command goes on")
    for folder in (layout.templates, layout.vocabulary) if checks.enhanced else ():
        if not part_paths(folder):
            yield Problem(folder.name, "missing, though the tables are enhanced")


def _twice(layout: Layout, found: Sequence[Found], batches: Sequence[Batch], session: Session) -> Iterator[Problem]:
    """Name sequences that occur twice; hashes are compared first, so that no ids are held."""
    hashed = [one.ids for one in found if one.ids is not None]
    values, counts = np.unique(np.concatenate(hashed) if hashed else np.zeros(0, np.uint64), return_counts=True)
    if not (counts > 1).any():
        return
    names = [part_name(b.index) for b, one in zip(batches, found, strict=True) if one.ids is not None and len(one.ids)]
    named = session.map(named_ids, names, "sequences", root=layout.root, wanted=values[counts > 1])
    places: dict[str, list[str]] = {}
    for seq_id, part in (pair for pairs in named for pair in pairs):
        places.setdefault(seq_id, []).append(part)
    for seq_id, parts in sorted(places.items()):
        if len(parts) > 1:
            yield Problem(layout.sequences.name, f"{seq_id} is there {len(parts)} times: {', '.join(parts)}")


def _strangers(layout: Layout, batches: Sequence[Batch], checks: Checks) -> Iterator[Problem]:
    """Name parts that belong to no batch."""
    names = {part_name(batch.index) for batch in batches} or {part_name(0)}
    tables = [layout.sequences, *([layout.events] if checks.events else [])]
    tables += [layout.enhanced] if checks.enhanced else []
    for folder in (*tables, *(checks.root / model for model in checks.models)):
        for path in part_paths(folder):
            if path.name not in names:
                yield Problem(path.relative_to(layout.root).as_posix(), "belongs to no batch of the manifest")
    known = (*names, part_name(0), "scan.parquet")
    for path in part_paths(layout.rejects):
        if path.name not in known and not path.name.startswith(METRICS_PREFIX):
            yield Problem(path.relative_to(layout.root).as_posix(), "belongs to no batch of the manifest")


def _totals(layout: Layout, found: Sequence[Found], checks: Checks) -> Iterator[Problem]:
    """Compare the tables of the whole tree with the sums over all batches."""
    if not checks.enhanced or not (part_paths(layout.templates) and part_paths(layout.vocabulary)):
        return
    templates = pa.concat_tables(read_parts(layout.templates)).unify_dictionaries()
    events, sequences = sum(one.events for one in found), sum(one.sequences for one in found)
    mined = int(pc.sum(templates["n_events"]).as_py() or 0)
    if mined != events:
        yield Problem(layout.templates.name, f"n_events adds up to {mined:,}, the tables have {events:,} events")
    counted = dict(
        zip(strings(templates["e_event_drain_id"]).to_pylist(), templates["n_sequences"].to_pylist(), strict=True)
    )
    yield from _vocabulary(
        layout, counted, sequences, schema.TokenKinds(masked=True, raw=checks.beside).representations
    )


def _vocabulary(layout: Layout, templates: dict[str, int], sequences: int, known: Collection[str]) -> Iterator[Problem]:
    name = layout.vocabulary.name
    for part in read_parts(layout.vocabulary):
        kinds = strings(part["representation"])
        strange = set(pc.unique(kinds).to_pylist()) - set(known)
        if strange:
            yield Problem(name, f"{sorted(strange)[0]} is no representation of {layout.enhanced.name}")
        most = pc.max(part["document_frequency"]).as_py() or 0
        if most > sequences:
            yield Problem(name, f"a token in {most:,} sequences, there are {sequences:,}")
        chosen = part.filter(pc.equal(kinds, "templates"))
        for token, frequency in zip(
            strings(chosen["token"]).to_pylist(), chosen["document_frequency"].to_pylist(), strict=True
        ):
            if templates.get(token) != frequency:
                yield Problem(name, f"template {token} in {frequency:,} sequences, {layout.templates.name} says "
                                    f"{templates.get(token, 'nothing of it')}")  # fmt: skip
                break


def _states(layout: Layout) -> Iterable[Problem]:
    """Name state files that are damaged."""
    for path, of in ((layout.split, SPLIT), (layout.marker(TIMINGS.name), TIMINGS)):
        problem = inspect_state(path, of)[1]
        if problem:
            yield Problem(path.relative_to(layout.root).as_posix(), f"it is {problem}: {of.again}")
