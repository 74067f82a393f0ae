"""Times of every shape against Python's own: leap days, ends of years, zones, fractions, dates without a year."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, example, given

from lo2dask.formats.times import ISO, KLOG, NO_TIME, SHAPE, SHAPES, Shape, read_times, shape_of
from tests.examples import examples

EPOCH = datetime(1970, 1, 1)
MS = timedelta(milliseconds=1)
EDGES = [
    datetime(2024, 2, 29, 23, 59, 59, 999_999), datetime(2004, 2, 29), datetime(2023, 12, 31, 23, 59, 59, 999_000),
    datetime(2024, 1, 1), datetime(2024, 3, 1), datetime(2026, 12, 31, 12), datetime(2026, 1, 1, 0, 30),
]  # fmt: skip
moments = st.datetimes(datetime(2001, 9, 10), datetime(2033, 5, 17)) | st.sampled_from(EDGES)
# How each shape writes a moment; {t} is the moment, {f} its six digits after the second.
WRITERS = {
    "iso": "{t:%Y-%m-%dT%H:%M:%S},{f}",
    "dotted": "{t:%Y-%m-%d-%H.%M.%S}.{f}",
    "slashed": "{t:%y/%m/%d %H:%M:%S}.{f}",
    "colons": "{t:%Y%m%d}-{t.hour}:{t.minute}:{t.second}:{ms}",
    "weekday": "{t:%a %b %d %H:%M:%S}.{f} {t:%Y}",
    "clf": "{t:%d/%b/%Y:%H:%M:%S}.{f}",
    "day-month": "{t.day} {t:%b %Y %H:%M:%S},{f}",
    "month-day": "{t:%b} {t.day}, {t:%Y} {half}:{t:%M:%S}.{f} {t:%p}",
    "day-dots": "{t.day}.{t.month}.{t:%Y}, {t:%H:%M:%S}.{f}",
    "half-days": "{t.month}/{t.day}/{t:%Y}, {half}:{t:%M:%S}.{f} {t:%p}",
    "iso-seconds": "{t:%Y-%m-%d %H:%M:%S}",
    "slashed-seconds": "{t:%Y/%m/%d %H:%M:%S}",
    "digits": "{t:%y%m%d %H%M%S}",
    "epoch": "{seconds}.{f}",
    "no-year": "{t:%m-%d %H:%M:%S}.{f}",
    "month-name": "{t:%b} {t.day:>2} {t:%H:%M:%S}.{f}",
    "dots": "{t:%m.%d %H:%M:%S}",
    "klog": "{t:%m%d %H:%M:%S}.{f}",
}
SECONDS = {"iso-seconds", "slashed-seconds", "digits", "dots"}
YEARLESS = [shape for shape in (*SHAPES, KLOG) if not shape.has_year]


def milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MS


def write(moment: datetime, name: str) -> str:
    micro, half = f"{moment.microsecond:06}", moment.hour % 12 or 12
    ms, seconds = moment.microsecond // 1000, milliseconds(moment) // 1000
    return WRITERS[name].format(t=moment, f=micro, ms=ms, half=half, seconds=seconds)


def read(texts: list[str], shape: Shape, zone: str = "UTC", latest: int | None = None) -> list[int]:
    limit = None if latest is None else np.full(len(texts), latest)
    return read_times(pa.array(texts, pa.string()), shape, zone, limit).tolist()


def test_every_shape_has_a_writer() -> None:
    assert set(WRITERS) == {*SHAPE, KLOG.name}


@pytest.mark.parametrize("shape", [*SHAPES, KLOG], ids=lambda shape: shape.name)
@examples(24)
@given(some=st.lists(moments, min_size=1, max_size=5))
def test_what_a_shape_writes_is_read(shape: Shape, some: list[datetime]) -> None:
    for moment in some:
        moment = moment.replace(microsecond=0) if shape.name in SECONDS else moment
        # Dates without a year: of the file that changed then.
        assert read([write(moment, shape.name)], shape, latest=milliseconds(moment)) == [milliseconds(moment)]
    if shape.has_year:
        some = [moment.replace(microsecond=0) if shape.name in SECONDS else moment for moment in some]
        together = read([write(moment, shape.name) for moment in (*some, some[0])], shape)
        assert together == [milliseconds(moment) for moment in (*some, some[0])]


@given(moments, st.integers(-14 * 60, 14 * 60), st.sampled_from(["", " "]), st.booleans())
def test_zones_of_the_text_count(moment: datetime, minutes: int, blank: str, has_colon: bool) -> None:
    zone = moment.replace(tzinfo=timezone(timedelta(minutes=minutes))).strftime("%z")
    zone = f"{zone[:3]}:{zone[3:]}" if has_colon else zone
    wanted = milliseconds(moment - timedelta(minutes=minutes))
    assert read([write(moment, "iso") + blank + zone], ISO, "Asia/Tokyo") == [wanted]
    assert read([write(moment, "clf") + blank + zone], SHAPE["clf"], "Asia/Tokyo") == [wanted]
    if minutes % 60 == 0:
        assert read([write(moment, "iso") + zone[:3]], ISO, "Asia/Tokyo") == [wanted]


@pytest.mark.parametrize("zone", ["Z", " Z", "UTC", " GMT", "+0000", "-00:00", "+00"])
def test_names_of_utc(zone: str) -> None:
    assert read([f"2026-07-02 03:04:05.5{zone}"], ISO, "Asia/Tokyo") == [
        milliseconds(datetime(2026, 7, 2, 3, 4, 5)) + 500
    ]


@pytest.mark.parametrize("zone", ["Europe/Helsinki", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"])
@examples(24)
@given(moment=moments)
def test_times_without_a_zone_are_local(zone: str, moment: datetime) -> None:
    local = moment.replace(tzinfo=ZoneInfo(zone))
    back = local.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assume(back == moment)  # an hour that a clock leaves out is no time
    # Of an hour that comes twice it is the first: fold = 0.
    assert read([write(moment, "iso")], ISO, zone) == [milliseconds(local.astimezone(UTC).replace(tzinfo=None))]


def test_an_hour_that_a_clock_leaves_out_is_where_it_goes_on() -> None:
    assert read(["2026-03-29 03:30:00.000"], ISO, "Europe/Helsinki") == [milliseconds(datetime(2026, 3, 29, 1))]


@pytest.mark.parametrize("shape", YEARLESS, ids=lambda shape: shape.name)
@examples(24)
@given(moment=moments, later=st.integers(0, 300))
def test_a_date_without_a_year_is_the_last_one_before_the_file_changed(
    shape: Shape, moment: datetime, later: int
) -> None:
    assume((moment.month, moment.day) != (2, 29))
    moment = moment.replace(microsecond=0)
    text = write(moment, shape.name)
    assert read([text], shape, latest=milliseconds(moment + timedelta(days=later))) == [milliseconds(moment)]
    # A clock may be wrong by a day, no more.
    assert read([text], shape, latest=milliseconds(moment - timedelta(hours=23))) == [milliseconds(moment)]
    year_before = milliseconds(moment.replace(year=moment.year - 1))
    assert read([text], shape, latest=milliseconds(moment - timedelta(hours=25))) == [year_before]


@pytest.mark.parametrize("latest", [2024, 2025, 2027, 2028])
def test_a_leap_day_without_a_year_is_in_a_leap_year(latest: int) -> None:
    wanted = datetime(2024 if latest < 2028 else 2028, 2, 29, 1)
    assert read(["Feb 29 01:00:00"], SHAPE["month-name"], latest=milliseconds(datetime(latest, 6, 1))) == [
        milliseconds(wanted)
    ]


@given(moments, st.text(st.sampled_from("0123456789"), min_size=1, max_size=30))
def test_fractions_are_rounded_down_however_long(moment: datetime, digits: str) -> None:
    moment = moment.replace(microsecond=0)
    ms = int(digits[:3].ljust(3, "0"))
    assert read([f"{moment:%Y-%m-%d %H:%M:%S}.{digits}"], ISO) == [milliseconds(moment) + ms]


@pytest.mark.parametrize(("unit", "per_second"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@examples(24)
@given(ms=st.integers(1_000_000_000_000, 1_999_999_999_999))
def test_numbers_since_1970_in_every_unit(unit: str, per_second: int, ms: int) -> None:
    number = ms * per_second // 1000
    wanted = number * 1000 // per_second
    assert read([f"{number}"], shape_of(f"epoch_{unit}")) == [wanted]
    assert read([f"{number}"], SHAPE["epoch"]) == [wanted]
    assert read([f"{number}.25"], SHAPE["epoch"]) == [wanted + (250 if unit == "s" else 0)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@examples(24)
@given(text=st.text(st.sampled_from("0123456789."), max_size=40))
@example(text="9" * 19)
@example(text="9" * 40)
@example(text="0" * 30 + "1")
def test_any_number_is_a_time_or_none(unit: str, text: str) -> None:
    (found,) = read([text], shape_of(f"epoch_{unit}"))
    whole = text.split(".")[0]
    if found != NO_TIME and unit == "ns":
        assert found == int(whole) // 1_000_000
    if found != NO_TIME and unit == "s":
        assert found // 1000 == int(whole)
    assert (found == NO_TIME) or found >= 0


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30 01:02:03.4", "1900-02-29 01:02:03.4", "2026-00-01 01:02:03.4", "2026-01-00 01:02:03.4",
        "2026-04-31 01:02:03.4", "2026-01-01 24:00:00.0", "2026-01-01 01:60:00.0", "2026-01-01 01:00:61.0",
        "2026-1-01 01:00:00.0", "", "x2026-01-01 01:00:00.0", "2026-01-01 01:00:00.0x", "２０２６-01-01 01:00:00.0",
    ],
)  # fmt: skip
def test_what_is_no_time(text: str) -> None:
    assert read([text, "2026-01-01 01:00:00.0"], ISO)[0] == NO_TIME


def test_a_leap_second_is_the_next_one() -> None:
    assert read(["2016-12-31 23:59:60.5Z"], ISO) == [milliseconds(datetime(2017, 1, 1)) + 500]


@pytest.mark.parametrize("shape", [*SHAPES, KLOG, ISO], ids=lambda shape: shape.name)
@examples(24)
@given(texts=st.lists(st.text(st.sampled_from("0123456789:-./, TZAPMJanFeb+"), max_size=30), max_size=4))
def test_nothing_makes_it_fail(shape: Shape, texts: list[str]) -> None:
    assert len(read(texts, shape, "Europe/Helsinki", latest=milliseconds(datetime(2026, 6, 1)))) == len(texts)


OWN = [
    "%d.%m.%Y %H:%M:%S",
    "%Y%m%d%H%M%S",
    "%b %d %Y %I:%M:%S %p",
    "[%y-%m-%d] %H|%M|%S",
    "%a %d %b %Y %H:%M:%S",
    "%F %T",
]


@pytest.mark.parametrize("form", OWN)
@examples(24)
@given(moment=moments)
def test_own_shapes_read_what_strftime_writes(form: str, moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    assert read([moment.strftime(form)], shape_of(form)) == [milliseconds(moment)]


@given(moments, st.integers(-720, 720))
def test_own_shapes_read_fractions_and_zones(moment: datetime, minutes: int) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    found = read([zoned.strftime("%d/%m/%Y %H:%M:%S.%f%z")], shape_of("%d/%m/%Y %H:%M:%S.%f%z"), "Asia/Tokyo")
    assert found == [milliseconds(moment - timedelta(minutes=minutes))]


def change(latest: datetime) -> Callable[[str], list[int]]:
    return lambda text: read([text], shape_of("%d %b %H:%M:%S"), latest=milliseconds(latest))


def test_an_own_shape_without_a_year_takes_the_files() -> None:
    assert change(datetime(2026, 1, 3))("31 Dec 23:59:59") == [milliseconds(datetime(2025, 12, 31, 23, 59, 59))]
    assert change(datetime(2026, 12, 31))("31 Dec 23:59:59") == [milliseconds(datetime(2026, 12, 31, 23, 59, 59))]
