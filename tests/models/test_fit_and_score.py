import numpy as np
import pytest
from scipy.sparse import csr_matrix

from lo2dask.models import bundle, fit, registry, score
from lo2dask.models.estimators import anomalous_cluster
from lo2dask.models.rows import Rows, prepare_matrix
from lo2dask.models.spec import Setup
from lo2dask.options import ForestOptions

from .conftest import fit_entry, make


def _fit(key, seed=42):
    spec = registry.spec(key)
    made = make(spec)
    return spec, made, fit.fit_model(spec, made.matrix, made.y, Setup(seed=seed))


@pytest.mark.parametrize("key", ["event_rf_words", "if_words", "event_kmeans_words", "event_xgb_words"])
def test_the_seed_decides_what_is_drawn(key):
    spec, made, first = _fit(key, 1)
    again, other = _fit(key, 1)[2], _fit(key, 2)[2]
    scores = [score.score(spec, f.model, f.scoring, Rows(made.matrix)) for f in (first, again, other)]
    assert np.array_equal(scores[0], scores[1])
    if key != "event_kmeans_words":
        assert not np.array_equal(scores[0], scores[2])


def test_the_record_says_what_the_fit_took():
    _, made, fitted = _fit("event_lr_words")
    record = fitted.record.to_plain()
    assert (record["rows"], record["anomalies"], record["features"]) == (240, 60, 60)
    assert record["seconds"] > 0
    assert record["peak_memory_mb"] > 20
    assert record["memory_measure"] in ("PSS", "RSS")
    _, _, normal = _fit("event_lof_words")
    assert normal.record.rows == int((~made.y).sum())


def test_xgboost_sees_sparse_rows_as_sparse_whatever_zeros_are_stored():
    spec, made, fitted = _fit("event_xgb_words")
    stored = made.test_matrix.copy()
    rows, columns = stored.nonzero()
    free = np.argwhere(stored.toarray() == 0)[0]
    cells = (np.append(rows, free[0]), np.append(columns, free[1]))
    stored = csr_matrix((np.append(stored.data, np.float32(0)), cells), shape=stored.shape)
    assert (stored.data == 0).sum() == 1
    clean = prepare_matrix(stored)
    assert clean.nnz == made.test_matrix.nnz
    assert (stored.data == 0).sum() == 1, "the caller's matrix is left alone"
    expected = score.score(spec, fitted.model, fitted.scoring, Rows(made.test_matrix))
    assert np.array_equal(score.score(spec, fitted.model, fitted.scoring, Rows(clean)), expected)


def test_int64_indices_become_int32_for_the_libraries_that_refuse_them():
    spec, made, _ = _fit("event_lsvm_words")
    wide = made.matrix.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    assert prepare_matrix(wide).indices.dtype == np.int32
    assert fit.fit_model(spec, wide, made.y).record.fitted


def test_early_stopping_is_on_with_both_classes_and_off_without():
    spec = registry.spec("event_xgb_words")
    made = make(spec)
    shuffled = np.random.default_rng(0).permutation(made.y)
    on = fit.fit_model(spec, made.matrix, shuffled, Setup(stopping_matrix=made.matrix[:60], stopping_y=made.y[:60]))
    assert on.model.num_boosted_rounds() < 120
    off = fit.fit_model(spec, made.matrix, made.y, Setup(stopping_matrix=made.matrix[:3], stopping_y=made.y[:3]))
    assert off.model.num_boosted_rounds() == 120
    assert any("early stopping off" in change for change in off.record.changes)


def test_lof_counts_equal_rows_once_and_stays_finite(small):
    spec = registry.spec("event_lof_words")
    fitted = fit.fit_model(spec, small, np.zeros(30, bool))
    assert "6 distinct of 30 rows, 5 neighbours" in fitted.record.changes
    stranger = 1 - small[:1].toarray()
    rows = Rows(csr_matrix(np.vstack([small.toarray(), stranger])))
    scores = score.score(spec, fitted.model, fitted.scoring, rows)
    assert np.isfinite(scores).all()
    assert scores.max() < 1e3


