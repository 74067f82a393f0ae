import functools

import numpy as np
import pytest
import shap
from scipy import sparse
from sklearn.ensemble import IsolationForest

from lo2dask.explanation.linear import LinearShap, background_sums
from lo2dask.explanation.shap_values import Explainer, guard, make_explainer, sample_of
from lo2dask.explanation.summary import ShapSums, TopFeatures, strongest, unit_for
from lo2dask.explanation.trees import TreeShap

LINEAR = ("lr", "lsvm")
KEYS = (*LINEAR, "dt", "rf", "xgb", "if")


def mean_in_parts(rows: sparse.csr_matrix, parts: int) -> np.ndarray:
    cuts = np.array_split(np.arange(rows.shape[0]), parts)
    total = sum(background_sums(rows[cut], np.ones(len(cut), dtype=bool)) for cut in cuts)
    return total[:-1] / total[-1]


def plain_shap(key: str, model: object, rows: sparse.csr_matrix) -> np.ndarray:
    """What shap gives by itself, before any sign is turned."""
    if key in LINEAR:
        dense = rows.toarray().astype(np.float64)
        return shap.LinearExplainer(model, (dense.mean(axis=0), np.cov(dense, rowvar=False))).shap_values(dense)
    explainer = shap.TreeExplainer(model)
    values = explainer.shap_values(rows if key == "xgb" else rows.toarray())
    return values[..., 1] if values.ndim == 3 else values


def explain_in_parts(
    explainer: Explainer, rows: sparse.csr_matrix, parts: int, k: int = 5
) -> tuple[ShapSums, TopFeatures]:
    pieces = []
    for cut in np.array_split(np.arange(rows.shape[0]), parts):
        everything = np.ones(len(cut), dtype=bool)
        pieces.append(explainer.explain(rows[cut], everything, everything, k))
    return functools.reduce(ShapSums.merge, [p[0] for p in pieces]), TopFeatures.join([p[1] for p in pieces], k)


@pytest.mark.parametrize("parts", [1, 5])
@pytest.mark.parametrize("key", KEYS)
def test_values_and_sums_are_those_of_plain_shap(key, parts, models, rows):
    expected = plain_shap(key, models[key], rows) * (-1 if key == "if" else 1)
    tolerance = (1e-5 if key == "xgb" else 1e-6) * np.abs(expected).max()
    explainer = make_explainer("linear" if key in LINEAR else "tree", models[key], mean_in_parts(rows, parts), 40_000)

    every_column = np.arange(rows.shape[1])
    pieces = [explainer.values(rows[cut], every_column) for cut in np.array_split(np.arange(rows.shape[0]), parts)]
    np.testing.assert_allclose(np.vstack(pieces), expected, rtol=0, atol=tolerance)

    sums, top = explain_in_parts(explainer, rows, parts)
    assert (sums.rows, sums.failed) == (rows.shape[0], 0)
    means = (of * sums.unit / sums.rows for of in (sums.absolute, sums.signed))
    for found, values in zip(means, (np.abs(expected), expected), strict=True):
        np.testing.assert_allclose(found, values.mean(axis=0), rtol=0, atol=tolerance)
    assert top.explained.all()
    largest = -np.sort(-np.abs(expected), axis=1)[:, :5]
    np.testing.assert_allclose(np.abs(top.values[:, :5]), largest, rtol=0, atol=tolerance)
    filled = top.columns >= 0
    found = np.where(filled, np.take_along_axis(expected, np.maximum(top.columns, 0), axis=1), 0.0)
    np.testing.assert_allclose(top.values, found, rtol=0, atol=tolerance)
    speaking = -np.sort(-np.where(rows.toarray() != 0, np.maximum(expected, 0), 0), axis=1)[:, :5]
    carried = np.take_along_axis(rows.toarray() != 0, np.maximum(top.columns, 0), axis=1) & (top.values > 0)
    mine = -np.sort(-np.where(carried, top.values, 0), axis=1)[:, :5]
    np.testing.assert_allclose(mine, speaking, rtol=0, atol=tolerance)


@pytest.mark.parametrize("key", KEYS)
def test_sums_are_the_same_bits_for_any_cut_into_parts(key, models, rows):
    explainer = make_explainer("linear" if key in LINEAR else "tree", models[key], mean_in_parts(rows, 1))
    one, top_one = explain_in_parts(explainer, rows, 1)
    many, top_many = explain_in_parts(explainer, rows, 17)
    assert one.absolute.tobytes() == many.absolute.tobytes()
    assert one.signed.tobytes() == many.signed.tobytes()
    assert top_one.columns.tobytes() == top_many.columns.tobytes()
    assert top_one.values.tobytes() == top_many.values.tobytes()


def test_exact_mean_does_not_depend_on_parts(rows):
    assert mean_in_parts(rows, 1).tobytes() == mean_in_parts(rows, 23).tobytes()
    np.testing.assert_allclose(mean_in_parts(rows, 4), np.asarray(rows.mean(axis=0))[0], atol=1e-6)


