"""Phase F at size: SHAP values of XGBoost and of a linear model, and nearest normals, of 100,000 x 40,000.

python benchmarks/explain.py            # 100,000 sequences x 40,000 words, 300 words a sequence, 2 workers
python benchmarks/explain.py --quick    # a first look: 5,000 x 4,000

The table is made directly and holds no logs, so the evidence map finds no line and only its other half is measured.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from common import report, watch_memory, working_folder
from scipy import sparse
from train import make_table

from lo2dask import schema
from lo2dask.commands.explain import ExplainSummary, explain
from lo2dask.execute.session import Session
from lo2dask.features.matrix import Columns, to_matrix
from lo2dask.memory import format_bytes, measure
from lo2dask.models import bundle, fit, registry, score
from lo2dask.models.rows import Rows
from lo2dask.options import ExplainOptions
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part, write_part

KEYS = ("event_lr_words", "event_xgb_words")
SOURCE = "event_lr_words"
NEIGHBOURS = 1_000
# Rows that the models are fitted on: how good they are is not the question here.
FITTED_ROWS = 30_000
# The source flags this share, so that it has enough sequences to seek neighbours for, and normals to find.
FLAGGED = 0.07


def main() -> None:
    """Measure and print, each figure next to its aim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="work here and leave it; default: a temporary folder")
    parser.add_argument("--quick", action="store_true", help="5,000 sequences x 4,000 words")
    arguments = parser.parse_args()
    rows, width = (5_000, 4_000) if arguments.quick else (100_000, 40_000)
    print(f"memory: {measure()} of all processes together")
    with working_folder(arguments.folder) as folder:
        root = folder / f"explained-{rows}-{width}"
        if not root.exists():
            started = time.perf_counter()
            make_table(root, rows, width, bags=("e_words",))
            make_models(Layout(root), width)
            report("made the table and two models", f"{rows:,} x {width:,} in {time.perf_counter() - started:.0f} s")
        explain_all(root, arguments.workers)


def make_models(layout: Layout, width: int) -> None:
    """Fit both models on the first rows, and write bundles and predictions as train does."""
    columns = Columns({"words": pa.array([f"w{number:05d}" for number in range(width)])})
    tables = [read_part(path, [*schema.KEYS, "e_words"]) for path in part_paths(layout.enhanced)]
    matrix = sparse.vstack([to_matrix(table, columns) for table in tables], format="csr")
    anomaly = np.concatenate([table["anomaly"].to_numpy() for table in tables])
    keys = [table.select(schema.KEYS) for table in tables]
    for key in KEYS:
        spec = registry.spec(key)
        fitted = fit.fit_model(spec, matrix[:FITTED_ROWS], anomaly[:FITTED_ROWS])
        content = {
            "key": key, "spec": spec.to_plain(), "per_service": False, "model": fitted.model, "vectorizer": None,
            "columns": columns.to_plain(), "scoring": fitted.scoring, "record": fitted.record.to_plain(),
            "options": {}, "masks": [], "raw_tokens": False,
        }  # fmt: skip
        bundle.save(layout.models / f"{key}.joblib", content)
        write_scores(layout, key, keys, score.score(spec, fitted.model, fitted.scoring, Rows(matrix)))


def write_scores(layout: Layout, key: str, tables: list[pa.Table], scores: np.ndarray) -> None:
    """Write a model's predictions part by part, the highest scores flagged."""
    rank = score.dense_rank(scores)
    flagged = np.zeros(len(scores), dtype=np.int8)
    flagged[np.argsort(rank, kind="stable")[: int(FLAGGED * len(scores))]] = 1
    start = 0
    for path, table in zip(part_paths(layout.enhanced), tables, strict=True):
        rows = slice(start, start + table.num_rows)
        start += table.num_rows
        made: dict[str, Any] = {"pred_ano": flagged[rows], "score": scores[rows], "rank": rank[rows]}
        made |= {"score_held_out": scores[rows], "split": ["train"] * table.num_rows}
        columns = {name: table[name] for name in schema.KEYS} | made
        write_part(layout.predictions / key / path.name, pa.table(columns), schema.PREDICTIONS)


def explain_all(root: Path, workers: int) -> ExplainSummary:
    """Explain both models on a cluster that is up; print the seconds of each map and the peak memory."""
    options = ExplainOptions(
        root=root, workers=workers, skip_if=True, nn_source=SOURCE, nn_top_k=NEIGHBOURS, resume=False
    )
    ended: dict[str, float] = {}
    with Session(options) as session, watch_memory() as peak:
        session.client.wait_for_workers(workers)
        session.listeners.append(lambda label, *_: ended.update({label: time.perf_counter()}))
        started = time.perf_counter()
        summary = explain(options, session)
        seconds = time.perf_counter() - started
    for model in summary.models:
        report(f"  {model.model}", f"{model.rows:,} rows x {model.features:,} features, {model.flagged:,} flagged")
    before = started
    for label, when in sorted(ended.items(), key=lambda item: item[1]):
        aim = f"{NEIGHBOURS:,} flagged against all normals (aim 60 s)" if label.endswith("neighbours") else ""
        report(f"  {label}", f"{when - before:7.1f} s", aim)
        before = when
    report("explain, all of it (aim 3 GB)", f"{seconds:.1f} s", f"peak {format_bytes(peak.total)}",
           f"largest process {format_bytes(peak.largest_child)}")  # fmt: skip
    return summary


if __name__ == "__main__":
    main()
