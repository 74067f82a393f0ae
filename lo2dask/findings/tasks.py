"""What workers do for the findings: learn the normals of some parts, judge their windows, read their unusual lines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.buffers.columns import strings
from lo2dask.features.masks import Mask
from lo2dask.features.statements import ERROR
from lo2dask.findings import judge, normals
from lo2dask.findings.lines import FOUND, LineReader, Wanted, find_lines
from lo2dask.findings.part import PartWindows, read_keys
from lo2dask.ingest.text import moved_file, read_translation
from lo2dask.models.split import Split
from lo2dask.sources.manifest import Batch, batch_files
from lo2dask.sources.tree import SourceFile
from lo2dask.storage import cached_files, flushing_together, list_paths, read_scratch, write_scratch
from lo2dask.tables.groups import Group
from lo2dask.tables.layout import Layout, part_name
from lo2dask.tables.parts import read_part, write_part

# Windows that score less are left out of lo2_windows.parquet.
SHOWN = 0.5
TIMELINE_MS = 10_000
MOST_EVIDENCE = 5
# A window that has so much of the best one's score, and the statement that a finding is told by, belongs to it.
NEAR_BEST = 0.8
# One row per sequence: how unusual its windows are, and when; and the lines that carry its finding, if it has one.
JUDGED = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("seq_id", "run", "test_case", "service")),
        pa.field("is_training", pa.bool_()),
        pa.field("score", pa.float64()),
        pa.field("alarms", pa.int64()),
        *(pa.field(name, schema.TIME) for name in ("start", "end")),
        pa.field("evidence", pa.list_(pa.int64())),
    ]
)


@dataclass(frozen=True)
class WindowJob:
    """What the tasks share. ``split`` tells the training part, None: nothing was learned here; ``folder`` is scratch;
    the tables go to the folder ``output``. ``moved`` is the raw tree's path when it was loaded and the one now.
    """

    root: Path
    folder: Path
    window_ms: int
    split: Split | None
    output: Path
    moved: tuple[str, str] | None = None

    @property
    def tables(self) -> Layout:
        """Where the tables go."""
        return Layout(self.output)

    @property
    def layout(self) -> Layout:
        """Paths below the output folder."""
        return Layout(self.root)

    @property
    def state(self) -> Path:
        """The file of what was learned: ``statistics`` and ``scales``."""
        return self.folder / "state.pickle"

    @property
    def answers(self) -> Path:
        """The file of the statement id that carries each finding, by the sequence's id."""
        return self.folder / "answers.pickle"

    def training(self, keys: pa.Table) -> Bools:
        """Return which sequences (columns run, test_case, service, anomaly) are normals of the training part."""
        if self.split is None:
            return np.zeros(keys.num_rows, dtype=bool)
        return self.split.training(keys)


def collect_group(group: Group, job: WindowJob) -> None:
    """Keep the statistics of the training normals of a group of parts, if it has any."""
    training = job.training(read_keys(job.layout, group))
    if training.any():
        part = PartWindows.read(job.layout, group, training)
        statistics = normals.collect(part, training[training])
        _keep(job.folder / "statistics" / f"{group.name}.pickle", statistics)


def scale_group(group: Group, job: WindowJob) -> None:
    """Keep the counted figures of the training normals of a group of parts, if it has any."""
    training = job.training(read_keys(job.layout, group))
    if training.any():
        part = PartWindows.read(job.layout, group, training)
        counts = judge.learn_scales(
            part, training[training], normals.Normals(read_learned(job.state).normals, part.ids)
        )
        _keep(job.folder / "counts" / f"{group.name}.pickle", {"counts": counts})


def merge_statistics(job: WindowJob) -> None:
    """Join the statistics of all parts, one after the other."""
    statistics = reduce(normals.merge, _read_all(job.folder / "statistics"), normals.nothing())
    _keep(job.state, {"statistics": statistics, "scales": {}})


def merge_counts(job: WindowJob) -> None:
    """Turn the counted figures of all parts into scales."""
    counts = (one["counts"] for one in _read_all(job.folder / "counts"))
    total = reduce(lambda left, right: judge.add_counts([left, right]), counts, judge.COUNTS.empty_table())
    _keep(job.state, {**read_scratch(job.state), "scales": judge.to_scales(total)})


