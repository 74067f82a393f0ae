"""Makes what load and train leave, small and with known answers: an output folder that explain can read."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from lo2dask.commands.load import load
from lo2dask.execute.session import Session
from lo2dask.features.matrix import Columns, to_matrix, to_sklearn
from lo2dask.models import bundle, fit, registry, score
from lo2dask.models.rows import Rows
from lo2dask.options import ForestOptions, LoadOptions
from lo2dask.schema import KEYS, PREDICTIONS
from lo2dask.storage import write_json
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part, write_part

TELLTALE = "ERR12011"
RUNS, CASES, SERVICES = 12, ("correct", "register_user_400", "get_token_400"), ("token", "user")
RUN = "light-oauth2-data-17195{:05d}"
FIRST_RUN, LAST_RUN = RUN.format(0), RUN.format(1000 * (RUNS - 1))
TRAINED = {"if_contamination": 0.1, "sup_holdout_fraction": 0.2, "sample_seed": 42}


def write_tree(root: Path, hostile: str = "") -> Path:
    """Write 72 logs; every error case carries the telltale word, save in the first run.

    ``hostile`` is text that the error cases log next to it.
    """
    rng = np.random.default_rng(11)
    for number in range(RUNS):
        run = RUN.format(1000 * number)
        for case in CASES:
            for service in SERVICES:
                words = [f"w{i:02d}" for i in rng.choice(40, 14, replace=False) for _ in range(rng.integers(1, 5))]
                lines = [f"DEBUG com.networknt.made.Speaker say - said {word}" for word in words]
                if case != "correct" and run != FIRST_RUN:
                    lines += [f"ERROR com.networknt.made.Handler fail - answered {TELLTALE}{hostile}"] * 3
                path = root / run / case / f"light-oauth2-oauth2-{service}-1.log"
                path.parent.mkdir(parents=True, exist_ok=True)
                head = "12:34:{:02d}.{:03d} [XNIO-1 task-1]  abcdefghijklmnopqrst-_ "
                text = (head.format(i // 9, i) + line for i, line in enumerate(lines))
                path.write_text("".join(f"{line}\n" for line in text))
    return root


def make_root(root: Path, keys: tuple[str, ...], parts: int, hostile: str = "", **loading: object) -> Layout:
    """Load a made tree in about so many parts, and add the bundles and predictions of some models."""
    tree = write_tree(root / "tree", hostile)
    total = sum(path.stat().st_size for path in tree.rglob("*.log"))
    size = f"{total // parts + 3000}B"
    load(LoadOptions(root=tree, output_dir=root / "out", partition_size=size, **loading), Session.serial())
    layout = Layout(root / "out")
    for key in keys:
        add_model(layout, key)
    return layout


def add_model(layout: Layout, key: str) -> None:
    """Fit a model on all runs but the last, as train would, and write its bundle, predictions and measures."""
    spec = registry.forest_spec(ForestOptions(if_n_estimators=30)) if key == "if" else registry.spec(key)
    names = [path.name for path in part_paths(layout.enhanced)]
    pieces = [read_part(layout.enhanced / name) for name in names]
    table = pa.concat_tables(pieces).unify_dictionaries()
    vocabulary = sorted({entry["token"] for bag in table["e_words"].to_pylist() for entry in bag})
    tokens = {"words": pa.array(vocabulary)} if "words" in spec.bags else {}
    columns = Columns(tokens, spec.numeric, tuple(1.0 for _ in spec.numeric))
    matrix, anomaly = to_matrix(table, columns), table["anomaly"].to_numpy()
    held = np.array([run == LAST_RUN for run in table["run"].to_pylist()])
    fitted = fit.fit_model(spec, matrix[~held], anomaly[~held])
    content = {
        "model": fitted.model,
        "vectorizer": to_sklearn(columns),
        "columns": columns.to_plain(),
        "key": key,
        "spec": spec.to_plain(),
        "scoring": fitted.scoring,
        "per_service": False,
        "record": fitted.record.to_plain(),
        "options": TRAINED,
        "masks": masks(),
        "raw_tokens": False,
    }
    bundle.save(layout.models / f"{key}.joblib", content)
    scores = score.score(spec, fitted.model, fitted.scoring, Rows(matrix))
    made = {
        "pred_ano": pa.array(score.label(scores, fitted.scoring)),
        "score": pa.array(scores),
        "score_held_out": pa.array(scores),
        "rank": pa.array(score.dense_rank(scores)),
        "split": pa.array(np.where(held, "holdout", "train").tolist()),
    }
    predictions = pa.table({**{name: table[name] for name in KEYS}, **made})
    start = 0
    for name, piece in zip(names, pieces, strict=True):
        write_part(layout.predictions / key / name, predictions.slice(start, piece.num_rows), PREDICTIONS)
        start += piece.num_rows
    write_json(layout.measures / ("if_metrics.json" if key == "if" else f"{key}.json"), {"holdout": {"f1": 0.5}})


def masks() -> list[list[str]]:
    """Return the built-in masks as a bundle keeps them."""
    from lo2dask.features.masks import load_masks

    return [[mask.name, mask.pattern, mask.replacement] for mask in load_masks(None)]
