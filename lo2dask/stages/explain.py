"""Phase F: SHAP values, nearest normal sequences, false positives and negatives of the models that train kept."""

import functools
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lo2dask.execute.session import Session
from lo2dask.explain.background import Background
from lo2dask.explain.draw import Cut
from lo2dask.explain.lists import false_negatives_text, false_positives_text
from lo2dask.explain.neighbours import Matches
from lo2dask.explain.shap_values import Sample, guard
from lo2dask.options import ExplainOptions, fingerprint
from lo2dask.report.artefacts import FeatureLine, nn_mapping_csv, skip_note, top_features_text
from lo2dask.stages.explain_parts import Group, Subject, group_parts
from lo2dask.stages.explain_subjects import Described, choose_subjects
from lo2dask.stages.explain_tasks import (
    FlaggedRows,
    Limits,
    ShapJob,
    ShapPiece,
    Survey,
    draw_plots,
    explain_parts,
    flagged_rows,
    list_flagged,
    match_parts,
    sum_background,
    survey,
)
from lo2dask.storage import read_json, replacing, write_json, write_text
from lo2dask.tables.layout import Layout

logger = logging.getLogger(__name__)

LISTED_FEATURES = 100
PLOTTED_FEATURES = 20


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
    """What phase F did."""

    folder: Path
    models: tuple[ModelSummary, ...]
    seconds: float


def explain(options: ExplainOptions, session: Session | None = None) -> ExplainSummary:
    """Explain the models below ``options.root``; what is there and current is left as it is.

    Raises
    ------
    InputError : there is no such model, or nothing to explain; says what to run first.
    IntegrityError : predictions and sequences are not of one another.
    """
    started = time.perf_counter()
    layout = Layout(options.root)
    with session or Session(options) as own:
        described = choose_subjects(options, layout, own)
        done = [_explain_model(entry, place == 0, options, own) for place, entry in enumerate(described)]
    return ExplainSummary(layout.explainability, tuple(done), time.perf_counter() - started)


def _explain_model(entry: Described, is_source: bool, options: ExplainOptions, session: Session) -> ModelSummary:
    subject, marker = entry.subject, entry.subject.layout.internal / "explain" / f"{entry.subject.key}.json"
    state = fingerprint([entry.state, _relevant(options), is_source])
    earlier = read_json(marker)
    if (
        options.resume
        and earlier
        and earlier["state"] == state
        and all((subject.layout.root / name).exists() for name in earlier["files"])
    ):
        return ModelSummary(**{**earlier["summary"], "current": True})
    marker.unlink(missing_ok=True)
    groups = group_parts(subject)
    found = _survey(groups, subject, options, session)
    kind, piece = _shap(entry, groups, found, options, session)
    neighbours = _neighbours(groups, subject, found, session) if is_source else None
    _write_lists(subject, found)
    summary = ModelSummary(
        model=subject.key,
        shap=kind,
        rows=piece.sums.rows if piece else 0,
        features=entry.features,
        flagged=found.flagged.rows,
        not_explained=piece.unexplained if piece else found.flagged.rows,
        false_positives=found.outcome.false_positives.rows.num_rows,
        false_negatives=found.outcome.false_negatives.rows.num_rows,
        neighbours=neighbours,
    )
    _write_metrics(entry, summary)
    write_json(marker, {"state": state, "summary": asdict(summary), "files": _files(subject, kind, is_source)})
    return summary


def _survey(groups: Sequence[Group], subject: Subject, options: ExplainOptions, session: Session) -> Survey:
    limits = Limits(options.shap_background, options.shap_sample, options.nn_top_k, options.nn_normal_sample)
    found = session.wave(survey, groups, f"{subject.key}: survey", subject=subject, limits=limits)
    return functools.reduce(Survey.merge, found)


