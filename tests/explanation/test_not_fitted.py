"""A model that was not fitted is explained as such: it has no mistakes, and no table of it holds NaN."""

import math

import pytest

from lo2dask.commands.explain import explain
from lo2dask.commands.report import report
from lo2dask.execute.session import Session
from lo2dask.explanation.story import describe_sequence
from lo2dask.options import ExplainOptions, ReportOptions
from lo2dask.tables.layout import Layout
from tests.trees import load_tree, table_of, train_root

HEADER = "10:00:00.00{} [main]   INFO com.example.Server start - ready\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Every log has the same words, so that no word is in at most nine of ten sequences."""
    folder = tmp_path_factory.mktemp("same")
    for run in range(3):
        for case in ("correct", "get_service_404_not_found"):
            path = folder / "raw" / f"LO2_run_{1740000000 + 7200 * run}" / case / "light-oauth2-oauth2-token-1.log"
            path.parent.mkdir(parents=True)
            path.write_text("".join(HEADER.format(line) for line in range(4)))
    root = load_tree(folder / "raw", folder / "out")
    summary = train_root(root, models=("event_lr_words",))
    assert [line.fitted for line in summary.models] == [False, False]
    return root


@pytest.mark.parametrize("source", ["if", "event_lr_words"])
def test_no_false_negative_is_counted_and_the_reason_is_told(root, source, caplog):
    summary = explain(ExplainOptions(root=root, nn_source=source, resume=False), Session.serial())
    lines = {line.model: line for line in summary.models}
    unfitted = lines["event_lr_words"]
    assert (unfitted.false_negatives, unfitted.false_positives, unfitted.flagged) == (0, 0, 0)
    assert "event_lr_words: not fitted: " in caplog.text
    report(ReportOptions(root=root))
    for row in table_of(root / "lo2_sequences.parquet")["seq_id"].to_pylist():
        assert "event_lr_words does not score it: it was not fitted" in describe_sequence(root, row)


def test_no_table_of_predictions_or_runs_holds_nan(root):
    explain(ExplainOptions(root=root), Session.serial())
    tables = [*root.glob("*_runs.parquet"), *root.rglob("*_predictions.parquet"), *Layout(root).predictions.iterdir()]
    assert len(tables) >= 7
    for folder in tables:
        table = table_of(folder)
        for name in table.column_names:
            assert not any(isinstance(v, float) and math.isnan(v) for v in table[name].to_pylist()), (folder, name)
    unfitted = table_of(Layout(root).predictions / "event_lr_words")
    assert unfitted["pred_ano"].null_count == unfitted["rank"].null_count == unfitted.num_rows == 6
