"""What is read back of findings after several trainings."""

from pathlib import Path

from lo2dask.cli.findings import findings_text
from lo2dask.findings.read import count_findings, was_sought
from lo2dask.tables.layout import Layout
from tests.trees import load_tree, make_tree, plant_errors, train_root


def test_without_excess_nothing_is_said_to_look_normal(tmp_path: Path) -> None:
    raw = make_tree(tmp_path / "raw", scale=0.03, services=("token", "user"))
    plant_errors(raw)
    layout = Layout(load_tree(raw, tmp_path / "out"))
    train_root(layout.root, models=("excess",), skip_if=True)
    assert was_sought(layout)
    assert count_findings(layout) >= 8
    train_root(layout.root, models=("event_lr_words",), skip_if=True)
    assert not was_sought(layout)
    assert count_findings(layout) == 0
    assert findings_text(layout, 10, 80) == ["findings: none were looked for, as --models has no excess"]
