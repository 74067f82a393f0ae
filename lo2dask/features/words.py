"""Words of texts, as separated by one space, counted by text or by the rows that have the texts."""

import numpy as np
import pyarrow as pa
from scipy import sparse

from lo2dask.buffers.padded import as_u64, padded_text
from lo2dask.buffers.slices import encode_slices
from lo2dask.vocabulary.counts import TokenCounts

_SPACE, _NEWLINE = ord(" "), ord("\n")


def count_words(texts: pa.Array, by_row: sparse.csr_matrix | None = None) -> TokenCounts:
    """Split each text on one space, line by line in a merged event: (rows x words).

    ``by_row`` (rows x texts) is how often each row has each text; not given, each text is a row.
    """
    # Compiled code is loaded by the workers that count, and by no other process.
    from lo2dask.features.kernels import split_words
    from lo2dask.vocabulary.kernels import count_codes

    text, offsets = padded_text(texts)
    room = len(texts) + int(np.count_nonzero(text == _SPACE) + np.count_nonzero(text == _NEWLINE))
    word_codes, borders = np.empty(room, dtype=np.int64), np.empty(len(texts) + 1, dtype=np.int64)
    bounds = np.empty((2, room), dtype=np.int64)
    encoded = encode_slices(text, *bounds[:, : split_words(as_u64(text), offsets, borders, word_codes, bounds)])
    codes, width = encoded.indices.to_numpy()[word_codes], len(encoded.dictionary)
    rows = sparse.identity(len(texts), np.int32, format="csr") if by_row is None else by_row
    cells = np.empty((2, int(np.diff(borders)[rows.indices].sum())), dtype=np.int32)
    indptr = rows.indptr.copy()
    table = np.zeros(width, dtype=np.int32)
    filled = count_codes((indptr, rows.indices, rows.data), borders, codes, table, cells)
    counts = sparse.csr_matrix((cells[1, :filled], cells[0, :filled], indptr), shape=(rows.shape[0], width))
    return TokenCounts(counts, encoded.dictionary)
