"""Finds runs below a root and lists each run's files: folders (v1, v2, guide, published sample) and tars."""

import io
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lo2dask.errors import InputError
from lo2dask.sources.archives import NO_LIMIT, next_member, open_tar, relative_parts, require_end
from lo2dask.sources.folders import (
    deep_logs_problem,
    has_service_log,
    has_shape_of_run,
    is_file,
    is_folder,
    link_problem,
)
from lo2dask.sources.kubernetes import restarts
from lo2dask.sources.names import (
    file_kind,
    is_run_name,
    is_text,
    left_out_log,
    log_service,
    name_problem,
    named_day,
    show_name,
    split_problem,
)  # fmt: skip
from lo2dask.sources.streams import Part, PartsReader, RotatedName, codec, rotated_name
from lo2dask.storage import Entry, is_local, open_at, open_read, status, to_path
from lo2dask.storage import entries as scan

LOOKED_FOR = (
    "light-oauth2-data-<epoch>/, LO2_run_<epoch>/, run_0001/, logs/<run>/ or light-oauth2-data-<epoch>.tar; folders of "
    "logs of other systems may have any name"
)

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip")


@dataclass(frozen=True)
class RunSource:
    """One run: a folder, or an uncompressed tar.

    Links that leave the folder ``inside`` (a real path; "" = none do) are not followed. ``problem`` is why nothing of
    the run can be read.
    """

    name: str
    path: str
    is_tar: bool = False
    inside: str = ""
    problem: str = ""


@dataclass(frozen=True)
class SourceFile:
    """One file of a run; ``member`` and ``offset`` (bytes) locate it in a tar, else they are "" and 0.

    ``problem`` is the reason why it cannot be read; "" where all is well. ``normal`` is the label, None = not labelled.
    A log that is compressed or rotated has ``parts``, the oldest first: ``path`` is the newest one, ``size`` an
    estimate of the bytes of their text, and lines are counted over all parts.
    """

    path: str
    member: str
    offset: int
    size: int
    mtime_ns: int
    run: str
    test_case: str
    name: str
    kind: str
    service: str
    problem: str = ""
    normal: bool | None = None
    parts: tuple[Part, ...] = ()

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "SourceFile":
        """Make it of a row of the manifest."""
        return cls(**{**row, "parts": tuple(Part(**part) for part in row["parts"])})

    def open(self) -> io.RawIOBase:
        """Open the log for unbuffered reading of its text."""
        return PartsReader(self.parts) if self.parts else open_at(self.path, self.offset)

    @property
    def place(self) -> str:
        """Where it lies, as tables name it: its path, in a tar with the member."""
        return f"{self.path}:{self.member}" if self.member else self.path

    def of_part(self, part: Part) -> "SourceFile":
        """Return one of its files as a log of its own."""
        return replace(self, path=part.path, size=part.size, parts=(part,))

    @property
    def limit(self) -> int:
        """The most bytes to read: of a log with parts nobody knows how many there are."""
        return NO_LIMIT if self.parts else self.size

    @property
    def day_ms(self) -> int | None:
        """The day of the first line as its (oldest) file's name, else its run's, tells it; see :func:`named_day`."""
        path = self.parts[0].path if self.parts else self.member or self.path
        own = named_day(os.path.basename(path))
        return named_day(self.run) if own is None else own

    @property
    def rejection(self) -> tuple[str, str]:
        """The reason and the detail of the reject that ``problem`` makes."""
        return split_problem(self.problem)


