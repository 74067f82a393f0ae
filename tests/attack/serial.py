"""The command line without a cluster, as a module to run: locks, files and records are those of the real one."""

import contextlib
from collections.abc import Iterator

from lo2dask.cli.main import main
from lo2dask.execute.session import Session


@contextlib.contextmanager
def serial_sessions() -> Iterator[None]:
    """Make every session of this process run its work here."""
    defaults = Session.__init__.__kwdefaults__
    assert defaults["serial"] is None
    defaults["serial"] = True
    try:
        yield
    finally:
        defaults["serial"] = None


if __name__ == "__main__":
    with serial_sessions():
        main()
