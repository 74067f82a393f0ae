"""The nearest normal case of a case, and what differs."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from lo2dask.findings import compare
from lo2dask.findings.compare import Difference, compare_cases

from .made import Bags, write_bags

CORRECT = "correct"
A, B, C = "run_1", "run_2", "run_10"
TEXTS = {"t1": "start <NUM>", "t2": "stop", "t3": "ERROR gone", "t9": "warn"}
BAGS: Bags = {
    (A, CORRECT, "token"): {"t1": 70, "t2": 7},
    (A, CORRECT, "user"): {"t1": 10},
    (B, CORRECT, "token"): {"t1": 10, "t9": 60},
    (B, CORRECT, "user"): {"t9": 10},
    (C, "bad", "token"): {"t1": 10, "t3": 4},
    (C, "bad", "user"): {"t1": 11},
    (C, CORRECT, "token"): {"t1": 10, "t3": 4},
    (C, CORRECT, "user"): {"t1": 11},
}
NORMALS = [(A, CORRECT), (B, CORRECT), (C, CORRECT)]


def test_the_nearest_normal_run_is_another_run(tmp_path: Path) -> None:
    layout = write_bags(tmp_path, BAGS, TEXTS)
    found = compare_cases(layout, [(C, "bad")], NORMALS)[C, "bad"]
    assert (found.run, found.test_case) == (A, CORRECT)
    here, there = np.array([10, 0, 4]), np.array([70, 7, 0])
    assert found.distance == pytest.approx(jensenshannon(here, there, base=2) / 2, abs=1e-8)
    assert found.differences == (
        Difference("token", "new", "t3", "ERROR gone", 4, 0),
        Difference("token", "missing", "t2", "stop", 0, 7),
    )


def test_its_own_run_is_taken_where_there_is_no_other(tmp_path: Path) -> None:
    layout = write_bags(tmp_path, BAGS, TEXTS)
    assert compare_cases(layout, [(C, "bad")], [(C, CORRECT)])[C, "bad"].distance == 0
    assert compare_cases(layout, [(C, CORRECT)], [(C, CORRECT)]) == {}
    assert compare_cases(layout, [(C, "bad")], []) == {}
    assert compare_cases(layout, [("gone", "bad")], NORMALS) == {}
    assert compare_cases(layout, [], NORMALS) == {}


def test_a_service_of_one_side_alone_counts_one(tmp_path: Path) -> None:
    bags: Bags = {
        (A, CORRECT, "token"): {"t1": 5},
        (A, CORRECT, "user"): {"t2": 5},
        (B, "bad", "token"): {"t1": 5},
        (B, "bad", "key"): {"t9": 2},
    }
    found = compare_cases(write_bags(tmp_path, bags, TEXTS), [(B, "bad")], [(A, CORRECT)])[B, "bad"]
    assert found.distance == pytest.approx(2 / 3)
    assert [(d.service, d.kind, d.here, d.there) for d in found.differences] == [
        ("key", "new", 2, 0),
        ("user", "missing", 0, 5),
    ]


def test_counts_are_scaled_by_the_length_of_the_logs(tmp_path: Path) -> None:
    """There each line is 10 times as frequent; t2 is 30 times, t3 a tenth, and t4 differs by two lines."""
    bags: Bags = {
        (A, CORRECT, "token"): {"t1": 1000, "t2": 300, "t3": 10, "t4": 30},
        (B, "bad", "token"): {"t1": 100, "t2": 10, "t3": 20, "t4": 1},
    }
    found = compare_cases(write_bags(tmp_path, bags, TEXTS), [(B, "bad")], [(A, CORRECT)])[B, "bad"]
    assert [(d.e_event_drain_id, d.kind, d.here, d.there) for d in found.differences] == [
        ("t3", "more", 20, 10),
        ("t2", "less", 10, 300),
    ]
    assert [d.template for d in found.differences] == ["ERROR gone", "stop"]


def test_several_logs_of_a_service_are_one(tmp_path: Path) -> None:
    bags: Bags = {(A, CORRECT, "token"): {"t1": 4, "t2": 2}, (B, "bad", "token"): {"t1": 4, "t2": 2}}
    layout = write_bags(tmp_path, bags, TEXTS)
    more = write_bags(tmp_path / "more", {(B, "bad", "token"): {"t3": 6}}, TEXTS, parts=1)
    (more.enhanced / "part-000000.parquet").rename(layout.enhanced / "part-000009.parquet")
    found = compare_cases(layout, [(B, "bad")], [(A, CORRECT)])[B, "bad"]
    assert [(d.kind, d.here) for d in found.differences] == [("new", 6), ("less", 4)]
    assert found.distance == pytest.approx(jensenshannon([4, 2, 6], [4, 2, 0], base=2), abs=1e-8)


def test_each_kind_has_a_limit_of_its_own_and_services_are_chosen_before_it(tmp_path: Path) -> None:
    normal = {f"t{n}": {1: 40, 2: 4}.get(n // 20, 9) for n in range(20, 80)} | {"t0": 900}
    bad = (
        {f"t{n}": {1: 4, 2: 40}.get(n // 20, 0) for n in range(20, 60)} | {f"n{n}": 5 for n in range(30)} | {"t0": 900}
    )
    bags: Bags = {(A, CORRECT, name): normal for name in ("token", "user")}
    bags |= {(B, "bad", name): bad for name in ("token", "user")}
    bags[B, "bad", "user"] = {"t0": 900, "n77": 1}
    layout = write_bags(tmp_path, bags, {})
    found = compare_cases(layout, [(B, "bad")], [(A, CORRECT)])[B, "bad"]
    kinds = [d.kind for d in found.differences]
    assert kinds == [kind for kind, most in compare.MOST_DIFFERENCES.items() for _ in range(most)]
    # Those of token; of user a new one, all missing ones, and t0, of which there is more in a shorter log.
    assert found.left_out == (30 + 20 + 20 + 20) + (1 + 60 + 1) - len(kinds)
    assert {d.service for d in found.differences if d.kind == "new"} == {"token"}
    alone = compare_cases(layout, [(B, "bad")], [(A, CORRECT)], ["user"])[B, "bad"]
    assert [(d.service, d.e_event_drain_id) for d in alone.differences if d.kind == "new"] == [("user", "n77")]
    assert {d.service for d in alone.differences} == {"user"}


def test_ties_and_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bags: Bags = {(f"run_{n}", CORRECT, "token"): {"t1": 5, "t2": n} for n in (1, 2, 9, 10, 11)}
    bags |= {("run_12", "bad", "token"): {f"t{n}": n for n in range(1, 60)}}
    layout = write_bags(tmp_path, bags, {})
    normals = [key[:2] for key in bags][:-1]
    monkeypatch.setattr(compare, "MOST_NORMALS", 2)
    found = compare_cases(layout, [("run_12", "bad")], normals)["run_12", "bad"]
    assert found.run in ("run_10", "run_11"), "the newest two by number"
    assert [d.here for d in found.differences if d.kind == "new"] == list(range(59, 51, -1))
    assert found.left_out == 57 - 8, "t1 and t2 are in both"
    same: Bags = {(run, CORRECT, "token"): {"t1": 5} for run in (B, A)} | {(C, "bad", "token"): {"t1": 5}}
    found = compare_cases(write_bags(tmp_path / "same", same, {}), [(C, "bad")], [(B, CORRECT), (A, CORRECT)])
    assert (found[C, "bad"].run, found[C, "bad"].distance, found[C, "bad"].differences) == (A, 0.0, ())
