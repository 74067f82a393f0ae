"""Runs to compare with where a user names them, or where nothing is labelled: what stands in for labelled normals."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from lo2dask.errors import InputError
from lo2dask.models.spec import OPEN, ModelSpec
from lo2dask.models.split import REFERENCE, Groups, Split


def choose_reference(given: Sequence[str], groups: Groups) -> Split | None:
    """Hold out all runs but the reference; None where models learn from labels.

    Without ``given`` (--reference) that is all runs if no run is labelled normal and some have no label.

    Raises
    ------
    InputError : a glob is like no run, a file cannot be read, or a run that it lists is not there.
    """
    if not given and not is_unlabelled(groups):
        return None
    runs = groups.names("run")
    chosen = runs if not given else {run for one in given for run in _runs_of(one, runs)}
    return Split(REFERENCE, runs=frozenset(runs - chosen))


def is_unlabelled(groups: Groups) -> bool:
    """Return whether no run is labelled normal, as some have no label."""
    return not groups.normal.any() and bool(groups.unlabelled.any())


def may_hold_faults(split: Split, groups: Groups) -> bool:
    """Return whether runs without a label are learned from as if they were normal."""
    return split.by == REFERENCE and bool(groups.names("run", groups.unlabelled) - split.runs)


def describe(split: Split, groups: Groups, left_out: Sequence[str]) -> str:
    """Say in one line what is compared with what; ``left_out`` are models that need labels."""
    runs = groups.names("run")
    learned = len(runs - split.runs)
    whole = "all" if learned == len(runs) else f"{learned} of"
    text = f"compared with {whole} {len(runs)} runs, each judged without itself"
    if may_hold_faults(split, groups):
        text += "; none is labelled normal, so excess takes .9 quantiles instead of maxima, and lack joins"
    if is_unlabelled(groups):
        names = f"left out: {', '.join(left_out)}; " if left_out else ""
        text = f"nothing is labelled normal: {names}no measures; {text}"
    return text


def open_specs(specs: Sequence[ModelSpec]) -> list[ModelSpec]:
    """Return the models as they learn from runs that may hold faults."""
    return [
        replace(spec, params={**spec.params, OPEN: True}) if spec.behaviour.open_merging else spec for spec in specs
    ]


def trainable(specs: Sequence[ModelSpec], groups: Groups) -> list[ModelSpec]:
    """Return the models that can learn from the labels there are: without any, those that are not supervised.

    Raises
    ------
    InputError : there is none.
    """
    if not is_unlabelled(groups):
        return list(specs)
    kept = [spec for spec in specs if not spec.supervised]
    if specs and not kept:
        raise InputError("nothing is labelled normal, and all models of --models need labels; name excess, or label")
    return kept


def _runs_of(given: str, runs: set[str]) -> set[str]:
    path = Path(given)
    if not path.is_file():
        found = {run for run in runs if fnmatchcase(run, given)}
        if not found:
            raise InputError(
                f"--reference {given}: no run is like that, and no file has that name; there is {min(runs)}"
            )
        return found
    listed = read_runs(path)
    missing = sorted(listed - runs)
    if missing:
        raise InputError(f"--reference {given}: {missing[0]} is no run of this folder")
    return listed


def read_runs(path: Path) -> set[str]:
    """Read names of runs: a line each, or the column ``run`` of a CSV file.

    Raises
    ------
    InputError : the file cannot be read, or has no name.
    """
    try:
        rows = [row for row in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--reference {path}: cannot be read as text or CSV: {error}") from error
    column = rows[0].index("run") if rows and "run" in rows[0] else 0
    found = {row[column].strip() for row in rows[rows[:1] != [] and "run" in rows[0] :] if len(row) > column}
    if not found - {""}:
        raise InputError(f"--reference {path}: it names no run; write the name of a run on each line")
    return found - {""}