def keep_state(job: WindowJob, state: Mapping[str, Any]) -> None:
    """Take over what was learned elsewhere."""
    _keep(job.state, dict(state))


def keep_answers(job: WindowJob, statements: Mapping[str, str]) -> None:
    """Keep the statement id that carries each finding, by the sequence's id: their lines are evidence."""
    _keep(job.answers, dict(statements))


@dataclass(frozen=True)
class Learned:
    """What was learned from the training normals: of each service, and its ``scales``."""

    normals: dict[str, normals.ServiceStatistics]
    scales: dict[str, Any]


def read_state(path: Path) -> dict[str, Any]:
    """Read what was learned, as a bundle keeps it."""
    state: dict[str, Any] = read_scratch(path)
    return state


@cached_files(maxsize=1)
def read_learned(path: Path) -> Learned:
    """Read what was learned, by service; a worker keeps the last one."""
    state = read_state(path)
    return Learned(normals.by_service(state["statistics"]), state["scales"])


@cached_files(maxsize=1)
def _read_answers(path: Path) -> dict[str, str]:
    answers: dict[str, str] = read_scratch(path)
    return answers


def judge_group(group: Group, job: WindowJob) -> None:
    """Write the unusual windows of a group of parts, their timeline, and a row per sequence."""
    layout, part = job.layout, PartWindows.read(job.layout, group)
    learned = read_learned(job.state)
    training = job.training(part.keys)
    judged = judge.judge(part, normals.Normals(learned.normals, part.ids), learned.scales, training)
    statements = read_statements(layout)
    windows, owner = _windows(part, judged, job.window_ms, statements)
    timeline, owner_of_step = _timeline(part, judged, job.window_ms)
    carriers, best = carriers_of(part, _read_answers(job.answers)), _best_scores(part, judged)
    telling = telling_windows(part, judged, best, carriers)
    evidence = evidence_lines(part, telling, carriers)
    sequences = _sequences(part, judged, best, training, telling, job.window_ms)
    sequences = sequences.append_column("evidence", evidence)
    with flushing_together():
        group.write(job.tables.windows, windows, schema.WINDOWS, owner)
        group.write(job.tables.timeline, timeline, schema.TIMELINE, owner_of_step)
        group.write(job.folder / "judged", sequences, JUDGED)


def read_unusual_lines(
    record: Sequence[tuple[Batch, Mapping[str, Wanted]]], job: WindowJob, masks: tuple[Mask, ...], limit: int
) -> int:
    """Read the wanted lines of the logs of some batches again; return how many of the logs are gone."""
    learned = read_learned(job.state)
    reader = LineReader(job.layout, masks, read_translation(job.layout), learned.normals, learned.scales)
    logs = [
        (moved_file(file, job.moved), wanted[_seq_id(file)])
        for batch, wanted in record
        for file in batch_files(batch)
        if not file.problem and _seq_id(file) in wanted
    ]
    found, missing = find_lines(logs, reader, limit)
    write_part(job.folder / "lines" / part_name(record[0][0].index), found, FOUND)
    return missing


def carriers_of(part: PartWindows, statements: Mapping[str, str]) -> Ints:
    """Return the place among ``part.ids`` of the statement that each sequence's finding is told by, -1 = none."""
    said = pa.array([statements.get(seq_id) for seq_id in part.names("seq_id")], pa.string())
    places: Ints = pc.fill_null(pc.index_in(said, part.ids, skip_nulls=True), -1).to_numpy()
    return places


def _best_scores(part: PartWindows, judged: judge.Judged) -> np.ndarray:
    """Return the largest score of each sequence's windows, -inf without one: float64 (sequences,)."""
    best = np.full(part.keys.num_rows, -np.inf)
    known = ~np.isnan(judged.score)
    np.maximum.at(best, part.windows["sequence"][known], judged.score[known])
    return best


