"""Scores every row with every model, part by part, and writes the predictions with their ranks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lo2dask import schema
from lo2dask.buffers.columns import among, strings
from lo2dask.execute.session import Session
from lo2dask.features.matrix import Columns, to_matrix
from lo2dask.models import bundle
from lo2dask.models.merged_rows import read_merged_rows
from lo2dask.models.registry import from_plain
from lo2dask.models.rows import Rows
from lo2dask.models.score import label, score, score_training_normals
from lo2dask.models.spec import ModelSpec
from lo2dask.models.split import Split
from lo2dask.storage import (
    cached_files,
    flushing_together,
    list_paths,
    read_scratch,
    replacing,
    source_of,
    write_scratch,
)
from lo2dask.tables.groups import Group, group_parts
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, prune_parts
from lo2dask.training.units import (
    KEY_COLUMNS,
    TrainingRows,
    of_service,
    read_columns,
    read_splits,
    working_folder,
)


@dataclass(frozen=True)
class FittedModel:
    """One model of a bundle, for all services ("") or one."""

    service: str
    model: Any
    columns: Columns
    scoring: Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """A model to score with: its bundle, and the split that its predictions name."""

    key: str
    path: Path
    side: str
    batch: int


@dataclass(frozen=True)
class Fold:
    """A model's fit without some runs: these, and its files with their services and columns (None: in the file)."""

    runs: frozenset[str]
    units: tuple[tuple[Path, str, Path | None], ...]

    def read(self) -> list[FittedModel]:
        """Read the models; a worker keeps them."""
        return [_read_fold(path, service, columns) for path, service, columns in self.units]


@dataclass(frozen=True)
class LeftOut:
    """The folds of the model ``key``; ``every``: they score all rows of their runs, not training normals alone."""

    key: str
    every: bool
    folds: tuple[Fold, ...]


def list_fitted(content: Mapping[str, Any]) -> list[FittedModel]:
    """List the models of a bundle; those that could not be fitted are left out."""
    models, columns, scoring = (by_service(content, name) for name in ("model", "columns", "scoring"))
    return [
        FittedModel(service, model, Columns.from_plain(columns[service]), scoring[service])
        for service, model in models.items()
        if model is not None
    ]


