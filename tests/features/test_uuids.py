"""The compiled mask of UUIDs does what its pattern says."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lo2dask.features import masks
from lo2dask.features.masks import UUID, normalise

UUIDS = ("96bce40c-3e1e-41df-ac31-34e16e0a46b8", "ABCDEF01-2345-6789-abcd-e", "96bce40c-3e1e-41df-ac31-")
pieces = st.sampled_from([*UUIDS, "96bce40c", "96bce40c-", "3e1e-", "-", "_", "g", "0", " ", "ä", "=", "\n", ""])
texts = st.lists(pieces, max_size=8).map("".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, min_size=1, max_size=5))
def test_equals_the_pattern(many: list[str]) -> None:
    array = pa.array(["left out", *many]).slice(1)
    expected = pc.replace_substring_regex(array, UUID.pattern, UUID.replacement).to_pylist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masks, "_MANY_TEXTS", 0)
        assert normalise(array, (UUID,)).to_pylist() == expected


def test_many_texts_take_the_compiled_way(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = masks._replace_uuids
    monkeypatch.setattr(masks, "_replace_uuids", lambda found: seen.append(len(found)) or real(found))
    few, many = [f"id {UUIDS[0]}"], [f"{n} {UUIDS[0]}" for n in range(1000)]
    assert normalise(pa.array(few), (UUID,)).to_pylist() == ["id <UUID>"]
    assert normalise(pa.array(many), (UUID,)).to_pylist() == [f"{n} <UUID>" for n in range(1000)]
    assert seen == [1000]
