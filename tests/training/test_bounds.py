"""How many rows a fit takes, and when all workers fit together, with and without the memory guard."""

import dataclasses
from pathlib import Path

import pytest

from lo2dask.models import guard, registry
from lo2dask.training.fitting import FitPlan, _bound

SIZE = (10_000_000, 1_000, 50.0)
PLAN = FitPlan(Path(), 42, 2_000_000_000, True, False)


@pytest.mark.parametrize("guarded", [True, False])
def test_boosting_over_the_budget_is_fitted_on_all_workers_with_and_without_the_guard(guarded):
    plan, spec = dataclasses.replace(PLAN, guarded=guarded), registry.spec("xgb_words")
    assert guard.fit_bytes(spec, *SIZE) > plan.budget
    assert _bound(plan, spec, SIZE, has_workers=True) == (SIZE[0], (), True)
    assert not _bound(plan, spec, (1000, *SIZE[1:]), has_workers=True)[2]
    assert not _bound(plan, spec, SIZE, has_workers=False)[2]


def test_a_sample_is_drawn_under_the_guard_alone():
    spec = registry.spec("lr_words")
    rows, changes, spread = _bound(PLAN, spec, SIZE, has_workers=True)
    assert (rows < SIZE[0], spread) == (True, False)
    assert changes[-1].startswith(f"sample of {rows} of {SIZE[0]} rows")
    assert _bound(dataclasses.replace(PLAN, guarded=False), spec, SIZE, has_workers=True) == (SIZE[0], (), False)
