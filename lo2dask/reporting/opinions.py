"""What every other model says of the cases that stand out, with the lines that it points at, or why it has none."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.explanation.artefacts import Artefacts
from lo2dask.reporting.data import Case, Line, Opinion
from lo2dask.reporting.timeline import clock, read_cases, shorten
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import count_rows, part_paths, read_rows

# Of each model and case.
LINES = 2
LONGEST = 300
# Share of the normal logs of a service that lack a line, from which on it is said.
_UNKNOWN, _RARE = 0.999, 0.25
_COLUMNS = ("run", "test_case", "pred_ano", "rank", "top_service")

Row = dict[str, Any]


def read_opinions(layout: Layout, cases: Collection[Case], models: Sequence[str]) -> dict[Case, list[Opinion]]:
    """Read what each model says of each case, in the order of the models."""
    found: dict[Case, list[Opinion]] = defaultdict(list)
    for model in models:
        folder = layout.root / f"{model}_runs.parquet"
        total = count_rows(folder)
        explained = _explained(Artefacts(layout.explainability, model), cases)
        for row in read_cases(folder, _COLUMNS, cases):
            case = (row["run"], row["test_case"])
            found[case].append(_opinion(layout, model, row, total, explained))
    return found


def _explained(files: Artefacts, cases: Collection[Case]) -> dict[Case, Row] | None:
    """Return the strongest explained sequence of each case; None where nothing is explained."""
    if not part_paths(files.explanations):
        return None
    best: dict[Case, Row] = {}
    runs = pa.array(sorted({run for run, _ in cases}), pa.string())
    columns = ["run", "test_case", "service", "rank", "lines"]
    for path in part_paths(files.explanations):
        for row in read_rows(path, columns, pc.field("run").isin(runs)).to_pylist():
            case = (row["run"], row["test_case"])
            if case in cases and (case not in best or row["rank"] < best[case]["rank"]):
                best[case] = row
    return best


def _opinion(layout: Layout, model: str, row: Row, total: int, explained: dict[Case, Row] | None) -> Opinion:
    flags = "flags this case" if row["pred_ano"] == 1 else "does not flag this case"
    text = f"{flags}: rank {row['rank']} of {total:,}"
    text += f", most unusual in {row['top_service']}" if row["top_service"] else ""
    own = None if explained is None else explained.get((row["run"], row["test_case"]))
    if own and own["lines"]:
        return Opinion(model, text, tuple(_line(line) for line in own["lines"][:LINES]))
    if explained is None:
        note = f"It has no line to show: it is not explained yet (lo2dask explain --root {layout.root})."
    elif own is None:
        note = "It has no line to show: it flags none of its logs by itself."
    else:
        note = "It has no line to show: no line of the log carries what it reads."
    return Opinion(model, text, note=note)


def _line(line: Row) -> Line:
    return Line(
        line["path"], line["line_no"], clock(line["m_timestamp"]), shorten(line["m_message"], LONGEST), _why(line)
    )


def _why(line: Row) -> str:
    if line["novelty"] >= _UNKNOWN:
        why = "no normal log of the service has such a line"
    elif line["novelty"] >= _RARE:
        why = "few normal logs of the service have such a line"
    else:
        why = "normal logs of the service have such lines too"
    return f"{why}; {line['alike']:,} alike" if line["alike"] > 1 else why
