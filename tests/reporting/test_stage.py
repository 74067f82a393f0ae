import re

import pytest

from lo2dask.commands.load import load
from lo2dask.commands.report import report
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.explanation.story import describe_sequence
from lo2dask.ingest.plan import begin_load
from lo2dask.options import LoadOptions, ReportOptions
from lo2dask.tables.layout import Layout


def test_report_of_a_folder(hostile_root):
    summary = report(ReportOptions(root=hostile_root))
    page = summary.html.read_text()
    assert summary.html_bytes < 10_000_000
    assert page.count("<script") == 1
    assert "&lt;script&gt;" in page
    assert "onerror=&#34;" in page
    assert "\x1b" not in page
    assert page.count('<details class="finding"') == 4
    assert re.search(r"4 of \d cases stand out \(excess, 2 normal cases to compare with\)", page)
    assert "no normal log of the service has such a line" in page
    assert "It has no line to show" in page
    assert "what speaks here is that lines are absent" in page
    document = summary.markdown.read_text()
    assert "<script" not in document
    assert "\x1b" not in document
    for name in ("event\\_lr\\_words", "What was read", "Template differences", "Parameters and versions"):
        assert name in document


def test_without_a_table_one_line_says_what_makes_it(explained_root):
    page = report(ReportOptions(root=explained_root)).html.read_text()
    assert f"No findings were made yet: lo2dask train --root {explained_root} --models excess" in page
    assert "No map: the detector excess was not trained" in page
    assert "Template differences over the whole tree" in page


def test_report_names_what_is_missing_and_the_command_that_makes_it(hostile_root):
    missing = {line.path: line.command for line in report(ReportOptions(root=hostile_root)).missing}
    assert "--save-events" in missing["lo2_events.parquet"]
    assert "--load-metrics" in missing["lo2_metrics.parquet"]
    assert "lo2_sequences.parquet" not in missing
    assert not [path for path in missing if path.startswith("explainability")]
    (hostile_root / "explainability" / "if_shap_bar.png").rename(hostile_root / "kept.png")
    again = {line.path: line.command for line in report(ReportOptions(root=hostile_root)).missing}
    assert again["explainability/if_shap_bar.png"].startswith("lo2dask explain")
    (hostile_root / "kept.png").rename(hostile_root / "explainability" / "if_shap_bar.png")


def test_a_line_beyond_all_measure_is_cut_and_says_so(hostile_root, monkeypatch):
    monkeypatch.setattr("lo2dask.reporting.findings.LONGEST", 40)
    page = report(ReportOptions(root=hostile_root)).html.read_text()
    assert "more characters)" in page


def test_a_folder_without_a_load_is_refused(tmp_path):
    with pytest.raises(InputError, match="lo2dask load"):
        report(ReportOptions(root=tmp_path))
    with pytest.raises(InputError, match="no such folder"):
        load(LoadOptions(root=tmp_path / "typo", output_dir=tmp_path / "out"), Session.serial())
    with pytest.raises(InputError, match="nothing was loaded"):
        report(ReportOptions(root=tmp_path / "out"))


def test_a_load_that_did_not_finish_is_told(tmp_path, tiny_tree):
    options = LoadOptions(root=tiny_tree, output_dir=tmp_path, enhance=False)
    load(options, Session.serial())
    assert "did not finish" not in report(ReportOptions(root=tmp_path)).markdown.read_text()
    begin_load(Layout(tmp_path), options, tiny_tree)
    assert "The load did not finish" in report(ReportOptions(root=tmp_path)).markdown.read_text()


def test_story_of_a_flagged_sequence_and_of_an_unknown_one(hostile_root):
    flagged = "light-oauth2-data-1719501000__register_user_400__light-oauth2-oauth2-user-1"
    text = describe_sequence(hostile_root, flagged)
    assert "event_lr_words flags it" in text
    assert "ERR12011" in text
    assert "nearest normal" in text
    assert "\x1b" not in text
    assert "does not flag it" in text
    with pytest.raises(InputError, match="some are light-oauth2-data"):
        describe_sequence(hostile_root, flagged.replace("user-1", "user-2"))
