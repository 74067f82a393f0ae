"""False positives and false negatives: their lists, and their counts by service and error type."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import strings
from lo2dask.buffers.visible import visible
from lo2dask.storage import replacing
from lo2dask.tables.parts import read_part

TEXTS = ("seq_id", "test_case", "service", "split")
BATCH_ROWS = 10_000


def write_lists(parts: Sequence[Path], texts: tuple[Path, Path], model: str) -> tuple[int, int]:
    """Write the lists of false positives and false negatives; return how many there are of each.

    Parameters
    ----------
    parts : parts of the model's table in the explainability folder
    texts : the two files
    """
    columns = [*TEXTS, f"score_{model}", f"rank_{model}", "normal", "anomaly", "pred_ano"]
    pieces = (read_part(path, columns) for path in parts)
    renamed = (part.rename_columns([*TEXTS, "score", "rank", "normal", "anomaly", "pred_ano"]) for part in pieces)
    table = pa.concat_tables([_plain(part) for part in renamed])
    # A sequence that the model does not score is no mistake of the model.
    table = table.filter(pc.is_valid(table["pred_ano"]))
    counts = []
    for path, lines in zip(texts, (false_positives(model, table), false_negatives(model, table)), strict=True):
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            counts.append(int(next(lines)))
            file.writelines(f"{line}\n" for line in lines)
    return counts[0], counts[1]


def false_positives(model: str, predictions: pa.Table) -> Iterator[str]:
    """Yield the number of normal sequences that the model flags, then the lines of their list."""
    wrong = pc.and_(predictions["normal"], pc.equal(predictions["pred_ano"], 1))
    title = f"False positives of {model}: normal sequences that it flags"
    return _list(title, "normal sequences", predictions.filter(predictions["normal"]), predictions.filter(wrong))


def false_negatives(model: str, predictions: pa.Table) -> Iterator[str]:
    """Yield the number of anomalous sequences that the model does not flag, then the lines of their list."""
    wrong = pc.and_(predictions["anomaly"], pc.equal(predictions["pred_ano"], 0))
    title = f"False negatives of {model}: anomalous sequences that it misses"
    return _list(title, "anomalous sequences", predictions.filter(predictions["anomaly"]), predictions.filter(wrong))


def _plain(part: pa.Table) -> pa.Table:
    """Return a part with its text columns as plain strings."""
    for name in TEXTS:
        part = part.set_column(part.column_names.index(name), name, strings(part[name]))
    return part


def _list(title: str, among: str, possible: pa.Table, wrong: pa.Table) -> Iterator[str]:
    yield str(wrong.num_rows)
    yield title
    yield f"{wrong.num_rows} in all. Columns: rank, score, split, seq_id. Rank 1 is the highest score."
    yield ""
    yield from _count_lines("service", "by service", among, possible, wrong)
    yield from _count_lines("test_case", "by error type (test case)", among, possible, wrong)
    yield "sequences"
    for batch in wrong.sort_by([("rank", "ascending"), ("seq_id", "ascending")]).to_batches(BATCH_ROWS):
        for row in batch.to_pylist():
            yield f"{row['rank']:>8}  {row['score']:>12.6g}  {row['split']:<8}  {visible(row['seq_id'])}"
    if not wrong.num_rows:
        yield "none"


def _count_lines(column: str, heading: str, among: str, possible: pa.Table, wrong: pa.Table) -> Iterable[str]:
    mistakes, counts = _count(wrong, column), sorted(_count(possible, column).items())
    lines = [heading] if counts else [heading, "  none"]
    for (split, value), total in counts:
        share = mistakes[split, value] / total
        lines.append(f"  {visible(value)}, {split}: {mistakes[split, value]} of {total} {among} ({share:.1%})")
    return [*lines, ""]


def _count(table: pa.Table, column: str) -> Counter[tuple[str, str]]:
    rows = table.group_by(["split", column]).aggregate([([], "count_all")]).to_pylist()
    return Counter({(row["split"], row[column]): row["count_all"] for row in rows})
