"""What the benchmarks of whole commands measure and conclude: limits that end, fits that predict, peers that agree."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest

from lo2dask.options import SynthOptions
from lo2dask.synthesis import write_tree

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)


@pytest.fixture
def whole() -> ModuleType:
    return importlib.import_module("whole")


def _python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_a_command_is_measured_with_its_steps_and_processor_time(whole: ModuleType) -> None:
    step = json.dumps({"event": "progress", "stage": "counting"})
    found = whole.measure(_python(f"import sys\nsum(range(30_000_000))\nprint({step!r}, file=sys.stderr)"))
    assert found.status == "done"
    assert 0 < found.cpu
    assert found.peak > 1e6
    assert [name for name, _ in found.steps] == ["counting"]
    assert found.profile(0, found.seconds)[0][0] == "counting"


def test_a_command_that_fails_says_its_last_words(whole: ModuleType) -> None:
    assert whole.measure(_python("raise SystemExit('no such tree')")).status == "failed with 1: no such tree"


def test_a_limit_ends_a_command_and_its_children(whole: ModuleType) -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'x = bytes(300_000_000) ; input()'])"
    found = whole.measure(_python("import time; time.sleep(60)"), whole.Limits(seconds=0.5))
    assert found.status.startswith("ended: over 0 min")
    found = whole.measure(_python(f"{child}; import time; time.sleep(60)"), whole.Limits(memory=5e6))
    assert found.status == "ended: over 5.0 MB"


def test_spread_is_what_the_slower_worker_did_too(whole: ModuleType) -> None:
    children = [{(1, 0.0): 0.0, (2, 0.0): 0.0}, {(1, 0.0): 4.0, (2, 0.0): 3.0}, {(1, 0.0): 9.0, (2, 0.0): 3.0}]
    moments = [whole.Moment(float(when), 0.0, 0, child) for when, child in enumerate(children)]
    found = whole.Measured(moments=moments, steps=[("both", 1.0), ("one", 2.0)])
    assert found.spread(0.0, 2.0, 2) == 6.0


def test_a_line_is_projected_and_checked() -> None:
    scaling = importlib.import_module("scaling")
    rows: list[dict[str, Any]] = [
        {"stage": stage, "workers": 2, "bytes": 1e9 * size, "sequences": 1000 * size, "cpu_seconds": 4 + 10 * size,
         "serial_seconds": 2 + 2 * size, "spread_seconds": 2 + 8 * size, "seconds": 3 + 6 * size}
        for size in (1, 2, 4) for stage in scaling.STAGES
    ]  # fmt: skip
    assert scaling.line(rows, "load", 2) == pytest.approx((4, 1e-8))
    assert scaling.seconds_on(rows, "train", 10_000, 16) == pytest.approx((2 + 20 + 1 + 5, 0.8))
    assert "(+0%)" in scaling.check(rows)
    assert "wall time by this model 135 s, measured 135 s" in scaling.check(rows)


@pytest.mark.parametrize("peer", ["peer_pandas", "peer_polars"])
def test_peers_count_the_words_that_were_written(peer: str, tmp_path: Path) -> None:
    if peer == "peer_polars":
        pytest.importorskip("polars")
    write_tree(SynthOptions(out=tmp_path / "raw", runs=1, errors_per_run=1, scale=0.02, jobs=1))
    masks = importlib.import_module("peers").write_masks(tmp_path / "masks.json")
    importlib.import_module(peer).main(str(tmp_path / "raw"), str(tmp_path / "out"), str(masks))
    logs = list((tmp_path / "raw").glob("*/*/light-oauth2-oauth2-*.log"))
    lines = [line for path in logs for line in path.read_text().split("\n") if line.strip()]
    sequences, words, templates = (
        pq.read_table(tmp_path / "out" / f"{name}.parquet") for name in ("sequences", "words", "templates")
    )
    assert sequences.num_rows == len(logs)
    assert sum(templates["count"].to_pylist()) == len(lines)
    validated = sum(line.count("validate(") for line in lines)
    found = dict.fromkeys(words["word"].to_pylist(), 0)
    for word, count in zip(words["word"].to_pylist(), words["count"].to_pylist(), strict=True):
        found[word] += count
    assert found["validate("] == validated > 0


def test_results_are_kept_in_three_forms(tmp_path: Path) -> None:
    results = importlib.import_module("results")
    rows = [{"side": "a", "seconds": 1.5}]
    results.keep(tmp_path, "one", rows, [results.markdown(rows)], lambda axes: axes.plot([0, 1], [0, 1]))
    assert "| a | 1.5 |" in (tmp_path / "one.md").read_text()
    assert pq.read_table(tmp_path / "one.parquet").to_pylist() == rows
    assert (tmp_path / "one.png").stat().st_size > 1000
