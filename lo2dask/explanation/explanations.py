"""The table of explained sequences: one row per flagged sequence with its strongest features and its log lines.

``lines`` are the lines that carry them (see evidence.py): path of the log, line number, time, text, template, how many
lines of the sequence have that template (``alike``), share, novelty, and the most such lines in one normal sequence of
the service (``normal_max``; null without normals). Shares of lines overlap, as many lines have the same token.
``missing`` are the templates that all normal sequences have and this one has not. ``evidence`` says whether lines were
looked for. The model that neighbours are searched for also has ``nearest_normal``, its type (labelled or unflagged),
and the words and templates that only one of the two has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from lo2dask import schema
from lo2dask.buffers.columns import strings
from lo2dask.explanation.summary import Flags, TopFeatures
from lo2dask.schema import KEY_FIELDS

FEATURE = pa.struct([pa.field("feature", pa.string()), pa.field("value", pa.float32()), pa.field("shap", pa.float64())])
LINE = pa.struct(
    [
        pa.field("path", pa.string()),
        pa.field("line_no", pa.int64()),
        pa.field("m_timestamp", schema.TIME),
        pa.field("m_message", pa.string()),
        pa.field("e_event_drain_id", pa.string()),
        pa.field("alike", pa.int64()),
        pa.field("share", pa.float64()),
        pa.field("novelty", pa.float64()),
        pa.field("normal_max", pa.int64()),
    ]
)
TOKENS = pa.list_(pa.string())
NEAREST = [
    pa.field("nearest_normal", pa.string()),
    pa.field("nearest_type", pa.string()),
    pa.field("similarity", pa.float64()),
    *(pa.field(f"{name}_{way}", TOKENS) for name in ("words", "templates") for way in ("gained", "lost")),
]
EXPLANATIONS = pa.schema(
    [
        *KEY_FIELDS,
        pa.field("score", pa.float64()),
        pa.field("rank", pa.int64()),
        pa.field("split", pa.string()),
        pa.field("explained", pa.bool_()),
        pa.field("features", pa.list_(FEATURE)),
    ]
)
FINISHED = pa.schema(
    [
        *EXPLANATIONS,
        pa.field("evidence", pa.string()),
        pa.field("lines", pa.list_(LINE)),
        pa.field("missing", TOKENS),
        *NEAREST,
    ]
)
# What ``evidence`` says: the log was read, it was not drawn (--evidence-limit), it is not there any more.
READ, BEYOND_LIMIT, GONE = "read", "beyond limit", "gone"


@dataclass(frozen=True)
class RowFeatures:
    """Strongest features of some rows as flat columns; row i has the entries from offsets[i] to offsets[i + 1]."""

    offsets: np.ndarray
    names: list[str]
    values: np.ndarray
    shap: np.ndarray

    def to_arrow(self) -> pa.Array:
        """Return the list column ``features``."""
        arrays = [pa.array(self.names, pa.string()), pa.array(self.values, pa.float32()), pa.array(self.shap)]
        entries = pa.StructArray.from_arrays(arrays, fields=list(FEATURE))
        return pa.ListArray.from_arrays(pa.array(self.offsets, pa.int32()), entries, type=pa.list_(FEATURE))

    def spread(self, listed: Flags) -> "RowFeatures":
        """Put rows without features between these, which are the listed ones: bool (all rows,)."""
        lengths = np.zeros(len(listed), dtype=np.int64)
        lengths[listed] = np.diff(self.offsets)
        return RowFeatures(np.concatenate([[0], np.cumsum(lengths)]), self.names, self.values, self.shap)


def list_features(top: TopFeatures, rows: sparse.csr_matrix, names: Sequence[str]) -> RowFeatures:
    """Name the strongest features of rows and look up their values.

    Parameters
    ----------
    rows : (n, n features) the rows that ``top`` is about
    names : feature names in column order
    """
    filled = top.columns >= 0
    row, columns = np.nonzero(filled)[0], top.columns[filled]
    values = np.asarray(rows[row, columns]).ravel() if len(row) else np.zeros(0)
    offsets = np.concatenate([[0], np.cumsum(filled.sum(axis=1))])
    return RowFeatures(offsets, [names[column] for column in columns.tolist()], values, top.values[filled])


def explanation_table(predictions: pa.Table, explained: Flags, shares: RowFeatures) -> pa.Table:
    """Build the rows of flagged sequences (predictions: schema ``PREDICTIONS``): schema ``EXPLANATIONS``."""
    kept = ("normal", "anomaly", "score", "rank")
    columns: dict[str, Any] = {name: predictions[name] for name in kept}
    columns |= {name: strings(predictions[name]) for name in ("seq_id", "run", "test_case", "service", "split")}
    columns["explained"] = pa.array(explained)
    columns["features"] = shares.to_arrow()
    return pa.table([columns[name] for name in EXPLANATIONS.names], schema=EXPLANATIONS)
