"""Request kinds as arrays: a line becomes a row of pieces, a piece is a constant or a slot filled per request."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lo2dask.synthesis.kinds import RequestKind

TIME, PREFIX, FIRST_SLOT = -1, -2, -3
"""Codes of pieces that are no constants; slot s has the code ``FIRST_SLOT - s``."""

FAST_US, SLOW_US, FRAME_US = 160.0, 6500.0, 0.0
"""Mean time before a line, in microseconds: plain, after a call of the database, and within a stack trace."""

_LEVELS = ("DEBUG ", "INFO  ", "ERROR ", "WARN  ")
_SLOT = re.compile("«([^»]+)»")


@dataclass(frozen=True)
class Program:
    """All lines of all kinds; ``piece_start`` has one more entry than there are lines."""

    kinds: tuple[RequestKind, ...]
    kind_start: NDArray[np.int64]
    kind_length: NDArray[np.int64]
    piece_start: NDArray[np.int64]
    pieces: NDArray[np.int64]
    wait_us: NDArray[np.float64]
    constants: tuple[bytes, ...]
    slots: tuple[tuple[int, str], ...]
    """Kind and slot (``type:name``) of each slot code."""


class _Compiler:
    def __init__(self) -> None:
        self.constants: dict[bytes, int] = {}
        self.slots: dict[tuple[int, str], int] = {}
        self.pieces: list[int] = []
        self.piece_start = [0]
        self.wait_us: list[float] = []

    def add(self, kind: int, line: str) -> None:
        """Add one line of a kind."""
        text = line.removeprefix("~")
        timed = text.startswith(_LEVELS)
        if timed:
            self.pieces += [TIME, PREFIX]
        for position, part in enumerate(_SLOT.split(text + "\n")):
            if position % 2:
                self.pieces.append(FIRST_SLOT - self.slots.setdefault((kind, part), len(self.slots)))
            elif part:
                self.pieces.append(self.constants.setdefault(part.encode(), len(self.constants)))
        self.piece_start.append(len(self.pieces))
        self.wait_us.append((SLOW_US if line.startswith("~") else FAST_US) if timed else FRAME_US)


def compile_kinds(kinds: Sequence[RequestKind]) -> Program:
    """Compile request kinds."""
    compiler = _Compiler()
    for number, kind in enumerate(kinds):
        for line in kind.lines:
            compiler.add(number, line)
    lengths = np.array([len(kind.lines) for kind in kinds], dtype=np.int64)
    return Program(
        kinds=tuple(kinds),
        kind_start=np.cumsum(lengths) - lengths,
        kind_length=lengths,
        piece_start=np.array(compiler.piece_start, dtype=np.int64),
        pieces=np.array(compiler.pieces, dtype=np.int64),
        wait_us=np.array(compiler.wait_us),
        constants=tuple(compiler.constants),
        slots=tuple(compiler.slots),
    )
