"""Times: every shape of the table, fractions, zones, dates without a year, epochs."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from lo2dask.formats.times import NO_TIME, SHAPE, SHAPES, Shape, read_times, shape_of

LATEST = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp() * 1000)


def read(text: str, shape: Shape, timezone: str = "UTC", latest: int = LATEST) -> datetime | None:
    ms = int(read_times(pa.array([text]), shape, timezone, np.array([latest]))[0])
    return None if ms == NO_TIME else datetime.fromtimestamp(ms / 1000, UTC).replace(tzinfo=None)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_each_shape_reads_its_example(shape: Shape) -> None:
    time = read(shape.example, shape)
    assert time is not None
    assert time.replace(microsecond=0) == datetime(2026, 1, 2, 3, 4, 5) or shape.name == "epoch"


@pytest.mark.parametrize(
    ("text", "shape", "time"),
    [
        ("2026-01-02T03:04:05.678901234Z", "iso", datetime(2026, 1, 2, 3, 4, 5, 678000)),
        ("2026-01-02 03:04:05,9", "iso", datetime(2026, 1, 2, 3, 4, 5, 900000)),
        ("2026-01-02T03:04:05.000+02:00", "iso", datetime(2026, 1, 2, 1, 4, 5)),
        ("2026-01-02T03:04:05.000 -0530", "iso", datetime(2026, 1, 2, 8, 34, 5)),
        ("2024-02-29 00:00:00.001", "iso", datetime(2024, 2, 29, 0, 0, 0, 1000)),
        ("2023-02-29 00:00:00.001", "iso", None),
        ("2026-13-01 00:00:00.001", "iso", None),
        ("2026-01-01 24:00:00.001", "iso", None),
        ("20260102-3:4:5:60", "colons", datetime(2026, 1, 2, 3, 4, 5, 60000)),
        ("99/12/31 23:59:59", "slashed-seconds", datetime(1999, 12, 31, 23, 59, 59)),
        ("Feb 29 03:04:05", "month-name", datetime(2024, 2, 29, 3, 4, 5)),
        ("Jun  1 23:00:00", "month-name", datetime(2026, 6, 1, 23)),
        ("Dec 31 23:59:59", "month-name", datetime(2025, 12, 31, 23, 59, 59)),
        ("2026-01-02 12:04:05 PM", "iso-seconds", datetime(2026, 1, 2, 12, 4, 5)),
        ("2026-01-02 12:04:05.1 AM Z", "iso", datetime(2026, 1, 2, 0, 4, 5, 100000)),
        ("2026-01-02 13:04:05 AM", "iso-seconds", datetime(2026, 1, 2, 13, 4, 5)),
        ("12/31/2026 11:04:05PM", "half-days", datetime(2026, 12, 31, 23, 4, 5)),
        ("31.12.2026 23:04:05.25", "day-dots", datetime(2026, 12, 31, 23, 4, 5, 250000)),
        ("1767323045", "epoch", datetime(2026, 1, 2, 3, 4, 5)),
        ("1767323045.5", "epoch", datetime(2026, 1, 2, 3, 4, 5, 500000)),
        ("1767323045678", "epoch", datetime(2026, 1, 2, 3, 4, 5, 678000)),
        ("1767323045678999", "epoch", datetime(2026, 1, 2, 3, 4, 5, 678000)),
        ("1767323045678999999", "epoch", datetime(2026, 1, 2, 3, 4, 5, 678000)),
    ],
)
def test_times_are_read_to_the_millisecond_and_rounded_down(text: str, shape: str, time: datetime | None) -> None:
    assert read(text, SHAPE[shape]) == time


def test_times_without_a_zone_are_of_the_one_given() -> None:
    assert read("2026-07-02 03:04:05.000", SHAPE["iso"], "Europe/Helsinki") == datetime(2026, 7, 2, 0, 4, 5)
    assert read("2026-07-02 03:04:05.000Z", SHAPE["iso"], "Europe/Helsinki") == datetime(2026, 7, 2, 3, 4, 5)
    # The hour that comes twice is the first of the two.
    assert read("2026-10-25 03:30:00.000", SHAPE["iso"], "Europe/Helsinki") == datetime(2026, 10, 25, 0, 30)


def test_own_shapes() -> None:
    assert read("2.1.2026 03h04", shape_of("%d.%m.%Y %Hh%M")) == datetime(2026, 1, 2, 3, 4)
    assert read("2.1.2026 03h04m05", shape_of("%d.%m.%Y %Hh%Mm%S")) == datetime(2026, 1, 2, 3, 4, 5)
    assert read("2.1.2026 3 pm", shape_of("%d.%m.%Y %I %p")) == datetime(2026, 1, 2, 15)
    assert read("1767323045678", shape_of("epoch_ms")) == datetime(2026, 1, 2, 3, 4, 5, 678000)
    assert read("02 Jan 03:04:05", shape_of("%d %b %H:%M:%S", 2020)) == datetime(2020, 1, 2, 3, 4, 5)
    for text in ("%Q", "%d %d %H", "%Y"):
        with pytest.raises(ValueError, match="%"):
            shape_of(text)
