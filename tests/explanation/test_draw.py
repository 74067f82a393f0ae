import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.explanation.draw import Lowest, RowCut, mask_drawn


def rows(count: int, spread: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(count)
    return rng.integers(0, spread, count).astype(np.uint64), np.array([f"s{i:04d}" for i in range(count)], dtype=object)


@pytest.mark.parametrize("spread", [3, 2**62])
@pytest.mark.parametrize("limit", [1, 7, 40])
def test_exactly_the_limit_is_drawn_ties_and_all(limit, spread):
    keys, ids = rows(40, spread)
    cut = Lowest.of(limit, keys.tolist(), ids.tolist()).cut()
    mask = mask_drawn(cut, keys, ids)
    assert mask.sum() == limit
    expected = sorted(zip(keys.tolist(), ids.tolist(), strict=True))[:limit]
    assert {(key, name) for key, name in zip(keys[mask].tolist(), ids[mask].tolist(), strict=True)} == set(expected)


@pytest.mark.parametrize("limit", [0, 40, 100])
def test_no_limit_or_more_than_there_is_draws_all(limit):
    keys, ids = rows(40, 5)
    cut = Lowest.of(limit, keys.tolist(), ids.tolist()).cut()
    assert cut is None
    assert mask_drawn(cut, keys, ids).all()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 20), st.integers(1, 6))
def test_a_draw_does_not_depend_on_the_parts(keys, limit, parts):
    ids = [f"s{i:03d}" for i in range(len(keys))]
    whole = Lowest.of(limit, keys, ids)
    cuts = np.array_split(np.arange(len(keys)), parts)
    pieces = [Lowest.of(limit, [keys[i] for i in cut], [ids[i] for i in cut]) for cut in reversed(cuts)]
    merged = functools.reduce(Lowest.merge, pieces)
    assert merged == whole
    assert merged.cut() == whole.cut()


def test_the_last_row_itself_is_mask_drawn():
    cut = RowCut(5, "b")
    mask = cut.mask(np.array([4, 5, 5, 5, 6], dtype=np.uint64), np.array(["z", "a", "b", "c", "a"], dtype=object))
    assert mask.tolist() == [True, True, True, False, False]
