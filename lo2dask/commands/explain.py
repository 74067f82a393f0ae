"""Phase F: SHAP values, nearest normal sequences, false positives and negatives of the models that train kept."""

import functools
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lo2dask.errors import IntegrityError
from lo2dask.execute.session import Session, using
from lo2dask.explanation.artefacts import nn_mapping_csv, not_fitted_note, skip_note
from lo2dask.explanation.background import Background
from lo2dask.explanation.draw import RowCut
from lo2dask.explanation.evidence_search import EvidenceTarget, add_evidence
from lo2dask.explanation.evidence_text import story
from lo2dask.explanation.lists import Outcome, false_negatives_text, false_positives_text
from lo2dask.explanation.merged_parts import Group, Subject, group_parts
from lo2dask.explanation.neighbours import Matches
from lo2dask.explanation.results import Explained, write_shap
from lo2dask.explanation.shap_values import Sample, guard
from lo2dask.explanation.stale import EXPLAIN, remove_stale
from lo2dask.explanation.subjects import Described, choose_subjects
from lo2dask.explanation.tasks import (
    FlaggedRows,
    RowLimits,
    ShapJob,
    ShapPiece,
    Survey,
    explain_parts,
    flagged_rows,
    list_flagged,
    match_parts,
    measure_predictions,
    sum_background,
    survey,
)
from lo2dask.models.bundle import check_owner
from lo2dask.models.spec import LINEAR
from lo2dask.options import ExplainOptions, fingerprint
from lo2dask.sizing.timings import note
from lo2dask.storage import remove_tree, replacing, write_json, write_text
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import count_rows, part_paths, prune_parts
from lo2dask.tables.records import Key, Record, Stage
from lo2dask.tables.state import check_layout

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelSummary:
    """What was explained of one model; ``shap`` is done, guarded or skipped, ``current`` that nothing was to do."""

    model: str
    shap: str
    rows: int
    features: int
    flagged: int
    not_explained: int
    false_positives: int
    false_negatives: int
    neighbours: int | None = None
    current: bool = False


@dataclass(frozen=True)
class ExplainSummary:
    """What phase F did; ``story`` is what ``--seq-id`` asks for."""

    folder: Path
    models: tuple[ModelSummary, ...]
    seconds: float
    story: str = ""


@dataclass(frozen=True)
class _Unit:
    """One fitted model with its parts and what their predictions say."""

    subject: Subject
    groups: Sequence[Group]
    found: Survey


def explain(options: ExplainOptions, session: Session | None = None) -> ExplainSummary:
    """Explain the models below ``options.root``; what is there and current is left as it is.

    With ``options.seq_id`` the story of that sequence is told from what was explained before, and nothing is done.

    Raises
    ------
    InputError : no such model or sequence, nothing to explain, or another layout version; says what to run first.
    IntegrityError : predictions and sequences are not of one another.
    """
    started = time.perf_counter()
    layout = Layout(options.root)
    check_layout(layout)
    check_owner(layout.root, options.trust)
    if options.seq_id:
        told = story(options.root, options.seq_id)
        return ExplainSummary(layout.explainability, (), time.perf_counter() - started, told)
    with using(session, options) as own:
        described = choose_subjects(options, layout, own)
        done = [_explain_model(entry, place == 0, options, own) for place, entry in enumerate(described)]
        _add_evidence(described, own)
        remove_stale(layout, {entry.first.key for entry in described})
        if not any(summary.current for summary in done):
            seconds, rows = time.perf_counter() - started, count_rows(layout.enhanced)
            note(layout, "explain", seconds=seconds, workers=own.workers(), sequences=rows, models=len(done))
    return ExplainSummary(layout.explainability, tuple(done), time.perf_counter() - started)


