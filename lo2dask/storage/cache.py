"""What a process has read from files, kept until one of them is written again."""

from collections.abc import Callable, Iterator
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from lo2dask.storage.files import Stamp, stamp_of

_P = TypeVarTuple("_P")
_T = TypeVar("_T")


def cached_files(maxsize: int) -> Callable[[Callable[[*_P], _T]], Callable[[*_P], _T]]:
    """Make a function remember what it returned for its last ``maxsize`` arguments.

    Each path among the arguments, or in a tuple of them, is a file that the function reads: when it has been written
    again, as a worker lives to see, the function is called again. All arguments are positional and hashable.
    """

    def _decorate(read: Callable[[*_P], _T]) -> Callable[[*_P], _T]:
        @lru_cache(maxsize=maxsize)
        def _remember(stamps: tuple[Stamp, ...], arguments: tuple[*_P]) -> _T:
            return read(*arguments)

        @wraps(read)
        def _call(*arguments: *_P) -> _T:
            return _remember(tuple(map(stamp_of, _paths(arguments))), arguments)

        return _call

    return _decorate


def _paths(arguments: Any) -> Iterator[Path]:
    for argument in arguments:
        if isinstance(argument, tuple):
            yield from _paths(argument)
        elif hasattr(argument, "is_file"):  # a path in an object store is no Path, though it has its methods
            yield argument
