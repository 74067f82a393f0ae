"""Jobs of a Slurm batch system, by dask-jobqueue: a worker leaves before its job's walltime, another follows."""

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distributed import Client

from lo2dask.compat import count_cluster_workers, submit_jobs
from lo2dask.errors import InputError
from lo2dask.execute.clusterfile import SlurmFile, dashboard_options, lifetime
from lo2dask.execute.settings import settings_environ
from lo2dask.execute.tls import security_of
from lo2dask.execute.workers import gather_workers, keep_workers
from lo2dask.memory import parse_bytes


@contextlib.contextmanager
def start(file: SlurmFile, folder: Path | None) -> Iterator[Client]:
    """Start a scheduler here and submit the jobs; cancel them with the block.

    Raises
    ------
    InputError : the extra or Slurm is not installed, Slurm refuses a job, or no worker comes.
    """
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise InputError("a cluster of kind slurm needs an extra: pip install 'lo2dask[jobqueue]'") from error
    security = security_of(folder) if folder else None
    with contextlib.ExitStack() as stack:
        try:
            cluster = stack.enter_context(SLURMCluster(**arguments(file, security)))
            cluster.scale(jobs=file.workers)
            # Scaling goes on in the background, where a refusal would only be logged: wait for what sbatch says.
            submit_jobs(cluster)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"{file.path}: Slurm takes no job: {_reason(error)}") from error
        client = stack.enter_context(Client(cluster, security=security))
        stack.enter_context(keep_workers(lambda: _restore(cluster, file.workers)))
        gather_workers(client, file.workers, file)
        yield client


def arguments(file: SlurmFile, security: Any) -> dict[str, Any]:
    """Return SLURMCluster's arguments; unset ones are left to the user's own jobqueue configuration."""
    life, stagger = lifetime(file)
    given = {
        "queue": file.queue,
        "account": file.account,
        "interface": file.interface,
        "python": file.python,
        "log_directory": str(Path(file.log_folder).expanduser()) if file.log_folder else "",
        "local_directory": file.scratch,
        "job_extra_directives": list(file.directives),
    }
    scheduler = {**dashboard_options(file), **({"host": file.host} if file.host else {})}
    exports = [f"export {name}={shlex.quote(value)}" for name, value in settings_environ().items()]
    return {
        **{name: value for name, value in given.items() if value},
        "cores": file.threads_per_worker,
        "processes": 1,
        "memory": f"{parse_bytes(file.memory_limit)}B",
        "walltime": file.walltime,
        "job_script_prologue": [*exports, *file.prologue],
        "worker_extra_args": ["--lifetime", f"{life}s", "--lifetime-stagger", f"{stagger}s"],
        "scheduler_options": scheduler,
        "security": security,
        "protocol": "tls://" if security else "tcp://",
        "silence_logs": "error",
    }


def _restore(cluster: Any, jobs: int) -> bool:
    """Submit jobs for workers that have left; return whether there was one."""
    lost = count_cluster_workers(cluster) < jobs
    if lost:
        cluster.scale(jobs=jobs)
    return lost


def _reason(error: Exception) -> str:
    """Return Slurm's own message, out of dask-jobqueue's report of the whole call."""
    lines = [line.strip() for line in str(error).splitlines()]
    messages = [line for line in lines if line.startswith(("sbatch:", "Batch"))]
    return "; ".join(messages) or " ".join(lines)
