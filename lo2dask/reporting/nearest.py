"""What differs between a case and the nearest normal one: new lines, missing lines, changed counts."""

from collections.abc import Sequence

from lo2dask.findings.compare import MOST_DIFFERENCES, Comparison, Difference, compare_cases
from lo2dask.reporting.data import Case, Change, Nearest
from lo2dask.reporting.timeline import shorten
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths

# Of each of the three groups.
LISTED = 8
_TEMPLATE = 300


def read_nearest(layout: Layout, cases: Sequence[Case], normals: Sequence[Case]) -> dict[Case, Nearest]:
    """Compare cases with normal ones; a case that has none beside it is left out."""
    if not cases or not normals or not part_paths(layout.enhanced):
        return {}
    return {case: _group(found) for case, found in compare_cases(layout, cases, normals).items()}


def _group(found: Comparison) -> Nearest:
    by_kind = {kind: [d for d in found.differences if d.kind == kind] for kind in ("new", "missing")}
    changed = [d for d in found.differences if d.kind in ("more", "less")]
    groups = [by_kind["new"], by_kind["missing"], changed]
    new, missing, other = (tuple(_change(one) for one in group[:LISTED]) for group in groups)
    is_cut = len(found.differences) >= MOST_DIFFERENCES
    left_out = sum(max(0, len(group) - LISTED) for group in groups)
    return Nearest(found.run, found.test_case, found.distance, new, missing, other, left_out, is_cut)


def _change(one: Difference) -> Change:
    return Change(one.service, one.e_event_drain_id, shorten(one.template, _TEMPLATE), one.here, one.there)
