"""Charts of the report as inline SVG: colours come from the page, so that they fit its light and its dark form.

Every text is escaped here; the result can be put into a page as it is.
"""

from collections.abc import Sequence
from html import escape

import numpy as np

from lo2dask.buffers.visible import visible
from lo2dask.reporting.data import Coverage, Curves, Floats, Histogram, Track

WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 12, 44
CELL, LETTER = 14, 6.4
# A track is stretched to the width that there is: its own units, and the least width of a mark in them.
LONG, HIGH, SLIM = 1000, 40, 6
# What a track keeps free of bars above them, for its marks.
CAP = 8


def histogram_svg(data: Histogram, title: str, threshold: float | None = None) -> str:
    """Draw scores by class, normal upwards and anomalous downwards, as shares of the class, and the threshold."""
    shares = [counts / max(int(counts.sum()), 1) for counts in (data.normal, data.anomaly)]
    highest = max(float(share.max()) for share in shares) or 1.0
    middle = TOP + (HEIGHT - TOP - BOTTOM) / 2
    step = (WIDTH - LEFT - RIGHT) / len(data.normal)
    reach = middle - TOP
    marks = []
    for share, name, up in ((shares[0], "normal", True), (shares[1], "anomaly", False)):
        for bin_, value in enumerate(share.tolist()):
            if value:
                size = value / highest * reach
                top = middle - size if up else middle
                marks.append(_bar(name, (LEFT + bin_ * step, top), (max(step - 1, 1), size)))
    marks.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{middle:.1f}" y2="{middle:.1f}"/>')
    marks += _threshold(data, threshold)
    marks += _labels(data.edges[[0, len(data.edges) // 2, -1]], "score (higher = more anomalous)")
    marks.append(_text(LEFT + 4, TOP + 10, f"normal ({int(data.normal.sum())})", "start"))
    marks.append(_text(LEFT + 4, HEIGHT - BOTTOM - 4, f"anomalous ({int(data.anomaly.sum())})", "start"))
    text = f"{title}: {int(data.normal.sum())} normal and {int(data.anomaly.sum())} anomalous sequences."
    text += "" if threshold is None else f" Flagged above {threshold:.4g}."
    return _svg(title, text, marks, WIDTH, HEIGHT)


def roc_svg(data: Curves, area: float | None, title: str) -> str:
    """Draw the ROC curve."""
    text = f"{title} over the {data.over}" + (f", area {area:.3f}" if area is not None else "")
    diagonal = (np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    return _curve(data.roc, title, text, ("false positive rate", "true positive rate"), diagonal)


def precision_recall_svg(data: Curves, area: float | None, title: str) -> str:
    """Draw precision over recall."""
    text = f"{title} over the {data.over}" + (f", average precision {area:.3f}" if area is not None else "")
    return _curve(data.precision_recall, title, text, ("recall", "precision"), None)


def coverage_svg(data: Coverage, title: str) -> str:
    """Draw runs by test cases as a heat map: the share of the services that have a log."""
    names = [visible(case) for case in data.cases]
    last = f"{visible(data.runs[0])} to {visible(data.runs[-1])}"
    left = LETTER * max(len(name) for name in names) + 12
    width = left + max(len(data.runs) * CELL, LETTER * len(last)) + RIGHT
    height = TOP + len(names) * CELL + BOTTOM
    marks = []
    for row, name in enumerate(names):
        marks.append(_text(left - 6, TOP + (row + 1) * CELL - 4, name, "end"))
        for column, run in enumerate(data.runs):
            marks.append(_cell(data, row, column, left, f"{visible(run)}, {name}"))
    marks.append(_text(left, height - BOTTOM + 16, last, "start"))
    share = data.there.sum() / max(int(data.possible.sum()), 1)
    text = f"{title}: {int(data.there.sum())} of {int(data.possible.sum())} logs exist ({share:.0%})."
    return _svg(title, text, marks, width, height)


def track_svg(data: Track) -> str:
    """Draw a service over time: lines a second, those of errors over them, and a band for each unusual window."""
    highest = float(data.rates.max(initial=0)) or 1.0
    bars = "".join(
        f'<path class="{name}" d="{_steps(rates / highest)}"/>'
        for name, rates in (("rate", data.rates), ("errors", data.errors))
    )
    marks = "".join(
        f'<rect class="mark" x="{min(mark.left * LONG, LONG - SLIM):.0f}" y="0" '
        f'width="{max(min(mark.width, 1 - mark.left) * LONG, SLIM):.0f}" height="{HIGH}">'
        f"<title>{escape(visible(mark.text))}</title></rect>"
        for mark in data.marks
    )
    title = f"{visible(data.service)}: up to {highest:.3g} lines a second, {len(data.marks)} windows marked"
    head = f'<svg role="img" viewBox="0 0 {LONG} {HIGH}" preserveAspectRatio="none"><title>{escape(title)}</title>'
    return f"{head}{bars}{marks}</svg>"


def bar_svg(value: float, highest: float, title: str) -> str:
    """Draw one bar of a list: its length is a share of the highest one's, its colour the sign of ``value``."""
    name = "anomaly" if value >= 0 else "normal"
    width = min(abs(value) / (highest or 1.0), 1.0) * LONG
    head = f'<svg role="img" viewBox="0 0 {LONG} {HIGH}" preserveAspectRatio="none">'
    bar = f'<rect class="{name}" x="0" y="0" width="{width:.0f}" height="{HIGH}"/>'
    return f"{head}<title>{escape(visible(title))}</title>{bar}</svg>"


def _steps(shares: Floats) -> str:
    """Draw one closed outline of bars."""
    width = LONG / max(len(shares), 1)
    tops = (HIGH - shares * (HIGH - CAP)).tolist()
    path = "".join(f"V{top:.1f}H{(index + 1) * width:.1f}" for index, top in enumerate(tops))
    return f"M0 {HIGH}{path}V{HIGH}Z"


def _threshold(data: Histogram, threshold: float | None) -> list[str]:
    low, high = float(data.edges[0]), float(data.edges[-1])
    if threshold is None or not low <= threshold <= high:
        return []
    x = LEFT + (threshold - low) / (high - low) * (WIDTH - LEFT - RIGHT)
    return [f'<line class="threshold" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>']


def _bar(name: str, corner: tuple[float, float], size: tuple[float, float]) -> str:
    return (
        f'<rect class="{name}" x="{corner[0]:.1f}" y="{corner[1]:.1f}" width="{size[0]:.1f}" height="{size[1]:.1f}"/>'
    )


def _cell(data: Coverage, row: int, column: int, left: float, name: str) -> str:
    there, possible = int(data.there[column, row]), int(data.possible[column, row])
    level = 0 if not there else 1 + min(3, int(4 * there / max(possible, 1) * 0.999))
    tip = f"<title>{escape(name)}: {there} of {possible} logs</title>"
    box = f'x="{left + column * CELL:.1f}" y="{TOP + row * CELL}" width="{CELL - 1}" height="{CELL - 1}"'
    return f'<rect class="level{level}" {box}>{tip}</rect>'


def _curve(
    points: tuple[Floats, Floats],
    title: str,
    text: str,
    axes: tuple[str, str],
    guide: tuple[Floats, Floats] | None,
) -> str:
    marks = [f'<polyline class="guide" points="{_points(*guide)}"/>'] if guide else []
    marks.append(f'<polyline class="curve" points="{_points(*points)}"/>')
    bottom = HEIGHT - BOTTOM
    marks.append(f'<polyline class="axis" points="{LEFT},{TOP} {LEFT},{bottom} {WIDTH - RIGHT},{bottom}"/>')
    marks += _labels(np.array([0.0, 0.5, 1.0]), axes[0])
    for value in (0.0, 0.5, 1.0):
        marks.append(_text(LEFT - 6, bottom - value * (bottom - TOP) + 4, f"{value:g}", "end"))
    middle = (TOP + bottom) / 2
    marks.append(
        f'<text x="14" y="{middle:.0f}" text-anchor="middle" transform="rotate(-90 14 {middle:.0f})">{axes[1]}</text>'
    )
    return _svg(title, text, marks, WIDTH, HEIGHT)


def _points(x: Floats, y: Floats) -> str:
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM - TOP
    pairs = zip((LEFT + x * across).tolist(), (HEIGHT - BOTTOM - y * down).tolist(), strict=True)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in pairs)


def _labels(values: Floats, name: str) -> list[str]:
    positions = np.linspace(LEFT, WIDTH - RIGHT, len(values))
    anchors = ["start", *["middle"] * (len(values) - 2), "end"]
    ticks = zip(positions.tolist(), values.tolist(), anchors, strict=True)
    marks = [_text(x, HEIGHT - BOTTOM + 16, f"{value:.4g}", anchor) for x, value, anchor in ticks]
    return [*marks, _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, name, "middle")]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, text: str, marks: Sequence[str], width: float, height: float) -> str:
    head = f'<svg role="img" viewBox="0 0 {width:.0f} {height:.0f}" style="width:{width:.0f}px">'
    return f"{head}<title>{escape(title)}</title><desc>{escape(text)}</desc>{''.join(marks)}</svg>"
