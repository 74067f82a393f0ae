"""Process pools without Dask, for work that writes files and needs no cluster."""

import ast
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

from lo2dask.errors import InputError


def require_main_guard() -> None:
    """Check that worker processes can import the script that is running without running it again.

    Each of them imports it first: a call at its top level would start a cluster in each worker.

    Raises
    ------
    InputError : the call in progress comes from the top level of the script, without a guard.
    """
    script = getattr(sys.modules["__main__"], "__file__", None)
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
    if script is None or frame.f_code.co_filename != script or frame.f_code.co_name != "<module>":
        return
    try:
        nodes = ast.walk(ast.parse(Path(script).read_bytes()))
    except (OSError, SyntaxError, ValueError):
        return
    branches = (node for node in nodes if isinstance(node, ast.If))
    line = frame.f_lineno
    if not any(node.lineno <= line <= (node.end_lineno or 0) and _asks_who_runs(node.test) for node in branches):
        raise InputError(
            f'{script}, line {line}: the script needs `if __name__ == "__main__":` before this call, '
            "because each worker process imports the script first"
        )


def _asks_who_runs(test: ast.expr) -> bool:
    names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    return bool(names & {"__name__", "current_process", "parent_process", "multiprocessing"})


def process_pool(processes: int) -> ProcessPoolExecutor:
    """Return a pool of spawned processes that end when their parent does, however that ends.

    Idle processes of a plain pool read a queue that they hold open themselves: they would outlive a killed parent.
    """
    require_main_guard()
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_watch_parent)


def _watch_parent() -> None:
    Thread(target=_end_with_parent, name="watch-parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
