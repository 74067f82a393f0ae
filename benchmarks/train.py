"""Phases D and E at size: XGBoost on all workers against one process, the forest, all 14 models, 6 GB of logs.

python benchmarks/train.py                           # all of it; the last part makes and loads 6.07 GB of logs
python benchmarks/train.py --parts xgb,forest        # some of it
python benchmarks/train.py --quick                   # a first look on a small table

The table of the first three parts (100,000 sequences x 40,000 words, 300 words a sequence) is made directly.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from common import drop, report, watch_memory, working_folder

from lo2dask import schema
from lo2dask.commands.load import load
from lo2dask.commands.train import train
from lo2dask.domain import CORRECT
from lo2dask.execute.session import Session
from lo2dask.features.masks import load_masks
from lo2dask.features.templates import Templates
from lo2dask.ingest.text import EnhanceKey, load_fingerprint
from lo2dask.memory import format_bytes, measure
from lo2dask.models.registry import names
from lo2dask.options import DEFAULT_MODELS, LoadOptions, SynthOptions, TrainOptions
from lo2dask.storage import read_json, write_json
from lo2dask.synthesis import write_tree
from lo2dask.tables.layout import Layout, part_name
from lo2dask.tables.loads import LOAD
from lo2dask.tables.parts import write_part
from lo2dask.tables.records import Key, Stage
from lo2dask.training.lines import metrics_folder
from lo2dask.training.train import TrainSummary

PARTS = ("xgb", "forest", "all", "logs")
CASES = ("correct", "get_token_400", "register_user_400")
XGB = "event_xgb_words"
# Enough for a share of the rows only, so that the fit goes to all workers.
SMALL_BUDGET = {False: "1GB", True: "335MB"}
LOGS_BYTES, LOGS_SEQUENCES = 6.07e9, 3_468


def main() -> None:
    """Measure and print, each figure next to its aim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure, separated by comma")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="work here and leave it; default: a temporary folder")
    parser.add_argument("--quick", action="store_true", help="5,000 sequences x 4,000 words, 60 MB of logs")
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plain:
        plain_boosting(arguments.plain)
        return
    parts = arguments.parts.split(",")
    size = (5_000, 4_000) if arguments.quick else (100_000, 40_000)
    print(f"memory: {measure()} of all processes together")
    with working_folder(arguments.folder) as folder:
        if set(parts) & set(PARTS[:3]):
            root = folder / f"table-{size[0]}-{size[1]}"
            if not root.exists():
                started = time.perf_counter()
                make_table(root, *size)
                report("made the table", f"{size[0]:,} x {size[1]:,} in {time.perf_counter() - started:.0f} s")
        if "xgb" in parts:
            boosting(root, arguments.workers, arguments.quick)
        if "forest" in parts:
            _train(root, arguments.workers, "forest: fit and score (aim 60 s)", phase="if")
        if "all" in parts:
            _train(root, arguments.workers, "all 14 models (aim 6 GB)", models=names())
        if "logs" in parts:
            logs(folder, arguments.workers, arguments.quick)


