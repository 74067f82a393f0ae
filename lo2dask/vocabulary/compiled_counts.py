"""Loops that count, order and add up tokens, compiled by Numba (parse.compiled says how and when)."""

from typing import NamedTuple

import numpy as np

from lo2dask.buffers.arrays import Codes, Ints, U64s
from lo2dask.buffers.kernels import BELOW, common_bytes, compiled, copy_text, hash_text, same_text

_ZERO, _ONE, _SEVEN, _EIGHT = (np.uint64(n) for n in (0, 1, 7, 8))
_LOW_BYTE, _LOW_SEVEN, _THREE = (np.uint64(n) for n in (0xFF, 0x7F, 3))
_NOT_ASCII = np.uint64(0x808080)
# A packed trigram has 21 bits; they are the upper ones of its place.
_PLACE_SHIFT = np.uint64(43)
# So few texts are ordered by insertion.
_FEW = 16


@compiled
def count_rows(rows: Ints, columns: Codes, table: Codes, found: Codes, counts: Codes, borders: Codes) -> int:
    """Count the (row, column) pairs of ascending rows in a table of all columns, which is and stays empty.

    ``found`` and ``counts`` take the columns of each row, in the order of their first places, and how often each is
    there; ``borders`` where each row begins among them, and where the last one ends.
    """
    filled, at = 0, 0
    for row in range(len(borders) - 1):
        borders[row] = first = filled
        while at < len(rows) and rows[at] == row:
            column = columns[at]
            if table[column] == 0:
                found[filled] = column
                filled += 1
            table[column] += 1
            at += 1
        for place in range(first, filled):
            counts[place] = table[found[place]]
            table[found[place]] = 0
    borders[len(borders) - 1] = filled
    return filled


@compiled
def count_codes(rows: tuple[Codes, Codes, Codes], borders: Ints, codes: Codes, table: Codes, cells: Codes) -> int:
    """Count the codes of texts by row, in a table of all codes, which is and stays empty.

    ``rows`` say how often each has which texts (CSR: borders, texts, counts); ``borders`` where each text's codes begin
    and end. ``cells`` (2 x codes of all rows) takes each row's codes, in the order of their first places, and their
    counts; the rows' borders are written over by those among them.
    """
    indptr, texts, weights = rows
    filled, first_text = 0, indptr[0]
    for row in range(len(indptr) - 1):
        first, last_text = filled, indptr[row + 1]
        for cell in range(first_text, last_text):
            for place in range(borders[texts[cell]], borders[texts[cell] + 1]):
                code = codes[place]
                if table[code] == 0:
                    cells[0, filled] = code
                    filled += 1
                table[code] += weights[cell]
        for place in range(first, filled):
            cells[1, place] = table[cells[0, place]]
            table[cells[0, place]] = 0
        first_text = last_text
        indptr[row + 1] = filled
    return filled


@compiled
def sum_columns(columns: Codes, counts: Codes, sums: Ints) -> None:
    """Add to ``sums`` (2 x columns) how many cells each column has, and what they count."""
    for cell in range(len(columns)):
        column = np.uint64(columns[cell])
        sums[0, column] += 1
        sums[1, column] += counts[cell]


@compiled
def take_counts(table: Codes, cells: Codes, counts: Codes, seen: Codes) -> None:
    """Take the counts of cells out of a table, which is empty of them then, and mark the cells as seen."""
    for place in range(len(cells)):
        cell = np.uint64(cells[place])
        counts[place], table[cell], seen[cell] = table[cell], 0, 1


@compiled
def renumber(cells: Codes, numbers: Codes) -> None:
    """Write the number of each cell in its place."""
    for place in range(len(cells)):
        cells[place] = numbers[np.uint64(cells[place])]


@compiled
def _prefix(u64: U64s, start: np.uint64, end: np.uint64) -> np.uint64:
    """Return the next seven bytes of a text, the first one highest; the lowest byte counts those left, at most 8.

    So texts are ordered as their bytes are, a shorter one before a longer one; and where fewer than eight bytes are
    left, equal numbers are equal texts.
    """
    left = min(end - start, _EIGHT)
    word = u64[start] & BELOW[min(left, _SEVEN)]
    turned = _ZERO
    for _ in range(7):
        turned = (turned << _EIGHT) | (word & _LOW_BYTE)
        word >>= _EIGHT
    return (turned << _EIGHT) | left


@compiled
def list_prefixes(u64: U64s, starts: Ints, ends: Ints, prefixes: U64s) -> None:
    """Return the prefix (:func:`_prefix`) of each slice of a buffer."""
    for number in range(len(starts)):
        prefixes[number] = _prefix(u64, np.uint64(starts[number]), np.uint64(ends[number]))


@compiled
def _order(prefixes: U64s, order: Ints, low: int, high: int) -> None:
    """Order a run of texts by their prefixes, which move with them."""
    if high - low > _FEW:
        by_prefix = np.argsort(prefixes[low:high])
        prefixes[low:high] = prefixes[low:high][by_prefix]
        order[low:high] = order[low:high][by_prefix]
        return
    for place in range(low + 1, high):
        prefix, number, at = prefixes[place], order[place], place
        while at > low and prefixes[at - 1] > prefix:
            prefixes[at], order[at] = prefixes[at - 1], order[at - 1]
            at -= 1
        prefixes[at], order[at] = prefix, number


@compiled
def _agreement(u64: U64s, starts: Ints, ends: Ints, run: Ints, depth: int) -> int:
    """Count the bytes in which all slices of a run agree, which do so in the first ``depth``."""
    first = np.uint64(starts[run[0]] + depth)
    most = np.uint64(ends[run[0]]) - first
    for number in run[1:]:
        start = np.uint64(starts[number] + depth)
        most = common_bytes(u64, first, start, min(most, np.uint64(ends[number]) - start))
        if most == _ZERO:
            break
    return depth + int(most)


