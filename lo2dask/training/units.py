"""What a training trains: units (a model, or a model of one service), the rows they learn from, their columns.

Everything here is small and frozen and names its files by a hash of itself, so that units which learn from the same
rows, or read the same columns, share one vocabulary and one matrix.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.errors import InputError
from lo2dask.features.matrix import Columns
from lo2dask.models.registry import FOREST
from lo2dask.models.spec import ModelSpec, VectorizerSpec
from lo2dask.models.split import Split
from lo2dask.options import fingerprint
from lo2dask.storage import cached_files, source_of
from lo2dask.tables.layout import Layout
from lo2dask.tables.records import StageType
from lo2dask.tables.state import StateType, read_state, write_state
from lo2dask.vocabulary.limits import VocabularyLimits

KEY_COLUMNS = ["seq_id", "run", "test_case", "service", "anomaly", "duration_ms"]
# Name of the registry models' split; the forest has one of its own, by its key.
SUPERVISED = "sup"
BASELINE = "baseline_seq_len"
STARTUP = "baseline_startup"
_FIGURE, _TEXT = (float, type(None)), (str, type(None))
_LINE = {
    **{"key": str, "fitted": bool, "rows": int, "features": int, "seconds": float, "reason": _TEXT, "warning": _TEXT},
    "same_as": _TEXT,
    **dict.fromkeys(("f1", "auc_roc", "average_precision"), _FIGURE),
}
TRAIN = StageType("train", "the training is done again", {"models": [_LINE]})
SPLIT = StateType("split", {"sides": {str: dict}}, "lo2dask train makes it again")


@dataclass(frozen=True)
class TrainingRows:
    """Rows learned from: the training part of the split ``side`` (if or sup), perhaps only normals, or one service."""

    side: str
    normal_only: bool
    service: str = ""

    def mask(self, part: pa.Table, splits: Mapping[str, Split]) -> np.ndarray:
        """Return which rows of a part these are: bool (rows,)."""
        return splits[self.side].training(part, self.normal_only) & of_service(part, self.service)

    @property
    def name(self) -> str:
        """Name the rows by a hash."""
        return fingerprint(asdict(self))


@dataclass(frozen=True)
class Tokens:
    """A vocabulary: the tokens of one bag column over some rows, within a vectoriser's limits."""

    representation: str
    rows: TrainingRows
    limits: VocabularyLimits

    @property
    def counted(self) -> str:
        """Name what is counted; vocabularies that differ in their limits alone share it."""
        return fingerprint([self.representation, asdict(self.rows)])


@dataclass(frozen=True)
class ColumnsKey:
    """The columns of a matrix: vocabularies by representation, and numeric columns scaled over ``rows``."""

    tokens: tuple[Tokens, ...]
    numeric: tuple[str, ...]
    rows: TrainingRows

    @property
    def name(self) -> str:
        """Name the columns by a hash."""
        return fingerprint([[asdict(t) for t in self.tokens], self.numeric, asdict(self.rows) if self.numeric else ""])


@dataclass(frozen=True)
class Unit:
    """One thing to fit: a model on the split ``side``, for all services ("") or one."""

    spec: ModelSpec
    side: str
    service: str = ""

    @property
    def name(self) -> str:
        """Name the unit's files; models that differ in their key alone share them, and are fitted once."""
        return fingerprint([self.spec.identity.to_plain(), self.side]) + (f"@{self.service}" if self.service else "")

    @property
    def rows(self) -> TrainingRows:
        """Return the rows that the model learns from."""
        return TrainingRows(self.side, self.spec.normal_only, self.service)

    @property
    def columns(self) -> ColumnsKey:
        """Return the columns that the model reads; vocabulary and scales are learned from the model's own rows."""
        tokens = tuple(Tokens(name, self.rows, to_limits(self.spec.vectorizer)) for name in self.spec.bags)
        return ColumnsKey(tokens, self.spec.numeric, self.rows)


def split_of(key: str) -> str:
    """Return the name of the split that a model is trained and measured on."""
    return FOREST if key == FOREST else SUPERVISED


def measures_path(folder: Path, key: str) -> Path:
    """Return the file of a model's measures."""
    return folder / f"{'if_metrics' if key == FOREST else key}.json"


def to_limits(vectorizer: VectorizerSpec) -> VocabularyLimits:
    """Turn a vectoriser's spec into a vocabulary's limits."""
    return VocabularyLimits(vectorizer.min_df, vectorizer.max_df, vectorizer.max_features or 0, vectorizer.binary)


def of_service(part: pa.Table, service: str) -> np.ndarray:
    """Return which rows belong to a service ("" = all): bool (rows,)."""
    if not service:
        return np.ones(part.num_rows, dtype=bool)
    return pc.equal(part["service"].cast(pa.string()), service).to_numpy()


def working_folder(layout: Layout) -> Path:
    """Return the folder of what training leaves between its maps; it is removed at the end."""
    return layout.internal / "train"


def read_splits(layout: Layout) -> dict[str, Split]:
    """Read the splits that train made; a worker keeps them, as a hold-out by bucket is a long list.

    Raises
    ------
    InputError : there are none.
    """
    splits = _read_splits(layout.split) if layout.split.is_file() else None
    if splits is None:
        raise InputError(
            f"--root {layout.root}: no model has been trained in it; first: lo2dask train --root {layout.root}"
        )
    return dict(splits)


@cached_files(maxsize=1)
def _read_splits(path: Path) -> Mapping[str, Split] | None:
    state = read_state(path, SPLIT)
    return state and {side: Split.from_json(split) for side, split in state["sides"].items()}


def write_splits(layout: Layout, splits: Mapping[str, Split]) -> None:
    """Write what is held out, by side ("sup", "if"), for the workers and for later commands."""
    write_state(layout.split, SPLIT, {"sides": {side: split.to_json() for side, split in splits.items()}})


@cached_files(maxsize=8)
def read_columns(path: Path) -> Columns:
    """Read the columns of a matrix; a worker keeps the last few.

    A later training writes other columns under the same name, and a worker may live through several.
    """
    import joblib

    return Columns.from_plain(joblib.load(source_of(path)))
