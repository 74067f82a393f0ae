"""What differs between a case and the nearest normal one: new lines, missing lines, changed counts."""

from collections.abc import Sequence

from lo2dask.findings.compare import Comparison, Difference, compare_cases
from lo2dask.reporting.data import Case, Change, Nearest
from lo2dask.reporting.timeline import shorten
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths

_TEMPLATE = 300


def read_nearest(layout: Layout, cases: Sequence[Case], normals: Sequence[Case]) -> dict[Case, Nearest]:
    """Compare cases with normal ones; a case that has none beside it is left out."""
    if not cases or not normals or not part_paths(layout.enhanced):
        return {}
    return {case: _group(found) for case, found in compare_cases(layout, cases, normals).items()}


def _group(found: Comparison) -> Nearest:
    new, missing, changed = (
        tuple(_change(one) for one in found.differences if one.kind in kinds)
        for kinds in (("new",), ("missing",), ("more", "less"))
    )
    return Nearest(found.run, found.test_case, found.distance, new, missing, changed, found.left_out)


def _change(one: Difference) -> Change:
    return Change(one.service, one.e_event_drain_id, shorten(one.template, _TEMPLATE), one.here, one.there)
