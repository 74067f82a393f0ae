"""Progress of a call in a notebook: one bar for the step under way."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from lo2dask.execute.session import Listener, Session


@contextlib.contextmanager
def showing(session: Session) -> Iterator[Session]:
    """Show the session's progress below the cell, if this is a notebook."""
    if "ipykernel" not in sys.modules:
        yield session
        return
    from tqdm import TqdmWarning

    with warnings.catch_warnings():
        # Without ipywidgets the bar is of text, which is no fault.
        warnings.simplefilter("ignore", TqdmWarning)
        from tqdm.auto import tqdm
    # The bar goes when the work is over, as on the command line.
    with tqdm(bar_format="{desc}: {n_fmt}/{total_fmt} |{bar}| {elapsed}", leave=False) as bar:
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
