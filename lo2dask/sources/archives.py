"""Archived runs: tars, compressed tars and zips of tars, and their unpacking into one folder, member by member.

Members are written below the folder only: links, devices and names that lead out of the folder are refused.
"""

import gzip
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lo2dask.errors import InputError
from lo2dask.sources.content import COMPANION
from lo2dask.sources.names import file_kind, is_run_name, log_service

SUFFIXES = (".tar", ".tar.gz", ".tgz")
LOOKED_FOR = "light-oauth2-data-<epoch>.tar (or .tar.gz), or a .zip of such tars"
# What a damaged archive raises, and nothing else does.
DAMAGE = (tarfile.TarError, EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile)
_COPY_BYTES = 1 << 20
NO_LIMIT = 1 << 62
# Bytes of a tar; what is beyond is an overflow of the operating system.
_LARGEST = 1 << 60


@dataclass(frozen=True)
class ArchivedRun:
    """One run in an archive; ``member`` is its tar within a zip, else "".

    ``size`` are the bytes of its tar, ``packed`` those that it takes in the archive.
    """

    name: str
    path: str
    member: str
    size: int
    mtime_ns: int
    packed: int

    @property
    def is_plain(self) -> bool:
        """Return whether it is an uncompressed tar, whose headers are found without reading what lies between them."""
        return not self.member and self.path.endswith(".tar")


class TooLargeError(Exception):
    """What an archive unpacks to is beyond a limit; the message names both."""


@dataclass(frozen=True)
class Unpacked:
    """What came out of one archive; ``refused`` pairs a member's name with the reason."""

    files: int
    bytes: int
    refused: tuple[tuple[str, str], ...]


def find_archives(source: Path) -> tuple[list[ArchivedRun], list[tuple[str, str]]]:
    """List the archived runs of a folder, or of one archive, by name; and what is none, with the reason.

    Raises
    ------
    InputError : the source is missing, or holds no archived run.
    """
    if not source.exists():
        raise InputError(f"{source}: no such folder; looked for {LOOKED_FOR}")
    paths = sorted(path for path in source.iterdir() if path.is_file()) if source.is_dir() else [source]
    paths = [path for path in paths if file_kind(path.name) != COMPANION]
    runs_by_name: dict[str, ArchivedRun] = {}
    left: list[tuple[str, str]] = []
    for path in paths:
        try:
            runs = list(_runs_of(path))
        except DAMAGE as error:
            left.append((str(path), f"damaged archive: {error}"))
            continue
        for run in runs:
            if run.name in runs_by_name:
                left.append((str(path), f"{run.name} is in {runs_by_name[run.name].path} too"))
            runs_by_name.setdefault(run.name, run)
        if not runs:
            left.append((str(path), "no archived run"))
    if not runs_by_name:
        raise InputError(f"{source}: no archived run in it; looked for {LOOKED_FOR}")
    return [runs_by_name[name] for name in sorted(runs_by_name)], left


def list_cases(run: ArchivedRun) -> list[str]:
    """List the test cases of a run that have a service log, by name; reads the archive's headers."""
    with _members(run) as members:
        paths = [path for member, _ in members if (path := relative_parts(run.name, member.name))]
    return sorted({path[0] for path in paths if len(path) == 2 and log_service(path[1])})


def measure(run: ArchivedRun, cases: frozenset[str] | None, limit: int) -> int:
    """Add up what a run's files take unpacked, bytes; a sparse file counts in full.

    Raises
    ------
    TooLargeError : it is more than ``limit``.
    """
    size = 0
    with _members(run) as members:
        for member, _ in members:
            parts = relative_parts(run.name, member.name)
            if member.isreg() and parts and _wanted(parts, cases):
                size += member.size
                _check_limit(run, size, limit)
    return size


def _check_limit(run: ArchivedRun, size: int, limit: int) -> None:
    if size > limit:
        raise TooLargeError(
            f"{run.name} unpacks to {size:,} bytes or more, {limit:,} are allowed ({run.packed:,} packed)"
        )


def unpack(run: ArchivedRun, folder: Path, cases: frozenset[str] | None = None, limit: int = NO_LIMIT) -> Unpacked:
    """Unpack a run's files into a folder, without the archive's top folder; times of change are kept.

    ``cases`` are the test cases to unpack in addition to what belongs to the whole run; None = all. Of members with the
    same path the last one stays, as with ``tar xf``.

    Raises
    ------
    TooLargeError : the files take more than ``limit`` bytes; what is beyond is not written.
    """
    files, size = 0, 0
    refused: list[tuple[str, str]] = []
    with _members(run) as members:
        for member, archive in members:
            parts = relative_parts(run.name, member.name)
            problem = _problem(member, parts)
            if problem:
                refused.append((member.name, problem))
            if problem or not parts or member.isdir() or not _wanted(parts, cases):
                continue
            target = folder.joinpath(*parts)
            if target.is_file():
                refused.append((member.name, "superseded: a later member has the same path"))
                files, size = files - 1, size - target.stat().st_size
            _check_limit(run, size + member.size, limit)
            try:
                _write(archive, member, target)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                refused.append((member.name, "another member has the same path"))
                continue
            files, size = files + 1, size + member.size
    return Unpacked(files, size, tuple(refused))


