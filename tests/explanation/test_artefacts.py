import csv
import io

import numpy as np
import pytest

from lo2dask.explanation.artefacts import Artefacts, nn_mapping_csv, skip_note, top_features_text
from lo2dask.explanation.neighbours import Matches
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


def test_mapping_has_a_row_for_each_flagged_sequence_even_without_a_neighbour():
    matched = Matches(np.array([[0.75, 0.5]]), np.array([["run__correct__a,b", "n2"]], dtype=object))
    text = nn_mapping_csv([("a1", matched), ("a2\x1b[0m", Matches.none(1, 2))])
    rows = list(csv.reader(io.StringIO(text)))
    assert rows == [
        ["anomalous_id", "normal_id", "similarity"],
        ["a1", "run__correct__a,b", "0.75"],
        ["a1", "n2", "0.5"],
        ["a2\\x1b[0m", "", "0"],
    ]
    assert nn_mapping_csv([]) == "anomalous_id,normal_id,similarity\n"


def test_skip_note_says_what_to_do():
    assert "--nn-source event_lof_words" in skip_note("event_lof_words", "lof", "It compares neighbours.")
