"""Option classes: each default is allowed, each bound is held, and fingerprints change with what they stand for."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lo2dask import options as classes
from lo2dask.errors import InputError
from lo2dask.options import (
    AuditOptions,
    CheckOptions,
    ExplainOptions,
    ExtractOptions,
    FindingsOptions,
    GridOptions,
    LoadOptions,
    Options,
    PlanOptions,
    ReportOptions,
    RunOptions,
    ScoreOptions,
    ServeMcpOptions,
    ShowOptions,
    SynthOptions,
    TrainOptions,
    VerifyOptions,
    WarmupOptions,
    fingerprint,
    flag_name,
    plain,
)

# What cannot be left out.
REQUIRED: dict[type[Options], dict[str, Any]] = {
    CheckOptions: {"file": "local"},
    ExplainOptions: {},
    AuditOptions: {"root": "out"},
    FindingsOptions: {"root": "out"},
    ShowOptions: {"root": "out", "case": "run/case"},
    ExtractOptions: {"src": "archives", "out": "tree"},
    GridOptions: {},
    LoadOptions: {"root": "tree"},
    PlanOptions: {"bytes": "1GB"},
    ReportOptions: {},
    RunOptions: {"root": "tree"},
    ScoreOptions: {"bundle": "if.joblib", "root": "tree"},
    SynthOptions: {"out": "tree"},
    TrainOptions: {},
    VerifyOptions: {"output_dir": "out"},
    WarmupOptions: {},
    ServeMcpOptions: {"root": "out"},
}
GROUPS = ("load", "enhance", "metrics")


def make(of: type[Options], **changes: Any) -> Options:
    return of(**(REQUIRED[of] | changes))


def other_value(field: dataclasses.Field) -> Any:
    """Return an allowed value of an option that is not its default."""
    if "choices" in field.metadata:
        found = next(choice for choice in field.metadata["choices"] if choice != field.default)
        return (found,) if isinstance(field.default, tuple) else found
    if field.name in ("mode", "window"):
        return {"mode": "0750", "window": "500ms"}[field.name]
    if isinstance(field.default, bool):
        return not field.default
    if isinstance(field.default, int | float):
        return field.default + (1 if isinstance(field.default, int) else 0.125)
    return ("other",) if isinstance(field.default, tuple) else "128MB" if "size" in field.metadata else "other"


def test_every_class_of_a_command_is_tested_here() -> None:
    shared = {
        "ClusterOptions",
        "CommonOptions",
        "EnhancingOptions",
        "ForestOptions",
        "HoldoutOptions",
        "LoadingOptions",
        "WritingOptions",
    }
    named = {name for name in vars(classes) if name.endswith("Options")} - shared - {"Options"}
    assert named == {of.__name__ for of in REQUIRED}


@pytest.mark.parametrize("of", REQUIRED, ids=lambda of: of.__name__)
def test_defaults_are_allowed_and_what_is_required_is_asked_for(of: type[Options]) -> None:
    made = make(of)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.debug = True  # type: ignore[attr-defined]
    for name in REQUIRED[of]:
        with pytest.raises(TypeError, match=name):
            of(**{other: value for other, value in REQUIRED[of].items() if other != name})
    assert make(of) == made == made.replace()
    json.dumps(plain(vars(made)))


def assert_bounds(of: type[Options], field: dataclasses.Field) -> None:
    low, high = (field.metadata.get(name) for name in ("minimum", "maximum"))
    for bound, step in ((low, -1), (high, 1)):
        if bound is not None:
            assert getattr(make(of, **{field.name: bound}), field.name) == bound
            with pytest.raises(InputError, match=f"^{flag_name(field.name)}: .* is out of range"):
                make(of, **{field.name: bound + step})
    for wrong in (float("nan"), float("inf")) if isinstance(field.default, float) else ():
        with pytest.raises(InputError, match=f"^{flag_name(field.name)}: .* is no finite number"):
            make(of, **{field.name: wrong})


def assert_choices(of: type[Options], field: dataclasses.Field) -> None:
    def given(choice: str) -> dict[str, Any]:
        return {field.name: (choice,) if isinstance(field.default, tuple) else choice}

    for choice in field.metadata["choices"]:
        assert getattr(make(of, **given(choice)), field.name) == given(choice)[field.name]
    with pytest.raises(InputError, match=f"^{flag_name(field.name)}: 'nonsense' is not known; use "):
        make(of, **given("nonsense"))


@pytest.mark.parametrize("of", REQUIRED, ids=lambda of: of.__name__)
def test_each_option_has_a_help_and_holds_its_bounds(of: type[Options]) -> None:
    for field in dataclasses.fields(of):
        assert field.metadata["help"]
        assert not field.metadata["help"].endswith("."), field.name
        assert_bounds(of, field)
        if "choices" in field.metadata:
            assert_choices(of, field)


@pytest.mark.parametrize("of", REQUIRED, ids=lambda of: of.__name__)
def test_a_fingerprint_changes_with_its_own_options_alone(of: type[Options]) -> None:
    before = make(of)
    for field in dataclasses.fields(of):
        if field.default is dataclasses.MISSING or field.default is None:
            continue
        changed = make(of, **{field.name: other_value(field)})
        for group in GROUPS:
            is_affected = field.metadata.get("affects") == group
            assert (changed.fingerprint(group) != before.fingerprint(group)) is is_affected, field.name
            assert (field.name in before.affecting(group)) is is_affected


def test_options_of_another_command_are_derived_by_name() -> None:
    run = RunOptions(root="tree", output_dir="out", tokens="raw", models=("lr_words",), workers=3)
    load, train = run.derive(LoadOptions), run.derive(TrainOptions, root=run.output_dir)
    assert (load.root, load.tokens, load.workers) == (Path("tree"), "raw", 3)
    assert (train.root, train.models, train.tokens) == (Path("out"), ("lr_words",), "raw")
    assert load.fingerprint("load", "enhance") == run.fingerprint("load", "enhance")


def test_paths_are_all_that_are_given_and_none_that_is_left_out() -> None:
    options = TrainOptions(root="out", save_model="if.joblib")
    assert set(options.paths()) == {Path("out"), Path("if.joblib")}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(values, values)
def test_equal_data_have_equal_fingerprints_and_others_have_others(one: object, other: object) -> None:
    texts = [json.dumps(plain(value), sort_keys=True) for value in (one, other)]
    assert (fingerprint(one) == fingerprint(other)) is (texts[0] == texts[1])
    assert len(fingerprint(one)) == 16


def test_fingerprints_take_tuples_for_lists_and_paths_for_text() -> None:
    assert fingerprint(("a", Path("b"))) == fingerprint(["a", "b"])
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert plain({1: (Path("x"), {"k": (1,)})}) == {"1": ["x", {"k": [1]}]}


@pytest.mark.parametrize(("name", "flag"), [("root", "--root"), ("if_item", "--if-item"), ("from_", "--from")])
def test_flags_are_named_after_options(name: str, flag: str) -> None:
    assert flag_name(name) == flag
