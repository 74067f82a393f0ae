"""Puts together the SHAP values of a model's parts and services, and writes its plots and feature list."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from lo2dask.execute.session import Session
from lo2dask.explanation.artefacts import top_features_text
from lo2dask.explanation.merged_parts import Subject, columns_of
from lo2dask.explanation.plots import ShapRow, shap_bar, shap_summary
from lo2dask.explanation.summary import Feature, Floats, Integers
from lo2dask.explanation.tasks import ShapPiece, explain_sample, feature_labels

LISTED_FEATURES = 100
PLOTTED_FEATURES = 20
PLOTS = ("summary", "bar")


@dataclass(frozen=True)
class Explained:
    """One fitted model's SHAP values: its sums, the file of its mean background row, that of the rows to plot."""

    subject: Subject
    piece: ShapPiece
    mean: Path | None
    sample: Path


@dataclass(frozen=True)
class ColumnSums:
    """The columns of one fitted model that have any share, with their sums of abs(phi) and phi over its rows."""

    subject: Subject
    rows: int
    columns: Integers
    absolute: Floats
    signed: Floats

    @classmethod
    def of(cls, one: Explained) -> "ColumnSums":
        """Take them from the sums."""
        sums, columns = one.piece.sums, np.flatnonzero(one.piece.sums.absolute)
        absolute, signed = sums.absolute[columns] * sums.unit, sums.signed[columns] * sums.unit
        return cls(one.subject, sums.rows, columns, absolute, signed)


@dataclass(frozen=True)
class PlotJob:
    """What is plotted of a model: its fitted models with the files of their rows and means, and the features."""

    samples: Sequence[tuple[Subject, Path, Path | None]]
    names: list[str]
    features: Sequence[Feature]
    meaning: str


def write_shap(explained: Sequence[Explained], session: Session) -> None:
    """Write both plots and the feature list of a model, its services taken together by the features' names."""
    subject = explained[0].subject
    label = f"{subject.key}: plots"
    ranked = session.call(rank_features, [ColumnSums.of(one) for one in explained], label=label)
    features, names = session.call(label_features, subject, ranked, label=label), [one.label for one in ranked]
    meaning = explained[0].piece.meaning
    samples = [(one.subject, one.sample, one.mean) for one in explained]
    shown = PlotJob(samples, names[:PLOTTED_FEATURES], features[:PLOTTED_FEATURES], meaning)
    plots = session.map(draw_plot, PLOTS, label, job=shown)
    counts = (sum(one.piece.sums.rows for one in explained), sum(one.piece.sums.failed for one in explained))
    subject.artefacts.write_shap((plots[0], plots[1]), top_features_text(subject.key, meaning, counts, features))


def label_features(subject: Subject, ranked: Sequence[Feature]) -> list[Feature]:
    """Give features their labels in place of their names."""
    labels = feature_labels(subject, [feature.label for feature in ranked])
    return [replace(feature, label=text) for feature, text in zip(ranked, labels, strict=True)]


def draw_plot(kind: str, job: PlotJob) -> bytes:
    """Draw one of the :data:`PLOTS`: PNG."""
    rows = [ShapRow(**asdict(feature), phi=np.zeros(0), feature_values=np.zeros(0)) for feature in job.features]
    if kind == "bar":
        return shap_bar(job.samples[0][0].key, rows, job.meaning)
    swarms = [explain_sample(*sample, job.names) for sample in job.samples]
    phi, values = (np.concatenate([getattr(swarm, name) for swarm in swarms]) for name in ("phi", "values"))
    rows = [replace(row, phi=phi[:, i], feature_values=values[:, i]) for i, row in enumerate(rows)]
    return shap_summary(job.samples[0][0].key, rows, job.meaning)


def rank_features(shares: Sequence[ColumnSums]) -> list[Feature]:
    """List the features with the largest mean abs(phi) over all rows, largest first, ties by name."""
    rows = max(1, sum(one.rows for one in shares))
    total: dict[str, tuple[float, float]] = {}
    for one in shares:
        names = columns_of(one.subject).names
        for column, absolute, signed in zip(one.columns, one.absolute.tolist(), one.signed.tolist(), strict=True):
            before = total.get(names[column], (0.0, 0.0))
            total[names[column]] = (before[0] + absolute, before[1] + signed)
    ranked = sorted(total.items(), key=lambda item: (-item[1][0], item[0]))[:LISTED_FEATURES]
    return [Feature(name, absolute / rows, signed / rows) for name, (absolute, signed) in ranked]
