"""Cluster files, ``--cluster FILE.yaml``: one frozen class per kind, whose fields are the keys that a file may have."""

import dataclasses
import difflib
import re
import reprlib
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lo2dask.errors import InputError
from lo2dask.memory import parse_bytes
from lo2dask.options import ClusterOptions
from lo2dask.options.yaml_file import read_yaml

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
REQUIRED = dataclasses.MISSING


@dataclass(frozen=True, kw_only=True)
class ClusterFile:
    """What every kind has: how many workers, and what each of them gets."""

    path: Path
    workers: int = 0
    threads_per_worker: int = 1
    memory_limit: str = "auto"
    scratch: str = ""
    start_timeout: str = "5min"

    @property
    def crosses_machines(self) -> bool:
        """Return whether its traffic leaves this machine."""
        return True

    def check(self) -> None:
        """Check what the types do not."""
        self._at_least("workers", 1)
        self._at_least("threads_per_worker", 1)
        self._size("memory_limit")
        seconds(self.start_timeout, self._where("start_timeout"))

    def merged(self, options: ClusterOptions) -> "ClusterFile":
        """Return the file with the flags that were given, which take precedence."""
        plain = ClusterOptions()
        names = ("workers", "threads_per_worker", "memory_limit")
        given = {name: getattr(options, name) for name in names if getattr(options, name) != getattr(plain, name)}
        return dataclasses.replace(self, **given)

    def _where(self, key: str) -> str:
        return f"{self.path}: {key}"

    def _at_least(self, key: str, low: int) -> None:
        if getattr(self, key) < low:
            raise InputError(f"{self._where(key)}: {getattr(self, key)} is out of range; give a number from {low} on")

    def _size(self, key: str) -> None:
        if getattr(self, key) not in ("auto", ""):
            parse_bytes(getattr(self, key), self._where(key))


@dataclass(frozen=True, kw_only=True)
class HostFile(ClusterFile):
    """A cluster whose scheduler is a process of a host: its dashboard, and where certificates are made for it."""

    dashboard: str = ""
    tls_folder: str = "~/.lo2dask/tls"


@dataclass(frozen=True, kw_only=True)
class LocalFile(HostFile):
    """Worker processes of this machine."""

    host: str = "127.0.0.1"

    @property
    def crosses_machines(self) -> bool:
        """Return whether it listens to a host other than the loopback."""
        return not is_loopback(self.host)

    def check(self) -> None:
        """Check as for all kinds; 0 workers stand for one per core."""
        self._at_least("workers", 0)
        self._at_least("threads_per_worker", 1)
        self._size("memory_limit")


@dataclass(frozen=True, kw_only=True)
class SshFile(HostFile):
    """Machines that are reached by SSH: the first host runs the scheduler, the others the workers."""

    hosts: tuple[str, ...]
    workers: int = 1
    user: str = ""
    port: int = 22
    key_file: str = ""
    known_hosts: str = ""
    python: str = ""
    interface: str = ""
    tls: bool = True

    def check(self) -> None:
        """Check as for all kinds, and that there is a host for a worker."""
        super().check()
        if len(self.hosts) < 2:
            raise InputError(f"{self._where('hosts')}: name the scheduler's host and at least one for the workers")


