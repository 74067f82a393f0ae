"""The last maps of an explanation: evidence lines of each flagged sequence, and how its nearest normal differs."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.buffers.columns import strings
from lo2dask.execute.session import Session
from lo2dask.explanation.counted_lines import read_counted, read_shown
from lo2dask.explanation.evidence import Normals, Patterns, Pick, pick_lines, select_carried
from lo2dask.explanation.evidence_draw import EvidenceDraw
from lo2dask.explanation.explanations import BEYOND_LIMIT, EXPLANATIONS, FINISHED, GONE, READ
from lo2dask.explanation.line_search import LineSource, PartLines, line_source, part_records, read_lines
from lo2dask.explanation.matching import nearest_part, normal_mask
from lo2dask.explanation.merged_parts import Names, Subject, deal_consecutive, deal_parts
from lo2dask.features.bags import read_counts
from lo2dask.features.masks import Mask
from lo2dask.models import bundle
from lo2dask.storage import cached_files, read_json, write_json
from lo2dask.tables.parts import read_part, read_rows, write_part

logger = logging.getLogger(__name__)

Counts = dict[str, Normals]  # by service
Row = dict[str, Any]
NO_NORMALS = Normals(0, {}, {})
# The maps that find lines: tasks at the most, and raw bytes of each at the least.
TASKS = 1024
SHOWN_TOKENS = 20  # of each column that lists differences
TASK_BYTES = 16_000_000
BAGS = pa.schema([schema.ENHANCED.field(name) for name in ("seq_id", "e_words", "e_templates")])


@dataclass(frozen=True)
class EvidenceTarget:
    """A model whose flagged sequences get evidence.

    ``representations`` are of its tokens; ``normals_type`` is that of the normals that novelty and neighbours are
    measured against, ``normals`` the file of their templates; ``has_nearest``: the model has neighbours.
    """

    subject: Subject
    representations: tuple[str, ...]
    normals_type: str
    normals: Path
    has_nearest: bool

    @property
    def reads_raw(self) -> bool:
        """Whether the model reads raw bags, which are stored next to the main ones."""
        return any(name in schema.RAW for name in self.representations)


@dataclass(frozen=True)
class _Picked:
    """The lines that are chosen for a row, the normals they are measured against, and the templates that it misses."""

    picks: list[Pick]
    normals: Normals
    missing: list[str]


# The rows of each sequence, with the models that flag it.
Wanted = dict[str, list[tuple[Row, EvidenceTarget]]]


def add_evidence(targets: Sequence[EvidenceTarget], draw: EvidenceDraw, session: Session) -> int:
    """Finish the explanations of all models; return the number of drawn sequences whose lines are gone."""
    subject = targets[0].subject
    _count_normals(targets, session)
    records = part_records(subject.layout)
    groups = _groups(records)
    nearest = next((target.subject for target in targets if target.has_nearest), None)
    if nearest:
        names = [[record.name for record in group] for group in groups]
        found = session.map(gather_bags, names, "nearest normals", nearest=nearest)
        write_json(_bag_parts(nearest), {seq_id: name for some in found for seq_id, name in some.items()})
    masks, raw_tokens = session.call(read_masks, subject.bundle, label="evidence")
    source = line_source(subject.layout, masks, raw_tokens)
    source = replace(source, has_raw_bags=any(target.reads_raw for target in targets))
    missing = sum(session.map(finish_parts, groups, "evidence", targets=list(targets), draw=draw, source=source))
    if missing:
        logger.warning(
            "%d flagged sequences have no lines: their logs are not where they were loaded from, and there is no "
            "lo2_events.parquet (lo2dask load --save-events keeps it)",
            missing,
        )
    return missing


def count_normals(names: Names, targets: Sequence[EvidenceTarget]) -> list[Counts]:
    """Count the normals of each model in some parts, by service."""
    counts: list[Counts] = [{} for _ in targets]
    for name in names:
        enhanced = read_part(targets[0].subject.layout.enhanced / name, ["seq_id", "service", "e_templates"])
        bags, services = read_counts(enhanced["e_templates"]), np.array(strings(enhanced["service"]).to_pylist())
        for target, of_target in zip(targets, counts, strict=True):
            predictions = target.subject.read_predictions(name, ["seq_id", "service", "normal", "split", "pred_ano"])
            normal = strings(predictions["seq_id"].filter(pa.array(normal_mask(predictions, target.normals_type))))
            chosen = pc.is_in(strings(enhanced["seq_id"]), normal).to_numpy(zero_copy_only=False).astype(bool)
            for service in np.unique(services[chosen]).tolist():
                normals = Normals.of(bags, chosen & (services == service))
                of_target[service] = of_target.get(service, NO_NORMALS).merge(normals)
    return counts


def gather_bags(names: Sequence[str], nearest: Subject) -> dict[str, str]:
    """Keep the words and templates of the nearest normals in some parts; return the part of each, by seq_id."""
    path = nearest_ids(nearest)
    wanted = _read_ids(path)
    return {seq_id: name for name in names for seq_id in _gather_part(name, wanted, nearest)}


def nearest_ids(subject: Subject) -> Path:
    """Return the file of the seq_ids of the nearest normals of a model, of all its services."""
    return replace(subject, service="").scratch("nearest_ids.json")


def _gather_part(name: str, wanted: pa.Array, nearest: Subject) -> list[str]:
    table = read_part(nearest.layout.enhanced / name, BAGS.names)
    chosen = table.filter(pc.is_in(strings(table["seq_id"]), wanted))
    ids: list[str] = strings(chosen["seq_id"]).to_pylist()
    if ids:
        rows = {name: [list(bag.items()) for bag in row_bags(chosen, name)] for name in ("e_words", "e_templates")}
        write_part(_bags(nearest) / name, pa.table({"seq_id": ids, **rows}, schema=BAGS), BAGS)
    return ids


def finish_parts(
    group: Sequence[PartLines], targets: Sequence[EvidenceTarget], draw: EvidenceDraw, source: LineSource
) -> int:
    """Write the finished explanations of some parts, for all models; return the drawn sequences without lines."""
    return sum(finish_part(record, targets, draw, source) for record in group)


def finish_part(record: PartLines, targets: Sequence[EvidenceTarget], draw: EvidenceDraw, source: LineSource) -> int:
    """Write the finished explanations of one part, for all models; return the drawn sequences without lines."""
    tables = [(target, rows) for target in targets if (rows := _read_rows(target, record.name, draw)) is not None]
    wanted: Wanted = {}
    for target, rows in tables:
        for row in rows:
            if row["evidence"] != BEYOND_LIMIT:
                wanted.setdefault(row["seq_id"], []).append((row, target))
    missing = wanted.keys() - _find_lines(record, wanted, source)
    for target, rows in tables:
        if target.has_nearest:
            _add_nearest(rows, record.name, target)
        path = target.subject.artefacts.explanations / target.subject.part_name(record.name)
        write_part(path, pa.Table.from_pylist(rows, FINISHED), FINISHED)
    return len(missing)


def read_masks(path: Path) -> tuple[tuple[Mask, ...], bool]:
    """Read from a bundle how the text was masked, and whether its tokens are raw."""
    content = bundle.load(path)
    masks = tuple(Mask(name, pattern, replacement, "") for name, pattern, replacement in content["masks"])
    return masks, bool(content["raw_tokens"])


def row_bags(table: pa.Table, column: str) -> list[dict[str, int]]:
    """Return each row's bag as a dict, from bags or token lists alike."""
    counts = read_counts(table[column])
    tokens, matrix = counts.tokens.to_pylist(), counts.counts
    bags = []
    for row in range(matrix.shape[0]):
        entries = slice(matrix.indptr[row], matrix.indptr[row + 1])
        bags.append({tokens[i]: n for i, n in zip(matrix.indices[entries], matrix.data[entries].tolist(), strict=True)})
    return bags


