"""The flagged sequences that a report shows: the highest scores of every test case, with the nearest normal's lines."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import strings
from lo2dask.explanation.artefacts import Artefacts
from lo2dask.explanation.evidence import LINES
from lo2dask.explanation.evidence_search import read_masks
from lo2dask.explanation.line_search import SequenceLines, line_source, part_records, read_lines
from lo2dask.explanation.neighbours import LABELLED, NAMES
from lo2dask.explanation.tasks import template_texts
from lo2dask.reporting.data import Flagged, Line
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import count_rows, part_paths, read_part, read_rows

MOST = 400  # of all models together
MOST_OF_MODEL = 60
DIFFERENCES = 12
# Lines of LO2 have up to about 700 characters; longer ones are cut, with a note.
LONGEST = 2_000

Row = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """The flagged sequences to show, and how many there are."""

    flagged: tuple[Flagged, ...]
    total: int


def show_flagged(layout: Layout, models: Sequence[str]) -> Shown:
    """Choose flagged sequences of all models, and read what a report shows of them."""
    texts = template_texts(layout)
    chosen: list[tuple[str, Row]] = []
    total = 0
    limit = min(MOST_OF_MODEL, MOST // max(1, len(models)))
    for model in models:
        folder = Artefacts(layout.explainability, model).explanations
        total += count_rows(folder)
        chosen += [(model, row) for row in _choose(folder, limit)]
    nearest = _nearest_lines(layout, [row for _, row in chosen if row["nearest_normal"]], models)
    return Shown(tuple(_flagged(model, row, texts, nearest) for model, row in chosen), total)


def template_lines(sequence: SequenceLines, templates: Iterable[str], why: str) -> list[Line]:
    """Return the first line of a sequence that has each of the templates."""
    first: dict[str, int] = {}
    patterns = sequence.patterns
    for template, index in zip(patterns.templates, patterns.first.tolist(), strict=True):
        first[template] = min(index, first.get(template, index))
    wanted = [first[template] for template in templates if template in first]
    return [_line({**row, "path": sequence.path, "alike": 1}, why) for row in sequence.rows(wanted)]


def _choose(folder: Any, limit: int) -> list[Row]:
    """Choose the rows to show: the highest rank of each test case, then the second of each, and so on."""
    if not part_paths(folder):
        return []
    ranked = read_rows(folder, columns=["seq_id", "test_case", "rank"]).to_pylist()
    ranked.sort(key=lambda row: (row["rank"], row["seq_id"]))
    seen: dict[str, int] = {}
    for row in ranked:
        seen[row["test_case"]] = row["round"] = seen.get(row["test_case"], 0) + 1
    ranked.sort(key=lambda row: (row["round"], row["rank"], row["seq_id"]))
    wanted = [row["seq_id"] for row in ranked[:limit]]
    rows = read_rows(folder, filters=pc.field("seq_id").isin(pa.array(wanted, pa.string()))).to_pylist()
    return sorted(rows, key=lambda row: (row["rank"], row["seq_id"]))


def _nearest_lines(layout: Layout, rows: Sequence[Row], models: Sequence[str]) -> dict[str, SequenceLines]:
    """Read the logs of the nearest normals of the shown sequences."""
    wanted = {row["nearest_normal"] for row in rows}
    if not wanted:
        return {}
    masks, raw_tokens = read_masks(layout.models / f"{models[0]}.joblib")
    source = line_source(layout, masks, raw_tokens)
    read = {}
    for record in part_records(layout):
        ids = set(strings(read_part(layout.sequences / record.name, ["seq_id"])["seq_id"]).to_pylist())
        for lines in read_lines(record, wanted & ids, source) if wanted & ids else ():
            read[lines.seq_id] = lines
    return read


def _flagged(model: str, row: Row, texts: dict[str, str], nearest: dict[str, SequenceLines]) -> Flagged:
    lines = [_line(line, _why(line)) for line in row["lines"]]
    shown = Flagged(
        model=model,
        seq_id=row["seq_id"],
        run=row["run"],
        test_case=row["test_case"],
        service=row["service"],
        anomaly=row["anomaly"],
        split=row["split"],
        score=row["score"],
        rank=row["rank"],
        features=tuple((f["shap"], f["value"], f["feature"]) for f in row["features"]),
        lines=tuple(lines),
    )
    if not row["nearest_normal"]:
        return shown
    normal = nearest.get(row["nearest_normal"])
    same = [line["e_event_drain_id"] for line in row["lines"]]
    compared: list[Line] = []
    only_there = f"only in the {'normal' if row['nearest_type'] == LABELLED else 'unflagged'} one"
    if normal:
        compared = template_lines(normal, same, "as the flagged one")
        compared += template_lines(normal, row["templates_lost"][: LINES - len(compared)], only_there)
    return replace(
        shown,
        nearest=row["nearest_normal"],
        nearest_name=NAMES[row["nearest_type"]],
        similarity=row["similarity"],
        nearest_lines=tuple(compared),
        gained=_differences(row["words_gained"], row["templates_gained"], texts),
        lost=_differences(row["words_lost"], row["templates_lost"], texts),
    )


def _differences(words: Sequence[str], templates: Sequence[str], texts: dict[str, str]) -> tuple[str, ...]:
    named = [f"{name}: {texts[name]}" if name in texts else name for name in templates[:DIFFERENCES]]
    return (*words[:DIFFERENCES], *named)


def _line(line: Row, why: str) -> Line:
    time = f"{line['m_timestamp']:%Y-%m-%d %H:%M:%S}" if line["m_timestamp"] else ""
    text = line["m_message"]
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} … ({len(text) - LONGEST:,} more characters)"
    return Line(line["path"], line["line_no"], time, text, line["alike"], why)


def _why(line: Row) -> str:
    reasons = [f"{line['share']:.0%} of what speaks for an anomaly"] if line["share"] >= 0.005 else []
    if line["novelty"] >= 0.999:
        reasons.append("no normal sequence of the service has such a line")
    elif line["novelty"] >= 0.25:
        reasons.append("few normal sequences of the service have such a line")
    return ", ".join(reasons)