@dataclass(frozen=True, kw_only=True)
class SlurmFile(HostFile):
    """Jobs of a Slurm batch system, one worker each; the scheduler runs next to the command."""

    workers: int
    memory_limit: str
    walltime: str
    queue: str = ""
    account: str = ""
    interface: str = ""
    host: str = ""
    python: str = ""
    log_folder: str = ""
    prologue: tuple[str, ...] = ()
    directives: tuple[str, ...] = ()
    tls: bool = True

    def check(self) -> None:
        """Check as for all kinds, and that a worker's life ends before its job."""
        super().check()
        if self.memory_limit == "auto":
            raise InputError(f"{self._where('memory_limit')}: a job needs a size, as 8GB")
        lifetime(self)


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A persistent volume claim and where workers see it."""

    claim: str
    path: str
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class KubernetesFile(ClusterFile):
    """Pods of a Kubernetes cluster, made by the Dask operator."""

    workers: int
    memory_limit: str
    image: str
    name: str = "lo2dask"
    namespace: str = "default"
    context: str = ""
    volumes: tuple[Volume, ...] = ()
    scratch: str = "20Gi"
    pull_policy: str = "IfNotPresent"
    user_id: int = 1000
    start_timeout: str = "10min"

    def check(self) -> None:
        """Check as for all kinds, and the names that Kubernetes would refuse."""
        super().check()
        if self.memory_limit == "auto":
            raise InputError(f"{self._where('memory_limit')}: a pod needs a size, as 8GB")
        for key in ("name", "namespace"):
            if not re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", getattr(self, key)):
                raise InputError(f"{self._where(key)}: {getattr(self, key)!r} is not a valid name; use a-z, 0-9 and -")
        if not re.fullmatch(r"[1-9]\d*(Ki|Mi|Gi|Ti|k|M|G|T)?", self.scratch):
            raise InputError(f"{self._where('scratch')}: {self.scratch!r} is not a quantity; write it as 20Gi")


KINDS: dict[str, type[ClusterFile]] = {
    "local": LocalFile, "ssh": SshFile, "slurm": SlurmFile, "kubernetes": KubernetesFile,
}  # fmt: skip


def read_cluster(name: str) -> Any:
    """Describe the cluster that ``--cluster`` names; None for the address of one that runs.

    Raises
    ------
    InputError : there is none of that name, or its file cannot be used.
    """
    if name.startswith(("tcp://", "tls://")):
        return None
    if name == "local":
        return LocalFile(path=Path("local"))
    if name.endswith((".yaml", ".yml")):
        return read_cluster_file(Path(name).expanduser())
    raise InputError(f"--cluster {name}: give local, tcp://host:port, tls://host:port or a file, FILE.yaml")


def read_cluster_file(path: Path) -> Any:
    """Read and check a cluster file.

    Raises
    ------
    InputError : it cannot be read, or a kind, key or value in it cannot be used; names the file and the key.
    """
    content = _read_mapping(path)
    kind = content.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        given = "is missing" if kind is None else f"{kind!r} is not known"
        raise InputError(f"{path}: kind: {given}; give one of {', '.join(KINDS)}")
    file = _build(KINDS[kind], content, str(path), path=path)
    file.check()
    return file


def seconds(text: str, where: str) -> int:
    """Read a time such as ``90s``, ``30min`` or ``01:30:00``, or Slurm's ``2-00:00:00``: seconds."""
    clock = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d\d)(?::(\d\d))?", text)
    if clock:
        days, first, second, third = (int(part or 0) for part in clock.groups())
        # Slurm: "30:00" are minutes and seconds, "1-12:30" days, hours and minutes.
        if clock[4] is None and clock[1] is None:
            return first * 60 + second
        return days * 86400 + first * 3600 + second * 60 + third
    plain = re.fullmatch(r"(\d+)\s*(s|m|min|h|d)", text)
    if not plain:
        raise InputError(f"{where}: {text!r} is not a time; write it as 30min, 2h or 01:30:00")
    return int(plain[1]) * _UNITS[plain[2]]


def lifetime(file: SlurmFile) -> tuple[int, int]:
    """Return a worker's life and its random spread, in seconds: both together end a tenth before the job does.

    Raises
    ------
    InputError : the walltime is too short for any work.
    """
    walltime = seconds(file.walltime, f"{file.path}: walltime")
    if walltime < 120:
        raise InputError(f"{file.path}: walltime: {file.walltime} is too short; give at least 2min")
    return int(walltime * 0.8), int(walltime * 0.1)


def dashboard_options(file: HostFile) -> dict[str, Any]:
    """Return a scheduler's options for the dashboard: off unless asked for, because it shows tasks and logs to all."""
    return {"dashboard": bool(file.dashboard), "dashboard_address": file.dashboard or "127.0.0.1:0"}


def is_loopback(host: str) -> bool:
    """Return whether an address is this machine's own."""
    return host in ("localhost", "::1", "[::1]") or bool(re.fullmatch(r"127(\.\d+){1,3}", host))


def _read_mapping(path: Path) -> dict[str, Any]:
    content = read_yaml(path, "--cluster")
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(f"--cluster {path}: must be lines of `key: value`, beginning with kind: {'|'.join(KINDS)}")
    return content


def _build(kind: type[Any], content: dict[str, Any], where: str, **more: Any) -> Any:
    """Make a dataclass of a mapping, its keys and the types of its values checked."""
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name not in more}
    for key in content:
        if key not in fields:
            close = difflib.get_close_matches(key, fields)
            raise InputError(f"{where}: {key}: is not a key of this kind; use {', '.join(close or fields)}")
    for name, field in fields.items():
        if name not in content and field.default is REQUIRED:
            raise InputError(f"{where}: {name}: is missing")
    values = {key: _convert(value, hints[key], f"{where}: {key}") for key, value in content.items()}
    return kind(**values, **more)


def _convert(value: Any, hint: Any, where: str) -> Any:
    if isinstance(hint, types.GenericAlias):
        if not isinstance(value, list):
            raise InputError(f"{where}: must be a list, not {reprlib.repr(value)}")
        item = typing.get_args(hint)[0]
        return tuple(_convert(entry, item, f"{where}[{index}]") for index, entry in enumerate(value))
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise InputError(f"{where}: must be lines of `key: value`, not {reprlib.repr(value)}")
        return _build(typing.cast(Any, hint), value, where)
    names = {int: "a whole number", str: "text", bool: "true or false"}
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        quote = "; put it in quotes" if hint is str and isinstance(value, int | float) else ""
        raise InputError(f"{where}: must be {names[hint]}, not {reprlib.repr(value)}{quote}")
    return value