def test_isolation_forest_counts_what_isolates_as_positive(models, rows):
    model = models["if"]
    odd = sparse.csr_matrix(np.full((1, rows.shape[1]), 6.0, dtype=np.float32))
    mixed = sparse.vstack([rows, odd], format="csr")
    total = TreeShap(model).values(mixed, np.arange(rows.shape[1])).sum(axis=1)
    ranks = [np.argsort(np.argsort(values)) for values in (total, -model.score_samples(mixed))]
    assert np.corrcoef(*ranks)[0, 1] > 0.999
    assert total.argmax() == len(total) - 1


def test_rows_that_do_not_add_up_are_left_out_and_counted(models, rows, monkeypatch):
    explainer = TreeShap(models["rf"])
    honest = explainer.explainer.shap_values

    def broken(chunk, **options):
        values = honest(chunk, **options)
        values[3] += 1e6
        return values

    monkeypatch.setattr(explainer.explainer, "shap_values", broken)
    sums, top = explain_in_parts(explainer, rows, 1)
    assert (sums.rows, sums.failed) == (rows.shape[0] - 1, 1)
    assert not top.explained[3]
    assert (top.columns[3] == -1).all()
    assert sums.absolute.max() * sums.unit / sums.rows < 1


def test_only_counted_rows_are_summed_and_only_listed_rows_listed(models, rows):
    counted = np.arange(rows.shape[0]) % 3 == 0
    listed = np.arange(rows.shape[0]) % 5 == 0
    for key in ("lr", "rf"):
        explainer = make_explainer("linear" if key == "lr" else "tree", models[key], mean_in_parts(rows, 1))
        sums, top = explainer.explain(rows, counted, listed, 4)
        assert sums.rows == counted.sum()
        expected = explainer.explain(rows[counted], np.ones(sums.rows, bool), np.zeros(sums.rows, bool), 4)[0]
        assert sums.absolute.tobytes() == expected.absolute.tobytes()
        assert top.columns.shape == (listed.sum(), 8)
        assert not (top.columns[:, 0] == -1).all()


def test_a_part_without_rows_and_a_tree_without_a_split(models, rows):
    from sklearn.tree import DecisionTreeClassifier

    nothing = np.zeros(0, dtype=bool)
    for key in ("lr", "xgb"):
        explainer = make_explainer("linear" if key == "lr" else "tree", models[key], None)
        sums, top = explainer.explain(rows[:0], nothing, nothing, 3)
        assert sums.rows == 0
        assert top.columns.shape == (0, 6)
    stump = DecisionTreeClassifier(max_depth=3, min_samples_leaf=200).fit(rows, np.arange(rows.shape[0]) % 2)
    sums, top = explain_in_parts(make_explainer("tree", stump, None), rows, 2)
    assert not sums.absolute.any()
    assert (top.columns == -1).all()


def test_strongest_breaks_ties_by_column_and_pads():
    columns = np.array([3, 7, 9, 11])
    phi = np.array([[1.0, -2.0, 2.0, 1.0], [0.0, 0.0, -0.5, 0.0]])
    found, values = strongest(phi, columns, 3)
    assert found.tolist() == [[7, 9, 3], [9, -1, -1]]
    assert values.tolist() == [[-2.0, 2.0, 1.0], [-0.5, 0.0, 0.0]]
    assert strongest(phi, columns, 6)[0].shape == (2, 6)


def test_linear_top_includes_what_a_row_lacks(models, rows):
    mean = mean_in_parts(rows, 1)
    explainer = LinearShap(models["lr"], mean)
    empty = sparse.csr_matrix((1, rows.shape[1]), dtype=np.float32)
    _, top = explainer.explain(empty, np.zeros(1, bool), np.ones(1, bool), 2)
    expected = np.argsort(-np.abs(models["lr"].coef_[0] * mean), kind="stable")[:2]
    assert top.columns[0].tolist() == [*expected.tolist(), -1, -1]


def test_sample_is_the_same_for_any_cut(rows):
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 40, rows.shape[0]).astype(np.uint64)  # many ties
    ids = np.array([f"run{i:04d}" for i in rng.permutation(rows.shape[0])], dtype=object)
    whole = sample_of(rows, hashes, ids, 25)
    cuts = np.array_split(np.arange(rows.shape[0]), 6)
    parts = [sample_of(rows[cut], hashes[cut], ids[cut], 25) for cut in cuts]
    merged = functools.reduce(lambda a, b: a.merge(b, 25), reversed(parts))
    assert merged.ids.tolist() == whole.ids.tolist()
    assert (merged.rows != whole.rows).nnz == 0


def test_unit_and_guard():
    assert unit_for(1.0) == 2.0**-29
    assert unit_for(0.0) == 1.0
    assert guard(2000, 10**6, 0, 0) == ""
    assert "--shap-feature-threshold 1999" in guard(2000, 5, 1999, 0)
    message = guard(2000, 1001, 2000, 2_000_000)
    assert "--shap-cell-threshold 2000000" in message
    assert "--shap-sample 1000" in message


def test_a_forest_of_one_column_is_explained():
    rows = sparse.csr_matrix(np.random.default_rng(3).normal(5, 1, (60, 1)))
    forest = IsolationForest(n_estimators=10, random_state=1).fit(rows)
    phi = TreeShap(forest).values(rows, np.array([0])).ravel()
    assert len(set(phi)) > 10
    # With one column its share and the mean path make up the whole score, so both rank the rows alike.
    assert np.array_equal(np.argsort(phi, kind="stable"), np.argsort(-forest.score_samples(rows), kind="stable"))
