"""Starts, or connects to, the Dask cluster that a command asks for."""

import contextlib
import importlib.util
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import dask
import psutil
from distributed import Client, LocalCluster

from lo2dask.errors import InputError
from lo2dask.memory import parse_bytes
from lo2dask.options import CommonOptions

# Left to the user, the client and the scheduler, out of what is free.
_RESERVED_SHARE = 0.25
_SCRATCH = "lo2dask-"
_CONFIG = {
    # Dask's own MALLOC_TRIM_THRESHOLD_ makes glibc map every large array anew: 15 to 30 % of the time in page faults.
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
        "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
        "MALLOC_ARENA_MAX": "2",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    },
    "distributed.worker.memory.target": 0.7,
    "distributed.worker.memory.spill": 0.8,
    "distributed.worker.memory.pause": 0.9,
    "distributed.worker.memory.terminate": 0.97,
    "distributed.comm.timeouts.connect": "60s",
    # Tasks leave their results on disk and a small summary: a batch may be tried again on another worker.
    "distributed.scheduler.allowed-failures": 5,
    # Arrow tables go through tasks as they are.
    "dataframe.convert-string": False,
}


@contextlib.contextmanager
def open_client(options: CommonOptions) -> Iterator[Client]:
    """Give a client of the cluster that ``--cluster`` names; what was started here ends with the block.

    Raises
    ------
    InputError : the address does not answer, or the name is no kind of cluster.
    """
    dask.config.set(_CONFIG)
    if options.cluster == "local":
        with _local_cluster(options) as cluster, Client(cluster) as client:
            yield client
    elif options.cluster.startswith(("tcp://", "tls://")):
        try:
            client = Client(options.cluster, timeout=20)
        except OSError as error:
            raise InputError(f"--cluster {options.cluster}: no scheduler answers there ({error})") from error
        with client:
            yield client
    else:
        raise InputError(f"--cluster {options.cluster}: give local, tcp://host:port or tls://host:port")


def local_size(options: CommonOptions) -> tuple[int, int]:
    """Size a local cluster from the machine: (worker processes, bytes of memory of each)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = options.workers or max(1, cores // options.threads_per_worker)
    if options.memory_limit != "auto":
        return workers, parse_bytes(options.memory_limit, "--memory-limit")
    free = psutil.virtual_memory().available
    return workers, int(free * (1 - _RESERVED_SHARE) / workers)


def _clear_scratch() -> None:
    """Remove the scratch folders of this machine's processes that are no more: a killed client cannot do it itself."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*-*"):
        owner = folder.name.removeprefix(_SCRATCH).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _local_cluster(options: CommonOptions) -> Iterator[Any]:
    workers, memory = local_size(options)
    _clear_scratch()
    scratch = tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-")
    # Without bokeh there is no dashboard to serve.
    dashboard = "127.0.0.1:0" if importlib.util.find_spec("bokeh") else None
    try:
        with _interrupts_held():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=options.threads_per_worker,
                memory_limit=memory,
                processes=True,
                host="127.0.0.1",
                dashboard_address=dashboard,
                local_directory=scratch,
                silence_logs=logging.ERROR,
            )
        with cluster:
            yield cluster
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back until the block ends; processes that are started in it never see it.

    A terminal sends it to every process of the command: the client alone answers, and ends its workers in order.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Its start would let signals through again, in the middle of the block.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
