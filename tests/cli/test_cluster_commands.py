"""`lo2dask cluster`: what it finds, what it refuses, and certificates."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lo2dask.execute import check


def file_of(folder: Path, memory: str = "1GB") -> Path:
    path = folder / "mine.yaml"
    path.write_text(f"kind: local\nworkers: 1\nmemory_limit: {memory}\n")
    return path


def test_a_fit_cluster_is_described(command: Callable[..., Any], tmp_path: Path, tiny_tree: Path) -> None:
    answer = command(
        "cluster", "check", file_of(tmp_path), "--root", tiny_tree, "--output-dir", tmp_path / "out",
        "--memory-budget", "900MB",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert f"{tmp_path / 'mine.yaml'}: 1 worker after " in answer.out
    assert "scheduler tls://127.0.0.1:" in answer.out
    assert "1.00 GB" in answer.out
    assert "MB/s" in answer.out
    assert "versions, the same everywhere: Python 3." in answer.out
    assert f"input seen by all: {tiny_tree}" in answer.out
    assert f"output shared by all: {tmp_path / 'out'}" in answer.out
    assert not (tmp_path / "out").exists()


def test_json_has_every_figure(command: Callable[..., Any], tmp_path: Path) -> None:
    words = ("cluster", "check", file_of(tmp_path), "--memory-budget", "1GB", "--log-format", "json")
    answer = command(*words)
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert found["event"] == "done"
    assert found["encrypted"] is True
    (worker,) = found["workers"]
    assert worker["finding"]["memory"] == 10**9
    assert worker["finding"]["scratch_free"] > 0
    assert worker["reading"] is None
    assert abs(worker["skew"]) < 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.yaml"], "--cluster none.yaml: No such file or directory"),
        (["elsewhere"], "--cluster elsewhere: give local, tcp://host:port, tls://host:port or a file, FILE.yaml"),
        (["tcp://192.0.2.7:8786"], "--cluster tcp://192.0.2.7:8786: plain tcp is not protected"),
        (["local", "--root", "no-such-folder"], "no-such-folder: no such folder"),
        (["local", "--memory-budget", "much"], "--memory-budget: 'much' is not a size"),
    ],
)
def test_what_cannot_be_checked_is_one_line(
    command: Callable[..., Any], monkeypatch, tmp_path: Path, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = command("cluster", "check", *words)
    assert answer.code == 2
    assert len(answer.lines) == 1
    assert said in answer.lines[0]


def test_less_memory_than_the_budget_starts_nothing(command: Callable[..., Any], monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("lo2dask.execute.cluster.LocalCluster", lambda **_: pytest.fail("a cluster was started"))
    answer = command("cluster", "check", file_of(tmp_path), "--memory-budget", "2GB")
    assert answer.code == 2
    assert "1.0 GB of memory, less than --memory-budget 2.0 GB" in answer.err


def test_the_file_is_required(command: Callable[..., Any]) -> None:
    answer = command("cluster", "check")
    assert answer.code == 2
    assert "FILE is missing" in answer.err


def test_certificates_are_written_once(command: Callable[..., Any], tmp_path: Path) -> None:
    answer = command("cluster", "certificates", tmp_path / "tls")
    assert answer.code == 0, answer.err
    assert sorted(path.name for path in (tmp_path / "tls").iterdir()) == ["ca.pem", "cert.pem", "key.pem"]
    assert str(tmp_path / "tls") in answer.out
    answer = command("cluster", "certificates", tmp_path / "tls")
    assert answer.code == 2
    assert "ca.pem is there already" in answer.err


def test_a_worker_that_fails_to_measure_is_still_described(two_folders: Path, monkeypatch) -> None:
    monkeypatch.setattr(check, "ask_all", lambda *_: {"tcp://a": OSError("no")})
    from lo2dask.execute.preflight import Report

    (line,) = check._lines(None, Report({"tcp://a": None}, {"tcp://a": 0.5}), two_folders, None)  # type: ignore[arg-type, dict-item]
    assert (line.reading, line.writing, line.skew) == (None, None, 0.5)


@pytest.fixture
def two_folders(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path
