"""The column of statements, from a chunk and from stored events."""

import pyarrow as pa
import pytest

from lo2dask.features import statements
from lo2dask.features.statements import with_statements
from lo2dask.parse.lines import encode_slices, find_lines, padded


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
    head = "10:00:00.001 [main]  "
    messages = [f"{head}{'x' * 22} INFO  a.B c - one {n}" if n % 3 else f"bare {n}" for n in range(20)]
    found = with_statements(pa.table({"m_message": messages}))["_statement"].to_pylist()
    assert found == [f"INFO  a.B c - one {n}" if n % 3 else f"bare {n}" for n in range(20)]
    empty = pa.table({"m_message": pa.array([], pa.string())})
    assert with_statements(empty)["_statement"].to_pylist() == []
