"""What is done: one record for a stage as a whole, and one for each part of it.

A record names what its outputs were made from (the key) and every output with size and checksum. It is written after
its outputs and removed before they change, so that a record that is there speaks of files that are whole.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lo2dask.options import fingerprint
from lo2dask.options.paths import to_path
from lo2dask.storage import flush_all, list_paths, status
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import checksum, part_paths, prune_parts
from lo2dask.tables.state import StateType, inspect_state, read_state, write_state

_OUTPUT = {"size": int, "checksum": str}
# Files whose checksums are computed at once.
_THREADS = 4


@dataclass(frozen=True)
class Key:
    """What outputs depend on: hashes of the inputs and of the options."""

    inputs: str
    options: str

    @property
    def digest(self) -> str:
        """Hash the key: 16 hex digits."""
        return fingerprint([self.inputs, self.options])


@dataclass(frozen=True)
class Output:
    """Size (bytes) and checksum (SHA-256, 16 hex digits) of a file, as it was written."""

    size: int
    checksum: str


@dataclass(frozen=True)
class Record:
    """What a stage, or a part of it, has done; ``outputs`` are named by their paths below the root."""

    key: Key
    outputs: Mapping[str, Output]
    summary: Mapping[str, Any]

    def has_outputs(self, root: Path) -> bool:
        """Return whether all outputs are there with the size that they were written with."""
        return all(_size(output_path(root, name)) == output.size for name, output in self.outputs.items())


@dataclass(frozen=True)
class StageType:
    """One type of stage: its name, the shapes of its summaries (see StateType), what is done again after damage.

    ``whole`` is the summary of the stage, ``part`` that of each of its parts.
    """

    name: str
    again: str
    whole: Mapping[str, Any] = field(default_factory=dict)
    part: Mapping[str, Any] = field(default_factory=dict)
    part_again: str = ""


@dataclass(frozen=True)
class Stage:
    """The record of a stage in one folder or, with ``index``, of one of its parts: a batch number or a name.

    Batches lie in ``_lo2dask/records/STAGE/000000.json``, named parts in ``_lo2dask/STAGE/NAME.json``, the whole stage
    in ``_lo2dask/STAGE.json``.
    """

    layout: Layout
    type: StageType
    index: int | str | None = None

    @property
    def path(self) -> Path:
        """Return the record's file."""
        if self.index is None:
            return self.layout.marker(self.type.name)
        if isinstance(self.index, int):
            return self.layout.record(self.type.name, self.index)
        return self.layout.internal / self.type.name / f"{self.index}.json"

    @property
    def again(self) -> str:
        """Say what is done again where the record is damaged."""
        return self.type.again if self.index is None else self.type.part_again or self.type.again

    def part(self, index: int | str) -> "Stage":
        """Return the record of one part of this stage."""
        return replace(self, index=index)

    def read(self) -> Record | None:
        """Read the record; None where there is none, or where it is damaged, which is reported."""
        return self._record(read_state(self.path, self._state))

    def inspect(self) -> tuple[Record | None, str]:
        """Read the record, if it is there and whole, and what is wrong with its file, "" if nothing; no warning."""
        content, problem = inspect_state(self.path, self._state)
        return self._record(content), problem

    def read_current(self, key: Key) -> Record | None:
        """Read the record if it has this key and all its outputs are there with their sizes."""
        record = self.read()
        return record if record and record.key == key and record.has_outputs(self.layout.root) else None

    def is_current(self, key: Key) -> bool:
        """Return whether all outputs that were made from this key are there."""
        return self.read_current(key) is not None

    def commit(self, key: Key, outputs: Iterable[Path], summary: Mapping[str, Any], durable: bool = True) -> Record:
        """Record outputs, which must be flushed and in place; a record that is not ``durable`` needs :meth:`flush`."""
        record = Record(key, describe_outputs(self.layout.root, outputs), summary)
        self.write(record, durable)
        return record

    def write(self, record: Record, durable: bool = True) -> None:
        """Write a record of outputs that are described already."""
        outputs = {name: asdict(output) for name, output in record.outputs.items()}
        content = {**asdict(record.key), "part": self.index, "outputs": outputs, "summary": dict(record.summary)}
        write_state(self.path, self._state, content, durable)

    def update(self, outputs: Iterable[Path], durable: bool = True) -> bool:
        """Record that a later stage wrote some outputs again; return whether there is a record."""
        record = self.read()
        if record is None:
            return False
        self.write(replace(record, outputs={**record.outputs, **describe_outputs(self.layout.root, outputs)}), durable)
        return True

    def invalidate(self) -> None:
        """Remove the record: its outputs are about to change."""
        self.path.unlink(missing_ok=True)

    def parts(self) -> list["Stage"]:
        """List the parts that have a record's file, in order: batches first, then named parts."""
        batches = [path.stem for path in list_paths(self.layout.record(self.type.name, 0).parent, ".json")]
        names = [path.stem for path in list_paths(self.layout.internal / self.type.name, ".json")]
        return [*(self.part(int(stem)) for stem in batches if stem.isdigit()), *map(self.part, names)]

    def records(self) -> Iterator[Record]:
        """Read the records of the parts, in order; damaged ones are reported and left out."""
        return (record for part in self.parts() if (record := part.read()))

    def flush(self, indices: Iterable[int | str]) -> None:
        """Flush the records of some parts to disk, before a record of the whole stage counts on them."""
        flush_all(self.part(index).path for index in indices)

    def keep_parts(self, indices: Collection[int | str]) -> None:
        """Remove the records of parts that an earlier plan left."""
        wanted = set(indices)
        for part in self.parts():
            if part.index not in wanted:
                part.invalidate()

    @property
    def _state(self) -> StateType:
        summary = self.type.whole if self.index is None else self.type.part
        # A record in the place of another part's is damage too.
        fields = {"part": self.index, "inputs": str, "options": str, "outputs": {str: _OUTPUT}}
        return StateType(self.type.name, {**fields, "summary": summary}, self.again)

    def _record(self, content: Mapping[str, Any] | None) -> Record | None:
        if content is None:
            return None
        outputs = {name: Output(**entry) for name, entry in content["outputs"].items()}
        return Record(Key(content["inputs"], content["options"]), outputs, content["summary"])


def describe_outputs(root: Path, paths: Iterable[Path]) -> dict[str, Output]:
    """Return size and checksum of files, by their paths below the root; a file outside keeps its whole path."""
    listed = list(paths)
    with ThreadPoolExecutor(_THREADS) as pool:
        described = pool.map(lambda path: Output(status(path).st_size, checksum(path)), listed)
        return dict(zip((_output_name(root, path) for path in listed), described, strict=True))


def output_path(root: Path, name: str) -> Path:
    """Return the path of an output that a record names."""
    return to_path(name) if "://" in name else root / name


def prune_outputs(folders: Iterable[Path], root: Path, records: Iterable[Record], keep: Iterable[Path] = ()) -> None:
    """Remove from tables the parts that no record names and that are not to keep, and what a killed process left."""
    named = {output_path(root, name) for record in records for name in record.outputs} | set(keep)
    for folder in folders:
        prune_parts(folder, [path.name for path in named if path.parent == folder])


def unnamed_parts(folders: Iterable[Path], root: Path, records: Iterable[Record]) -> list[Path]:
    """List the parts of tables that no record names."""
    named = {output_path(root, name) for record in records for name in record.outputs}
    return [path for folder in folders for path in part_paths(folder) if path not in named]


def _output_name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _size(path: Path) -> int | None:
    try:
        return status(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        return None
