"""Records hold exactly as long as their key, their file and their outputs do; damage is told once, by file name."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.errors import InputError
from lo2dask.tables import state
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import LOAD, read_load
from lo2dask.tables.parts import checksum, part_paths
from lo2dask.tables.records import Key, Output, Record, Stage, StageType, describe_outputs, prune_outputs, unnamed_parts
from lo2dask.tables.state import StateType, check_layout, fits, read_state, write_state
from tests.damage import DAMAGED, OUTDATED

MADE = StageType("made", "all is made again", {"rows": int}, {"rows": int}, "this part is made again")
KEY = Key("of these inputs", "with these options")
STAGES = {"the whole": None, "a batch": 0, "a named part": "lr_words"}


@pytest.fixture(autouse=True)
def told_warnings(caplog: pytest.LogCaptureFixture) -> None:
    """Warnings are seen, whatever level an earlier command has set."""
    caplog.set_level(logging.WARNING, "lo2dask")


@pytest.fixture(params=STAGES.values(), ids=STAGES)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    """Return a stage, or a part of one, that is done: two outputs, one below a folder."""
    layout = Layout(tmp_path / "out")
    outputs = [layout.root / "a.txt", layout.root / "lo2_made.parquet" / "part-000000.parquet"]
    for path in outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"this is {path.name}")
    made = Stage(layout, MADE, request.param)
    made.commit(KEY, outputs, {"rows": 3})
    return made


def test_a_record_comes_back_as_it_was_written(stage: Stage) -> None:
    record = stage.read()
    assert record is not None
    assert record == stage.read_current(KEY)
    assert (record.key, record.summary) == (KEY, {"rows": 3})
    assert set(record.outputs) == {"a.txt", "lo2_made.parquet/part-000000.parquet"}
    assert record.outputs["a.txt"] == Output(13, checksum(stage.layout.root / "a.txt"))
    assert stage.inspect() == (record, "")


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_record_counts_as_missing_and_is_told_once(
    stage: Stage, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    DAMAGED[name](stage.path)
    before = stage.path.read_bytes()
    with caplog.at_level(logging.WARNING, "lo2dask"):
        assert stage.inspect()[1]
        assert not caplog.messages
        assert stage.read() is None
        assert not stage.is_current(KEY)
    (told,) = caplog.messages
    assert told.startswith(f"_lo2dask/{stage.path.relative_to(stage.layout.internal).as_posix()} is ")
    assert told.endswith(f": {stage.again}")
    assert stage.path.read_bytes() == before
    stage.commit(KEY, [], {"rows": 0})
    DAMAGED[name](stage.path)
    assert stage.read() is None
    assert len(caplog.messages) == 2, "damage that comes again is told again"


@pytest.mark.parametrize("name", OUTDATED)
def test_an_outdated_record_is_not_current_and_nothing_is_told(
    stage: Stage, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    OUTDATED[name](stage)
    assert not stage.is_current(KEY)
    assert not caplog.messages


def test_swapped_records_are_damaged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for indices in ((0, 1), ("lr", "dt")):
        one, other = (Stage(Layout(tmp_path), MADE).part(index) for index in indices)
        one.commit(KEY, [], {"rows": 1})
        other.commit(KEY, [], {"rows": 2})
        first, second = one.path.read_bytes(), other.path.read_bytes()
        one.path.write_bytes(second)
        other.path.write_bytes(first)
        assert not one.is_current(KEY)
        assert not other.is_current(KEY)
    assert len(caplog.messages) == 4


def test_what_is_killed_before_its_record_is_not_done(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lo2dask.tables.records.write_state", lambda *_: pytest.fail("killed"))
    stage.invalidate()
    output = stage.layout.root / "a.txt"
    output.write_text("written again")
    with pytest.raises(BaseException, match="killed"):
        stage.commit(KEY, [output], {"rows": 4})
    assert stage.inspect() == (None, "")


def test_a_later_stage_may_write_an_output_again(stage: Stage) -> None:
    output = stage.layout.root / "a.txt"
    output.write_text("with another column")
    assert not stage.is_current(KEY)
    assert stage.update([output])
    assert stage.is_current(KEY)
    stage.invalidate()
    assert not stage.update([output])
    assert not stage.path.exists()


def test_parts_are_listed_in_order_and_pruned(tmp_path: Path) -> None:
    made = Stage(Layout(tmp_path), MADE)
    for index in (2, 10, 0):
        made.part(index).commit(KEY, [], {"rows": index})
    made.part("lr").commit(KEY, [], {"rows": 99})
    assert [record.summary["rows"] for record in made.records()] == [0, 2, 10, 99]
    made.flush([0, 2])
    made.keep_parts([0, 2])
    assert [part.index for part in made.parts()] == [0, 2]
    assert Stage(Layout(tmp_path / "missing"), MADE).parts() == []


def test_parts_that_no_record_names_are_found_and_removed(tmp_path: Path) -> None:
    table = tmp_path / "lo2_made.parquet"
    table.mkdir()
    for number in range(3):
        (table / f"part-{number:06d}.parquet").write_text("")
    (table / ".part-000000.parquet.12345678.tmp").write_text("left by a killed process")
    paths = part_paths(table)
    records = [Record(KEY, describe_outputs(tmp_path, paths[:1]), {})]
    assert unnamed_parts([table], tmp_path, records) == paths[1:]
    prune_outputs([table], tmp_path, records, keep=paths[2:])
    assert sorted(table.iterdir()) == [paths[0], paths[2]]


def test_outputs_outside_the_folder_keep_their_whole_path(tmp_path: Path) -> None:
    outside = tmp_path / "metrics.json"
    outside.write_text("{}")
    made = Stage(Layout(tmp_path / "out"), MADE)
    made.commit(KEY, [outside], {"rows": 0})
    assert made.is_current(KEY)
    outside.unlink()
    assert not made.is_current(KEY)


def test_what_has_not_its_shape_is_not_even_written(stage: Stage) -> None:
    before = stage.path.read_bytes()
    with pytest.raises(TypeError, match="its content is not that of a state file of type made"):
        stage.commit(KEY, [], {"rows": "three"})
    assert stage.path.read_bytes() == before


EARLIER = {"root": "/raw", "options": {"runs": 0}, "done": True, "inputs": "0123456789abcdef"}


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        (EARLIER, "an earlier version (layout 1, now 7)"),
        ({"layout": 0}, "an earlier version (layout 0, now 7)"),
        ({"layout": 8}, "a later version (layout 8, now 7)"),
    ],
)
def test_a_folder_of_another_layout_is_refused(tmp_path: Path, marker: dict, said: str) -> None:
    layout = Layout(tmp_path)
    layout.internal.mkdir()
    layout.marker("load").write_text(json.dumps(marker))
    with pytest.raises(InputError) as error:
        read_load(layout)
    assert str(error.value) == (
        f"{tmp_path} was written by {said}: load again into it with --no-resume, or choose another --output-dir"
    )


@pytest.mark.parametrize("name", [name for name in DAMAGED if "layout" not in name])
def test_a_damaged_load_is_not_taken_for_another_layout(tmp_path: Path, name: str) -> None:
    layout = Layout(tmp_path)
    summary = {"root": "/raw", "options": {}, "done": True, "format": "lo2", "formats": {}, "is_lo2": True}
    Stage(layout, LOAD).commit(KEY, [], summary)
    DAMAGED[name](layout.marker("load"))
    check_layout(layout)
    assert read_load(layout) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
LIST = StateType("list", {"items": [{"name": str, "figure": (float, type(None))}], "counts": {str: int}}, "again")
ITEMS = st.lists(st.fixed_dictionaries({"name": st.text(), "figure": st.none() | st.integers() | st.floats(0, 1)}))
CONTENT = st.fixed_dictionaries({"items": ITEMS, "counts": st.dictionaries(st.text(), st.integers())})


@given(CONTENT)
def test_state_that_has_its_shape_comes_back(tmp_path_factory: pytest.TempPathFactory, content: dict) -> None:
    path = tmp_path_factory.getbasetemp() / "list.json"
    write_state(path, LIST, content)
    assert read_state(path, LIST) == content


@given(JSON)
def test_any_json_is_read_as_missing(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(content))
    assert read_state(path, LIST) is None


@pytest.mark.parametrize(
    ("value", "shape", "is_fit"),
    [
        (True, int, False), (1, float, True), (True, float, False), (1.0, int, False), (True, bool, True),
        (None, (str, type(None)), True), ([1, "2"], [int], False), ([], [int], True), ({"a": 1}, {str: int}, True),
        ({"a": "1"}, {str: int}, False), ({"a": 1, "b": 2}, {"a": int}, True), ({}, {"a": int}, False), (3, 3, True),
        ([], {"a": int}, False), (4, 3, False), (None, None, True), ({"a": [{"b": 1}]}, {"a": [{"b": int}]}, True),
    ],
)  # fmt: skip
def test_shapes(value: object, shape: object, is_fit: bool) -> None:
    assert fits(value, shape) is is_fit


def test_a_missing_file_is_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = Stage(Layout(tmp_path), replace(MADE, name="never"))
    assert (made.read(), made.is_current(KEY), made.inspect()) == (None, False, (None, ""))
    (tmp_path / "file").write_text("")
    assert read_state(tmp_path / "file" / "below.json", LIST) is None
    assert not caplog.messages
    assert state.short_name(tmp_path / "file") == str(tmp_path / "file")
