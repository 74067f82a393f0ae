"""The detectors as scikit-learn estimators: its own checks, and the same scores as the models of the registry."""

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import sparse

pytest.importorskip("sklearn", minversion="1.6", reason="the estimators need scikit-learn 1.6")
from sklearn.base import clone  # noqa: E402
from sklearn.feature_extraction.text import CountVectorizer  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

from lo2dask import detectors  # noqa: E402
from lo2dask.detectors import Drift, Excess, Oov, Rarity  # noqa: E402
from lo2dask.models import merged  # noqa: E402

METHODS = ("score_samples", "decision_function", "predict")
ALL = (Excess, Drift, Oov, Rarity)
_NEGATIVE = "it fits blobs around 0, whatever the tag positive_only says, and counts are never negative"
EXPECTED = {"check_outliers_train": _NEGATIVE, "check_outliers_fit_predict": _NEGATIVE}


@pytest.fixture
def counts() -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Counts of normal logs (40 x 12, the last two columns empty), and of logs with one that is unlike them."""
    draw = np.random.default_rng(7)
    normal, other = (draw.poisson(8, (rows, 12)) for rows in (40, 5))
    normal[:, 10:], other[:, 10:] = 0, 0
    other[4, 10:], other[4, 0] = 30, 90
    return sparse.csr_matrix(normal), sparse.csr_matrix(other)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ALL)
def test_scikit_learns_checks_pass(kind: type) -> None:
    done = check_estimator(kind(), on_fail=None, expected_failed_checks=EXPECTED)
    failed = [one["check_name"] for one in done if one["status"] == "failed"]
    assert not failed
    assert {one["check_name"] for one in done if one["status"] == "xfail"} == {*EXPECTED}


@pytest.mark.parametrize("kind", ALL)
def test_what_the_two_checks_ask_holds_of_counts(kind: type, counts: Any) -> None:
    normal, other = counts
    # The registry's threshold of rarity is for vocabularies of thousands.
    detector = Rarity(threshold=50) if kind is Rarity else kind()
    assert detector.fit(normal) is detector
    scores, decision, labels = (getattr(detector, name)(other) for name in METHODS)
    assert scores.shape == decision.shape == labels.shape == (5,)
    assert np.array_equal(decision, scores - detector.offset_)
    assert np.array_equal(labels, np.where(decision >= 0, 1, -1))
    assert labels[4] == -1
    assert scores.argmin() == 4
    assert np.array_equal(clone(detector).fit_predict(normal), clone(detector).fit(normal).predict(normal))
    dense = clone(detector).fit(normal.toarray()).score_samples(other.toarray())
    assert np.array_equal(dense, scores)


def test_thresholds_are_those_of_the_registry_unless_given(counts: Any) -> None:
    offsets = [kind().fit(counts[0]).offset_ for kind in (Excess, Drift, Oov, Rarity)]
    assert offsets == [-3.0, -1.0, -1.0, -250.0]
    assert Drift(threshold=0.5).fit(counts[0]).offset_ == -0.5


def test_scores_by_hand() -> None:
    normal = sparse.csr_matrix([[10, 10, 0, 0], [12, 8, 0, 0]])
    log = sparse.csr_matrix([[10, 4, 5, 1]])
    assert Oov().fit(normal).score_samples(log) == -2
    assert Oov(occurrences=True).fit(normal).score_samples(log) == -6
    # The third column is in no normal log; 20 lines, of the second column at most half of them.
    assert Excess().fit(normal).score_samples(log) == -5
    assert Excess(errors=[0]).fit(normal).score_samples(log) == -5
    assert Excess(continuations=[2]).fit(normal).score_samples(log) == -1
    many = sparse.csr_matrix([[0, 20, 0, 0]])
    assert Excess().fit(normal).score_samples(many) == pytest.approx(-(20 - 10) / np.sqrt(11))
    assert Excess(errors=[0]).fit(normal).score_samples(many) == 0
    total, new = np.log(40) ** 3, (-np.log(np.array([22, 18]) / 40)) ** 3
    shares = np.where(np.array([22, 18]) / 40 > merged.COMMON_SHARE, 0.0, new).sum()
    assert Rarity().fit(normal).score_samples(log) == pytest.approx(-(shares + 2 * total) / 4)


def test_counts_are_whole_numbers_from_0_on(counts: Any) -> None:
    with pytest.raises(ValueError, match="Negative values"):
        Drift().fit(-counts[0])
    with pytest.warns(UserWarning, match="no whole numbers"):
        Drift().fit(counts[0] * 0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Drift().fit(counts[0].astype(float))


def test_in_a_pipeline_with_a_vectorizer() -> None:
    # Tokens must stay in the matrix that the vocabulary of the normal logs does not have.
    logs = ["GET ok", "GET ok ok", "GET GET ok"] * 5
    vectorizer = CountVectorizer().fit([*logs, "panic"])
    model = make_pipeline(vectorizer, Oov(threshold=0))
    model[-1].fit(vectorizer.transform(logs))
    assert model.predict(["GET ok", "GET panic"]).tolist() == [1, -1]
    assert detectors.__all__ == ["Drift", "Excess", "Oov", "Rarity"]
