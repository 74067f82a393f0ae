"""Process pools without Dask, for work that writes files and needs no cluster."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread


def process_pool(processes: int) -> ProcessPoolExecutor:
    """Return a pool of spawned processes that end when their parent does, however that ends.

    Idle processes of a plain pool read a queue that they hold open themselves: they would outlive a killed parent.
    """
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_watch_parent)


def _watch_parent() -> None:
    Thread(target=_end_with_parent, name="watch-parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
