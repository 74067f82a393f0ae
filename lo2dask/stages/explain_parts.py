"""One model and one part of its rows, as the tasks of phase F read them."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lo2dask.errors import IntegrityError
from lo2dask.explain.shap_values import Explainer, make_explainer
from lo2dask.features.matrix import Columns, to_matrix
from lo2dask.models import bundle
from lo2dask.models.sample import hashes
from lo2dask.models.text import strings
from lo2dask.report.artefacts import Artefacts
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part

Group = tuple[str, ...]  # names of parts, in order
Ids = npt.NDArray[np.object_]

# Each group of parts gives one summary; so many are held at once when they are merged.
GROUPS = 64


@dataclass(frozen=True)
class Subject:
    """One model to explain, small enough to travel with every task.

    ``kind`` is ``linear``, ``tree`` or None; ``bundle`` the file; ``trust`` loads it without a look at its hash.
    """

    root: Path
    key: str
    bundle: Path
    kind: str | None
    binary: bool
    seed: int
    trust: bool = False

    @property
    def layout(self) -> Layout:
        """Paths below the output folder."""
        return Layout(self.root)

    @property
    def artefacts(self) -> Artefacts:
        """Names of this model's files."""
        return Artefacts(self.layout.explainability, self.key)


@dataclass(frozen=True)
class Part:
    """One part: predictions beside the rows of the feature matrix."""

    name: str
    predictions: pa.Table
    matrix: sparse.csr_matrix
    seed: int

    @functools.cached_property
    def ids(self) -> Ids:
        """seq_id of each row."""
        return np.asarray(strings(self.predictions["seq_id"]).to_pylist(), dtype=object)

    @functools.cached_property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """Seeded hash of each row's seq_id."""
        return hashes(self.ids.tolist(), self.seed)

    @property
    def ranks(self) -> npt.NDArray[np.int64]:
        """Rank of each row by score; 1 is the most anomalous."""
        return self.predictions["rank"].to_numpy()

    @property
    def flagged(self) -> npt.NDArray[np.bool_]:
        """Whether the model flags the row."""
        return self.predictions["pred_ano"].to_numpy() == 1

    @property
    def training(self) -> npt.NDArray[np.bool_]:
        """Whether the row is in the training part."""
        return pc.equal(strings(self.predictions["split"]), "train").to_numpy(zero_copy_only=False).astype(bool)


def read_parts_of(group: Group, subject: Subject) -> Iterator[Part]:
    """Read predictions and feature rows of some parts, one at a time.

    Raises
    ------
    IntegrityError : predictions and enhanced table have other sequences.
    """
    layout, columns = subject.layout, columns_of(subject)
    for name in group:
        predictions = read_part(layout.predictions / subject.key / name)
        enhanced = read_part(layout.enhanced / name, ["seq_id", *columns.needed])
        if not strings(predictions["seq_id"]).equals(strings(enhanced["seq_id"])):
            raise IntegrityError(
                f"{layout.predictions / subject.key / name} and {layout.enhanced / name} have other sequences; "
                "run lo2dask train again"
            )
        yield Part(name, predictions, to_matrix(enhanced, columns, subject.binary), subject.seed)


def group_parts(subject: Subject) -> list[Group]:
    """Cut the parts of a model's predictions into at most :data:`GROUPS` groups of neighbours."""
    names = [path.name for path in part_paths(subject.layout.predictions / subject.key)]
    size = -(-len(names) // GROUPS) or 1
    return [tuple(names[start : start + size]) for start in range(0, len(names), size)]


def explainer_of(subject: Subject, mean: npt.NDArray[np.float64] | None) -> Explainer:
    """Make the explainer of a model, against the mean background row."""
    content = _content(subject.bundle, subject.bundle.stat().st_mtime_ns, subject.trust)
    return make_explainer(subject.kind or "", content["model"], mean)


def columns_of(subject: Subject) -> Columns:
    """Give the columns of a model's matrix."""
    return _read_columns(subject.bundle, subject.bundle.stat().st_mtime_ns, subject.trust)


@functools.lru_cache(maxsize=1)
def _content(path: Path, changed: int, trust: bool) -> dict[str, Any]:
    return bundle.load(path, trust)


@functools.lru_cache(maxsize=1)
def _read_columns(path: Path, changed: int, trust: bool) -> Columns:
    return Columns.from_plain(_content(path, changed, trust)["columns"])
