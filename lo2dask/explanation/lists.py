"""False positives and false negatives: their lists, and their counts by service and error type."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.visible import visible
from lo2dask.schema import PREDICTIONS

COLUMNS = ("seq_id", "test_case", "service", "score", "rank", "split")
Tally = Counter[tuple[str, str, str]]  # (column, its value, split) -> sequences


@dataclass(frozen=True)
class Mistakes:
    """The false positives, or the false negatives, of some parts.

    Attributes
    ----------
    rows : table of :data:`COLUMNS`, one row per mistake
    wrong, possible : mistakes, and rows that could have been one
    """

    rows: pa.Table
    wrong: Tally
    possible: Tally

    def merge(self, other: "Mistakes") -> "Mistakes":
        """Join the mistakes of another part."""
        rows = pa.concat_tables([self.rows, other.rows])
        return Mistakes(rows, self.wrong + other.wrong, self.possible + other.possible)


@dataclass(frozen=True)
class Outcome:
    """What a model got wrong in some parts."""

    false_positives: Mistakes
    false_negatives: Mistakes

    def merge(self, other: "Outcome") -> "Outcome":
        """Join the outcome of another part."""
        positives = self.false_positives.merge(other.false_positives)
        return Outcome(positives, self.false_negatives.merge(other.false_negatives))


def outcome_of(predictions: pa.Table) -> Outcome:
    """Select the false positives and false negatives of one part (schema ``PREDICTIONS``)."""
    names = [*COLUMNS, "normal", "anomaly", "pred_ano"]
    predictions = predictions.select(names).cast(pa.schema([PREDICTIONS.field(name) for name in names]))
    flagged = pc.equal(predictions["pred_ano"], 1)
    return Outcome(_mistakes(predictions, "normal", flagged), _mistakes(predictions, "anomaly", pc.invert(flagged)))


def false_positives_text(model: str, mistakes: Mistakes) -> str:
    """Write the list of normal sequences that the model flagged."""
    return _text(f"False positives of {model}: normal sequences that it flags", "normal sequences", mistakes)


def false_negatives_text(model: str, mistakes: Mistakes) -> str:
    """Write the list of anomalous sequences that the model did not flag."""
    return _text(f"False negatives of {model}: anomalous sequences that it misses", "anomalous sequences", mistakes)


def _mistakes(predictions: pa.Table, label: str, wrong: pa.ChunkedArray) -> Mistakes:
    rows = predictions.filter(pc.and_(predictions[label], wrong)).select(COLUMNS)
    return Mistakes(rows, _tally(rows), _tally(predictions.filter(predictions[label])))


def _tally(rows: pa.Table) -> Tally:
    columns = {name: rows[name].to_pylist() for name in ("service", "test_case", "split")}
    return Counter(
        (column, value, split)
        for column in ("service", "test_case")
        for value, split in zip(columns[column], columns["split"], strict=True)
    )


def _text(title: str, among: str, mistakes: Mistakes) -> str:
    count = mistakes.rows.num_rows
    lines = [title, f"{count} in all. Columns: rank, score, split, seq_id. Rank 1 is the highest score.", ""]
    lines += _count_lines("service", "by service", among, mistakes)
    lines += _count_lines("test_case", "by error type (test case)", among, mistakes)
    lines += ["sequences"]
    for row in mistakes.rows.sort_by([("rank", "ascending"), ("seq_id", "ascending")]).to_pylist():
        lines.append(f"{row['rank']:>8}  {row['score']:>12.6g}  {row['split']:<8}  {visible(row['seq_id'])}")
    lines += [] if count else ["none"]
    return "\n".join(lines) + "\n"


def _count_lines(column: str, heading: str, among: str, mistakes: Mistakes) -> Iterable[str]:
    counts = sorted((split, value, n) for (name, value, split), n in mistakes.possible.items() if name == column)
    lines = [heading] if counts else [heading, "  none"]
    for split, value, possible in counts:
        wrong = mistakes.wrong[column, value, split]
        lines.append(f"  {visible(value)}, {split}: {wrong} of {possible} {among} ({wrong / possible:.1%})")
    return [*lines, ""]