def _groups(records: Sequence[PartLines]) -> list[list[PartLines]]:
    """Bundle tiny parts by the raw bytes of their logs; results are numbers, so bundles may be many."""
    by_name = {record.name: record for record in records}
    sizes = [record.batch.bytes if record.batch else 0 for record in records]
    return [[by_name[name] for name in group] for group in deal_consecutive(list(by_name), sizes, TASKS, TASK_BYTES)]


def _count_normals(targets: Sequence[EvidenceTarget], session: Session) -> None:
    """Write the normals of each model, by service."""
    total: list[Counts] = [{} for _ in targets]
    for counted in session.map(count_normals, deal_parts(targets[0].subject), "normals", targets=list(targets)):
        for counts, more in zip(total, counted, strict=True):
            for service, normals in more.items():
                counts[service] = counts.get(service, NO_NORMALS).merge(normals)
    for target, counts in zip(targets, total, strict=True):
        write_json(target.normals, {service: asdict(normals) for service, normals in counts.items()})


def _read_rows(target: EvidenceTarget, name: str, draw: EvidenceDraw) -> list[Row] | None:
    path = target.subject.scratch("features") / target.subject.part_name(name)
    if not path.is_file():
        return None
    table = read_part(path)
    nothing = dict.fromkeys(FINISHED.names[len(EXPLANATIONS.names) :])
    drawn = draw.mask(table, target.subject.layout).tolist()
    states = [GONE if is_drawn else BEYOND_LIMIT for is_drawn in drawn]
    return [
        {**nothing, "lines": [], "evidence": state, **row} for row, state in zip(table.to_pylist(), states, strict=True)
    ]


