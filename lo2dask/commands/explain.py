"""Explanations (phase F): SHAP values, nearest normals, false positives and negatives of the trained models."""

import functools
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lo2dask.errors import IntegrityError
from lo2dask.execute.session import Session, using
from lo2dask.explanation.artefacts import not_fitted_note, skip_note
from lo2dask.explanation.draw import Lowest, RowCut
from lo2dask.explanation.evidence_draw import EvidenceDraw, draw_evidence
from lo2dask.explanation.evidence_search import EvidenceTarget, add_evidence, nearest_ids
from lo2dask.explanation.lists import write_lists
from lo2dask.explanation.matching import NormalsDraw, draw_normals, gather_normals, match_parts, write_mapping
from lo2dask.explanation.merged_parts import Names, Subject, deal_parts
from lo2dask.explanation.neighbours import LABELLED, UNFLAGGED
from lo2dask.explanation.results import Explained, write_shap
from lo2dask.explanation.shap_values import guard
from lo2dask.explanation.stale import EXPLAIN, remove_stale
from lo2dask.explanation.story import describe_sequence
from lo2dask.explanation.subjects import Described, choose_subjects
from lo2dask.explanation.tasks import (
    RowLimits,
    ShapJob,
    ShapPiece,
    Survey,
    explain_parts,
    list_flagged,
    measure_predictions,
    sum_background,
    survey,
)
from lo2dask.models.bundle import check_kept, check_owner
from lo2dask.models.sample import quotas
from lo2dask.models.spec import LINEAR
from lo2dask.options import ExplainOptions, fingerprint
from lo2dask.sizing.timings import note
from lo2dask.storage import replacing, write_json
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import load_size
from lo2dask.tables.parts import count_rows, part_paths, prune_parts
from lo2dask.tables.records import Key, Record, Stage
from lo2dask.tables.state import check_exists, check_layout

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelSummary:
    """What was explained of one model; ``shap`` is done, guarded or skipped; ``current``: it was done before.

    ``normals`` is the type of the normals that flagged sequences are compared with: labelled or unflagged.
    """

    model: str
    shap: str
    rows: int
    features: int
    flagged: int
    not_explained: int
    false_positives: int
    false_negatives: int
    neighbours: int | None = None
    normals: str = LABELLED
    normals_compared: int | None = None
    current: bool = False


@dataclass(frozen=True)
class ExplainSummary:
    """What phase F did; ``story`` is the text that ``--seq-id`` asks for."""

    folder: Path
    models: tuple[ModelSummary, ...]
    seconds: float
    story: str = ""


@dataclass(frozen=True)
class _Unit:
    """One fitted model with its parts and the survey of their predictions."""

    subject: Subject
    groups: Sequence[Names]
    survey: Survey


@dataclass(frozen=True)
class _Task:
    """A model to explain, and the record of an earlier explanation that is still current."""

    entry: Described
    is_source: bool
    stage: Stage
    key: Key
    earlier: Record | None


def explain(options: ExplainOptions, session: Session | None = None) -> ExplainSummary:
    """Explain the models below ``options.root``; what is current is left as it is.

    With ``options.seq_id``, describe that sequence from what was explained before; nothing is written.

    Raises
    ------
    InputError : no such model or sequence, nothing to explain, or another layout version; says what to run first.
    IntegrityError : predictions and sequences do not belong together.
    """
    started = time.perf_counter()
    layout = Layout(options.root)
    check_exists(layout)
    check_layout(layout)
    check_owner(layout.root, options.trust)
    if options.seq_id:
        text = describe_sequence(options.root, options.seq_id)
        return ExplainSummary(layout.explainability, (), time.perf_counter() - started, text)
    check_kept(layout)
    with using(session, options) as own:
        own.work_here(*load_size(layout))
        described = choose_subjects(options, layout, own)
        tasks = [_plan(entry, index == 0, options) for index, entry in enumerate(described)]
        draw = EvidenceDraw(options.sample_seed)
        if not all(task.earlier and task.earlier.summary["evidence"] for task in tasks):
            subjects = [subject for entry in described for subject in entry.subjects]
            draw = draw_evidence(subjects, options.evidence_limit, own)
        done = [_explain_model(task, draw, options, own) for task in tasks]
        _add_evidence(described, draw, own)
        remove_stale(layout, {entry.first.key for entry in described})
        if not any(summary.current for summary in done):
            seconds, rows = time.perf_counter() - started, count_rows(layout.enhanced)
            figures = {"sequences": rows, "models": len(done), "in_client": float(own.in_client)}
            note(layout, "explain", seconds=seconds, workers=own.workers(), **figures)
    return ExplainSummary(layout.explainability, tuple(done), time.perf_counter() - started)


