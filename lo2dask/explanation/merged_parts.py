"""One model and some parts of its rows, as the tasks of an explanation read them."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lo2dask.buffers.columns import strings
from lo2dask.errors import IntegrityError
from lo2dask.explanation.artefacts import Artefacts
from lo2dask.explanation.draw import Ids
from lo2dask.explanation.shap_values import Explainer, make_explainer
from lo2dask.features.matrix import Columns, to_matrix
from lo2dask.models import bundle
from lo2dask.models.sample import hashes
from lo2dask.storage import cached_files, remove_tree, source_of, status
from lo2dask.tables import groups
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part
from lo2dask.training.units import of_service

Names = tuple[str, ...]  # of consecutive parts, which a task takes

DESCRIPTION = "spec.json"  # of a model's bundle, kept from one explanation to the next
# Each task gives one summary; so many are held at once when they are merged.
TASKS = 64
# A task takes parts of so many bytes of the enhanced table, so that tiny parts make no map of tiny tasks.
TASK_BYTES = 2_000_000


@dataclass(frozen=True)
class Subject:
    """One fitted model to explain, small enough to travel with every task.

    ``service`` is the service of a model per service, else empty; ``explainer`` is ``linear``, ``tree`` or None (no
    explainer); ``predictions`` is the folder of the model's predictions, part for part those of the enhanced table.
    """

    root: Path
    key: str
    service: str
    bundle: Path
    predictions: Path
    explainer: str | None
    binary: bool
    seed: int

    @property
    def layout(self) -> Layout:
        """Paths below the output folder."""
        return Layout(self.root)

    @property
    def artefacts(self) -> Artefacts:
        """Names of this model's files."""
        return Artefacts(self.layout.explainability, self.key)

    @property
    def label(self) -> str:
        """Name the model in progress and logs."""
        return f"{self.key} ({self.service})" if self.service else self.key

    def part_name(self, name: str) -> str:
        """Return the name of what is made from a part; models of several services get names of their own."""
        return f"{Path(name).stem}-{self.service}.parquet" if self.service else name

    def scratch(self, name: str) -> Path:
        """Return the path of a file that one map leaves for the next."""
        return self.layout.internal / "explain" / self.key / (f"{self.service}-{name}" if self.service else name)

    def clear_scratch(self) -> None:
        """Remove what the maps of this model, of all its services, left for one another."""
        for path in (self.layout.internal / "explain" / self.key).glob("*"):
            if path.is_dir():
                remove_tree(path)
            elif path.name != DESCRIPTION:
                path.unlink()

    def read_predictions(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read one part of the predictions, or some columns (service among them): the rows of this model's service."""
        table = read_part(self.predictions / name, columns)
        return table.filter(pa.array(of_service(table, self.service))) if self.service else table


@dataclass(frozen=True)
class Rows:
    """The rows of some parts: predictions next to the rows of the feature matrix.

    ``parts`` are the names of what is made from each part, with its rows of this model.
    """

    parts: groups.Group
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
        """Rank of each row by score; 1 is the most anomalous, 0 a row without a score."""
        return self.predictions["rank"].fill_null(0).to_numpy()

    @property
    def flagged(self) -> npt.NDArray[np.bool_]:
        """Whether the model flags the row; it flags none that it does not score."""
        return self.predictions["pred_ano"].fill_null(0).to_numpy() == 1

    @property
    def training(self) -> npt.NDArray[np.bool_]:
        """Whether the row is in the training part."""
        return pc.equal(strings(self.predictions["split"]), "train").to_numpy(zero_copy_only=False).astype(bool)


def read_rows_of(names: Names, subject: Subject) -> Iterator[Rows]:
    """Read predictions and feature rows of some parts, about as many rows at a time as a group of a table has.

    Raises
    ------
    IntegrityError : predictions and enhanced table have other sequences.
    """
    layout, columns = subject.layout, columns_of(subject)
    for some in groups.group_parts(layout.enhanced, names):
        tables = [subject.read_predictions(name) for name in some.names]
        predictions = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
        enhanced = some.read(layout.enhanced, dict.fromkeys(["seq_id", "service", *columns.needed]))
        enhanced = enhanced.filter(pa.array(of_service(enhanced, subject.service)))
        if not strings(predictions["seq_id"]).equals(strings(enhanced["seq_id"])):
            raise IntegrityError(
                f"{subject.predictions} and {layout.enhanced} have other sequences in {', '.join(some.names)}; "
                "run lo2dask train again"
            )
        parts = groups.Group(tuple(map(subject.part_name, some.names)), tuple(one.num_rows for one in tables))
        yield Rows(parts, predictions, to_matrix(enhanced, columns, subject.binary), subject.seed)


def deal_parts(subject: Subject) -> list[Names]:
    """Deal consecutive parts of a model's predictions to tasks: at most :data:`TASKS`, about equal in bytes."""
    names = [path.name for path in part_paths(subject.predictions)]
    sizes = {path.name: status(path).st_size for path in part_paths(subject.layout.enhanced)}
    return deal_consecutive(names, [sizes.get(name, 0) for name in names], TASKS, TASK_BYTES)


def deal_consecutive(names: Sequence[str], sizes: Sequence[int], tasks: int, least: int) -> list[Names]:
    """Deal consecutive parts to tasks: to at most ``tasks``, of at least ``least`` bytes where there are so many.

    A part belongs to the task that its middle byte lies in, so that none but the largest part makes one large.
    """
    total = sum(sizes)
    wanted = max(1, min(tasks, total // max(least, 1)))
    dealt: dict[int, list[str]] = {}
    done = 0
    for name, size in zip(names, sizes, strict=True):
        middle = (2 * done + size) * wanted // (2 * total) if total else 0
        dealt.setdefault(min(middle, wanted - 1), []).append(name)
        done += size
    return [tuple(names) for _, names in sorted(dealt.items())]


def explainer_of(subject: Subject, mean: Path | None) -> Explainer:
    """Return the explainer of a model, against the mean background row in a file; it is made once a process."""
    return _explainer(subject.bundle, subject.service, subject.explainer or "", mean)


def columns_of(subject: Subject) -> Columns:
    """Return the columns of a model's matrix."""
    return _columns(subject.bundle, subject.service)


@cached_files(maxsize=1)
def _explainer(path: Path, service: str, kind: str, mean: Path | None) -> Explainer:
    row = None if mean is None else np.load(source_of(mean))
    return make_explainer(kind, _of_service(path, service, "model"), row)


@cached_files(maxsize=4)
def _columns(path: Path, service: str) -> Columns:
    return Columns.from_plain(_of_service(path, service, "columns"))


def _of_service(path: Path, service: str, name: str) -> Any:
    content = _content(path)
    return content[name][service] if content["per_service"] else content[name]


@cached_files(maxsize=1)
def _content(path: Path) -> dict[str, Any]:
    return bundle.load(path)
