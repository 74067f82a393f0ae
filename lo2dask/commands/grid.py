"""The LO2 paper's experiment: every service, representation and algorithm, on several hold-outs, in one table.

Each seed draws the runs (or groups, or error types) that are held out and seeds the models. A cell is one model of one
seed, measured on its hold-out; the table gives the mean of the cells over the seeds and their standard deviation. It
compares one model for all services with one model for each service. Beside them stand what the same figure is on whole
cases, its interval, chance, simple baselines, and which models are really behind the best one.
"""

import contextlib
import csv
import io
import itertools
import logging
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lo2dask.errors import InputError
from lo2dask.execute.session import Session, using
from lo2dask.ingest.enhance import enhance
from lo2dask.ingest.text import has_raw_bags, loaded, need_bags
from lo2dask.models import bundle, registry
from lo2dask.models.split import hold_out
from lo2dask.options import GridOptions, TrainOptions, fingerprint, plain
from lo2dask.storage import locked_outputs, read_json, remove_tree, write_text
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part, write_part
from lo2dask.tables.records import Key, Stage, StageType
from lo2dask.training.bundles import data_fingerprint, train_options
from lo2dask.training.choices import read_groups
from lo2dask.training.differences import HELD, Difference, collect_scores, compare_all, held_path
from lo2dask.training.lines import metrics_folder
from lo2dask.training.sides import link_tables
from lo2dask.training.train import CASES, train_models
from lo2dask.training.trust import BASELINES, short
from lo2dask.training.units import SUPERVISED

logger = logging.getLogger(__name__)

MEASURES = ("f1", "auc_roc", "average_precision")
ALL = "all"
LENGTH = "seq_len alone"
GROUPINGS = {False: "one for all services", True: "one per service"}
BASELINE = "simple baseline"
_DIFFERENCE = ("case_ap", "case_ap_low", "case_ap_high", "chance", "behind", "behind_low", "behind_high", "p")
GRID = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("models", "service", "algorithm", "representation")),
        pa.field("seeds", pa.int64()),
        *(pa.field(f"{m}_{what}", pa.float64()) for m in MEASURES for what in ("mean", "sd")),
        pa.field("measured", pa.int64()),
        *(pa.field(name, pa.float64()) for name in _DIFFERENCE),
        pa.field("comparisons", pa.int64()),
        pa.field("difference", pa.string()),
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
    """The cells of one hold-out and one grouping of models; they share one training.

    ``case`` is the error type that is held out, "" for what the seed draws.
    """

    seed: int
    per_service: bool
    case: str = ""


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
    cells: list[Cell] = []
    fitted = 0
    held: dict[Any, list[pa.Table]] = {}
    with contextlib.ExitStack() as stack:
        # Before the checks: another command may be about to change what they read.
        stack.enter_context(locked_outputs(options))
        loaded(layout)
        for name in options.representations:
            need_bags(f"--representations {name}", (name,), has_raw_bags(layout, options))
        own = stack.enter_context(using(session, options))
        enhance(options.derive(TrainOptions), own)
        groups = _groups(options, layout)
        for group in groups:
            of_group, count, kept = _cells(options, layout, group, keys, own)
            cells += of_group
            fitted += count
            for name, path in kept.items():
                held.setdefault((GROUPINGS[group.per_service], name), []).append(read_part(path))
    rows = summarise(cells, compare_all(collect_scores(held), options.sample_seed))
    files = _write(layout, rows)
    key = Key(data_fingerprint(layout, options.derive(TrainOptions)), fingerprint(rows))
    Stage(layout, GRID_STAGE).commit(key, [*part_paths(files[0]), *files[1:]], {})
    before = len(groups) * len(keys) - fitted
    return GridSummary(options.root, tuple(rows), fitted, before, files, tuple(notes), time.perf_counter() - started)


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


def summarise(cells: Iterable[Cell], differences: Mapping[Any, Difference] | None = None) -> list[dict[str, Any]]:
    """Return one row of :data:`GRID` for cells that differ in their seed alone, whole tree first, in stable order.

    ``differences``, by (kind of models, key) or the name of a baseline, stand in rows of the whole tree.
    """
    differences = differences or {}
    none = dict.fromkeys((*_DIFFERENCE, "comparisons", "difference"))
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
        found = differences.get((name[0], f"{name[2]}_{name[3]}")) if name[1] == ALL else None
        row |= asdict(found) if found else none
        row["reason"] = next((cell["reason"] for cell in members if cell["reason"]), None)
        rows.append(row)
    for key in BASELINES.keys() & differences.keys():
        named = dict(zip(GRID.names[:4], (BASELINE, ALL, key, BASELINES[key]), strict=True))
        rows.append(dict.fromkeys(GRID.names) | named | {"seeds": 0, "measured": 0} | asdict(differences[key]))
    return sorted(rows, key=_place)


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    is_baseline = row["models"] == BASELINE
    return row["models"], row["service"] != ALL, row["service"], row["algorithm"] if is_baseline else ""


