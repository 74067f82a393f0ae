"""Starts, or connects to, the Dask cluster that a command asks for."""

import contextlib
import importlib.util
import logging
import signal
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
    KubernetesFile,
    LocalFile,
    SlurmFile,
    SshFile,
    is_loopback,
    read_cluster_file,
)
from lo2dask.execute.machine import cores, free_memory
from lo2dask.execute.preflight import Needs, preflight
from lo2dask.execute.scratch import scratch_folder
from lo2dask.execute.settings import apply_settings
from lo2dask.execute.tls import security_of, temporary_certificates
from lo2dask.memory import format_bytes, parse_bytes
from lo2dask.options import ClusterOptions, CommonOptions

logger = logging.getLogger(__name__)

# Left to the user, the client and the scheduler, out of what is free.
_RESERVED_SHARE = 0.25
CONNECT_SECONDS = 20.0
FIRST_WORKER_SECONDS = 60.0
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
def start_client(name: str, options: ClusterOptions, memory: int = 0) -> Iterator[Client]:
    """Return a client of the cluster ``name``: local, an address or a file; each worker gets ``memory`` bytes at least.

    Raises
    ------
    InputError : as for :func:`open_client`, apart from the pre-flight.
    """
    apply_settings()
    if name == "local":
        file: Any = LocalFile(path=Path("local")).merged(options)
    elif name.startswith(("tcp://", "tls://")):
        with _connect(name, options) as client:
            yield client
        return
    elif name.endswith((".yaml", ".yml")):
        file = read_cluster_file(Path(name).expanduser()).merged(options)
    else:
        raise InputError(f"--cluster {name}: give local, tcp://host:port, tls://host:port or a file, FILE.yaml")
    with _tls_folder(file, options) as folder, _start(file, folder, memory) as client:
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
    scheme, _, location = address.partition("://")
    if scheme == "tcp" and not is_loopback(location.rpartition(":")[0]):
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
    """Return the folder of certificates for a cluster that crosses machines: the given one, or one of its own."""
    if not file.crosses_machines:
        yield None
    elif isinstance(file, SshFile | SlurmFile) and not file.tls:
        _warn_of_plain(f"{file.path}: tls: false", "leave it out", options)
        yield None
    elif options.tls_folder:
        yield options.tls_folder
    else:
        with temporary_certificates(Path(file.tls_folder)) as folder:
            yield folder


def _warn_of_plain(what: str, remedy: str, options: ClusterOptions) -> None:
    if not options.insecure:
        raise InputError(f"{what} is not protected: {_OPEN}; {remedy}, or say --insecure")
    logger.warning("%s is not protected: %s (--insecure)", what, _OPEN)


@contextlib.contextmanager
def _start(file: ClusterFile, folder: Path | None, memory: int) -> Iterator[Client]:
    """Start the cluster of a file and wait for its workers."""
    if isinstance(file, LocalFile):
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
def _local_cluster(file: LocalFile, folder: Path | None, memory: int) -> Iterator[Client]:
    workers, each = local_size(_as_options(file), memory)
    # Without bokeh there is no dashboard to serve.
    dashboard = file.dashboard if importlib.util.find_spec("bokeh") else None
    security = security_of(folder) if folder else None
    with scratch_folder(file.scratch) as scratch:
        with _hold_interrupts():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=file.threads_per_worker,
                memory_limit=each,
                processes=True,
                host=file.host,
                protocol="tls://" if security else "tcp://",
                security=security,
                dashboard_address=dashboard,
                local_directory=str(scratch),
                silence_logs=logging.ERROR,
            )
        with cluster, Client(cluster, security=security) as client:
            yield client


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
