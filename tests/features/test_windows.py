"""Windows of logs beside a plain count, however blocks cut the logs."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from lo2dask import schema
from lo2dask.features.statements import Statements, are_templates, are_too_many, in_order, letters_of
from lo2dask.features.windows import WindowCounts
from lo2dask.formats.canonical import CANONICAL
from lo2dask.formats.lo2 import LO2

Line = tuple[int, int | None, int]  # file, time in ms, statement


def events_of(lines: list[Line], start: int) -> pa.Table:
    times = [None if time is None else datetime.fromtimestamp(time / 1000, UTC) for _, time, _ in lines]
    numbers = np.arange(start + 1, start + len(lines) + 1)
    return pa.table([pa.array(times, schema.TIME), pa.array(numbers)], names=["m_timestamp", "line_no"])


def counted(lines: list[Line], cuts: list[int], files: int) -> dict[str, list]:
    counts = WindowCounts(files, 1000)
    for start, stop in zip([0, *cuts], [*cuts, len(lines)], strict=True):
        some = lines[start:stop]
        file, statement = (np.array([line[at] for line in some], dtype=np.int64) for at in (0, 2))
        if some:
            counts.add(events_of(some, start), file, statement, 10)
    return {name: column.to_pylist() for name, column in counts.columns(np.arange(files)).items()}


def plain(lines: list[Line], files: int) -> dict[str, list]:
    """Count as the words say, log by log."""
    result: dict[str, list] = {"windows": [], "cells": [], "pairs": [], "first": [], "last": []}
    for file in range(files):
        own = [(number, *line[1:]) for number, line in enumerate(lines, 1) if line[0] == file and line[1] is not None]
        windows: dict[int, dict] = {}
        pairs: dict[tuple[int, int], int] = {}
        run = 0
        for place, (number, time, statement) in enumerate(own):
            before = own[place - 1] if place else None
            run = run + 1 if before and before[2] == statement else 1
            window = windows.setdefault(time // 1000, {"first": number, "last": number, "silence": -1, "cells": {}})
            window["first"], window["last"] = min(window["first"], number), max(window["last"], number)
            if before:
                window["silence"] = max(window["silence"], time - before[1])
                pairs[before[2], statement] = pairs.get((before[2], statement), 0) + 1
            cell = window["cells"].setdefault(statement, [0, 0, number])
            cell[0], cell[1] = cell[0] + 1, max(cell[1], run)
        ordered = sorted(windows.items())
        result["windows"].append([
            {"window": w, "first_line": v["first"], "last_line": v["last"], "silence": v["silence"]} for w, v in ordered
        ])  # fmt: skip
        result["cells"].append([
            {"window": at, "statement": s, "count": c, "run": r, "line": first - v["first"]}
            for at, (_, v) in enumerate(ordered) for s, (c, r, first) in v["cells"].items()
        ])  # fmt: skip
        result["pairs"].append([{"before": b, "statement": s, "count": c} for (b, s), c in sorted(pairs.items())])
        result["first"].append(own[0][2] if own else None)
        result["last"].append(own[-1][2] if own else None)
    return result


@pytest.mark.parametrize("seed", range(20))
def test_they_are_what_a_plain_count_makes_of_them(seed: int) -> None:
    generator = np.random.default_rng(seed)
    lines: list[Line] = []
    for file in range(4):
        time = 5_000_000
        for _ in range(int(generator.integers(0, 40))):
            # Now and then a clock goes back, or there is no time.
            time += int(generator.choice([0, 5, 300, 2500, -1200]))
            lines.append((file, None if generator.random() < 0.1 else time, int(generator.integers(3))))
    cuts = sorted(generator.integers(0, len(lines) + 1, size=3).tolist())
    assert counted(lines, cuts, 4) == plain(lines, 4)


def test_ids_of_statements() -> None:
    texts, levels = pa.array(["ERROR a", "INFO b", "at c", "FATAL d"]), pa.array(["ERROR", "INFO", None, "FATAL"])
    letters = letters_of(texts, levels, pa.array([False, False, True, False]), CANONICAL)
    assert letters == ["e", "s", "c", "e"]
    assert Statements().number(["a", "b"], ["e", "s"], ["e1", "e2"]) == ["e1", "s2"]
    assert Statements({"b": "s7"}).number(["a", "b"], ["e", "s"], ["e1", "e2"]) == ["en1", "s7"]
    assert Statements(by_template=True).number(["a", "b"], ["e", "s"], ["e1", "e2"]) == ["ete1", "ste2"]
    assert Statements.from_plain(Statements({"b": "s7"}).to_plain()) == Statements({"b": "s7"})


HEADS = (
    "java.lang.IllegalStateException: gateway timeout", 'Exception in thread "main" java.lang.Error', "panic: nil map",
    "Traceback (most recent call last):", "ValueError: bad", "System.IO.IOException: no disk", "Uncaught TypeError: x",
    r"App\Http\Errors\PaymentException: no", "Error: connect ECONNREFUSED",
)  # fmt: skip
NO_HEADS = (
    "at shop.Cart.pay(Cart.java:<NUM>)",
    "Caused by: a.BException: b",
    "... <NUM> more",
    "no Error: x",
    "Errors: 0",
)


@pytest.mark.parametrize("text", [*HEADS, *NO_HEADS])
def test_an_exception_without_a_header_is_told_by_itself(text: str) -> None:
    """It is no error, as it mostly stands below one; of LO2, whose errors all have a level, it stays what goes on."""
    one, none = pa.array([text]), pa.array([None], pa.string())
    assert letters_of(one, none, pa.array([True]), CANONICAL) == ["s" if text in HEADS else "c"]
    assert letters_of(one, none, pa.array([False]), CANONICAL) == ["s"]
    assert letters_of(one, none, pa.array([True]), LO2) == ["c"]


def test_masks_that_do_little_are_told() -> None:
    assert not are_too_many(300, 1_000)
    assert not are_too_many(2_000, 100_000)
    assert are_too_many(2_000, 30_000)
    assert are_too_many(20_001, 10_000_000)


def test_ids_are_in_order_of_their_numbers() -> None:
    ids = ["s10", "s9", "e2", "sn1", "c3", "e10"]
    assert [ids[place] for place in in_order(ids)] == ["c3", "e2", "e10", "s9", "s10", "sn1"]
    assert [are_templates(some) for some in (["e1", "sn2"], ["ete1"], [])] == [False, True, False]
