"""What is detected in mixed samples, what is said of it, and formats of kinds as plain types."""

import json
import re

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lo2dask.errors import InputError
from lo2dask.formats.canonical import CANONICAL
from lo2dask.formats.detect import LEAST_SHARE, detect, narrow, try_format, with_notes
from lo2dask.formats.kinds import PLAIN, TIMED, UNREAD, KindFormat, Translation
from lo2dask.formats.lo2 import LO2
from lo2dask.formats.presets import PRESETS
from lo2dask.formats.times import SHAPE
from lo2dask.formats.user_format import lines_of

from .test_user_format import OWN

NAMES = [name for name in PRESETS if name not in (PLAIN, TIMED)]


@pytest.mark.parametrize("name", NAMES)
def test_the_format_of_most_lines_is_found_among_others(name: str) -> None:
    own, other = PRESETS[name].example, PRESETS["klog" if name in ("lo2", "clock") else "lo2"].example
    choice = detect(lines_of([own, other, own, "no header", own, "  at f", other, "", own, own]))
    assert (choice.kind.name, choice.headed, choice.lines) == (name, 5, 8)
    assert choice.others == (other, "no header", other)


def test_of_equal_ones_the_earlier_counts_and_lo2_from_half_on() -> None:
    lo2, text = PRESETS["lo2"].example, PRESETS["logback"].example
    assert detect(lines_of([lo2, text])).kind.name == "lo2"
    assert detect(lines_of([lo2, text, text])).kind.name == "logback"
    assert detect(lines_of(["a", "b"])).share == 0 < LEAST_SHARE
    assert detect(lines_of([])).share == 1.0
    assert try_format(KindFormat(PLAIN), lines_of(["a"])).share == 1.0


def test_lines_with_a_time_of_day_are_los_where_no_level_is_read_in_more_of_them() -> None:
    """A line of LO2 whose header is cut short is a time of day and text, which any other format with one is too."""
    lo2, clock, bare = PRESETS["lo2"].example, PRESETS["clock"].example, "03:04:05.678 order 17 paid"
    assert detect(lines_of([lo2, lo2, bare, clock])).kind.name == "lo2"
    assert detect(lines_of([lo2, clock, clock, clock])).kind.name == "clock"
    choice = detect(lines_of([bare, bare, "x"]))
    assert (choice.kind.name, choice.headed, choice.levelled, choice.has_date) == ("lo2", 2, 0, False)


def test_three_lines_that_have_no_header_are_shown_cut() -> None:
    choice = try_format(
        KindFormat("logback"), lines_of(["a" * 500, "  indented", "", "b", PRESETS["logback"].example, "c", "d"])
    )
    assert (choice.others, choice.headed, choice.lines) == (("a" * 200, "b", "c"), 1, 5)


TRACES = """\
java.lang.IllegalStateException: cart 7 is gone
\tat shop.Cart.pay(Cart.java:17)
Caused by: java.sql.SQLException
at shop.Store.read(Store.java:4)
... 12 more
Traceback (most recent call last):
  File "cart.py", line 7, in pay
ValueError: 7""".split("\n")


def test_lines_of_a_stack_trace_are_not_missed_as_headers() -> None:
    event = PRESETS["logback"].example
    choice = try_format(KindFormat("logback"), lines_of([event, *TRACES, "Errors: 3", event]))
    assert (choice.headed, choice.lines, choice.others) == (2, 3, ("Errors: 3",))
    assert try_format(KindFormat("logback"), lines_of(TRACES)).lines == 6


