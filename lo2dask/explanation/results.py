"""Puts together the SHAP values of a model's parts and services, and writes its plots and feature list."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lo2dask.execute.session import Session
from lo2dask.explanation.artefacts import FeatureLine, top_features_text
from lo2dask.explanation.merged_parts import Subject, columns_of
from lo2dask.explanation.plots import ShapRow
from lo2dask.explanation.summary import Floats, Integers
from lo2dask.explanation.tasks import BeeswarmData, ShapPiece, draw_plots, explain_sample, feature_labels

LISTED_FEATURES = 100
PLOTTED_FEATURES = 20


@dataclass(frozen=True)
class Explained:
    """One fitted model's SHAP values: its sums, the file of its mean background row, that of the rows to plot."""

    subject: Subject
    piece: ShapPiece
    mean: Path | None
    sample: Path


@dataclass(frozen=True)
class FeatureFigure:
    """One feature over all services: mean abs(phi) and mean phi."""

    name: str
    mean_absolute: float
    mean_signed: float


def write_shap(explained: Sequence[Explained], session: Session) -> None:
    """Write both plots and the feature list of a model, its services taken together by the features' names."""
    subject = explained[0].subject
    figures = session.call(rank_features, [ColumnSums.of(one) for one in explained], label=f"{subject.key}: plots")
    names = [figure.name for figure in figures]
    labels = session.call(feature_labels, subject, names, label=f"{subject.key}: plots")
    beeswarms = [_beeswarm(one, names[:PLOTTED_FEATURES], session) for one in explained]
    rows = _plot_rows(figures, labels, beeswarms)
    summary, bar = session.call(draw_plots, subject.key, rows, beeswarms[0].meaning, label=f"{subject.key}: plots")
    counted = (sum(one.piece.sums.rows for one in explained), sum(one.piece.sums.failed for one in explained))
    lines = [FeatureLine(label, f.mean_absolute, f.mean_signed) for label, f in zip(labels, figures, strict=True)]
    subject.artefacts.write_shap(summary, bar, top_features_text(subject.key, beeswarms[0].meaning, counted, lines))


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
        sums = one.piece.sums
        columns = np.flatnonzero(sums.absolute)
        return cls(
            one.subject, sums.rows, columns, sums.absolute[columns] * sums.unit, sums.signed[columns] * sums.unit
        )


def rank_features(shares: Sequence[ColumnSums]) -> list[FeatureFigure]:
    """List the features with the largest mean abs(phi) over all rows, largest first, ties by name."""
    rows = max(1, sum(one.rows for one in shares))
    total: dict[str, tuple[float, float]] = {}
    for one in shares:
        names = columns_of(one.subject).names
        for column, absolute, signed in zip(one.columns, one.absolute.tolist(), one.signed.tolist(), strict=True):
            before = total.get(names[column], (0.0, 0.0))
            total[names[column]] = (before[0] + absolute, before[1] + signed)
    ranked = sorted(total.items(), key=lambda item: (-item[1][0], item[0]))[:LISTED_FEATURES]
    return [FeatureFigure(name, absolute / rows, signed / rows) for name, (absolute, signed) in ranked]


def _beeswarm(one: Explained, names: list[str], session: Session) -> BeeswarmData:
    label = f"{one.subject.label}: plots"
    found: BeeswarmData = session.call(explain_sample, one.subject, one.sample, one.mean, names, label=label)
    return found


def _plot_rows(
    figures: Sequence[FeatureFigure], labels: Sequence[str], beeswarms: Sequence[BeeswarmData]
) -> list[ShapRow]:
    phi = np.concatenate([beeswarm.phi for beeswarm in beeswarms])
    values = np.concatenate([beeswarm.values for beeswarm in beeswarms])
    shown = zip(labels, figures[:PLOTTED_FEATURES], strict=False)
    return [
        ShapRow(label, figure.mean_absolute, figure.mean_signed, phi[:, place], values[:, place])
        for place, (label, figure) in enumerate(shown)
    ]
