"""Progress of a call in a notebook: one bar for the step under way."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from lo2dask.execute.session import Listener, Session


@contextlib.contextmanager
def showing(session: Session) -> Iterator[Session]:
    """Show the session's progress below the cell, if this is a notebook."""
    if "ipykernel" not in sys.modules:
        yield session
        return
    from tqdm.auto import tqdm

    with tqdm(bar_format="{desc}: {n_fmt}/{total_fmt} |{bar}| {elapsed}") as bar:
        listener = _mover(bar)
        session.listeners.append(listener)
        try:
            yield session
        finally:
            session.listeners.remove(listener)


def _mover(bar: Any) -> Listener:
    def move(label: str, done: int, total: int, result: object) -> None:
        """Show how far the step is."""
        bar.set_description_str(label, refresh=False)
        bar.total, bar.n = total, done
        bar.refresh()

    return move
