"""Template differences over the whole tree: in how many normal and anomalous sequences each template occurs."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import is_true
from lo2dask.features.bags import read_counts
from lo2dask.reporting.data import TemplateDifferences, TemplateRow
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_parts

LISTED = 20
# Added to every count, so that a template which one side lacks has a finite lift.
SMOOTHING = 0.5
_COLUMN = "e_templates"


def read_differences(layout: Layout) -> TemplateDifferences | str:
    """Count templates by label, part by part; where that cannot be done, say what makes it possible."""
    if not part_paths(layout.enhanced):
        return f"No templates were mined yet: lo2dask train --root {layout.root} --phase enhancers"
    sequences = [0, 0]
    counts: dict[str, list[int]] = {}
    for part in read_parts(layout.enhanced, ["anomaly", _COLUMN]):
        _add(part, sequences, counts)
    if not all(sequences):
        return "Nothing to compare: " + (_LACKING[sequences[0] > 0, sequences[1] > 0])
    texts = _texts(layout)
    rows = [
        TemplateRow(
            name, texts.get(name, ""), normal, anomalous, lift((normal, anomalous), (sequences[0], sequences[1]))
        )
        for name, (normal, anomalous) in counts.items()
    ]
    return TemplateDifferences(
        sequences[0],
        sequences[1],
        tuple(sorted((row for row in rows if row.lift > 1), key=lambda row: (-row.lift, row.template_id))[:LISTED]),
        tuple(sorted((row for row in rows if row.lift < 1), key=lambda row: (row.lift, row.template_id))[:LISTED]),
    )


_LACKING = {
    (True, False): "no sequence is anomalous.",
    (False, True): "no sequence is normal.",
    (False, False): "no sequence is labelled.",
}


def lift(pair: tuple[int, int], of: tuple[int, int]) -> float:
    """Divide the share of anomalous sequences with a template by that of normal ones, both smoothed."""
    normal, anomalous = ((count + SMOOTHING) / (total + 2 * SMOOTHING) for count, total in zip(pair, of, strict=True))
    return anomalous / normal


def _add(part: pa.Table, sequences: list[int], counts: dict[str, list[int]]) -> None:
    part = part.filter(pc.is_valid(part["anomaly"]))
    if not part.num_rows:
        return
    bags = read_counts(part[_COLUMN])
    is_there = bags.counts.astype(bool).astype(np.int64)
    anomaly = is_true(part["anomaly"])
    both = [np.asarray(is_there[side].sum(axis=0)).ravel().tolist() for side in (~anomaly, anomaly)]
    sequences[0] += int((~anomaly).sum())
    sequences[1] += int(anomaly.sum())
    for name, normal, anomalous in zip(bags.tokens.to_pylist(), *both, strict=True):
        total = counts.setdefault(name, [0, 0])
        total[0] += normal
        total[1] += anomalous


def _texts(layout: Layout) -> dict[str, str]:
    parts: Iterable[pa.Table] = read_parts(layout.templates, ["e_event_drain_id", "template"])
    return {row["e_event_drain_id"]: row["template"] for part in parts for row in part.to_pylist()}
