"""Time and memory of one fit, measured from within the process."""

import pickle
import threading
import time
from typing import Any

import psutil

from lo2dask.memory import process_memory


class Gauge:
    """Context manager: ``seconds`` and ``peak_bytes`` (PSS on Linux, RSS elsewhere) of what runs inside.

    The peak is that of this process alone, because a fit has one process and one thread.
    """

    def __init__(self, interval: float = 0.05) -> None:
        """Look at the memory every ``interval`` seconds, at the start and at the end."""
        self.seconds = 0.0
        self.peak_bytes = 0
        self._interval = interval
        self._process = psutil.Process()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Gauge":
        """Start to look."""
        self._look()
        self._begin = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop looking."""
        self.seconds = time.perf_counter() - self._begin
        self._done.set()
        self._thread.join()
        self._look()

    def _look(self) -> None:
        self.peak_bytes = max(self.peak_bytes, process_memory(self._process))

    def _watch(self) -> None:
        while not self._done.wait(self._interval):
            self._look()


class _Count:
    size = 0

    def write(self, data: Any) -> int:
        """Count bytes and forget them."""
        length = memoryview(data).nbytes
        self.size += length
        return length


def pickled_bytes(model: Any) -> int:
    """Return the size of a pickled model in bytes, without holding a copy."""
    sink = _Count()
    pickle.dump(model, sink, protocol=5)
    return sink.size
