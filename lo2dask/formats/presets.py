"""The formats that are known by name, in the order in which a tie between them is decided."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.slices import slices
from lo2dask.formats.fields import Fields, TextLines
from lo2dask.formats.json_lines import JsonFormat
from lo2dask.formats.levels import WORD, normalise_levels
from lo2dask.formats.lo2 import LO2
from lo2dask.formats.text_format import Pattern, TextFormat
from lo2dask.formats.timed import TimedFormat
from lo2dask.formats.times import CLOCK, ISO, KLOG, NO_TIME, SHAPE, SHAPES, Shape, read_times

_LEVEL = rf"(?P<level>{WORD})"
_THREAD = r"\[(?P<thread>[^\]]*)\]"
_LOGGER = r"(?P<logger>[^\s:\[\]]+)"


@dataclass(frozen=True)
class Lo2Format:
    """LO2's own lines, where a tree mixes them with others."""

    name: str = LO2.name
    example: str = LO2.example

    def read(self, lines: TextLines) -> Fields:
        """Return the headers of lines."""
        header = LO2.find_headers(lines.buffer, lines.starts, lines.ends)
        rows = np.flatnonzero(header.time_ms >= 0)
        whole = np.zeros(len(lines.starts), dtype=bool)
        whole[header.rows] = True
        texts = lines.texts.take(pa.array(rows))
        found = pc.extract_regex(
            texts, r"^.{12} \[(?P<thread>.*?)\]  (?P<correlation_id>[^ ]*) (?P<level>[A-Z]{4,5}) +(?P<logger>[^ ]+) "
            r"(?P<method>[^ ]+) -(?: |$)(?P<message>.*)$",
        )  # fmt: skip
        is_whole = pa.array(whole[rows])
        columns = {}
        for kind in found.type:
            column = pc.if_else(is_whole, pc.struct_field(found, kind.name), "")
            columns[kind.name] = pc.fill_null(column, "")
        rest = pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(texts, 12))
        columns["message"] = pc.if_else(is_whole, columns["message"], rest)
        return Fields(rows, header.time_ms[rows], **columns, has_date=False)


@dataclass(frozen=True)
class PlainFormat:
    """Lines without a header: each is an event without a time."""

    name: str = "plain"
    example: str = "any line"

    def read(self, lines: TextLines) -> Fields:
        """Return no header."""
        return Fields.none()


@dataclass(frozen=True)
class LogfmtFormat:
    """Pairs ``key=value``: the message is the line without its time, level and logger."""

    name: str = "logfmt"
    example: str = 'time=2026-01-02T03:04:05.678Z level=info msg="user anna logged in" took=3ms'

    def read(self, lines: TextLines) -> Fields:
        """Return the headers of lines."""
        pairs, rest = _logfmt_parts(lines)
        time = _logfmt_value(pairs, _TIME_KEYS)
        rows = np.flatnonzero(pc.is_valid(time).to_numpy(zero_copy_only=False))
        if not len(rows):
            return Fields.none()
        pairs, rest, time = (column.take(pa.array(rows)) for column in (pairs, rest, time))
        times = np.full(len(rows), NO_TIME)
        for shape in (ISO, SHAPE["slashed"], SHAPE["epoch"]):
            missing = np.flatnonzero(times == NO_TIME)
            if len(missing):
                times[missing] = read_times(time.take(pa.array(missing)), shape, lines.timezone)
        level, logger = (_logfmt_value(pairs, keys) for keys in (_LEVEL_KEYS, _LOGGER_KEYS))
        columns = {"level": pc.fill_null(level, ""), "logger": pc.fill_null(logger, "")}
        columns["level"] = normalise_levels(columns["level"])
        return Fields(rows, times, pc.utf8_trim_whitespace(rest), **columns).with_time()


