"""What a specification says of an algorithm is what the library does."""

import importlib
import inspect

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from lo2dask.models import estimators, fit, guard, registry, score
from lo2dask.models.rows import Rows, find_distinct_rows
from lo2dask.models.spec import Setup

from .conftest import fit_entry, make, spec_of

FITTED = [name for name in registry.ALGORITHMS if not spec_of(f"{name}_words").is_merged]
SKLEARN = [name for name in FITTED if spec_of(f"{name}_words").estimator.startswith("sklearn")]


def _class(spec):
    module, _, name = spec.estimator.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("name", SKLEARN)
def test_an_estimator_that_draws_is_seeded_and_one_that_starts_threads_has_one(name):
    spec = spec_of(f"{name}_words")
    known = set(inspect.signature(_class(spec)).parameters)
    assert spec.behaviour.seed_parameter == ("random_state" if "random_state" in known else None)
    model = estimators.build(spec, seed=7)
    assert model.get_params().get("random_state", 7) == 7
    # LogisticRegression reads n_jobs with several binary problems alone, and warns of it.
    assert getattr(model, "n_jobs", None) in ((1,) if spec.behaviour.threads_parameter else (None,))
    assert dict(spec.params).items() <= model.get_params().items()


def _raw(name, model, matrix, scoring):
    """Score by the library's own methods, all columns given."""
    if name in ("lr", "dt", "rf"):
        return model.predict_proba(matrix)[:, 1]
    if name == "lsvm":
        return model.decision_function(matrix)
    if name == "kmeans":
        nearest = scoring["anomalous_cluster"]
        distances = model.transform(matrix)
        return distances[:, 1 - nearest] - distances[:, nearest]
    return -model.score_samples(matrix)


@pytest.mark.parametrize("name", SKLEARN)
def test_scores_are_the_librarys(name):
    spec = spec_of(f"{name}_words")
    made = make(spec)
    fitted = fit_entry(spec, made)
    expected = _raw(name, fitted.model, made.matrix, fitted.scoring)
    scores = score.score(spec, fitted.model, fitted.scoring, Rows(made.matrix))
    assert scores.dtype == np.float64
    assert np.array_equal(scores, expected)


@pytest.mark.parametrize("name", ["lr", "dt", "rf", "lsvm", "kmeans", "oneclass_svm"])
def test_labels_are_the_librarys_predictions(name):
    """kmeans by the nearer cluster, a one-class SVM by its own border, the others at one half."""
    spec = spec_of(f"{name}_words")
    made = make(spec)
    fitted = fit_entry(spec, made)
    labels = score.label(score.score(spec, fitted.model, fitted.scoring, Rows(made.matrix)), fitted.scoring)
    predicted = fitted.model.predict(made.matrix)
    anomalous = fitted.scoring.get("anomalous_cluster", -1 if name == "oneclass_svm" else 1)
    assert np.array_equal(labels == 1, predicted == anomalous)


def test_xgboost_is_given_the_seed_and_what_it_trains_with():
    spec = spec_of("xgb_words")
    params, rounds, patience = spec.behaviour.boosting(spec, 9)
    assert params[spec.behaviour.seed_parameter] == 9
    assert (rounds, patience) == (120, 30)
    assert not {"n_estimators", "early_stopping_rounds"} & set(params)
    made = make(spec)
    trees = [fit.fit_model(spec, made.matrix, made.y, Setup(seed=seed)).model.get_dump() for seed in (1, 1, 2)]
    assert trees[0] == trees[1] != trees[2]


@pytest.mark.parametrize("name", FITTED)
def test_a_specification_that_needs_distinct_rows_says_so_in_place_of_failing(name):
    spec = spec_of(f"{name}_words")
    alike = csr_matrix(np.ones((12, 3), dtype=np.float32))
    fitted = fit.fit_model(spec, alike, np.arange(12) % 2 == 1)
    assert fitted.record.fitted != spec.behaviour.needs_distinct_rows
    assert (fitted.record.reason is None) == fitted.record.fitted
    assert len(find_distinct_rows(alike)) == 1


@pytest.mark.parametrize("name", FITTED)
def test_costs_grow_with_rows_cells_and_features_and_bound_the_sample(name):
    spec = spec_of(f"{name}_words")
    least = guard.fit_bytes(spec, 1000, 1000, 10)
    assert least < guard.fit_bytes(spec, 2000, 1000, 10)
    assert least < guard.fit_bytes(spec, 1000, 2000, 10)
    assert least < guard.fit_bytes(spec, 1000, 1000, 20)
    # CSR of float32 and int32 is 8 bytes a cell: nothing is cheaper than the sample itself.
    assert spec.behaviour.cost.cell >= 8
    allowed, said = guard.bound_rows(spec, 10**9, 10**9, 1000, 10)
    assert guard.fit_bytes(spec, allowed, 1000, 10) <= 10**9
    capped = allowed == spec.behaviour.row_cap
    assert ("square" in said[0]) == capped
    if not capped:
        assert guard.fit_bytes(spec, allowed + 1, 1000, 10) > 10**9 - spec.behaviour.cost.row


def test_only_the_distributed_model_has_parameters_for_all_workers():
    assert [name for name in registry.ALGORITHMS if spec_of(f"{name}_words").is_distributed] == ["xgb"]
    assert {spec_of(f"{name}_words").fit for name in FITTED} == {"sample", "distributed"}
    assert {spec_of(f"{name}_words").fit for name in set(registry.ALGORITHMS) - set(FITTED)} == {"merge"}
