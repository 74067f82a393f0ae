"""Timelines of some cases: their services under each other, lines a second, unusual windows marked."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import strings
from lo2dask.findings.read import ALARM
from lo2dask.reporting.data import Case, Floats, Mark, Timeline, Track
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_row_groups

# Rows that are Python objects at once.
_AT_ONCE = 1_000
BIN = timedelta(seconds=10)
# Of each case: bins, tracks, and marks on a track; the strongest ones.
MOST_BINS = 60
MOST_TRACKS = 12
MOST_MARKS = 12
_ROWS = ("run", "test_case", "service", "start", "n_events", "n_error", "score")
_WINDOWS = ("run", "test_case", "service", "window_start", "window_end", "n_events", "score", "component", "statement")
_COMPONENTS = {
    "unseen": "lines that no normal log has",
    "errors": "more error lines than normal",
    "gap": "a longer silence than normal",
    "run": "more repetitions of a line than normal",
}
_SHOWN_TEXT = 80

Row = dict[str, Any]


@dataclass
class _Case:
    """What two passes gather of a case: its time, and of each service counts in bins, windows and highest score."""

    start: datetime
    end: datetime
    counts: dict[str, Floats] = field(default_factory=dict)
    highest: dict[str, float] = field(default_factory=dict)
    windows: dict[str, list[Row]] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """How many rows of the table are one bin."""
        return -(-max(1, -(-(self.end - self.start) // BIN)) // MOST_BINS)

    @property
    def bins(self) -> int:
        """How many bins there are."""
        return -(-(self.end - self.start) // (BIN * self.steps))

    def add(self, row: Row) -> None:
        """Count a row of the timeline."""
        service = row["service"]
        counts = self.counts.setdefault(service, np.zeros((2, self.bins)))
        counts[:, (row["start"] - self.start) // (BIN * self.steps)] += (row["n_events"], row["n_error"])
        self.highest[service] = max(self.highest.get(service, 0.0), row["score"] or 0.0)

    def add_window(self, row: Row) -> None:
        """Keep a window, if it is among the strongest of its service."""
        own = [*self.windows.get(row["service"], ()), row]
        own.sort(key=lambda window: (-window["score"], window["window_start"]))
        self.windows[row["service"]] = own[:MOST_MARKS]


def read_timelines(layout: Layout, cases: Collection[Case], named: Mapping[Case, str]) -> dict[Case, Timeline]:
    """Read the timelines of some cases; ``named`` is the service that each one's finding names."""
    found: dict[Case, _Case] = {}
    for row in read_cases(layout.timeline, ("run", "test_case", "start"), cases):
        case, start = found.get((row["run"], row["test_case"])), row["start"]
        if case is None:
            found[row["run"], row["test_case"]] = _Case(start, start + BIN)
        else:
            case.start, case.end = min(case.start, start), max(case.end, start + BIN)
    for row in read_cases(layout.timeline, _ROWS, cases):
        found[row["run"], row["test_case"]].add(row)
    for row in read_cases(layout.windows, _WINDOWS, cases, pc.field("score") > ALARM):
        if (row["run"], row["test_case"]) in found:
            found[row["run"], row["test_case"]].add_window(row)
    return {case: _draw(own, named.get(case, "")) for case, own in found.items()}


def read_cases(
    folder: Path, columns: tuple[str, ...], cases: Collection[Case], condition: pc.Expression | None = None
) -> Iterator[Row]:
    """Read the rows of some cases of a table that has runs and test cases; none where it is absent."""
    for table in read_case_tables(folder, columns, cases, condition):
        for batch in table.to_batches(_AT_ONCE):
            yield from batch.to_pylist()


def read_case_tables(
    folder: Path, columns: tuple[str, ...], cases: Collection[Case], condition: pc.Expression | None = None
) -> Iterator[pa.Table]:
    """Read what each row group of a table that has runs and test cases has of some cases; nothing where it is absent.

    Row groups are read one by one: the unusual lines of a tree are one part.
    """
    names = pa.array([f"{run}\0{case}" for run, case in cases], pa.string())
    for group in (group for path in part_paths(folder) for group in read_row_groups(path, columns)):
        own = pc.binary_join_element_wise(strings(group["run"]), strings(group["test_case"]), "\0")
        kept = group.filter(pc.is_in(own, names))
        yield kept if condition is None else kept.filter(condition)


def _draw(case: _Case, named: str) -> Timeline:
    """Lay out a case: the named service first, then the others by how unusual they are."""
    order = sorted(case.counts, key=lambda service: (service != named, -case.highest[service], service))
    seconds = BIN.total_seconds() * case.steps
    tracks = []
    for service in order[:MOST_TRACKS]:
        rates, errors = case.counts[service] / seconds
        windows = sorted(case.windows.get(service, ()), key=lambda window: window["window_start"])
        tracks.append(Track(service, rates, errors, tuple(_mark(window, case) for window in windows)))
    return Timeline(clock(case.start, date=True), clock(case.end), tuple(tracks), max(0, len(order) - MOST_TRACKS))


def _mark(window: Row, case: _Case) -> Mark:
    # A window that begins before the first line, as a silence may, begins with the track.
    first, last = (min(max(window[name], case.start), case.end) for name in ("window_start", "window_end"))
    why = _COMPONENTS.get(window["component"], window["component"] or "unusual")
    text = f"{clock(window['window_start'])}–{clock(window['window_end'])}: {why}, score {window['score']:.3g}"
    if window["statement"]:
        text += f": {window['statement'][:_SHOWN_TEXT]}{'…' if len(window['statement']) > _SHOWN_TEXT else ''}"
    whole = case.end - case.start
    return Mark((first - case.start) / whole, (last - first) / whole, text)


def clock(time: datetime | None, date: bool = False) -> str:
    """Write a time of day (UTC), with its date if asked for."""
    return "" if time is None else f"{time:%Y-%m-%d %H:%M:%S}" if date else f"{time:%H:%M:%S}"


def shorten(text: str, most: int) -> str:
    """Cut a text that is longer than so many characters, and say by how much."""
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} more characters)"
