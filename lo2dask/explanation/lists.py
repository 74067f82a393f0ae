"""False positives and false negatives: their lists, and their counts by service and error type."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.visible import visible
from lo2dask.schema import PREDICTIONS

COLUMNS = ("seq_id", "test_case", "service", "score", "rank", "split")
Tally = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Mistakes:
    """One kind of mistake.

    Attributes
    ----------
    rows : table of :data:`COLUMNS`, one row per mistake, highest rank first, ties by seq_id
    wrong, possible : counts by (split, service) or (split, test case): mistakes, and rows that could have been one
    """

    rows: pa.Table
    wrong: Tally = field(default_factory=Counter)
    possible: Tally = field(default_factory=Counter)

    def merge(self, other: "Mistakes") -> "Mistakes":
        """Join the mistakes of another part."""
        rows = pa.concat_tables([self.rows, other.rows])
        return Mistakes(_sorted(rows), self.wrong + other.wrong, self.possible + other.possible)


@dataclass(frozen=True)
class Outcome:
    """What one part's predictions got wrong."""

    false_positives: Mistakes
    false_negatives: Mistakes

    def merge(self, other: "Outcome") -> "Outcome":
        """Join the outcome of another part."""
        return Outcome(
            self.false_positives.merge(other.false_positives), self.false_negatives.merge(other.false_negatives)
        )


def outcome_of(predictions: pa.Table) -> Outcome:
    """Find the false positives and false negatives of one part (schema ``PREDICTIONS``)."""
    predictions = predictions.select([*COLUMNS, "normal", "anomaly", "pred_ano"])
    predictions = predictions.cast(pa.schema([PREDICTIONS.field(name) for name in predictions.column_names]))
    # A sequence that the model does not score is no mistake of the model.
    predictions = predictions.filter(pc.is_valid(predictions["pred_ano"]))
    flagged = pc.equal(predictions["pred_ano"], 1)
    return Outcome(
        _mistakes(predictions, predictions["normal"], flagged),
        _mistakes(predictions, predictions["anomaly"], pc.invert(flagged)),
    )


def false_positives_text(model: str, mistakes: Mistakes) -> str:
    """Write the list of normal sequences that the model flagged."""
    return _text(f"False positives of {model}: normal sequences that it flags", "normal sequences", mistakes)


def false_negatives_text(model: str, mistakes: Mistakes) -> str:
    """Write the list of anomalous sequences that the model did not flag."""
    return _text(f"False negatives of {model}: anomalous sequences that it misses", "anomalous sequences", mistakes)


def _mistakes(predictions: pa.Table, possible: pa.ChunkedArray, wrong: pa.ChunkedArray) -> Mistakes:
    could = predictions.filter(possible)
    rows = predictions.filter(pc.and_(possible, wrong)).select(COLUMNS)
    return Mistakes(_sorted(rows), _tally(rows), _tally(could))


def _tally(rows: pa.Table) -> Tally:
    tally: Tally = Counter()
    splits = rows["split"].to_pylist()
    for column in ("service", "test_case"):
        tally.update(zip(splits, (f"{column}={value}" for value in rows[column].to_pylist()), strict=True))
    return tally


def _sorted(rows: pa.Table) -> pa.Table:
    return rows.sort_by([("rank", "ascending"), ("seq_id", "ascending")])


def _text(title: str, among: str, mistakes: Mistakes) -> str:
    count = mistakes.rows.num_rows
    lines = [title, f"{count} in all. Columns: rank, score, split, seq_id. Rank 1 is the highest score.", ""]
    lines += _count_lines("service", "by service", among, mistakes)
    lines += _count_lines("test_case", "by error type (test case)", among, mistakes)
    lines += ["sequences"]
    for row in mistakes.rows.to_pylist():
        lines.append(f"{row['rank']:>8}  {row['score']:>12.6g}  {row['split']:<8}  {visible(row['seq_id'])}")
    lines += [] if count else ["none"]
    return "\n".join(lines) + "\n"


def _count_lines(column: str, heading: str, among: str, mistakes: Mistakes) -> Iterable[str]:
    lines = [heading]
    for (split, name), possible in sorted(mistakes.possible.items()):
        if name.startswith(f"{column}="):
            wrong = mistakes.wrong[(split, name)]
            shown = visible(name.removeprefix(f"{column}="))
            lines.append(f"  {shown}, {split}: {wrong} of {possible} {among} ({wrong / possible:.1%})")
    return [*lines, ""] if len(lines) > 1 else [*lines, "  none", ""]
