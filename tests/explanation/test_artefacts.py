import pytest

from lo2dask.explanation.artefacts import Artefacts, skip_note, top_features_text
from lo2dask.explanation.summary import Feature


@pytest.fixture
def artefacts(tmp_path) -> Artefacts:
    return Artefacts(tmp_path / "explainability", "event_lr_words")


def names(artefacts: Artefacts) -> set[str]:
    return {path.name for path in artefacts.folder.iterdir()}


def test_names_are_those_of_the_guide(artefacts):
    assert artefacts.metrics.name == "metrics_event_lr_words.json"
    assert artefacts.predictions.name == "event_lr_words_predictions.parquet"
    assert artefacts.path("nn_mapping.csv").name == "event_lr_words_nn_mapping.csv"


def test_plots_and_notes_take_each_others_place(artefacts):
    artefacts.write_note("too wide", guarded=True)
    assert names(artefacts) == {"event_lr_words_shap_guard.txt"}
    artefacts.write_note("no explainer", guarded=False)
    assert names(artefacts) == {"event_lr_words_shap_skipped.txt"}
    artefacts.write_shap((b"png", b"png"), "features")
    assert names(artefacts) == {
        "event_lr_words_shap_summary.png",
        "event_lr_words_shap_bar.png",
        "event_lr_words_top_features.txt",
    }
    artefacts.write_note("too wide", guarded=True)
    assert names(artefacts) == {"event_lr_words_shap_guard.txt"}


def test_feature_list_says_what_the_values_are():
    text = top_features_text("lr", "contribution to log-odds", (40, 2), [Feature("ERR12029", 0.5, -0.25)])
    assert "40 sequences explained, 2 not explained" in text
    assert text.endswith("   1           0.5         -0.25  ERR12029\n")
    assert "no feature" in top_features_text("lr", "x", (0, 0), [])


def test_skip_note_says_what_to_do():
    assert "--nn-source event_lof_words" in skip_note("event_lof_words", "lof", "It compares neighbours.")
