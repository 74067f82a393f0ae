"""The pre-flight on two real workers: what it finds, what it refuses, and that a later worker passes it too."""

import contextlib
import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from distributed import Client

from lo2dask.errors import InputError
from lo2dask.execute import preflight as module
from lo2dask.execute.bandwidth import SAMPLE_BYTES, measure_reading, measure_writing
from lo2dask.execute.preflight import Needs, Preflight, ask_all, preflight
from lo2dask.execute.probe import PACKAGES, Finding, Request, examine, file_system, package_versions
from lo2dask.options import ExplainOptions, LoadOptions, ReportOptions, RunOptions, TrainOptions


@pytest.fixture
def folders(tmp_path: Path) -> Needs:
    (tmp_path / "raw").mkdir()
    return Needs((tmp_path / "raw",), tmp_path / "deep" / "out", 500_000_000)


def test_both_workers_are_found_fit(two_workers: Client, folders: Needs) -> None:
    with preflight(two_workers, folders) as report:
        assert len(report.findings) == 2
        for found in report.findings.values():
            assert found.memory == 1_000_000_000
            assert found.threads == 1
            assert found.packages == package_versions()
            assert set(PACKAGES) == set(found.packages)
            assert found.packages["dask"]
            assert found.packages["xgboost"], "under either name of the distribution"
            assert found.scratch_free > 0
            assert not found.unseen
            assert not found.token_problem
        assert all(abs(skew) < 1 for skew in report.skew.values())
        tokens = next((folders.output / "_lo2dask" / "preflight").iterdir())
        assert len(list(tokens.glob("*.worker"))) == 2
        assert Preflight.name in ask_all(two_workers, plugins).popitem()[1]
    assert not folders.output.parent.exists(), "what the pre-flight made is gone"
    assert Preflight.name not in ask_all(two_workers, plugins).popitem()[1]


def plugins(dask_worker) -> list[str]:
    return list(dask_worker.plugins)


def test_an_output_folder_keeps_what_it_holds(two_workers: Client, tmp_path: Path) -> None:
    (tmp_path / "_lo2dask").mkdir()
    (tmp_path / "_lo2dask" / "load.json").write_text("{}")
    with preflight(two_workers, Needs(output=tmp_path)):
        pass
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["_lo2dask", "load.json"]


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        (Needs(memory=2_000_000_000), r"has 1\.0 GB of memory, less than --memory-budget 2\.0 GB"),
        (Needs(inputs=(Path("/nowhere/raw"),)), "does not see /nowhere/raw"),
    ],
)
def test_the_worker_that_lacks_something_is_named(two_workers: Client, needs: Needs, said: str) -> None:
    with (
        pytest.raises(InputError, match=rf"^worker [01] on \S+ \(tls://[\d.]+:\d+\) {said}$"),
        preflight(two_workers, needs),
    ):
        pass
    assert Preflight.name not in ask_all(two_workers, plugins).popitem()[1]


def test_an_output_that_workers_do_not_share(two_workers: Client, tmp_path: Path, monkeypatch) -> None:
    """The client's token is not where workers look: as if the folder were another one on their machines."""
    monkeypatch.setattr(module, "Request", lambda folder, *more: Request(folder.with_name("x"), *more, patience=0.1))
    with pytest.raises(InputError, match=r"does not share the output folder: .*client cannot be read: No such"):
        with preflight(two_workers, Needs(output=tmp_path)):
            pass
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_does_not_reach_the_client(two_workers: Client, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "answer_name", lambda address: "elsewhere")
    monkeypatch.setattr(module, "Request", lambda *given: Request(*given, patience=0.1))
    with (
        pytest.raises(InputError, match="its output does not reach the client"),
        preflight(two_workers, Needs(output=tmp_path)),
    ):
        pass


def test_a_clock_that_is_off(two_workers: Client, monkeypatch) -> None:
    monkeypatch.setattr(module.time, "time", lambda: 1.7e9)
    with pytest.raises(InputError, match=r"its clock is \d+ s fast; set it by NTP"), preflight(two_workers, Needs()):
        pass


def fit() -> Finding:
    return Finding("w", "h", sys.version.split()[0], package_versions(), 2, 1, 10**10, "/s", "ext4", 10**10, 0.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"python": "3.9.1"}, "has Python 3.9.1, the client "),
        ({"packages": {**package_versions(), "pyarrow": "1.0"}}, "has pyarrow 1.0, the client "),
        ({"packages": {**package_versions(), "shap": ""}}, "has shap (not installed), the client "),
        ({"scratch_type": "nfs4"}, "has its scratch /s on a network file system (nfs4)"),
        ({"scratch_free": 10**8}, "has 100.0 MB free in /s, less than 1 GB"),
        ({"memory": 10**9}, "has 1.0 GB of memory, less than --memory-budget 2.0 GB"),
        ({"unseen": ("/a", "/b")}, "does not see /a"),
    ],
)
def test_each_lack_has_its_words(changes: dict, said: str) -> None:
    demands = Preflight(Request(), 2 * 10**9)
    assert demands.lacking(fit()) == []
    assert demands.lacking(dataclasses.replace(fit(), **changes))[0].startswith(said)


