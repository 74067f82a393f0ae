"""Path patterns: which parts of a log's path name its run, its test case and its service."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from lo2dask.errors import InputError
from lo2dask.sources.kubernetes import container_service, restarts

FIELDS = ("run", "test_case", "service")
ALL = "all"
UNLABELLED = "unlabelled"
_TOKEN = re.compile(r"\{(\w+)\}|(\*)|([^*{}]+)")
# Of cart-2026-03-01 the service is cart, though a part takes as much as it can.
_NOT_IN_A_DATE = r"(?!(?<=\d{4})-\d\d|(?<=\d{4}-\d\d)-\d\d)"
_REPLICA = re.compile(r"(?:[-_.]\d+)+")
# Docker shows so much of a container's id, which names its folder and, before -json.log, its log.
_CONTAINER = re.compile(r"^([0-9a-f]{12})[0-9a-f]{52}$")
# In /var/log/containers: pod, namespace, container and its id.
_OF_KUBERNETES = re.compile(r"[^_]+_[^_]+_([^_]+)-[0-9a-f]{64}")
# A deployment adds a hash to its name, and another one to each pod's.
_OF_DEPLOYMENT = re.compile(r"(?<=.)-[bcdf-hj-np-tv-xz2456789]{8,10}-[a-z0-9]{5}$")


@dataclass(frozen=True)
class PathPattern:
    """A pattern such as ``{run}/{test_case}/{service}.log`` for paths below the root, their parts joined by ``/``.

    ``{run}``, ``{test_case}`` and ``{service}`` take text within one part, as much as they can; ``*`` any such text;
    ``**`` any number of folders, none too.
    """

    text: str

    def __post_init__(self) -> None:
        """Check the pattern.

        Raises
        ------
        InputError : it names what does not exist, or leads out of the root; the message has the way out.
        """
        parts = self.text.split("/")
        example = "write it as {run}/{test_case}/{service}.log"
        if not self.text or any(part in ("", ".", "..") for part in parts) or parts[-1] == "**":
            raise InputError(f"--layout {self.text!r}: not a path of files below the root; {example}")
        for part in parts:
            if "**" in part and part != "**":
                raise InputError(f"--layout {self.text!r}: ** stands for whole folders; {example}")
            if "".join(match[0] for match in _TOKEN.finditer(part)) != part:
                raise InputError(f"--layout {self.text!r}: a brace without its other one; {example}")
            unknown = [match[1] for match in _TOKEN.finditer(part) if match[1] and match[1] not in FIELDS]
            if unknown:
                raise InputError(f"--layout {self.text!r}: {{{unknown[0]}}} is not known; {example}")

    def match(self, path: str) -> dict[str, str] | None:
        """Return run, test_case and service of a path, as far as the pattern names them; None if it does not match."""
        found = self._regex.fullmatch(path)
        return found.groupdict() if found else None

    def leads_to(self, folder: str, run: str | None) -> bool:
        """Return whether a folder, a path below the root, may hold logs of a run; None = of any one."""
        for part, wanted in self._folders(folder):
            if wanted == "**":
                return True
            found = re.fullmatch(_translate(wanted, set()), part)
            named = found.groupdict().get("run") if found else None
            if not found or (named and run and named != run):
                return False
            run = run or named
        return "**" in self.text or folder.count("/") < self.text.count("/")

    def run_of(self, folder: str) -> str:
        """Return the run that a folder, a path below the root, is named after; "" = none."""
        for part, wanted in self._folders(folder):
            if wanted == "**":
                return ""
            found = re.fullmatch(_translate(wanted, set()), part)
            if found and (named := found.groupdict().get("run")):
                return named
        return ""

    def _folders(self, folder: str) -> Iterator[tuple[str, str]]:
        """Pair the parts of a folder's path with those of the pattern."""
        return zip(folder.split("/"), self.text.split("/")[:-1], strict=False)

    def names(self, field: str) -> bool:
        """Return whether the pattern names ``run``, ``test_case`` or ``service``."""
        return f"{{{field}}}" in self.text

    @property
    def is_by_folder(self) -> bool:
        """Whether all logs of a run lie in the folder of its name below the root."""
        return self.text.startswith("{run}/") or not self.names("run")

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        known: set[str] = set()
        parts = [_translate(part, known) + "/" if part != "**" else r"(?:[^/]+/)*" for part in self.text.split("/")]
        return re.compile("".join(parts).removesuffix("/"), re.DOTALL)


def _translate(part: str, known: set[str]) -> str:
    """Write a part of a pattern as a regular expression; a name that is ``known`` has the same text again."""
    written = ""
    for match in _TOKEN.finditer(part):
        name, star, text = match.groups()
        if name:
            written += f"(?P={name})" if name in known else f"(?P<{name}>[^/]+){_NOT_IN_A_DATE}"
            known.add(name)
        else:
            written += r"[^/]*" if star else re.escape(text)
    return written


def file_stem(name: str) -> str:
    """Return a file's name without extension and replica number: ``payments-2.log`` is ``payments``.

    Of a log of Docker, ``cart-json.log`` is ``cart``, and 12 digits are left of the id of a container. Kubernetes names
    a log ``POD_NAMESPACE_cart-ID.log``, and a deployment its pods ``cart-7d9f8b6c5-x2k7z``.
    """
    stem = os.path.splitext(name)[0] or name
    if container := _OF_KUBERNETES.fullmatch(stem):
        return container[1]
    stem = _OF_DEPLOYMENT.sub("", stem)
    stem = _CONTAINER.sub(r"\1", stem.removesuffix("-json") or stem)
    return stem[: match.start()] if (match := re.search(_REPLICA.pattern + "$", stem)) and match.start() else stem


def common_prefix(least: str, greatest: str) -> str:
    """Return what all names between two begin with, up to a ``-``, ``_`` or ``.``; "" where there is one name alone."""
    shared = os.path.commonprefix([least, greatest]) if least != greatest else ""
    return shared[: max(shared.rfind(mark) for mark in "-_.") + 1]


def service_name(path: str, prefix: str) -> str:
    """Name the service of a log that no pattern names: by its file, or by its folder if that is only a number."""
    if restarts(path) is not None:
        return container_service(path)
    folder, _, name = path.rpartition("/")
    stem = file_stem(name)
    if stem.isdigit() and folder:
        return folder.rpartition("/")[2]
    return stem.removeprefix(prefix) or stem


def is_like(name: str, globs: Iterable[str]) -> bool:
    """Return whether a name matches one of some globs, such as ``cart*``."""
    return any(fnmatchcase(name, glob) for glob in globs)


def takes_path(path: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Return whether globs take a path below the root; one without ``/`` is for the file's name, ``*`` takes ``/``."""
    name = path.rpartition("/")[2]
    kept, left = ([path if "/" in one else name for one in globs] for globs in (include, exclude))
    is_kept = not include or any(map(fnmatchcase, kept, include))
    return is_kept and not any(map(fnmatchcase, left, exclude))
