"""For each preset: lines made of known fields come back exactly, in every form that it reads."""

from datetime import datetime, timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lo2dask.formats.kinds import KindFormat
from lo2dask.formats.levels import KNOWN
from lo2dask.formats.presets import PRESETS, LogfmtFormat
from lo2dask.formats.user_format import lines_of
from tests.examples import examples

from .canonical import Event, read

MS = timedelta(milliseconds=1)
EPOCH = datetime(1970, 1, 1)
moments = st.datetimes(datetime(2001, 9, 10), datetime(2033, 5, 17)).map(
    lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
)
ids = st.from_regex(r"[0-9a-f]{4,16}", fullmatch=True)
threads = st.from_regex(r"[A-Za-z][\w.:#/-]{0,12}( [\w-]{1,5})?", fullmatch=True)
loggers = st.from_regex(r"[a-z][a-z0-9]{0,5}(\.[A-Z][A-Za-z_]{0,5}){1,2}", fullmatch=True)
messages = (
    st.text(st.sampled_from("abz019 -:[]()=\"'{}é日_/"), min_size=1, max_size=30).map(str.strip).map("m{}".format)
)
level_words = st.sampled_from(
    ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "WARNING", "info", "warn", "Error", "CRITICAL", "NOTICE"]
)
clock = "{t:%H:%M:%S}{p}{ms:03}"
iso = "{t:%Y-%m-%d}{T}{t:%H:%M:%S}{p}{ms:03}"
# The forms of each preset; T, p: blank or T, comma or dot; and which fields they have.
FORMS = {
    "logback": [
        (iso + " [{thread}] {level:<5} {logger} - {message}", "tln"),
        (iso + " {level:<5} [{thread}] {logger} - {message}", "tln"),
        (iso + " {level} {logger} [{thread}] - {message}", "tln"),
    ],
    "log4j": [
        (iso + " {level} [{thread}] {logger}: {message}", "tln"),
        (iso + " - {level:<5} [{thread}:{logger}@77] - {message}", "tln"),
        (iso + " {level} {logger}: {message}", "ln"),
        (iso + " [{level}] {logger}: {message}", "ln"),
        (iso + " [{thread}] {level} {logger}: {message}", "tln"),
        ("[" + iso + "] {level} {message}", "l"),
    ],
    "clock": [
        (clock + " [{thread}] {level:<5} {logger} - {message}", "tln"),
        (clock + " [{thread}] {level:<5} {logger} -- {message}", "tln"),
        (clock + " {level:<5} [{thread}] {logger} - {message}", "tln"),
        (clock + " {level} {logger} [{thread}] - {message}", "tln"),
        (clock + " {level} {logger} - {message}", "ln"),
        (clock + " [{thread}] {level} {message}", "tl"),
        ("[" + clock + "] [{level}] {message}", "l"),
    ],
    "spring": [
        (iso + " {level:>5} 7 --- [shop] [{thread:>15}] {logger:<40} : {message}", "tln"),
        (iso + " {level:>5} 7 --- [{thread:>15}] {logger:<40} : {message}", "tln"),
        (iso + "Z {level:>5} 7 --- [shop] [{thread:>15}] [{correlation}] {logger:<40} : {message}", "tlnc"),
        (iso + " {level:>5} [shop,a,b] 7 --- [{thread:>15}] {logger:<40}: {message}", "tln"),
    ],
    "python": [
        (iso + " - {logger} - {level} - {message}", "ln"),
        (iso + " - {level} - {logger} - {message}", "ln"),
        (iso + " {level} {logger}:17: {message}", "ln"),
        (iso + " [{level}] {logger}: {message}", "ln"),
        ("[" + iso + "] [{thread}] [{level}] {message}", "tl"),
    ],
    "syslog": [
        ("<{pri}>1 " + iso + "Z host {logger} 12 ID47 [a@1 b=\"c\" d=\"e\\]\"][f@2 g=\"h\"] {message}", "Lnm"),
        ("<{pri}>1 " + iso + "Z host {logger} 12 ID47 - {message}", "Lnm"),
        ("<{pri}>" + iso + "Z host {logger}[12]: {message}", "Ln"),
        (iso + "Z host {logger}[12]: {message}", "n"),
        (iso + "Z host {logger}: {message}", "N"),
    ],
    "klog": [],
    "access": [],
    "apache-error": [
        ("[{t:%a %b %d %H:%M:%S}.{ms:03} {t:%Y}] [core:{level}] [pid {thread}] {message}", "tl"),
    ],
    "json": [
        ('{{"time":"' + iso + 'Z","level":"{level}","logger":"{logger}","thread":"{thread}","msg":{text}}}', "tln"),
        ('{{"msg":{text},"trace_id":"{correlation}","ts":{epoch}.{ms:03},"name":"{logger}","lvl":"{level}"}}', "lnc"),
        ('{{"@timestamp":"' + iso + '+00:00","log":{{"level":"{level}","logger":"{logger}"}},"message":{text}}}', "ln"),
    ],
    "logfmt": [
        ("time=" + iso.replace("{T}", "T") + "Z level={level} logger={logger} msg={text}", "ln"),
        ("msg={text} level={level} ts={epoch}.{ms:03} component={logger}", "ln"),
    ],
    "timed": [
        ("{t:%Y-%m-%d-%H.%M.%S}.{ms:03} {level} {logger}: {message}", "ln"),
        ("{epoch}.{ms:03} {level} {logger} - {message}", "ln"),
    ],
}  # fmt: skip
CASES = [(name, form, fields) for name, forms in FORMS.items() for form, fields in forms]


