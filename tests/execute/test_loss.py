"""A lost scheduler ends the work with one line and no hang; a lost worker ends nothing."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from distributed import Client
from distributed.client import ClosedClientError
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker, WorkerState

from lo2dask.cli import actions as cli_actions
from lo2dask.cli import main as cli
from lo2dask.errors import ClusterError, InputError
from lo2dask.execute import workers, xgb
from lo2dask.execute.clusterfile import LocalFile
from lo2dask.execute.frames import FrameStep, to_frame
from lo2dask.execute.loss import translate_cluster_errors
from lo2dask.execute.session import Session
from lo2dask.execute.workers import gather_workers, keep_workers
from lo2dask.options import CommonOptions


class Daemons:
    """A scheduler and one worker of its own process each, as a user would start them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        deadline = time.monotonic() + 20
        while not (folder / "scheduler.json").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.worker = self._start("worker", "--no-nanny", "--nthreads", "1", "--local-directory", str(folder))

    def _start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        line = [sys.executable, "-m", f"distributed.cli.dask_{name}", "--scheduler-file", self.file, *words]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.Popen(line, stderr=subprocess.DEVNULL, env=environ)

    @property
    def file(self) -> str:
        return str(self.folder / "scheduler.json")

    @property
    def address(self) -> str:
        import json

        return json.loads(Path(self.file).read_text())["address"]

    def end(self) -> None:
        for process in (self.worker, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    started = Daemons(tmp_path)
    yield started
    started.end()


@pytest.mark.parametrize("way", ["map", pytest.param("frames", marks=pytest.mark.thorough)])
def test_a_lost_scheduler_ends_the_work_at_once(daemons: Daemons, way: str) -> None:
    with Session(CommonOptions(cluster=daemons.address, insecure=True)) as session:
        session.client.wait_for_workers(1, timeout=20)
        session.listeners.append(lambda _, done, *news: done and daemons.scheduler.kill())
        began = time.monotonic()
        steps = FrameStep(doze_frame, DOZED), [FrameStep(pass_on, DOZED)], ["part"] * 200
        arguments = (doze, [0.1] * 200) if way == "map" else steps
        with pytest.raises(ClusterError, match="the scheduler is lost .*; what is done is kept"):
            getattr(session, way)(*arguments, "w")
        assert time.monotonic() - began < 15
        began = time.monotonic()
    assert time.monotonic() - began < 15, "and ending the session does not hang either"
    assert daemons.worker.wait(timeout=90) is not None


def doze(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


DOZED = pa.schema([pa.field("seconds", pa.float64())])


def doze_frame(part: str) -> Any:
    return to_frame(pa.table({"seconds": [doze(0.1)]}))


def pass_on(frame: Any, part: str) -> Any:
    return frame


def killed() -> KilledWorker:
    last = WorkerState(
        address="tcp://10.0.0.2:1", status="running", pid=1, name="w", memory_limit=1, local_directory="/",
        server_id="w", scheduler=None, nanny=None, extra={},
    )  # fmt: skip
    return KilledWorker("load-1", last, 5)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CancelledError("scheduler-connection-lost"), "the scheduler is lost (scheduler-connection-lost)"),
        (CancelledError(), "the scheduler is lost (CancelledError)"),
        (ClosedClientError("closed"), "the scheduler is lost (closed)"),
        (CommClosedError("in <TCP>\nclosed"), "the scheduler is lost (in <TCP> closed)"),
        (OSError("Timed out"), "the scheduler is lost (Timed out)"),
        (killed(), "6 workers died in turn at the same piece of work (load-1), the last was tcp://10.0.0.2:1"),
    ],
)
def test_each_loss_is_one_line(error: Exception, said: str) -> None:
    with pytest.raises(ClusterError) as caught, translate_cluster_errors(lambda: SimpleNamespace(status="connecting")):
        raise error
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("no 7")])
def test_an_error_of_the_work_itself_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, translate_cluster_errors(lambda: SimpleNamespace(status="running")):
        raise error
    assert caught.value is error


