"""Ways to damage a record's file or its outputs, for the tests of records and of the stages that keep them."""

import json
from collections.abc import Callable
from pathlib import Path

from lo2dask.tables.records import Stage, output_path
from lo2dask.tables.state import state_bytes


def edit(path: Path, **changes: object) -> None:
    """Change fields of a state file, and sign it again."""
    path.write_bytes(state_bytes(json.loads(path.read_text()) | changes))


def first_output(stage: Stage) -> Path:
    """Return the first output of a record that is there."""
    record, _ = stage.inspect()
    assert record is not None
    return output_path(stage.layout.root, sorted(record.outputs)[0])


# The file is no record of this version: that is told.
DAMAGED: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "truncated": lambda path: path.write_text(path.read_text()[:-20]),
    "a list": lambda path: path.write_text("[]"),
    "no fields": lambda path: path.write_text("{}"),
    "other fields": lambda path: path.write_text('{"version": 9}'),
    "nested too deep": lambda path: path.write_text("[" * 100_000),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe{}"),
    "of the layout before": lambda path: edit(path, layout=1),
    "of a later layout": lambda path: edit(path, layout=99),
    "of another type": lambda path: edit(path, type="another"),
    "outputs of another shape": lambda path: edit(path, outputs={"x": [1, "2"]}),
    "a summary of another shape": lambda path: edit(path, summary=None),
}
# The record is whole, and does not hold.
OUTDATED: dict[str, Callable[[Stage], object]] = {
    "missing": lambda stage: stage.path.unlink(),
    "of other inputs": lambda stage: edit(stage.path, inputs="0"),
    "of other options": lambda stage: edit(stage.path, options="0"),
    "an output is missing": lambda stage: first_output(stage).unlink(),
    "an output is longer": lambda stage: first_output(stage).write_bytes(first_output(stage).read_bytes() + b"x"),
    "an output is empty": lambda stage: first_output(stage).write_bytes(b""),
}