def telling_windows(part: PartWindows, judged: judge.Judged, best: np.ndarray, carriers: Ints) -> Bools:
    """Return which windows tell when a sequence is unusual: its alarms, or else its best ones.

    Where nothing is labelled, a sequence is judged by itself too, and a burst that goes on has many windows near the
    best: those count in which there are more lines of the finding's statement than in others, and those beside them
    that have it too.
    """
    sequence = part.windows["sequence"]
    has_alarm = np.zeros(part.keys.num_rows, dtype=bool)
    has_alarm[sequence[judged.is_alarm]] = True
    carrier = carriers[sequence]
    has_carrier = (carrier >= 0) & (judged.statement == carrier) & (judged.component < judge.COMPONENTS.index("gap"))
    near = (judged.score == best[sequence]) | (has_carrier & (judged.score >= NEAR_BEST * best[sequence]))
    near = _with_neighbours(part, near, carriers)
    return np.where(has_alarm[sequence], judged.is_alarm, near)


def _with_neighbours(part: PartWindows, chosen: Bools, carriers: Ints) -> Bools:
    """Add the windows that are joined to chosen ones by windows which all have the sequence's carrier."""
    sequence, cells = part.windows["sequence"], part.cells
    has_carrier = np.zeros(len(sequence), dtype=bool)
    has_carrier[cells["window"][cells["statement"] == carriers[sequence[cells["window"]]]]] = True
    stretch = np.cumsum(~has_carrier | (np.diff(sequence, prepend=-1) != 0))
    return chosen | (has_carrier & np.isin(stretch, stretch[chosen & has_carrier]))


def evidence_lines(part: PartWindows, telling: Bools, carriers: Ints) -> pa.Array:
    """Return lines of each sequence (rows of ``part.keys``) that have its carrier (:func:`carriers_of`), ascending.

    At most MOST_EVIDENCE each, one of a window, those of windows that are ``telling`` first; none before the first of
    these, where there is one. Empty lists for sequences without a carrier.
    """
    cells, windows = part.cells, part.windows
    owner = windows["sequence"][cells["window"]]
    found = np.flatnonzero(cells["statement"] == carriers[owner])
    lines, owner = windows["first_line"][cells["window"][found]] + cells["line"][found], owner[found]
    tells = telling[cells["window"][found]]
    since = np.full(len(carriers), np.iinfo(np.int64).max)
    np.minimum.at(since, owner[tells], lines[tells])
    since[since == np.iinfo(np.int64).max] = 0
    kept = np.flatnonzero(lines >= since[owner])
    order = kept[np.lexsort((lines[kept], ~tells[kept], owner[kept]))]
    lines, owner = lines[order], owner[order]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    lines, owner = lines[rank < MOST_EVIDENCE], owner[rank < MOST_EVIDENCE]
    lines = lines[np.lexsort((lines, owner))]
    borders = np.searchsorted(owner, np.arange(len(carriers) + 1))
    return pa.ListArray.from_arrays(pa.array(borders, pa.int32()), pa.array(lines, pa.int64()))


def _seq_id(file: SourceFile) -> str:
    return schema.seq_id(file.run, file.test_case, file.name)


def _keys_of(part: PartWindows, sequence: Ints) -> dict[str, pa.Array]:
    names = ("run", "test_case", "service")
    return {name: pa.array(part.names(name), pa.string()).take(pa.array(sequence)) for name in names}


def _windows(
    part: PartWindows, judged: judge.Judged, window_ms: int, statements: Mapping[str, tuple[str, str]]
) -> tuple[pa.Table, Ints]:
    """Return the unusual windows (schema.WINDOWS), and the sequence of each."""
    rows = np.flatnonzero(judged.score > SHOWN)
    windows = {name: values[rows] for name, values in part.windows.items()}
    statement = judged.statement[rows]
    where = pa.array(statement, mask=statement < 0)
    named = [statements.get(one, (None, None)) for one in part.ids.take(where).to_pylist()]
    begin = windows["window"] * window_ms
    columns = {
        **_keys_of(part, windows["sequence"]),
        "window_start": _time(begin),
        "window_end": _time(begin + window_ms),
        "n_events": windows["events"],
        "score": judged.score[rows],
        "component": pa.array(judge.COMPONENTS).take(pa.array(judged.component[rows])),
        "statement": pa.array([text for text, _ in named], pa.string()),
        "e_event_drain_id": pa.array([template for _, template in named], pa.string()),
        "first_line": windows["first_line"],
        "last_line": windows["last_line"],
    }
    return pa.table({name: columns[name] for name in schema.WINDOWS.names}, schema=schema.WINDOWS), windows["sequence"]


