"""Workers' tasks for nearest normals: draw the normals, match each part's flagged rows against them, write the mapping.

Rows travel in files: neither flagged rows nor normals pass through the client.
"""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import strings
from lo2dask.buffers.visible import visible
from lo2dask.explanation.draw import RowCut, mask_drawn
from lo2dask.explanation.merged_parts import Names, Subject, read_rows_of
from lo2dask.explanation.neighbours import LABELLED, UNFLAGGED, NormalRows, draw, may_be_drawn, nearest, unit_rows
from lo2dask.models.sample import strata
from lo2dask.storage import cached_files, replacing
from lo2dask.tables.parts import read_rows

HEADER = ("anomalous_id", "normal_id", "similarity", "normal_type")
NEAREST = pa.schema(
    [
        pa.field("seq_id", pa.string()),
        pa.field("rank", pa.int64()),
        pa.field("normal", pa.string()),
        pa.field("similarity", pa.float64()),
    ]
)
BATCH_ROWS = 10_000


@dataclass(frozen=True)
class NormalsDraw:
    """Which normals are compared with: their type, and of each stratum how many there are and are drawn."""

    type: str
    counts: Mapping[str, int]
    drawn: Mapping[str, int]


def normal_mask(predictions: pa.Table, type_: str) -> npt.NDArray[np.bool_]:
    """Return which rows are normals of a type: labelled normal and in the training part, or not flagged."""
    if type_ == LABELLED:
        chosen = pc.and_(predictions["normal"], pc.equal(strings(predictions["split"]), "train"))
    else:
        chosen = pc.equal(predictions["pred_ano"], 0)
    return np.asarray(pc.fill_null(chosen, False).to_numpy(), dtype=bool)


def count_strata(predictions: pa.Table) -> dict[str, Counter[str]]:
    """Count the normals of each type by service and test case."""
    names = np.array(strata(predictions["service"], predictions["test_case"]), dtype=object)
    return {of: Counter(names[normal_mask(predictions, of)].tolist()) for of in (LABELLED, UNFLAGGED)}


def gather_normals(names: Names, subject: Subject, plan: NormalsDraw) -> Path:
    """Write the normals of some parts that may be drawn; return the file."""
    pieces = []
    for part in read_rows_of(names, subject):
        mask = normal_mask(part.predictions, plan.type)
        of_rows = np.array(strata(part.predictions["service"], part.predictions["test_case"]), dtype=object)
        normals = NormalRows(part.matrix, part.ids, part.hashes, of_rows).take(mask)
        pieces.append(normals.take(may_be_drawn(normals, plan.counts, plan.drawn)))
    path = subject.scratch("normals") / f"{names[0]}.npz"
    NormalRows.join(pieces).save(path)
    return path


def draw_normals(files: Sequence[Path], subject: Subject, plan: NormalsDraw) -> int:
    """Draw the normals to compare with from what the parts may contribute; return their number."""
    normals = draw(NormalRows.join(NormalRows.load(path) for path in files), plan.drawn)
    normals.save(subject.scratch("normals.npz"))
    return len(normals.ids)


def match_parts(names: Names, subject: Subject, cut: RowCut | None) -> int:
    """Write the nearest normal of each flagged row of some parts (``cut`` is by rank); return the number of rows."""
    path, total = subject.scratch("normals.npz"), 0
    normals, transposed = _read_normals(path)
    for part in read_rows_of(names, subject):
        wanted = part.flagged
        wanted[wanted] = mask_drawn(cut, part.ranks[wanted].astype(np.uint64), part.ids[wanted])
        ids = part.ids[wanted]
        best, similarity = nearest(unit_rows(part.matrix[wanted]), ids, transposed, normals.ids)
        columns = [ids, part.ranks[wanted].astype(np.int64), best, similarity]
        table = pa.table(columns, schema=NEAREST)
        part.parts.write(subject.scratch("nearest"), table, NEAREST, np.flatnonzero(wanted))
        total += table.num_rows
    return total


def write_mapping(subjects: Sequence[Subject], names: Sequence[Names], type_: str) -> list[str]:
    """Write nn_mapping.csv of a model, highest rank first, ties by seq_id; return the ids of the normals in it."""
    paths = [nearest_part(one, name) for one, parts in zip(subjects, names, strict=True) for name in parts]
    rows = read_rows(paths).sort_by([("rank", "ascending"), ("seq_id", "ascending")])
    with (
        replacing(subjects[0].artefacts.path("nn_mapping.csv")) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for batch in rows.to_batches(BATCH_ROWS):
            for row in batch.to_pylist():
                ids = [visible(row["seq_id"]), visible(row["normal"])]
                writer.writerow([*ids, f"{row['similarity']:.12g}", type_])
    return sorted(filter(None, pc.unique(rows["normal"]).to_pylist()))


def nearest_part(subject: Subject, name: str) -> Path:
    """Return the file of the nearest normals of one part."""
    return subject.scratch("nearest") / subject.part_name(name)


@cached_files(maxsize=1)
def _read_normals(path: Path) -> tuple[NormalRows, object]:
    normals = NormalRows.load(path)
    return normals, unit_rows(normals.rows).T.tocsr()
