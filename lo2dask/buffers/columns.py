"""Columns of names: whatever array a caller has becomes Arrow strings."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.schema import TIME


def strings(values: Any) -> pa.Array:
    """Return lists, numpy arrays and Arrow arrays (dictionary-encoded, chunked) as one Arrow array of strings."""
    if not len(values):
        return pa.array([], pa.string())
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, pa.string())
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    return array.cast(pa.string())


def join_dictionaries(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Return a dictionary column with some chunks as one array; a value may stand in its dictionary more than once.

    To find what the dictionaries of chunks have in common takes longer than to count it twice, where they have little.
    """
    first = column.chunk(0).dictionary
    if all(chunk.dictionary.equals(first) for chunk in column.chunks):
        return column.combine_chunks()
    starts = np.cumsum([0, *(len(chunk.dictionary) for chunk in column.chunks)], dtype=np.int32)[:-1]
    codes = [pc.add(chunk.indices, pa.scalar(start)) for chunk, start in zip(column.chunks, starts, strict=True)]
    dictionary = pa.concat_arrays([chunk.dictionary for chunk in column.chunks])
    return pa.DictionaryArray.from_arrays(pa.concat_arrays(codes), dictionary)


def milliseconds(times: pa.ChunkedArray, missing: int) -> npt.NDArray[np.int64]:
    """Return times (timestamp, us) as whole milliseconds since 1970, ``missing`` where they are null: int64 (rows,)."""
    numbers = pc.divide(times.cast(pa.int64()), 1000)
    return pc.fill_null(numbers, missing).to_numpy()


def microseconds(times_ms: npt.NDArray[np.int64], is_null: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Return milliseconds since 1970 as times (schema.TIME), null where ``is_null``."""
    return pa.array(times_ms * 1000, mask=is_null).cast(TIME)


def among(values: Any, names: Iterable[str]) -> np.ndarray:
    """Tell which values are one of the names: bool (rows,)."""
    known = pa.array(sorted(names), pa.string())
    return pc.is_in(strings(values), known).to_numpy(zero_copy_only=False).astype(bool)


def is_true(values: Any) -> np.ndarray:
    """Return which values of an Arrow array of bool are true, neither false nor null: bool (rows,)."""
    filled = pc.fill_null(values, False)
    array = filled.combine_chunks() if isinstance(filled, pa.ChunkedArray) else filled
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=bool)


def codes(values: Any) -> tuple[np.ndarray, list[str]]:
    """Number the values by their sorted names: int64 codes (rows,) and the names."""
    encoded = strings(values).dictionary_encode()
    found = encoded.dictionary.to_pylist()
    names = sorted(found)
    place = {name: index for index, name in enumerate(names)}
    order = np.array([place[name] for name in found], dtype=np.int64)
    return order[encoded.indices.to_numpy(zero_copy_only=False)] if len(encoded) else np.empty(0, np.int64), names
