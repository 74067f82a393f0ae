"""Starts, or connects to, the Dask cluster that a command asks for."""

import contextlib
import logging
import signal
import socket
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster

from lo2dask.errors import InputError
from lo2dask.execute import kubernetes, slurm, ssh
from lo2dask.execute.clusterfile import (
    ClusterFile,
    HostFile,
    KubernetesFile,
    LocalFile,
    SlurmFile,
    SshFile,
    dashboard_options,
    read_cluster,
)
from lo2dask.execute.machine import cores, free_memory
from lo2dask.execute.preflight import Needs, preflight
from lo2dask.execute.settings import applied_settings
from lo2dask.execute.tls import make_certificates, security_of, temporary_certificates
from lo2dask.memory import format_bytes, parse_bytes
from lo2dask.options import ClusterOptions, CommonOptions
from lo2dask.processes import require_main_guard
from lo2dask.storage.scratch import scratch_folder

logger = logging.getLogger(__name__)

# Left to the user, the client and the scheduler, out of what is free.
_RESERVED_SHARE = 0.25
CONNECT_SECONDS = 20.0
FIRST_WORKER_SECONDS = 60.0
REACH_SECONDS = 5.0
_OPEN = "whoever reaches it can read the logs and run code as you"


@contextlib.contextmanager
def open_client(options: CommonOptions) -> Iterator[Client]:
    """Return a client of the cluster that ``--cluster`` names; what was started here ends with the block.

    Workers that are not of this machine have passed the pre-flight when the block begins.

    Raises
    ------
    InputError : no such cluster, it does not answer, it needs ``--insecure``, or a worker is not fit.
    """
    needs = Needs.of(options)
    with start_client(options.cluster, options, needs.memory) as client:
        if options.cluster == "local":
            yield client
        else:
            with preflight(client, needs):
                yield client


@contextlib.contextmanager
def use_client(client: Client, options: CommonOptions) -> Iterator[Client]:
    """Return a client of the user's for the block; settings and workers are as before when it ends.

    Raises
    ------
    InputError : the client is asynchronous or closed, or a worker is not fit.
    """
    if client.asynchronous:
        raise InputError("the Dask client is asynchronous: make one with Client(..., asynchronous=False)")
    if client.status != "running":
        raise InputError(f"the Dask client is {client.status}: open another one")
    with applied_settings(dashboard=True), preflight(client, Needs.of(options)):
        yield client


@contextlib.contextmanager
def start_client(name: str, options: ClusterOptions, memory: int = 0) -> Iterator[Client]:
    """Return a client of the cluster ``name``: local, an address or a file; each worker gets ``memory`` bytes at least.

    Raises
    ------
    InputError : as for :func:`open_client`, apart from the pre-flight.
    """
    file = read_cluster(name)
    if file is None:
        with applied_settings(dashboard=True), _connect(name, options) as client:
            yield client
        return
    file = file.merged(options)
    with (
        applied_settings(dashboard=bool(getattr(file, "dashboard", ""))),
        _tls_folder(file, options) as folder,
        _start(file, folder, memory) as client,
    ):
        yield client


