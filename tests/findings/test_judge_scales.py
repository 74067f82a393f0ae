"""Scales of figures: by service, and of silences over all services."""

import pyarrow as pa
import pytest

from lo2dask.findings.judge import COUNTS, STEP, to_scales


def test_silences_of_all_services_share_a_scale_and_other_figures_do_not() -> None:
    steps = int(1 / STEP)
    rows = [
        *((service, figure, value * steps, 1) for service, top in (("key", 2), ("token", 8))
          for figure in ("gap", "run") for value in (0, 0, 0, top)),
    ]  # fmt: skip
    columns = dict(zip(COUNTS.names, zip(*rows, strict=True), strict=True))
    scales = to_scales(pa.table({name: list(values) for name, values in columns.items()}, schema=COUNTS))
    assert scales["key"]["gap"] == scales["token"]["gap"] == pytest.approx((0, 8))
    assert scales["key"]["run"] == pytest.approx((0, 2))
    assert scales["token"]["run"] == pytest.approx((0, 8))