def boosting(root: Path, workers: int, quick: bool) -> None:
    """Compare xgboost.dask on all workers with plain xgboost on the same matrix with as many threads."""
    with watch_memory() as peak:
        command = [sys.executable, __file__, "--plain", str(root), "--workers", str(workers)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    plain = float(answer[-1])
    report("plain xgboost, 2 threads", f"{plain:.1f} s", f"peak {format_bytes(peak.total)}")
    budget = SMALL_BUDGET[quick]
    _train(root, workers, "xgboost.dask, command", models=(XGB,), skip_if=True, memory_budget=budget)
    record = read_json(metrics_folder(TrainOptions(root=root)) / f"{XGB}.json")["fit"][0]
    said = "; ".join(record["changes"])
    report("xgboost.dask, fit alone (aim 4 times, 4 GB)", f"{record['seconds']:.1f} s", said,
           f"{record['seconds'] / plain:.2f} times plain")  # fmt: skip


def plain_boosting(root: Path) -> None:
    """Fit plain xgboost on the table's training part, in this process; print the seconds of matrix and fit."""
    import xgboost
    from scipy import sparse

    from lo2dask.features.matrix import Columns, to_matrix
    from lo2dask.models.estimators import boosting_params
    from lo2dask.models.registry import spec
    from lo2dask.tables.parts import read_parts

    tokens = pa.array([f"w{number:05d}" for number in range(int(root.name.split("-")[-1]))])
    columns, matrices, labels = Columns({"words": tokens}), [], []
    for part in read_parts(Layout(root).enhanced, ["e_words", "anomaly"]):
        matrices.append(to_matrix(part, columns))
        labels.append(part["anomaly"].to_numpy())
    share = slice(0, int(0.8 * sum(map(len, labels))))
    matrix, label = sparse.vstack(matrices, format="csr")[share], np.concatenate(labels)[share]
    params, rounds, _ = boosting_params(spec(XGB), 42)
    started = time.perf_counter()
    data = xgboost.DMatrix(matrix, label=label.astype(np.float32), nthread=2)
    xgboost.train(params | {"nthread": 2}, data, num_boost_round=rounds)
    print(time.perf_counter() - started)


def logs(folder: Path, workers: int, quick: bool) -> None:
    """Train what killed the predecessor: 3,468 sequences of 6.07 GB, forest and the guide's four models."""
    runs, scale = (4, 0.5) if quick else (99, 1.89)
    raw, out = folder / f"logs-{runs}", folder / f"logs-{runs}-out"
    if not raw.exists():
        made = write_tree(SynthOptions(out=raw, runs=runs, errors_per_run=4, scale=scale))
        report("made the logs", format_bytes(made.bytes), f"aim {format_bytes(LOGS_BYTES)}")
    with watch_memory() as peak:
        started = time.perf_counter()
        summary = load(LoadOptions(root=raw, output_dir=out, workers=workers))
        seconds = time.perf_counter() - started
    report("load and enhance", f"{seconds:.1f} s", f"peak {format_bytes(peak.total)}",
           f"{summary.sequences} sequences (aim {LOGS_SEQUENCES})")  # fmt: skip
    _train(out, workers, "train --phase full on them (aim 8 GB)", models=DEFAULT_MODELS)


def make_table(
    root: Path, rows: int, width: int, bags: tuple[str, ...] = tuple(schema.MAIN.values()), words: int = 300,
    part_rows: int = 5_000,
) -> None:  # fmt: skip
    """Write an enhanced table with made-up ``bags``, and the markers that say that it is loaded and enhanced."""
    layout, rng = Layout(root), np.random.default_rng(3)
    tokens = pa.array([f"w{number:05d}" for number in range(width)])
    for index, start in enumerate(range(0, rows, part_rows)):
        table = _made_part(rng, range(start, min(start + part_rows, rows)), tokens, words)
        for name in {*schema.MAIN.values(), schema.STATEMENTS_BAG} - set(bags):
            empty = pa.array([[]] * table.num_rows, schema.BAG)
            table = table.set_column(table.schema.get_field_index(name), schema.ENHANCED.field(name), empty)
        write_part(layout.enhanced / part_name(index), table, schema.ENHANCED)
        write_part(layout.sequences / part_name(index), table, schema.SEQUENCES)
    made = (
        (layout.templates, schema.TEMPLATES),
        (layout.statements, schema.STATEMENTS),
        (layout.vocabulary, schema.VOCABULARY),
    )
    for folder, kind in made:
        write_part(folder / part_name(0), kind.empty_table(), kind)
    Templates((), (), {}).save(layout.template_state)
    load = {"root": str(root), "options": {"partition_size": "128MB"}, "done": True, "format": "lo2"}
    load |= {"formats": {}, "is_lo2": True}
    Stage(layout, LOAD).commit(Key("made up", ""), [], load)
    key = EnhanceKey.of(TrainOptions(root=root), load_masks(None))
    write_json(layout.marker("enhance"), {"key": key.all, "load": load_fingerprint(layout)})


def _made_part(rng: np.random.Generator, numbers: range, tokens: pa.Array, words: int) -> pa.Table:
    """Make sequences of 200 runs; anomalies have more of the last hundred words than normal ones."""
    case = np.array([CASES[number % len(CASES)] for number in numbers])
    anomaly = case != CORRECT
    shifted = rng.random((len(numbers), words)) < np.where(anomaly, 0.02, 0.005)[:, None]
    last = rng.integers(len(tokens) - 100, len(tokens), shifted.shape)
    drawn = np.sort(np.where(shifted, last, rng.integers(0, len(tokens), shifted.shape)), axis=1)
    fresh = np.ones(drawn.shape, dtype=bool)
    fresh[:, 1:] = drawn[:, 1:] != drawn[:, :-1]
    offsets = pa.array(np.concatenate([[0], np.cumsum(fresh.sum(axis=1))]).astype(np.int32))
    counts = pa.array(rng.integers(1, 20, int(fresh.sum())).astype(np.int32))
    pairs = pa.StructArray.from_arrays(
        [tokens.take(pa.array(drawn[fresh])), counts], fields=list(schema.BAG.value_type)
    )
    bag = pa.ListArray.from_arrays(offsets, pairs, type=schema.BAG)
    run = [f"LO2_run_{1_700_000_000 + 1_000 * (number // 500)}" for number in numbers]
    columns: dict[str, object] = {name: rng.integers(1, 1_000, len(numbers)) for name in schema.NUMERIC}
    columns |= {name: pa.nulls(len(numbers), schema.ENHANCED.field(name).type)
                for name in ("start_time", "end_time", "first_exception", "errors_by_logger")}  # fmt: skip
    columns |= {name: bag for name in (*schema.MAIN.values(), schema.STATEMENTS_BAG)} | {
        "seq_id": [f"{r}__{c}__{n:07d}" for r, c, n in zip(run, case, numbers, strict=True)],
        "run": run, "test_case": case, "service": [("token", "user")[number % 2] for number in numbers],
        "normal": ~anomaly, "anomaly": anomaly,
    }  # fmt: skip
    return pa.table({name: columns[name] for name in schema.ENHANCED.names}).cast(schema.ENHANCED)


def _train(root: Path, workers: int, name: str, **options: object) -> TrainSummary:
    """Train from nothing on a cluster that is up; print seconds, peak memory and each model's own figures."""
    chosen = TrainOptions(root=root, workers=workers, resume=False, **options)  # type: ignore[arg-type]
    drop(Layout(root).models)
    with Session(chosen) as session, watch_memory() as peak:
        session.client.wait_for_workers(workers)
        started = time.perf_counter()
        summary = train(chosen, session)
        seconds = time.perf_counter() - started
    largest = format_bytes(peak.largest_child)
    report(name, f"{seconds:.1f} s", f"peak {format_bytes(peak.total)}", f"largest process {largest}")
    for line in summary.models:
        auc = "-" if line.auc_roc is None else f"{line.auc_roc:.3f}"
        report(f"  {line.key}", f"{line.rows:,} rows x {line.features:,} features, fit {line.seconds:.1f} s, AUC {auc}")
    return summary


if __name__ == "__main__":
    main()