def test_the_command_ends_with_1_and_the_line_that_goes_on(command: Callable[..., Any], monkeypatch) -> None:
    def lose(options: Any) -> None:
        raise ClusterError("the scheduler is lost (gone); what is done is kept")

    monkeypatch.setattr(cli_actions, "load", lose)
    answer = command("load", "--root", "a b", "--no-resume", "--cluster", "tcp://127.0.0.1:1")
    assert answer.code == cli.FAILED
    assert answer.lines == [
        "lo2dask: the scheduler is lost (gone); what is done is kept; resume with: "
        "lo2dask load --root 'a b' --cluster tcp://127.0.0.1:1"
    ]


def test_missing_workers_are_waited_for_then_done_without(two_workers: Client, caplog) -> None:
    caplog.set_level("WARNING")
    file = LocalFile(path=Path("f.yaml"), start_timeout="1s")
    gather_workers(two_workers, 2, file)
    assert not caplog.text
    gather_workers(two_workers, 3, file)
    assert "2 of 3 workers have come within 1s; continuing with them" in caplog.text


def test_no_worker_at_all_is_an_error() -> None:
    class Empty:
        def wait_for_workers(self, wanted: int, timeout: float) -> None:
            raise TimeoutError

        def nthreads(self) -> dict[str, int]:
            return {}

    with pytest.raises(InputError, match=r"f\.yaml: start_timeout: no worker has come within 1s"):
        gather_workers(Empty(), 1, LocalFile(path=Path("f.yaml"), start_timeout="1s"))  # type: ignore[arg-type]


def test_lost_workers_are_replaced_with_growing_pauses(monkeypatch) -> None:
    pauses: list[float] = []

    class Event(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if timeout is not None:
                pauses.append(timeout)
                return len(pauses) > 6
            return super().wait(timeout)

    answers = iter([False, True, True, True, False, True])
    monkeypatch.setattr(workers.threading, "Event", Event)
    monkeypatch.setattr(workers.threading, "Thread", AtOnce)
    with keep_workers(lambda: next(answers), interval=100.0):
        pass
    assert pauses == [100, 100, 200, 400, 600, 100, 200]


class AtOnce:
    """A thread that runs when it is started."""

    def __init__(self, target: Callable[[], None], name: str, daemon: bool) -> None:
        self.target = target

    def start(self) -> None:
        self.target()

    def join(self) -> None:
        return


def test_a_fit_is_tried_again_when_a_worker_dies(two_workers: Client, monkeypatch) -> None:
    session = session_of(two_workers)
    tries: list[int] = []

    def train(*arguments: Any) -> str:
        tries.append(1)
        if len(tries) < 3:
            raise [ValueError("Invalid worker address"), RuntimeError("Missing required workers")][len(tries) - 1]
        return "booster"

    monkeypatch.setattr(xgb, "_train", train)
    assert xgb.fit_boosting(xgb.Shares((), (), 1), xgb.Boosting({}, 1, 0), session) == "booster"
    assert len(tries) == 3
    monkeypatch.setattr(xgb, "_train", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        xgb.fit_boosting(xgb.Shares((), (), 1), xgb.Boosting({}, 1, 0), session)


def test_a_fit_that_fails_every_time_says_why(two_workers: Client, monkeypatch) -> None:
    def train(*arguments: Any) -> None:
        raise ValueError("broken\nand a long story")

    monkeypatch.setattr(xgb, "_train", train)
    with pytest.raises(ClusterError, match=r"^xgboost\.dask failed 3 times: broken$"):
        xgb.fit_boosting(xgb.Shares((), (), 1), xgb.Boosting({}, 1, 0), session_of(two_workers))


def session_of(client: Client) -> Session:
    session = Session(CommonOptions())
    session._client = client
    return session


def test_settling_waits_for_a_worker_that_is_on_its_way_back(two_workers: Client, caplog) -> None:
    caplog.set_level("WARNING")
    session = session_of(two_workers)
    assert session.settle() == 2
    lost, pid = next(iter(two_workers.run(os.getpid).items()))
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while lost in two_workers.nthreads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert session.settle(timeout=20) == 2
    assert "are there" not in caplog.text
    session._most = 3
    assert session.settle(timeout=0.1) == 2
    assert "2 of 3 workers are there; going on with them" in caplog.text
