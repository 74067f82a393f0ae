"""The compiled masks of identifiers do, consecutively, what their patterns say."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.features import masks
from lo2dask.features.masks import IDENTIFIERS, MASKS, normalise
from tests.examples import examples

UUIDS = ("96bce40c-3e1e-41df-ac31-34e16e0a46b8", "ABCDEF01-2345-6789-abcd-e", "96bce40c-3e1e-41df-ac31-")
HEXES = ("96bce40c", "96BCE40c", "3e1e", "3e1ea", "bce40c7", "0", "f")
pieces = st.sampled_from([*UUIDS, *HEXES, "@", "@756fad98", "-", "_", "g", " ", "ä", "=", "\n", ""])
texts = st.lists(pieces, max_size=10).map("".join)


def by_pattern(array: pa.Array) -> list[str]:
    for mask in IDENTIFIERS:
        array = pc.replace_substring_regex(array, mask.pattern, mask.replacement)
    return array.to_pylist()


@examples(500)
@given(st.lists(texts, min_size=1, max_size=5))
def test_equals_the_patterns(many: list[str]) -> None:
    array = pa.array(["left out", *many]).slice(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masks, "_MANY_TEXTS", 0)
        assert normalise(array, IDENTIFIERS).to_pylist() == by_pattern(array)


def test_texts_that_grow_have_room() -> None:
    many = ["@12345 " * (number % 50) for number in range(200)]
    found = normalise(pa.array(many), IDENTIFIERS)
    assert found.to_pylist() == by_pattern(pa.array(many))
    assert len(found.dictionary) == 50


def test_many_texts_take_the_compiled_way_where_the_identifiers_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = masks._mask_identifiers
    monkeypatch.setattr(masks, "_mask_identifiers", lambda found: seen.append(len(found)) or real(found))
    few, many = [f"id {UUIDS[0]}"], [f"x{n}y {UUIDS[0]}" for n in range(1000)]
    expected = [f"x{n}y <UUID>" for n in range(1000)]
    assert normalise(pa.array(few), MASKS).to_pylist() == ["id <UUID>"]
    assert normalise(pa.array(many), MASKS).to_pylist() == expected
    assert normalise(pa.array(many), MASKS[:1]).to_pylist() == expected
    assert seen == [1000]