def test_every_preset_with_fields_has_a_form() -> None:
    assert set(FORMS) == set(PRESETS) - {"lo2", "plain"}


def made(form: str, moment: datetime, **fields: str) -> str:
    import json

    since = (moment - EPOCH) // MS
    text = json.dumps(fields["message"], ensure_ascii=False)
    # Where a blank or T may stand, and a comma or a dot, both are taken in turn.
    separator, point = "T "[since % 2], ".,"[since // 2 % 2]
    return form.format(
        t=moment, ms=since % 1000, epoch=since // 1000, T=separator, p=point, text=text, pri="11", **fields
    )


@pytest.mark.parametrize(("name", "form", "has"), CASES, ids=[f"{name}-{n}" for n, (name, *_) in enumerate(CASES)])
@examples(24)
@given(moment=moments, thread=threads, logger=loggers, level=level_words, message=messages, correlation=ids)
def test_the_fields_of_a_line_come_back(name: str, form: str, has: str, moment: datetime, **fields: str) -> None:
    if name == "timed":
        fields["level"] = fields["level"].upper()  # other words are text, but in brackets
    if name == "clock":  # the last day of files that changed last when 2100 began
        moment = moment.replace(2100, 1, 1)
        moment -= timedelta(days=moment > datetime(2100, 1, 1, 1))
    line = made(form, moment, **fields)
    found, *more = read(line, line, kind=KindFormat(name))
    message = fields["message"]
    if name == "logfmt":
        message = line[line.index("msg=") :].split(" level=")[0]
    wanted = Event(
        (moment - EPOCH) // MS,
        thread=fields["thread"] if "t" in has else "12" if {"L", "n"} & set(has) and name == "syslog" else "",
        correlation_id=fields["correlation"] if "c" in has else "",
        level=KNOWN[fields["level"].upper()] if "l" in has else "ERROR" if "L" in has else "",
        logger=fields["logger"] if {"n", "N"} & set(has) else "core" if name == "apache-error" else "",
        method="ID47" if "m" in has else "",
        message=message,
    )
    assert [found, *more] == [wanted, wanted]


@given(moments, threads.filter(str.isdecimal) | st.integers(1, 99999).map(str), st.sampled_from("IWEF"), messages)
def test_the_fields_of_klog(moment: datetime, thread: str, letter: str, message: str) -> None:
    # The last one that is at most a day after 2100 began.
    is_late = moment.replace(year=2000) < datetime(2000, 1, 2, microsecond=1000, tzinfo=moment.tzinfo)
    moment = moment.replace(year=2100 if is_late else 2096 if (moment.month, moment.day) == (2, 29) else 2099)
    line = f"{letter}{moment:%m%d %H:%M:%S.%f} {thread:>7} server.go:42] {message}"
    assert read(line, kind=KindFormat("klog")) == [
        Event((moment - EPOCH) // MS, thread, "", KNOWN[letter], "server.go:42", "", message)
    ]


STATUSES = {"200": "INFO", "304": "INFO", "404": "WARN", "504": "ERROR", "-": "", "5": "", "50x": ""}


@given(moments, st.sampled_from(["-", "anna", "anna b"]), st.integers(-12, 12), st.sampled_from(sorted(STATUSES)))
def test_the_fields_of_access(moment: datetime, user: str, hours: int, status: str) -> None:
    moment = moment.replace(microsecond=0)
    rest = f'"GET /a?b=[1]&c=\\" 500 HTTP/1.1" {status} 5 "-" "Mozilla/5.0 (X11; [x])"'
    line = f"::1 - {user} [{moment:%d/%b/%Y:%H:%M:%S} {hours:+03}00] {rest}"
    time = (moment - timedelta(hours=hours) - EPOCH) // MS
    assert read(line, kind=KindFormat("access")) == [
        Event(time, level=STATUSES[status], message=f"::1 - {user} {rest}")
    ]


@given(st.from_regex(r"[\w .:-]{0,9}", fullmatch=True).map(str.strip), st.sampled_from(["", "c1"]), messages)
def test_the_fields_of_lo2(thread: str, correlation: str, message: str) -> None:
    line = f"03:04:05.678 [{thread}]  {correlation} INFO  a.B\tc <init> - {message}"
    (found,) = read(line, kind=KindFormat("lo2"))
    assert found == Event(found.time, " ".join(thread.split()), correlation, "INFO", "a.B_c", "<init>", message)
    assert found.time % 86_400_000 == ((3 * 60 + 4) * 60 + 5) * 1000 + 678


values = st.from_regex(r"[a-z0-9/:.]{1,8}", fullmatch=True) | st.text(st.sampled_from('ab =\\"é'), max_size=12).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
pairs = st.tuples(
    st.sampled_from(["msg", "took", "err", "path"]), values | st.just('"x level=debug time=1999-01-01T00:00:00Z y"')
)


@given(st.lists(pairs, max_size=3), st.lists(pairs, max_size=3), st.booleans())
def test_of_logfmt_only_pairs_outside_of_quotes_count(before: list, after: list, is_quoted: bool) -> None:
    own = ['time="2026-01-02T03:04:05Z"', 'level="warn"'] if is_quoted else ["time=2026-01-02T03:04:05Z", "level=warn"]
    texts = [[f"{key}={value}" for key, value in some] for some in (before, after)]
    line = " ".join([*texts[0], *own, *texts[1]])
    fields = LogfmtFormat().read(lines_of([line]))
    assert fields.time_ms.tolist() == [1767323045000]
    assert fields.level.to_pylist() == ["WARN"]
    assert fields.message.to_pylist() == [" ".join(texts[0] + texts[1]).strip()]


@pytest.mark.parametrize("name", [name for name in PRESETS])
@examples(24)
@given(lines=st.lists(st.text(max_size=40) | st.sampled_from([p.example for p in PRESETS.values()]), max_size=5))
def test_no_text_makes_a_preset_fail(name: str, lines: list[str]) -> None:
    lines = [line.replace("\n", " ").replace("\0", "") for line in lines]
    fields = PRESETS[name].read(lines_of(lines))
    assert (fields.rows[1:] > fields.rows[:-1]).all()
    assert len(fields.time_ms) == len(fields.message) == len(fields.rows)


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in ("plain", "lo2")])
@pytest.mark.parametrize("before", ["é" * 20 + " ", "日本 "])
def test_what_is_before_a_header_in_other_letters_moves_nothing(name: str, before: str) -> None:
    """Offsets are bytes: letters of several bytes before a header must not move what is cut off behind it."""
    line = f"{before}2026-01-02 03:04:05,678 INFO a.B: mé {before}end"
    assert read(line, kind=KindFormat("timed")) == [
        Event(1767323045678, "", "", "INFO", "a.B", "", f"mé {before}end".strip())
    ]
    found = read(PRESETS[name].example + f" é{before}end", kind=KindFormat(name))
    assert found[0].message.endswith(f"é{before}end") or name == "json"