_QUOTED = r'"(?:[^"\\]|\\.)*"'
_VALUE = rf'(?:{_QUOTED}|[^\s"]\S*)'
_TIME_KEYS, _LEVEL_KEYS, _LOGGER_KEYS = "time|ts|timestamp|t|@timestamp", "level|lvl|severity", "logger|component"
_KEYS = f"(?:{_TIME_KEYS}|{_LEVEL_KEYS}|{_LOGGER_KEYS})"
_PAIR = rf"{_KEYS}={_VALUE}"
# A pair within another's quoted value, which is text.
_WITHIN = rf'^(?:[^"]|{_QUOTED})*?"(?:[^"\\]|\\.)*\s{_PAIR}'


def _logfmt_parts(lines: TextLines) -> tuple[pa.Array, pa.Array]:
    """Return texts that hold the pairs of time, level and logger of each line, and the lines without them."""
    # They mostly stand at the begin, which is far shorter than the line.
    pairs = pc.extract_regex(lines.texts, rf"^(?P<head>(?:{_PAIR})?(?:\s{_PAIR})*)").field("head")
    rest = slices(lines.buffer, lines.starts + pc.binary_length(pairs).to_numpy(), lines.ends)
    if not pc.any(pc.match_substring_regex(rest, rf"\s{_PAIR}")).as_py():
        return pairs, rest
    pairs, within = lines.texts, pc.match_substring_regex(rest, _WITHIN)
    others = pc.replace_substring_regex(rest, rf"\s{_PAIR}", "")
    if pc.any(within).as_py():
        bare = pc.replace_substring_regex(pairs.filter(within), rf"((?:^|\s){_PAIR})|{_QUOTED}", r"\1")
        quoted = pc.replace_substring_regex(rest.filter(within), rf"({_QUOTED})|\s{_PAIR}", r"\1")
        pairs, others = (pc.replace_with_mask(*one) for one in ((pairs, within, bare), (others, within, quoted)))
    return pairs, others


def _logfmt_value(texts: pa.Array, keys: str) -> pa.Array:
    """Return the value of the first of some keys in each line, null without one."""
    found = pc.extract_regex(texts, rf"(?:^|\s)(?:{keys})=(?P<value>{_VALUE})")
    return pc.utf8_trim(pc.struct_field(found, "value"), '"')


def _text(name: str, example: str, shapes: tuple[Shape, ...], *regexes: str, status: str = "") -> TextFormat:
    """Make a format; ``{T}`` in a regex is its time, ``{L}``, ``{H}``, ``{N}`` are level, thread, logger."""
    time = f"(?P<time>{'|'.join(shape.bare for shape in shapes)})"
    names = {"{T}": time, "{L}": _LEVEL, "{H}": _THREAD, "{N}": _LOGGER}
    patterns = []
    for regex in regexes:
        for name_, text in names.items():
            regex = regex.replace(name_, text)
        patterns.append(Pattern(regex, shapes, status))
    return TextFormat(name, tuple(patterns), example)


def timed(shapes: tuple[str, ...] = ()) -> TimedFormat:
    """Return the format of any line with a time near its start; those of ``shapes`` are looked for first."""
    ordered = [SHAPE[name] for name in shapes] + [shape for shape in SHAPES if shape.name not in shapes]
    return TimedFormat(shapes=tuple(ordered))