def _explain_model(entry: Described, is_source: bool, options: ExplainOptions, session: Session) -> ModelSummary:
    subject = entry.first
    stage = _stage(subject)
    key = Key(entry.state, fingerprint([_relevant(options), is_source]))
    earlier = stage.read_current(key) if options.resume else None
    if earlier:
        return ModelSummary(**{**earlier.summary["model"], "current": True})
    stage.invalidate()
    units = [_survey(subject, options, session) for subject in entry.subjects]
    kind, explained = _shap(entry, units, options, session)
    neighbours = _neighbours(units, options, session) if is_source else None
    outcome = functools.reduce(Outcome.merge, (unit.found.outcome for unit in units))
    _write_lists(subject, outcome)
    _prune(units)
    flagged = sum(unit.found.flagged.rows for unit in units)
    summary = ModelSummary(
        model=subject.key,
        shap=kind,
        rows=sum(one.piece.sums.rows for one in explained),
        features=entry.features,
        flagged=flagged,
        not_explained=sum(one.piece.unexplained for one in explained) if explained else flagged,
        false_positives=outcome.false_positives.rows.num_rows,
        false_negatives=outcome.false_negatives.rows.num_rows,
        neighbours=neighbours,
    )
    label = f"{subject.key}: measures"
    measures = entry.measures or session.call(measure_predictions, subject.predictions, label=label)
    write_json(subject.artefacts.metrics, {**measures, "explanation": asdict(summary)})
    done = {"model": asdict(summary), "evidence": False, "fitted_here": subject.bundle.parent != subject.layout.models}
    stage.commit(key, [*subject.artefacts.written(kind, is_source), *_left_for_evidence(entry, is_source)], done)
    return summary


def _add_evidence(described: Sequence[Described], session: Session) -> None:
    """Find the log lines of all models whose explanations are still without, in one pass over the logs."""
    records = {entry.first.key: _read(entry.first) for entry in described}
    todo = [entry for entry in described if not records[entry.first.key].summary["evidence"]]
    targets = []
    for entry in todo:
        has_nearest = records[entry.first.key].summary["model"]["neighbours"] is not None
        mapped = _nearest(entry.first) if has_nearest else None
        for subject in entry.subjects:
            targets.append(EvidenceTarget(subject, entry.spec.bags, subject.scratch("normals.json"), mapped))
    if targets:
        add_evidence(targets, session)
    for entry in todo:
        record, subject = records[entry.first.key], entry.first
        kind, is_source = record.summary["model"]["shap"], record.summary["model"]["neighbours"] is not None
        outputs = [*subject.artefacts.written(kind, is_source), *part_paths(subject.artefacts.explanations)]
        _stage(subject).commit(record.key, outputs, {**record.summary, "evidence": True})
        for folder in subject.scratch("features").parent.glob("*features"):
            remove_tree(folder)


def _stage(subject: Subject) -> Stage:
    return Stage(subject.layout, EXPLAIN).part(subject.key)


def _read(subject: Subject) -> Record:
    """Read the record of a model that has just been explained, or found current."""
    record = _stage(subject).read()
    if record is None:
        raise IntegrityError(f"{_stage(subject).path}: gone since the model was explained; is another explain running?")
    return record


def _nearest(subject: Subject) -> Path:
    """Return the file that maps flagged sequences to their nearest normal ones."""
    return replace(subject, service="").scratch("nearest.json")


def _survey(subject: Subject, options: ExplainOptions, session: Session) -> _Unit:
    limits = RowLimits(options.shap_background, options.shap_sample, options.nn_top_k, options.nn_normal_sample)
    groups = group_parts(subject)
    found = session.map(survey, groups, f"{subject.label}: survey", subject=subject, limits=limits)
    return _Unit(subject, groups, functools.reduce(Survey.merge, found))


def _shap(
    entry: Described, units: Sequence[_Unit], options: ExplainOptions, session: Session
) -> tuple[str, list[Explained]]:
    """Explain the rows of all units; where that is not to be, write the note that says why."""
    rows = sum(unit.found.shap.rows for unit in units)
    rows = min(options.shap_sample, rows) if options.shap_sample else rows
    refusal = guard(entry.features, rows, options.shap_feature_threshold, options.shap_cell_threshold)
    note = not_fitted_note(entry.first.key, entry.unfitted) if entry.unfitted else refusal
    if entry.unfitted:
        logger.warning("%s: not fitted: %s; it has no predictions to explain", entry.first.key, entry.unfitted)
    if entry.first.kind is None and not entry.unfitted:
        note = skip_note(entry.first.key, entry.spec.algorithm, entry.spec.behaviour.unexplained)
    if note:
        for unit in units:
            session.map(list_flagged, unit.groups, f"{unit.subject.label}: flagged", subject=unit.subject)
        guarded = note == refusal
        entry.first.artefacts.write_note(note, guarded=guarded)
        return ("guarded" if guarded else "skipped"), []
    explained = [_explain_unit(unit, session) for unit in units]
    left_out = sum(max(one.piece.sums.failed, one.piece.unexplained) for one in explained)
    if left_out:
        logger.warning("%s: %d rows not explained: values do not add up to the output", entry.first.key, left_out)
    write_shap(explained, session)
    return "done", explained