def find_runs(root: Path, follow_links: bool = False) -> tuple[list[RunSource], list[str]]:
    """List the runs below a root, sorted as their sequences' ids sort, and the names of what lies next to them.

    Raises
    ------
    InputError : the root is missing, no folder, empty, an archive, or holds no run; the message names its forms.
    """
    if not is_text(str(root)):
        raise InputError(f"--root {show_name(str(root))}: not UTF-8 here: rename it, or set PYTHONUTF8=1")
    _check_root(root)
    inside = "" if follow_links or not is_local(root) else os.path.realpath(root)
    entries = _list_root(root, inside)
    if not entries:
        raise InputError(f"--root {root}: the folder is empty; looked for {LOOKED_FOR}")
    runs = [run for entry in entries if (run := _as_run(entry, inside))]
    if not any(not run.problem for run in runs):
        runs += [RunSource(e.name, e.path, inside=inside) for e in entries if is_text(e.name) and has_shape_of_run(e)]
    if not runs:
        raise InputError(_no_run(root, [entry.name for entry in entries]))
    folders = {run.name for run in runs if not run.is_tar and not run.problem}
    # Of a run that is unpacked next to its archive, the folder is read.
    runs = [run for run in runs if not (run.is_tar or run.problem) or run.name not in folders]
    taken = {run.path for run in runs}
    others = [show_name(entry.name) for entry in entries if entry.path not in taken]
    return sorted(runs, key=lambda run: run.name + "__"), others


def _list_root(root: Path, inside: str) -> list[Entry]:
    """List the folder of the runs: the root, or ``logs`` in it where no run lies in the root itself."""
    entries = sorted(scan(root), key=lambda entry: entry.name)
    logs = root / "logs"
    if logs.is_dir() and not logs.is_symlink() and not any(_as_run(entry, inside) for entry in entries):
        below = sorted(scan(logs), key=lambda entry: entry.name)
        is_home = any(_as_run(entry, inside) or has_shape_of_run(entry) for entry in below)
        return below if is_home or len(entries) == 1 else entries
    return entries


def scan_run(run: RunSource, with_metrics: bool) -> Iterator[SourceFile]:
    """List a run's files, sorted by test case and name; metric folders only on demand (they hold 45 million files)."""
    if run.problem:
        return iter([SourceFile(show_name(run.path), "", 0, 0, 0, run.name, "", run.name, "folder", "", run.problem)])
    files = list(_scan_tar(run, with_metrics) if run.is_tar else _scan_folder(run, with_metrics))
    if with_metrics:
        files += _metric_table(run)
    return iter(sorted(join_parts(files), key=_file_order))


def join_parts(files: Iterable[SourceFile]) -> list[SourceFile]:
    """Make one log of each compressed one, and of the files that rotation or restarts have left of one log.

    Of files of the same age, such as ``x.log`` and ``x.log.gz``, the one that is not compressed is read.
    """
    joined: list[SourceFile] = []
    groups: dict[tuple[str, str], list[SourceFile]] = {}
    for file in files:
        if file.kind == "log" and not file.problem and not file.member:
            groups.setdefault((os.path.dirname(file.path), _log_name(file.path).name), []).append(file)
        else:
            joined.append(file)
    for group in groups.values():
        joined += _join(group)
    return joined


def _log_name(path: str) -> RotatedName:
    """Return a log's name and the age of a file of it; a container's files are one log, however often it started."""
    folder, name = os.path.split(path)
    own = rotated_name(name)
    started = restarts(os.path.join(folder, own.name))
    return own if started is None else RotatedName("", (started, *own.age))


def _join(group: list[SourceFile]) -> list[SourceFile]:
    ages = {file.path: _log_name(file.path).age for file in group}
    group.sort(key=lambda file: (ages[file.path], bool(codec(file.path)), file.path))
    first = {ages[file.path]: file for file in reversed(group)}
    kept = [file for file in group if first[ages[file.path]] is file]
    others = [replace(f, problem=f"superseded: {first[ages[f.path]].path} is of the same time") for f in group]
    others = [other for other, file in zip(others, group, strict=True) if file not in kept]
    if len(kept) == 1 and not codec(kept[0].path):
        return [*kept, *others]
    parts = tuple(Part(file.path, file.size) for file in kept)
    size, mtime = sum(part.text_bytes for part in parts), max(file.mtime_ns for file in kept)
    folder, name = os.path.split(kept[-1].name)
    name = os.path.join(folder, rotated_name(name).name)
    return [replace(kept[-1], name=name, size=size, mtime_ns=mtime, parts=parts), *others]


