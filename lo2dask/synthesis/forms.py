"""The made-up lines of LO2 written in the form of another line format."""

import re
from datetime import UTC, datetime

import orjson

_LINE = re.compile(rb"(\d\d):(\d\d):(\d\d)\.(\d{3}) \[(.*?)\]  (\S*) ([A-Z]+) +(\S+) (\S+) - ?(.*)")
_DAY_S = 86_400


def in_form(content: bytes, form: str, end: int) -> bytes:
    """Return a log in another form; ``end`` (seconds since 1970) is when it ends, give or take an hour.

    Lines without a header stay as they are.
    """
    if form == "lo2":
        return content
    end += 3600
    days = [datetime.fromtimestamp(end - _DAY_S * back, UTC).date() for back in (1, 0)]
    latest = datetime.fromtimestamp(end, UTC).strftime("%H:%M:%S.999").encode()
    return b"".join(_line(line, form, days[line[:12] <= latest].isoformat()) for line in content.splitlines(True))


def _line(line: bytes, form: str, day: str) -> bytes:
    match = _LINE.match(line)
    if not match:
        return line
    hour, minute, second, ms, thread, correlation, level, logger, method, message = (
        group.decode() for group in match.groups()
    )
    clock = f"{hour}:{minute}:{second}"
    if form == "logback":
        text = f"{day} {clock},{ms} [{thread}] {level:5} {logger} - {message}"
    elif form == "timed":
        text = f"{day[2:].replace('-', '/')} {clock} {level} {logger}: {message}"
    elif form == "access":
        date = datetime.fromisoformat(day).strftime("%d/%b/%Y")
        path = re.sub(r"[^\w./-]", "", f"/{logger}/{method}/{message}")[:80]
        text = f'172.24.0.7 - - [{date}:{clock} +0000] "GET {path} HTTP/1.1" 200 {len(message)} "-" "Locust/2.29"'
    else:
        fields = {"time": f"{day}T{clock}.{ms}Z", "level": level.lower(), "logger": logger, "thread": thread}
        return orjson.dumps({**fields, "correlation_id": correlation, "msg": message}) + b"\n"
    return text.encode() + b"\n"
