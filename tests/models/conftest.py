"""A made-up data set with a planted anomaly that every representation can see, as matrices and small arrays."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from lo2dask.models import fit, registry
from lo2dask.models.rows import Rows
from lo2dask.models.spec import ModelSpec, Setup
from lo2dask.options import ForestOptions
from lo2dask.vocabulary.counts import TokenCounts

SERVICES = ("client", "token")


@dataclass(frozen=True)
class Made:
    """Training rows, and test rows of which the last is a planted anomaly; all that a caller of the models has.

    ``counts`` are over the normal vocabulary (for merged statistics), ``matrix`` binary over all tokens or numeric.
    """

    matrix: csr_matrix
    counts: Rows
    y: np.ndarray
    test_matrix: csr_matrix
    test_counts: Rows


def _bags(generator: np.random.Generator, rows: int, anomalous: np.ndarray) -> np.ndarray:
    """Counts over 60 tokens: 0-39 are normal and common, 40-59 occur in anomalies alone, which lack 0-9 and 20-29."""
    counts = generator.poisson(2.0, size=(rows, 60)) + (generator.random((rows, 60)) < 0.5)
    counts[:, 40:] *= anomalous[:, None]
    keep_common = np.ones((rows, 60), dtype=bool)
    keep_common[:, :10] = keep_common[:, 20:30] = ~anomalous[:, None]
    return (counts * keep_common).astype(np.float32)


def make(spec: ModelSpec, seed: int = 7) -> Made:
    """Make the rows that a model of this spec reads: numbers for ``numeric``, bags for tokens, both for ``all``."""
    generator = np.random.default_rng(seed)
    y = np.arange(240) % 4 == 3
    test_y = np.array([False] * 12 + [True])
    parts = []
    for labels in (y, test_y):
        bags = _bags(generator, len(labels), labels)
        numbers = (1.0 + generator.normal(0, 0.1, size=(len(labels), 2)) + 3.0 * labels[:, None]).astype(np.float32)
        service = np.array(SERVICES)[np.arange(len(labels)) % 2]
        outside = bags[:, 40:]
        # Statements of an error level are those that anomalies alone have.
        names = pa.array([f"s{number:02d}" for number in range(40)])
        errors = TokenCounts(csr_matrix(outside.astype(np.int32)), pa.array([f"e{number}" for number in range(40, 60)]))
        runs = np.array([f"run-{number:03d}" for number in range(len(labels))])
        figures = ((outside > 0).sum(axis=1), outside.sum(axis=1).astype(int))
        counts = Rows(csr_matrix(bags[:, :40]), *figures, service, runs, names, errors)
        columns = {"numeric": numbers, "all": np.hstack([bags > 0, numbers])}.get(spec.representation, bags > 0)
        parts.append((csr_matrix(columns.astype(np.float32)), counts))
    return Made(*parts[0], y, *parts[1])


def fit_entry(spec: ModelSpec, made: Made, seed: int = 42, parts: int = 1) -> fit.Fitted:
    """Fit as train does: statistics merged over parts, or one fit on the whole matrix."""
    if not spec.is_merged:
        return fit.fit_model(spec, made.matrix, made.y, Setup(seed=seed))
    return fit.from_state(spec, fit_merged(spec, made.counts.take(~made.y), parts), 0.0, 40)


def fit_merged(spec: ModelSpec, normals: Rows, parts: int) -> dict:
    """Fit a merged statistic over rows cut into parts."""
    merging, state = spec.behaviour.merging, None
    for _ in range(merging.passes):
        merged = None
        for index in np.array_split(np.arange(len(normals)), parts):
            statistics = merging.partial(normals.take(index), state)
            merged = statistics if merged is None else merging.merge(statistics, merged)
        state = merging.finish(merged, state)
    return state


def spec_of(key: str) -> ModelSpec:
    """Look up an entry of the registry, or the forest by its key."""
    return registry.forest_spec(ForestOptions()) if key == registry.FOREST else registry.spec(key)


def test_rows(spec: ModelSpec, made: Made) -> Rows:
    """Return the test rows that a model of this spec scores."""
    return made.test_counts if spec.is_merged else Rows(made.test_matrix)


test_rows.__test__ = False


@pytest.fixture(scope="session")
def small() -> csr_matrix:
    """A binary matrix with equal rows: 30 x 8."""
    generator = np.random.default_rng(1)
    base = (generator.random((6, 8)) < 0.5).astype(np.float32)
    return csr_matrix(np.repeat(base, 5, axis=0))
