"""What a size needs, in formulas: time, memory, disk. Nothing here reads a file or a clock.

B raw bytes in n = ceil(B / P) batches of P bytes, S sequences, W workers of one thread with a core each:

    load      start + n * overhead + B * load_task / W + tail    the tail is half a batch: the last workers end apart
    enhance   enhance_fixed + B * (enhance_serial + enhance_task / W)       mining and merging run in one process
    train     train_fixed + S * train_sequence * (1 - a + a * W0 / W)       a = share of it that W workers share,
    explain   explain_fixed + S * explain_sequence * (1 - b + b * W0 / W)   W0 = workers of the run it was measured on
    memory    client + W * (worker + block * min(P, block size)) while loading; while training one fit's --memory-budget
              instead of the block, in as many workers as there are models
    output    fixed + B * (events, if kept, + tables) + S * sequence     scratch   S * scratch_sequence
    spill     B * share * (64 MB / P) ** power     of masked tokens, while they are counted

The fixed parts are a start-up, a worker's first dataframe (its imports) and what is fitted on bounded samples: of the
default models that are fitted on rows, one fit for use and five for calibration, which take 3.6 s. Train
and explain are linear in S: above some 100,000 sequences that is too much, because most models are fitted on a sample
that --memory-budget bounds.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from lo2dask.parse.chunks import BLOCK_BYTES
from lo2dask.schema import TokenKinds

# Shares of train and explain that all workers have a part in.
TRAIN_SHARED, EXPLAIN_SHARED = 0.5, 0.9
# Plots, lists and bundles of the default models, however small the tree.
OUTPUT_FIXED = 3_500_000
# Bytes that a load without enhancement writes per log: manifest, record, start-up words, a row of the sequence table.
LOADED_SEQUENCE = 2_500
# Bytes written per raw byte for bags of raw tokens, most of which are identifiers that occur once.
RAW_TABLES = 0.25

# Bytes of scratch that counting tokens takes per raw byte at batches of SPILL_BATCH, and the power by which they grow
# in smaller ones, whose parts each spill the tokens that they share. Measured on 500 MB at the published file sizes in
# batches of 64, 16 and 4 MB: masked tokens 0.0010, 0.0031, 0.0082; raw ones 0.150, 0.241, 0.285. Rounded up.
SPILL_BATCH = 64_000_000
SPILLS = {"masked": (0.0015, 0.7), "raw": (0.165, 0.3)}


@dataclass(frozen=True)
class Rates:
    """What was measured, and where: ``source`` describes it; bytes are raw bytes, seconds are of one worker.

    ``start`` s; ``overhead`` s per batch; ``load_task``, ``enhance_task``, ``enhance_serial`` s per byte;
    ``enhance_fixed``, ``train_fixed``, ``explain_fixed`` s; ``train_sequence``, ``explain_sequence`` s per sequence
    with ``workers``;
    ``sequences`` per byte; ``events``, ``tables`` bytes written per byte, ``sequence``, ``scratch`` bytes per sequence;
    ``client``, ``worker`` bytes of memory, ``block`` bytes of memory per byte of a block.
    """

    source: str
    workers: int
    start: float
    overhead: float
    load_task: float
    enhance_fixed: float
    enhance_task: float
    enhance_serial: float
    train_fixed: float
    train_sequence: float
    explain_fixed: float
    explain_sequence: float
    sequences: float
    events: float
    tables: float
    sequence: float
    scratch: float
    client: float
    worker: float
    block: float


STORED = Rates(
    source="stored: a machine of 2 cores, LO2-shaped logs of the published sizes",
    workers=2,
    start=1.5,
    overhead=0.003,
    load_task=8.0e-9,
    enhance_fixed=0.7,
    enhance_task=7.5e-10,
    enhance_serial=1.9e-10,
    train_fixed=8.5,
    train_sequence=0.0035,
    explain_fixed=8.0,
    explain_sequence=0.020,
    sequences=1.08e-6,
    events=0.048,
    tables=0.0102,
    sequence=3_300,
    scratch=18_000,
    client=280e6,
    worker=160e6,
    block=4.2,
)


@dataclass(frozen=True)
class Wanted:
    """A size to forecast: ``bytes`` raw, ``workers``, ``batch`` raw bytes, ``budget`` bytes of one fit.

    ``sequences`` 0 = as many as the rates say; ``kinds`` of tokens that enhancement counts, None = it is left out.
    """

    bytes: int
    workers: int
    batch: int
    budget: int
    save_events: bool = False
    models: int = 5
    sequences: int = 0
    kinds: TokenKinds | None = TokenKinds(masked=True, raw=False)


@dataclass(frozen=True)
class Forecast:
    """What a size would need: seconds of each stage, bytes of memory of one worker and in all, bytes of disk."""

    source: str
    bytes: int
    workers: int
    batches: int
    sequences: int
    seconds: dict[str, float]
    load_memory: int
    load_worker_memory: int
    train_memory: int
    worker_memory: int
    output: int
    load_output: int
    scratch: int
    spill: int

    @property
    def total_seconds(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())


def forecast(rates: Rates, wanted: Wanted) -> Forecast:
    """Forecast what a size needs."""
    batches = max(1, math.ceil(wanted.bytes / wanted.batch))
    sequences = wanted.sequences or round(wanted.bytes * rates.sequences)
    workers = min(wanted.workers, batches)
    loading = rates.worker + rates.block * min(wanted.batch, wanted.bytes, BLOCK_BYTES)
    fitting = rates.worker + wanted.budget
    seconds = {
        "load": load_seconds(rates, wanted, batches, workers),
        "enhance": rates.enhance_fixed + wanted.bytes * (rates.enhance_serial + rates.enhance_task / workers),
        "train": rates.train_fixed + sequences * _shared(rates.train_sequence, TRAIN_SHARED, rates, workers),
        "explain": rates.explain_fixed + sequences * _shared(rates.explain_sequence, EXPLAIN_SHARED, rates, workers),
    }
    share = rates.tables * (wanted.kinds is not None) + rates.events * wanted.save_events
    share += RAW_TABLES * (wanted.kinds is not None and wanted.kinds.raw)
    spill = spill_bytes(wanted.bytes, wanted.batch, wanted.kinds) if wanted.kinds else 0
    return Forecast(
        source=rates.source,
        bytes=wanted.bytes,
        workers=workers,
        batches=batches,
        sequences=sequences,
        seconds=seconds,
        load_memory=round(rates.client + workers * loading),
        load_worker_memory=round(loading),
        train_memory=round(rates.client + workers * rates.worker + min(workers, wanted.models) * wanted.budget),
        worker_memory=round(max(loading, fitting)),
        output=round(OUTPUT_FIXED + wanted.bytes * share + sequences * rates.sequence),
        # What the text pass has counted lies next to the tables until it is spilled.
        load_output=round(wanted.bytes * share + sequences * LOADED_SEQUENCE) + spill,
        scratch=round(sequences * rates.scratch),
        spill=spill,
    )


def spill_bytes(size: int, batch: int, kinds: TokenKinds) -> int:
    """Project the bytes that the token counts of ``size`` raw bytes take in a spill, in batches of ``batch``."""
    smaller = SPILL_BATCH / min(batch, max(size, 1))
    return round(sum(size * share * smaller**power for share, power in (SPILLS[kind] for kind in kinds.names)))


def load_seconds(rates: Rates, wanted: Wanted, batches: int, workers: int) -> float:
    """Return the seconds of a load with a cluster that has to be started."""
    task = rates.load_task * min(wanted.batch, wanted.bytes)
    tail = task / 2 if 1 < workers < batches else 0.0
    return rates.start + batches * rates.overhead + wanted.bytes * rates.load_task / workers + tail


def measured(source: str, timings: dict[str, dict[str, Any]], batches: tuple[float, int, int], disk: dict[str, int],
             sequences: int) -> Rates:  # fmt: skip
    """Take rates from an earlier run; what it did not do, or did too little of, is scaled from the stored ones.

    Parameters
    ----------
    timings : figures of the stages, see timings.py
    batches : worker seconds, raw bytes and number of the load's batches
    disk : bytes of ``events``, ``tables`` (what grows with the raw bytes) and ``sequence`` tables (with sequences)
    """
    task_seconds, size, number = batches
    task = task_seconds / size
    speed = task / STORED.load_task
    # What the client did of few logs tells nothing of workers.
    timings = {stage: timing for stage, timing in timings.items() if not timing.get("in_client")}
    load = timings.get("load", {})
    rates = replace(STORED, source=source, load_task=task, sequences=sequences / size)
    rates = replace(
        rates, tables=disk["tables"] / size, sequence=max(disk["sequence"] - OUTPUT_FIXED, 0) / max(sequences, 1)
    )
    if disk["events"]:
        rates = replace(rates, events=disk["events"] / size)
    if load:
        rest = max(load["seconds"] - task_seconds / load["workers"] - task_seconds / number / 2, 0.0)
        start = min(rest, STORED.start)
        rates = replace(rates, start=start, overhead=(rest - start) / number)
    rates = _with_enhance(rates, timings.get("enhance"), size, speed)
    return _with_models(rates, timings, speed)


def _with_enhance(rates: Rates, timing: dict[str, Any] | None, size: int, speed: float) -> Rates:
    if not timing:
        changes = {name: getattr(STORED, name) * speed for name in ("enhance_fixed", "enhance_task", "enhance_serial")}
        return replace(rates, **changes)
    # The run has the sum, the stored rates divide it into fixed and growing.
    factor = timing["parts_seconds"] / (STORED.enhance_fixed + STORED.enhance_task * size / timing["workers"])
    return replace(
        rates,
        enhance_fixed=STORED.enhance_fixed * factor,
        enhance_task=STORED.enhance_task * factor,
        enhance_serial=(timing["seconds"] - timing["parts_seconds"]) / size,
    )


def _with_models(rates: Rates, timings: dict[str, dict[str, Any]], speed: float) -> Rates:
    """Take what train and explain cost: a run has the sum, the stored rates divide it into fixed and growing."""
    changes: dict[str, Any] = {}
    for stage in ("train", "explain"):
        timing = timings.get(stage)
        fixed, slope = (getattr(STORED, f"{stage}_{part}") for part in ("fixed", "sequence"))
        factor = timing["seconds"] / (fixed + slope * timing["sequences"]) if timing else speed
        changes |= {f"{stage}_fixed": fixed * factor, f"{stage}_sequence": slope * factor}
        if timing:
            changes["workers"] = int(timing["workers"])
        if stage == "train" and timing and timing["sequences"]:
            changes["scratch"] = timing["scratch"] / timing["sequences"]
    return replace(rates, **changes)


def _shared(per_sequence: float, share: float, rates: Rates, workers: int) -> float:
    return per_sequence * (1 - share + share * rates.workers / workers)
