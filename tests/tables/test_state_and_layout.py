"""Paths below an output folder, and the shapes of state files."""

import json
import logging
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lo2dask.errors import InputError
from lo2dask.schema import LAYOUT_VERSION
from lo2dask.tables.layout import Layout, part_index, part_name
from lo2dask.tables.loads import LOAD, batch_summaries, read_load
from lo2dask.tables.records import Key, Stage
from lo2dask.tables.state import StateType, check_layout, fits, inspect_state, read_state, short_name, write_state

OF = StateType("some", {"numbers": [int], "name": (str, type(None)), "one": {"two": {str: float}}}, "it is made again")
WHOLE = {"numbers": [1, 2], "name": None, "one": {"two": {"x": 0.5, "y": 1}}}


@given(st.lists(st.integers(0, 999_999), max_size=20, unique=True))
def test_names_of_parts_sort_as_their_batches_and_lead_back_to_them(indexes: list[int]) -> None:
    names = [part_name(index) for index in indexes]
    assert [part_index(name) for name in names] == indexes
    assert [part_index(name) for name in sorted(names)] == sorted(indexes)


def test_no_two_paths_are_one_and_all_lie_below_the_root(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    named = {name: getattr(layout, name) for name in vars(Layout) if isinstance(vars(Layout)[name], property)}
    named |= {
        "record": layout.record("load", 0),
        "marker": layout.marker("load"),
        "counted": layout.counted("p.parquet"),
    }
    assert len(set(named.values())) == len(named)
    assert all(path.is_relative_to(tmp_path) and path != tmp_path for path in named.values())
    tables = [path for path in named.values() if path.parent == tmp_path and path.suffix == ".parquet"]
    assert all(path.name.startswith("lo2_") for path in tables), "what a fresh start removes by name"
    assert len(tables) == 14


shapes = st.deferred(
    lambda: st.one_of(
        st.sampled_from([int, float, str, bool, type(None)]),
        st.lists(shapes, min_size=1, max_size=1),
        st.dictionaries(st.text(max_size=2), shapes, max_size=2),
        shapes.map(lambda shape: {str: shape}),
        st.lists(st.sampled_from([int, str]), min_size=1, max_size=2).map(tuple),
        st.sampled_from([None, 3, "x"]),
    )
)
SCALARS = {
    int: st.integers(),
    float: st.floats(allow_nan=False) | st.integers(),
    str: st.text(max_size=3),
    bool: st.booleans(),
    type(None): st.none(),
}


def values_of(shape: Any) -> st.SearchStrategy:
    """Return values that have a shape, by the words of StateType."""
    if isinstance(shape, list):
        return st.lists(values_of(shape[0]), max_size=3)
    if isinstance(shape, tuple):
        return st.one_of(*map(values_of, shape))
    if isinstance(shape, dict):
        if set(shape) == {str}:
            return st.dictionaries(st.text(max_size=2), values_of(shape[str]), max_size=2)
        return st.fixed_dictionaries({name: values_of(of) for name, of in shape.items()})
    return SCALARS[shape] if isinstance(shape, type) else st.just(shape)


@given(st.data())
def test_what_is_made_to_a_shape_fits_it_and_still_does_as_json(data: st.DataObject) -> None:
    shape = data.draw(shapes, "shape")
    value = data.draw(values_of(shape), "value")
    assert fits(value, shape)
    assert fits(json.loads(json.dumps(value)), shape)
    assert not fits({"wrong": object()}, [shape])
    assert not fits(object(), shape)


@pytest.mark.parametrize(
    "wrong",
    [
        {"numbers": [1, "2"]}, {"numbers": [True]}, {"numbers": {}}, {"name": 3}, {"one": {}}, {"one": None},
        {"one": {"two": {"x": "1"}}}, {"one": {"two": [0.5]}},
    ],
)  # fmt: skip
def test_each_field_of_another_shape_is_damage_and_is_not_written(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = tmp_path / "_lo2dask" / "some.json"
    write_state(path, OF, WHOLE)
    whole = path.read_bytes()
    with pytest.raises(TypeError, match="some.json: its content is not that of a state file of type some"):
        write_state(path, OF, WHOLE | wrong)
    assert path.read_bytes() == whole
    path.write_text(json.dumps(json.loads(whole) | wrong))
    assert inspect_state(path, OF) == (None, "damaged")


def test_fields_that_are_not_asked_for_are_left_out_and_a_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    write_state(path, OF, WHOLE | {"more": 1})
    assert read_state(path, OF) == WHOLE
    for version, said in ((LAYOUT_VERSION + 1, "of another version"), ("2", "damaged"), (True, "damaged")):
        path.write_text(json.dumps(WHOLE | {"layout": version, "type": "some"}))
        content, problem = inspect_state(path, OF)
        assert content is None
        assert problem.startswith(said)


def test_damage_is_told_once_until_the_file_is_whole_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "_lo2dask" / "deep" / "some.json"
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            write_state(path, OF, WHOLE)
            assert read_state(path, OF) == WHOLE
            path.write_text("{")
            assert read_state(path, OF) is read_state(path, OF) is None
    assert caplog.messages == ["_lo2dask/deep/some.json is damaged: it is made again"] * 2
    assert short_name(path) == "_lo2dask/deep/some.json"


def test_a_load_and_its_batches_come_back(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    check_layout(layout)
    assert read_load(layout) is None
    assert batch_summaries(layout) == []
    numbers = dict.fromkeys(("files", "bytes", "events", "sequences", "rejects"), 3)
    for batch in (1, 0):
        summary = {"batch": batch, **numbers, "lines": {"kept": 3}, "labels_met": [], "seconds": 0.5}
        Stage(layout, LOAD).part(batch).commit(Key("i", "o"), [], summary)
    whole = {"root": "/raw", "options": {"runs": 2}, "done": True, "format": "lo2", "formats": {}, "is_lo2": True}
    Stage(layout, LOAD).commit(Key("inputs", "options"), [], whole)
    assert read_load(layout) == whole | {"inputs": "inputs"}
    assert [one["batch"] for one in batch_summaries(layout)] == [0, 1]
    marker = json.loads(layout.marker("load").read_text())
    layout.marker("load").write_text(json.dumps(marker | {"layout": LAYOUT_VERSION + 1}))
    with pytest.raises(InputError, match="a later version"):
        read_load(layout)
