"""Columns of text made from slices of a padded buffer: copied, viewed, or dictionary-encoded."""

import numpy as np
import pyarrow as pa

from lo2dask.buffers.arrays import Bytes, Ints
from lo2dask.buffers.padded import as_u64


def slices(buffer: Bytes, starts: Ints, ends: Ints) -> pa.StringArray:
    """Copy slices of a padded buffer into one string column."""
    from lo2dask.buffers.kernels import copy_slices

    size = int((ends - starts).sum())
    # The last slice is copied by whole words too. Arrays of one kind need one compiled version: contiguous bounds, and
    # two words at least to copy to.
    starts, ends = np.ascontiguousarray(starts), np.ascontiguousarray(ends)
    data, offsets = np.empty(size + 16, dtype=np.uint8), np.empty(len(starts) + 1, dtype=np.int32)
    copy_slices(as_u64(buffer), starts, ends, offsets, as_u64(data, writeable=True))
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(data[:size]))


def encode_slices(buffer: Bytes, starts: Ints, ends: Ints) -> pa.DictionaryArray:
    """Encode slices of a padded buffer as a dictionary column; its values stand in the order of their first places."""
    from lo2dask.buffers import kernels

    codes, firsts = np.empty(len(starts), dtype=np.int32), np.empty(len(starts), dtype=np.int64)
    found = kernels.encode_slices(as_u64(buffer), starts, ends, codes, firsts)
    chosen = firsts[:found]
    return pa.DictionaryArray.from_arrays(pa.array(codes), slices(buffer, starts[chosen], ends[chosen]))
