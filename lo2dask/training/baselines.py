"""The model of the leakage line that sees the start-up lines alone, which trimming keeps from all other models.

It is a logistic regression on the distinct words of each log's first lines, fitted on a seeded sample of the training
part and applied to every sequence part by part.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from lo2dask import schema
from lo2dask.buffers.columns import is_true
from lo2dask.execute.session import Session
from lo2dask.features.bags import read_counts
from lo2dask.features.matrix import Columns, to_matrix
from lo2dask.models import registry, sample
from lo2dask.models.fit import fit_model
from lo2dask.models.spec import Setup
from lo2dask.storage import list_paths, read_scratch, write_scratch
from lo2dask.tables.groups import Group, group_parts
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import count_rows, part_paths
from lo2dask.training.scoring import FittedModel, keep_scores, score_part_rows
from lo2dask.training.units import KEY_COLUMNS, STARTUP, TrainingRows, read_splits, to_limits, working_folder
from lo2dask.vocabulary.counts import count_tokens
from lo2dask.vocabulary.limits import choose

_SAMPLED = pa.schema(
    [pa.field("seq_id", pa.string()), pa.field("anomaly", pa.bool_()), pa.field("e_words", schema.BAG)]
)
# Start-up lines are few and alike: more rows would teach nothing more.
SAMPLE_ROWS = 20_000


def score_startup(layout: Layout, sides: Sequence[str], seed: int, session: Session) -> dict[str, str]:
    """Fit and score the model on start-up lines for each split; return its key by side, none where it cannot be had."""
    names = [path.name for path in part_paths(layout.enhanced)]
    if [path.name for path in part_paths(layout.startup)] != names:
        return {}
    groups = group_parts(layout.enhanced)
    rate = min(1.0, SAMPLE_ROWS / max(count_rows(layout.enhanced), 1))
    session.map(sample_startup, groups, "start-up lines", root=layout.root, sides=sides, rate=rate, seed=seed)
    fitted = session.map(fit_startup, list(sides), "start-up fit", root=layout.root, seed=seed)
    keys = {side: f"{STARTUP}_{side}" for side, is_fitted in zip(sides, fitted, strict=True) if is_fitted}
    if keys:
        session.map(score_startup_group, groups, "start-up scores", root=layout.root, keys=keys)
    return keys


def sample_startup(group: Group, root: Path, sides: Sequence[str], rate: float, seed: int) -> int:
    """Draw a group's training rows of each side by their seq_id, and keep their start-up words."""
    layout = Layout(root)
    splits, part = read_splits(layout), _read(layout, group)
    ids = part["seq_id"].cast(pa.string()).to_pylist()
    drawn = sample.keep(ids, rate, seed)
    for side in sides:
        rows = TrainingRows(side, normal_only=False).mask(part, splits) & drawn
        write_scratch(
            _folder(layout, side) / f"{group.name}.pickle",
            part.filter(pa.array(rows)).select(["seq_id", "anomaly", "e_words"]),
        )
    return part.num_rows


def fit_startup(side: str, root: Path, seed: int) -> bool:
    """Fit the model of one side on the sample; return whether that was possible."""
    layout = Layout(root)
    folder = _folder(layout, side)
    tables = [read_scratch(path) for path in list_paths(folder, ".pickle")]
    rows = pa.concat_tables(table.cast(_SAMPLED) for table in tables).sort_by("seq_id")
    spec = registry.startup_baseline()
    vocabulary = choose(count_tokens(read_counts(rows["e_words"])), to_limits(spec.vectorizer), rows.num_rows)
    columns = Columns({"words": vocabulary["token"].combine_chunks()})
    fitted = fit_model(spec, to_matrix(rows, columns), is_true(rows["anomaly"]), Setup(seed=seed))
    write_scratch(folder / "model", (fitted.model, columns.to_plain(), fitted.scoring))
    return fitted.model is not None


def score_startup_group(group: Group, root: Path, keys: dict[str, str]) -> int:
    """Score a group of parts with the model of each side."""
    layout = Layout(root)
    part = _read(layout, group)
    for side, key in keys.items():
        model, columns, scoring = read_scratch(_folder(layout, side) / "model")
        models = [FittedModel("", model, Columns.from_plain(columns), scoring)]
        scores, labels = score_part_rows(part, registry.startup_baseline(), models, part.num_rows + 1)
        keep_scores(layout, key, group, (scores, labels, scores))
    return part.num_rows


def _read(layout: Layout, group: Group) -> pa.Table:
    """Read the keys of a group with the words of its start-up lines in place of its own."""
    keys = group.read(layout.enhanced, KEY_COLUMNS)
    startup: Any = group.read(layout.startup, ["e_words"])["e_words"]
    return keys.append_column("e_words", startup)


def _folder(layout: Layout, side: str) -> Path:
    return working_folder(layout) / "startup" / side
