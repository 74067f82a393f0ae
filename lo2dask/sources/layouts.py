"""Folder layouts: LO2's own, or path patterns that say which part of a path is the run, the test case, the service.

A tree of another layout than LO2's is walked folder by folder: twice for its names, of which distinct ones are held,
and then for the files of each run.
"""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from lo2dask.domain import CORRECT, SERVICES
from lo2dask.errors import InputError
from lo2dask.options import LoadingOptions
from lo2dask.sources.content import ARCHIVE, BINARY, START_BYTES, data_kind, text_problem
from lo2dask.sources.folders import is_folder, link_problem
from lo2dask.sources.labels import Labels, read_labels
from lo2dask.sources.names import is_lo2_path, is_run_name, listed
from lo2dask.sources.patterns import (
    ALL,
    UNLABELLED,
    PathPattern,
    common_prefix,
    file_stem,
    is_like,
    service_name,
    takes_path,
)  # fmt: skip
from lo2dask.sources.streams import Part, codec, rotated_name
from lo2dask.sources.tree import RunSource, SourceFile, find_runs, join_parts
from lo2dask.storage import Entry, entries, is_local, to_path

LO2 = "lo2"
AUTO = "auto"
OUTSIDE = "log outside the layout"
UNPACK = "unpack archives of logs that are not named as LO2's first (tars: lo2dask extract)"
_BY_CASE = PathPattern("{run}/{test_case}/**/{service}")
_BY_RUN = PathPattern("{run}/**/{service}")
_IN_ROOT = PathPattern("{service}")
# Names that a message lists.
_MOST_SHOWN = 10


@dataclass(frozen=True)
class Tree:
    """What lies below a root: its runs, what lies next to them, how it is labelled, and the services that there are.

    ``layout`` and ``warnings`` are for the user: what was chosen, and what may be a mistake.
    """

    runs: tuple[RunSource, ...]
    others: tuple[str, ...]
    labels: Labels
    services: tuple[str, ...]
    layout: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class TreeWalk:
    """How a tree is walked: from its root, without what ``exclude`` takes and the file ``skipped``.

    Links that leave the folder ``inside`` ("" = none do) are not followed.
    """

    root: str
    inside: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    skipped: str = ""

    def files(
        self, folder: str = "", pattern: PathPattern | None = None, run: str | None = "", deep: bool = True
    ) -> Iterator[tuple[str, Entry]]:
        """List the files below a folder, each with its path below the root, sorted folder by folder.

        Folders that by the pattern hold no log of the run (None = of any) are not entered, nor links to folders within
        the root, whose files are read where they lie. A folder that cannot be listed comes as a file.
        """
        where = os.path.join(self.root, folder) if folder else self.root
        for entry in sorted(entries(where), key=lambda entry: entry.name):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if not is_folder(entry):
                is_skipped = self.skipped and os.path.abspath(entry.path) == self.skipped
                if not is_skipped and takes_path(path, self.include, self.exclude):
                    yield path, entry
            elif entry.is_symlink() and (self.inside or self._leads_up(path)):
                if link_problem(entry, self.inside):
                    yield path, entry
            elif deep and (pattern is None or pattern.leads_to(path, run)):
                try:
                    yield from self.files(path, pattern, run)
                except OSError:
                    yield path, entry

    def _leads_up(self, path: str) -> bool:
        """Return whether a link leads to a folder that it lies in: the way through it has no end."""
        parts = path.split("/")
        target = os.path.join(os.path.realpath(os.path.join(self.root, path)), "")
        above = (os.path.realpath(os.path.join(self.root, *parts[:depth])) for depth in range(len(parts)))
        return any(os.path.join(folder, "").startswith(target) for folder in above)