def by_service(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return one entry of a bundle by service ("" = all services)."""
    return dict(content[name]) if content["per_service"] else {"": content[name]}


@cached_files(maxsize=32)
def read_bundle(path: Path) -> tuple[ModelSpec, tuple[FittedModel, ...]]:
    """Read a bundle once per worker."""
    content = bundle.load(path)
    return from_plain(content["spec"]), tuple(list_fitted(content))


def score_part_rows(
    part: pa.Table, spec: ModelSpec, models: Sequence[FittedModel], batch: int, calibrating: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Score the rows of an enhanced part: (score float64, NaN where no model is for the row's service; label int8).

    ``calibrating`` scores training normals as runs are calibrated on them (see ``score.score_training_normals``).
    """
    how = score_training_normals if calibrating else score
    scores = np.full(part.num_rows, np.nan)
    labels = np.zeros(part.num_rows, dtype=np.int8)
    for model in models:
        rows = np.flatnonzero(of_service(part, model.service))
        chosen = part.take(pa.array(rows))
        if spec.is_merged:
            read = read_merged_rows(chosen, model.columns)
        else:
            read = Rows(to_matrix(chosen, model.columns, spec.is_binary))
        scores[rows] = how(spec, model.model, model.scoring, read, batch)
        labels[rows] = label(scores[rows], model.scoring)
    return scores, labels


def score_all(layout: Layout, targets: Sequence[Target], session: Session, left_out: Sequence[LeftOut] = ()) -> None:
    """Score all parts with all models; scores and labels are kept below the working folder.

    Where a model was fitted in folds (``left_out``), what runs are calibrated on are the scores of training normals by
    the models that have not seen their run. A split that holds nothing out is measured by such scores of all rows,
    which are kept under :func:`held_key`. One reading of a group of parts serves all models and folds.
    """
    folds = {out.key: out for out in left_out}
    session.map(
        score_group, group_parts(layout.enhanced), "score", root=layout.root, targets=list(targets), left_out=folds
    )


def held_key(key: str) -> str:
    """Return the key that a model's scores of left-out runs are kept under; NaN where no model was fitted."""
    return f"{key}~held"


def score_group(group: Group, root: Path, targets: Sequence[Target], left_out: Mapping[str, LeftOut]) -> int:
    """Score a group of parts with all models and their folds."""
    layout = Layout(root)
    loaded = [read_bundle(target.path) for target in targets]
    folded = {key: [(fold.runs, fold.read()) for fold in out.folds] for key, out in left_out.items()}
    every = [model for _, models in loaded for model in models]
    every += [model for folds in folded.values() for _, models in folds for model in models]
    part = group.read(layout.enhanced, [*KEY_COLUMNS, *sorted({n for m in every for n in m.columns.needed})])
    splits = read_splits(layout)
    for target, (spec, models) in zip(targets, loaded, strict=True):
        scores, labels = score_part_rows(part, spec, models, target.batch)
        normals = TrainingRows(target.side, normal_only=True)
        calibrating = _calibrating(part, normals, splits, (spec, models, target.batch), scores)
        out = left_out.get(target.key)
        if out:
            wanted = TrainingRows(target.side, normal_only=not out.every).mask(part, splits)
            held, held_labels = _score_folds(part, wanted, (spec, folded[target.key], target.batch))
            if not spec.behaviour.score_normals:
                calibrating = np.where(np.isnan(held), calibrating, held)
            if out.every:
                keep_scores(layout, held_key(target.key), group, (held, held_labels, held))
        keep_scores(layout, target.key, group, (scores, labels, calibrating))
    return part.num_rows


def _score_folds(
    part: pa.Table,
    wanted: np.ndarray,
    scored: tuple[ModelSpec, Sequence[tuple[frozenset[str], list[FittedModel]]], int],
) -> tuple[np.ndarray, np.ndarray]:
    """Score the wanted rows, each by the models that have not seen its run; return scores (NaN elsewhere), labels."""
    spec, folds, batch = scored
    scores, labels = np.full(part.num_rows, np.nan), np.zeros(part.num_rows, dtype=np.int8)
    for runs, models in folds:
        chosen = wanted & among(strings(part["run"]), sorted(runs))
        if chosen.any():
            scores[chosen], labels[chosen] = score_part_rows(part.filter(pa.array(chosen)), spec, models, batch)
    return scores, labels


@cached_files(maxsize=512)
def _read_fold(path: Path, service: str, columns: Path | None) -> FittedModel:
    if columns is None:
        unit = read_scratch(path)
        return FittedModel(service, unit["model"], Columns.from_plain(unit["columns"]), unit["scoring"])
    model, scoring = read_scratch(path)
    return FittedModel(service, model, read_columns(columns), scoring)


def keep_scores(layout: Layout, key: str, group: Group, columns: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Keep a model's scores, labels and calibrating scores of a group below the working folder."""
    with (
        replacing(_scores(layout, key) / f"{group.name}.npy", durable=False) as temporary,
        open(temporary, "wb") as file,
    ):
        np.save(file, np.stack([column.astype(np.float64) for column in columns]))


def _calibrating(
    part: pa.Table,
    rows: TrainingRows,
    splits: Mapping[str, Split],
    scored: tuple[ModelSpec, Sequence[FittedModel], int],
    scores: np.ndarray,
) -> np.ndarray:
    """Return the scores that runs are calibrated on: those of training normals may differ from their scores."""
    spec, models, batch = scored
    if spec.behaviour.score_normals is None:
        return scores
    result, normal = scores.copy(), rows.mask(part, splits)
    result[normal] = score_part_rows(part.filter(pa.array(normal)), spec, models, batch, calibrating=True)[0]
    return result


def has_scores(layout: Layout, key: str) -> bool:
    """Return whether scores are kept under a key."""
    return bool(list_paths(_scores(layout, key), ".npy"))


def read_scores(layout: Layout, key: str) -> np.ndarray:
    """Read a model's scores of all rows, in the order of the parts."""
    return _read(layout, key)[0]


def read_labels(layout: Layout, key: str) -> np.ndarray:
    """Read a model's labels of all rows, in the order of the parts: int8."""
    return _read(layout, key)[1].astype(np.int8)


def read_calibrating(layout: Layout, key: str) -> np.ndarray:
    """Read the scores of all rows that runs are calibrated on, in the order of the parts."""
    return _read(layout, key)[2]


def read_group_scores(layout: Layout, key: str, group: Group) -> np.ndarray:
    """Read a model's scores, labels and calibrating scores of a group: float64 (3, rows)."""
    return _load(_scores(layout, key) / f"{group.name}.npy")


def _read(layout: Layout, key: str) -> np.ndarray:
    return np.concatenate([_load(path) for path in list_paths(_scores(layout, key), ".npy")], axis=1)


def _load(path: Path) -> np.ndarray:
    scores: np.ndarray = np.load(source_of(path))
    return scores


def write_predictions(layout: Layout, targets: Sequence[Target], session: Session) -> None:
    """Write each model's predictions, with the dense rank over all rows, highest score first."""
    for target in targets:
        values = np.unique(read_scores(layout, target.key))
        write_scratch(_distinct(layout, target.key), values[~np.isnan(values)])
    session.map(predict_group, group_parts(layout.enhanced), "predict", root=layout.root, targets=list(targets))
    for target in targets:
        prune_parts(layout.predictions / target.key, [path.name for path in part_paths(layout.enhanced)])


def predict_group(group: Group, root: Path, targets: Sequence[Target]) -> int:
    """Write the predictions of all models for a group of parts (schema.PREDICTIONS)."""
    layout = Layout(root)
    keys = group.read(layout.enhanced, schema.KEYS)
    splits = read_splits(layout)
    with flushing_together():
        for target in targets:
            scores, labels, held_out = read_group_scores(layout, target.key, group)
            distinct = read_scratch(_distinct(layout, target.key))
            held = splits[target.side].mask(keys["run"], keys["test_case"], keys["service"])
            # Where no model was fitted there is no score, and so neither label nor rank.
            missing = np.isnan(scores)
            ranks = (len(distinct) - np.searchsorted(distinct, scores)).astype(np.int64)
            columns = {column: keys[column] for column in schema.KEYS} | {
                "pred_ano": pa.array(labels.astype(np.int8), mask=missing),
                "score": pa.array(scores, mask=missing),
                "score_held_out": pa.array(held_out, mask=missing | np.isnan(held_out)),
                "rank": pa.array(ranks, mask=missing),
                "split": pa.array(np.where(missing, "unused", np.where(held, "holdout", "train"))),
            }
            group.write(layout.predictions / target.key, pa.table(columns), schema.PREDICTIONS)
    return keys.num_rows


def _scores(layout: Layout, key: str) -> Path:
    return working_folder(layout) / "scores" / key


def _distinct(layout: Layout, key: str) -> Path:
    return _scores(layout, key) / "distinct.pickle"
