"""A line-by-line parser in plain Python: slow, plain, and the truth that the vectorised one must equal."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

BLANKS = " \t\r\n\v\f"
DAY = timedelta(days=1)
TIME = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)\.(\d{3})")
HEADER = re.compile(
    r"\d\d:\d\d:\d\d\.\d{3} \[((?:(?!\]  ).)*)\]  (\S*) "
    r"([A-Z]{4,5}) {1,2}([^ ]+) ([^ ]+) -(?: |$)",
    re.ASCII | re.DOTALL,
)


@dataclass
class Line:
    """A kept line, or several that were merged."""

    line_no: int
    stamp: datetime | None
    text: str
    fields: tuple[str | None, ...]
    is_continuation: bool
    words: int
    trigrams: int
    lines: int = 1


@dataclass
class Rules:
    """What the parser is told; ``begin`` is the start of the run's day-long window, None without an epoch."""

    skip: int = 0
    continuation: str = "fill"
    balance: bool = False
    begin: datetime | None = None


def parse(data: bytes, rules: Rules, normal: bool = True) -> list[Line]:
    raw = data.decode(errors="replace").split("\n")
    lines = [line.strip(BLANKS) for line in (raw[:-1] if raw[-1] == "" else raw)]
    stamps = _stamps(lines, rules.begin)
    filled = _filled(stamps) if rules.continuation == "fill" else stamps
    skip = rules.skip if len(lines) > rules.skip else 0
    stop = skip + int((len(lines) - skip) / 7.05) if rules.balance and normal else len(lines)
    kept: list[Line] = []
    for number, (text, stamp, time) in enumerate(zip(lines, filled, stamps, strict=True)):
        if not skip <= number < stop or text == "" or (rules.continuation == "drop" and time is None):
            continue
        kept.append(_line(number + 1, stamp, text, time is None))
    return _merged(kept) if rules.continuation == "merge" else kept


def _line(number: int, stamp: datetime | None, text: str, is_continuation: bool) -> Line:
    header = HEADER.match(text) if not is_continuation else None
    fields = header.groups() if header else (None,) * 5
    return Line(number, stamp, text, fields, is_continuation, text.count(" ") + 1, max(len(text) - 2, 0))


def _stamps(lines: list[str], begin: datetime | None) -> list[datetime | None]:
    stamps: list[datetime | None] = []
    midnight = (
        datetime(1970, 1, 1, tzinfo=UTC) if begin is None else begin.replace(hour=0, minute=0, second=0, microsecond=0)
    )
    last = None
    for line in lines:
        match = TIME.match(line)
        if not match or int(match[1]) > 23:
            stamps.append(None)
            continue
        hours, minutes, seconds, ms = map(int, match.groups())
        stamp = midnight + timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=ms)
        if begin is not None:
            stamp += DAY * (stamp < begin)
        elif last is not None:
            stamp += DAY * ((last - midnight) // DAY)
            stamp += DAY * ((stamp - last < -DAY / 2) - (stamp - last > DAY - timedelta(hours=1)))
        stamps.append(stamp)
        last = stamp
    return stamps


def _filled(stamps: list[datetime | None]) -> list[datetime | None]:
    last = next((stamp for stamp in stamps if stamp), None)
    filled = []
    for stamp in stamps:
        last = stamp or last
        filled.append(last)
    return filled


def _merged(lines: list[Line]) -> list[Line]:
    merged: list[Line] = []
    for line in lines:
        if merged and line.is_continuation:
            above = merged[-1]
            above.text += "\n" + line.text
            above.words, above.trigrams = above.words + line.words, above.trigrams + line.trigrams
            above.lines += 1
        else:
            merged.append(line)
    return merged


def epoch(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
