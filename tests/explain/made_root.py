"""Makes what load and train leave, small and with known answers: an output folder that explain can read."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from lo2dask import schema
from lo2dask.features.matrix import Columns, to_matrix, to_sklearn
from lo2dask.models import bundle, fit, registry, score
from lo2dask.models.estimators import Rows
from lo2dask.options import ForestOptions
from lo2dask.storage import write_json
from lo2dask.tables.layout import Layout, part_name
from lo2dask.tables.parts import write_part

TELLTALE = "ERR12011"
TRAINED = {"if_contamination": 0.1, "sup_holdout_fraction": 0.2, "sample_seed": 42}
RUNS, CASES, SERVICES = 12, ("correct", "register_user_400", "get_token_400"), ("token", "user")


def sequences() -> list[dict]:
    """72 sequences; every error case of the user service carries the telltale word, save in the first run."""
    rng = np.random.default_rng(11)
    rows = []
    for run in range(RUNS):
        for case in CASES:
            for service in SERVICES:
                normal = case == "correct"
                words = {f"w{i:02d}": int(rng.integers(1, 5)) for i in rng.choice(40, 14, replace=False)}
                if not normal and run > 0:
                    words[TELLTALE] = 3
                rows.append(row_of(f"run_{run}", case, service, words))
    return sorted(rows, key=lambda row: row["seq_id"])


def row_of(run: str, case: str, service: str, words: dict[str, int]) -> dict:
    normal = case == "correct"
    bag = [{"token": token, "count": count} for token, count in sorted(words.items())]
    row = {name: 1 for name in schema.NUMERIC} | {name: [] for name in schema.BAG_COLUMNS}
    return row | {
        "seq_id": schema.seq_id(run, case, f"oauth2-{service}"),
        "run": run,
        "test_case": case,
        "service": service,
        "normal": normal,
        "anomaly": not normal,
        "seq_len": sum(words.values()),
        "duration_sec": 20 + len(words) % 7,
        "rate": 1.0,
        "e_words": bag,
        "first_exception": "",
        "errors_by_logger": [],
        "start_time": None,
        "end_time": None,
    }


def make_root(root: Path, keys: tuple[str, ...], parts: int, rows: list[dict] | None = None) -> Layout:
    """Write enhanced table, bundles and predictions of some models, cut into parts."""
    layout, table = Layout(root), pa.Table.from_pylist(rows or sequences(), schema.ENHANCED)
    cuts = np.array_split(np.arange(table.num_rows), parts)
    for index, cut in enumerate(cuts):
        write_part(layout.enhanced / part_name(index), table.take(cut), schema.ENHANCED)
    templates = pa.table([[]] * 5, schema=schema.TEMPLATES)
    write_part(layout.templates / part_name(0), templates, schema.TEMPLATES)
    for key in keys:
        add_model(layout, key, table, cuts)
    return layout


def add_model(layout: Layout, key: str, table: pa.Table, cuts: list[np.ndarray]) -> None:
    spec = registry.forest_spec(ForestOptions(if_n_estimators=30)) if key == "if" else registry.spec(key)
    vocabulary = sorted({entry["token"] for bag in table["e_words"].to_pylist() for entry in bag})
    numeric = spec.numeric
    columns = Columns(
        {"words": pa.array(vocabulary)} if "words" in spec.bags else {}, numeric, tuple(1.0 for _ in numeric)
    )
    matrix, anomaly = to_matrix(table, columns), table["anomaly"].to_numpy(zero_copy_only=False)
    held = np.array([run == f"run_{RUNS - 1}" for run in table["run"].to_pylist()])
    fitted = fit.fit_model(spec, matrix[~held], anomaly[~held])
    bundle.save(
        layout.models / f"{key}.joblib",
        {
            "model": fitted.model,
            "vectorizer": to_sklearn(columns),
            "columns": columns.to_plain(),
            "key": key,
            "spec": spec.to_plain(),
            "scoring": fitted.scoring,
            "per_service": False,
            "record": fitted.record.to_plain(),
            "options": TRAINED,
        },
    )
    scores = score.score(fitted.model, fitted.scoring, Rows(matrix))
    made = {
        "pred_ano": pa.array(score.label(scores, fitted.scoring)),
        "score": pa.array(scores),
        "rank": pa.array(score.dense_rank(scores)),
        "split": pa.array(np.where(held, "holdout", "train").tolist()),
    }
    predictions = pa.table({**{name: table[name] for name in schema.KEYS}, **made})
    for index, cut in enumerate(cuts):
        write_part(layout.predictions / key / part_name(index), predictions.take(cut), schema.PREDICTIONS)
    name = "if_metrics" if key == "if" else key
    write_json(layout.measures / f"{name}.json", {"holdout": {"f1": 0.5}})
