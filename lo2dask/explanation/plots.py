"""Draws the SHAP plots; the only importer of matplotlib. Nothing global is touched; the same data give the same bytes.

The colours suit people with colour vision deficiency and have an opaque light background, so that a plot
looks the same on a light and on a dark page.
"""

import functools
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lo2dask.explanation.summary import Feature, Floats

GROUND, INK, GRID = "#fbfbf9", "#1d2129", "#d5d8de"
MORE, LESS = "#c8452c", "#2f6fb2"  # more and less anomalous
ABSENT = "#8d949e"
SHADES = ("#2f6fb2", "#9a9fb5", "#c8452c")

DPI = 120
FONT = "DejaVu Sans"  # comes with matplotlib; fixed, so that no machine cuts text that fits on another
MONO = "DejaVu Sans Mono"
LABEL_SIZE = 8.0
LINE_INCHES = LABEL_SIZE * 1.25 / 72
WRAP = 56
LABEL_INCHES = WRAP * LABEL_SIZE * 0.602 / 72 + 0.25  # of the monospaced face
PLOT_INCHES, RIGHT_INCHES = 5.2, 0.9
TOP_INCHES, BOTTOM_INCHES = 0.75, 0.75


@dataclass(frozen=True)
class ShapRow(Feature):
    """One feature of a plot: also the phi and the feature values of the rows to plot."""

    phi: Floats
    feature_values: Floats


def shap_bar(model: str, rows: Sequence[ShapRow], meaning: str) -> bytes:
    """Draw mean abs(phi) of the strongest features, coloured by the sign of the mean: PNG."""
    page = _Page(model, "SHAP: features that matter most", rows, f"mean |SHAP value|: {meaning}")
    for row, middle in zip(rows, page.middles, strict=True):
        colour = MORE if row.mean_signed >= 0 else LESS
        page.axes.barh(middle, row.mean_absolute, height=0.16, color=colour)
        page.axes.annotate(
            f"{row.mean_absolute:.3g}",
            (row.mean_absolute, middle),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=LABEL_SIZE,
            color=INK,
            family=FONT,
        )
    page.axes.set_xlim(0, 1.12 * max([row.mean_absolute for row in rows], default=1.0) or 1.0)
    page.legend((MORE, "speaks for an anomaly on average"), (LESS, "speaks for normal on average"))
    return page.to_png()


def shap_summary(model: str, rows: Sequence[ShapRow], meaning: str) -> bytes:
    """Draw phi of every sampled row, one beeswarm a feature, coloured by the feature's value: PNG."""
    count = max([len(row.phi) for row in rows], default=0)
    page = _Page(
        model, f"SHAP: {count} sequences, one dot each", rows, f"SHAP value: {meaning}; right = more anomalous"
    )
    page.axes.axvline(0, color=INK, linewidth=0.8)
    everything = np.concatenate([np.zeros(1), *(row.phi for row in rows)])
    for row, middle in zip(rows, page.middles, strict=True):
        offsets = beeswarm(row.phi, float(np.ptp(everything)))
        colours = _shades(row.feature_values)
        # High values last: what a row has is drawn over what it lacks.
        order = np.argsort(row.feature_values, kind="stable")
        page.axes.scatter(
            row.phi[order],
            middle + offsets[order] * page.swarm_height,
            s=9,
            c=[colours[i] for i in order],
            linewidths=0,
            alpha=0.85,
        )
    page.axes.margins(x=0.04)
    present = np.concatenate([np.zeros(0), *(row.feature_values[row.feature_values != 0] for row in rows)])
    graded = len(present) > 0 and float(np.ptp(present)) > 0
    high = [(SHADES[0], "low value"), (SHADES[2], "high value")] if graded else [(SHADES[2], "sequence has it")]
    page.legend((ABSENT, "sequence lacks it (value 0)"), *high)
    return page.to_png()


