"""Renders lines: a table of byte strings (constants, times, values of slots) and one index into it per piece."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from lo2dask.synthesis import identifiers as ids
from lo2dask.synthesis.compiled import PREFIX, TIME, Program
from lo2dask.synthesis.kinds import MAIN, WORKER
from lo2dask.synthesis.schedule import Ints, clock_texts
from lo2dask.synthesis.streams import stream

_FRESH: dict[str, Callable[[np.random.Generator, int], list[bytes]]] = {
    "uuid": ids.uuids,
    "uuid32": lambda rng, n: ids.uuids(rng, n, 32),
    "hex": ids.hex_ids,
    "b22": ids.codes,
    "b43": lambda rng, n: ids.codes(rng, n, 43),
}
_POOLED: dict[str, tuple[Callable[[np.random.Generator, int], list[bytes]], float]] = {
    "client": (ids.uuids, 0.07),
    "token": (ids.uuids, 0.08),
    "service": (ids.hex_ids, 0.14),
    "user": (ids.hex_ids, 0.13),
    "basic": (ids.credentials, 0.065),
}
"""Identifiers that come back within a log, with the number of different ones per request."""

LIVE = 4
"""How many identifiers of a sort are in use at a time: Locust creates one, asks for it, deletes it, goes on."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WORKER_PREFIX = b" [XNIO-1 task-%d]  %b "
_CLUSTER_PREFIX = b" [hz._hzInstance_1_dev.partition-operation.thread-%d]   "


@dataclass(frozen=True)
class Rendering:
    """The lines to render, in order."""

    template: Ints
    request: Ints
    times_us: Ints


@dataclass(frozen=True)
class Slots:
    """What the values of slots depend on; ``server`` names the random stream of run and service, whatever the case."""

    program: Program
    drawn: Ints
    threads: Ints
    starts_us: Ints
    server: tuple[object, ...]


def render(program: Program, lines: Rendering, slots: Slots, rng: np.random.Generator) -> bytes:
    """Return the bytes of the lines."""
    values, base = _values(slots, lines, rng)
    table = np.empty(len(program.constants) + len(values), dtype=object)
    table[:] = [*program.constants, *values]
    base += len(program.constants)
    counts = np.diff(program.piece_start)[lines.template]
    line = np.repeat(np.arange(len(counts)), counts)
    ends = np.cumsum(counts)
    first = ends - counts - program.piece_start[lines.template]
    pieces = program.pieces[np.arange(len(line)) - np.repeat(first, counts)]
    rank = _ranks(slots.drawn)[lines.request]
    offset = np.stack([rank, lines.request, np.arange(len(counts))])
    which = np.select([pieces == TIME, pieces == PREFIX], [2, 1], 0)
    index = np.where(pieces >= 0, pieces, base[np.where(pieces < 0, -pieces - 1, 0)] + offset[which, line])
    return b"".join(table[index].tolist())


def _ranks(drawn: Ints) -> Ints:
    """Number the requests within their kind."""
    order = np.argsort(drawn, kind="stable")
    counts = np.bincount(drawn)
    ranks = np.empty(len(drawn), dtype=np.int64)
    ranks[order] = np.arange(len(drawn)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranks


def _values(slots: Slots, lines: Rendering, rng: np.random.Generator) -> tuple[list[bytes], Ints]:
    """Return all values that are no constants, and where those of each piece code begin (code c at ``-c - 1``)."""
    program = slots.program
    values = clock_texts(lines.times_us)
    base = [0, len(values)]
    values += _prefixes(slots, rng)
    pools = {name: make(rng, LIVE + round(share * len(slots.drawn))) for name, (make, share) in _POOLED.items()}
    progress = _progress(slots)
    for kind, slot in program.slots:
        base.append(len(values))
        requests = np.flatnonzero(slots.drawn == kind)
        pool = pools.get(slot)
        if pool is not None:
            oldest = (progress[requests] * (len(pool) - LIVE)).astype(np.int64)
            values += [pool[i] for i in (oldest + rng.integers(0, LIVE, len(requests))).tolist()]
        else:
            values += _slot_values(slots, slot, requests, rng)
    return values, np.array(base, dtype=np.int64)


def _slot_values(slots: Slots, slot: str, requests: Ints, rng: np.random.Generator) -> list[bytes]:
    """Return the values of one slot for the requests that have it."""
    sort, _, _ = slot.partition(":")
    n = len(requests)
    if sort in _FRESH:
        return _FRESH[sort](rng, n)
    if sort == "jul":
        return _dates(slots, requests)
    server = stream(*slots.server, slot)
    if sort == "ip":
        return [b"172.24.0.%d" % server.integers(4, 11)] * n
    return ids.hex_ids(server, 1) * n


def _progress(slots: Slots) -> NDArray[np.float64]:
    """Return how far into the log each request starts, 0 to 1, by the number of requests before it."""
    progress = np.empty(len(slots.drawn))
    progress[np.argsort(slots.starts_us, kind="stable")] = np.linspace(0.0, 1.0, len(slots.drawn))
    return progress


def _dates(slots: Slots, requests: Ints) -> list[bytes]:
    """Return times as java.util.logging writes them: Jun 28, 2024 4:29:46 PM."""
    texts = []
    for moment in (slots.starts_us[requests] // 1_000_000).tolist():
        at = datetime.fromtimestamp(moment, UTC)
        half = "AM" if at.hour < 12 else "PM"
        texts.append(f"{_MONTHS[at.month - 1]} {at.day}, {at.year} {(at.hour - 1) % 12 + 1}:{at:%M:%S} {half}")
    return [text.encode() for text in texts]


def _prefixes(slots: Slots, rng: np.random.Generator) -> list[bytes]:
    """Return thread and correlation id, as they stand between time and level, for each request."""
    sorts = [kind.thread for kind in slots.program.kinds]
    correlations = ids.codes(rng, len(slots.drawn))
    texts = []
    for kind, thread, correlation in zip(slots.drawn.tolist(), slots.threads.tolist(), correlations, strict=True):
        if sorts[kind] == WORKER:
            texts.append(_WORKER_PREFIX % (thread + 1, correlation))
        else:
            texts.append(b" [main]   " if sorts[kind] == MAIN else _CLUSTER_PREFIX % thread)
    return texts
