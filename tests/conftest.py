"""Shared by all tests: a small made-up tree, the real slice, and the program as its user calls it."""

import functools
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from lo2dask.execute.session import Session
from lo2dask.options import CommonOptions, SynthOptions
from tests.examples import THOROUGH

# The first example pays for imports, and a machine may be busy: examples have no deadline.
# CI tries all of them once, where it checks the compiled loops: --hypothesis-profile thorough.
settings.register_profile("lo2dask", deadline=None, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=THOROUGH)
settings.load_profile("lo2dask")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _whole_log(caplog: pytest.LogCaptureFixture) -> None:
    """Let caplog take all lines: a cluster that is shared by tests leaves its handler at ERROR."""
    caplog.handler.setLevel(logging.NOTSET)


@pytest.fixture(scope="session", autouse=True)
def _no_flush() -> Iterator[None]:
    """Leave the disk alone: a killed process loses nothing that it wrote, and no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_gauge() -> Iterator[None]:
    """Take the resident size for the peak of a fit: what it shares takes 10 ms to ask of a process as large as this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lo2dask.models.gauge.process_memory", lambda process: process.memory_info().rss)
        yield


@pytest.fixture
def serially(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands work in this process: for tests that ask what a command says and writes, not of its workers."""
    monkeypatch.setattr(Session, "__init__", functools.partialmethod(Session.__init__, serial=True))


@pytest.fixture(scope="session")
def tiny_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs with one error case each, some 0.9 MB; tests only read it."""
    from lo2dask.synthesis import write_tree

    out = tmp_path_factory.mktemp("tiny") / "tree"
    write_tree(SynthOptions(out=out, scale=0.02, runs=2, errors_per_run=1, jobs=1))
    return out


@pytest.fixture(scope="session")
def sample_root() -> Path:
    """The real slice of LO2: next to the repository, or where LO2DASK_SAMPLE says."""
    path = Path(os.environ.get("LO2DASK_SAMPLE", REPOSITORY.parent / "shared" / "lo2-sample"))
    if not path.is_dir():
        pytest.skip(f"the real LO2 slice is not at {path}; name its folder with LO2DASK_SAMPLE")
    return path


@pytest.fixture(scope="session")
def two_workers() -> Iterator[Session]:
    """A cluster of two workers that tests share; those that end or load a worker with anything make their own."""
    with Session(CommonOptions(workers=2, memory_limit="1GB")) as session:
        yield session


@dataclass(frozen=True)
class Answer:
    """What a command line gave: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard error: an error must be one."""
        return self.err.splitlines()


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run a command line in this process: ``command("load", "--root", path)``."""
    from lo2dask.cli.main import run

    def call(*arguments: object) -> Answer:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        return Answer(code, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def program() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command line in a process of its own, with nothing on standard input."""

    def call(*arguments: object, cwd: Path | None = None, **more: object) -> subprocess.CompletedProcess[str]:
        line: Sequence[str] = [sys.executable, "-c", "from lo2dask.cli.main import main; main()", *map(str, arguments)]
        options: dict = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": 300, **more}
        return subprocess.run(line, cwd=cwd, **options)

    return call
