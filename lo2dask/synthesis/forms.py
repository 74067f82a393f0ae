"""The made-up lines of LO2 written in the form of another line format."""

import re
from datetime import UTC, datetime

import orjson

_LINE = re.compile(rb"(\d\d):(\d\d):(\d\d)\.(\d{3}) \[(.*?)\]  (\S*) ([A-Z]+) +(\S+) (\S+) - ?(.*)")
_DAY_S = 86_400
# `at` is the time, `text` the message as JSON writes it, `path` what of it may stand in a URL.
_FORMS = {
    "logback": "{at:%Y-%m-%d %H:%M:%S},{ms} [{thread}] {level:5} {logger} - {message}",
    "clock": "{at:%H:%M:%S}.{ms} [{thread}] {level:5} {logger} - {message}",
    "log4j": "{at:%Y-%m-%d %H:%M:%S},{ms} {level:5} [{thread}] {logger}: {message}",
    "spring": "{at:%Y-%m-%dT%H:%M:%S}.{ms}Z {level:>5} 1 --- [oauth2] [{thread}] {logger} : {message}",
    "python": "{at:%Y-%m-%d %H:%M:%S},{ms} - {logger} - {level} - {message}",
    "syslog": "<{priority}>1 {at:%Y-%m-%dT%H:%M:%S}.{ms}Z oauth2 {logger} 1 {method} - {message}",
    "klog": "{letter}{at:%m%d %H:%M:%S}.{ms}000       1 {file}.go:42] {message}",
    "access": '172.24.0.7 - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "GET {path} HTTP/1.1" 200 {size} "-" "Locust/2.29"',
    "apache-error": "[{at:%a %b %d %H:%M:%S}.{ms}000 {at:%Y}] [{file}:{lower}] [pid 1] {message}",
    "logfmt": "time={at:%Y-%m-%dT%H:%M:%S}.{ms}Z level={lower} logger={logger} msg={text}",
    "timed": "{at:%y/%m/%d %H:%M:%S} {level} {logger}: {message}",
    "plain": "{level} {logger} - {message}",
}
_SYSLOG = {"ERROR": 3, "WARN": 4, "INFO": 6}


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
    if form == "json":
        fields = {"time": f"{day}T{hour}:{minute}:{second}.{ms}Z", "level": level.lower(), "logger": logger}
        return orjson.dumps({**fields, "thread": thread, "correlation_id": correlation, "msg": message}) + b"\n"
    at = datetime.fromisoformat(f"{day}T{hour}:{minute}:{second}")
    text = _FORMS[form].format(
        at=at, ms=ms, thread=thread, level=level, logger=logger, method=method, message=message, lower=level.lower(),
        letter=level[0].replace("D", "I"), priority=8 + _SYSLOG.get(level, 7), file=logger.rpartition(".")[2],
        text=orjson.dumps(message).decode(), path=re.sub(r"[^\w./-]", "", f"/{logger}/{method}/{message}")[:80],
        size=len(message),
    )  # fmt: skip
    return text.encode() + b"\n"