@dataclass(frozen=True)
class TreeLayout:
    """A layout by patterns, of which the first that matches counts; ``prefix`` is common to the names of all files.

    ``loose`` is the run of files in the root itself, ``first`` the run that files outside the layout are listed with
    where no folder says which run they belong to.
    """

    walk: TreeWalk
    patterns: tuple[PathPattern, ...]
    prefix: str = ""
    loose: str = ALL
    first: str = ""

    def place(self, path: str) -> tuple[str, str, str] | None:
        """Return run, test case and service of a path below the root; None if it is outside the layout."""
        folder, name = os.path.split(path)
        whole = os.path.join(folder, name.removesuffix(f".{codec(name)}"))
        path = os.path.join(folder, rotated_name(name).name)
        for pattern in self.patterns:
            # A date that is the run's name is none of rotation.
            dated = pattern.match(whole) if "{run}" in pattern.text.rpartition("/")[2] else None
            found = dated or pattern.match(path)
            if found is not None:
                run = found.get("run") or (path.split("/")[0] if "/" in path else self.loose)
                # A whole file's name is made shorter as if no pattern named it.
                named = None if pattern.text.rpartition("/")[2] == "{service}" else found.get("service")
                return run, found.get("test_case") or UNLABELLED, named or service_name(path, self.prefix)
        return None

    def places(self) -> Iterator[tuple[str, str, str]]:
        """Yield run, test case and service of each file that may be a log."""
        for path, entry in self.walk.files():
            if not data_kind(entry.name) and (found := self.place(path)):
                yield found

    @property
    def is_by_folder(self) -> bool:
        """Whether the logs of each run lie in a folder of their own below the root."""
        return all(pattern.is_by_folder for pattern in self.patterns)

    def list_files(self) -> Iterator[SourceFile]:
        """List the files of all runs of a layout that is not by folder, in one walk; none is opened."""
        for path, entry in self.walk.files("", self.patterns[0], None):
            place = self.place(path)
            yield self._file(path, entry, place[0] if place else self._run_outside(path))

    def scan(self, run: str, listed: Iterable[SourceFile] | None = None) -> Iterator[SourceFile]:
        """List the files of a run, rotated ones joined, sorted by test case and name.

        ``listed`` are its files as :meth:`list_files` names them, which else walks the whole tree.
        """
        if self.is_by_folder:
            listed = (self._file(path, entry, run) for path, entry in self._files_of(run))
        elif listed is None:
            listed = (file for file in self.list_files() if file.run == run)
        files = [replace(file, kind="binary file") if _is_binary(file) else file for file in listed]
        return iter(sorted(join_parts(files), key=lambda file: (file.test_case + "__", file.name, file.path)))

    def _files_of(self, run: str) -> Iterator[tuple[str, Entry]]:
        if run == self.loose:
            yield from self.walk.files(deep=False)
        elif to_path(os.path.join(self.walk.root, run)).is_dir():
            yield from self.walk.files(run)

    def _run_outside(self, path: str) -> str:
        """Return the run that a file outside the layout is listed with: the one that its folder names, or the first."""
        folder = os.path.dirname(path)
        return (
            self.first
            if not folder or self.patterns[0].leads_to(folder, self.first)
            else self.patterns[0].run_of(folder)
        )

    def _file(self, path: str, entry: Entry, run: str) -> SourceFile:
        _, case, service = self.place(path) or (run, "", "")
        problem, size, mtime = link_problem(entry, self.walk.inside), 0, 0
        kind = data_kind(entry.name) or ("log" if case else OUTSIDE)
        try:
            found = entry.stat()
            size, mtime = found.st_size, found.st_mtime_ns
            if stat.S_ISDIR(found.st_mode):
                kind, problem, size = "folder", problem or "cannot be listed", 0
            elif not stat.S_ISREG(found.st_mode):
                problem = problem or "not a regular file"
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        name = path.removeprefix(f"{run}/").removeprefix(f"{case}/")
        return SourceFile(entry.path, "", 0, size, mtime, run, case, name, kind, service, problem)


@dataclass(frozen=True)
class PatternRun(RunSource):
    """A run of a layout by patterns; ``listing`` is the file of what one walk has listed of it and others."""

    layout: TreeLayout = field(kw_only=True)
    listing: Path | None = None


def find_tree(root: Path, options: LoadingOptions) -> Tree:
    """Find the runs below a root by ``--layout``, and how they are labelled.

    Raises
    ------
    InputError : the root, the layout or the labels cannot be used; the message has the way out.
    """
    # The logs' paths hold in every working directory.
    root = root.resolve() if is_local(root) and root.exists() else root
    if (root / "_lo2dask" / "load.json").is_file():
        raise InputError(f"--root {root}: a folder that lo2dask has written; give the folder of the raw logs")
    if options.labels and options.normal != (CORRECT,):
        raise InputError("--labels and --normal exclude each other: give one of them")
    labels = read_labels(options.labels, options.timezone) if options.labels else Labels(options.normal)
    pattern = None if options.layout in (AUTO, LO2) else PathPattern(options.layout)
    found = None if options.layout == LO2 or not root.is_dir() else _find_layout(root, options, labels, pattern)
    if found is None:
        runs, others = find_runs(root, options.follow_links)
        warnings = _label_warnings(options, labels, {run.name for run in runs})
        return Tree(tuple(runs), tuple(others), labels, SERVICES, LO2, warnings)
    return _pattern_tree(root, options, labels, found)


