"""What folders of a raw tree are: links that leave it, folders of the shape of a run, logs that lie too deep."""

import contextlib
import os

from lo2dask.sources.names import left_out_log, log_service
from lo2dask.storage import Entry
from lo2dask.storage import entries as scan


def is_folder(entry: Entry) -> bool:
    """Return whether an entry is, or leads to, a folder; a link in a circle does not."""
    with contextlib.suppress(OSError):
        return entry.is_dir()
    return False


def is_file(entry: Entry) -> bool:
    """Return whether an entry is, or leads to, a file; a link in a circle does not."""
    with contextlib.suppress(OSError):
        return entry.is_file()
    return False


def link_problem(entry: Entry, inside: str) -> str:
    """Return why a link is not followed; "" if it may be, or if it is none."""
    if not entry.is_symlink():
        return ""
    target = os.path.realpath(entry.path)
    folder, name = os.path.split(target)
    if folder == os.path.realpath(os.path.dirname(entry.path)) and os.path.isdir(target):
        # Read twice, its logs would be of two test cases, perhaps once normal and once not.
        return f"link: it leads to {name} beside it, which is read by itself: copy it if it is meant twice"
    if not inside or target == inside or target.startswith(inside.rstrip(os.sep) + os.sep):
        return ""
    return f"link: it leads out of {inside}, to {target}: copy it there, or add --follow-links"


def has_service_log(run: str) -> bool:
    """Return whether a folder has the shape of a run, whatever its name: a service log in a folder in it."""
    folders = (case for case in sorted(scan(run), key=lambda entry: entry.name) if is_folder(case))
    return any(log_service(entry.name) or left_out_log(entry.name)[0] for case in folders for entry in scan(case.path))


def has_shape_of_run(entry: Entry) -> bool:
    """Return whether something next to runs is a folder that holds service logs in folders of its own."""
    with contextlib.suppress(OSError):
        return entry.is_dir() and has_service_log(entry.path)
    return False


def deep_logs_problem(folder: Entry) -> str:
    """Return the problem of a folder within a test case that holds service logs."""
    with contextlib.suppress(OSError):
        if not folder.is_symlink() and any(log_service(entry.name) for entry in scan(folder.path)):
            return "path: it holds logs deeper than RUN/TEST CASE: move them up"
    return ""
