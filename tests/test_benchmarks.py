"""What the quality benchmark holds the models against: the ideal reader and the length of the logs."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from lo2dask.domain import ERROR_CASES
from lo2dask.models.registry import spec
from lo2dask.schema import MAIN
from lo2dask.synthesis.cases import error_case

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def ideal(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    module = importlib.import_module("ideal")
    monkeypatch.setattr(module, "LOGS", 60)
    return module


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
