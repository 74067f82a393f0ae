"""The files of a run; of a layout that is not by folder, one walk lists those of all runs, sorted by scan group.

Runs of such a layout lie anywhere in the tree: a walk for each group would be a walk of the whole tree each time.
"""

import contextlib
import heapq
import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count, groupby
from operator import itemgetter
from pathlib import Path

from lo2dask.sources.layouts import PatternRun, TreeLayout
from lo2dask.sources.tree import RunSource, SourceFile, scan_run
from lo2dask.storage import cached_files, read_scratch, remove_tree, write_scratch
from lo2dask.storage.scratch import scratch_folder

# Files that are held while a tree is listed; and those of each sorted piece that are read at once.
FILES_AT_ONCE, _BLOCK = 50_000, 500
_Placed = tuple[int, SourceFile]


def scan_files(run: RunSource, with_metrics: bool) -> Iterator[SourceFile]:
    """List a run's files in either layout, sorted by test case and name."""
    if not isinstance(run, PatternRun):
        return scan_run(run, with_metrics)
    return run.layout.scan(run.name, _read_listing(run.listing).get(run.name, []) if run.listing else None)


@contextlib.contextmanager
def listed(groups: Sequence[Sequence[RunSource]], folder: Path) -> Iterator[list[list[RunSource]]]:
    """Give the scan groups of a tree, their runs with the listing that they are read from if there is one.

    Listings lie in ``folder`` until the block ends.
    """
    remove_tree(folder)  # a killed command may have left it
    first = groups[0][0] if groups else None
    if not isinstance(first, PatternRun) or first.layout.is_by_folder:
        yield [list(group) for group in groups]
        return
    try:
        made = _write_listings(first.layout, groups, folder)
        yield [
            [replace(run, listing=made[index]) for run in group if isinstance(run, PatternRun)]
            for index, group in enumerate(groups)
        ]
    finally:
        remove_tree(folder)


def _write_listings(layout: TreeLayout, groups: Sequence[Sequence[RunSource]], folder: Path) -> list[Path]:
    """Write the files of each group, in the order of the walk; return the listings."""
    place = {run.name: index for index, group in enumerate(groups) for run in group}
    paths = [folder / f"{index:06d}.pickle" for index in range(len(groups))]
    for path in paths:
        write_scratch(path, {})
    with scratch_folder() as scratch:
        pieces = list(_sorted_pieces(layout.list_files(), place, scratch))
        for index, some in groupby(heapq.merge(*pieces, key=itemgetter(0)), key=itemgetter(0)):
            by_run: dict[str, list[SourceFile]] = {}
            for _, file in some:
                by_run.setdefault(file.run, []).append(file)
            write_scratch(paths[index], by_run)
    return paths


def _sorted_pieces(files: Iterable[SourceFile], place: dict[str, int], scratch: Path) -> Iterator[Iterator[_Placed]]:
    """Sort files by group, piece by piece, which lie in a folder; files of runs that are in no group are left out."""
    number, piece = count(), []
    for file in files:
        if file.run in place:
            piece.append((place[file.run], file))
        if len(piece) >= FILES_AT_ONCE:
            yield _kept(piece, scratch / str(next(number)))
            piece = []
    yield _kept(piece, scratch / str(next(number)))


def _kept(piece: list[_Placed], path: Path) -> Iterator[_Placed]:
    piece.sort(key=itemgetter(0))
    with open(path, "wb") as file:
        for start in range(0, len(piece), _BLOCK):
            pickle.dump(piece[start : start + _BLOCK], file, protocol=5)
    return _read_piece(path)


def _read_piece(path: Path) -> Iterator[_Placed]:
    with open(path, "rb") as file, contextlib.suppress(EOFError):
        while True:
            yield from pickle.load(file)


@cached_files(maxsize=1)
def _read_listing(path: Path) -> dict[str, list[SourceFile]]:
    files: dict[str, list[SourceFile]] = read_scratch(path)
    return files
