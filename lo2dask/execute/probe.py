"""What a worker reports of itself before any work: versions, memory, scratch disk, the folders that all share."""

import contextlib
import importlib.metadata
import os
import platform
import shutil
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from lo2dask.compat import worker_memory_limit, worker_threads

if TYPE_CHECKING:
    from distributed import Worker

# A difference in one of these may change a figure, or fail at the first task.
PACKAGES = (
    "lo2dask", "dask", "distributed", "cloudpickle", "msgpack", "numpy", "scipy", "pandas", "pyarrow", "scikit-learn",
    "joblib", "xgboost", "shap", "drain3-improved", "orjson",
)  # fmt: skip
# The CPU build of a package has a name of its own.
_ALSO_NAMED = {"xgboost": ("xgboost", "xgboost-cpu")}
NETWORK_FILE_SYSTEMS = frozenset(
    ("nfs", "nfs4", "cifs", "smbfs", "smb2", "smb3", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs", "9p")
    + ("panfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "afpfs", "webdav", "orangefs", "pvfs2")
)


@dataclass(frozen=True)
class Request:
    """What a worker is asked: where the client left which token, and the folders that the work reads.

    ``patience`` are the seconds that a file of another machine may take to show.
    """

    tokens: Path | None = None
    token: str = ""
    inputs: tuple[Path, ...] = ()
    patience: float = 10.0


@dataclass(frozen=True)
class Finding:
    """What one worker reports; sizes in bytes, ``now`` in seconds since 1970."""

    name: str
    host: str
    python: str
    packages: Mapping[str, str]
    cores: int
    threads: int
    memory: int
    scratch: str
    scratch_type: str
    scratch_free: int
    now: float
    unseen: tuple[str, ...] = ()
    token_problem: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


def examine(request: Request, dask_worker: "Worker") -> Finding:
    """Examine a worker, and answer the client's token there."""
    scratch = Path(dask_worker.local_directory)
    limit = worker_memory_limit(dask_worker) or psutil.virtual_memory().total
    return Finding(
        name=str(dask_worker.name),
        host=socket.gethostname(),
        python=platform.python_version(),
        packages=package_versions(),
        cores=len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count() or 1,
        threads=worker_threads(dask_worker),
        memory=int(limit),
        scratch=str(scratch),
        scratch_type=file_system(scratch),
        scratch_free=shutil.disk_usage(scratch).free,
        now=time.time(),
        unseen=tuple(str(path) for path in request.inputs if not _readable(path)),
        token_problem=_answer_token(request, answer_name(dask_worker.address)),
    )


def package_versions() -> dict[str, str]:
    """Return the version of each key package; "" for one that is not installed."""
    return {name: next(filter(None, map(_version, _ALSO_NAMED.get(name, (name,)))), "") for name in PACKAGES}


def file_system(path: Path) -> str:
    """Return the type of the file system of a path; "" if unknown."""
    resolved = path.resolve()
    with contextlib.suppress(OSError, psutil.Error):
        mounts = {Path(mount.mountpoint): mount.fstype for mount in psutil.disk_partitions(all=True)}
        for folder in (resolved, *resolved.parents):
            if folder in mounts:
                return str(mounts[folder]).lower()
    return ""


def answer_name(address: str) -> str:
    """Name the file of a worker's answer."""
    return "".join(letter if letter.isalnum() else "-" for letter in address) + ".worker"


def read_patiently(path: Path, wanted: str, patience: float) -> str:
    """Read a small file that another machine wrote: network file systems may show it late; "" or what is wrong."""
    deadline = time.monotonic() + patience
    while True:
        try:
            if path.read_text() == wanted:
                return ""
            problem = f"{path} holds something else there"
        except OSError as error:
            problem = f"{path} cannot be read: {error.strerror}"
        if time.monotonic() > deadline:
            return problem
        time.sleep(0.2)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _readable(path: Path) -> bool:
    try:
        with os.scandir(path) as entries:
            next(entries, None)
    except NotADirectoryError:
        return os.access(path, os.R_OK)
    except OSError:
        return False
    return True


def _answer_token(request: Request, name: str) -> str:
    if request.tokens is None:
        return ""
    problem = read_patiently(request.tokens / "client", request.token, request.patience)
    if problem:
        return problem
    try:
        (request.tokens / name).write_text(f"{request.token} {name}")
    except OSError as error:
        return f"{request.tokens / name} cannot be written: {error.strerror}"
    return ""
