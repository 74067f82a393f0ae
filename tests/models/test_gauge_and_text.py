import time

import numpy as np
import pyarrow as pa
import pytest

from lo2dask.buffers.columns import among, codes, strings
from lo2dask.memory import process_memory
from lo2dask.models.gauge import Gauge, pickled_bytes


def test_the_peak_is_seen_though_it_is_gone_at_the_end(monkeypatch):
    monkeypatch.setattr("lo2dask.models.gauge.process_memory", process_memory)
    with Gauge(interval=0.01) as idle:
        time.sleep(0.05)
    with Gauge(interval=0.01) as busy:
        block = np.ones(20_000_000)
        time.sleep(0.2)
        del block
    assert 0.04 < idle.seconds < 1
    assert busy.peak_bytes - idle.peak_bytes > 120e6


def test_a_pickles_size_is_that_of_the_pickle():
    assert pickled_bytes(np.zeros(10_000)) == pytest.approx(80_000, abs=500)


@pytest.mark.parametrize(
    "values",
    [
        ["b", "a", "b"],
        np.array(["b", "a", "b"]),
        np.array(["b", "a", "b"], dtype=object),
        pa.array(["b", "a", "b"]).dictionary_encode(),
        pa.chunked_array([pa.array(["b"]), pa.array(["a", "b"])]),
    ],
)
def test_any_kind_of_array_is_read_alike(values):
    assert strings(values).to_pylist() == ["b", "a", "b"]
    assert among(values, ["b", "z"]).tolist() == [True, False, True]
    code, names = codes(values)
    assert (code.tolist(), names) == ([1, 0, 1], ["a", "b"])


def test_no_value_at_all():
    assert among(np.array([]), ["a"]).tolist() == []
    code, names = codes([])
    assert (len(code), names) == (0, [])
