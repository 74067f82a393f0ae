"""Which line format each kind of a tree's files has: told by a sample of them, once, when a load is planned."""

import heapq
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lo2dask.buffers.padded import padded
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.formats.detect import LEAST_SHARE, Choice, detect, narrow, try_format, with_notes
from lo2dask.formats.fields import TextLines
from lo2dask.formats.kinds import UNREAD, KindFormat, Translation
from lo2dask.formats.lo2 import LO2
from lo2dask.formats.user_format import check_timezone, read_user_format
from lo2dask.formats.wrappers import find_wrappers, with_own_time
from lo2dask.models.sample import hashes
from lo2dask.options import LoadingOptions
from lo2dask.parse.chunks import Chunk, Reading, Segment, read_chunks
from lo2dask.parse.lines import find_lines
from lo2dask.parse.text import remove_marks
from lo2dask.parse.translate import text_lines
from lo2dask.schema import MANIFEST
from lo2dask.sources.names import listed, run_clock
from lo2dask.sources.tree import SourceFile
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import read_parts

logger = logging.getLogger(__name__)

SAMPLED_FILES, MOST_KINDS, SAMPLED_BYTES = 20, 200, 64 << 10
# A single file may be the odd one of its kind.
LEAST_FILES = 3
GOOD_SHARE = 0.9
_WAY_OUT = "load such lines with --format plain, or describe them in a YAML file (--format FILE.yaml)"


def choose_formats(layout: Layout, options: LoadingOptions, session: Session) -> Translation:
    """Choose the format of each kind of the planned files, and say which.

    A worker reads the sample: it needs the compiled code in any case, and this process does not.

    Raises
    ------
    InputError : no format, or not the one asked for, finds headers in half of the lines of most kinds.
    """
    check_zone(options.timezone)
    asked = read_asked(options.format)
    if asked and asked.is_lo2:
        return Translation({})
    found = session.call(_try_formats, layout, options, asked, label="formats")
    if isinstance(found, InputError):
        raise found
    translation, told = found
    for level, text in told:
        logger.log(level, "%s", text)
    return translation


def _try_formats(layout: Layout, options: LoadingOptions, asked: KindFormat | None) -> Any:
    """Return what :func:`find_formats` does or raises: of what a task raises, Dask logs a traceback."""
    try:
        return find_formats(layout, options, asked)
    except InputError as error:
        return error


def find_formats(
    layout: Layout, options: LoadingOptions, asked: KindFormat | None
) -> tuple[Translation, list[tuple[int, str]]]:
    """Find the format of each kind of the planned files in a sample, or check the one that is ``asked`` for.

    Returns
    -------
    the formats, and what is to be told about them: (level of logging, text).

    Raises
    ------
    InputError : as for :func:`choose_formats`.
    """
    files = _sample(layout, options.sample_seed)
    samples = {kind: lines for kind, some in files.items()
               if len((lines := read_sample(some, options.timezone)).starts)}  # fmt: skip
    choices = {kind: _choose(asked, lines) for kind, lines in samples.items()}
    if not choices:
        return Translation({}, asked or KindFormat(LO2.name), options.timezone), []
    unread, told = _check(choices, files, asked)
    choices = {kind: choice for kind, choice in choices.items() if kind not in unread}
    kinds = {kind: narrow(choice.kind, samples[kind]) for kind, choice in choices.items()}
    common = asked or Counter(kinds.values()).most_common(1)[0][0]
    translation = Translation(kinds | dict.fromkeys(unread, KindFormat(UNREAD)), common, options.timezone)
    noted: dict[str, list[str]] = {}
    for kind, choice in sorted(choices.items()):
        for note in choice.notes:
            noted.setdefault(note, []).append(kind)
    notes = [f"{', '.join(of)}: {note}" for note, of in noted.items()]
    notes += _undated(choices, files)
    if not translation.is_needed:
        more = [(logging.INFO, text) for text in (describe(choices), *notes)] if notes else []
        return translation if unread else Translation({}), [*told, *more]
    return translation, [*told, *((logging.INFO, text) for text in (describe(choices), *notes))]