def _find_lines(record: PartLines, wanted: Wanted, source: LineSource) -> set[str]:
    """Add the evidence of the wanted sequences to their rows; return those whose lines were found."""
    counted = read_counted(record, wanted, source)
    picked = {seq_id: [_pick(*one, log.patterns) for one in wanted[seq_id]] for seq_id, log in counted.items()}
    shown = read_shown({seq_id: (log, _indexes(picked[seq_id])) for seq_id, log in counted.items()}, source)
    found = set(shown)
    for seq_id, lines in shown.items():
        _add_lines(wanted[seq_id], picked[seq_id], lines)
    for log in read_lines(record, wanted.keys() - found, source):
        found.add(log.seq_id)
        chosen = [
            _pick(row, target, log.raw_patterns if target.reads_raw and log.raw_patterns else log.patterns)
            for row, target in wanted[log.seq_id]
        ]
        indexes = _indexes(chosen)
        _add_lines(wanted[log.seq_id], chosen, dict(zip(indexes, log.rows(indexes), strict=True)))
    return found


def _pick(row: Row, target: EvidenceTarget, patterns: Patterns) -> _Picked:
    normals = _read_normals(target.normals).get(row["service"], NO_NORMALS)
    carried = select_carried(row["features"], target.representations)
    return _Picked(pick_lines(patterns, carried, normals), normals, normals.find_missing(patterns.templates))


def _indexes(picked: Sequence[_Picked]) -> list[int]:
    return sorted({pick.index for one in picked for pick in one.picks})


def _add_lines(rows: Sequence[tuple[Row, EvidenceTarget]], picked: Sequence[_Picked], lines: Mapping[int, Row]) -> None:
    """Add the chosen lines of one sequence to its rows."""
    for (row, _), one in zip(rows, picked, strict=True):
        shown = [{**lines[pick.index], **_weights(pick, one.normals)} for pick in one.picks]
        row |= {"evidence": READ, "lines": shown, "missing": one.missing}


def _weights(pick: Pick, normals: Normals) -> Row:
    weights = {"e_event_drain_id": pick.template, "alike": pick.alike, "share": pick.share, "novelty": pick.novelty}
    return {**weights, "normal_max": normals.most.get(pick.template, 0) if normals.total else None}


def _add_nearest(rows: list[Row], part: str, target: EvidenceTarget) -> None:
    """Add the nearest normal of each row, and the words and templates that only one of the two has."""
    subject = target.subject
    table = read_part(nearest_part(subject, part)).to_pylist()
    pairs = {row["seq_id"]: (row["normal"], row["similarity"]) for row in table if row["normal"]}
    enhanced = read_part(subject.layout.enhanced / part, BAGS.names)
    own = enhanced.filter(pc.is_in(strings(enhanced["seq_id"]), pa.array(list(pairs), pa.string())))
    wanted = sorted({normal for normal, _ in pairs.values()})
    # Of all parts, the few that hold these normals are opened.
    part_of = _read_bag_parts(_bag_parts(subject))
    paths = [_bags(subject) / name for name in sorted({part_of[normal] for normal in wanted if normal in part_of})]
    normals = read_rows(paths, filters=[("seq_id", "in", wanted)]) if paths else own.slice(0, 0)
    for name, column in (("words", "e_words"), ("templates", "e_templates")):
        mine = dict(zip(strings(own["seq_id"]).to_pylist(), row_bags(own, column), strict=True))
        theirs = dict(zip(strings(normals["seq_id"]).to_pylist(), row_bags(normals, column), strict=True))
        for row in rows:
            if row["seq_id"] in pairs:
                row["nearest_normal"], row["similarity"] = pairs[row["seq_id"]]
                row["nearest_type"] = target.normals_type
                bag, other = mine[row["seq_id"]], theirs.get(row["nearest_normal"], {})
                row[f"{name}_gained"], row[f"{name}_lost"] = tokens_only_in(bag, other), tokens_only_in(other, bag)


def tokens_only_in(bag: Mapping[str, int], other: Mapping[str, int], limit: int = SHOWN_TOKENS) -> list[str]:
    """List the tokens that the other bag lacks, most frequent first, ties by token."""
    return sorted(bag.keys() - other.keys(), key=lambda token: (-bag[token], token))[:limit]


def _bags(nearest: Subject) -> Path:
    return nearest_ids(nearest).with_name("nearest_bags.parquet")


def _bag_parts(nearest: Subject) -> Path:
    return nearest_ids(nearest).with_name("nearest_parts.json")


@cached_files(maxsize=2)
def _read_bag_parts(path: Path) -> Mapping[str, str]:
    return dict(read_json(path) or {})


@cached_files(maxsize=2)
def _read_ids(path: Path) -> pa.Array:
    return pa.array(read_json(path), pa.string())


@cached_files(maxsize=64)
def _read_normals(path: Path) -> Mapping[str, Normals]:
    return {service: Normals(**normals) for service, normals in read_json(path).items()}
