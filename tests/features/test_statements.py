"""Ids of statements: a letter for the kind, numbers in the order of texts, the same in any order of reading."""

import json
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from lo2dask.features.statements import (
    CONTINUATION,
    ERROR,
    OTHER,
    Statements,
    are_templates,
    are_too_many,
    in_order,
    kinds_of,
    letters_of,
)  # fmt: skip
from lo2dask.formats.lo2 import LO2

levels = st.sampled_from(["INFO", "ERROR", "FATAL", "", None])
statements = st.dictionaries(st.text(min_size=1, max_size=6), st.tuples(levels, st.booleans()), max_size=12)


@given(statements)
def test_ids_tell_what_a_statement_is_and_keep_the_order_of_texts(some: dict) -> None:
    texts = sorted(some)
    level, continues = (
        pa.array([some[text][0] for text in texts], pa.string()),
        pa.array([some[text][1] for text in texts]),
    )
    letters = letters_of(pa.array(texts, pa.string()), level, continues, replace(LO2, error_levels=("ERROR", "FATAL")))
    ids = Statements().number(texts, letters, ["e1"] * len(texts))
    assert len(set(ids)) == len(ids)
    assert [int(one[1:]) for one in ids] == list(range(1, len(texts) + 1))
    kinds = kinds_of(pa.array(ids, pa.string()))
    for text, kind in zip(texts, kinds, strict=True):
        name, is_continued = some[text]
        assert kind == (ERROR if name in ("ERROR", "FATAL") else CONTINUATION if is_continued else OTHER)
    assert not are_templates(ids)


@given(statements, statements)
def test_another_tree_has_the_ids_of_the_first_and_new_ones_that_clash_with_none(first: dict, second: dict) -> None:
    known = dict(zip(sorted(first), Statements().number(sorted(first), ["s"] * len(first), []), strict=True))
    naming = Statements.from_plain(json.loads(json.dumps(Statements(known).to_plain())))
    ids = dict(zip(sorted(second), naming.number(sorted(second), ["s"] * len(second), []), strict=True))
    assert {text: ids[text] for text in ids if text in known} == {text: known[text] for text in ids if text in known}
    new = [ids[text] for text in ids if text not in known]
    assert len(set(new)) == len(new)
    assert not set(new) & set(known.values())


def test_by_template_statements_of_one_template_are_one() -> None:
    naming = Statements.from_plain(Statements(by_template=True).to_plain())
    ids = naming.number(["a", "b", "c"], ["s", "s", "e"], ["e7", "e7", "e7"])
    assert ids == ["ste7", "ste7", "ete7"]
    assert are_templates(ids)
    assert kinds_of(pa.array(ids)).tolist() == [OTHER, OTHER, ERROR]


@given(st.permutations(["c1", "e2", "e10", "s1", "s2", "s11", "sn3", "stx", "ste9", "ste10"]))
def test_the_order_of_ids_is_by_number_whatever_their_order(ids: list[str]) -> None:
    ordered = [ids[place] for place in in_order(ids)]
    assert ordered == ["c1", "e2", "e10", "s1", "s2", "s11", "sn3", "ste9", "ste10", "stx"]


@pytest.mark.parametrize(
    ("count", "lines", "wanted"),
    [
        (1_000, 1_000, False),
        (1_001, 1_001, True),
        (1_001, 20_020, False),
        (20_000, 10**9, False),
        (20_001, 10**9, True),
    ],
)
def test_too_many_statements(count: int, lines: int, wanted: bool) -> None:
    assert are_too_many(count, lines) is wanted
    assert kinds_of(pa.array([], pa.string())).dtype == np.uint8