def _plan(entry: Described, is_source: bool, options: ExplainOptions) -> _Task:
    stage = Stage(entry.first.layout, EXPLAIN).part(entry.first.key)
    key = Key(entry.state, fingerprint([_relevant(options), is_source]))
    return _Task(entry, is_source, stage, key, stage.read_current(key) if options.resume else None)


def _explain_model(task: _Task, draw: EvidenceDraw, options: ExplainOptions, session: Session) -> ModelSummary:
    entry, is_source, subject = task.entry, task.is_source, task.entry.first
    if task.earlier:
        return ModelSummary(**{**task.earlier.summary["model"], "current": True})
    task.stage.invalidate()
    units = [_survey(subject, options, session) for subject in entry.subjects]
    normals = LABELLED if entry.unfitted else _choose_normals(units, subject.key, options)
    shap, explained = _shap(entry, units, draw, options, session)
    neighbours, compared = _neighbours(units, normals, options, session) if is_source else (None, None)
    _prune(units)
    texts = (subject.artefacts.path("false_positives.txt"), subject.artefacts.path("false_negatives.txt"))
    parts, label = part_paths(subject.artefacts.predictions), f"{subject.key}: measures"
    mistakes = session.call(write_lists, parts, texts, subject.key, label=label)
    flagged = sum(unit.survey.flagged.rows for unit in units)
    summary = ModelSummary(
        model=subject.key,
        shap=shap,
        rows=sum(one.piece.sums.rows for one in explained),
        features=entry.features,
        flagged=flagged,
        not_explained=sum(one.piece.unexplained for one in explained) if explained else flagged,
        false_positives=mistakes[0],
        false_negatives=mistakes[1],
        neighbours=neighbours,
        normals=normals,
        normals_compared=compared,
    )
    measures = entry.measures or session.call(measure_predictions, subject.predictions, label=label)
    write_json(subject.artefacts.metrics, {**measures, "explanation": asdict(summary)})
    done = {"model": asdict(summary), "evidence": False, "fitted_here": subject.bundle.parent != subject.layout.models}
    task.stage.commit(
        task.key, [*subject.artefacts.list_files(shap, is_source), *_left_for_evidence(entry, is_source)], done
    )
    return summary


def _add_evidence(described: Sequence[Described], draw: EvidenceDraw, session: Session) -> None:
    """Add the evidence lines of all models whose explanations still lack them, in one pass over the logs."""
    stages = {entry.first.key: Stage(entry.first.layout, EXPLAIN).part(entry.first.key) for entry in described}
    records = {key: stage.read() for key, stage in stages.items()}
    targets, todo = [], []
    for entry in described:
        record = records[entry.first.key]
        if record is None:
            raise IntegrityError(f"{stages[entry.first.key].path}: removed while explain ran; is another one running?")
        if not record.summary["evidence"]:
            todo.append((entry.first, record))
            normals, has_nearest = record.summary["model"]["normals"], record.summary["model"]["neighbours"] is not None
            targets += [
                EvidenceTarget(one, entry.spec.bags, normals, one.scratch("normals.json"), has_nearest)
                for one in entry.subjects
            ]
    if targets:
        add_evidence(targets, draw, session)
    for subject, record in todo:
        shap, is_source = record.summary["model"]["shap"], record.summary["model"]["neighbours"] is not None
        outputs = [*subject.artefacts.list_files(shap, is_source), *part_paths(subject.artefacts.explanations)]
        stages[subject.key].commit(record.key, outputs, {**record.summary, "evidence": True})
        subject.clear_scratch()


def _survey(subject: Subject, options: ExplainOptions, session: Session) -> _Unit:
    limits = RowLimits(options.shap_background, options.shap_sample, options.nn_top_k)
    groups = deal_parts(subject)
    surveys = session.map(survey, groups, f"{subject.label}: survey", subject=subject, limits=limits)
    return _Unit(subject, groups, functools.reduce(Survey.merge, surveys))


