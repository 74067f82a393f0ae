from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.models import sample

IDS = [f"run_{i // 10}__case_{i % 5}__log-{i % 2}" for i in range(400)]
IDS = sorted(set(IDS))
STRATA = sample.strata([i.split("__")[1] for i in IDS], [i[-1] for i in IDS])


def _draw(n, seed, parts):
    """Draw as train does, from rows cut into parts in any order."""
    cut = [np.array(index) for index in np.array_split(np.random.default_rng(parts).permutation(len(IDS)), parts)]
    rows = [([IDS[i] for i in index], [STRATA[i] for i in index]) for index in cut]
    quotas = sample.quotas(dict(sorted(Counter(STRATA).items())), n)
    found = [sample.candidates(ids, strata, quotas, seed) for ids, strata in rows]
    return sample.choose(sample.merge_candidates(found, quotas)), quotas


@pytest.mark.parametrize("n", [1, 7, 50, len(IDS), 10_000])
def test_a_sample_has_the_exact_size_and_is_the_same_for_any_partitioning(n):
    one, quotas = _draw(n, 42, 1)
    assert len(one.seq_ids) == min(n, len(IDS)) == sum(quotas.values())
    for parts in (2, 13):
        assert _draw(n, 42, parts)[0] == one


def test_another_seed_draws_other_rows():
    first, second = _draw(40, 1, 1)[0], _draw(40, 2, 1)[0]
    assert first != second
    assert first.describe(len(IDS), 1)["sha256"] != second.describe(len(IDS), 2)["sha256"]
    assert first.describe(len(IDS), 1) | {"sha256": ""} == {"rows": 40, "of": len(IDS), "seed": 1, "sha256": ""}


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 10**7), min_size=1, max_size=30), st.integers(0, 10**7))
def test_quotas_add_up_keep_proportion_and_never_exceed_a_stratum(total, n):
    quotas = sample.quotas(total, n)
    size = sum(total.values())
    assert sum(quotas.values()) == min(n, size)
    for name, count in total.items():
        assert 0 <= quotas[name] <= count
        assert abs(quotas[name] - count * min(n, size) / size) <= len(total) + 1
        assert quotas[name] >= (1 if n >= len(total) else 0)


def test_the_chosen_rows_are_found_in_each_part():
    chosen, _ = _draw(40, 42, 1)
    column = pa.chunked_array([pa.array(IDS[:100]).dictionary_encode(), pa.array(IDS[100:]).dictionary_encode()])
    mask = chosen.mask(column)
    assert [IDS[i] for i in np.flatnonzero(mask)] == chosen.seq_ids.to_pylist()
    assert chosen.to_table()["seq_id"].to_pylist() == chosen.seq_ids.to_pylist()


def test_rates_are_kept_about_and_a_row_never_depends_on_its_neighbours():
    ids = [f"s{i}" for i in range(4000)]
    mask = sample.keep(ids, 0.25, 3)
    assert 0.22 < mask.mean() < 0.28
    assert np.array_equal(sample.keep(ids[::-1], 0.25, 3), mask[::-1])
