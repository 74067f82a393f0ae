"""Errors of a full disk, a quota or a file size limit, which name no file of their own."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC, errno.EFBIG)


@contextlib.contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Let the errors of writing in the block name the file.

    Raises
    ------
    OSError : there is no room for the file; its ``filename`` is the path.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error
