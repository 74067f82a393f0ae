"""The size of report.html for the whole published data set: 657,720 sequences, 14 models, thousands flagged.

python benchmarks/report.py            # 1,740 runs x 54 test cases x 7 services
python benchmarks/report.py --quick    # a first look: 40 runs

Scores, flags, explanations and evidence lines are made up, at the lengths that the data set has; the plots are drawn.
Ends with 1 if the page is larger than it may be.
"""

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
from common import report, watch_memory, working_folder

from lo2dask import schema
from lo2dask.commands.report import write_report
from lo2dask.domain import SERVICES
from lo2dask.explanation.artefacts import Artefacts, top_features_text
from lo2dask.explanation.explanations import FINISHED, READ
from lo2dask.explanation.neighbours import LABELLED
from lo2dask.explanation.plots import ShapRow, shap_bar, shap_summary
from lo2dask.explanation.summary import Feature
from lo2dask.memory import format_bytes
from lo2dask.models import bundle, registry
from lo2dask.models.evaluate import Scored, evaluate
from lo2dask.models.score import dense_rank
from lo2dask.options import TrainOptions
from lo2dask.storage import write_json, write_text
from lo2dask.tables.layout import Layout, part_name
from lo2dask.tables.loads import LOAD
from lo2dask.tables.parts import write_part
from lo2dask.tables.records import Key, Stage
from lo2dask.training.bundles import train_options
from lo2dask.training.lines import ModelLine
from lo2dask.training.units import TRAIN

MOST = 15_000_000  # bytes
RUNS, CASES = 1_740, 54
MODELS = ("if", *registry.names())
RUNS_PER_PART = 100
FLAGGED, LINES, FEATURES = 0.02, 8, 10
# A line of LO2 has up to some 700 characters; half of it are shown as escapes when they are not plain.
LINE = "DEBUG com.networknt.handler.made.Speaker say - " + "said <b>much</b> \x1b[31m of this & that; " * 16