def _file_order(file: SourceFile) -> tuple[str, ...]:
    """Sort as the sequences' ids sort: "a__x" stands before "a_b__x", and "run_10__x" before "run_1__x"."""
    return (file.test_case + "__", file.name.removesuffix(".log"), file.path, file.member)


def _check_root(root: Path) -> None:
    if not root.exists():
        raise InputError(f"--root {root}: no such folder; looked for {LOOKED_FOR}")
    if root.is_dir():
        return
    if root.name.endswith((".zip", ".tar.gz", ".tgz", ".tar")):
        raise InputError(f"--root {root}: an archive; unpack it first: lo2dask extract {root.parent or '.'} OUT")
    raise InputError(f"--root {root}: a file, not a folder; give the folder that holds the runs")


def _as_run(entry: Entry, inside: str) -> RunSource | None:
    stem = next((entry.name.removesuffix(end) for end in _ARCHIVES if entry.name.endswith(end)), "")
    is_link, problem = entry.is_symlink(), link_problem(entry, inside)
    if is_run_name(stem) and (is_link or is_file(entry)):
        packed = "" if entry.name.endswith(".tar") else "compressed: unpack it first: lo2dask extract"
        problem = packed or problem or ("" if is_file(entry) else "link: it leads to no file")
        return RunSource(stem, entry.path, is_tar=True, problem=problem)
    if is_run_name(entry.name) and (is_link or is_folder(entry)):
        problem = problem or ("" if is_folder(entry) else "link: it leads to no folder")
        return RunSource(entry.name, entry.path, inside=inside, problem=problem)
    return None


def _no_run(root: Path, names: list[str]) -> str:
    if has_service_log(str(root)):
        return f"--root {root}: this is a single run; give the folder that holds it: --root {root.parent}"
    packed = next((name for name in names if name.endswith((".zip", ".tar.gz", ".tgz"))), None)
    if packed:
        return f"--root {root}: {packed} must be unpacked first: lo2dask extract {root} OUT"
    return f"--root {root}: no run in it; looked for {LOOKED_FOR}; found {', '.join(names[:5])}"


def _metric_table(run: RunSource) -> list[SourceFile]:
    """Find the run's table in the published sample's layout, ``metrics/<run>.csv`` next to ``logs/<run>``."""
    home = to_path(run.path).parent
    table = home.parent / "metrics" / f"{run.name}.csv"
    if home.name != "logs" or not table.is_file():
        return []
    found = status(table)
    return [
        SourceFile(str(table), "", 0, found.st_size, found.st_mtime_ns, run.name, "", table.name, "metric table", "")
    ]


def _scan_folder(run: RunSource, with_metrics: bool) -> Iterator[SourceFile]:
    for entry in _entries(run, "", run.path):
        if isinstance(entry, SourceFile):
            yield entry
        elif not is_folder(entry) or link_problem(entry, run.inside):
            yield _file(run, entry.name if is_folder(entry) else "", entry)
        elif entry.name == "metrics":
            yield from _scan_metrics(run, "", entry, with_metrics)
        else:
            yield from _scan_case(run, entry, with_metrics)


def _scan_case(run: RunSource, case: Entry, with_metrics: bool) -> Iterator[SourceFile]:
    for entry in _entries(run, case.name, case.path):
        if isinstance(entry, SourceFile):
            yield entry
        elif entry.name == "metrics" and is_folder(entry) and not link_problem(entry, run.inside):
            yield from _scan_metrics(run, case.name, entry, with_metrics)
        else:
            yield _file(run, case.name, entry)


def _scan_metrics(run: RunSource, case: str, folder: Entry, listed: bool) -> Iterator[SourceFile]:
    if not listed:
        yield SourceFile(folder.path, "", 0, 0, 0, run.name, case, folder.name, "metrics folder", "")
        return
    for entry in _entries(run, case, folder.path):
        yield entry if isinstance(entry, SourceFile) else _file(run, case, entry)