def _explain_unit(unit: _Unit, session: Session) -> Explained:
    subject, found = unit.subject, unit.found
    mean = _mean(unit, found.background.cut(), session) if subject.kind == LINEAR else None
    job = ShapJob(found.shap.cut(), found.plot.cut(), mean)
    pieces = session.map(explain_parts, unit.groups, f"{subject.label}: SHAP", subject=subject, job=job)
    piece = functools.reduce(ShapPiece.merge, pieces)
    return Explained(subject, piece, mean, _save_rows(subject.scratch("sample.npz"), piece.sample))


def _mean(unit: _Unit, cut: RowCut | None, session: Session) -> Path:
    """Write the mean background row of a linear model."""
    label = f"{unit.subject.label}: background"
    sums = session.map(sum_background, unit.groups, label, subject=unit.subject, cut=cut)
    path = unit.subject.scratch("mean.npy")
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.save(file, functools.reduce(Background.merge, sums).mean())
    return path


def _neighbours(units: Sequence[_Unit], options: ExplainOptions, session: Session) -> int:
    """Write the mapping of flagged sequences to normal ones, highest rank first; return its sequences."""
    rows: list[tuple[int, str, Matches]] = []
    for unit in units:
        flagged, best = _match(unit, session)
        for place, (rank, name) in enumerate(zip(flagged.ranks.tolist(), flagged.ids.tolist(), strict=True)):
            rows.append((rank, name, Matches(best.similarity[[place]], best.ids[[place]])))
    rows = sorted(rows, key=lambda row: row[:2])[: options.nn_top_k or None]
    subject = units[0].subject
    write_text(subject.artefacts.path("nn_mapping.csv"), nn_mapping_csv([(name, match) for _, name, match in rows]))
    pairs = [(name, str(match.ids[0, 0]), float(match.similarity[0, 0])) for _, name, match in rows]
    write_json(_nearest(subject), pairs)
    return len(rows)


def _match(unit: _Unit, session: Session) -> tuple[FlaggedRows, Matches]:
    subject, found, label = unit.subject, unit.found, f"{unit.subject.label}: neighbours"
    pieces = session.map(flagged_rows, unit.groups, label, subject=subject, cut=found.flagged.cut())
    flagged = functools.reduce(FlaggedRows.merge, pieces)
    path = _save_rows(subject.scratch("flagged.npz"), flagged)
    cut = found.normals.cut()
    matches = session.map(match_parts, unit.groups, label, subject=subject, flagged=path, cut=cut)
    return flagged, functools.reduce(Matches.merge, matches)


def _write_lists(subject: Subject, wrong: Outcome) -> None:
    for name, text in (
        ("false_positives.txt", false_positives_text(subject.key, wrong.false_positives)),
        ("false_negatives.txt", false_negatives_text(subject.key, wrong.false_negatives)),
    ):
        write_text(subject.artefacts.path(name), text)


def _prune(units: Sequence[_Unit]) -> None:
    """Remove parts that an earlier run with other parts or services left."""
    names = [unit.subject.part_name(name) for unit in units for group in unit.groups for name in group]
    for folder in (units[0].subject.artefacts.predictions, units[0].subject.artefacts.explanations):
        prune_parts(folder, names)


def _save_rows(path: Path, rows: Sample | FlaggedRows) -> Path:
    from scipy import sparse

    with replacing(path) as temporary, open(temporary, "wb") as file:
        sparse.save_npz(file, rows.rows)
    return path


def _relevant(options: ExplainOptions) -> dict[str, Any]:
    names = ["shap_sample", "shap_background", "shap_feature_threshold", "shap_cell_threshold"]
    names += ["nn_top_k", "nn_normal_sample", "sample_seed"]
    return {name: getattr(options, name) for name in names}


def _left_for_evidence(entry: Described, is_source: bool) -> list[Path]:
    """List what the explanation of a model leaves for the search of its evidence lines."""
    files = [path for subject in entry.subjects for path in part_paths(subject.scratch("features"))]
    return [*files, _nearest(entry.first)] if is_source else files