def _undated(choices: dict[str, Choice], files: dict[str, list[SourceFile]]) -> list[str]:
    """Tell which kinds have times of day alone, where no name tells a day."""
    # Lines that are LO2's anyway are not translated, and only an epoch puts them on days.
    is_lo2 = all(choice.kind.is_lo2 for choice in choices.values())
    kinds = [
        kind for kind, choice in sorted(choices.items())
        if not choice.has_date
        and any(run_clock(file.run).begin_ms is None and (is_lo2 or file.day_ms is None) for file in files[kind])
    ]  # fmt: skip
    if not kinds:
        return []
    if is_lo2:
        return [f"{listed(kinds)}: times have no date, nor names of runs an epoch: days count from 1970-01-01"]
    return [f"{listed(kinds)}: times have no date, nor have names: the day is told by each file's time of change"]


def check_zone(name: str) -> None:
    """Check that a zone is known.

    Raises
    ------
    InputError : it is not.
    """
    try:
        check_timezone(name)
    except ValueError as error:
        raise InputError(f"--{error}") from error


def check_formats(layout: Layout, options: LoadingOptions, translation: Translation) -> None:
    """Check that planned files have the formats that a bundle remembers.

    Raises
    ------
    InputError : those of a kind have another one.
    """
    for kind, files in _sample(layout, options.sample_seed).items():
        if translation.of(kind).name == UNREAD:
            continue
        lines = read_sample(files, translation.timezone)
        choice = try_format(translation.of(kind), lines)
        if (
            len(lines.starts)
            and choice.share < LEAST_SHARE
            and (translation.is_needed or detect(lines).share > GOOD_SHARE)
        ):
            raise InputError(
                f"{kind}: {choice.share:.0%} of the lines have a header of the format {choice.kind.label}, which the "
                f"bundle was fitted on; fit one on such logs{_shown(choice)}"
            )


def read_asked(name: str) -> KindFormat | None:
    """Return the format that an option names, None for ``auto``.

    Raises
    ------
    InputError : there is none of that name, or its file is no format.
    """
    if name == "auto":
        return None
    if name.endswith((".yaml", ".yml")):
        own = read_user_format(Path(name))
        return KindFormat(str(own["name"]), (), own)
    kind = KindFormat(name)
    _ = kind.reader
    return kind


def describe(choices: dict[str, Choice]) -> str:
    """Write which format kinds of files have, and how many of their lines have a header."""
    groups: dict[str, list[str]] = {}
    for kind, choice in sorted(choices.items()):
        groups.setdefault(choice.kind.label, []).append(kind)
    texts = []
    for label, kinds in groups.items():
        headed, lines = (sum(getattr(choices[kind], name) for kind in kinds) for name in ("headed", "lines"))
        share = f"{_percent(headed, lines)} of lines have a header" if headed else "no header is looked for"
        texts.append(f"{listed(kinds)}: {label}, {share}")
    return "; ".join(texts)


def read_sample(files: Sequence[SourceFile], timezone: str, size: int = SAMPLED_BYTES) -> TextLines:
    """Read the whole lines in the first ``size`` bytes of some files, those that are text."""
    chunks = [chunk for file in files for chunk in _first_chunk(file, size)]
    pieces = [
        (segment.file, text) for chunk in chunks for segment, text in zip(chunk.segments, chunk.texts(), strict=True)
    ]
    segments = [Segment(index, file, len(text), True, True) for index, (file, text) in enumerate(pieces)]
    chunk = Chunk(segments, padded(*(text for _, text in pieces)))
    lines = find_lines(chunk.buffer)
    if not segments:
        none = np.zeros(0, np.int64)
        return TextLines(chunk.buffer, none, none, none > 0, none, none, none, none, timezone)
    return text_lines(chunk, lines, segments, (0, len(lines.starts)), timezone)


def _first_chunk(file: SourceFile, size: int) -> list[Chunk]:
    """Return the begin of a file as a chunk of whole lines; none of what cannot be read."""
    some = replace(file, size=min(file.size, size), mtime_ns=0)
    found = []
    # Of a compressed log nobody knows the size: its first chunk is enough.
    for chunk in islice(read_chunks([some], Reading()), 1):
        (text,) = remove_marks(chunk).texts()
        if some.size < file.size or len(text) > size:
            text = text[:size]
            text = text[: text.removesuffix(b"\n").rfind(b"\n") + 1] or text.removesuffix(b"\n") + b"\n"
        text = text.decode(errors="replace").encode()
        found.append(Chunk([Segment(0, file, len(text), True, True)], padded(text)))
    return found


