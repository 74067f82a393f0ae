"""What a folder's records name, and the files in it that none names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lo2dask.models.bundle import hash_path
from lo2dask.storage import LOCK, entries, walk
from lo2dask.tables.layout import Layout
from lo2dask.tables.records import Output, Record, Stage, StageType, output_path
from lo2dask.tables.state import StateType, inspect_state
from lo2dask.verification.parts import Problem

# Folders in which every file is one of lo2dask's; at the top, the user's own files may lie next to the tables.
_OWN = ("_lo2dask", "explainability", "metrics")
# The command that writes a stage's files again; a stage that is not named here has the name of its command.
_WRITTEN_BY = {
    "metrics": "load --load-metrics",
    **dict.fromkeys(("text", "enhance"), "load or train"),
    **dict.fromkeys(("if_predictions", "exports"), "train"),
    **dict.fromkeys(("given", "links"), "explain"),
}
AGAIN = "run the same command again, it resumes"
_OWN_FILES = ("report.html", "report.md", "audit.html", "lo2_grid.csv", "lo2_grid.md", "models/model.yml")


@dataclass
class Named:
    """The files that the records of a folder name, the records' own files, and the records that are damaged.

    ``commands`` are those that write the files again, ``unfinished`` the stages of which only parts are done.
    """

    outputs: dict[str, Output] = field(default_factory=dict)
    states: set[Path] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    commands: dict[str, str] = field(default_factory=dict)
    unfinished: list[Problem] = field(default_factory=list)

    def with_way_out(self, problem: Problem) -> Problem:
        """Add the command that writes a file again."""
        command = self.commands.get(problem.where)
        if not command:
            return problem
        first = "" if problem.what.startswith("missing") else "delete it and "
        return replace(problem, what=f"{problem.what}; {first}run lo2dask {command} again with the same options")


def read_records(
    layout: Layout, types: Iterable[StageType], states: Mapping[Path, StateType], finishing: Sequence[StageType] = ()
) -> Named:
    """Read the records of all stages and their parts, and check the other state files.

    Stages that are ``finishing`` have a record of the whole after those of their parts.
    """
    named = Named()
    for of in types:
        whole, parts = Stage(layout, of), Stage(layout, of).parts()
        if parts and of in finishing and not whole.path.is_file():
            named.unfinished.append(_at(layout, whole.path, f"missing, though parts of it are done: {AGAIN}"))
        for stage in (whole, *parts):
            record, problem = stage.inspect()
            named.states.add(stage.path)
            if problem:
                named.problems.append(_at(layout, stage.path, f"the record is {problem}: {stage.again}"))
            elif record:
                named.outputs |= record.outputs
                named.commands |= dict.fromkeys(record.outputs, _WRITTEN_BY.get(of.name, of.name))
    for path, state in states.items():
        named.states.add(path)
        problem = inspect_state(path, state)[1]
        if problem:
            named.problems.append(_at(layout, path, f"it is {problem}: {state.again}; delete it"))
    return named


def missing_parts(layout: Layout, of: StageType, whole: Record | None, indices: Iterable[int]) -> Iterator[Problem]:
    """Name the batches of a stage that is done of which no record is there."""
    for index in indices if whole else ():
        path = Stage(layout, of).part(index).path
        if not path.is_file():
            yield _at(layout, path, f"missing, though the stage is done: {of.part_again or of.again}")


def unnamed_files(layout: Layout, named: Named, inner: Sequence[Layout]) -> Iterator[Problem]:
    """Name the files of lo2dask's own folders and tables that no record names."""
    known = {output_path(layout.root, name) for name in named.outputs} | named.states
    others = [one.root for one in inner]
    files = (path for folder in _own_folders(layout, named) for path in walk(folder, others))
    for path in (*files, *(layout.root / name for name in _OWN_FILES)):
        if path not in known and path.name != LOCK and path.is_file():
            yield _at(layout, path, "no record names it: it is not lo2dask's, or was left by a stopped command")


def unnamed_bundles(layout: Layout, named: Named) -> list[Path]:
    """List the bundles in ``models`` that no record names: each has a hash next to it."""
    known = {output_path(layout.root, name) for name in named.outputs}
    folder = layout.root / "models"
    return [path for path in walk(folder) if path.suffix == ".joblib" and path not in known]


def stray_hashes(layout: Layout) -> Iterator[Problem]:
    """Name hashes in ``models`` whose bundle is missing."""
    bundles = {hash_path(path): path for path in walk(layout.root / "models") if path.suffix == ".joblib"}
    for path in walk(layout.root / "models"):
        if path.name.endswith(".joblib.sha256") and path not in bundles:
            yield _at(layout, path, "its bundle is missing")


def _own_folders(layout: Layout, named: Named) -> list[Path]:
    names = sorted(entry.name for entry in entries(layout.root) if entry.is_dir())
    unpacked = {name.split("/")[0] for name, command in named.commands.items() if command == "extract"}
    return [layout.root / name for name in names if name in (*_OWN, *unpacked) or name.endswith(".parquet")]


def _at(layout: Layout, path: Path, what: str) -> Problem:
    return Problem(path.relative_to(layout.root).as_posix(), what)