def _groups(options: GridOptions, layout: Layout) -> list[Group]:
    """List the hold-outs with each grouping of models: one a seed, or one an error type.

    Raises
    ------
    InputError : error types are to be held out in turn, and there are fewer than two.
    """
    seeds = range(options.sample_seed, options.sample_seed + options.seeds)
    if not options.leave_error_types_out:
        return [Group(seed, per_service) for seed in seeds for per_service in GROUPINGS]
    groups = read_groups(layout)
    cases = sorted(groups.names("test_case", groups.anomalous))
    if len(cases) < 2:
        raise InputError(f"--leave-error-types-out: {layout.root} has {len(cases)} error types, two are needed")
    return [Group(options.sample_seed, per_service, case) for case in cases for per_service in GROUPINGS]


def _cells(
    options: GridOptions, layout: Layout, group: Group, keys: Sequence[str], session: Session
) -> tuple[list[Cell], int, dict[str, Path]]:
    """Return a group's cells, how many models were fitted for them, and the files of held-out cases by model.

    What is measured is kept by model.
    """
    training = options.derive(
        TrainOptions, models=tuple(keys), skip_if=True, per_service=group.per_service, sample_seed=group.seed,
        sup_holdout_shuffle=True,
    )  # fmt: skip
    shaping = {name: value for name, value in train_options(training).items() if name not in ("models", "list_models")}
    shaping |= {"case": group.case}
    name = fingerprint([shaping, data_fingerprint(layout, training)])
    part, own = Stage(layout, GRID_STAGE).part(name), Key(data_fingerprint(layout, training), fingerprint(shaping))
    kept = part.read_current(own) if options.resume else None
    record = dict(kept.summary["cells"]) if kept else {}
    missing = tuple(key for key in keys if key not in record)
    folder = layout.internal / "grid" / "cases" / name
    if missing:
        logger.info("grid: %s, %s: %d models", group.case or f"seed {group.seed}", GROUPINGS[group.per_service],
                    len(missing))  # fmt: skip
        record |= _train(training.replace(models=missing, resume=False), layout, group.case, folder, session)
        part.commit(own, [folder / f"{key}.parquet" for key in record if key != LENGTH], {"cells": record})
    named = {"models": GROUPINGS[group.per_service], "seed": group.seed}
    cells = [cell | named for key in (*keys, LENGTH) for cell in record[key]]
    return cells, len(missing), {key: folder / f"{key}.parquet" for key in keys}


def _train(training: TrainOptions, layout: Layout, case: str, cases: Path, session: Session) -> dict[str, list[Cell]]:
    """Train in a side folder; return the cells of each model, and those of the model on the length alone.

    Held-out cases are kept in the folder ``cases``.
    """
    folder = layout.internal / "grid" / "work"
    remove_tree(folder)
    side = link_tables(layout, folder)
    own = training.replace(root=side.root)
    splits = {SUPERVISED: hold_out(read_groups(layout), own, own.sample_seed, case)} if case else None
    train_models(own, session, splits, beside=CASES)
    measures = {key: read_json(metrics_folder(own) / f"{key}.json") for key in own.models}
    for key in own.models:
        write_part(cases / f"{key}.parquet", read_part(held_path(side, key)), HELD)
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
    """Write the table's rows as Markdown, a measure as ``mean ± standard deviation``, then what is of whole cases."""
    header = ["models", "service", "algorithm", "representation", "F1", "AUC-ROC", "average precision", "seeds"]
    header += ["AP of cases", "chance", "behind the best", "p (Holm)", "difference"]
    lines = [f"| {' | '.join(header)} |", f"| {' | '.join(['---'] * 4 + ['---:'] * 8 + ['---'])} |"]
    for row in rows:
        figures = [_figure(row[f"{measure}_mean"], row[f"{measure}_sd"]) for measure in MEASURES]
        named = [str(row[name]) for name in GRID.names[:4]]
        lines.append(f"| {' | '.join([*named, *figures, str(row['measured']), *difference_words(row)])} |")
    return "\n".join(lines) + "\n"


def difference_words(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Write a row's figures of whole cases: average precision, chance, how far behind the best, p, the difference."""
    if row["case_ap"] is None:
        return "", "", "", "", ""
    precision, behind = (
        "" if row[name] is None else f"{short(row[name])} [{short(row[f'{name}_low'])}, {short(row[f'{name}_high'])}]"
        for name in ("case_ap", "behind")
    )
    p = "" if row["p"] is None else f"{row['p']:.2g}"
    return precision, short(row["chance"]), behind, p, row["difference"]


def _figure(mean: float | None, spread: float | None) -> str:
    if mean is None:
        return "–"
    return f"{mean:.3f}" if spread is None else f"{mean:.3f} ± {spread:.3f}"
