"""The text pass as a map of its own, for tables that were loaded without it or with other masks or tokens."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lo2dask import schema
from lo2dask.buffers.columns import strings
from lo2dask.errors import InputError, IntegrityError
from lo2dask.execute.session import Session
from lo2dask.features.masks import Mask, load_masks, masks_fingerprint
from lo2dask.features.textpass import TextPass, TextTables
from lo2dask.formats.kinds import Translation
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.registry import find_format
from lo2dask.ingest.batch import TEXT, TextJob, read_blocks, text_key, write_text
from lo2dask.memory import parse_bytes
from lo2dask.options import EnhancingOptions, LoadOptions, fingerprint
from lo2dask.parse.chunks import Reading
from lo2dask.parse.columns import FILE, FileKeys
from lo2dask.parse.events import EventParser, LinePolicy
from lo2dask.schema import TokenKinds
from lo2dask.sources.manifest import Batch, batch_files, cut_batches
from lo2dask.sources.tree import SourceFile
from lo2dask.storage import to_path
from lo2dask.tables.layout import Layout, part_index, part_name
from lo2dask.tables.loads import LOAD, read_load
from lo2dask.tables.parts import part_paths, read_metadata, read_part, read_row_groups
from lo2dask.tables.records import Key, Stage, StageType

ENHANCE = StageType("enhance", "the enhancement is done again")
_TEXT_COLUMNS = ["seq_id", "m_timestamp", "m_message", "thread", "correlation_id", "level", "logger", "is_continuation"]
_TEXT_COLUMNS += ["e_words_len", "e_trigrams_len", "e_chars_len", "line_no", "normal"]


@dataclass(frozen=True)
class EnhanceKey:
    """What the enhanced tables depend on, beyond the loaded ones."""

    masks: tuple[Mask, ...]
    kinds: TokenKinds
    token_lists: bool
    keep_normalized: bool
    max_features: int
    window_ms: int = 0

    @classmethod
    def of(cls, options: EnhancingOptions, masks: tuple[Mask, ...]) -> "EnhanceKey":
        """Take the key from a command's options."""
        kinds = TokenKinds.of(options.tokens)
        return cls(
            masks, kinds, options.keep_token_lists, options.keep_normalized, options.max_features, options.window_ms
        )

    @property
    def text(self) -> str:
        """Hash what the text pass depends on: 16 hex digits."""
        # A table of a version that had other columns is made again.
        return fingerprint([masks_fingerprint(self.masks), self.kinds.names, schema.ENHANCED.names, self.window_ms])

    @property
    def all(self) -> str:
        """Hash the whole key: 16 hex digits."""
        return fingerprint([self.text, self.token_lists, self.keep_normalized, self.max_features])


def loaded(layout: Layout) -> dict[str, Any]:
    """Read the record of a folder's finished load: root, options, inputs (a hash).

    Raises
    ------
    InputError : there is no finished load, or it is one of another version.
    """
    marker = read_load(layout)
    if not marker or not marker["done"]:
        raise InputError(f"--root {layout.root}: no finished load in it; give the --output-dir of load or run")
    return marker


def read_format(layout: Layout) -> LineFormat:
    """Return the line format that a folder was loaded with.

    Raises
    ------
    InputError : there is no finished load, or its format is not known here.
    """
    return find_format(loaded(layout)["format"])


def read_masks(layout: Layout, mask_file: Path | None) -> tuple[Mask, ...]:
    """Return the masks of a folder's logs.

    Raises
    ------
    InputError : there is no finished load, or the mask file cannot be used.
    """
    return load_masks(mask_file, loaded(layout)["format"])


def read_translation(layout: Layout) -> Translation:
    """Return which format each kind of the files has that a folder was loaded from.

    Raises
    ------
    InputError : there is no finished load.
    """
    return Translation.from_plain(loaded(layout)["formats"])


def load_fingerprint(layout: Layout) -> str:
    """Hash what the loaded tables were made from."""
    marker = loaded(layout)
    return fingerprint([marker["options"], marker["inputs"]])


def has_text(layout: Layout, key: EnhanceKey) -> bool:
    """Return whether the text pass of the loaded tables ran with these masks and tokens; files are not looked at."""
    return Stage(layout, TEXT).is_current(Key(load_fingerprint(layout), key.text))


def text_is_current(layout: Layout, key: EnhanceKey) -> bool:
    """Return whether the text pass ran with these masks and tokens, and all that it has written is there."""
    parts = (part.read() for part in Stage(layout, TEXT).parts())
    return has_text(layout, key) and all(record and record.has_outputs(layout.root) for record in parts)


def mark_text(layout: Layout, key: str) -> None:
    """Record that the text pass of a key is done."""
    Stage(layout, TEXT).commit(Key(load_fingerprint(layout), key), [], {})


def resolve_token_kinds(layout: Layout, key: EnhanceKey) -> EnhanceKey:
    """Take tables with masked and raw bags where masked ones are asked for: they hold these, and lose nothing."""
    both = replace(key, kinds=TokenKinds(masked=True, raw=True))
    return both if not key.kinds.raw and has_text(layout, both) else key


def has_raw_bags(layout: Layout, options: EnhancingOptions) -> bool:
    """Return whether a folder's tables have, or will get by enhancement, raw bags next to the masked ones."""
    return resolve_token_kinds(layout, EnhanceKey.of(options, read_masks(layout, options.mask_file))).kinds.both


def table_has_raw_bags(layout: Layout) -> bool:
    """Return whether the enhanced table (its first part, if readable) has raw bags next to the masked ones."""
    for path in part_paths(layout.enhanced):
        with contextlib.suppress(OSError, pa.ArrowException):
            return set(schema.RAW.values()) <= set(read_metadata(path).schema.to_arrow_schema().names)
    return False


