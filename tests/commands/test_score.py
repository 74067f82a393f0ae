"""score: a saved bundle on raw trees gives what train gave, reads new runs alike, and says what it cannot use."""

import shutil

import numpy as np
import pyarrow.compute as pc
import pytest

from lo2dask.commands.score import score
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.models import bundle
from lo2dask.options import ScoreOptions
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths
from lo2dask.training.units import working_folder
from tests.trees import SERVICES, load_tree, make_tree, table_of, train_root

OTHERS = ("dt_templates", "oov_templates", "lr_all")
MODELS = ("drift_words", *OTHERS)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("tree") / "raw", scale=0.05)


@pytest.fixture(scope="module")
def trained(raw, tmp_path_factory):
    """A trained root and the folder of its bundles."""
    folder = tmp_path_factory.mktemp("trained")
    root = load_tree(raw, folder / "out", init_lines_to_skip=50, continuation_lines="drop")
    train_root(root, models=MODELS, save_model=folder / "lo2_if.joblib", save_sup_models=folder)
    return root, folder


def _score(bundle_path, raw, out, **changes):
    return score(ScoreOptions(bundle=bundle_path, root=raw, output_dir=out, **changes), Session.serial())


@pytest.mark.parametrize(
    "name", ["lo2_if", "drift_words", *(pytest.param(name, marks=pytest.mark.thorough) for name in OTHERS)]
)
def test_the_training_tree_gets_the_scores_that_train_gave(trained, raw, tmp_path, name):
    root, folder = trained
    summary = _score(folder / f"{name}.joblib", raw, tmp_path, partition_size="300KB")
    key = "if" if name == "lo2_if" else name
    ours, theirs = table_of(tmp_path / f"{name}_predictions.parquet"), table_of(Layout(root).predictions / key)
    assert len(part_paths(summary.predictions)) > 1
    for column, source in (("seq_id", "seq_id"), (f"score_{key}", "score"), (f"rank_{key}", "rank"),
                           ("pred_ano", "pred_ano"), ("anomaly", "anomaly")):  # fmt: skip
        assert ours[column].to_pylist() == theirs[source].to_pylist(), column
    # train compares its own normals without what was learned from them.
    scored, kept = (
        [row | {"rank": 0} for row in table_of(path).to_pylist() if row["anomaly"]]
        for path in (summary.run_scores, root / f"{key}_runs.parquet")
    )
    assert scored == kept
    assert {row["p"] for row in scored} != {1.0} or key == "oov_templates"
    assert summary.flagged == sum(theirs["pred_ano"].to_pylist())


def test_a_tree_without_a_log_leaves_nothing_to_resume(trained, tmp_path):
    (tmp_path / "raw" / "run_0001" / "correct").mkdir(parents=True)
    (tmp_path / "raw" / "run_0001" / "correct" / "other.log").write_text("x\n")
    with pytest.raises(InputError, match="no log is chosen"):
        _score(trained[1] / "oov_templates.joblib", tmp_path / "raw", tmp_path / "out")
    assert not (tmp_path / "out" / "_lo2dask").exists()


def test_new_runs_in_unknown_folders_have_scores_but_no_labels(trained, tmp_path):
    new = make_tree(tmp_path / "new", runs=1, errors_per_run=1, seed=7)
    run = next(new.glob("light-oauth2-data-*"))
    (run / "correct").rename(run / "live")
    summary = _score(trained[1] / "oov_templates.joblib", new, tmp_path / "out")
    predictions = table_of(summary.predictions)
    live = predictions.filter(pc.equal(predictions["test_case"], "live"))
    assert live.num_rows == len(SERVICES)
    assert live["anomaly"].null_count == live["normal"].null_count == live.num_rows
    assert live["score_oov_templates"].null_count == 0
    others = predictions.filter(pc.not_equal(predictions["test_case"], "live"))
    assert others["anomaly"].to_pylist() == [True] * others.num_rows
    assert table_of(summary.run_scores)["anomaly"].to_pylist().count(None) == 1
    assert (tmp_path / "out" / "lo2_rejects.parquet").is_dir()


def test_a_template_never_seen_is_unknown_and_nothing_is_learned(trained, tmp_path):
    new = make_tree(tmp_path / "new", runs=1, errors_per_run=0, services=("user",))
    log = next(new.glob("light-oauth2-data-*/correct/*user*.log"))
    log.write_text(log.read_text() + "23:59:59.000 [zzz]  x WARN q.r.Strange boo - never written by any service\n" * 3)
    summary = _score(trained[1] / "oov_templates.joblib", new, tmp_path / "out")
    assert table_of(summary.predictions)["score_oov_templates"].to_pylist()[0] >= 1


