"""One case as text: services under one clock, windows, lines, and the nearest normal case."""

import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from math import ceil

from lo2dask.buffers.visible import visible
from lo2dask.cli.findings import clock, log_name, notice_text, time_span, what_text
from lo2dask.cli.terminal import case_name, columns, cut, padded, telling, telling_line
from lo2dask.cli.text import count
from lo2dask.commands.show import CaseSummary, Excerpt, ServiceView, Tick, Window
from lo2dask.findings.read import ALARM, Finding

_BARS = "▁▂▃▅▇"
_STEP = timedelta(seconds=10)
_COMPONENTS = {
    "unseen": "statements that no normal log has",
    "errors": "more errors than in normal logs",
    "gap": "a longer silence than in normal logs",
    "run": "more equal lines in a row than in normal logs",
}
_INDENT = "  "


_CLOCK = re.compile(r"\d{1,2}:\d\d")


def show_text(summary: CaseSummary, width: int) -> list[str]:
    """Write a case in so many columns."""
    labelled = summary.compares_normal or summary.is_scored
    lines = [
        case_name(visible(summary.run), visible(summary.test_case), width),
        *(line for row in summary.findings for line in _finding(row, width, labelled)),
    ]
    if not summary.findings:
        lines.append("a normal case, nothing stands out" if summary.normal else "nothing stands out")
    lines += _services(summary.services, width)
    for excerpt in summary.excerpts:
        lines += ["", *_excerpt(excerpt, (summary.run, summary.test_case), _statement(summary), width)]
    lines += ["", *_nearest(summary, width)]
    if summary.missing:
        names = ", ".join(path.name for path in summary.missing)
        lines += ["", f"not there: {names}; made by: lo2dask train --root {visible(str(summary.root))}"]
    return [cut(line, width) for line in lines]


def _finding(row: Finding, width: int, labelled: bool) -> list[str]:
    if row.is_notice:
        return [notice_text(row)]
    begin = f"stands out: {visible(row.service)}  {time_span(row.start, row.end)}"
    rest = width - columns(begin) - 2
    what = what_text(row, max(rest, width - len(_INDENT)), labelled)
    return [f"{begin}  {what}"] if columns(what) <= rest else [begin, _INDENT + what]


def _statement(summary: CaseSummary) -> str:
    return next((row.statement for row in summary.findings if row.statement), "")


def _services(services: Sequence[ServiceView], width: int) -> list[str]:
    """Write the services with their timelines, which share one clock."""
    starts = [tick.start for view in services for tick in view.ticks]
    lines = [""]
    step = _STEP
    if starts:
        first, last = min(starts), max(starts)
        step = _STEP * max(1, ceil(((last - first) // _STEP + 1) / (width - len(_INDENT))))
        span = time_span(first, last + _STEP)
        lines += [f"{span} UTC, a column is {step // timedelta(seconds=1):,} s"]
        lines += [f"^ below: a window over {ALARM} (1 is the oddest of normal logs)"]
    for view in services:
        errors = sum(tick.n_error for tick in view.ticks)
        said = [count(view.n_events, "line"), *([count(errors, "error")] if errors else [])]
        lines.append(f"{visible(view.service)}  {', '.join(said)}")
        if view.ticks:
            lines += [_INDENT + line for line in _timeline(view.ticks, [(t.start - first) // step for t in view.ticks])]
        lines += [_window(window, width) for window in view.windows]
    return lines


def _timeline(ticks: Sequence[Tick], places: Sequence[int]) -> list[str]:
    """Draw the lines of each column as a bar, and below it a mark where a window is unusual."""
    events, marked = [0] * (max(places) + 1), set()
    for tick, place in zip(ticks, places, strict=True):
        events[place] += tick.n_events
        if (tick.score or 0) > ALARM:
            marked.add(place)
    highest = max(*events, 1)
    bars = "".join(_BARS[ceil(number / highest * len(_BARS)) - 1] if number else " " for number in events)
    marks = "".join("^" if place in marked else " " for place in range(len(events)))
    return [line.rstrip() for line in (bars, marks) if line.strip()]


def _window(window: Window, width: int) -> str:
    begin = f"{_INDENT}{clock(window.window_start)}  {window.score:.2f}  "
    text = begin + _COMPONENTS.get(window.component, visible(window.component))
    rest = width - columns(text) - 2
    return f"{text}: {telling(visible(window.statement), rest)}" if window.statement and rest > len(_INDENT) else text


def _excerpt(excerpt: Excerpt, case: tuple[str, str], statement: str, width: int) -> list[str]:
    """Write the lines of one log, unusual ones with a mark before them."""
    lines = [f"{visible(excerpt.service)}  {log_name(excerpt.path, case)}"]
    if excerpt.note:
        lines.append(f"{_INDENT}{visible(excerpt.note)}: only the kept text is shown")
    digits = len(str(excerpt.lines[-1][0])) if excerpt.lines else 1
    gaps = {after for (before, _), (after, _) in pairwise(excerpt.lines) if after != before + 1}
    for number, text in excerpt.lines:
        lines += [_INDENT + "--"] if number in gaps else []
        begin = f"{'> ' if number in excerpt.chosen else _INDENT}{number:>{digits}}  "
        lines.append(begin + _line(visible(text), statement, width - len(begin)))
    return lines


def _line(text: str, statement: str, width: int) -> str:
    """Write a raw line; where it is too long, what tells less than its level and message is left out."""
    if columns(text) <= width:
        return text
    if text.startswith("{"):
        return telling_line(text, statement, width)
    time, _, rest = text.partition(" ")
    if _CLOCK.match(rest):  # a date stands before it
        time, _, rest = rest.partition(" ")
    if not time[:1].isdigit() or columns(time) * 2 > width:
        return cut(text, width)
    return f"{time} {telling_line(rest, statement, width - columns(time) - 1)}"


def _nearest(summary: CaseSummary, width: int) -> list[str]:
    """Write the nearest normal case, or the nearest that does not stand out, and what differs."""
    found = summary.comparison
    if found is None and summary.is_scored:
        return [
            "no normal case to compare with: a folder of score holds none",
            _INDENT + "those that the model learned from are in the folder that train wrote",
        ]
    if found is None:
        return ["no normal case to compare with"]
    end = f"  (distance {found.distance:.2f})"
    begin = f"nearest {'normal' if summary.compares_normal else 'that does not stand out'}: "
    room = width - len(begin + end)
    lines = [begin + case_name(visible(found.run), visible(found.test_case), room) + end]
    if not found.differences:
        return [*lines, _INDENT + "no template differs by much"]
    cells = [
        (
            row.kind,
            visible(row.service),
            f"{row.here:,}",
            f"{row.there:,}",
            visible(row.template or row.e_event_drain_id),
        )
        for row in found.differences
    ]
    widths = [max(columns(cell[place]) for cell in cells) for place in range(4)]
    lines.append(f"{_INDENT}lines of a template here : there, told by their shares of the logs")
    for kind, service, here, there, template in cells:
        start = f"{_INDENT}{padded(kind, widths[0])}  {padded(service, widths[1])}"
        start += f"  {here:>{widths[2]}} : {there:<{widths[3]}}  "
        lines.append(start + telling(template, max(width - columns(start), 1)))
    if found.left_out:
        lines.append(f"{_INDENT}and {found.left_out:,} more, by fewer lines")
    return lines