def need_bags(asked: str, kinds: Iterable[str], has_raw: bool) -> None:
    """Check that tables have the bags that ``asked`` reads; ``has_raw`` is whether they have the raw ones.

    Raises
    ------
    InputError : they have not.
    """
    missing = [schema.RAW[kind] for kind in kinds if kind in schema.RAW and not has_raw]
    if missing:
        raise InputError(f"{asked}: the tables have no {missing[0]}; load with --tokens both, which adds it")


def run_text_pass(layout: Layout, key: EnhanceKey, raw_root: Path | None, session: Session) -> None:
    """Take the text of every batch again: from lo2_events.parquet, else from the raw tree that the manifest names.

    Batches whose text pass is current are left as they are.
    """
    marker = loaded(layout)
    Stage(layout, TEXT).invalidate()
    options = LoadOptions(root=to_path(marker["root"]), **marker["options"])
    line_format = read_format(layout)
    job = TextJob(key.masks, key.kinds, options.save_events, key.text, line_format, key.window_ms)
    if options.save_events:
        names = [path.name for path in part_paths(layout.sequences)]
        waiting: list[Any] = [name for name in names if not _is_current(layout, part_index(name), job)]
        session.map(text_from_events, waiting, "text", root=layout.root, job=job)
    else:
        batches = list(cut_batches(part_paths(layout.manifest), parse_bytes(options.partition_size)))
        policy = LinePolicy.from_options(options, line_format, read_translation(layout), marker["is_lo2"])
        source = RawSource(policy, moved_root(layout, raw_root))
        waiting = [batch for batch in batches if not _is_current(layout, batch.index, job)]
        session.map(text_from_raw, waiting, "text", root=layout.root, job=job, source=source)
    mark_text(layout, key.text)


@dataclass(frozen=True)
class RawSource:
    """How the raw logs are read again; ``moved`` is the tree's old and new path."""

    policy: LinePolicy
    moved: tuple[str, str] | None


def text_from_events(name: str, root: Path, job: TextJob) -> int:
    """Run the text pass of one part from its events; return its sequences."""
    layout = Layout(root)
    sequences = read_part(layout.sequences / name)
    ids = sequences["seq_id"].cast("string").combine_chunks()
    text = job.start(len(ids))
    for events in read_row_groups(layout.events / name, _TEXT_COLUMNS, dictionary=ids):
        codes = events["seq_id"].combine_chunks().indices
        text.add(events.append_column(FILE, codes))
    _write(layout, name, text.tables(sequences, np.arange(len(ids))), text, job)
    return len(ids)


def text_from_raw(batch: Batch, root: Path, job: TextJob, source: RawSource) -> int:
    """Run the text pass of one batch from its raw logs; return its sequences.

    Raises
    ------
    IntegrityError : the logs are not those that were loaded.
    """
    layout, name = Layout(root), part_name(batch.index)
    files = [moved_file(file, source.moved) for file in batch_files(batch)]
    sequences = read_part(layout.sequences / name)
    # Labels of parts of runs are in the tables alone.
    labels = dict(zip(strings(sequences["seq_id"]).to_pylist(), sequences["normal"].to_pylist(), strict=True))
    ids = [schema.seq_id(file.run, file.test_case, file.name) for file in files]
    keys = FileKeys.of([replace(file, normal=labels.get(one)) for file, one in zip(files, ids, strict=True)])
    text = job.start(len(files))
    lengths = np.zeros(len(files), dtype=np.int64)
    parser = EventParser(keys, source.policy, Reading(), with_text=True, with_ids=text.reads_ids)
    for block in read_blocks(parser, files):
        text.add(block)
        lengths += np.bincount(block[FILE.name].to_numpy(), minlength=len(files))
    rows = np.flatnonzero(lengths)
    if lengths[rows].tolist() != sequences["seq_len"].to_pylist():
        raise IntegrityError(f"{files[0].path} and the logs after it are not those that were loaded; load again")
    _write(layout, name, text.tables(sequences, rows), text, job)
    return len(rows)


def _write(layout: Layout, name: str, tables: TextTables, text: TextPass, job: TextJob) -> None:
    """Write and record what the text pass of a batch leaves."""
    part = Stage(layout, TEXT).part(part_index(name))
    part.invalidate()
    written = write_text(layout, name, tables, text)
    part.commit(_part_key(layout, part_index(name), job), written, job.summary)


def _is_current(layout: Layout, index: int, job: TextJob) -> bool:
    return Stage(layout, TEXT).part(index).is_current(_part_key(layout, index, job))


def _part_key(layout: Layout, index: int, job: TextJob) -> Key:
    """Return the key of a batch's text pass.

    Raises
    ------
    IntegrityError : the batch has no record.
    """
    part = Stage(layout, LOAD).part(index)
    record = part.read()
    if record is None:
        raise IntegrityError(f"{part.path}: missing or damaged; load again")
    return text_key(record.key, job)


def moved_root(layout: Layout, raw_root: Path | None) -> tuple[str, str] | None:
    """Return the path of the raw tree when it was loaded and the one now; None where it has not moved."""
    return (loaded(layout)["root"], str(raw_root.resolve())) if raw_root else None


def moved_file(file: SourceFile, moved: tuple[str, str] | None) -> SourceFile:
    """Return a log of the manifest where it is now."""
    if moved is None or not file.path.startswith(moved[0]):
        return file
    return replace(file, path=moved[1] + file.path.removeprefix(moved[0]))