Preset = Lo2Format | TextFormat | TimedFormat | JsonFormat | LogfmtFormat | PlainFormat
_SYSLOG = (SHAPE["month-name"], ISO)
_CLF = (SHAPE["clf"],)

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Lo2Format(),
        _text(
            "logback", "2026-01-02 03:04:05,678 [main] INFO  shop.Orders - order 17 paid", (ISO,),
            r"{T} +{H} +{L} +{N} +- ?", r"{T} +{L} +{H} +{N} +- ?", r"{T} +{L} +{N} +{H} +- ?",
        ),
        _text(
            "log4j", "2026-01-02 03:04:05,678 INFO [main] shop.Orders: order 17 paid", (ISO,),
            r"{T} +{L} +{H} +{N}: ?", r"{T} +- +{L} +\[(?P<thread>.{0,200}?):(?P<logger>[\w$.]+)@\d+\] +- ?",
            r"{T} +\[?{L}\]? +{N}: ", r"{T} +{H} +{L} +{N}: ", r"\[{T}\] +{L} +",
        ),
        _text(
            "clock", "03:04:05.678 [main] INFO  shop.Orders - order 17 paid", (CLOCK,),
            r"{T} +{H} +{L} +{N} +--? ?", r"{T} +{L} +{H} +{N} +--? ?", r"{T} +{L} +{N} +{H} +--? ?",
            r"{T} +{L} +{N} +--? ?", r"{T} +{H} +{L} +", r"\[?{T}\]? +\[?{L}\]? +",
        ),
        _text(
            "spring", "2026-01-02T03:04:05.678Z  INFO 1 --- [shop] [main] shop.Orders : order 17 paid", (ISO,),
            r"{T} +{L} +(?:\[[^\]]*\] +)?\d+ --- (?:\[[^\]]*\] )?\[ *(?P<thread>[^\]]*)\] "
            r"(?:\[(?P<correlation_id>[^\]]*)\] )?(?P<logger>\S+) *: ?",
        ),
        _text(
            "python", "2026-01-02 03:04:05,678 - shop.orders - INFO - order 17 paid", (ISO,),
            r"{T} +- +(?P<logger>[^\s-]\S*) +- +{L} +- ?", r"{T} +- +{L} +- +(?P<logger>\S+) +- ?", r"{T} +- +{L} +- ?",
            r"{T} +\[?{L}\]? +(?P<logger>[A-Za-z_][\w.]*)(?::\d+)?: ?", r"\[{T}\] +{H} +\[{L}\] ?",
        ),
        _text(
            "syslog", "<34>1 2026-01-02T03:04:05.678Z host shop 411 paid - order 17 paid", _SYSLOG,
            r"<(?P<pri>\d{1,3})>\d+ {T} \S+ (?P<logger>\S+) (?P<thread>\S+) (?P<method>\S+) (?:-|(?:\[.*?[^\\]\])+) ?",
            r"<(?P<pri>\d{1,3})>{T} +\S+ +(?P<logger>[^\s\[:]+)(?:\[(?P<thread>[^\]]*)\])?: ?",
            r"{T} +\S+ +(?P<logger>[^\s\[:]+)(?:\[(?P<thread>\d+)\])?: ?",
            rf"(?P<time>{SHAPE['month-name'].bare}) +\S+ +",
        ),
        _text(
            "klog", "I0102 03:04:05.678901       1 server.go:42] order 17 paid", (KLOG,),
            r"(?P<level>[IWEF]){T} +(?P<thread>\d+) +(?P<logger>[^\s\]]+:\d+)\] ?",
        ),
        _text(
            "access", '10.0.0.1 - anna [02/Jan/2026:03:04:05 +0000] "GET /orders/17 HTTP/1.1" 200 512', _CLF,
            r"(?P<before>\S+ \S+ [^\[]{1,80} )\[{T}\] ", r"(?P<before>\S+ \S+ \S+ )\[{T}\] ",
            status=r'^"(?:[^"\\]|\\.)*" (?P<status>\d)\d\d(?: |$)',
        ),
        _text(
            "apache-error", "[Fri Jan 02 03:04:05.678901 2026] [core:error] [pid 411] order 17 not found",
            (SHAPE["weekday"],), r"\[{T}\] \[(?:(?P<logger>\w+):)?(?P<level>\w+)\] (?:\[pid (?P<thread>[^\]]+)\] )?",
        ),
        JsonFormat(),
        LogfmtFormat(),
        timed(),
        PlainFormat(),
    )
}  # fmt: skip
