"""Whole commands measured from outside: wall time, processor time and memory of all their processes, step by step."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import psutil

from lo2dask.memory import format_bytes, process_memory

STEP_S = 0.25
"""Seconds between two looks at the processes."""


@dataclass(frozen=True)
class Limits:
    """What ends a command: bytes of all its processes together, seconds of wall time; 0 = no limit."""

    memory: float = 0
    seconds: float = 0


@dataclass(frozen=True)
class Moment:
    """One look: seconds since the start, processor seconds and bytes of all processes; ``children`` by process."""

    when: float
    cpu: float
    memory: int
    children: dict[tuple[int, float], float]


@dataclass
class Measured:
    """What a command took; ``status`` is done, or which limit ended it, or its exit code and last words."""

    status: str = "done"
    seconds: float = 0.0
    cpu: float = 0.0
    moments: list[Moment] = field(default_factory=list)
    steps: list[tuple[str, float]] = field(default_factory=list)
    marks: dict[str, float] = field(default_factory=dict)
    last: str = ""

    @property
    def peak(self) -> int:
        """The highest memory seen, in bytes."""
        return max((moment.memory for moment in self.moments), default=0)

    def cpu_at(self, when: float) -> float:
        """Return the processor seconds used until ``when``."""
        return max((moment.cpu for moment in self.moments if moment.when <= when), default=0.0)

    def between(self, start: float, end: float) -> dict[str, float]:
        """Return cpu seconds and peak bytes of a stretch of time."""
        memory = [moment.memory for moment in self.moments if start <= moment.when <= end]
        return {"cpu": self.cpu_at(end) - self.cpu_at(start), "peak": float(max(memory, default=0))}

    def spread(self, start: float, end: float, workers: int) -> float:
        """Tell how many processor seconds of a stretch were spread over all workers, step by step.

        Of a step in which n workers used c1 >= ... >= cn seconds, n x cn count as spread: the rest waited for one.
        """
        ends = [start, *(when for _, when in self.steps if start < when < end), end]
        total = 0.0
        for before, after in zip(ends[:-1], ends[1:], strict=True):
            first, last = self._children_at(before), self._children_at(after)
            used = sorted((cpu - first.get(child, 0.0) for child, cpu in last.items()), reverse=True)
            total += workers * used[workers - 1] if len(used) >= workers else 0.0
        return total

    def _children_at(self, when: float) -> dict[tuple[int, float], float]:
        return next((moment.children for moment in reversed(self.moments) if moment.when <= when), {})

    def profile(self, start: float, end: float) -> list[tuple[str, float, float]]:
        """Give the steps that ended within a stretch, longest first: (name, wall seconds, processor seconds)."""
        found: dict[str, list[float]] = {}
        before = start
        for name, when in [step for step in self.steps if start <= step[1] <= end]:
            figures = found.setdefault(name, [0.0, 0.0])
            figures[0] += when - before
            figures[1] += self.cpu_at(when) - self.cpu_at(before)
            before = when
        found["between and after"] = [end - before, self.cpu_at(end) - self.cpu_at(before)]
        return sorted(((name, *figures) for name, figures in found.items()), key=lambda step: -step[1])  # type: ignore[misc]

    def __str__(self) -> str:
        """Write the figures in one line."""
        text = f"{self.seconds:.1f} s, processor {self.cpu:.1f} s, peak {format_bytes(self.peak)}"
        return text if self.status == "done" else f"{text}, {self.status}"


def lo2dask(*words: object) -> list[str]:
    """Write a command line of the program that reports its progress as JSON lines."""
    return [sys.executable, "-m", "lo2dask", *map(str, words), "--log-format", "json"]


def measure(
    command: Sequence[str],
    limits: Limits | None = None,
    marks: Callable[[], Mapping[str, object]] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Measured:
    """Run a command to its end or a limit; ``marks`` gives names, and when each first appeared is kept.

    Processor time is that of the command and of all children it waited for, or what the last looks saw if it was ended.
    """
    found, limits = Measured(), limits or Limits()
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment
    )
    reader = threading.Thread(target=_read, args=(process, found, started), daemon=True)
    reader.start()
    seen: dict[tuple[int, float], float] = {}
    usage = None
    try:
        while usage is None:
            time.sleep(STEP_S)
            pid, status, ended = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode, usage = os.waitstatus_to_exitcode(status), ended
                break
            found.moments.append(_look(process.pid, seen, time.perf_counter() - started))
            for name in marks() if marks else ():
                found.marks.setdefault(name, found.moments[-1].when)
            over = _over(found.moments[-1], limits)
            if over and found.status == "done":
                found.status = over
                os.killpg(process.pid, signal.SIGKILL)
    finally:
        # A session of its own hears no Ctrl+C.
        if usage is None:
            os.killpg(process.pid, signal.SIGKILL)
    found.seconds = time.perf_counter() - started
    # What is killed did not wait for its children: what the looks saw of them is all there is.
    found.cpu = max(usage.ru_utime + usage.ru_stime, found.cpu_at(found.seconds))
    reader.join(5)
    if process.returncode and found.status == "done":
        found.status = f"failed with {process.returncode}: {found.last[:200]}"
    return found


def _read(process: subprocess.Popen[str], found: Measured, started: float) -> None:
    """Keep when each step of a JSON progress ended, and the last line that is none."""
    for line in process.stderr or ():
        try:
            said = json.loads(line)
            if said.get("event") == "progress":
                found.steps.append((said["stage"], time.perf_counter() - started))
                continue
        except ValueError:
            pass
        found.last = line.strip() or found.last


def _look(pid: int, seen: dict[tuple[int, float], float], when: float) -> Moment:
    """Look at a process and its descendants; ``seen`` keeps the processor time of those that are gone."""
    memory = 0
    try:
        root = psutil.Process(pid)
        members = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        members = []
    for member in members:
        try:
            times = member.cpu_times()
            seen[member.pid, member.create_time()] = times.user + times.system
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        memory += process_memory(member)
    children = {key: cpu for key, cpu in seen.items() if key[0] != pid}
    return Moment(when, sum(seen.values()), memory, children)


def _over(moment: Moment, limits: Limits) -> str:
    """Name the limit that a look found passed."""
    if limits.memory and moment.memory > limits.memory:
        return f"ended: over {format_bytes(limits.memory)}"
    if limits.seconds and moment.when > limits.seconds:
        return f"ended: over {limits.seconds / 60:.0f} min"
    return ""
