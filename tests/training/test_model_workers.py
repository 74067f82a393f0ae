"""Every entry of the registry fits, scores and flags the same on 1 and on 2 workers; distributed XGBoost nearly so."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from lo2dask.commands.train import train
from lo2dask.execute.session import Session
from lo2dask.models import bundle, guard, registry
from lo2dask.options import TrainOptions
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths
from tests.trees import load_tree, make_tree, table_of

pytestmark = pytest.mark.thorough
XGB = "event_xgb_words"
KEYS = ("if", *registry.names(), "drift_words")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, two_workers: Session) -> tuple[Layout, Layout]:
    """All entries, trained in one process and on a cluster of two, where XGBoost is told that its rows are too many."""
    folder = tmp_path_factory.mktemp("workers")
    raw = make_tree(folder / "tree", scale=0.02, runs=4)
    one = load_tree(raw, folder / "one", partition_size="200KB")
    two = Path(shutil.copytree(one, folder / "two"))
    assert len(part_paths(Layout(one).enhanced)) > 2

    def tight(spec: registry.ModelSpec, available: int, *rest: float) -> tuple[int, tuple[str, ...]]:
        return (available // 2 if spec.key == XGB else available), ()

    wanted = {"models": KEYS[1:], "if_n_estimators": 30}
    train(TrainOptions(root=one, **wanted), Session.serial())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard, "bound_rows", tight)
        train(TrainOptions(root=two, **wanted), two_workers)
    return Layout(one), Layout(two)


def predictions(layout: Layout, key: str) -> pa.Table:
    return table_of(layout.predictions / key)


@pytest.mark.parametrize("key", [key for key in KEYS if key != XGB])
def test_an_entry_is_the_same_on_one_and_on_two_workers(trained: tuple[Layout, Layout], key: str) -> None:
    one, two = (predictions(layout, key) for layout in trained)
    assert len(one) > 30
    assert two.equals(one)


def test_distributed_boosting_ranks_nearly_the_same(trained: tuple[Layout, Layout]) -> None:
    one, two = (predictions(layout, XGB) for layout in trained)
    record = bundle.load(trained[1].models / f"{XGB}.joblib")["record"]
    assert "xgboost.dask on 2 workers" in record["changes"]
    assert two["split"].equals(one["split"])
    aucs = [roc_auc_score(np.asarray(table["anomaly"]), np.asarray(table["score"])) for table in (one, two)]
    assert abs(aucs[0] - aucs[1]) <= 0.005, aucs
