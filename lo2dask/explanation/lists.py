"""False positives and false negatives: their lists, and their counts by service and error type."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import strings
from lo2dask.buffers.visible import visible
from lo2dask.storage import replacing
from lo2dask.tables.parts import read_part

TEXTS = ("seq_id", "test_case", "service", "split")
BATCH_ROWS = 10_000
_HEADINGS = {"service": "by service", "test_case": "by error type (test case)"}


@dataclass(frozen=True)
class _Mistake:
    """One kind of mistake: sequences of a label that the model should have judged otherwise."""

    title: str
    among: str
    label: str
    flagged: int


_MISTAKES = (
    _Mistake("False positives of {}: normal sequences that it flags", "normal sequences", "normal", 1),
    _Mistake("False negatives of {}: anomalous sequences that it misses", "anomalous sequences", "anomaly", 0),
)


def write_lists(parts: Sequence[Path], texts: tuple[Path, Path], model: str) -> tuple[int, int]:
    """Write the lists of false positives and false negatives; return how many there are of each.

    One part is held at a time, and the mistakes of all.

    Parameters
    ----------
    parts : parts of the model's table in the explainability folder
    texts : the two files
    """
    counted = [{column: Counter[tuple[str, str]]() for column in _HEADINGS} for _ in _MISTAKES]
    wrong: list[list[pa.Table]] = [[] for _ in _MISTAKES]
    for part in (_read(path, model) for path in parts):
        for mistake, counts, found in zip(_MISTAKES, counted, wrong, strict=True):
            possible = part.filter(part[mistake.label])
            for column, count in counts.items():
                count.update(_count(possible, column))
            found.append(possible.filter(pc.equal(possible["pred_ano"], mistake.flagged)))
    rows = [pa.concat_tables(found) for found in wrong]
    for path, mistake, counts, found in zip(texts, _MISTAKES, counted, rows, strict=True):
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            file.writelines(f"{line}\n" for line in _list(mistake, model, counts, found))
    return rows[0].num_rows, rows[1].num_rows


def _read(path: Path, model: str) -> pa.Table:
    """Read a part's sequences that the model scores: one that it does not score is no mistake of the model."""
    names = {f"score_{model}": "score", f"rank_{model}": "rank"}
    part = read_part(path, [*TEXTS, *names, "normal", "anomaly", "pred_ano"])
    part = part.rename_columns([names.get(name, name) for name in part.column_names])
    for name in TEXTS:
        part = part.set_column(part.column_names.index(name), name, strings(part[name]))
    return part.filter(pc.is_valid(part["pred_ano"]))


def _list(
    mistake: _Mistake, model: str, possible: Mapping[str, Counter[tuple[str, str]]], wrong: pa.Table
) -> Iterator[str]:
    yield mistake.title.format(model)
    yield f"{wrong.num_rows} in all. Columns: rank, score, split, seq_id. Rank 1 is the highest score."
    yield ""
    for column, heading in _HEADINGS.items():
        yield from _count_lines(heading, mistake.among, possible[column], _count(wrong, column))
    yield "sequences"
    for batch in wrong.sort_by([("rank", "ascending"), ("seq_id", "ascending")]).to_batches(BATCH_ROWS):
        for row in batch.to_pylist():
            yield f"{row['rank']:>8}  {row['score']:>12.6g}  {row['split']:<8}  {visible(row['seq_id'])}"
    if not wrong.num_rows:
        yield "none"


def _count_lines(
    heading: str, among: str, possible: Counter[tuple[str, str]], mistakes: Counter[tuple[str, str]]
) -> Iterable[str]:
    lines = [heading] if possible else [heading, "  none"]
    for (split, value), total in sorted(possible.items()):
        share = mistakes[split, value] / total
        lines.append(f"  {visible(value)}, {split}: {mistakes[split, value]} of {total} {among} ({share:.1%})")
    return [*lines, ""]


def _count(table: pa.Table, column: str) -> Counter[tuple[str, str]]:
    rows = table.group_by(["split", column]).aggregate([([], "count_all")]).to_pylist()
    return Counter({(row["split"], row[column]): row["count_all"] for row in rows})