def _runs_of(path: Path) -> Iterator[ArchivedRun]:
    status = path.stat()
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as packed:
            for entry in packed.infolist():
                name = _stem(entry.filename.rpartition("/")[2])
                if name and is_run_name(name):
                    yield ArchivedRun(
                        name, str(path), entry.filename, entry.file_size, status.st_mtime_ns, entry.compress_size
                    )
    elif name := _stem(path.name):
        run = ArchivedRun(name, str(path), "", status.st_size, status.st_mtime_ns, status.st_size)
        inside = name if is_run_name(name) else _top_folder(run)
        if inside:
            yield replace(run, name=inside)


def _stem(name: str) -> str:
    """Return an archive's name without its suffix; "" for what is no tar."""
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), "")


def _top_folder(run: ArchivedRun) -> str:
    """Name the run by the folder in a tar that is called otherwise; "" where that is no run's name."""
    with _members(run) as members:
        first = next((member.name for member, _ in members), "")
    top = next((part for part in first.split("/") if part not in ("", ".")), "")
    return top if is_run_name(top) else ""


@contextmanager
def _members(run: ArchivedRun) -> Iterator[Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]]:
    """Stream the members of a run's tar, wherever it lies; memory does not grow with their number."""
    with ExitStack() as stack:
        if run.member:
            packed = stack.enter_context(zipfile.ZipFile(run.path))
            archive = open_tar(fileobj=stack.enter_context(packed.open(run.member)), mode="r|*")
        else:
            archive = open_tar(name=run.path, mode="r:" if run.is_plain else "r|*")
        stack.enter_context(archive)
        yield _stream(archive, run.is_plain)


def _stream(archive: tarfile.TarFile, is_plain: bool) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    while member := next_member(archive):
        yield member, archive
        archive.members = []  # type: ignore[attr-defined]  # it would keep every header that it has read
    if is_plain:
        require_end(archive)


def open_tar(**options: Any) -> tarfile.TarFile:
    """Open a tar as ``tarfile.open`` does.

    Raises
    ------
    tarfile.ReadError : its first header is none.
    """
    with _invalid_header():
        return tarfile.open(**options)


def next_member(archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    """Return the next member; None at the end.

    Raises
    ------
    tarfile.ReadError : its header is none, or says a size that leads back, after which tarfile reads the same headers
        for ever, or further than any file reaches.
    """
    with _invalid_header():
        member = archive.next()
    if member and not member.offset < archive.offset < _LARGEST:
        raise tarfile.ReadError("a member has an impossible size")
    return member


@contextmanager
def _invalid_header() -> Iterator[None]:
    """Translate what tarfile lets pass where a header's numbers are none."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise tarfile.ReadError(f"invalid header: {error}") from error


def require_end(archive: tarfile.TarFile) -> None:
    """Check that an uncompressed tar, read to its end, ends with its end mark; tarfile lets a cut header pass.

    Raises
    ------
    tarfile.ReadError : it does not: something is missing.
    """
    if archive.fileobj is None:
        return
    archive.fileobj.seek(archive.offset)
    mark = archive.fileobj.read(tarfile.BLOCKSIZE)
    if len(mark) < tarfile.BLOCKSIZE or mark.strip(b"\0"):
        raise tarfile.ReadError("unexpected end of data")


def relative_parts(run: str, name: str) -> tuple[str, ...]:
    """Return a member's path within its run, as parts."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    return parts[1:] if parts and parts[0] == run else parts


def _problem(member: tarfile.TarInfo, parts: tuple[str, ...]) -> str:
    """Return why a member must not be written; "" if it may."""
    if member.name.startswith("/"):
        return "an absolute path"
    if ".." in member.name.split("/"):
        return "a path that leaves the target"
    if member.issym() or member.islnk():
        return f"a link to {member.linkname}"
    if not member.isdir() and (not member.isreg() or not parts):
        return "not a regular file"
    return ""


def _wanted(parts: tuple[str, ...], cases: frozenset[str] | None) -> bool:
    return cases is None or len(parts) == 1 or parts[0] in cases or parts[0] == "metrics"


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source = archive.extractfile(member)
    if source is None:
        raise FileExistsError(member.name)
    with source, open(target, "wb") as file:
        shutil.copyfileobj(source, file, _COPY_BYTES)
        if file.tell() != member.size:
            raise EOFError(f"{member.name} ends early")
    os.utime(target, (member.mtime, member.mtime))
