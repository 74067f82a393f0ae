"""Kernels that mask texts, split them into words and count their trigrams (arguments: see buffers.kernels)."""

import numpy as np

from lo2dask.buffers.arrays import Bytes, Codes, Ints, U64s
from lo2dask.buffers.kernels import byte_at, compiled, copy_text, equal_bytes, first_byte, same_text

_ZERO, _ONE, _TWO, _EIGHT = (np.uint64(n) for n in (0, 1, 2, 8))
_SPACES, _NEWLINES = (np.uint64(0x0101010101010101 * byte) for byte in (0x20, 0x0A))
_SPACE, _DASH, _AT = (np.uint8(ord(c)) for c in " -@")
# Beginnings of texts are distinguished by so many bits of a hash of their 9th to 24th bytes: most are one logger's.
_MULTIPLIER, _BEGINNINGS, _HASH_SHIFT = np.uint64(0x9E3779B97F4A7C15), 1 << 10, np.uint64(54)
# What each byte is, as bits: a character of a word, a hexadecimal digit, one of lower case.
_WORD, _HEX, _LOW_HEX = 1, 2, 4
_CLASSES = np.zeros(256, dtype=np.int64)
_CLASSES[list(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")] = _WORD
_CLASSES[list(b"0123456789abcdefABCDEF")] |= _HEX
_CLASSES[list(b"0123456789abcdef")] |= _LOW_HEX
# A UUID: 8, 4, 4 and 4 digits, each group with a dash after it, then the tail of up to 12.
_DASHES = tuple(np.uint64(n) for n in (8, 13, 18, 23))
_TAIL, _LONGEST = np.uint64(24), np.uint64(36)
# The runs of digits that an identifier may begin with.
_SHORTEST, _LONGEST_RUN = np.uint64(5), np.uint64(8)


@compiled
def add_windows(text: Bytes, slices: Ints, numbers: U64s, counts: Codes, cells: Codes, filled: int) -> int:
    """Add the windows of three bytes within each slice to ``counts``, and list the cells that were empty before.

    The rows of ``slices`` (slices x 3) are where each begins and ends, and how often it counts. ``numbers`` numbers the
    256 bytes; its last entry is how many numbers there are, n: the window of the numbers a, b, c has the cell
    ``(a * n + b) * n + c``.

    Returns
    -------
    how many of ``cells`` are filled, of which ``filled`` were before.
    """
    size = numbers[256]
    square = size * size
    for number in range(len(slices)):
        # Unsigned, as Numba then leaves out the test whether an index counts from the end.
        start, stop, weight = np.uint64(slices[number, 0]), np.uint64(slices[number, 1]), slices[number, 2]
        if start + _TWO >= stop:
            continue
        first, second = numbers[text[start]], numbers[text[start + _ONE]]
        for at in range(start + _TWO, stop):
            third = numbers[text[at]]
            cell = first * square + second * size + third
            first, second = second, third
            if counts[cell] == 0:
                cells[filled] = cell
                filled += 1
            counts[cell] += weight
    return filled


@compiled
def split_words(u64: U64s, offsets: Ints, borders: Ints, numbers: Ints, bounds: Ints) -> int:
    """Split texts on every space and newline; two of them hold an empty word between them.

    A word is the same slice as the word at its position in an earlier text with an equal beginning, where the two
    agree: what one statement of the code wrote differs in few words.

    Parameters
    ----------
    u64 : the texts' buffer.
    offsets : the borders of the texts, one more than texts.
    borders : takes where each text's words begin among ``numbers``, and where the last one's end.
    numbers : takes the number of each word's slice.
    bounds : takes the slices: where each begins and ends (2 x slices).

    Returns
    -------
    how many slices there are.
    """
    n_slices, n_words = 0, 0
    # The last text of each of so many beginnings.
    recent = np.full(_BEGINNINGS, -1, dtype=np.int64)
    borders[0] = 0
    for text in range(len(offsets) - 1):
        at, stop = np.uint64(offsets[text]), np.uint64(offsets[text + 1])
        beginning = (u64[at + _EIGHT] ^ u64[at + _EIGHT + _EIGHT]) * _MULTIPLIER >> _HASH_SHIFT
        earlier, recent[beginning] = recent[beginning], text
        before, last_before = (borders[earlier], borders[earlier + 1]) if earlier >= 0 else (0, 0)
        while True:
            begin = at
            gaps = equal_bytes(u64[at], _SPACES) | equal_bytes(u64[at], _NEWLINES)
            while gaps == _ZERO and at < stop:
                at += _EIGHT
                gaps = equal_bytes(u64[at], _SPACES) | equal_bytes(u64[at], _NEWLINES)
            at = min(at + first_byte(gaps), stop) if gaps else stop
            is_equal = False
            if before < last_before:
                number = numbers[before]
                other = np.uint64(bounds[0, number])
                if np.uint64(bounds[1, number]) - other == at - begin:
                    is_equal = same_text(u64, begin, at, u64, other)
                before += 1
            if not is_equal:
                number = n_slices
                bounds[0, n_slices], bounds[1, n_slices] = begin, at
                n_slices += 1
            numbers[n_words] = number
            n_words += 1
            if at == stop:
                break
            at += _ONE
        borders[text + 1] = n_words
    return n_slices


@compiled
def _class_at(u64: U64s, at: np.uint64) -> np.int64:
    """Return what a byte is, as bits."""
    return _CLASSES[byte_at(u64, at)]


@compiled
def _uuid_end(u64: U64s, at: np.uint64, end: np.uint64) -> np.uint64:
    """Find where a UUID ends that begins at an offset; the offset itself if there is none."""
    if at + _TAIL >= end:
        return at
    for offset in range(_TAIL):
        if offset in _DASHES:
            if byte_at(u64, at + offset) != _DASH:
                return at
        elif not _class_at(u64, at + offset) & _HEX:
            return at
    last = at + _TAIL
    while last < end and last < at + _LONGEST and _class_at(u64, last) & _HEX:
        last += _ONE
    return last if last > at + _TAIL else at


@compiled
def _identifier(
    u64: U64s, first: np.uint64, begin: np.uint64, stop: np.uint64, end: np.uint64
) -> tuple[int, np.uint64]:
    """Return what a run of hexadecimal digits in the text ``first`` to ``end`` begins: (placeholder or -1, its end)."""
    is_longest = stop - begin == _LONGEST_RUN
    before = byte_at(u64, begin - _ONE) if begin > first else _SPACE
    if is_longest and stop < end and byte_at(u64, stop) == _DASH and not _CLASSES[before] & _WORD:
        last = _uuid_end(u64, begin, end)
        if last > begin:
            return 0, last
    for at in range(begin, stop):
        if not _class_at(u64, at) & _LOW_HEX:
            return -1, stop
    if before == _AT:
        return 1, stop
    return (2 if is_longest else -1), stop


@compiled
def mask_identifiers(u64: U64s, offsets: Ints, placeholders: U64s, copy: U64s, ends: Ints) -> None:
    r"""Copy texts consecutively, UUIDs, object hashes and hexadecimal identifiers in them replaced, in order.

    They are what these match: ``\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{1,12}``,
    ``@[0-9a-f]{5,8}\b`` and ``\b[0-9a-f]{8}\b``. Each begins with a run of five to eight digits that is no part of a
    longer word, and no such run lies between two bytes that are no digits and less than six apart: so one byte in five
    is looked at, and text is copied between what is replaced.

    Parameters
    ----------
    u64 : the texts' buffer.
    offsets : the borders of the texts, one more than texts.
    placeholders : 3 x 2, each placeholder (a hash's without its @) as a u64, and its size.
    copy : the buffer that takes the copies.
    ends : takes where each copy ends.
    """
    to = _ZERO
    for number in range(len(offsets) - 1):
        first, end = np.uint64(offsets[number]), np.uint64(offsets[number + 1])
        copied = first  # what stands before it is copied or replaced
        at = first + _SHORTEST - _ONE
        while at < end:
            if not _class_at(u64, at) & _HEX:
                at += _SHORTEST
                continue
            begin, stop = at, at + _ONE
            while begin > copied and _class_at(u64, begin - _ONE) & _HEX:
                begin -= _ONE
            while stop < end and _class_at(u64, stop) & _HEX:
                stop += _ONE
            at = stop + _SHORTEST
            if stop - begin < _SHORTEST or stop - begin > _LONGEST_RUN:
                continue
            if stop < end and _class_at(u64, stop) & _WORD or begin > copied and _class_at(u64, begin - _ONE) & _WORD:
                continue
            masked, last = _identifier(u64, first, begin, stop, end)
            if masked >= 0:
                to = copy_text(u64, copied, begin, copy, to)
                copy[to] = placeholders[masked, 0]
                to += placeholders[masked, 1]
                # The masks after see a placeholder before what follows: it begins a word.
                copied, at = last, last + _SHORTEST - _ONE
        to = copy_text(u64, copied, end, copy, to)
        ends[number] = to


@compiled
def count_windows(lines: Ints, size: int, state: Ints, slots: Ints, groups: Ints, cells: Ints) -> tuple[int, int]:
    """Count the statements of each window of the logs of a block, in one pass over its lines.

    Parameters
    ----------
    lines : (4 x lines) file, statement, time in ms and number of each line; the lines of a file follow one another.
    size : length of a window in ms.
    state : (files x 3) the last statement of each file (-1 = none yet), the length of the run of equal statements that
        ends with it, the time of its line; brought up to date, so that blocks may cut a file anywhere.
    slots : (statements x 2) zeroed scratch.
    groups : takes (file, window, first line, last line, longest silence in ms or -1) of each window.
    cells : takes (group, statement, count, longest run, first line) of each statement in a window.

    Returns
    -------
    how many of ``groups`` and of ``cells`` are filled.
    """
    n_groups, n_cells, own, end = 0, 0, -1, 0
    last, run, before = -1, 0, 0
    for number in range(lines.shape[1]):
        file, said, time, line = lines[0, number], lines[1, number], lines[2, number], lines[3, number]
        if file != own:
            if own >= 0:
                state[own, 0], state[own, 1], state[own, 2] = last, run, before
            own, end = file, 0
            last, run, before = state[own, 0], state[own, 1], state[own, 2]
        # Within a window no division is needed.
        if n_groups == 0 or groups[n_groups - 1, 0] != own or time >= end or time < end - size:
            window = time // size
            end = (window + 1) * size
            groups[n_groups, 0], groups[n_groups, 1], groups[n_groups, 2] = own, window, line
            groups[n_groups, 4] = -1
            n_groups += 1
        group = n_groups - 1
        groups[group, 3] = line
        if last >= 0 and time - before > groups[group, 4]:
            groups[group, 4] = time - before
        run = run + 1 if last == said else 1
        last, before = said, time
        # A slot holds the number of the group that last used it, and the cell.
        if slots[said, 0] != n_groups:
            slots[said, 0], slots[said, 1] = n_groups, n_cells
            cells[n_cells, 0], cells[n_cells, 1], cells[n_cells, 2] = group, said, 0
            cells[n_cells, 3], cells[n_cells, 4] = 0, line
            n_cells += 1
        cell = slots[said, 1]
        cells[cell, 2] += 1
        if run > cells[cell, 3]:
            cells[cell, 3] = run
    if own >= 0:
        state[own, 0], state[own, 1], state[own, 2] = last, run, before
    return n_groups, n_cells
