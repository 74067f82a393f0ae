"""Padded buffers: bytes with zeros after them, so that compiled code may read and write eight bytes at any place."""

import numpy as np
import pyarrow as pa

from lo2dask.buffers.arrays import Bytes, Ints, U64s

# Bytes after the content, so that no eight-byte number read at one of its places leaves the buffer.
PADDING = 48


def padded(*data: bytes | memoryview) -> Bytes:
    """Join bytes into one read-only array with PADDING zero bytes after them."""
    return np.frombuffer(b"".join((*data, bytes(PADDING))), dtype=np.uint8)


def text_bytes(texts: pa.Array) -> tuple[Bytes, Ints]:
    """View a string column's bytes and the offsets of its texts (one more than texts)."""
    texts = texts.cast(pa.string())  # strings stay as they are, views are copied
    _, offsets, data = texts.buffers()
    borders = np.frombuffer(offsets, dtype=np.int32, count=len(texts) + 1, offset=4 * texts.offset).astype(np.int64)
    text = np.frombuffer(data, dtype=np.uint8) if data else np.zeros(0, np.uint8)
    # What is only read is always read-only: to Numba that is a type, and each has code of its own.
    text.flags.writeable = False
    return text, borders


def padded_text(texts: pa.Array) -> tuple[Bytes, Ints]:
    """Copy a string column's bytes, padded as compiled code wants them, and give the offsets of its texts there."""
    text, offsets = text_bytes(texts)
    return padded(text[offsets[0] : offsets[-1]].data), offsets - offsets[0]


def as_u64(buffer: Bytes, writeable: bool = False) -> U64s:
    """View a buffer as the 64-bit numbers (little-endian) that begin at each of its bytes: (bytes - 7,)."""
    numbers: U64s = np.ndarray((len(buffer) - 7,), "<u8", buffer.data, strides=(1,))
    # See text_bytes.
    numbers.flags.writeable = writeable
    return numbers
