from lo2dask.explanation.artefacts import Artefacts
from lo2dask.reporting.inventory import list_files
from lo2dask.schema import SEQUENCES
from lo2dask.storage import write_text
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import write_part


def test_everything_of_the_guide_is_listed_there_or_missing(tmp_path):
    layout = Layout(tmp_path)
    write_part(layout.sequences / "part-000000.parquet", SEQUENCES.empty_table(), SEQUENCES)
    lines = {line.path: line for line in list_files(layout, [], [])}
    assert lines["lo2_sequences.parquet"].exists
    assert not lines["lo2_sequences_enhanced.parquet"].exists
    for name in ("lo2_events.parquet", "lo2_if_predictions.parquet", "models/lo2_if.joblib", "models/model.yml"):
        assert name in lines
    assert all(line.command.startswith("lo2dask ") for line in lines.values())


def test_the_command_names_what_makes_the_file(tmp_path):
    lines = {line.path: line for line in list_files(Layout(tmp_path), ["if", "event_lr_words"], [])}
    assert "--save-events" in lines["lo2_events.parquet"].command
    assert "--models event_lr_words" in lines["metrics/event_lr_words.json"].command
    assert lines["explainability/event_lr_words_shap_bar.png"].command.endswith("--sup-models event_lr_words")
    assert lines["explainability/if_shap_bar.png"].command.startswith("lo2dask explain")


def test_a_note_stands_for_the_plots(tmp_path):
    layout = Layout(tmp_path)
    write_text(Artefacts(layout.explainability, "event_lof_words").notes[1], "no explainer")
    paths = [line.path for line in list_files(layout, ["event_lof_words"], ["event_lof_words"])]
    assert "explainability/event_lof_words_shap_skipped.txt" in paths
    assert "explainability/event_lof_words_shap_bar.png" not in paths
