"""How many rows a fit takes, and when all workers fit together, with and without the memory guard."""

import pytest

from lo2dask.models import guard, registry

SIZE = (10_000_000, 1_000, 50.0)
BUDGET = 2_000_000_000


@pytest.mark.parametrize("guarded", [True, False])
def test_boosting_over_the_budget_is_fitted_on_all_workers_with_and_without_the_guard(guarded):
    spec = registry.spec("xgb_words")
    assert guard.fit_bytes(spec, *SIZE) > BUDGET
    assert guard.plan_fit(spec, SIZE, BUDGET, guarded, has_workers=True) == (SIZE[0], (), True)
    assert not guard.plan_fit(spec, (1000, *SIZE[1:]), BUDGET, guarded, has_workers=True)[2]
    assert not guard.plan_fit(spec, SIZE, BUDGET, guarded, has_workers=False)[2]


def test_a_sample_is_drawn_under_the_guard_alone():
    spec = registry.spec("lr_words")
    rows, changes, spread = guard.plan_fit(spec, SIZE, BUDGET, True, has_workers=True)
    assert (rows < SIZE[0], spread) == (True, False)
    assert changes[-1].startswith(f"sample of {rows} of {SIZE[0]} rows")
    assert guard.plan_fit(spec, SIZE, BUDGET, False, has_workers=True) == (SIZE[0], (), False)