def test_all_alike_rows_are_a_reason_for_lof_and_kmeans():
    matrix = csr_matrix(np.ones((9, 3), dtype=np.float32))
    for key in ("event_lof_words", "event_kmeans_words"):
        assert "alike" in fit.fit_model(registry.spec(key), matrix, np.zeros(9, bool)).record.reason


@pytest.mark.parametrize("contamination", [0.0, 0.1, 0.25])
def test_the_forest_flags_its_contamination_of_the_training_normals(contamination):
    spec = registry.forest_spec(ForestOptions(if_contamination=contamination, if_n_estimators=20))
    made = make(spec)
    fitted = fit_entry(spec, made)
    scores = score.score(spec, fitted.model, fitted.scoring, Rows(made.matrix[~made.y]))
    assert score.label(scores, fitted.scoring).mean() == pytest.approx(contamination, abs=0.02)


@pytest.mark.thorough
def test_a_forests_trees_share_their_columns_on_disk_and_in_memory(tmp_path):
    spec = registry.forest_spec(ForestOptions())
    wide = csr_matrix(make(spec).matrix, shape=(240, 60_000))
    fitted = fit.fit_model(spec, wide, make(spec).y)
    bundle.save(tmp_path / "if.joblib", {"key": "if", "model": fitted.model})
    assert (tmp_path / "if.joblib").stat().st_size < 6e6
    loaded = bundle.load(tmp_path / "if.joblib")["model"]
    assert np.array_equal(loaded.estimators_features_[7], np.arange(60_000))
    assert np.array_equal(loaded.score_samples(wide[:9]), fitted.model.score_samples(wide[:9]))


@pytest.mark.parametrize("key", ["if", "event_rf_words", "event_dt_trigrams"])
def test_scores_of_trees_are_the_librarys_though_only_their_columns_are_given(key):
    spec = registry.forest_spec(ForestOptions()) if key == "if" else registry.spec(key)
    made = make(spec)
    fitted = fit_entry(spec, made)
    scores = score.score(spec, fitted.model, fitted.scoring, Rows(made.matrix))
    model = fitted.model
    raw = -model.score_samples(made.matrix) if key == "if" else model.predict_proba(made.matrix)[:, 1]
    assert np.array_equal(scores, raw)
    assert len(np.unique(scores)) > 1


def test_kmeans_names_its_anomalous_cluster_by_labels_or_else_by_size():
    clusters = np.array([0, 0, 0, 1, 1])
    assert anomalous_cluster(clusters, np.array([1, 1, 1, 0, 0], bool)) == 0
    assert anomalous_cluster(clusters, np.zeros(5, bool)) == 1
    assert anomalous_cluster(1 - clusters, np.zeros(5, bool)) == 0
    assert anomalous_cluster(np.array([0, 1]), np.zeros(2, bool)) == 1
    assert anomalous_cluster(np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1], bool)) == 1


def test_rank_is_dense_and_descending():
    assert score.dense_rank(np.array([0.5, 2.0, 0.5, -1.0, 2.0])).tolist() == [2, 1, 2, 3, 1]
    assert score.dense_rank(np.empty(0)).tolist() == []


def test_scores_do_not_depend_on_the_batch():
    for key in ("event_oneclass_svm_words", "drift_words", "lr_all"):
        spec = registry.spec(key)
        made = make(spec)
        fitted = fit_entry(spec, made)
        rows = made.counts if spec.is_merged else Rows(made.matrix)
        whole = score.score(spec, fitted.model, fitted.scoring, rows)
        assert np.array_equal(score.score(spec, fitted.model, fitted.scoring, rows, batch=17), whole)
        assert len(score.score(spec, fitted.model, fitted.scoring, rows.take(slice(0, 0)))) == 0
