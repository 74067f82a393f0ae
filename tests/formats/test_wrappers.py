"""Wrappers come off exactly, nested, cut off and mixed; lines stay as many as they were."""

import csv
import io
import json
from dataclasses import replace
from itertools import permutations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given

from lo2dask.formats.kinds import KindFormat
from lo2dask.formats.user_format import lines_of
from lo2dask.formats.wrappers import PREFIXES, find_wrappers, unwrap, with_own_time
from tests.examples import examples

from .canonical import read

TIME = "2026-01-02T03:04:05.678901234Z"
WRAP = {
    "compose": "shop_db-1   | {}".format,
    "kubectl": "[pod/shop-7d9f/app] {}".format,
    "cri": (TIME + " stdout F {}").format,
    "docker": (TIME + " {}").format,
    "json-file": lambda text: json.dumps({"log": text + "\n", "stream": "stdout", "time": TIME}, separators=(",", ":")),
}
inner = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]) | st.just(" "), max_size=25).map(
    str.strip
)


def texts(*lines: str, wrappers: tuple[str, ...]) -> list[str]:
    return unwrap(lines_of(list(lines)), wrappers).texts.to_pylist()


def test_every_wrapper_is_tested() -> None:
    assert set(WRAP) == set(PREFIXES)


@pytest.mark.parametrize("outer", [None, *WRAP])
@pytest.mark.parametrize("name", WRAP)
@examples(24)
@given(many=st.lists(inner, min_size=1, max_size=5))
def test_what_is_within_comes_back(outer: str | None, name: str, many: list[str]) -> None:
    lines = [WRAP[name](text) for text in many]
    names = (name,)
    if outer:
        lines, names = [WRAP[outer](line.strip()) for line in lines], (outer, name)
    assert texts(*lines, wrappers=names) == many


@pytest.mark.parametrize("names", list(permutations(WRAP, 3)), ids="-".join)
def test_wrappers_are_found_from_the_outside_in(names: tuple[str, ...]) -> None:
    lines = [f"INFO text {n}" for n in range(3)]
    for name in reversed(names):
        lines = [WRAP[name](line) for line in lines]
    assert find_wrappers(lines_of(lines)) == names
    assert find_wrappers(lines_of([*lines, "x", "y"])) == names  # most of five
    assert find_wrappers(lines_of([*lines, "x", "y", "z"])) == ()  # no longer


@pytest.mark.parametrize("name", WRAP)
def test_a_line_without_the_wrapper_stays_and_others_are_indented_as_within(name: str) -> None:
    lines = unwrap(lines_of(["bare", WRAP[name]("  at f"), WRAP[name](""), WRAP[name]("a"), "\tb", ""]), (name,))
    assert lines.texts.to_pylist() == ["bare", "at f", "", "a", "b", ""]
    assert lines.indented.tolist()[:4] == [False, True, False, False]


@given(
    inner, st.integers(0, 90), st.sampled_from(["", "{", '{"log":1}', "[]", "null", '{"log":null,"stream":"stdout"}'])
)
@example("é", 9, "{}")
def test_a_line_of_a_json_file_that_is_cut_off_stays(text: str, end: int, other: str) -> None:
    whole = WRAP["json-file"](text)
    cut = whole[: min(end, len(whole) - 1)].strip()
    assert texts(whole, cut, other, whole, wrappers=("json-file",)) == [text, cut, other, text]


def cri(tag: str, text: str, stream: str = "stdout", second: int = 5) -> str:
    return f"2026-01-02T03:04:{second:02}.678901234Z {stream} {tag} {text}"


