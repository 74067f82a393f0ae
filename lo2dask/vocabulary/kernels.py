"""Loops that count and hash tokens, compiled by Numba (see buffers.kernels)."""

import numpy as np

from lo2dask.buffers.arrays import Codes, Ints, U64s
from lo2dask.buffers.kernels import compiled, hash_text


@compiled
def count_rows(rows: Ints, columns: Codes, table: Codes, cells: Codes, borders: Codes) -> int:
    """Count the (row, column) pairs of ascending rows in ``table`` (one number a column), which is and stays zero.

    ``cells`` (2 x pairs) takes the columns of each row, in the order in which they first occur, and their counts;
    ``borders`` takes where each row begins in it, and where the last one ends.

    Returns
    -------
    the number of cells filled.
    """
    filled, at = 0, 0
    for row in range(len(borders) - 1):
        borders[row] = first = filled
        while at < len(rows) and rows[at] == row:
            column = columns[at]
            if table[column] == 0:
                cells[0, filled] = column
                filled += 1
            table[column] += 1
            at += 1
        for cell in range(first, filled):
            cells[1, cell] = table[cells[0, cell]]
            table[cells[0, cell]] = 0
    borders[len(borders) - 1] = filled
    return filled


@compiled
def count_codes(rows: tuple[Codes, Codes, Codes], borders: Ints, codes: Codes, table: Codes, cells: Codes) -> int:
    """Count the codes of texts by row in ``table`` (one number a code), which is and stays zero.

    ``rows`` hold how often each has which texts (CSR: borders, texts, counts); ``borders`` where each text's codes
    begin and end. ``cells`` (2 x codes of all rows) takes each row's codes, in the order in which they first occur, and
    their counts; the rows' borders are overwritten by those in it.

    Returns
    -------
    the number of cells filled.
    """
    indptr, texts, weights = rows
    filled, first_text = 0, indptr[0]
    for row in range(len(indptr) - 1):
        first, last_text = filled, indptr[row + 1]
        for cell in range(first_text, last_text):
            for at in range(borders[texts[cell]], borders[texts[cell] + 1]):
                code = codes[at]
                if table[code] == 0:
                    cells[0, filled] = code
                    filled += 1
                table[code] += weights[cell]
        for cell in range(first, filled):
            cells[1, cell] = table[cells[0, cell]]
            table[cells[0, cell]] = 0
        first_text = last_text
        indptr[row + 1] = filled
    return filled


@compiled
def hash_slices(u64: U64s, borders: Ints, hashes: U64s) -> None:
    """Write the hash of the bytes of each slice of a buffer; the same everywhere, as only the bytes decide."""
    for number in range(len(hashes)):
        hashes[number] = hash_text(u64, np.uint64(borders[number]), np.uint64(borders[number + 1]))
