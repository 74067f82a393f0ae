import shutil
from pathlib import Path

import pytest

from lo2dask.commands.explain import ExplainSummary, explain
from lo2dask.commands.load import load
from lo2dask.commands.report import report
from lo2dask.commands.train import train
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.explanation.refit import differing, trained_models
from lo2dask.options import ExplainOptions, LoadOptions, ReportOptions, SynthOptions, TrainOptions
from lo2dask.synthesis import write_tree
from lo2dask.tables.layout import Layout

pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with a forest and two models per service, their bundles saved outside too."""
    root = tmp_path_factory.mktemp("trained") / "out"
    tree = root.parent / "tree"
    write_tree(SynthOptions(out=tree, scale=0.01, runs=4, errors_per_run=2, services=("code", "token", "user"), jobs=1))
    load(LoadOptions(root=tree, output_dir=root), Session.serial())
    options = TrainOptions(
        root=root,
        models=("event_lr_words", "event_rarity_words"),
        per_service=True,
        if_n_estimators=10,
        save_model=root.parent / "if.joblib",
        save_sup_models=root.parent / "sup",
    )
    train(options, Session.serial())
    return root


@pytest.fixture
def root(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "out"))


def run(root: Path, **options: object) -> ExplainSummary:
    return explain(ExplainOptions(root=root, **options), Session.serial())


def test_models_per_service_are_explained_together(root):
    summary = {model.model: model for model in run(root).models}
    assert summary["event_lr_words"].shap == "done"
    assert summary["event_rarity_words"].shap == "skipped"
    assert summary["if"].neighbours == summary["if"].flagged
    folder = root / "explainability" / "event_lr_words_explanations.parquet"
    assert len({path.name for path in folder.iterdir()}) == 3
    assert not list((root / "_lo2dask" / "explain").glob("*/*features"))


def test_a_given_option_that_differs_fits_the_model_again_and_warns(root, caplog):
    kept = (root / "_lo2dask" / "models" / "if.joblib").read_bytes()
    first = run(root, sup_models=("event_lr_words",), if_n_estimators=5, if_contamination=0.4)
    assert "if is fitted for the explanation: trained with other options" in caplog.text
    assert "--if-n-estimators 5" in caplog.text
    assert "event_lr_words is fitted" not in caplog.text
    again = run(root, sup_models=("event_lr_words",), if_n_estimators=5, if_contamination=0.4)
    assert all(model.current for model in again.models)
    assert (root / "_lo2dask" / "models" / "if.joblib").read_bytes() == kept
    default = run(root, sup_models=("event_lr_words",))
    assert default.models[0].flagged < first.models[0].flagged
    assert not list((root / "_lo2dask" / "explain" / "fitted").glob("*"))


def test_a_model_that_train_did_not_keep_is_fitted(root, caplog):
    summary = run(root, sup_models=("dt_words",), skip_if=True, nn_source="dt_words")
    assert "dt_words is fitted for the explanation: train kept no such model" in caplog.text
    assert summary.models[0].model == "dt_words"
    assert (root / "explainability" / "dt_words_shap_bar.png").exists()


def test_a_forest_of_an_earlier_training_is_told_and_options_are_those_of_the_last(root, caplog):
    last = TrainOptions(root=root, models=("event_lr_words",), skip_if=True, sup_holdout_fraction=0.4)
    train(last, Session.serial())
    run(root, sup_holdout_fraction=0.4)
    told = "model if is of an earlier training, the last one has none: --skip-if leaves it out, train it for a new one"
    assert told in caplog.text
    assert "is fitted for the explanation" not in caplog.text
    caplog.clear()
    run(root, skip_if=True)
    assert "earlier training" not in caplog.text


def test_given_bundles_are_scored_and_explained(root, trained):
    kept = run(root, sup_models=("event_lr_words",))
    train(TrainOptions(root=root, models=("event_lr_words",), if_n_estimators=5), Session.serial())
    given = {"load_model": trained.parent / "if.joblib", "load_sup_models": trained.parent / "sup"}
    summary = run(root, sup_models=("event_lr_words",), **given)
    assert [model.flagged for model in summary.models] == [model.flagged for model in kept.models]
    assert (root / "_lo2dask" / "explain" / "fitted").is_dir()


def test_only_options_off_their_default_count():
    trained = {"if_contamination": 0.15, "if_numeric": ["seq_len"]}
    names = ["if_contamination", "if_numeric", "if_item"]
    assert differing(names, ExplainOptions(), trained) == {}
    assert differing(names, ExplainOptions(if_numeric=("seq_len",)), trained) == {}
    assert differing(names, ExplainOptions(if_contamination=0.3), trained) == {"if_contamination": 0.3}


def test_waiting_for_another_command_trains_and_fits_nothing_again(root, trained):
    again = TrainOptions(
        root=root, models=("event_lr_words", "event_rarity_words"), per_service=True, if_n_estimators=10,
        save_model=trained.parent / "if.joblib", save_sup_models=trained.parent / "sup", wait=True,
    )  # fmt: skip
    assert train(again, Session.serial()).current
    run(root, sup_models=("event_lr_words",), wait=True)
    assert not (root / "_lo2dask" / "explain" / "fitted").exists()


def test_a_folder_without_bundles_is_refused(root):
    with pytest.raises(InputError, match="no such folder"):
        run(root, load_sup_models=root / "nowhere")


def test_a_given_bundle_that_reads_other_text_is_refused_as_train_refuses_it(root, trained):
    given = trained.parent / "if.joblib"
    raw = TrainOptions(root=root, phase="if", tokens="raw", if_n_estimators=5)
    train(raw, Session.serial())
    with pytest.raises(InputError, match="if.joblib: it was fitted with other raw tokens than the tables of"):
        run(root, load_model=given)


def test_options_without_effect_are_named(root, trained, caplog):
    given = {"load_model": trained.parent / "if.joblib", "load_sup_models": root / "models"}
    (root / "models").mkdir(exist_ok=True)
    run(root, skip_if=True, sup_models=("event_lr_words",), predict_batch_size=7, **given)
    for flag in ("--predict-batch-size", "--load-model", "--load-sup-models"):
        assert f"{flag} has no effect" in caplog.text


def test_rows_are_scored_in_batches_of_the_size_that_is_asked_for(root, trained, caplog, monkeypatch):
    from lo2dask.training import scoring

    sizes = []
    score_part = scoring.score_part_rows
    monkeypatch.setattr(scoring, "score_part_rows", lambda *a: sizes.append(a[3]) or score_part(*a))
    run(root, skip_if=True, sup_models=("dt_words",), nn_source="dt_words", predict_batch_size=7)
    assert sizes
    assert set(sizes) == {7}
    assert "no effect" not in caplog.text


def test_a_training_that_did_not_finish_leaves_models_that_explain_takes(root):
    (root / "_lo2dask" / "train.json").unlink()
    keys = trained_models(Layout(root))
    assert {"if", "event_lr_words", "event_rarity_words"} <= set(keys)
    assert not [key for key in keys if key.startswith("baseline")]
    summary = report(ReportOptions(root=root))
    assert "The last training did not finish" in summary.markdown.read_text()
    commands = " ".join(line.command for line in summary.missing)
    assert "--sup-models event_lr_words" in commands
    assert "baseline" not in commands