def _pattern_tree(root: Path, options: LoadingOptions, labels: Labels, layout: TreeLayout) -> Tree:
    """Find the runs of a layout by patterns, and decide whether anything is labelled."""
    names: tuple[set[str], set[str], set[str]] = (set(), set(), set())
    # One file after the other: a tree has more files than runs, test cases and services.
    for place in layout.places():
        for known, name in zip(names, place, strict=True):
            known.add(name)
    if not names[0]:
        raise InputError(f"--root {root}: no file is as --layout {options.layout} says; {_example(layout.walk)}")
    by_run = not any("{test_case}" in pattern.text for pattern in layout.patterns)
    folders = names[0] if by_run else names[1] - {UNLABELLED}
    is_labelled = labels.is_from_file or any(map(labels.matches, folders))
    labels = replace(labels, by_run=by_run, is_labelled=is_labelled)
    resembling = labels.resembling(folders)[:_MOST_SHOWN]
    warnings = [f"{name!r} is not taken as normal; if it is, add it to --normal" for name in resembling]
    warnings += _label_warnings(options, labels, names[0])
    if layout.loose != ALL and layout.loose in names[0]:
        warnings.append(f"the files in {root} itself are the run {layout.loose!r}: a folder there is called {ALL!r}")
    layout = replace(layout, first=min(names[0]))
    runs = [PatternRun(name, str(root), layout=layout) for name in sorted(names[0], key=lambda name: name + "__")]
    return Tree(tuple(runs), (), labels, tuple(sorted(names[2])), _described(layout, labels, names[2]), tuple(warnings))


def _find_layout(root: Path, options: LoadingOptions, labels: Labels, pattern: PathPattern | None) -> TreeLayout | None:
    """Choose the layout of a tree; None for LO2's, which also has the words for a tree without any file."""
    inside = "" if options.follow_links or not is_local(root) else os.path.realpath(root)
    skipped = os.path.abspath(options.labels) if options.labels else ""
    walk = TreeWalk(str(root), inside, options.include, options.exclude, skipped)
    data: Counter[str] = Counter()
    least = greatest = example = ""
    has_file = has_case = has_run = False
    for path, entry in walk.files():
        if pattern is None and is_lo2_path(path):
            return None
        if kind := data_kind(entry.name):
            data[kind] += 1
            has_run = has_run or (kind == ARCHIVE and is_run_name(entry.name.partition(".")[0]))
            example = example or path
            continue
        stem = file_stem(rotated_name(entry.name).name)
        least, greatest = (min(least, stem), max(greatest, stem)) if has_file else (stem, stem)
        parts = path.split("/")
        has_case = has_case or (len(parts) > 2 and labels.matches(parts[1]))
        has_file = True
    if not has_file and (not data or has_run):
        return None
    if not has_file:
        counts = ", ".join(f"{number} {kind}" for kind, number in sorted(data.items()))
        unpack = f"; {UNPACK}" if ARCHIVE in data else ""
        raise InputError(
            f"--root {root}: no text file in it, which a log is; there are {counts}, such as {example}{unpack}"
        )
    patterns = (pattern,) if pattern else (*([_BY_CASE] if has_case else []), _BY_RUN, _IN_ROOT)
    loose = ALL
    while to_path(os.path.join(walk.root, loose)).is_dir():
        loose += "_"
    return TreeLayout(walk, patterns, common_prefix(least, greatest), loose)


def _example(walk: TreeWalk) -> str:
    path = next((path for path, entry in walk.files() if not data_kind(entry.name)), "")
    return f"there is {path}" if path else "there is no text file"


def _described(layout: TreeLayout, labels: Labels, services: set[str]) -> str:
    """Write what was chosen: the pattern, the services, and what the labels are from."""
    source = "labels from --labels" if labels.is_from_file else f"normal is {' or '.join(labels.patterns)}"
    if not labels.is_labelled:
        source = (
            f"nothing is labelled: no folder is like --normal {' '.join(labels.patterns)}, and there is no --labels"
        )
    return f"{layout.patterns[0].text}; services: {listed(sorted(services))}; {source}"


def _label_warnings(options: LoadingOptions, labels: Labels, runs: set[str]) -> tuple[str, ...]:
    unknown = sorted(labels.runs - runs)
    shown = ", ".join(unknown[:_MOST_SHOWN])
    warnings = [f"--labels {options.labels}: {len(unknown)} of its runs not in the tree: {shown}"] if unknown else []
    if labels.rows and not labels.timed and not any(labels.rows.values()):
        warnings.append(f"--labels {options.labels}: no label is normal; any other word is taken as an anomaly")
    return tuple(warnings)


def choose_runs(tree: Tree, options: LoadingOptions) -> list[RunSource]:
    """Return the runs that ``--runs-matching`` takes.

    Raises
    ------
    InputError : it takes none; lists some names.
    """
    chosen = [run for run in tree.runs if not options.runs_matching or is_like(run.name, options.runs_matching)]
    if not chosen:
        shown = ", ".join(run.name for run in tree.runs[:_MOST_SHOWN])
        raise InputError(f"--runs-matching {' '.join(options.runs_matching)}: no run is like it; there are {shown}")
    return chosen


def _is_binary(file: SourceFile) -> bool:
    """Return whether a log is no text, by its first bytes; one that cannot be read is left to the load."""
    if file.kind != "log" or not file.size or file.problem:
        return False
    try:
        with replace(file, parts=(Part(file.path, file.size),) if codec(file.path) else ()).open() as raw:
            problem = text_problem(raw.read(START_BYTES) or b"")
    except OSError:
        return False
    return problem is not None and problem[0] == BINARY
