"""Progress of a command: a bar on a terminal, a line every half minute in a pipe, JSON lines on demand, or nothing."""

import contextlib
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lo2dask.cli.text import megabytes, say, say_json
from lo2dask.memory import format_bytes

if TYPE_CHECKING:
    from lo2dask.execute.session import Session

SECONDS_BETWEEN_LINES, SECONDS_BETWEEN_FIGURES = 30.0, 2.0
# What a speed is measured over.
SPEED_SECONDS = 10.0


@dataclass
class Step:
    """How far one map of work is; ``bytes`` are the raw bytes that its results tell of.

    ``stage`` is the part of a longer command that it belongs to, "" of others.
    """

    label: str
    total: int
    began: float
    stage: str = ""
    done: int = 0
    bytes: int = 0
    # Time and bytes of the latest results, the oldest first.
    latest: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def seconds(self) -> float:
        """Time since the map was submitted."""
        return time.monotonic() - self.began

    @property
    def speed(self) -> float:
        """Bytes a second of the latest seconds; of all seconds while those are few."""
        now, window = time.monotonic(), min(self.seconds, SPEED_SECONDS)
        return sum(size for at, size in self.latest if at >= now - window) / max(window, 1e-3)

    @property
    def seconds_left(self) -> float | None:
        """Time to go at the pace of the whole map; None as long as no record is done."""
        return self.seconds / self.done * (self.total - self.done) if 0 < self.done < self.total else None

    def add(self, size: int) -> None:
        """Take the raw bytes of a result."""
        self.bytes += size
        self.latest.append((time.monotonic(), size))
        while self.latest[0][0] < self.latest[-1][0] - SPEED_SECONDS:
            self.latest.popleft()

    def text(self) -> str:
        """Write it as one line."""
        parts = [f"{self.label}: {self.done:,} of {self.total:,} ({self.done / max(self.total, 1):.0%})"]
        if self.bytes:
            parts.append(f"{megabytes(self.bytes)}, {self.speed / 1e6:,.0f} MB/s")
        if self.seconds_left is not None:
            parts.append(f"about {self.seconds_left:,.0f} s left")
        return ", ".join(parts)


class Watch:
    """Keeps the step under way up to date; a subclass shows it."""

    def __init__(self) -> None:
        """Begin with no step."""
        self.step: Step | None = None
        self.session: Session | None = None

    def __call__(self, label: str, done: int, total: int, result: Any = None) -> None:
        """Take the news that a map is submitted, or that a record of it is done."""
        if self.step is None or self.step.label != label or done <= self.step.done:
            self.step = Step(label, total, time.monotonic(), self.stage)
        self.step.done, self.step.total = done, total
        if isinstance(result, dict) and isinstance(result.get("bytes"), int):
            self.step.add(result["bytes"])
        self.show(self.step)

    @property
    def stage(self) -> str:
        """The part of a longer command that is under way, "" of others."""
        return self.session.stage if self.session is not None else ""

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


class Bar(Watch):
    """One bar at the bottom of a terminal, for the step under way; it moves from the first second on."""

    def __init__(self, progress: Any) -> None:
        """Take rich's progress display."""
        super().__init__()
        self._progress = progress
        self._bar = progress.add_task("starting", total=None, figures="", fullest="")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop asking for figures."""
        self._over.set()
        self._thread.join()

    def show(self, step: Step) -> None:
        """Move the bar; it swings in a step of one piece of work, and before a stage's first step."""
        is_over = step.stage != self.stage
        said = self.stage if is_over else ": ".join(filter(None, (step.stage, step.label)))
        total = step.total if step.total > 1 and not is_over else None
        figures = "" if is_over else _figures(step)
        self._progress.update(self._bar, description=said, completed=step.done, total=total, figures=figures)

    def _tick(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_FIGURES):
            if self.step is not None:
                self.show(self.step)
            # What the scheduler knows is of no weight: a cluster that is ending answers with an error.
            with contextlib.suppress(Exception):
                size = self.session.fullest_worker() if self.session is not None else 0
                self._progress.update(self._bar, fullest=f"fullest worker {format_bytes(size)}" if size else "")


def _figures(step: Step) -> str:
    """Write what is known of a step beside its bar."""
    parts = [f"{step.done:,}/{step.total:,}"] if step.total > 1 else []
    if step.bytes:
        parts.append(f"{step.speed / 1e6:,.0f} MB/s")
    if step.seconds_left is not None and step.seconds > SPEED_SECONDS:
        parts.append(f"{step.seconds_left:,.0f} s left")
    return " ".join(parts)


@contextlib.contextmanager
def watching(*, quiet: bool = False, log_format: str = "text") -> Iterator[Watch]:
    """Return the listener that suits where the output goes, and show the package's log lines meanwhile."""
    with _logging(quiet, log_format):
        if quiet:
            yield Watch()
        elif log_format == "text" and sys.stderr.isatty():
            with _bar() as bar:
                yield bar
        else:
            with Lines(as_json=log_format == "json") as lines:
                yield lines


@contextlib.contextmanager
def _bar() -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20), TextColumn("{task.fields[figures]}"), TextColumn("{task.fields[fullest]}"),
    )  # fmt: skip
    # The bar goes when the work is over: the summary says what was done.
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = Bar(progress)
        try:
            yield bar
        finally:
            bar.close()


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
