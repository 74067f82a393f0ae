"""What ``excess`` expects of a case, and which services are silent: as plain sets say it."""

import numpy as np
import pyarrow as pa
import pytest

from lo2dask.findings.read import describe_notice
from lo2dask.models.split import REFERENCE, Split
from lo2dask.training.answers import _silent, describe_normals
from lo2dask.training.left_out import describe_calibrations
from lo2dask.training.measures import SequenceKeys


def made(seed: int, rows: int) -> SequenceKeys:
    rng = np.random.default_rng(seed)
    run, case, service = (
        rng.choice(names, rows).tolist() for names in (["r1", "r2"], ["correct", "b"], ["x", "y", "z"])
    )
    columns = (pa.chunked_array([pa.array(one).dictionary_encode()]) for one in (run, case, service))
    return SequenceKeys(*columns, np.array([name == "b" for name in case]))


@pytest.mark.parametrize("seed", range(20))
def test_silent_and_expected_services_are_those_of_plain_sets(seed: int) -> None:
    rows = made(seed, 1 + seed)
    there: dict[tuple[str, str], set[str]] = {}
    for run, case, service in zip(*(c.to_pylist() for c in (rows.run, rows.test_case, rows.service)), strict=True):
        there.setdefault((run, case), set()).add(service)
    silent = [(*case, name) for case, found in sorted(there.items()) for name in ("w", "x", "z") if name not in found]
    told = [tuple(row.values()) for row in _silent(rows, dict.fromkeys(("w", "x", "z"), 1))]
    assert told == [(*names, "silent") for names in silent]
    normals = [found for (_, case), found in there.items() if case == "correct"]
    expected = sorted(set.intersection(*normals)) if normals else []
    assert describe_normals(rows, Split("run"), np.zeros(1 + seed))["expected_services"] == expected


@pytest.mark.parametrize(
    ("cases", "missing", "is_missed"), [(3, 1, False), (4, 1, True), (4, 2, False), (20, 2, True), (20, 3, False)]
)
def test_where_nothing_is_labelled_nearly_all_cases_say_what_one_lacks(
    cases: int, missing: int, is_missed: bool
) -> None:
    logs = [(f"r{number}", name) for number in range(cases) for name in ("x", "y") if name == "x" or number >= missing]
    run, service = (pa.chunked_array([pa.array(one).dictionary_encode()]) for one in zip(*logs, strict=True))
    case = pa.chunked_array([pa.array(["all"] * len(logs)).dictionary_encode()])
    none = np.zeros(len(logs), dtype=bool)
    rows = SequenceKeys(run, case, service, none, none)
    split = Split(REFERENCE)
    expected = describe_normals(rows, split, np.zeros(len(logs)))["expected_services"]
    assert expected == (["x", "y"] if is_missed else ["x"])


@pytest.mark.parametrize(("cases", "told"), [(2, []), (3, []), (10, [("r0", "x", "fewer", 2, 3)])])
def test_a_service_with_fewer_logs_than_others_have_is_told(
    cases: int, told: list[tuple[str, str, str, int, int]]
) -> None:
    """Pods of a deployment have other names in each run; in the first run one is missing, the second has one more."""
    logs = [
        (f"r{number}", "x") for number in range(cases) for _ in range(2 if number == 0 else 4 if number == 1 else 3)
    ]
    logs += [(f"r{number}", "y") for number in range(cases)]
    run, service = (pa.chunked_array([pa.array(one).dictionary_encode()]) for one in zip(*logs, strict=True))
    case = pa.chunked_array([pa.array(["all"] * len(logs)).dictionary_encode()])
    none = np.zeros(len(logs), dtype=bool)
    rows = SequenceKeys(run, case, service, none, none)
    expected = describe_normals(rows, Split(REFERENCE), np.zeros(len(logs)))["expected_logs"]
    assert expected == ({} if cases < 3 else {"x": 2 if cases == 3 else 3})
    found = [
        (row["run"], row["service"], row["kind"], row["count"], row["normal_max"]) for row in _silent(rows, expected)
    ]
    assert found == told
    words = [describe_notice({"start": None, "end": None, **row}) for row in _silent(rows, expected)]
    assert words == ["x has 2 logs, normal runs have at least 3"] * len(told)


def test_logs_that_nothing_is_compared_with_are_counted_and_told() -> None:
    rows = made(3, 20)
    assert describe_normals(rows, Split("run"), np.zeros(20))["not_judged"]["logs"] == 0
    is_x = np.array([name == "x" for name in rows.service.to_pylist()])
    found = describe_normals(rows, Split("run"), np.where(is_x, np.nan, 1.0))
    assert found["not_judged"] == {"logs": int(is_x.sum()), "services": 1, "first": ["x"]}
    told = describe_calibrations({"excess": found | {"own_limit": True}})
    assert told == [
        f"not judged by excess, as it has no other log of the service to compare with: {is_x.sum()} logs of x"
    ]
