"""String columns: dictionary-encoded, ordered, hashed, made of fixed-size rows of bytes."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Ints, U64s
from lo2dask.buffers.padded import as_u64, padded_text


def encode_texts(texts: pa.Array) -> pa.DictionaryArray:
    """Encode a string column without nulls as a dictionary one, its values in the order in which they first occur."""
    return texts.cast(pa.string()).dictionary_encode()


def order_texts(texts: pa.Array) -> pa.DictionaryArray:
    """Encode a string column without nulls as a dictionary one, its values in byte order."""
    texts = texts.cast(pa.string())
    codes = pc.rank(texts, tiebreaker="dense").to_numpy().astype(np.int32) - np.int32(1)
    chosen = np.empty(codes.max(initial=-1) + 1, dtype=np.int64)
    chosen[codes] = np.arange(len(codes))
    return pa.DictionaryArray.from_arrays(pa.array(codes), texts.take(pa.array(chosen)))


def hash_texts(texts: pa.Array) -> U64s:
    """Hash the bytes of each text of a string column; the same text has the same hash on every machine."""
    # Compiled code is loaded by the workers that hash, and by no other process.
    from lo2dask.vocabulary.kernels import hash_slices

    text, borders = padded_text(texts)
    hashes = np.empty(len(texts), dtype=np.uint64)
    hash_slices(as_u64(text), borders, hashes)
    return hashes


def unpack_trigrams(keys: Ints) -> pa.StringArray:
    """Turn packed trigrams, three times seven bits, back into text."""
    letters = np.empty((len(keys), 3), dtype=np.uint8)
    letters[:, 0], letters[:, 1], letters[:, 2] = keys >> 14, keys >> 7 & 0x7F, keys & 0x7F
    return row_texts(letters)


def row_texts(letters: npt.NDArray[np.uint8]) -> pa.StringArray:
    """Make a text of each row of bytes (texts x bytes)."""
    count, size = letters.shape
    offsets = np.arange(count + 1, dtype=np.int32) * size
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(letters.tobytes()))


def text_sizes(texts: pa.DictionaryArray) -> Ints:
    """Return the size in bytes of each text of a dictionary-encoded column, of a null 0."""
    sizes = np.append(pc.binary_length(texts.dictionary).to_numpy(), 0)
    return sizes[texts.indices.fill_null(-1).to_numpy()].astype(np.int64)


def whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, without a copy where it has one chunk."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