@pytest.mark.parametrize(
    ("lines", "name", "note"),
    [
        (["<11>Jan  2 03:04:05 host sshd[9]: no"], "syslog", "no year"),
        (["2026-01-02 03:04:05 CEST a"], TIMED, "the zone CEST of its times is not read"),
        (['{"msg":"a"}', '{"msg":"b"}'], "json", "2 of 2 events have no time"),
        (['{"when":"9","msg":"a","x":1}'], "json", "none of the keys time, ts, @timestamp"),
        (['{"when":"9","msg":"a"}'], "json", "no level is read from its objects; the keys there are: msg, when"),
        ([json.dumps({"t": 1767323045, "level": "info", "what": "a"} | {f"x{n:02}": n for n in range(20)})], "json",
         "the message is the whole object, as there is no key of one; the keys there are: level, t, what, x00, "
         "x01, x02, x03, x04, x05, x06, x07, x08 and 11 more"),
        (["{", '"a": 1', "}"], PLAIN, "JSON printed over several lines"),
        (
            [json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": "a"}, {"body": "b"}]}]}]})], "json",
            "1 of 1 lines hold several OpenTelemetry records",
        ),
    ],
)  # fmt: skip
def test_what_a_reader_should_know_is_noted(lines: list[str], name: str, note: str) -> None:
    some = lines_of(lines)
    assert note in " ".join(with_notes(try_format(KindFormat(name), some), some).notes)


def test_a_status_that_tells_levels_is_no_missing_level() -> None:
    some = lines_of(['{"time":1767323045,"msg":"a","status":200}'])
    assert with_notes(try_format(KindFormat("json"), some), some).notes == ()


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_is_odd_nothing_is_noted(name: str) -> None:
    some = lines_of([PRESETS[name].example] * 2)
    choice = with_notes(try_format(KindFormat(name), some), some)
    assert choice.notes == () or name == "klog"


@pytest.mark.parametrize("shape", SHAPE.values(), ids=lambda shape: shape.name)
def test_timed_is_narrowed_to_the_shapes_that_are_there(shape) -> None:
    lines = [f"{shape.example} INFO a", f"{shape.example} b", "c"]
    kind = narrow(KindFormat(TIMED, ("compose",)), lines_of([f"a-1  | {line}" for line in lines]))
    assert kind.wrappers == ("compose",)
    assert set(kind.name.removeprefix("timed:").split("+")) <= set(SHAPE)
    wanted = KindFormat(TIMED).reader.read(lines_of(lines)).time_ms.tolist()
    assert KindFormat(kind.name).reader.read(lines_of(lines)).time_ms.tolist() == wanted
    assert len(wanted) == 2
    assert narrow(KindFormat(TIMED), lines_of(["a"])).name == TIMED
    assert narrow(KindFormat("json"), lines_of(lines)).name == "json"


kinds = st.builds(
    KindFormat, st.sampled_from([*PRESETS, UNREAD, "timed:iso", "timed:clf+epoch"]),
    st.lists(st.sampled_from(["cri", "compose", "csv:3"]), max_size=3).map(tuple), st.sampled_from([{}, OWN]),
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=5), kinds, max_size=4), kinds, st.sampled_from(["UTC", "Asia/Tokyo"]))
def test_translations_come_back_from_plain_types(some: dict, default: KindFormat, zone: str) -> None:
    translation = Translation(some, default, zone)
    back = Translation.from_plain(json.loads(json.dumps(translation.to_plain())))
    assert back == translation
    for name in (*some, "else"):
        kind = back.of(name)
        assert kind == some.get(name, default)
        assert kind.reader.example
        assert kind.label.split(" > ")[:-1] == list(kind.wrappers)
    every = (*some.values(), default)
    is_lo2 = all(kind.name == UNREAD or kind.is_lo2 for kind in every)
    assert back.is_needed != is_lo2
    assert back.line_format == (LO2 if is_lo2 else CANONICAL)
    assert back.has_effect == (not is_lo2 or any(kind.name == UNREAD for kind in every))


def test_no_translation_is_lo2_for_all() -> None:
    none = Translation.from_plain({})
    assert (none, none.has_effect, none.of("x").is_lo2) == (Translation({}), False, True)


@pytest.mark.parametrize("name", ["syslogg", "timed:", "timed:never", "timed:iso+never", "lo2:iso", ""])
def test_formats_that_are_unknown_are_named_with_those_there_are(name: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"called {name!r}; there are: auto, lo2, logback")):
        assert KindFormat(name).reader.name


def test_a_few_lines_more_do_not_make_a_format_with_loggers_generic() -> None:
    lines = [f"2026-01-02 03:04:05,{n:03} [main] INFO  shop.Orders - order {n} paid" for n in range(200)]
    other = "Jun 28, 2024 4:29:46 PM shop.Cache"
    assert detect(lines_of([*lines, other])).kind.name == "logback"
    assert detect(lines_of([*lines[:20], *[other] * 5])).kind.name == "timed"


def test_an_object_that_is_cut_off_is_json_all_the_same() -> None:
    """CRI splits lines, and the sample of a log may end within one: a time stands in what is left."""
    line = '{"time":"2026-01-02T03:04:05.678Z","level":"error","msg":"no money"}'
    for lines in ([line, line[:50]], [line] * 20 + [line[:50]]):
        assert detect(lines_of(lines)).kind.name == "json"
