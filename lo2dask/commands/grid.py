"""The LO2 paper's experiment: every service, representation and algorithm, on several hold-outs, in one table.

Each seed draws the runs (or groups, or error types) that are held out and seeds the models. A cell is one model of one
seed, measured on its hold-out; the table gives the mean of the cells over the seeds and their standard deviation. It
compares one model for all services with one model for each service.
"""

import contextlib
import csv
import io
import itertools
import logging
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lo2dask.errors import InputError
from lo2dask.execute.session import Session, using
from lo2dask.ingest.enhance import enhance
from lo2dask.ingest.text import has_raw_bags, loaded, need_bags
from lo2dask.models import bundle, registry
from lo2dask.options import GridOptions, TrainOptions, fingerprint, plain
from lo2dask.storage import locked_outputs, read_json, remove_tree, write_text
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, write_part
from lo2dask.tables.records import Key, Stage, StageType
from lo2dask.training.bundles import data_fingerprint, train_options
from lo2dask.training.sides import link_tables
from lo2dask.training.train import metrics_folder, train_models

logger = logging.getLogger(__name__)

MEASURES = ("f1", "auc_roc", "average_precision")
ALL = "all"
LENGTH = "seq_len alone"
GROUPINGS = {False: "one for all services", True: "one per service"}
GRID = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("models", "service", "algorithm", "representation")),
        pa.field("seeds", pa.int64()),
        *(pa.field(f"{m}_{what}", pa.float64()) for m in MEASURES for what in ("mean", "sd")),
        pa.field("measured", pa.int64()),
        pa.field("reason", pa.string()),
    ]
)
Cell = dict[str, Any]
_CELL = {
    **dict.fromkeys(("service", "algorithm", "representation"), str),
    **dict.fromkeys(MEASURES, (float, type(None))),
    "reason": (str, type(None)),
}
# One named part for each seed and grouping of models; the whole is the table that they make.
GRID_STAGE = StageType(
    "grid", "the table is written again", part={"cells": {str: [_CELL]}}, part_again="its models are fitted again"
)


@dataclass(frozen=True)
class GridSummary:
    """The table's rows and files, and how many models were fitted now or taken from an earlier grid."""

    root: Path
    rows: tuple[Mapping[str, Any], ...]
    fitted: int
    kept: int
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Group:
    """The cells of one seed and one grouping of models; they share one training."""

    seed: int
    per_service: bool


def grid(options: GridOptions, session: Session | None = None) -> GridSummary:
    """Fit and measure the whole grid on the tables of ``options.root``; cells that are there are not fitted again.

    Raises
    ------
    InputError : no loaded tables, or nothing sensible in the grid.
    """
    started = time.perf_counter()
    layout = Layout(options.root)
    bundle.check_owner(layout.root, options.trust)
    keys, notes = grid_keys(options.algorithms, options.representations)
    groups = [
        Group(seed, per_service)
        for seed in range(options.sample_seed, options.sample_seed + options.seeds)
        for per_service in GROUPINGS
    ]
    cells: list[Cell] = []
    fitted = 0
    with contextlib.ExitStack() as held:
        # Before the checks: another command may be about to change what they read.
        held.enter_context(locked_outputs(options))
        loaded(layout)
        for name in options.representations:
            need_bags(f"--representations {name}", (name,), has_raw_bags(layout, options))
        own = held.enter_context(using(session, options))
        enhance(options.derive(TrainOptions), own)
        for group in groups:
            of_group, count = _cells(options, layout, group, keys, own)
            cells += of_group
            fitted += count
    rows = summarise(cells)
    files = _write(layout, rows)
    key = Key(data_fingerprint(layout, options.derive(TrainOptions)), fingerprint(rows))
    Stage(layout, GRID_STAGE).commit(key, [*part_paths(files[0]), *files[1:]], {})
    kept = len(groups) * len(keys) - fitted
    return GridSummary(options.root, tuple(rows), fitted, kept, files, tuple(notes), time.perf_counter() - started)


def grid_keys(algorithms: Sequence[str], representations: Sequence[str]) -> tuple[list[str], list[str]]:
    """List the models of a grid by key, and a note for each pair that makes no sense.

    Raises
    ------
    InputError : an unknown algorithm, or no sensible pair at all.
    """
    unknown = [name for name in algorithms if name not in registry.ALGORITHMS]
    if unknown:
        raise InputError(f"--algorithms: {unknown[0]!r} is not known; known are {', '.join(registry.ALGORITHMS)}")
    pairs = itertools.product(dict.fromkeys(representations), dict.fromkeys(algorithms))
    wanted = [f"{algorithm}_{name}" for name, algorithm in pairs]
    keys = [key for key in wanted if key in registry.pairs()]
    if not keys:
        raise InputError(f"--algorithms, --representations: none of {', '.join(wanted) or 'them'} is a sensible model")
    return keys, [f"{key}: no such model, left out" for key in wanted if key not in keys]


