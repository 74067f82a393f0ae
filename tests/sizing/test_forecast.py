"""What a size would need: the formulas, rates of an earlier run, and the command."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lo2dask.commands import plan as planning
from lo2dask.commands.plan import plan, rates_of
from lo2dask.commands.train import train
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.options import PlanOptions, TrainOptions
from lo2dask.sizing.forecast import STORED, Wanted, forecast, measured
from lo2dask.sizing.timings import read_timings
from lo2dask.storage import write_json
from lo2dask.tables.layout import Layout
from tests.trees import load_tree

GB = 10**9
PLAIN = replace(
    STORED, start=5.0, overhead=0.1, load_task=1e-8, enhance_fixed=2.0, enhance_serial=1e-9, enhance_task=2e-9
)


def wanted(size: int, workers: int = 2, **changes: object) -> Wanted:
    return Wanted(**({"bytes": size, "workers": workers, "batch": 64_000_000, "budget": 2 * GB} | changes))


def test_the_formulas_on_round_numbers() -> None:
    needs = forecast(PLAIN, wanted(64 * GB, workers=8))
    assert needs.batches == 1000
    assert needs.seconds["load"] == pytest.approx(5 + 1000 * 0.1 + 640 / 8 + 0.32)
    assert needs.seconds["enhance"] == pytest.approx(2 + 64 + 128 / 8)
    assert needs.sequences == round(64 * GB * STORED.sequences)
    assert needs.load_memory == round(STORED.client + 8 * (STORED.worker + STORED.block * 64e6))
    assert needs.worker_memory == round(STORED.worker + 2 * GB)
    assert needs.total_seconds == pytest.approx(sum(needs.seconds.values()))
    with_events = forecast(PLAIN, wanted(64 * GB, workers=8, save_events=True))
    assert with_events.output - needs.output == pytest.approx(64 * GB * STORED.events, rel=1e-6)


@pytest.mark.parametrize("size", [GB, 650 * GB])
def test_more_workers_are_faster_and_hold_more(size: int) -> None:
    few, many = forecast(STORED, wanted(size, 2)), forecast(STORED, wanted(size, 16))
    assert all(many.seconds[stage] < few.seconds[stage] for stage in few.seconds)
    assert many.load_memory > few.load_memory
    assert (many.output, many.scratch) == (few.output, few.scratch)


def test_there_are_no_more_workers_than_parts() -> None:
    assert forecast(STORED, wanted(1_000_000, workers=16)).workers == 1


def test_the_run_that_the_rates_come_from_is_forecast_as_it_was() -> None:
    timings = {
        "load": {"seconds": 60.0, "workers": 2},
        "enhance": {"seconds": 8.0, "parts_seconds": 6.0, "workers": 2},
        "train": {"seconds": 40.0, "workers": 2, "sequences": 8_000, "models": 5, "scratch": 80_000_000},
        "explain": {"seconds": 90.0, "workers": 2, "sequences": 8_000, "models": 5},
    }
    size = 125 * 64_000_000
    disk = {"events": 800_000_000, "tables": 90_000_000, "sequence": 40_000_000}
    rates = measured("then", timings, (100.0, size, 125), disk, 8_000)
    needs = forecast(rates, wanted(size, save_events=True))
    assert needs.seconds == pytest.approx({stage: figures["seconds"] for stage, figures in timings.items()})
    assert (needs.output, needs.scratch, needs.sequences) == (930_000_000, 80_000_000, 8_000)


def test_train_and_explain_part_into_fixed_and_growing_as_the_stored_rates_do() -> None:
    stages = {name: {"seconds": 20.0, "workers": 2, "sequences": 100, "models": 5} for name in ("train", "explain")}
    stages["train"]["scratch"] = 0
    rates = measured("small", stages, (1.0, 10**8, 2), {"events": 0, "tables": 1, "sequence": 1}, 100)
    assert rates.train_fixed + 100 * rates.train_sequence == pytest.approx(20.0)
    assert rates.explain_fixed / rates.explain_sequence == pytest.approx(STORED.explain_fixed / STORED.explain_sequence)
    assert rates.events == STORED.events
    assert rates.enhance_task == pytest.approx(STORED.enhance_task * 1e-8 / STORED.load_task)
    stages["enhance"] = {"seconds": 0.1, "parts_seconds": 0.05, "workers": 1, "in_client": 1.0}
    few = measured("small", stages, (1.0, 10**8, 2), {"events": 0, "tables": 1, "sequence": 1}, 100)
    assert few == rates, "what the client did of a few parts tells nothing of workers"
    stages = {name: timing | {"in_client": 1.0} for name, timing in stages.items()}
    stages["load"] = {"seconds": 9.0, "workers": 1, "in_client": 1.0}
    alone = measured("load alone", {}, (1.0, 10**8, 2), {"events": 0, "tables": 1, "sequence": 1}, 100)
    assert alone.train_fixed == pytest.approx(STORED.train_fixed * 1e-8 / STORED.load_task)
    few = measured("load alone", stages, (1.0, 10**8, 2), {"events": 0, "tables": 1, "sequence": 1}, 100)
    assert few == alone, "what the client did of few logs tells nothing of workers"


def test_rates_of_a_folder(tiny_tree: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = load_tree(tiny_tree, tmp_path / "out", save_events=True)
    train(TrainOptions(root=out, models=("lr_words",), if_n_estimators=10), Session.serial())
    timings = read_timings(Layout(out))
    assert set(timings) == {"load", "enhance", "train"}
    assert all(figures["seconds"] > 0 and figures["workers"] == 1 for figures in timings.values())
    rates = rates_of(out)
    assert str(out) in rates.source
    assert 0 < rates.load_task < 1e-5
    assert 0.01 < rates.events < 1
    raw = sum(path.stat().st_size for path in tiny_tree.rglob("*-1.log"))
    for size, is_rough in ((900 * raw, False), (1100 * raw, True)):
        caplog.clear()
        plan(PlanOptions(bytes=str(size), from_=out))
        assert ("it is rough" in caplog.text) is is_rough
    load_tree(tiny_tree, out, save_events=True)
    assert read_timings(Layout(out)) == timings, "nothing was done, so nothing was measured"


def test_a_folder_without_a_finished_load_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished load"):
        rates_of(tmp_path)
    write_json(Layout(tmp_path).marker("load"), {"done": True})
    with pytest.raises(InputError, match="no finished load"):
        plan(PlanOptions(bytes="1GB", from_=tmp_path))


def test_the_command(command: Callable, tmp_path: Path) -> None:
    answer = command("plan", "--bytes", "650GB", "--workers", 16)
    assert answer.code == 0, answer.err
    assert [word for word in ("10,157 parts", "16 workers", "load", "explain", "memory", "scratch", "stored:")
            if word not in answer.out] == []  # fmt: skip
    config = tmp_path / "plan.yaml"
    config.write_text(f"bytes: 1GB\nfrom: {tmp_path / 'nothing'}\n")
    assert "no such folder" in command("plan", "--config", config).err
    assert command("plan", "--bytes", "many").code == 2
    both = command("plan", "--bytes", "1GB", "--from", tmp_path, "--calibrate")
    assert (both.code, len(both.lines)) == (2, 1)


@pytest.mark.slow
def test_a_calibration_measures_every_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "CALIBRATION_RUNS", 2)
    rates = planning.calibrated(Session.serial())
    assert rates.source.startswith("this machine, measured on ")
    assert "(load, enhance, train, explain)" in rates.source
