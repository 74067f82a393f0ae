import numpy as np
import pytest
from scipy import sparse

ROWS, WIDTH = 240, 60


@pytest.fixture(scope="session")
def rows() -> sparse.csr_matrix:
    """A small bag-of-words matrix with two scaled numeric columns at its end."""
    rng = np.random.default_rng(7)
    words = (rng.random((ROWS, WIDTH - 2)) < rng.random(WIDTH - 2) * 0.6).astype(np.float32)
    numeric = rng.gamma(2.0, 0.7, (ROWS, 2)).astype(np.float32)
    return sparse.csr_matrix(np.hstack([words, numeric]))


@pytest.fixture(scope="session")
def anomaly(rows: sparse.csr_matrix) -> np.ndarray:
    noise = np.random.default_rng(8).normal(0, 0.4, ROWS)
    score = rows[:, :4].toarray() @ np.array([1.5, -1.0, 0.8, 0.6]) + 0.3 * rows[:, -1].toarray()[:, 0] + noise
    return (score > np.median(score)).astype(int)


@pytest.fixture(scope="session")
def models(rows: sparse.csr_matrix, anomaly: np.ndarray) -> dict[str, object]:
    from sklearn.ensemble import IsolationForest, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC
    from sklearn.tree import DecisionTreeClassifier
    from xgboost import XGBClassifier

    normal = rows[anomaly == 0]
    return {
        "lr": LogisticRegression(max_iter=400).fit(rows, anomaly),
        "lsvm": LinearSVC(penalty="l1", dual=False, tol=0.1, random_state=0).fit(rows, anomaly),
        "dt": DecisionTreeClassifier(max_depth=8, min_samples_leaf=5, random_state=0).fit(rows, anomaly),
        "rf": RandomForestClassifier(n_estimators=20, max_depth=10, random_state=0).fit(rows, anomaly),
        "xgb": XGBClassifier(
            n_estimators=30, max_depth=4, subsample=0.7, tree_method="hist", n_jobs=1, early_stopping_rounds=5
        ).fit(rows[:180], anomaly[:180], eval_set=[(rows[180:], anomaly[180:])], verbose=False),
        "if": IsolationForest(n_estimators=40, random_state=0).fit(normal),
    }


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing, half of the time of a small explanation, where a test is about something else."""
    monkeypatch.setattr("lo2dask.explanation.results.draw_plot", lambda kind, job: kind.encode())
