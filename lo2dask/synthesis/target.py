"""The folder to write into: new, empty, or one that synth wrote before and may replace."""

import json
import shutil
from pathlib import Path
from typing import Final

from lo2dask.errors import InputError
from lo2dask.options import SynthOptions
from lo2dask.storage import LOCK
from lo2dask.synthesis.faults import CUT_TAR, faulty_run
from lo2dask.synthesis.sidecars import STRAYS

MARKER: Final = ".lo2dask-synth.json"
"""Lists what synth wrote at the top of the folder, so that it replaces nothing else."""


def prepare_target(options: SynthOptions, entries: list[str]) -> None:
    """Make the folder ready, removing an earlier tree of synth's.

    Raises
    ------
    InputError : the path is a file, or a folder that holds something synth did not write.
    """
    out = options.out
    marker = out / MARKER
    if marker.is_file():
        _remove_tree(options, json.loads(marker.read_text()))
    elif out.is_dir() and any(path.name != LOCK for path in out.iterdir()):
        raise InputError(f"{out} is not empty, and synth did not write it: give another folder, or empty this one")
    out.mkdir(parents=True, exist_ok=True)
    tops = {"logs", "metrics"} if options.layout == "sample" else {*entries}
    others = {name.split("/")[0] for name in STRAYS} | ({faulty_run(options), CUT_TAR} if options.faults else set())
    marker.write_text(json.dumps(sorted(tops | others), indent=0) + "\n")


def _remove_tree(options: SynthOptions, entries: list[str]) -> None:
    for name in entries:
        if name in ("", ".", "..") or Path(name).name != name:
            continue  # synth lists names at the top of the folder only
        path = options.out / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