def summarise(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """Return one row of :data:`GRID` for cells that differ in their seed alone, whole tree first, in stable order."""
    by_row: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        name = tuple(cell[column] for column in GRID.names[:4])
        by_row.setdefault(name, []).append(cell)
    rows = []
    for name, members in by_row.items():
        row: dict[str, Any] = dict(zip(GRID.names[:4], name, strict=True)) | {"seeds": len(members)}
        for measure in MEASURES:
            values = [cell[measure] for cell in members if cell[measure] is not None]
            row[f"{measure}_mean"] = statistics.fmean(values) if values else None
            row[f"{measure}_sd"] = statistics.stdev(values) if len(values) > 1 else None
        row["measured"] = sum(cell[MEASURES[1]] is not None for cell in members)
        row["reason"] = next((cell["reason"] for cell in members if cell["reason"]), None)
        rows.append(row)
    return sorted(rows, key=lambda row: (row["models"], row["service"] != ALL, row["service"]))


def _cells(
    options: GridOptions, layout: Layout, group: Group, keys: Sequence[str], session: Session
) -> tuple[list[Cell], int]:
    """Return a group's cells and how many models were fitted for them; what is measured is kept by model."""
    training = options.derive(
        TrainOptions, models=tuple(keys), skip_if=True, per_service=group.per_service, sample_seed=group.seed,
        sup_holdout_shuffle=True,
    )  # fmt: skip
    shaping = {name: value for name, value in train_options(training).items() if name not in ("models", "list_models")}
    name = fingerprint([shaping, data_fingerprint(layout, training)])
    part, own = Stage(layout, GRID_STAGE).part(name), Key(data_fingerprint(layout, training), fingerprint(shaping))
    kept = part.read_current(own) if options.resume else None
    record = dict(kept.summary["cells"]) if kept else {}
    missing = tuple(key for key in keys if key not in record)
    if missing:
        logger.info("grid: seed %d, %s: %d models", group.seed, GROUPINGS[group.per_service], len(missing))
        record |= _train(training.replace(models=missing, resume=False), layout, session)
        part.commit(own, [], {"cells": record})
    named = {"models": GROUPINGS[group.per_service], "seed": group.seed}
    return [cell | named for key in (*keys, LENGTH) for cell in record[key]], len(missing)


def _train(training: TrainOptions, layout: Layout, session: Session) -> dict[str, list[Cell]]:
    """Train in a side folder; return the cells of each model, and those of the model on the length alone."""
    folder = layout.internal / "grid" / "work"
    remove_tree(folder)
    own = training.replace(root=link_tables(layout, folder).root)
    train_models(own, session, with_findings=False)
    measures = {key: read_json(metrics_folder(own) / f"{key}.json") for key in own.models}
    remove_tree(folder)
    line = next(iter(measures.values()))["leakage"]["holdout"]
    baseline = _cell(ALL, registry.length_baseline().algorithm, LENGTH, line)
    return {key: _model_cells(key, measured) for key, measured in measures.items()} | {LENGTH: [baseline]}


def _model_cells(key: str, measures: Mapping[str, Any]) -> list[Cell]:
    spec, held = registry.spec(key), measures["holdout"]
    sides = {ALL: held, **held["per_service"]}
    return [_cell(service, spec.algorithm, spec.representation, measured) for service, measured in sides.items()]


def _cell(service: str, algorithm: str, representation: str, measured: Mapping[str, Any]) -> Cell:
    names = {"service": service, "algorithm": algorithm, "representation": representation}
    return names | {measure: plain(measured.get(measure)) for measure in (*MEASURES, "reason")}


def _write(layout: Layout, rows: Sequence[Mapping[str, Any]]) -> tuple[Path, ...]:
    """Write the table as Parquet, CSV and Markdown."""
    parquet, text, markdown = (layout.root / f"lo2_grid.{suffix}" for suffix in ("parquet", "csv", "md"))
    write_part(parquet / "part-000000.parquet", pa.Table.from_pylist(list(rows), schema=GRID), GRID)
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, GRID.names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(text, sheet.getvalue())
    write_text(markdown, to_markdown(rows))
    return parquet, text, markdown


def to_markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    """Write the table's rows as Markdown, a measure as ``mean ± standard deviation``."""
    header = ["models", "service", "algorithm", "representation", "F1", "AUC-ROC", "average precision", "seeds"]
    lines = [f"| {' | '.join(header)} |", "| --- | --- | --- | --- | ---: | ---: | ---: | ---: |"]
    for row in rows:
        figures = [_figure(row[f"{measure}_mean"], row[f"{measure}_sd"]) for measure in MEASURES]
        named = [str(row[name]) for name in GRID.names[:4]]
        lines.append(f"| {' | '.join([*named, *figures, str(row['measured'])])} |")
    return "\n".join(lines) + "\n"


def _figure(mean: float | None, spread: float | None) -> str:
    if mean is None:
        return "–"
    return f"{mean:.3f}" if spread is None else f"{mean:.3f} ± {spread:.3f}"