def main() -> int:
    """Make the folder, write its report, print the sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="work here and leave it; default: a temporary folder")
    parser.add_argument("--quick", action="store_true", help="40 runs")
    arguments = parser.parse_args()
    with working_folder(arguments.folder) as folder:
        root = folder / "reported"
        started = time.perf_counter()
        rows = make_root(Layout(root), 40 if arguments.quick else RUNS)
        report("made the folder", f"{rows:,} sequences x {len(MODELS)} models in {time.perf_counter() - started:.0f} s")
        with watch_memory() as peak:
            started = time.perf_counter()
            summary = write_report(root)
            seconds = time.perf_counter() - started
        page = summary.html.read_text(encoding="utf-8")
        shown = page.count('<details class="finding"')
        report("report", f"{seconds:.1f} s", f"peak {format_bytes(peak.total)}", f"{shown:,} flagged sequences shown")
        report("report.html (aim at most 15 MB)", f"{summary.html_bytes / 1e6:.2f} MB")
    return int(summary.html_bytes > MOST)


def make_root(layout: Layout, runs: int) -> int:
    """Write sequences, predictions, measures, plots and explanations; return the sequences."""
    rng = np.random.default_rng(5)
    cases = ["correct", *(f"made_up_error_case_{number:02d}_400" for number in range(CASES - 1))]
    keys = [keys_of(range(start, min(start + RUNS_PER_PART, runs)), cases) for start in range(0, runs, RUNS_PER_PART)]
    summary = {"root": "made-up", "options": {}, "done": True, "format": "lo2", "formats": {}, "is_lo2": True}
    Stage(layout, LOAD).commit(Key("made up", ""), [], summary)
    for index, table in enumerate(keys):
        rest = {f.name: pa.nulls(table.num_rows, f.type) for f in schema.SEQUENCES if f.name not in schema.KEYS}
        columns = {name: table[name] for name in schema.KEYS} | rest
        write_part(layout.sequences / part_name(index), pa.table(columns), schema.SEQUENCES)
    write_part(layout.templates / part_name(0), schema.TEMPLATES.empty_table(), schema.TEMPLATES)
    options = train_options(TrainOptions(root=layout.root))
    content = {"masks": [], "raw_tokens": False, "options": options, "model": None, "spec": {}, "key": "if"}
    bundle.save(layout.models / "if.joblib", content)
    lines = [ModelLine(key, True, 1, 1, 0.0, None, None, None, None, None) for key in MODELS]
    Stage(layout, TRAIN).commit(Key("made up", ""), [], {"models": [asdict(line) for line in lines]})
    for key in MODELS:
        (layout.models / f"{key}.joblib").touch()
        make_model(layout, key, keys, rng)
    return sum(table.num_rows for table in keys)


def keys_of(runs: range, cases: list[str]) -> pa.Table:
    """Return the keys of every test case and service of some runs."""
    names = [
        (f"light-oauth2-data-{1_719_592_986 + 3_600 * run}", case, service)
        for run in runs
        for case in cases
        for service in SERVICES
    ]
    run, case, service = (list(column) for column in zip(*names, strict=True))
    normal = np.array([name == "correct" for name in case])
    ids = [f"{r}__{c}__light-oauth2-oauth2-{s}-1" for r, c, s in names]
    columns = {"seq_id": ids, "run": run, "test_case": case, "service": service, "normal": normal, "anomaly": ~normal}
    return pa.table(columns)


def make_model(layout: Layout, key: str, keys: list[pa.Table], rng: np.random.Generator) -> None:
    """Write all that phases D to F leave of one model."""
    table = pa.concat_tables(keys)
    anomaly = table["anomaly"].to_numpy()
    scores = rng.normal(size=len(anomaly)) + 2.0 * anomaly
    flagged = (scores > np.quantile(scores, 1 - FLAGGED)).astype(np.int8)
    rank, split = dense_rank(scores), np.where(rng.random(len(anomaly)) < 0.2, "holdout", "train")
    made = {"pred_ano": flagged, "score": scores, "score_held_out": scores, "rank": rank, "split": split.astype(object)}
    whole = pa.table({name: table[name] for name in schema.KEYS} | made)
    files, start = Artefacts(layout.explainability, key), 0
    for index, part in enumerate(keys):
        rows = whole.slice(start, part.num_rows)
        start += part.num_rows
        write_part(layout.predictions / key / part_name(index), rows, schema.PREDICTIONS)
        chosen = rows.filter(pa.array(rows["pred_ano"].to_numpy() == 1))
        write_part(files.explanations / part_name(index), explanations(chosen), FINISHED)
    measured = evaluate(Scored(anomaly, scores, flagged, whole["service"], whole["test_case"], whole["split"]))
    name = "if_metrics" if key == "if" else key
    write_json(layout.measures / f"{name}.json", measured)
    write_json(files.metrics, measured)
    shap = [ShapRow(f"{LINE[:60]} {n}", 1.0 / (n + 1), 0.5 / (n + 1), rng.normal(size=500), rng.random(500).round())
            for n in range(20)]  # fmt: skip
    features = [Feature(f"{LINE[:120]} {n}", 1.0 / (n + 1), 0.5) for n in range(100)]
    text = top_features_text(key, "made up", (len(anomaly), 0), features)
    for path, data in zip(
        files.plots, (shap_summary(key, shap, "made up"), shap_bar(key, shap, "made up")), strict=True
    ):
        path.write_bytes(data)
    write_text(files.path("top_features.txt"), text)


def explanations(rows: pa.Table) -> pa.Table:
    """Return flagged rows their features, their lines and what differs from the nearest normal: the same for all."""
    line = {
        "path": "lo2/light-oauth2-data-1719592986/made_up_error_case_00_400/light-oauth2-oauth2-token-1.log",
        "line_no": 1_234, "m_timestamp": 1_719_592_986_000, "m_message": LINE, "e_event_drain_id": "e17", "alike": 3,
        "share": 0.25, "novelty": 1.0,
    }  # fmt: skip
    words = [LINE[:100]] * 20
    one = {
        "explained": True, "evidence": READ,
        "features": [{"feature": LINE[:100], "value": 1.0, "shap": 0.5}] * FEATURES,
        "lines": [line] * LINES,
        "nearest_normal": "light-oauth2-data-1719592986__correct__light-oauth2-oauth2-token-1",
        "nearest_type": LABELLED, "similarity": 0.9,
        "words_gained": words, "words_lost": words, "templates_gained": words, "templates_lost": words,
    }  # fmt: skip
    same = pa.array(np.zeros(rows.num_rows, dtype=np.int64))
    columns = {name: pa.array([value], FINISHED.field(name).type).take(same) for name, value in one.items()}
    kept = {name: rows[name] for name in (*schema.KEYS, "score", "rank", "split")}
    made = kept | columns
    return pa.table([made.get(f.name, pa.nulls(rows.num_rows, f.type)) for f in FINISHED], schema=FINISHED)


if __name__ == "__main__":
    sys.exit(main())
