"""What benchmarks hold the models against: the ideal reader and the length of the logs; what audit finds of plants."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lo2dask.domain import ERROR_CASES
from lo2dask.execute.session import Session
from lo2dask.models.registry import spec
from lo2dask.options import ExplainOptions, LoadOptions
from lo2dask.schema import MAIN
from lo2dask.synthesis.cases import error_case
from lo2dask.tables.layout import Layout

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def ideal(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    module = importlib.import_module("ideal")
    monkeypatch.setattr(module, "LOGS", 60)
    return module


@pytest.fixture
def leaks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("leaks")


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("quality_levels")


def test_the_injected_error_shows_in_one_service_of_seven(ideal: ModuleType) -> None:
    injected, with_load = ideal.ceilings("v1", 1.0, 4)
    touched = 1 / 7
    assert injected.auc == pytest.approx(0.5 + touched / 2, abs=0.01)
    assert injected.services["key"] == 0.5, "no error case calls it"
    assert with_load.services["client"] > 0.95, "v1's error cases load it otherwise"
    assert 0.9 < with_load.auc < 1.0


def test_without_a_shift_of_load_an_ideal_reader_knows_the_injected_error_alone(ideal: ModuleType) -> None:
    injected, with_load = ideal.ceilings("v2", 0.1, 4)
    assert with_load.auc == pytest.approx(injected.auc, abs=0.06)
    called = {error_case(name).service for name in ERROR_CASES}
    assert {service for service, auc in injected.services.items() if auc > 0.5} == called


def test_best_f1_is_that_of_the_best_threshold(ideal: ModuleType) -> None:
    y, score = np.array([True, False, True, False]), np.array([3.0, 2.0, 2.0, 0.0])
    assert ideal._best_f1(y, score) == pytest.approx(4 / 5)


def test_a_length_is_unusual_on_either_side_of_its_services_normals(levels: ModuleType) -> None:
    length = np.array([90, 100, 110, 10, 1000, 100, 5, 5, 6])
    service = np.array(["code"] * 6 + ["key"] * 3, dtype=object)
    normal = np.array([True, True, True, False, False, False, True, True, False])
    score = levels.unusual_length(length, service, normal)
    assert score[:3].max() == 1.0
    assert (score[3:5] > 1).all()
    assert score[5] == 0.0
    assert score[8] > 1


def test_the_quality_benchmark_measures_no_model_of_bags_that_its_tables_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    quality = importlib.import_module("quality")
    bags = {bag for key in (*quality.UNSUPERVISED, *quality.SUPERVISED) for bag in spec(key).bags}
    assert bags == set(MAIN)


@pytest.fixture
def planter(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("planter")


def _log(planter: ModuleType, lines: int = 500) -> Any:
    """Make a log that passes midnight: a line every 100 ms from 23:59:30 on."""
    start = planter.DAY_MS - 30_000
    texts = [
        f"{planter._clock(start + 100 * n)} [XNIO-1 task-1]  {'k' * 22} DEBUG c.n.Test run - line {n}"
        for n in range(lines)
    ]
    return planter.Log.of([*texts, ""])


@pytest.mark.parametrize("kind", ["new error", "known error", "duplicates"])
def test_a_planted_burst_is_one_hundredth_of_the_lines_at_most_and_in_order(planter: ModuleType, kind: str) -> None:
    log, draw = _log(planter), np.random.default_rng(1)
    errors = [f" [XNIO-1 task-1]  {'a' * 22} ERROR c.n.Test run - failed"]
    for _ in range(30):
        planted = planter.plant(kind, log, errors, draw)
        assert 3 <= planted.size <= log.size == 4
        assert len(planted.log.lines) == len(log.lines) + planted.size
        assert set(log.lines) <= set(planted.log.lines)
        times = planted.log.times[:-1]
        assert (np.diff(times) >= 0).all(), "its times are in order, over midnight too"
        assert times[-1] == log.times[-1]
        assert planted.end - planted.start < planter.SECOND
        assert sum(line in planted.lines for line in planted.log.lines) >= planted.size


def test_a_planted_silence_is_real(planter: ModuleType) -> None:
    log = _log(planter)
    planted = planter.plant("silence", log, [], np.random.default_rng(1))
    longest = int(np.diff(planted.log.times[:-1]).max())
    assert longest == planted.size == planted.end - planted.start
    assert 2000 <= longest <= 4100
    assert len(planted.log.lines) == len(log.lines)


def test_lines_go_missing_or_change_places_and_times_stay(planter: ModuleType) -> None:
    log, draw = _log(planter), np.random.default_rng(1)
    missing = planter.plant("missing", log, [], draw)
    assert len(missing.log.lines) == len(log.lines) - missing.size
    swapped = planter.plant("reordered", log, [], draw)
    assert (swapped.log.times == log.times).all()
    assert sorted(line[12:] for line in swapped.log.lines) == sorted(line[12:] for line in log.lines)
    assert swapped.log.lines != log.lines


def test_planted_bursts_are_scored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    bursts = importlib.import_module("bursts")
    arguments = bursts.parse(["--quick", "--scale", "0.05", "--results", str(tmp_path / "results")])
    results = bursts.measure(arguments, tmp_path)
    assert [one.kind for one in results] == ["new error", "known error"]
    assert results[0].hit
    assert results[0].line_hit
    assert all(0 < one.chance < 0.2 for one in results)
    assert "| made-up | 1 | new error | 1 | 1.00" in (tmp_path / "results" / "bursts.md").read_text()


def test_intervals_are_wilsons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    share = importlib.import_module("bursts").share
    assert share([True] * 9 + [False]) == "0.90 [0.60, 0.98]"
    assert share([]) == "–"


@pytest.mark.slow
def test_audit_finds_planted_leaks_and_accuses_no_clean_tree(leaks: ModuleType, tmp_path: Path) -> None:
    options = LoadOptions(root=tmp_path / "raw", output_dir=tmp_path / "out", workers=1)
    with Session(options) as session:
        some = tuple(leak for leak in leaks.LEAKS if leak.check in ("duration", "services"))[1:3]
        assert leaks.count_found(tmp_path, (*some, leaks.LEAKS[-1]), session, 42) == 3
        assert leaks.count_accused(tmp_path, 3, session, 42) == 0


def test_the_report_benchmark_writes_a_page_with_what_it_made_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    report = importlib.import_module("report")
    monkeypatch.setattr(report, "RUNS", 4)
    monkeypatch.setattr(report, "MODELS", ("if", "event_lr_words"))
    monkeypatch.setattr("sys.argv", ["report.py", "--folder", str(tmp_path)])
    assert report.main() == 0
    assert ", 0 flagged" not in capsys.readouterr().out


def test_neighbours_are_found_in_the_rows_that_the_benchmarks_make_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    neighbours = importlib.import_module("neighbours")
    neighbours.make_table(tmp_path, 120, 200, bags=("e_words",), words=9, part_rows=60)
    neighbours.make_models(Layout(tmp_path), 200)
    key = neighbours.SOURCE
    options = ExplainOptions(root=tmp_path, skip_if=True, sup_models=(key,), nn_source=key)
    model = neighbours.explain(options, Session.serial()).models[0]
    assert model.neighbours == model.flagged > 0