def _choose(asked: KindFormat | None, lines: TextLines) -> Choice:
    return with_notes(detect(lines) if asked is None else try_wrapped(asked, lines), lines)


def try_wrapped(asked: KindFormat, lines: TextLines) -> Choice:
    """Count the headers of one format in some lines, within their wrappers where more are found there."""
    bare = try_format(asked, lines)
    wrappers = find_wrappers(lines)
    wrapped = [try_format(replace(asked, wrappers=way), lines) for way in (wrappers, with_own_time(wrappers)) if way]
    # Of equal shares, the one within the wrapper counts; without any header (plain), the line is left whole.
    best = max(wrapped, key=lambda choice: choice.share, default=bare)
    return best if best.headed and best.share >= bare.share else bare


def _check(
    choices: dict[str, Choice], files: dict[str, list[SourceFile]], asked: KindFormat | None
) -> tuple[list[str], list[tuple[int, str]]]:
    """Return the kinds of which too few lines were understood, which are left out; and warnings.

    Raises
    ------
    InputError : most kinds are left out.
    """
    filled = {kind: choice for kind, choice in sorted(choices.items()) if choice.lines}
    unread = [kind for kind, choice in filled.items() if choice.share < LEAST_SHARE]
    reasons = [_unread(kind, choices[kind], files[kind][0], asked) for kind in unread]
    if 2 * len(unread) > len(filled):
        raise InputError(reasons[0])
    warnings = [f"left out: {reason}" for reason in reasons]
    for kind, choice in filled.items():
        if kind not in unread and choice.share < GOOD_SHARE and not choice.kind.is_lo2:
            rest = _percent(choice.lines - choice.headed, choice.lines)
            shown = " | ".join(choice.others)
            warnings.append(
                f"{kind}: {rest} of the lines have no header of the format {choice.kind.label}, such as: {shown}"
            )
    return unread, [(logging.WARNING, text) for text in warnings]


def _unread(kind: str, choice: Choice, file: SourceFile, asked: KindFormat | None) -> str:
    """Write why files are left out, and the ways out."""
    path = file.place
    best = f" ({choice.kind.label} has most)" if choice.headed else ""
    wanted = f"of the format {choice.kind.label}" if asked else f"of a known format{best}"
    return (
        f"{kind}: only {_percent(choice.headed, choice.lines)} of the lines have a header {wanted}, such as in {path}; "
        f"{_notes(choice)}{_WAY_OUT}, or leave them out with --exclude '*{kind}*'{_shown(choice)}"
    )


def _notes(choice: Choice) -> str:
    return "".join(f"{note}; " for note in choice.notes)


def _shown(choice: Choice) -> str:
    return f"; not understood: {' | '.join(choice.others)}" if choice.others else ""


def _percent(part: int, whole: int) -> str:
    """Write a share; only a whole one is 100 %."""
    return f"{min(100 * part / whole, 99.9 if part < whole else 100):.3g} %" if whole else "0 %"


def _sample(layout: Layout, seed: int) -> dict[str, list[SourceFile]]:
    """Draw up to SAMPLED_FILES of the planned files, but LEAST_FILES of each kind, of MOST_KINDS kinds."""
    names = [name for name in MANIFEST.names if name not in ("selected", "why")]
    drawn: dict[str, list[tuple[int, str, str, SourceFile]]] = {}
    for count, table in enumerate(read_parts(layout.manifest, [*names, "selected"])):
        rows = table.filter(table["selected"]).select(names)
        parts = (rows[name].to_pylist() for name in ("run", "test_case", "name"))
        paths = ["/".join(part) for part in zip(*parts, strict=True)]
        keys, services = hashes(paths, seed).tolist(), rows["service"].to_pylist()
        for row, (key, path, service) in enumerate(zip(keys, paths, services, strict=True)):
            if service not in drawn and len(drawn) == MOST_KINDS:
                continue
            kept = drawn.setdefault(service, [])
            is_full = len(kept) == SAMPLED_FILES
            if not is_full or -key > kept[0][0]:
                file = SourceFile.of_row(rows.slice(row, 1).to_pylist()[0])
                (heapq.heapreplace if is_full else heapq.heappush)(kept, (-key, path, f"{count} {row}", file))
    each = max(SAMPLED_FILES // max(len(drawn), 1), LEAST_FILES)
    return {kind: [file for *_, file in sorted(kept, reverse=True)[:each]] for kind, kept in sorted(drawn.items())}
