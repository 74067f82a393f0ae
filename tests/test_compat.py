"""Each undocumented name that the package uses is there, and means what it meant."""

import numpy as np
import pytest

from lo2dask import compat

LIMIT = 10 * 10**9


@pytest.fixture(scope="module")
def explainer():
    import shap
    from sklearn.tree import DecisionTreeClassifier

    rows = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    return shap.TreeExplainer(DecisionTreeClassifier(random_state=0).fit(rows, [0, 0, 1, 1]))


def test_scikit_learn_scales_a_forests_score_by_the_mean_depth_of_a_random_tree():
    harmonic = sum(1 / k for k in range(1, 255))
    assert compat.average_path_length(2) == 1.0
    assert compat.average_path_length(1) == 0.0
    assert compat.average_path_length(255) == pytest.approx(2 * harmonic - 2 * 254 / 255, rel=1e-3)


def test_shap_shows_the_nodes_of_a_tree_and_explains_by_the_columns_that_they_are_given(explainer):
    features = compat.tree_features(explainer)
    assert (features.tolist()[0][0], features.max(), features.min() < 0) == (0, 0, True)
    assert compat.tree_values(explainer).shape == (*features.shape, compat.count_tree_outputs(explainer))
    rows = np.array([[0.0, 1.0, 0.0]])
    before = explainer.shap_values(rows, check_additivity=False)
    compat.set_tree_features(explainer, np.where(features >= 0, 2, features))
    after = explainer.shap_values(rows, check_additivity=False)
    compat.set_tree_features(explainer, features)
    assert np.array_equal(before[0, 0], after[0, 2]), "the share has moved to the other column"
    assert before[0, 0].any()
    assert compat.tree_features(explainer).dtype == features.dtype


def test_shap_tells_xgboost_from_other_trees(explainer):
    import shap
    import xgboost

    booster = xgboost.train({"max_depth": 1}, xgboost.DMatrix(np.eye(4), label=[0, 0, 1, 1]), 1)
    assert compat.is_xgboost_explainer(shap.TreeExplainer(booster))
    assert not compat.is_xgboost_explainer(explainer)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    from distributed import LocalCluster

    folder = tmp_path_factory.mktemp("scratch")
    # The worker lives in this process, which other tests have made large: at its limit, it would pause.
    with LocalCluster(
        n_workers=0, threads_per_worker=3, processes=False, dashboard_address=None, local_directory=str(folder),
        memory_limit=LIMIT,
    ) as made:  # fmt: skip
        yield made, folder


@pytest.fixture(scope="module")
def client(cluster):
    from distributed import Client

    with Client(cluster[0]) as made:
        yield made


def test_distributed_tells_where_workers_spill_and_starts_them_at_once(cluster, client):
    made, folder = cluster
    assert compat.local_directory(made) == folder
    made.scale(1)
    compat.submit_jobs(made)
    client.wait_for_workers(1, timeout=30)
    assert compat.count_cluster_workers(made) == 1
    found = client.run(
        lambda dask_worker: (compat.worker_threads(dask_worker), compat.worker_memory_limit(dask_worker))
    )
    assert list(found.values()) == [(3, LIMIT)]


def test_what_a_start_raises_is_raised(cluster):
    made, _ = cluster
    working = dict(made.new_spec)
    made.new_spec["options"]["preload"] = ["no_such_module_of_anyone"]
    try:
        made.scale(2)
        with pytest.raises(ModuleNotFoundError, match="no_such_module_of_anyone"):
            compat.submit_jobs(made)
    finally:
        del made.new_spec["options"]["preload"]
        made.scale(1)
    assert made.new_spec == working


def test_a_coroutine_runs_in_the_clients_loop_within_its_time(client):
    async def answer():
        return 7

    async def sleep():
        import asyncio

        await asyncio.sleep(30)

    assert compat.call_in_loop(client, answer, 5) == 7
    with pytest.raises(TimeoutError):
        compat.call_in_loop(client, sleep, 0.1)


def test_a_retired_worker_leaves(cluster, client):
    made, _ = cluster
    made.scale(1)
    client.wait_for_workers(1, timeout=30)
    address = next(iter(client.nthreads()))

    client.run(lambda dask_worker: compat.retire_worker(dask_worker, "test"), workers=[address], on_error="ignore")
    for _ in range(100):
        if address not in client.nthreads():
            break
        compat.call_in_loop(client, _pause, 5)
    assert address not in client.nthreads()


async def _pause():
    import asyncio

    await asyncio.sleep(0.1)
