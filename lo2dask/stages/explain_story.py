"""Finds what phase F says of one sequence, for ``lo2dask explain --seq-id``."""

import difflib
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from lo2dask.errors import InputError
from lo2dask.explain.story import tell
from lo2dask.explain.text import visible
from lo2dask.models.text import strings
from lo2dask.report.artefacts import Artefacts
from lo2dask.stages.explain_refit import trained_models
from lo2dask.stages.explain_tasks import template_texts
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_parts


def story(root: Path, seq_id: str) -> str:
    """Tell what each explained model says of one sequence.

    Raises
    ------
    InputError : there is no such sequence (names similar ones), or nothing has been explained.
    """
    layout = Layout(root)
    models = [key for key in trained_models(layout) if Artefacts(layout.explainability, key).predictions.is_dir()]
    if not models:
        raise InputError(f"--root {root}: nothing is explained in it; first: lo2dask explain --root {root}")
    texts = template_texts(layout)
    told = [visible(seq_id)]
    for key in models:
        files = Artefacts(layout.explainability, key)
        chosen = pc.field("seq_id") == seq_id
        predicted = pq.read_table(files.predictions, filters=chosen).to_pylist()
        if not predicted:
            raise InputError(_unknown(layout, seq_id))
        flagged = (
            pq.read_table(files.explanations, filters=chosen).to_pylist() if part_paths(files.explanations) else []
        )
        if flagged:
            told.append(tell(flagged[0], key, texts))
        else:
            row = predicted[0]
            told.append(f"{key} does not flag it: score {row[f'score_{key}']:.6g}, rank {row[f'rank_{key}']}")
    return "\n\n".join(told) + "\n"


def _unknown(layout: Layout, seq_id: str) -> str:
    ids = [name for part in read_parts(layout.sequences, ["seq_id"]) for name in strings(part["seq_id"]).to_pylist()]
    near = difflib.get_close_matches(seq_id, ids[:20_000], n=3, cutoff=0.3) or ids[:3]
    return (
        f"--seq-id {visible(seq_id)}: no such sequence in {layout.sequences}; some are {', '.join(map(visible, near))}"
    )