def _timeline(part: PartWindows, judged: judge.Judged, window_ms: int) -> tuple[pa.Table, Ints]:
    """Sum up windows over ten seconds: lines, lines of an error level, the largest score; and the sequence of each."""
    windows, cells = part.windows, part.cells
    is_error = part.kinds[cells["statement"]] == ERROR
    errors = np.bincount(cells["window"][is_error], cells["count"][is_error], len(windows["window"])).astype(np.int64)
    step = windows["window"] * window_ms // TIMELINE_MS
    table = pa.table({
        "sequence": windows["sequence"], "step": step, "n_events": windows["events"], "n_error": errors,
        "score": pa.array(judged.score, from_pandas=True),
    })  # fmt: skip
    summed = table.group_by(["sequence", "step"]).aggregate([("n_events", "sum"), ("n_error", "sum"), ("score", "max")])
    summed = summed.sort_by([("sequence", "ascending"), ("step", "ascending")])
    sequence = summed["sequence"].to_numpy()
    columns = {
        **_keys_of(part, sequence),
        "start": _time(summed["step"].to_numpy() * TIMELINE_MS),
        "n_events": summed["n_events_sum"],
        "n_error": summed["n_error_sum"],
        "score": summed["score_max"],
    }
    return pa.table({name: columns[name] for name in schema.TIMELINE.names}, schema=schema.TIMELINE), sequence


def _sequences(
    part: PartWindows, judged: judge.Judged, best: np.ndarray, training: Bools, telling: Bools, window_ms: int
) -> pa.Table:
    """Return a row per sequence (:data:`JUDGED` but evidence): from its first to its last telling window."""
    sequence, begin = part.windows["sequence"], part.windows["window"] * window_ms
    size = part.keys.num_rows
    alarms = np.bincount(sequence[judged.is_alarm], minlength=size)
    start, end = np.full(size, np.iinfo(np.int64).max), np.full(size, -1)
    np.minimum.at(start, sequence[telling], begin[telling])
    np.maximum.at(end, sequence[telling], begin[telling] + window_ms)
    none = end < 0
    start[none] = end[none] = 0
    columns = {
        **{name: strings(part.keys[name]) for name in ("seq_id", "run", "test_case", "service")},
        "is_training": training,
        "score": pa.array(best, mask=none),
        "alarms": alarms,
        "start": pc.if_else(pa.array(~none), _time(start), None),
        "end": pc.if_else(pa.array(~none), _time(end), None),
    }
    return pa.table(columns)


def _time(milliseconds: Ints) -> pa.Array:
    return pa.array(milliseconds * 1000).cast(schema.TIME)


def read_statements(layout: Layout) -> dict[str, tuple[str, str]]:
    """Return text and template of each statement id; of a template the first text. A worker keeps the last ones."""
    return _read_statements(layout.statements / "part-000000.parquet")


@cached_files(maxsize=1)
def _read_statements(path: Path) -> dict[str, tuple[str, str]]:
    table = read_part(path, ["statement_id", "text", "e_event_drain_id"])
    rows = zip(*(reversed(strings(table[name]).to_pylist()) for name in table.column_names), strict=True)
    return {one: (text, template) for one, text, template in rows}


def _read_all(folder: Path) -> Iterator[Any]:
    return map(read_scratch, list_paths(folder, ".pickle"))


def _keep(path: Path, content: dict[str, Any]) -> None:
    # Chunks that were taken together would each keep what they were cut from.
    whole = {name: one.combine_chunks() if isinstance(one, pa.Table) else one for name, one in content.items()}
    write_scratch(path, whole)