def test_a_second_scoring_has_nothing_to_do_and_lost_parts_are_made_again(trained, raw, tmp_path, monkeypatch):
    path = trained[1] / "dt_templates.joblib"
    assert not _score(path, raw, tmp_path).current
    ran = []
    with monkeypatch.context() as patch:
        map = Session.map
        patch.setattr(
            Session, "map", lambda own, f, r, label, **more: ran.append(label) or map(own, f, r, label, **more)
        )
        patch.setattr(Session, "frames", lambda *_, **__: pytest.fail("there is nothing to do"))
        assert _score(path, raw, tmp_path).current
    assert ran in ([], ["scan"])
    shutil.rmtree(tmp_path / "dt_templates_runs.parquet")
    assert not _score(path, raw, tmp_path).current
    assert part_paths(tmp_path / "dt_templates_runs.parquet")


def test_what_a_stopped_scoring_of_more_runs_left_is_not_read(trained, raw, tmp_path):
    summary = _score(trained[1] / "dt_templates.joblib", raw, tmp_path)
    before = [table_of(path) for path in (summary.predictions, summary.run_scores)]
    shutil.rmtree(summary.predictions)
    (work,) = (path for path in (tmp_path / "_lo2dask" / "score").iterdir() if path.is_dir())
    left = working_folder(Layout(work)) / "scores" / "dt_templates" / "part-999999.parquet.npy"
    left.parent.mkdir(parents=True)
    np.save(left, np.full((3, 5), 0.1))
    summary = _score(trained[1] / "dt_templates.joblib", raw, tmp_path)
    assert [table_of(path) for path in (summary.predictions, summary.run_scores)] == before


def test_services_without_a_model_are_left_unscored(trained, tmp_path):
    root, _ = trained
    train_root(root, models=("drift_words",), skip_if=True, per_service=True, save_sup_models=tmp_path / "sup")
    path = tmp_path / "sup" / "drift_words.joblib"
    content = bundle.load(path)
    content["model"]["key"] = None
    content["record"]["key"] = {**content["record"]["key"], "reason": "made unfit"}
    bundle.save(path, content, overwrite=True)
    new = make_tree(tmp_path / "new", runs=1, errors_per_run=0)
    summary = _score(path, new, tmp_path / "out")
    assert summary.unscored == 1
    assert table_of(summary.predictions)["score_drift_words"].null_count == 1
    assert table_of(summary.run_scores)["n_services"].to_pylist() == [len(SERVICES) - 1]


def test_a_bundle_that_cannot_be_used_is_named_with_the_mend(trained, raw, tmp_path):
    root, folder = trained
    copy = tmp_path / "copy.joblib"
    shutil.copy(folder / "dt_templates.joblib", copy)
    with pytest.raises(InputError, match="--trust"):
        _score(copy, raw, tmp_path / "out")
    assert _score(copy, raw, tmp_path / "out", trust=True).sequences > 0
    with pytest.raises(InputError, match="no such bundle"):
        _score(tmp_path / "none.joblib", raw, tmp_path / "out")
    bundle.save(copy, {"key": "x", "model": 1, "spec": {}}, overwrite=True)
    with pytest.raises(InputError, match="fit it again"):
        _score(copy, raw, tmp_path / "out")
    with pytest.raises(InputError, match="choose another folder"):
        _score(folder / "dt_templates.joblib", raw, root)
    with pytest.raises(InputError, match="no such folder"):
        _score(folder / "dt_templates.joblib", tmp_path / "nowhere", tmp_path / "new_out")


def test_one_run_is_scored_without_a_cluster(trained, tmp_path, monkeypatch):
    new = make_tree(tmp_path / "new", runs=1, errors_per_run=0)
    monkeypatch.setattr("lo2dask.execute.cluster.open_client", lambda *_: pytest.fail("a cluster was started"))
    monkeypatch.setattr("lo2dask.ingest.plan.find_tree", lambda *_: pytest.fail("the tree was looked at twice"))
    options = ScoreOptions(bundle=trained[1] / "lo2_if.joblib", root=new, output_dir=tmp_path / "out")
    summary = score(options)
    assert summary.sequences == len(SERVICES)
    assert summary.seconds < 5


def test_what_is_missing_of_the_working_tables_is_made_again(trained, raw, tmp_path):
    bundle = trained[1] / "oov_templates.joblib"
    _score(bundle, raw, tmp_path)
    assert _score(bundle, raw, tmp_path).current
    (split,) = tmp_path.glob("_lo2dask/score/*/_lo2dask/split.json")
    split.unlink()
    assert not _score(bundle, raw, tmp_path).current
    assert split.is_file()


def test_runs_of_another_format_are_refused(trained, raw, tmp_path):
    copy = tmp_path / "json"
    shutil.copytree(raw, copy)
    for path in copy.rglob("*.log"):
        path.write_text('{"time":"2026-01-02T03:04:05Z","level":"info","msg":"paid"}\n' * 300)
    with pytest.raises(InputError, match=r"0% of the lines have a header of the format lo2, which the bundle was"):
        _score(trained[1] / "dt_templates.joblib", copy, tmp_path / "out")
