"""Waits for workers, and keeps their number."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from distributed import Client

from lo2dask.errors import InputError
from lo2dask.execute.clusterfile import ClusterFile, seconds

logger = logging.getLogger(__name__)

LONGEST_PAUSE = 600.0


def gather_workers(client: Client, wanted: int, file: ClusterFile) -> None:
    """Wait for all workers, or continue with those that have come in time.

    Raises
    ------
    InputError : none has come.
    """
    try:
        client.wait_for_workers(wanted, timeout=seconds(file.start_timeout, f"{file.path}: start_timeout"))
    except TimeoutError as error:
        there = len(client.nthreads())
        if not there:
            raise InputError(f"{file.path}: start_timeout: no worker has come within {file.start_timeout}") from error
        logger.warning("%d of %d workers have come within %s; continuing with them", there, wanted, file.start_timeout)


@contextlib.contextmanager
def keep_workers(restore: Callable[[], object], interval: float = 15.0) -> Iterator[None]:
    """Call ``restore`` again and again while the block runs; it starts new workers for lost ones.

    ``restore`` returns whether it had to; the pauses grow while it has to each time, so that a cluster whose workers
    never live is not flooded with jobs.
    """
    over = threading.Event()

    def keep() -> None:
        """Restore workers until the block ends."""
        pause = interval
        while not over.wait(pause):
            pause = min(2 * pause, LONGEST_PAUSE) if restore() else interval

    thread = threading.Thread(target=keep, name="lo2dask-workers", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
