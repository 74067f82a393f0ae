"""Machines reached by SSH: Dask's SSHCluster, its traffic under TLS, with paths alone on the remote command lines."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
from distributed import Client

from lo2dask.errors import InputError
from lo2dask.execute.clusterfile import SshFile, dashboard_options
from lo2dask.execute.tls import security_of, tls_paths
from lo2dask.execute.workers import gather_workers

# A scheduler whose command is gone for good must not stay on its host for ever.
_IDLE_TIMEOUT = "2 hours"
_DEATH_TIMEOUT = 120
# SSHCluster waits until the hosts' logs name addresses; the silence that they would inherit has none.
_LOGGING = {"logging": {"distributed": "info"}}


@contextlib.contextmanager
def start(file: SshFile, folder: Path | None) -> Iterator[Client]:
    """Start scheduler and workers, and end them with the block.

    Raises
    ------
    InputError : the extra is not installed, a host cannot be reached, or no worker comes.
    """
    try:
        import asyncssh
        from distributed import SSHCluster
    except ImportError as error:
        raise InputError("a cluster of kind ssh needs an extra: pip install 'lo2dask[ssh]'") from error
    security = security_of(folder) if folder else None
    try:
        with dask.config.set(_LOGGING):
            cluster = SSHCluster(**arguments(file, folder), security=security)
    except (OSError, RuntimeError, asyncssh.Error) as error:
        raise InputError(f"{file.path}: hosts: the cluster does not start: {error}") from error
    with cluster, Client(cluster, security=security) as client:
        gather_workers(client, (len(file.hosts) - 1) * file.workers, file)
        yield client


def arguments(file: SshFile, folder: Path | None) -> dict[str, Any]:
    """Return SSHCluster's arguments."""
    connect: dict[str, Any] = {"port": file.port}
    if file.user:
        connect["username"] = file.user
    if file.key_file:
        connect["client_keys"] = [str(Path(file.key_file).expanduser())]
    if file.known_hosts:
        connect["known_hosts"] = str(Path(file.known_hosts).expanduser())
    both: dict[str, Any] = {"interface": file.interface} if file.interface else {}
    both |= {"protocol": "tls://", "security": tls_paths(folder)} if folder else {"protocol": "tcp://"}
    worker = {
        "n_workers": file.workers,
        "nthreads": file.threads_per_worker,
        "memory_limit": file.memory_limit,
        "death_timeout": _DEATH_TIMEOUT,
        **({"local_directory": file.scratch} if file.scratch else {}),
    }
    scheduler = {"port": 0, **dashboard_options(file), "idle_timeout": _IDLE_TIMEOUT}
    return {
        "hosts": list(file.hosts),
        "connect_options": connect,
        "worker_options": both | worker,
        "scheduler_options": both | scheduler,
        "remote_python": file.python or None,
    }
