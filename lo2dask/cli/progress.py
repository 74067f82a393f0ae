"""Progress of a command: a bar on a terminal, a line every half minute in a pipe, JSON lines on demand, or nothing."""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lo2dask.cli.text import megabytes, say, say_json

SECONDS_BETWEEN_LINES = 30.0
Listener = Callable[[str, int, int, Any], None]


@dataclass
class Step:
    """How far one map of work is; ``bytes`` are the raw bytes that its results tell of."""

    label: str
    total: int
    began: float
    done: int = 0
    bytes: int = 0

    @property
    def seconds(self) -> float:
        """Time since the first news of the map."""
        return time.monotonic() - self.began

    def text(self) -> str:
        """Write it as one line."""
        parts = [f"{self.label}: {self.done:,} of {self.total:,} ({self.done / max(self.total, 1):.0%})"]
        if self.bytes:
            parts.append(f"{megabytes(self.bytes)}, {self.bytes / 1e6 / max(self.seconds, 1e-3):,.0f} MB/s")
        if 0 < self.done < self.total:
            parts.append(f"about {self.seconds / self.done * (self.total - self.done):,.0f} s left")
        return ", ".join(parts)


class Watch:
    """Keeps the step under way up to date; a subclass shows it."""

    def __init__(self) -> None:
        """Begin with no step."""
        self.step: Step | None = None

    def __call__(self, label: str, done: int, total: int, result: Any = None) -> None:
        """Take the news that a record of a map is done."""
        if self.step is None or self.step.label != label or done <= self.step.done:
            self.step = Step(label, total, time.monotonic())
            self.begin(self.step)
        self.step.done, self.step.total = done, total
        if isinstance(result, dict) and isinstance(result.get("bytes"), int):
            self.step.bytes += result["bytes"]
        self.show(self.step)

    def begin(self, step: Step) -> None:
        """Take notice of a new step."""

    def show(self, step: Step) -> None:
        """Show how far the step is."""


class Lines(Watch):
    """One line every half minute, also while nothing new comes in."""

    def __init__(self, as_json: bool) -> None:
        """Prepare the thread that prints."""
        super().__init__()
        self._as_json = as_json
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> "Lines":
        """Start printing."""
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop printing."""
        self._over.set()
        self._thread.join()

    def show(self, step: Step) -> None:
        """Print the end of each step in JSON; text has its rhythm."""
        if self._as_json and step.done == step.total:
            self._print(step)

    def _tick(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_LINES):
            if self.step is not None and self.step.done < self.step.total:
                self._print(self.step)

    def _print(self, step: Step) -> None:
        if self._as_json:
            values = {"stage": step.label, "done": step.done, "total": step.total, "bytes": step.bytes}
            say_json("progress", {**values, "seconds": round(step.seconds, 1)}, err=True)
        else:
            say(step.text(), err=True)


class Bars(Watch):
    """One bar per step on a terminal."""

    def __init__(self, progress: Any) -> None:
        """Take rich's progress display."""
        super().__init__()
        self._progress = progress
        self._bar: Any = None

    def begin(self, step: Step) -> None:
        """Add a bar below the others; one that stood for a single piece of work makes room."""
        if self._bar is not None and self._progress.tasks[-1].total == 1:
            self._progress.remove_task(self._bar)
        self._bar = self._progress.add_task(step.label, total=step.total, speed="")

    def show(self, step: Step) -> None:
        """Move the step's bar."""
        speed = f"{step.bytes / 1e6 / max(step.seconds, 1e-3):,.0f} MB/s" if step.bytes else ""
        self._progress.update(self._bar, completed=step.done, total=step.total, speed=speed)


@contextlib.contextmanager
def watching(*, quiet: bool = False, log_format: str = "text") -> Iterator[Listener]:
    """Return the listener that suits where the output goes, and show the package's log lines meanwhile."""
    with _logging(quiet, log_format):
        if quiet:
            yield Watch()
        elif log_format == "text" and sys.stderr.isatty():
            with _bars() as bars:
                yield bars
        else:
            with Lines(as_json=log_format == "json") as lines:
                yield lines


@contextlib.contextmanager
def _bars() -> Iterator[Bars]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"), TimeRemainingColumn(elapsed_when_finished=True),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=120) as progress:
        yield Bars(progress)


class _Printer(logging.Handler):
    def __init__(self, log_format: str) -> None:
        super().__init__()
        self._as_json = log_format == "json"

    def emit(self, record: logging.LogRecord) -> None:
        """Print a log line."""
        if self._as_json:
            values = {"level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
            say_json("log", values, err=True)
        else:
            say(record.getMessage(), err=True)


@contextlib.contextmanager
def _logging(quiet: bool, log_format: str) -> Iterator[None]:
    ours = logging.getLogger("lo2dask")
    printer, level = _Printer(log_format), ours.level
    ours.addHandler(printer)
    ours.setLevel(logging.ERROR if quiet else logging.INFO)
    try:
        yield
    finally:
        ours.removeHandler(printer)
        ours.setLevel(level)