def test_the_parts_of_a_line_of_cri_are_one_event() -> None:
    lines = [
        cri("P", "ERROR long", second=1), cri("P", "er", second=2), cri("F", "text", second=3),
        cri("F", "INFO b", second=4),
        cri("P", "WARN c", second=5), cri("F", "INFO d", "stderr", 6), cri("F", "INFO e", second=7), "no wrapper",
    ]  # fmt: skip
    found = read(*lines, kind=KindFormat("timed", ("cri-time",)))
    assert [(event.level, event.message) for event in found] == [
        ("ERROR", "long"), ("", "er"), ("", "text"), ("INFO", "b"), ("WARN", "c"), ("INFO", "d"), ("INFO", "e"),
        ("", "no wrapper"),
    ]  # fmt: skip
    assert [event.time >= 0 for event in found] == [True, False, False, True, True, True, True, False]
    # Where the line has a header of its own, the rest has none.
    wrapped = [cri("P", "2026-01-02 03:04:05,678 [m] INFO a.B - x"), cri("F", "2nd"), cri("F", "3rd")]
    assert [event.time >= 0 for event in read(*wrapped, kind=KindFormat("logback", ("cri",)))] == [True, False, False]


def test_the_parts_of_a_line_of_cri_are_joined_before_the_text_within_is_read() -> None:
    lines = [
        cri("F", '{"msg":"a"}'), cri("P", '{"msg":'), cri("P", '"b'), cri("F", "no", "stderr"), "bare",
        cri("F", 'c"}'), cri("P", "  at x", "stderr"), cri("F", " y", "stderr"), cri("P", ""), cri("F", "d"),
        cri("P", "never ends"),
    ]  # fmt: skip
    found = unwrap(lines_of(lines), ("cri",))
    assert found.texts.to_pylist() == [
        '{"msg":"a"}', '{"msg":"bc"}', "", "no", "bare", "", "at x y", "", "d", "", "never ends",
    ]  # fmt: skip
    assert found.indented.tolist() == [n == 6 for n in range(len(lines))]
    events = [event.message for event in read(*lines[:6], kind=KindFormat("json", ("cri",)))]
    assert [text for text in events if text] == ["a", "bc", "no", "bare"]


def test_parts_of_a_line_of_cri_end_with_their_file() -> None:
    lines = lines_of([cri("P", "a"), cri("F", "b")])
    assert unwrap(replace(lines, file=np.array([0, 1])), ("cri",)).texts.to_pylist() == ["a", "b"]


@given(st.lists(st.tuples(st.sampled_from("PF"), st.sampled_from(["stdout", "stderr"]), inner), min_size=1))
def test_parts_are_joined_as_one_reads_them_line_by_line(many: list[tuple[str, str, str]]) -> None:
    wanted, first = [""] * len(many), {}
    for row, (tag, stream, text) in enumerate(many):
        at = first.setdefault(stream, row)
        wanted[at] += text
        if tag == "F":
            del first[stream]
    assert texts(*[cri(tag, text, stream).strip() for tag, stream, text in many], wrappers=("cri",)) == wanted


def test_only_the_innermost_wrapper_gives_its_time() -> None:
    assert with_own_time(("compose", "cri")) == ("compose", "cri-time")
    assert with_own_time(("cri", "json-file")) == ("cri", "json-file-time")
    assert with_own_time(("compose", "docker")) == ("compose",)
    assert with_own_time(()) == ()


@given(st.lists(st.tuples(inner, inner, inner), min_size=1, max_size=5), st.integers(0, 2))
def test_a_csv_column_is_what_a_csv_reader_says(many: list[tuple[str, ...]], column: int) -> None:
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL if column else csv.QUOTE_MINIMAL, lineterminator="\n").writerows(many)
    lines = file.getvalue().splitlines()
    if len(lines) == len(many) and all(line == line.strip() for line in lines):
        assert texts(*lines, wrappers=(f"csv:{column}",)) == [row[column] for row in many]


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("time,log", 1), ("Message,x", 0), ('"a","body"', 1), ("log", None), ("a,b", None), ("log,{}", None),
        (",".join(["log", *"a" * 100]), None), ("TimeUnixNano,Raw", 1),
    ],
)  # fmt: skip
def test_the_header_of_a_csv_file_tells_the_column(header: str, column: int | None) -> None:
    assert find_wrappers(lines_of([header, "x,y"])) == (() if column is None else (f"csv:{column}",))


def test_no_line_at_all() -> None:
    for name in (*PREFIXES, "cri-time", "json-file-time", "csv:1"):
        assert texts(wrappers=(name,)) == []
    assert find_wrappers(lines_of([])) == ()