def beeswarm(phi: Floats, span: float) -> Floats:
    """Return each dot its distance from the middle line, from -1 to 1: crowded dots spread out evenly."""
    offsets = np.zeros(len(phi))
    if not len(phi) or span <= 0:
        return offsets
    bins = np.floor((phi - phi.min()) / span * 120).astype(int)
    counts = np.bincount(bins)
    order = np.argsort(bins, kind="stable")
    number = np.arange(len(phi)) - np.repeat(np.cumsum(counts) - counts, counts)
    side = np.where(number % 2, 1, -1) * ((number + 1) // 2)
    offsets[order] = side / max(float(counts.max()) / 2, 6.0)
    return np.clip(offsets, -1, 1)


def wrap_label(label: str) -> str:
    """Break a feature's text into lines; nothing is cut. A sign that the font cannot draw becomes its escape."""
    drawable = "".join(char if ord(char) in _drawable() else _escape(char) for char in label)
    return "\n".join(textwrap.wrap(drawable, WRAP, break_on_hyphens=False)) or " "


@functools.cache
def _drawable() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(MONO)).get_charmap())


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _shades(values: Floats) -> list[Any]:
    from matplotlib.colors import LinearSegmentedColormap

    present = values[values != 0]
    if not len(present):
        return [ABSENT] * len(values)
    low, high = np.percentile(present, [5, 95])
    ramp = LinearSegmentedColormap.from_list("values", SHADES)
    position = (values - low) / (high - low) if high > low else np.ones(len(values))
    return [ramp(float(np.clip(p, 0, 1))) if value else ABSENT for p, value in zip(position, values, strict=True)]


class _Page:
    """A figure with one line per feature, high enough for the whole wrapped text of each."""

    def __init__(self, model: str, title: str, rows: Sequence[ShapRow], axis_label: str) -> None:
        """Lay the page out in inches, so that no text depends on a guess of matplotlib's."""
        from matplotlib.figure import Figure

        labels = [wrap_label(row.label) for row in rows] or ["no feature has a share in any score"]
        heights = np.array([max(0.34, LINE_INCHES * (label.count("\n") + 1) + 0.14) for label in labels])
        body = float(heights.sum())
        axis_lines = textwrap.wrap(axis_label, 70)
        bottom = BOTTOM_INCHES + LINE_INCHES * (len(axis_lines) - 1) + 0.3
        height, width = body + TOP_INCHES + bottom, LABEL_INCHES + PLOT_INCHES + RIGHT_INCHES
        self.figure = Figure(figsize=(width, height), dpi=DPI, facecolor=GROUND)
        self.axes = self.figure.add_axes(
            (LABEL_INCHES / width, bottom / height, PLOT_INCHES / width, body / height), facecolor=GROUND
        )
        edges = np.concatenate([[0.0], np.cumsum(heights)])
        self.middles = (edges[:-1] + edges[1:])[: len(rows)] / 2
        self.swarm_height = 0.14
        self.height = height
        self._decorate(labels, (edges[:-1] + edges[1:]) / 2, edges, axis_lines)
        self.figure.text(
            0.15 / width,
            1 - 0.22 / height,
            f"{model} · {title}",
            fontsize=11,
            color=INK,
            family=FONT,
            va="top",
            parse_math=False,
        )

    def legend(self, *entries: tuple[str, str]) -> None:
        """Explain the colours below the plot."""
        from matplotlib.lines import Line2D

        handles = [Line2D([], [], marker="o", linestyle="", color=colour, label=text) for colour, text in entries]
        self.figure.legend(
            handles=handles,
            loc="lower right",
            ncols=len(entries),
            frameon=False,
            labelcolor=INK,
            prop={"family": FONT, "size": LABEL_SIZE},
            bbox_to_anchor=(0.99, 0.08 / self.height),
        )

    def to_png(self) -> bytes:
        """Return the figure as PNG, without anything that changes from run to run."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        FigureCanvasAgg(self.figure)
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=DPI, facecolor=GROUND, metadata={"Software": None})
        return buffer.getvalue()

    def _decorate(self, labels: list[str], middles: Floats, edges: Floats, axis_lines: list[str]) -> None:
        axes = self.axes
        axes.set_ylim(edges[-1], 0)
        axes.set_yticks(middles, labels=[""] * len(labels))
        for label, middle in zip(labels, middles, strict=True):
            # parse_math: a token with two dollar signs is text, not a formula
            axes.annotate(
                label,
                (0, middle),
                xycoords=("axes fraction", "data"),
                xytext=(-8, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=LABEL_SIZE,
                color=INK,
                family=MONO,
                multialignment="right",
                parse_math=False,
                annotation_clip=False,
            )
        axes.hlines(edges[1:-1], 0, 1, transform=axes.get_yaxis_transform(), color=GRID, linewidth=0.6)
        axes.set_xlabel("\n".join(axis_lines), fontsize=LABEL_SIZE + 0.5, color=INK, family=FONT)
        axes.tick_params(axis="x", colors=INK, labelsize=LABEL_SIZE)
        axes.tick_params(axis="y", length=0)
        for name, spine in axes.spines.items():
            spine.set_visible(name == "bottom")
            spine.set_color(INK)