def _shap(
    entry: Described, groups: Sequence[Group], found: Survey, options: ExplainOptions, session: Session
) -> tuple[str, ShapPiece | None]:
    subject = entry.subject
    rows = min(options.shap_sample or found.shap.rows, found.shap.rows)
    refusal = guard(entry.features, rows, options.shap_feature_threshold, options.shap_cell_threshold)
    if subject.kind is None or refusal:
        note = refusal or skip_note(subject.key, entry.algorithm)
        session.wave(list_flagged, groups, f"{subject.key}: flagged", subject=subject)
        subject.artefacts.write_note(note, guarded=bool(refusal))
        return ("guarded" if refusal else "skipped"), None
    job = ShapJob(found.shap.cut(), found.plot.cut(), _mean(groups, subject, found.background.cut(), session))
    pieces = session.wave(explain_parts, groups, f"{subject.key}: SHAP", subject=subject, job=job)
    piece = functools.reduce(ShapPiece.merge, pieces)
    if piece.sums.failed or piece.unexplained:
        logger.warning(
            "%s: %d rows are not explained: their values do not add up to the model's output",
            subject.key,
            max(piece.sums.failed, piece.unexplained),
        )
    _write_shap(subject, piece, job.mean, session)
    return "done", piece


def _mean(groups: Sequence[Group], subject: Subject, cut: Cut | None, session: Session) -> Path | None:
    """Write the mean background row of a linear model; trees need none."""
    if subject.kind != "linear":
        return None
    sums = session.wave(sum_background, groups, f"{subject.key}: background", subject=subject, cut=cut)
    path = _scratch(subject, "mean.npy")
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.save(file, functools.reduce(Background.merge, sums).mean())
    return path


def _write_shap(subject: Subject, piece: ShapPiece, mean: Path | None, session: Session) -> None:
    absolute, signed = piece.sums.means()
    ranking = piece.sums.ranking(LISTED_FEATURES)
    sample = _save_rows(_scratch(subject, "sample.npz"), piece.sample)
    figures = [(int(column), float(absolute[column]), float(signed[column])) for column in ranking]
    drawn = session.call(draw_plots, subject, sample, mean, figures, PLOTTED_FEATURES, label=f"{subject.key}: plots")
    lines = [FeatureLine(label, *rest) for label, (_, *rest) in zip(drawn.labels, figures, strict=True)]
    text = top_features_text(subject.key, drawn.meaning, piece.sums, lines)
    subject.artefacts.write_shap(drawn.summary, drawn.bar, text)


def _neighbours(groups: Sequence[Group], subject: Subject, found: Survey, session: Session) -> int:
    label = f"{subject.key}: neighbours"
    pieces = session.wave(flagged_rows, groups, label, subject=subject, cut=found.flagged.cut())
    flagged = functools.reduce(FlaggedRows.merge, pieces).sorted()
    path = _save_rows(_scratch(subject, "flagged.npz"), flagged)
    matches = session.wave(match_parts, groups, label, subject=subject, flagged=path, cut=found.normals.cut())
    best = functools.reduce(Matches.merge, matches)
    write_text(subject.artefacts.path("nn_mapping.csv"), nn_mapping_csv(flagged.ids, best))
    return len(flagged.ids)


def _write_lists(subject: Subject, found: Survey) -> None:
    wrong = found.outcome
    for name, text in (
        ("false_positives.txt", false_positives_text(subject.key, wrong.false_positives)),
        ("false_negatives.txt", false_negatives_text(subject.key, wrong.false_negatives)),
    ):
        write_text(subject.artefacts.path(name), text)


def _write_metrics(entry: Described, summary: ModelSummary) -> None:
    """Write the measures that train found, and beside them what was explained."""
    write_json(entry.subject.artefacts.metrics, {**entry.measures, "explanation": asdict(summary)})


def _scratch(subject: Subject, name: str) -> Path:
    return subject.layout.internal / "explain" / subject.key / name


def _save_rows(path: Path, rows: Sample | FlaggedRows) -> Path:
    from scipy import sparse

    with replacing(path) as temporary, open(temporary, "wb") as file:
        sparse.save_npz(file, rows.rows)
    return path


def _relevant(options: ExplainOptions) -> dict[str, Any]:
    names = ["shap_sample", "shap_background", "shap_feature_threshold", "shap_cell_threshold"]
    names += ["nn_top_k", "nn_normal_sample", "sample_seed"]
    return {name: getattr(options, name) for name in names}


def _files(subject: Subject, kind: str, is_source: bool) -> list[str]:
    names = subject.artefacts
    files = [names.metrics, names.predictions, names.explanations]
    files += [names.path("false_positives.txt"), names.path("false_negatives.txt")]
    files += [*names.plots, names.path("top_features.txt")] if kind == "done" else [names.notes[kind == "skipped"]]
    files += [names.path("nn_mapping.csv")] if is_source else []
    return [str(path.relative_to(subject.layout.root)) for path in files]