def _shap(
    entry: Described, units: Sequence[_Unit], draw: EvidenceDraw, options: ExplainOptions, session: Session
) -> tuple[str, list[Explained]]:
    """Explain the rows of all units; where that is not possible, write the note with the reason."""
    total = sum(unit.survey.shap.rows for unit in units)
    rows = min(options.shap_sample, total) if options.shap_sample else total
    refusal = guard(entry.features, rows, options.shap_feature_threshold, options.shap_cell_threshold)
    note = not_fitted_note(entry.first.key, entry.unfitted) if entry.unfitted else refusal
    if entry.unfitted:
        logger.warning("%s: not fitted: %s; it has no predictions to explain", entry.first.key, entry.unfitted)
    if entry.first.explainer is None and not entry.unfitted:
        note = skip_note(entry.first.key, entry.spec.algorithm, entry.spec.behaviour.unexplained)
    if note:
        for unit in units:
            session.map(list_flagged, unit.groups, f"{unit.subject.label}: flagged", subject=unit.subject)
        guarded = note == refusal
        entry.first.artefacts.write_note(note, guarded=guarded)
        return ("guarded" if guarded else "skipped"), []
    if rows < total:
        said = "%s: SHAP values of a seeded sample of %d of %d sequences (--shap-sample)"
        logger.info(said, entry.first.key, rows, total)
    explained = [_explain_unit(unit, draw, session) for unit in units]
    left_out = sum(max(one.piece.sums.failed, one.piece.unexplained) for one in explained)
    if left_out:
        logger.warning("%s: %d rows not explained: values do not add up to the output", entry.first.key, left_out)
    write_shap(explained, session)
    return "done", explained


def _explain_unit(unit: _Unit, draw: EvidenceDraw, session: Session) -> Explained:
    subject, drawn = unit.subject, unit.survey
    mean = _mean(unit, drawn.background.cut(), session) if subject.explainer == LINEAR else None
    job = ShapJob(drawn.shap.cut(), drawn.plot.cut(), mean, draw)
    pieces = session.map(explain_parts, unit.groups, f"{subject.label}: SHAP", subject=subject, job=job)
    piece = functools.reduce(ShapPiece.merge, pieces)
    return Explained(subject, piece, mean, piece.sample.save(subject.scratch("sample.npz")))


def _mean(unit: _Unit, cut: RowCut | None, session: Session) -> Path:
    """Write the mean background row of a linear model."""
    label = f"{unit.subject.label}: background"
    sums = session.map(sum_background, unit.groups, label, subject=unit.subject, cut=cut)
    path = unit.subject.scratch("mean.npy")
    with replacing(path) as temporary, open(temporary, "wb") as file:
        total = functools.reduce(np.add, sums)
        np.save(file, total[:-1] / max(total[-1], 1.0))
    return path


def _choose_normals(units: Sequence[_Unit], key: str, options: ExplainOptions) -> str:
    """Return the type of the normals to compare with: labelled ones of the training part where there are any."""
    if options.nn_normals == "predicted":
        return UNFLAGGED
    if any(unit.survey.normals[LABELLED] for unit in units):
        return LABELLED
    logger.warning("%s: no sequence of the training part is labelled normal; it is compared with unflagged ones", key)
    return UNFLAGGED


def _neighbours(units: Sequence[_Unit], normals: str, options: ExplainOptions, session: Session) -> tuple[int, int]:
    """Write the mapping of flagged sequences to normal ones; return how many, and how many normals were compared."""
    cut = functools.reduce(Lowest.merge, (unit.survey.flagged for unit in units)).cut()
    matched, compared = 0, 0
    for unit in units:
        shared: dict[str, Any] = {"subject": unit.subject}
        label = f"{unit.subject.label}: neighbours"
        counts = unit.survey.normals[normals]
        plan = NormalsDraw(normals, counts, quotas(counts, options.nn_normal_sample or counts.total()))
        files = session.map(gather_normals, unit.groups, label, plan=plan, **shared)
        compared += session.call(draw_normals, files, unit.subject, plan, label=label)
        matched += sum(session.map(match_parts, unit.groups, label, cut=cut, **shared))
    subjects = [unit.subject for unit in units]
    names = [tuple(name for group in unit.groups for name in group) for unit in units]
    ids = session.call(write_mapping, subjects, names, normals, label=f"{subjects[0].key}: neighbours")
    write_json(nearest_ids(subjects[0]), ids)
    return matched, compared


def _prune(units: Sequence[_Unit]) -> None:
    """Remove parts that an earlier run with other parts or services left."""
    names = [unit.subject.part_name(name) for unit in units for group in unit.groups for name in group]
    for folder in (units[0].subject.artefacts.predictions, units[0].subject.artefacts.explanations):
        prune_parts(folder, names)


def _relevant(options: ExplainOptions) -> dict[str, Any]:
    names = ["shap_sample", "shap_background", "shap_feature_threshold", "shap_cell_threshold"]
    names += ["evidence_limit", "nn_top_k", "nn_normal_sample", "nn_normals", "sample_seed"]
    return {name: getattr(options, name) for name in names}


def _left_for_evidence(entry: Described, is_source: bool) -> list[Path]:
    """List what the explanation of a model leaves for the search of its evidence lines."""
    files = [path for subject in entry.subjects for path in part_paths(subject.scratch("features"))]
    if is_source:
        files += [nearest_ids(entry.first), *(p for one in entry.subjects for p in part_paths(one.scratch("nearest")))]
    return files
