"""Shapes of times as one table, and how texts of such a shape become milliseconds since 1970."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Bools, Ints

NO_TIME = int(np.iinfo(np.int64).min)
DAY_MS = 86_400_000
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# How many years back a date without a year may lie: a leap day comes at least every eighth year.
_MOST_YEARS = 9
_CLOCK = r"(?P<h>\d\d):(?P<mi>\d\d):(?P<s>\d\d)"
_DATE = r"(?P<y>\d{4})-(?P<mo>\d\d)-(?P<d>\d\d)"
# Times of 12 hours.
_HALF = r"(?: ?(?P<p>[AP]M\b))"
_HOURS = r"(?P<h>\d{1,2}):(?P<mi>\d\d):(?P<s>\d\d)(?:[.,](?P<f>\d+))?"
# PostgreSQL leaves the minutes out.
_ZONE = r"(?P<z> ?(?:Z\b|UTC\b|GMT\b|[+-]\d\d:?\d\d\b)|[+-]\d\d\b)?"
_MONTH = r"(?P<mon>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"


@dataclass(frozen=True)
class Shape:
    """One way to write a time.

    ``pattern`` (RE2) has the groups y, mo or mon, d, h, mi, s, f (digits after the second), p (AM or PM), z (zone), or
    e (a number since 1970) whose ``unit`` is s, ms, us, ns or "" (by its digits). ``is_ms``: f counts milliseconds, not
    digits. A year of ``year`` is that of dates without one, 0 = from the file's time of change.
    """

    name: str
    pattern: str
    example: str
    is_ms: bool = False
    unit: str = ""
    year: int = 0

    @cached_property
    def bare(self) -> str:
        """The pattern without groups, to stand in others."""
        return re.sub(r"\(\?P<\w+>", "(?:", self.pattern)

    @property
    def has_date(self) -> bool:
        """Return whether texts of the shape tell their day; else they are times of day."""
        return "(?P<d>" in self.pattern or "(?P<e>" in self.pattern

    @property
    def has_year(self) -> bool:
        """Return whether texts of the shape tell their year."""
        return "(?P<y>" in self.pattern or "(?P<e>" in self.pattern or bool(self.year)


# In this order: of several times in a line, the most precise one with a whole date counts.
SHAPES = (
    Shape("iso", rf"{_DATE}[T ]{_CLOCK}[.,](?P<f>\d+){_HALF}?{_ZONE}", "2026-01-02 03:04:05,678"),
    Shape("dotted", rf"{_DATE}-(?P<h>\d\d)\.(?P<mi>\d\d)\.(?P<s>\d\d)\.(?P<f>\d+)", "2026-01-02-03.04.05.678901"),
    Shape("slashed", rf"(?P<y>\d{{4}}|\d\d)/(?P<mo>\d\d)/(?P<d>\d\d) {_CLOCK}[.,](?P<f>\d+)", "26/01/02 03:04:05.678"),
    Shape(
        "colons",
        r"(?P<y>\d{4})(?P<mo>\d\d)(?P<d>\d\d)-(?P<h>\d{1,2}):(?P<mi>\d{1,2}):(?P<s>\d{1,2}):(?P<f>\d{1,3})",
        "20260102-3:4:5:678",
        is_ms=True,
    ),
    Shape("weekday", rf"{_WEEKDAY} {_MONTH} +(?P<d>\d{{1,2}}) {_CLOCK}(?:\.(?P<f>\d+))? (?P<y>\d{{4}})",
          "Fri Jan 02 03:04:05 2026"),
    Shape("clf", rf"(?P<d>\d\d)/{_MONTH}/(?P<y>\d{{4}}):{_CLOCK}(?:\.(?P<f>\d+))?{_ZONE}",
          "02/Jan/2026:03:04:05 +0000"),
    Shape("day-month", rf"(?P<d>\d{{1,2}})[ -]{_MONTH}[ -](?P<y>\d{{4}})[ ,:]+{_CLOCK}(?:[.,](?P<f>\d+))?{_ZONE}",
          "02 Jan 2026 03:04:05,678"),
    Shape("month-day", rf"{_MONTH} +(?P<d>\d{{1,2}}),? +(?P<y>\d{{4}})[ ,]+{_HOURS}{_HALF}?", "Jan 2, 2026 3:04:05 AM"),
    Shape("day-dots", rf"(?P<d>\d{{1,2}})\.(?P<mo>\d{{1,2}})\.(?P<y>\d{{4}})[T ,]+{_HOURS}{_ZONE}",
          "02.01.2026 03:04:05"),
    # With 12 hours the month comes first; without, nobody can tell it from the day.
    Shape("half-days", rf"(?P<mo>\d{{1,2}})/(?P<d>\d{{1,2}})/(?P<y>\d{{4}})[ ,]+{_HOURS}{_HALF}",
          "1/2/2026, 3:04:05 AM"),
    Shape("iso-seconds", rf"{_DATE}[T ]{_CLOCK}{_HALF}?{_ZONE}", "2026-01-02T03:04:05Z"),
    Shape("slashed-seconds", rf"(?P<y>\d{{4}}|\d\d)/(?P<mo>\d\d)/(?P<d>\d\d) {_CLOCK}", "26/01/02 03:04:05"),
    Shape("digits", r"(?P<y>\d\d)(?P<mo>\d\d)(?P<d>\d\d) (?P<h>\d\d)(?P<mi>\d\d)(?P<s>\d\d)", "260102 030405"),
    Shape("epoch", r"(?P<e>1\d{9}(?:\d{3}|\d{6}|\d{9})?(?:\.\d{1,9})?)", "1767323045.678"),
    Shape("no-year", rf"(?P<mo>\d\d)-(?P<d>\d\d) {_CLOCK}\.(?P<f>\d+)", "01-02 03:04:05.678"),
    Shape("month-name", rf"{_MONTH} +(?P<d>\d{{1,2}}) {_CLOCK}(?:\.(?P<f>\d+))?", "Jan  2 03:04:05"),
    Shape("dots", rf"(?P<mo>\d\d)\.(?P<d>\d\d) {_CLOCK}", "01.02 03:04:05"),
)  # fmt: skip
SHAPE = {shape.name: shape for shape in SHAPES}
ISO = Shape("iso-any", rf"{_DATE}[T ]{_CLOCK}(?:[.,](?P<f>\d+))?{_HALF}?{_ZONE}", "2026-01-02 03:04:05,678")
CLOCK = Shape("clock", rf"{_CLOCK}(?:[.,](?P<f>\d+))?", "03:04:05.678")
KLOG = Shape("klog", rf"(?P<mo>\d\d)(?P<d>\d\d) {_CLOCK}\.(?P<f>\d+)", "0102 03:04:05.678901")
_UNIT_DIVISORS = {"s": 1000.0, "ms": 1, "us": 1_000, "ns": 1_000_000}
_DIRECTIVES = {
    "Y": r"(?P<y>\d{4})", "y": r"(?P<y>\d\d)", "m": r"(?P<mo>\d{1,2})", "d": r"(?P<d>\d{1,2})", "b": _MONTH,
    "H": r"(?P<h>\d{1,2})", "M": r"(?P<mi>\d{1,2})", "S": r"(?P<s>\d{1,2})", "f": r"(?P<f>\d+)",
    "I": r"(?P<h>\d{1,2})", "p": r"(?P<p>[AaPp][Mm])",
    "z": r"(?P<z>Z|[+-]\d\d:?\d\d)", "a": _WEEKDAY, "e": r" ?(?P<d>\d{1,2})", "%": "%",
    "F": _DATE, "T": _CLOCK,
}  # fmt: skip


def shape_of(text: str, year: int = 0) -> Shape:
    """Make the shape of a strptime format, or of ``epoch_s``, ``epoch_ms``, ``epoch_us``, ``epoch_ns``.

    Raises
    ------
    ValueError : a directive is not known or there twice, the hour is missing, or the day of a month or year.
    """
    unit = text.removeprefix("epoch_")
    if text.startswith("epoch_") and unit in _UNIT_DIVISORS:
        return Shape(text, r"(?P<e>\d+(?:\.\d+)?)", "", unit=unit)
    pieces = re.split(r"%(.)", text)
    unknown = [letter for letter in pieces[1::2] if letter not in _DIRECTIVES]
    if unknown:
        raise ValueError(f"%{unknown[0]} is not known; known are %{', %'.join(_DIRECTIVES)}")
    fixed = [re.escape(piece).replace(r"\ ", " ") for piece in pieces[::2]]
    coded = [_DIRECTIVES[letter] for letter in pieces[1::2]]
    pattern = "".join(a + b for a, b in zip(fixed, [*coded, ""], strict=True))
    if "(?P<h>" not in pattern:
        raise ValueError(f"{text!r} needs an hour")
    if "(?P<d>" not in pattern and re.search(r"\(\?P<(y|mo|mon)>", pattern):
        raise ValueError(f"{text!r} needs a day beside its month or year")
    if len(set(names := re.findall(r"\(\?P<(\w+)>", pattern))) < len(names):
        raise ValueError(f"{text!r} has a part of the time twice")
    return Shape(text, pattern, "", year=year)


def read_times(texts: pa.Array, shape: Shape, timezone: str, latest_ms: Ints | None = None) -> Ints:
    """Read times that all have one shape.

    Parameters
    ----------
    texts : string (rows,).
    timezone : name of the zone of times without one.
    latest_ms : for dates without a year: the latest time that each may be (rows,), ms since 1970.

    Returns
    -------
    ms since 1970 (UTC), of a shape without a date since midnight, rounded down; NO_TIME where a text is no time.
    """
    coded = texts.dictionary_encode()
    codes = coded.indices.to_numpy()
    found = pc.extract_regex(coded.dictionary, f"^{shape.pattern}$")
    names = [field.name for field in found.type]
    group = {name: pc.struct_field(found, name) for name in names}
    if "e" in group:
        return _epochs(group["e"], shape.unit)[codes]
    valid = pc.is_valid(found).to_numpy(zero_copy_only=False)
    parts = {name: _numbers(group[name]) for name in ("y", "mo", "d", "h", "mi", "s") if name in group}
    if "p" in group:
        parts["h"] = _of_24(parts["h"], group["p"])
    none = np.zeros(len(valid), dtype=np.int64)
    parts = {"mo": none, "mi": none, "s": none} | parts
    month = _months(group["mon"]) if "mon" in group else parts["mo"]
    clock = ((parts["h"] * 60 + parts["mi"]) * 60 + parts["s"]) * 1000
    clock = clock + (_fractions(group["f"], shape.is_ms) if "f" in group else 0)
    valid &= (parts["h"] < 24) & (parts["mi"] < 60) & (parts["s"] <= 60)
    if not shape.has_date:
        return np.where(valid, clock, NO_TIME)[codes]
    offset = _offsets(group["z"]) if "z" in group else np.full(len(month), NO_TIME)
    if shape.has_year:
        year = parts.get("y", np.full(len(month), shape.year))
        year = np.where(year < 100, year + np.where(year < 69, 2000, 1900), year)
        return _utc(_date_ms(year, month, parts["d"], clock, valid), offset, timezone)[codes]
    latest = np.full(len(codes), np.iinfo(np.int64).max) if latest_ms is None else latest_ms
    days = _latest_year(month[codes], parts["d"][codes], clock[codes], valid[codes], latest)
    return _utc(days, offset[codes], timezone)


def _numbers(texts: pa.Array) -> Ints:
    filled = pc.if_else(pc.equal(pc.binary_length(texts), 0), "0", texts)
    return pc.fill_null(filled.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)


def _of_24(hours: Ints, halves: pa.Array) -> Ints:
    """Return hours of 24, where AM or PM is behind those of 12; others stay."""
    half = pc.fill_null(pc.utf8_upper(halves), "").dictionary_encode()
    after = np.array([{"AM": 0, "PM": 12}.get(text, -1) for text in half.dictionary.to_pylist()] or [-1])
    after = after[half.indices.to_numpy()]
    return np.where((after < 0) | (hours > 12), hours, hours % 12 + after)


def _months(texts: pa.Array) -> Ints:
    return pc.index_in(pc.utf8_lower(texts), pa.array(MONTHS)).fill_null(-1).to_numpy(zero_copy_only=False) + 1


def _fractions(texts: pa.Array, is_ms: bool) -> Ints:
    """Read digits after the second as ms, rounded down."""
    padded = pc.utf8_lpad(texts, 3, "0") if is_ms else pc.utf8_rpad(texts, 3, "0")
    return _numbers(pc.utf8_slice_codeunits(padded, 0, 3))


def _epochs(texts: pa.Array, unit: str) -> Ints:
    """Read numbers since 1970 as ms; the unit "" is told by the digits before the point."""
    whole = pc.extract_regex(texts, r"^0*(?P<whole>1?\d{1,18})(?:\.(?P<f>\d+))?$")
    number = _numbers(pc.struct_field(whole, "whole"))
    ms = _fractions(pc.struct_field(whole, "f"), is_ms=False)
    scale = number if not unit else np.full(len(number), {"s": 1, "ms": 10**12, "us": 10**15, "ns": 10**18}[unit])
    seconds, millis, micros = (scale < 10**power for power in (11, 14, 17))
    result = np.select(
        [seconds, millis, micros], [number * 1000 + ms, number, number // 1000], default=number // 1_000_000
    )
    is_time = pc.is_valid(whole).to_numpy(zero_copy_only=False) & ~(seconds & (number >= 10**14))
    return np.where(is_time, result, NO_TIME)


def _offsets(zones: pa.Array) -> Ints:
    """Read the zones of times as ms east of UTC; NO_TIME where there is none."""
    coded = zones.dictionary_encode()
    known = [_offset(text) for text in coded.dictionary.to_pylist()] or [NO_TIME]
    return np.array(known, dtype=np.int64)[coded.indices.fill_null(0).to_numpy(zero_copy_only=False)]


def _offset(zone: str | None) -> int:
    text = (zone or "").strip()
    if not text:
        return NO_TIME
    digits = text[1:].replace(":", "")
    if not digits.isdigit():
        return 0
    minutes = int(digits[:2]) * 60 + int(digits[2:] or 0)
    return (-minutes if text[0] == "-" else minutes) * 60_000


def _date_ms(year: Ints, month: Ints, day: Ints, clock: Ints, valid: Bools) -> Ints:
    """Return ms since 1970 of dates and times of day, NO_TIME where there is no such date."""
    months = (year - 1970) * 12 + month - 1
    first, following = ((months + n).astype("M8[M]").astype("M8[D]").astype(np.int64) for n in (0, 1))
    valid = valid & (month >= 1) & (month <= 12) & (day >= 1) & (day <= following - first)
    return np.where(valid, (first + day - 1) * DAY_MS + clock, NO_TIME)


def _latest_year(month: Ints, day: Ints, clock: Ints, valid: Bools, latest: Ints) -> Ints:
    """Put dates without a year into the latest one in which they are not after ``latest`` and a day."""
    limit = latest + DAY_MS
    year = (latest // DAY_MS).astype("M8[D]").astype("M8[Y]").astype(np.int64) + 1971
    result = np.full(len(month), NO_TIME)
    for back in range(_MOST_YEARS):
        waiting = np.flatnonzero((result == NO_TIME) & valid)
        if not len(waiting):
            break
        ms = _date_ms(year[waiting] - back, month[waiting], day[waiting], clock[waiting], valid[waiting])
        result[waiting] = np.where(ms <= limit[waiting], ms, NO_TIME)
    return result


def _utc(local: Ints, offset: Ints, timezone: str) -> Ints:
    """Return times in UTC: by their own zone, else by ``timezone``; of an hour that comes twice, the first."""
    there = local != NO_TIME
    own = there & (offset != NO_TIME)
    result = np.where(own, local - np.where(own, offset, 0), local)
    rest = np.flatnonzero(there & ~own)
    result[rest] = to_utc(local[rest], timezone)
    return result


def to_utc(local: Ints, timezone: str) -> Ints:
    """Return times (ms since 1970) of a zone in UTC; of an hour that comes twice, the first."""
    if timezone == "UTC" or not len(local):
        return local
    stamps = pa.array(local).cast(pa.timestamp("ms"))
    zoned = pc.assume_timezone(stamps, timezone, ambiguous="earliest", nonexistent="latest")
    return zoned.cast(pa.int64()).to_numpy()
