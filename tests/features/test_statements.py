"""The column of statements, from a chunk and from stored events."""

import pyarrow as pa
import pytest

from lo2dask.buffers.padded import padded
from lo2dask.buffers.slices import encode_slices
from lo2dask.features import statements
from lo2dask.features.statements import with_statements
from lo2dask.parse.lines import find_lines


def test_equal_statements_are_held_once() -> None:
    lines = ["same", "other", "same", "ä", "same"]
    buffer = padded("".join(line + "\n" for line in lines).encode())
    found = find_lines(buffer)
    encoded = encode_slices(buffer, found.starts, found.ends)
    assert encoded.dictionary_decode().to_pylist() == lines
    assert encoded.dictionary.to_pylist() == ["same", "other", "ä"]


@pytest.mark.parametrize("size", [1, 40, 1 << 20])
def test_stored_events_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(statements, "CHUNK_BYTES", size)
    heads = [(f"main{'ü' * (n % 4)}", "x" * (n % 23)) if n % 3 else (None, None) for n in range(20)]
    lines = [f"INFO  a.B c - one {n}" if n % 3 else f"bare {n}" for n in range(20)]
    whole = [line if thread is None else f"10:00:00.001 [{thread}]  {correlation} {line}"
             for (thread, correlation), line in zip(heads, lines, strict=True)]  # fmt: skip
    threads, correlations = (pa.array(column, pa.string()) for column in zip(*heads, strict=True))
    columns = {
        "m_message": whole,
        "thread": threads.dictionary_encode(),
        "correlation_id": correlations.dictionary_encode(),
    }
    events = pa.table(columns)
    assert with_statements(events)["_statement"].to_pylist() == lines
    assert with_statements(events.slice(7))["_statement"].to_pylist() == lines[7:]
    assert with_statements(events.slice(0, 0))["_statement"].to_pylist() == []
