"""Finds what phase F says of one sequence, for ``lo2dask explain --seq-id``."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import strings
from lo2dask.buffers.visible import visible
from lo2dask.errors import InputError
from lo2dask.explanation.artefacts import Artefacts
from lo2dask.explanation.refit import trained_models
from lo2dask.explanation.story import tell
from lo2dask.explanation.tasks import template_texts
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part, read_parts, read_rows

# Names that are compared letter by letter with one that is not known; more would take seconds.
COMPARED = 5_000


def story(root: Path, seq_id: str) -> str:
    """Write what each explained model finds of one sequence.

    Raises
    ------
    InputError : there is no such sequence (names similar ones), or nothing has been explained.
    """
    layout = Layout(root)
    explained = {key: Artefacts(layout.explainability, key) for key in trained_models(layout)}
    explained = {key: files for key, files in explained.items() if part_paths(files.predictions)}
    if not explained:
        raise InputError(f"--root {root}: nothing is explained in it; first: lo2dask explain --root {root}")
    if not _is_there(layout, seq_id):
        raise InputError(_unknown(layout, seq_id))
    texts = template_texts(layout)
    told = (_of_model(key, files, seq_id, texts) for key, files in explained.items())
    return "\n\n".join([visible(seq_id), *told]) + "\n"


def _of_model(key: str, files: Artefacts, seq_id: str, texts: Mapping[str, str]) -> str:
    """Write one model's view; a model per service may know nothing of this one's service."""
    flagged = _rows(files.explanations, seq_id)
    if flagged:
        return tell(flagged[0], key, texts)
    predicted = _rows(files.predictions, seq_id)
    if not predicted:
        return f"{key} has no model of its service"
    row = predicted[0]
    return f"{key} does not flag it: score {row[f'score_{key}']:.6g}, rank {row[f'rank_{key}']}, {row['split']}"


def _rows(folder: Path, seq_id: str) -> list[dict[str, Any]]:
    paths = part_paths(folder)
    return read_rows(paths, filters=pc.field("seq_id") == seq_id).to_pylist() if paths else []


def _is_there(layout: Layout, seq_id: str) -> bool:
    wanted = pa.array([seq_id])
    parts = (read_part(path, ["seq_id"])["seq_id"] for path in part_paths(layout.sequences))
    return any(pc.any(pc.is_in(strings(ids), wanted)).as_py() for ids in parts)


def _unknown(layout: Layout, seq_id: str) -> str:
    near = _nearest(layout, seq_id)
    there = f"some are {', '.join(map(visible, near))}" if near else "it has none"
    return f"--seq-id {visible(seq_id)}: no such sequence in {layout.sequences}; {there}"


def _nearest(layout: Layout, seq_id: str) -> list[str]:
    """Name the sequences most like a mistyped one: first those with the most of its words, of these the closest."""
    words = [word for word in seq_id.split("__") if word]
    ranked: dict[int, list[str]] = {}
    for part in read_parts(layout.sequences, ["seq_id"]):
        for name in strings(part["seq_id"]).to_pylist():
            alike = ranked.setdefault(sum(word in name for word in words), [])
            if len(alike) < COMPARED:
                alike.append(name)
    best = ranked[max(ranked)] if ranked else []
    return difflib.get_close_matches(seq_id, best, n=3, cutoff=0.3) or best[:3]
