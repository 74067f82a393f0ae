"""Kernels do what their plain way does, and each is compiled for one type alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.buffers.padded import as_u64, padded_text
from lo2dask.features.kernels import add_windows, split_words
from lo2dask.features.masks import IDENTIFIERS, MASKS, normalise
from tests.conftest import REPOSITORY
from tests.examples import examples

from .plain import messages, plain_mask

# Two logs, of which one is not ASCII, and an answer with an inexact number; then the types of each kernel.
COUNT_TYPES = """
import importlib, json
from numba.core.dispatcher import Dispatcher
from lo2dask.formats.canonical import CANONICAL
from lo2dask.parse.metrics import MetricSamples
from tests.features.plain import read_events
from tests.features.test_textpass import pass_over

line = "10:00:00.000 [main]  x INFO a.B c - user 96bce40c-3e1e-41df-ac31-34e16e0a46b8 {}"
for word in ("ascii", "\u00e4"):
    log = "\\n".join([*(line.format(f"x{number}y") for number in range(200)), line.format(word)])
    pass_over(read_events([log, log]), 2, "both", window_ms=1000)
    read_events(["2026-01-02T" + log], "fill", CANONICAL)
MetricSamples().add(b'[{"metric": {}, "values": [[1.5, "2"], [3, "0.30000000000000004e-9"]]}]', "r", None)
types = {}
for name in ("lo2dask.parse.kernels", "lo2dask.formats.lo2_kernels", "lo2dask.features.kernels"):
    for kernel in vars(importlib.import_module(name)).values():
        if isinstance(kernel, Dispatcher) and kernel.__module__ == name:
            types[f"{name}.{kernel.__name__}"] = len(kernel.signatures)
print(json.dumps(types))
"""
texts = st.lists(st.text(st.sampled_from("abc \n"), max_size=40), min_size=1, max_size=20)


@pytest.mark.thorough
def test_each_kernel_is_compiled_for_one_type(tmp_path: Path) -> None:
    """A process of its own, as code from the disk does not tell what it calls."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", COUNT_TYPES]
    found = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
    types = json.loads(found.stdout)
    assert {name: count for name, count in types.items() if count != 1} == {}
    assert len(types) > 10


@examples(60)
@given(texts)
def test_words_are_split_at_every_gap(many: list[str]) -> None:
    text, offsets = padded_text(pa.array(many))
    room = sum(len(value) for value in many) + len(many)
    borders, numbers = np.empty(len(many) + 1, np.int64), np.empty(room, np.int64)
    bounds = np.empty((2, room), np.int64)
    count = split_words(as_u64(text), offsets, borders, numbers, bounds)
    data = text.tobytes()
    found = [data[bounds[0, n] : bounds[1, n]].decode() for n in numbers[: borders[-1]].tolist()]
    wanted = [value.replace("\n", " ").split(" ") for value in many]
    assert [found[low:high] for low, high in zip(borders[:-1], borders[1:], strict=True)] == wanted
    assert count <= len(found)


@given(texts, st.integers(1, 5))
def test_windows_are_added_to_what_was_counted(many: list[str], weight: int) -> None:
    text, offsets = padded_text(pa.array(many))
    text.flags.writeable = False
    numbers = np.zeros(257, np.uint64)
    letters = b"\n abc"
    numbers[list(letters)] = np.arange(len(letters))
    numbers[256] = len(letters)
    counts, cells = np.zeros((2, len(letters) ** 3), np.int32)
    slices = np.stack([offsets[:-1], offsets[1:], np.full(len(many), weight)], axis=1)
    filled = add_windows(text, slices, numbers, counts, cells, 0)
    assert add_windows(text, slices, numbers, counts, cells, filled) == filled
    wanted = np.zeros(len(counts), np.int64)
    for value in many:
        places = [letters.index(byte) for byte in value.encode()]
        for a, b, c in zip(places, places[1:], places[2:], strict=False):
            wanted[(a * 5 + b) * 5 + c] += 2 * weight
    assert counts.tolist() == wanted.tolist()
    assert sorted(cells[:filled].tolist()) == np.flatnonzero(wanted).tolist()


hexes = st.text(st.sampled_from("0123456789abcdefABCDEF"), min_size=3, max_size=13)
parts = st.one_of(
    hexes, st.sampled_from(["-", "@", " ", "_", "g", "é", "-4a4a-", "96bce40c-3e1e-41df-ac31-34e16e0a46b8"])
)


@examples(150)
@given(st.lists(st.lists(parts, max_size=9).map("".join), min_size=1, max_size=5))
def test_identifiers_are_masked_as_their_patterns_say(many: list[str]) -> None:
    filled = [*many, *(f"filler {number}" for number in range(100))]  # so that the compiled way is taken
    assert normalise(pa.array(filled), IDENTIFIERS).to_pylist()[: len(many)] == [
        plain_mask(text, IDENTIFIERS) for text in many
    ]


@examples(60)
@given(st.lists(messages, min_size=1, max_size=6))
def test_all_masks_equal_plain_ones(many: list[str]) -> None:
    filled = [*many, *(f"filler x{number}" for number in range(100))]
    assert normalise(pa.array(filled), MASKS).to_pylist()[: len(many)] == [plain_mask(text) for text in many]
