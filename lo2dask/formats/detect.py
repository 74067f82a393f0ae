"""Which format lines have: that which finds a header in the most of them, and what is to be said of it."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pyarrow.compute as pc

from lo2dask.formats.canonical import EXCEPTION
from lo2dask.formats.fields import TextLines
from lo2dask.formats.json_lines import JsonFormat, have_several, what_is_missing
from lo2dask.formats.kinds import PLAIN, TIMED, KindFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.formats.presets import PRESETS
from lo2dask.formats.timed import TimedFormat
from lo2dask.formats.times import SHAPES
from lo2dask.formats.wrappers import find_wrappers, unwrap, with_own_time

LEAST_SHARE = 0.5
_SHOWN = 200
# Any line with a time is `timed`: it is worth a little less than a format that tells loggers and threads too.
_GENERIC = 0.99
# An exception, and the lines of its trace that are not indented.
_TRACE = (
    rf"{EXCEPTION}|^(?:at [A-Za-z_$<][^:]*[.(/]|\.\.\. \d+ |--- End of |Caused by: |Suppressed: |"
    r"During handling of the above |The above exception |Stack ?trace:|#\d+ (?:/|\{main)|goroutine \d+ )"
)
_FOUR_YEARS_MS = 4 * 366 * 86_400_000


@dataclass(frozen=True)
class Choice:
    """A format for some lines, how many have a header in it, how many there are, and three that have none.

    ``levelled`` counts headers with a level, ``untimed`` events that have no time; ``notes`` are what a reader should
    know.
    """

    kind: KindFormat
    headed: int
    lines: int
    others: tuple[str, ...]
    levelled: int = 0
    untimed: int = 0
    has_date: bool = True
    notes: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The share of lines with a header; 1 where there is no line, or none is looked for."""
        return self.headed / self.lines if self.lines and self.kind.name != PLAIN else 1.0

    @property
    def has_levels(self) -> bool:
        """Return whether half of the headers have a level."""
        return 2 * self.levelled >= self.headed

    @property
    def worth(self) -> float:
        """What the choice counts beside others: of what is read as LO2's lines, some are a time of day alone."""
        if self.kind.name == LO2.name:
            return (self.headed + self.levelled) / 2
        return self.headed * (_GENERIC if self.kind.name == TIMED else 1)


def detect(lines: TextLines) -> Choice:
    """Choose the format of some lines: the one with the most headers, the earlier preset of several; ``timed`` last.

    Where too few are found within wrappers, a wrapper's own time counts.
    """
    bare = try_format(KindFormat(LO2.name), lines)
    if bare.share >= LEAST_SHARE and bare.has_levels:
        return bare
    wrappers = find_wrappers(lines)
    best = _best(lines, wrappers)
    if wrappers and best.share < LEAST_SHARE:
        best = max(best, _best(lines, with_own_time(wrappers)), key=lambda choice: choice.headed)
    return best


def try_format(kind: KindFormat, lines: TextLines) -> Choice:
    """Count the headers of one format in some lines; blank, indented ones and those of stack traces do not count."""
    inner = unwrap(lines, kind.wrappers)
    filled = (inner.ends > inner.starts) & ~inner.indented
    headed = np.zeros(len(filled), dtype=bool)
    fields = kind.reader.read(inner)
    headed[fields.rows] = True
    if headed.any():  # else there is no event that a stack trace could be of
        filled &= headed | ~pc.match_substring_regex(inner.texts, _TRACE).to_numpy(zero_copy_only=False)
    others = np.flatnonzero(filled & ~headed)[:3]
    texts = tuple(inner.texts[row].as_py()[:_SHOWN] for row in others.tolist())
    levelled = 0 if fields.level is None else pc.sum(pc.not_equal(fields.level, "")).as_py() or 0
    untimed = int((fields.time_ms < 0).sum())
    return Choice(
        kind, int((headed & filled).sum()), int(filled.sum()), texts, levelled, untimed, fields.has_date
    )  # fmt: skip


_NAMED_ZONE = r"\d:\d\d(?:[.,]\d+)? (?P<zone>[CEW]ES?T|MES?T|BST|IST|MSK|[ECMP][SD]T|[JK]ST|AE[SD]T)(?:\W|$)"


def narrow(kind: KindFormat, lines: TextLines) -> KindFormat:
    """Name the shapes of times that some lines have, so that these are looked for first; of ``timed`` alone."""
    if kind.name != TIMED:
        return kind
    inner = unwrap(lines, kind.wrappers)
    found: Counter[str] = Counter()
    for shape in SHAPES:
        rows = TimedFormat(shapes=(shape,)).read(inner).rows
        found[shape.name] = len(rows)
        left = np.ones(len(inner.starts), dtype=bool)
        left[rows] = False
        inner = inner.take(np.flatnonzero(left))
    names = [shape.name for shape in SHAPES if found[shape.name]]
    return KindFormat(f"{TIMED}:{'+'.join(names)}", kind.wrappers) if names else kind


def with_notes(choice: Choice, lines: TextLines) -> Choice:
    """Say where years come from that no line has, which zones are not read, what has no time, what JSON is text."""
    inner, notes = unwrap(lines, choice.kind.wrappers), []
    if choice.kind.name != LO2.name:
        reader, earlier = choice.kind.reader, replace(inner, latest_ms=inner.latest_ms - _FOUR_YEARS_MS)
        if not np.array_equal(reader.read(inner).time_ms, reader.read(earlier).time_ms):
            notes.append("its times have no year: that of each file's time of change is taken")
        # Where a line does not match, the field is empty.
        zones = set(pc.extract_regex(inner.texts, _NAMED_ZONE).field("zone").unique().to_pylist()) - {"", None}
        if zones:
            # Such names mean other zones elsewhere, and none of them says when its summer begins.
            notes.append(f"the zone {', '.join(sorted(zones))} of its times is not read: give it as --timezone")
    elif not choice.has_levels:
        notes.append(
            "no level, thread or logger is read from its lines, so errors are not told from other lines: describe them "
            "in a YAML file (--format FILE.yaml)"
        )
    if choice.untimed:
        notes.append(f"{choice.untimed:,} of {choice.headed:,} events have no time")
    if choice.kind.name == JsonFormat.name and (several := int(have_several(inner).sum())):
        notes.append(
            f"{several:,} of {choice.lines:,} lines hold several OpenTelemetry records: a line is one event, with the "
            "first one's time and all bodies; export one record a line"
        )
    if choice.kind.name == JsonFormat.name and choice.headed:
        # A status may have told the level.
        fields = ["time"] * bool(choice.untimed) + ["level"] * (not choice.levelled) + ["message"]
        if missing := what_is_missing(inner, fields):
            notes.append(missing)
    if pc.any(pc.equal(inner.texts, "{")).as_py():
        notes.append("JSON printed over several lines is read as text; write each object in one line")
    return replace(choice, notes=tuple(notes))


def _best(lines: TextLines, wrappers: tuple[str, ...]) -> Choice:
    choices = [try_format(KindFormat(name, wrappers), lines) for name in PRESETS if name != PLAIN]
    best = max(choices, key=lambda choice: choice.worth)
    json = next(choice for choice in choices if choice.kind.name == JsonFormat.name)
    # Of an object that is cut off, a time may be found.
    is_cut = best.kind.name == TIMED and json.share >= LEAST_SHARE and all(text[0] == "{" for text in json.others)
    return json if is_cut else best