def test_the_patch_level_of_python_may_differ() -> None:
    python = ".".join([*sys.version.split()[0].split(".")[:2], "99"])
    assert Preflight(Request(), 0).lacking(dataclasses.replace(fit(), python=python)) == []


def test_no_worker_and_no_answer() -> None:
    with pytest.raises(InputError, match="the cluster has no worker"):
        module._all_answered({})
    with pytest.raises(InputError, match="worker tcp://a lacks a package: No module named 'lo2dask'"):
        module._all_answered({"tcp://a": ModuleNotFoundError("No module named 'lo2dask'")})
    with pytest.raises(InputError, match="worker tcp://a cannot be examined: OSError: gone"):
        module._all_answered({"tcp://a": OSError("gone")})


def test_a_worker_that_says_nothing(two_workers: Client) -> None:
    with pytest.raises(InputError, match="a worker does not answer within 0 s"):
        ask_all(two_workers, time.sleep, 0.5, timeout=0.05)


@pytest.mark.parametrize(("memory", "stays"), [pytest.param("400MB", False, marks=pytest.mark.thorough), ("1GB", True)])
def test_a_worker_that_joins_later_is_held_to_the_same(
    two_workers: Client, tmp_path: Path, memory: str, stays: bool
) -> None:
    security = two_workers.security
    words = ["--tls-ca-file", security.tls_ca_file, "--tls-cert", security.tls_worker_cert]
    words += ["--tls-key", security.tls_worker_key, "--nworkers", "1", "--nthreads", "1", "--memory-limit", memory]
    words += ["--no-dashboard", "--local-directory", str(tmp_path), "--name", "late"]
    with preflight(two_workers, Needs(output=tmp_path / "out", memory=900_000_000)):
        address = two_workers.scheduler_info(n_workers=0)["address"]
        with subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", address, *words],
            stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ) as late, contextlib.ExitStack() as at_last:  # fmt: skip
            # Else a failure here would wait for the worker, which waits for work.
            at_last.callback(late.kill)
            if stays:
                two_workers.wait_for_workers(3, timeout=60)
                assert ran_on_late(two_workers)
                late.terminate()
                late.communicate(timeout=60)
            else:
                log = late.communicate(timeout=60)[1]
                assert late.returncode == 0, "the nanny ends too, and starts no other"
                assert "worker late on" in log
                assert "has 400.0 MB of memory, less than --memory-budget 900.0 MB" in log
    deadline = time.monotonic() + 10
    while len(two_workers.nthreads()) > 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(two_workers.nthreads()) == 2


def ran_on_late(client: Client) -> bool:
    return client.submit(os.getpid, workers=["late"], pure=False).result(timeout=10) > 0


def test_what_a_command_needs(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    assert Needs.of(LoadOptions(root=raw, output_dir=out)) == Needs((raw,), out, 0)
    assert Needs.of(TrainOptions(root=out, memory_budget="3GB")) == Needs((out,), out, 3 * 10**9)
    assert Needs.of(TrainOptions(root=out, raw_root=raw)) == Needs((out, raw), out, 2 * 10**9)
    assert Needs.of(RunOptions(root=raw, output_dir=out)) == Needs((raw,), out, 2 * 10**9)
    assert Needs.of(ExplainOptions(root=out)).output == out
    assert Needs.of(ReportOptions(root=out)).memory == 0


def test_an_object_store_is_no_shared_folder() -> None:
    assert module._paths(Path("s3://bucket/raw"), None, "text", Path("/a")) == (Path("/a"),)


def test_file_systems_have_names() -> None:
    assert file_system(Path("/proc/self")) in ("proc", "")
    assert isinstance(file_system(Path.cwd()), str)


def test_bandwidth_is_measured_and_leaves_nothing(tmp_path: Path) -> None:
    assert measure_reading(tmp_path) is None
    for name in "abcdef":
        (tmp_path / name).write_bytes(bytes(100_000))
    assert measure_reading(tmp_path) > 0
    assert measure_reading(tmp_path, index=1) > 0
    assert measure_reading(tmp_path, index=2) is None
    folder = tmp_path / "out"
    folder.mkdir()
    assert measure_writing(folder) > 0
    assert list(folder.iterdir()) == []
    assert SAMPLE_BYTES < 10**8


def test_examining_names_the_worker(two_workers: Client) -> None:
    names = sorted(found.name for found in ask_all(two_workers, examine, Request()).values())
    assert names == ["0", "1"]