def local_size(options: ClusterOptions, memory: int = 0) -> tuple[int, int]:
    """Size a local cluster from the machine: (worker processes, bytes of memory of each).

    What the options leave open is chosen so that each worker has ``memory`` bytes.

    Raises
    ------
    InputError : that much is not there, or the options give less.
    """
    if options.memory_limit != "auto":
        each = parse_bytes(options.memory_limit, "--memory-limit")
        workers = options.workers or max(1, cores() // options.threads_per_worker)
    else:
        free = int(free_memory() * (1 - _RESERVED_SHARE))
        most = max(1, free // memory) if memory else cores()
        workers = options.workers or max(1, min(cores() // options.threads_per_worker, most))
        each = free // workers
    if each < memory:
        raise InputError(
            f"a worker would have {format_bytes(each)} of memory, less than --memory-budget {format_bytes(memory)}: "
            "lower --memory-budget, or give --workers fewer or --memory-limit more"
        )
    return workers, each


@contextlib.contextmanager
def _connect(address: str, options: ClusterOptions) -> Iterator[Client]:
    """Connect to a scheduler that somebody else has started."""
    scheme = address.partition("://")[0]
    if scheme == "tcp":
        _warn_of_plain(f"--cluster {address}: plain tcp", "use tls:// with --tls-folder", options)
    security = security_of(options.tls_folder) if options.tls_folder and scheme == "tls" else None
    if scheme == "tls" and security is None and not dask.config.get("distributed.comm.tls.ca-file", None):
        raise InputError(f"--cluster {address}: TLS needs --tls-folder, the folder of ca.pem, cert.pem and key.pem")
    try:
        client = Client(address, timeout=CONNECT_SECONDS, security=security)
    except OSError as error:
        raise InputError(f"--cluster {address}: no scheduler answers there ({error})") from error
    except ValueError as error:
        raise InputError(f"--cluster {address}: {error}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=FIRST_WORKER_SECONDS)
        except TimeoutError as error:
            raise InputError(
                f"--cluster {address}: no worker within {FIRST_WORKER_SECONDS:.0f} s; start one"
            ) from error
        yield client


@contextlib.contextmanager
def _tls_folder(file: Any, options: ClusterOptions) -> Iterator[Path | None]:
    """Return the folder of certificates of a cluster: the given one, or one that is made for it and goes with it.

    The loopback needs them too: every user of the machine reaches its ports.
    """
    if isinstance(file, SshFile | SlurmFile) and not file.tls:
        _warn_of_plain(f"{file.path}: tls: false", "leave it out", options)
        yield None
    elif options.tls_folder:
        yield options.tls_folder
    elif isinstance(file, HostFile) and file.crosses_machines:
        with temporary_certificates(Path(file.tls_folder)) as folder:
            yield folder
    else:
        with scratch_folder() as folder:
            yield make_certificates(folder)


def _warn_of_plain(what: str, remedy: str, options: ClusterOptions) -> None:
    if not options.insecure:
        raise InputError(f"{what} is not protected: {_OPEN}; {remedy}, or say --insecure")
    logger.warning("%s is not protected: %s (--insecure)", what, _OPEN)


@contextlib.contextmanager
def _start(file: ClusterFile, folder: Path | None, memory: int) -> Iterator[Client]:
    """Start the cluster of a file and wait for its workers."""
    if isinstance(file, LocalFile):
        assert folder is not None
        start: Any = _local_cluster(file, folder, memory)
    elif isinstance(file, SshFile):
        start = ssh.start(file, folder)
    elif isinstance(file, SlurmFile):
        start = slurm.start(file, folder)
    elif isinstance(file, KubernetesFile) and folder:
        start = kubernetes.start(file, folder)
    else:
        raise TypeError(type(file))
    with start as client:
        yield client


@contextlib.contextmanager
def _local_cluster(file: LocalFile, folder: Path, memory: int) -> Iterator[Client]:
    require_main_guard()
    workers, each = local_size(_as_options(file), memory)
    _check_reachable(file.host)
    security = security_of(folder)
    with scratch_folder(file.scratch) as scratch:
        with _hold_interrupts():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=file.threads_per_worker,
                memory_limit=each,
                processes=True,
                host=file.host,
                protocol="tls://",
                security=security,
                scheduler_kwargs=dashboard_options(file),
                local_directory=str(scratch),
                silence_logs=logging.ERROR,
            )
        with cluster, Client(cluster, security=security) as client:
            yield client


def _check_reachable(host: str) -> None:
    """Check that this machine reaches itself; in a container without a network, Dask would wait for minutes.

    Raises
    ------
    InputError : it does not.
    """
    target = "127.0.0.1" if host in ("", "0.0.0.0") else host
    try:
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        with socket.create_server((target, 0), family=family) as server:
            socket.create_connection(server.getsockname()[:2], timeout=REACH_SECONDS).close()
    except OSError as error:
        raise InputError(
            f"this machine has no usable network address: {target} cannot be reached ({error.strerror or error}); "
            "scheduler and workers need one; bring it up with: ip link set lo up"
        ) from error


def _as_options(file: LocalFile) -> ClusterOptions:
    return ClusterOptions(
        workers=file.workers, threads_per_worker=file.threads_per_worker, memory_limit=file.memory_limit
    )


@contextlib.contextmanager
def _hold_interrupts() -> Iterator[None]:
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
