"""Every entry of the registry keeps one contract, and so does every general <algorithm>_<representation>."""

import numpy as np
import pytest

from lo2dask.models import bundle, registry, score
from lo2dask.options import ForestOptions

from .conftest import fit_entry, make, test_rows

FOREST = registry.forest_spec(ForestOptions())


def _spec(key):
    return FOREST if key == "if" else registry.spec(key)


@pytest.mark.parametrize("key", [*registry.names(), "if"])
def test_entry_fits_flags_the_planted_anomaly_and_scores_the_same_when_loaded(key, tmp_path):
    spec = _spec(key)
    made = make(spec)
    fitted = fit_entry(spec, made)
    assert fitted.record.fitted
    assert fitted.record.model_bytes > 0
    rows = test_rows(spec, made)
    scores = score.score(fitted.model, fitted.scoring, rows)
    labels = score.label(scores, fitted.scoring)
    assert scores[-1] > scores[:-1].max(), "the anomaly has the highest score"
    assert labels[-1] == 1
    assert labels[:-1].mean() <= 0.5, "most normal rows are not flagged"

    content = {"key": key, "model": fitted.model, "vectorizer": None, "spec": spec.to_plain()}
    bundle.save(tmp_path / "m.joblib", content | {"scoring": fitted.scoring})
    loaded = bundle.load(tmp_path / "m.joblib")
    assert np.array_equal(score.score(loaded["model"], loaded["scoring"], rows), scores)
    assert registry.from_plain(loaded["spec"]) == spec


@pytest.mark.parametrize("key", [key for key in registry.pairs() if not key.endswith("_raw")])
def test_every_pair_ranks_the_planted_anomaly_first(key):
    spec = registry.spec(key)
    # What differs between words, trigrams and templates is the vectorizer alone; forests are the slow ones.
    if spec.algorithm == "rf":
        spec = registry.replace(spec, params={**spec.params, "n_estimators": 20})
    made = make(spec)
    fitted = fit_entry(spec, made)
    scores = score.score(fitted.model, fitted.scoring, test_rows(spec, made))
    assert scores.argmax() == len(scores) - 1
    assert score.label(scores, fitted.scoring)[-1] == 1


@pytest.mark.parametrize("key", [*registry.names(), "if", "drift_words"])
def test_entry_fits_the_same_twice_and_for_any_number_of_parts(key):
    spec = _spec(key)
    made = make(spec)
    rows = test_rows(spec, made)
    first, second = (fit_entry(spec, made, parts=parts) for parts in (1, 7))
    assert first.scoring == second.scoring
    expected = score.score(first.model, first.scoring, rows)
    assert np.array_equal(expected, score.score(second.model, second.scoring, rows, batch=5))


@pytest.mark.parametrize("key", [*registry.names(), "if"])
def test_training_rows_that_teach_nothing_are_a_reason_and_no_error(key):
    spec = _spec(key)
    made = make(spec)
    anomalies = fit_entry(spec, type(made)(made.matrix[made.y], made.counts.take(made.y), made.y[made.y], None, None))
    if spec.supervised:
        assert "anomalies only" in anomalies.record.reason
    elif spec.normal_only:
        assert "no normal sequence" in anomalies.record.reason
    else:
        assert anomalies.record.fitted
    if not anomalies.record.fitted:
        assert anomalies.model is None