def _entries(run: RunSource, case: str, folder: str) -> Iterator[Entry | SourceFile]:
    """List a folder; one that cannot be listed becomes one file with a problem."""
    try:
        for entry in scan(folder):
            if is_text(entry.path):
                yield entry
                continue
            name, where = show_name(entry.name), show_name(entry.path)
            problem = "name: not UTF-8: rename it and load again"
            yield SourceFile(where, "", 0, 0, 0, run.name, case, name, "folder", "", problem)
    except OSError as error:
        problem = f"cannot be listed: {error.strerror}"
        yield SourceFile(folder, "", 0, 0, 0, run.name, case, os.path.basename(folder), "folder", "", problem)


def _file(run: RunSource, case: str, entry: Entry) -> SourceFile:
    problem, size, mtime, kind = link_problem(entry, run.inside), 0, 0, file_kind(entry.name)
    try:
        found = entry.stat()
        size, mtime = found.st_size, found.st_mtime_ns
        if stat.S_ISDIR(found.st_mode):
            plain = "link to a folder" if entry.is_symlink() else "a folder, not a file"
            problem, size = problem or deep_logs_problem(entry) or plain, 0
        elif not stat.S_ISREG(found.st_mode):
            problem, size = "not a regular file", 0
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        kind = kind if case else "folder"  # beside the test cases it may be meant as one
    service = log_service(entry.name) or left_out_log(entry.name)[1]
    problem = problem or name_problem(case, entry.name)
    return SourceFile(entry.path, "", 0, size, mtime, run.name, case, entry.name, kind, service, problem)


def _scan_tar(run: RunSource, with_metrics: bool) -> Iterator[SourceFile]:
    """Read the headers of a tar; a truncated one ends with a file that carries the problem.

    Where several members have one path, the last one counts, as it does for ``tar xf``.
    """
    path = to_path(run.path)
    state = status(path)
    mtime, end = state.st_mtime_ns, state.st_size
    last: dict[str, SourceFile] = {}
    try:
        with open_read(path) as raw, open_tar(fileobj=raw, mode="r:") as archive:
            while member := next_member(archive):
                if not member.isdir() and (member.isfile() or log_service(os.path.basename(member.name))):
                    file = _member(run, member, mtime, end)
                    if file.kind in ("metric", "trace") and not with_metrics:
                        continue
                    key = "/".join(relative_parts(run.name, member.name))
                    if key in last:
                        why = f"superseded: a later member of {run.path} has the same path"
                        yield replace(last[key], problem=why)
                    last[key] = file
            require_end(archive)
    except (tarfile.TarError, EOFError) as error:
        name = os.path.basename(run.path)
        yield SourceFile(run.path, "", 0, 0, mtime, run.name, "", name, "tar", "", f"damaged tar: {error}")
    yield from last.values()


def _member(run: RunSource, member: tarfile.TarInfo, mtime: int, end: int) -> SourceFile:
    parts = [show_name(part) for part in relative_parts(run.name, member.name)]
    name = parts[-1] if parts else show_name(member.name)
    case = parts[0] if len(parts) > 1 and parts[0] != "metrics" else ""
    # In a tar, a compressed or rotated log is not read.
    kind, problem = left_out_log(name)[0] or file_kind(name), name_problem(case, name, is_packed=True)
    service = log_service(name) or left_out_log(name)[1]
    if kind == "log" and len(parts) > 2:
        kind, problem = "other log", "path: deeper than RUN/TEST CASE in the tar: move it up"
    if member.name.startswith("/"):
        problem = "path: it is absolute: pack the run again, from the folder that holds it"
    if not is_text(member.name):
        problem = "name: not UTF-8: rename it and pack the run again"
    if ".." in parts:
        kind, case, problem = "other file", "", "path: it leads out of its run (..): pack the run again"
    if not member.isfile():
        problem = "link: a link in a tar is not followed" if member.issym() or member.islnk() else "not a regular file"
    if member.offset_data + member.size > end:
        problem = "truncated: the tar ends inside this file"
    return SourceFile(
        run.path, show_name(member.name), member.offset_data, member.size, mtime, run.name, case, name, kind, service,
        problem,
    )  # fmt: skip