@compiled
def order_slices(u64: U64s, starts: Ints, ends: Ints, order: Ints, prefixes: U64s) -> None:
    """Order slices by their bytes: ``order`` and ``prefixes`` have them by their first seven, and are written over."""
    # Runs of texts that agree so far and go on: where they begin and end, and in how many bytes they agree.
    runs = np.empty((len(order) // 2 + 1, 3), dtype=np.int64)
    waiting, low, high, depth = 0, 0, len(order), 0
    while True:
        first = low
        for place in range(low + 1, high + 1):
            if place < high and prefixes[place] == prefixes[first]:
                continue
            if place - first > 1 and prefixes[first] & _LOW_BYTE == _EIGHT:
                runs[waiting, 0], runs[waiting, 1], runs[waiting, 2] = first, place, depth + 7
                waiting += 1
            first = place
        if waiting == 0:
            return
        waiting -= 1
        low, high, depth = runs[waiting]
        depth = _agreement(u64, starts, ends, order[low:high], depth)
        for place in range(low, high):
            number = order[place]
            prefixes[place] = _prefix(u64, np.uint64(starts[number] + depth), np.uint64(ends[number]))
        _order(prefixes, order, low, high)


@compiled
def number_ordered(u64: U64s, starts: Ints, ends: Ints, order: Ints, codes: Codes, firsts: Ints) -> int:
    """Number distinct slices that ``order`` has in order: each slice's number, a slice of each, and how many."""
    found = 0
    for place in range(len(order)):
        number = order[place]
        start, end = np.uint64(starts[number]), np.uint64(ends[number])
        other = np.uint64(starts[firsts[found - 1]]) if found else start
        size = np.uint64(ends[firsts[found - 1]]) - other if found else _ZERO
        if found == 0 or end - start != size or not same_text(u64, start, end, u64, other):
            firsts[found] = number
            found += 1
        codes[number] = found - 1
    return found


@compiled
def place_slices(u64: U64s, starts: Ints, ends: Ints, places: U64s) -> None:
    """Place each token by its bytes: a trigram of ASCII in the order of its letters, any other one by its hash."""
    for number in range(len(starts)):
        start, end = np.uint64(starts[number]), np.uint64(ends[number])
        packed = _packed(u64[start]) if end - start == _THREE else np.int64(-1)
        places[number] = np.uint64(packed) << _PLACE_SHIFT if packed >= 0 else hash_text(u64, start, end)


@compiled
def _packed(word: np.uint64) -> np.int64:
    """Pack the first three bytes of a word into 21 bits; -1 if one is not ASCII."""
    if word & _NOT_ASCII:
        return np.int64(-1)
    first, second, third = word & _LOW_SEVEN, word >> _EIGHT & _LOW_SEVEN, word >> (_EIGHT + _EIGHT) & _LOW_SEVEN
    return np.int64((first << (_SEVEN + _SEVEN)) | (second << _SEVEN) | third)


class Added(NamedTuple):
    """Tokens to add: the words of the buffer that holds them, their borders there, and two counts of each (2 x n)."""

    u64: U64s
    borders: Ints
    counts: Ints


class Sums(NamedTuple):
    """Tokens that were added: each one's hash, text (up to its place of ``ends``) and two sums (tokens x 2).

    ``slots`` is an open table of their numbers.
    """

    slots: Codes
    hashes: U64s
    text: U64s
    ends: Ints
    sums: Ints


@compiled
def add_tokens(added: Added, cells: Ints, base: int, table: Sums, found: int) -> int:
    """Add the counts of tokens to those of the same tokens before, of which there are ``found``.

    Those of an ASCII trigram go to the cell of ``cells`` (2 x cells) that its packed number has after ``base``. The
    table has room for the others.

    Returns
    -------
    how many tokens other than trigrams there are now.
    """
    u64, counts, last = added.u64, added.counts, np.uint64(len(table.slots) - 1)
    for number in range(len(added.borders) - 1):
        start, end = np.uint64(added.borders[number]), np.uint64(added.borders[number + 1])
        packed = _packed(u64[start]) if end - start == _THREE else np.int64(-1)
        if packed >= 0:
            cells[0, packed - base] += counts[0, number]
            cells[1, packed - base] += counts[1, number]
            continue
        mixed = hash_text(u64, start, end)
        slot = mixed & last
        while table.slots[slot] >= 0:
            token = table.slots[slot]
            if table.hashes[token] == mixed:
                other = np.uint64(table.ends[token - 1]) if token else _ZERO
                if np.uint64(table.ends[token]) - other == end - start:
                    if same_text(u64, start, end, table.text, other):
                        break
            slot = (slot + _ONE) & last
        token = table.slots[slot]
        if token < 0:
            token = np.int32(found)
            table.slots[slot], table.hashes[token] = token, mixed
            behind = np.uint64(table.ends[token - 1]) if token else _ZERO
            table.ends[token] = copy_text(u64, start, end, table.text, behind)
            table.sums[token, 0] = table.sums[token, 1] = 0
            found += 1
        table.sums[token, 0] += counts[0, number]
        table.sums[token, 1] += counts[1, number]
    return found


@compiled
def fill_slots(hashes: U64s, found: int, slots: Codes) -> None:
    """Put the numbers of tokens into an empty open table of them."""
    last = np.uint64(len(slots) - 1)
    for token in range(found):
        slot = hashes[token] & last
        while slots[slot] >= 0:
            slot = (slot + _ONE) & last
        slots[slot] = token
