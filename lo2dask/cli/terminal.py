"""Text for a terminal of so many columns: measured as it is drawn, cut at its end or in its middle."""

import os
import re
import shutil
import sys
import unicodedata

from lo2dask.buffers.visible import visible

LEAST_WIDTH = 40
# Where the output is no terminal and COLUMNS is not set.
PLAIN_WIDTH = 120
MORE = "…"
# One character each, so that lines stay as wide as they are.
_ASCII = str.maketrans({MORE: "~", "–": "-", "×": "x", "▁": ".", "▂": ":", "▃": "-", "▅": "=", "▇": "#"})
_CODE = re.compile(r"\bERR\d{5}\b")
_LEVEL = re.compile(r"\b(?:ERROR|FATAL|SEVERE|CRITICAL|WARN(?:ING)?|INFO|DEBUG|TRACE)\b")
# Level, logger and method of a statement; of a line of an access log, all before the request.
_HEAD = re.compile(
    r"(?:(?P<error>ERROR|FATAL|SEVERE|CRITICAL)|WARN(?:ING)?|INFO|DEBUG|TRACE)\s+\S+(?:\s+\S+)?\s+(?:-+\s+)+(?=\S)"
)
# The status of a response as it is masked.
_STATUS = re.compile(r"\bcode[1-5]\d\d\b")


def terminal_width() -> int:
    """Return the columns of the terminal, of COLUMNS, or of what is no terminal."""
    return max(LEAST_WIDTH, shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns)


def error_width() -> int:
    """Return the columns of the terminal that standard error goes to, wherever standard output goes."""
    try:
        fallback = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):
        return terminal_width()
    return max(LEAST_WIDTH, shutil.get_terminal_size(fallback).columns)


def encodable(text: str) -> str:
    """Replace what the encoding of standard output has no character for."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
    return text


def columns(text: str) -> int:
    """Count the columns that a text takes: an ideograph two, a combining mark none."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut(text: str, width: int) -> str:
    """Cut a text at its end to so many columns, with a mark that it goes on."""
    if columns(text) <= width:
        return text
    return _fitting(text, max(width - 1, 0)) + MORE


def cut_middle(text: str, width: int) -> str:
    """Cut a text in its middle to so many columns: names differ at their ends."""
    if columns(text) <= width:
        return text
    tail = _fitting(text[::-1], (width - 1) // 2)[::-1]
    return _fitting(text, max(width - 1 - columns(tail), 0)) + MORE + tail


def padded(text: str, width: int) -> str:
    """Fill a text with spaces up to so many columns."""
    return text + " " * (width - columns(text))


def case_name(run: str, test_case: str, width: int) -> str:
    """Write ``run / test_case`` in so many columns, the run cut first."""
    room = width - columns(test_case) - 3
    if room >= LEAST_WIDTH // 4:
        return f"{cut_middle(run, room)} / {test_case}"
    return cut_middle(f"{run} / {test_case}", width)


def telling(statement: str, width: int) -> str:
    """Write what tells most of a statement: an error code, else what stands behind level, logger and method.

    The level of an error stays, as only that may be new; where a status does not fit, what stands before it is cut.
    """
    if code := _CODE.search(statement):
        return cut(code[0], width)
    head = _HEAD.search(statement)
    text = _HEAD.sub("", statement, count=1).strip()
    if (status := _STATUS.search(text)) and columns(text) > width:
        begin, tail = text[: status.start()].rstrip(), MORE + text[slice(*status.span())]
        is_whole = columns(text[: status.end()]) < width
        return cut(text, width) if is_whole else _fitting(begin, max(width - len(tail), 0)) + cut(tail, width)
    return cut(f"{head['error']} {text}" if head and head["error"] and not status else text, width)


def telling_line(text: str, statement: str, width: int) -> str:
    """Write a log line from its level on; of a long one the level and the message, or what is around an error code.

    Of a line of JSON that is its level and message, or, where these cannot be told, its begin.
    The code is that of the statement which the line is shown for.
    """
    text = _told(text)
    level = _LEVEL.search(text)
    # What begins within an object could not be recognised.
    text = text[level.start() :] if level and not text.startswith("{") else text.strip()
    if columns(text) <= width or not level:
        return cut(text, width)
    start = f"{level[0]} {MORE} "
    room = width - columns(start)
    code, head = _CODE.search(statement), _HEAD.match(text)
    at = text.find(code[0]) if code else -1
    if at >= 0:
        begin = at - min(len('"code":"'), max(room - len("ERR00000"), 0))
    else:
        begin = head.end() if head else 0
    return start + cut(text[begin:], room) if begin and room > 0 else cut(text, width)


def _told(text: str) -> str:
    """Return level and message of a line of JSON, within a wrapper too; any other line as it is."""
    if (at := text.find("{")) < 0:
        return text
    # Few commands show lines, and none else needs what this takes.
    from lo2dask.formats.json_lines import read_told
    from lo2dask.formats.wrappers import PREFIXES

    is_wrapped = any(re.fullmatch(rf"(?:{prefix})\s*", text[:at]) for prefix in PREFIXES.values())
    told = read_told(text[at:]) if not at or is_wrapped else None
    return visible(told) if told else text


def _fitting(text: str, width: int) -> str:
    taken, used = 0, 0
    for char in text:
        used += _columns(char)
        if used > width:
            break
        taken += 1
    return text[:taken]


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
