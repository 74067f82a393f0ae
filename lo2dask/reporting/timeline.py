"""Timelines of some cases: their services under each other, lines a second, unusual windows marked."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import strings
from lo2dask.reporting.data import Case, Mark, Timeline, Track
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_parts

# Windows above it are marked.
ALARM = 1.25
BIN = timedelta(seconds=10)
# Of each case: bins, tracks, and marks on a track; the strongest ones.
MOST_BINS = 60
MOST_TRACKS = 12
MOST_MARKS = 12
_ROWS = ("run", "test_case", "service", "start", "n_events", "n_error", "score")
_WINDOWS = ("run", "test_case", "service", "window_start", "window_end", "n_events", "score", "component", "statement")
_COMPONENTS = {
    "unseen": "lines that no normal log has",
    "error": "more error lines than normal",
    "gap": "a longer silence than normal",
    "run": "more repetitions of a line than normal",
}
_SHOWN_TEXT = 100

Row = dict[str, Any]


def read_timelines(layout: Layout, cases: Collection[Case], named: Mapping[Case, str]) -> dict[Case, Timeline]:
    """Read the timelines of some cases; ``named`` is the service that each one's finding names."""
    windows: dict[Case, list[Row]] = defaultdict(list)
    for row in read_cases(layout.windows, _WINDOWS, cases, pc.field("score") > ALARM):
        windows[row["run"], row["test_case"]].append(row)
    rows: dict[Case, list[Row]] = defaultdict(list)
    for row in read_cases(layout.timeline, _ROWS, cases):
        rows[row["run"], row["test_case"]].append(row)
    return {case: _draw(own, windows[case], named.get(case, "")) for case, own in rows.items()}


def read_cases(
    folder: Path, columns: tuple[str, ...], cases: Collection[Case], condition: pc.Expression | None = None
) -> Iterator[Row]:
    """Read the rows of some cases of a table that has runs and test cases, part by part; none where it is absent."""
    runs = pa.array(sorted({run for run, _ in cases}), pa.string())
    for part in read_parts(folder, columns) if part_paths(folder) else ():
        kept = part.filter(pc.is_in(strings(part["run"]), runs))
        kept = kept if condition is None else kept.filter(condition)
        yield from (row for row in kept.to_pylist() if (row["run"], row["test_case"]) in cases)


def _draw(rows: list[Row], windows: list[Row], named: str) -> Timeline:
    """Lay out the rows of a case over its whole time."""
    start, end = min(row["start"] for row in rows), max(row["start"] for row in rows) + BIN
    if windows:
        end = max(end, *(window["window_end"] for window in windows))
    by_service: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_service[row["service"]].append(row)
    # The named service first, then by how unusual the others are; on the page they keep that order.
    highest = {service: max(row["score"] or 0.0 for row in own) for service, own in by_service.items()}
    order = sorted(by_service, key=lambda service: (service != named, -highest[service], service))
    tracks = []
    for service in order[:MOST_TRACKS]:
        marked = [window for window in windows if window["service"] == service]
        tracks.append(_track(service, by_service[service], marked, (start, end)))
    return Timeline(clock(start, date=True), clock(end), tuple(tracks), max(0, len(order) - MOST_TRACKS))


def _track(service: str, rows: list[Row], windows: list[Row], span: tuple[datetime, datetime]) -> Track:
    """Add up the rows of a service in bins, several rows in one where the case is long."""
    start, whole = span[0], span[1] - span[0]
    steps = max(1, -(-whole // BIN))
    width = -(-steps // MOST_BINS)
    counts = np.zeros((2, -(-steps // width)))
    for row in rows:
        counts[:, (row["start"] - start) // BIN // width] += (row["n_events"], row["n_error"])
    rates = counts / (BIN.total_seconds() * width)
    best = sorted(windows, key=lambda window: (-window["score"], window["window_start"]))[:MOST_MARKS]
    marks = tuple(_mark(window, start, whole) for window in sorted(best, key=lambda window: window["window_start"]))
    return Track(service, rates[0], rates[1], marks)


def _mark(window: Row, start: datetime, whole: timedelta) -> Mark:
    # A window that begins before the first line, as a silence may, begins with the track.
    first = max(window["window_start"], start)
    why = _COMPONENTS.get(window["component"], window["component"] or "unusual")
    text = f"{clock(window['window_start'])}–{clock(window['window_end'])}: {why}, score {window['score']:.3g}"
    if window["statement"]:
        text += f": {shorten(window['statement'], _SHOWN_TEXT)}"
    return Mark((first - start) / whole, max(window["window_end"] - first, timedelta(0)) / whole, text)


def clock(time: datetime | None, date: bool = False) -> str:
    """Write a time of day (UTC), with its date if asked for."""
    return "" if time is None else f"{time:%Y-%m-%d %H:%M:%S}" if date else f"{time:%H:%M:%S}"


def shorten(text: str, most: int) -> str:
    """Cut a text that is longer than so many characters, and say by how much."""
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} more characters)"
