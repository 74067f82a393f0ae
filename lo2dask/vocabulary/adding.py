"""Adds up the counts of tokens, table by table, within a bound of memory."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lo2dask.buffers.arrays import Ints
from lo2dask.buffers.padded import PADDING, as_u64, padded_text
from lo2dask.buffers.slices import slices
from lo2dask.vocabulary.limits import COUNTED
from lo2dask.vocabulary.tokens import unpack_trigrams

# Packed trigrams of ASCII: three times seven bits.
_TRIGRAMS = 1 << 21
# What a token takes besides its text: hash, end, two sums and at most four slots.
TOKEN_BYTES = 48


@dataclass(frozen=True)
class Share:
    """The tokens whose place (:func:`list_places`) lies in the part ``number`` of ``of`` equal parts of all places.

    ``of`` is a power of two.
    """

    number: int = 0
    of: int = 1

    @property
    def bits(self) -> int:
        """Upper bits of a place that say in which share it lies."""
        return self.of.bit_length() - 1

    def take(self, table: pa.Table) -> pa.Table:
        """Keep the share's rows."""
        if self.of == 1 or table.num_rows == 0:
            return table
        places = list_places(table["token"].combine_chunks())
        return table.filter(pa.array(places >> np.uint64(64 - self.bits) == np.uint64(self.number)))

    def half(self) -> "Share":
        """Return the first half of the share."""
        return Share(2 * self.number, 2 * self.of)

    def rest(self, half: "Share") -> list["Share"]:
        """Return what is left of the share next to its first half, quarter and so on."""
        first = half.number
        return [Share(number, half.of) for number in range(first + 1, first + half.of // self.of)]


def list_places(tokens: pa.Array) -> npt.NDArray[np.uint64]:
    """Place each token among all 64-bit numbers: trigrams of ASCII in their order, others by a hash of their bytes."""
    from lo2dask.vocabulary.compiled_counts import place_slices

    text, offsets = padded_text(tokens)
    places = np.empty(len(tokens), dtype=np.uint64)
    place_slices(as_u64(text), offsets[:-1], offsets[1:], places)
    return places


class TokenSums:
    """The sums of the tokens of a share."""

    def __init__(self, share: Share, room: int = 0) -> None:
        """Begin without a token, but with room for so many, where that is known."""
        self.share = share
        self._cells = np.zeros((2, max(1, _TRIGRAMS // share.of)), dtype=np.int64)
        self._base = share.number * _TRIGRAMS // share.of
        self._found = self._size = 0
        self._text = np.zeros(PADDING, dtype=np.uint8)
        self._hashes, self._ends = np.empty(room, dtype=np.uint64), np.empty(room, dtype=np.int64)
        self._sums = np.empty((room, 2), dtype=np.int64)
        self._spread()

    def add(self, table: pa.Table) -> None:
        """Add counted tokens (columns: COUNTED, of numbers that may be narrow), all of the share."""
        from lo2dask.vocabulary.compiled_counts import Added, Sums, add_tokens

        for batch in table.to_batches():
            text, borders = padded_text(batch["token"])
            self._make_room(len(batch), len(text))
            counts = np.stack([batch[name].to_numpy() for name in COUNTED.names[1:]], dtype=np.int64)
            added = Added(as_u64(text), borders, counts)
            words = as_u64(self._text, writeable=True)
            sums = Sums(self._slots, self._hashes, words, self._ends, self._sums)
            self._found = add_tokens(added, self._cells, self._base, sums, self._found)
            self._size = int(self._ends[self._found - 1]) if self._found else 0

    def __len__(self) -> int:
        """Return the number of tokens other than trigrams."""
        return self._found

    @property
    def nbytes(self) -> int:
        """Bytes that the tokens other than trigrams take."""
        return self._size + TOKEN_BYTES * self._found

    def counts(self) -> Ints:
        """Return the sums, those of trigrams first (2 x tokens): document frequencies and totals."""
        return np.concatenate([self._cells[:, np.flatnonzero(self._cells[0])], self._sums[: self._found].T], axis=1)

    def take(self, chosen: Ints) -> pa.Table:
        """Return some tokens by their ascending places in :meth:`counts`, with their sums (columns: COUNTED)."""
        cells = np.flatnonzero(self._cells[0])
        trigrams = chosen[chosen < len(cells)]
        others = chosen[len(trigrams) :] - len(cells)
        texts = slices(self._text, np.append(0, self._ends)[others], self._ends[others])
        tokens = pa.concat_arrays([unpack_trigrams(cells[trigrams] + self._base), texts])
        sums = np.concatenate([self._cells[:, cells[trigrams]], self._sums[others].T], axis=1)
        return pa.table([tokens, *map(pa.array, sums)], schema=COUNTED)

    def table(self) -> pa.Table:
        """Return all tokens, in no order (columns: COUNTED)."""
        return self.take(np.arange(self.counts().shape[1]))

    def _make_room(self, tokens: int, size: int) -> None:
        """Make room for so many more tokens, and so many more bytes of text."""
        if self._size + size + PADDING > len(self._text):
            self._text = _longer(self._text, 2 * (self._size + size + PADDING))
        if self._found + tokens > len(self._hashes):
            room = 2 * (self._found + tokens)
            self._hashes, self._ends = _longer(self._hashes, room), _longer(self._ends, room)
            self._sums = _longer(self._sums, room)
            self._spread()

    def _spread(self) -> None:
        """Number the tokens in a new table of slots, at most half of which will be taken."""
        from lo2dask.vocabulary.compiled_counts import fill_slots

        self._slots = np.full(1 << (2 * len(self._hashes) - 1).bit_length(), -1, dtype=np.int32)
        fill_slots(self._hashes, self._found, self._slots)


def _longer(values: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """Copy an array into one of ``length`` rows; what is after the values is left as it lies in memory."""
    longer = np.empty((length, *values.shape[1:]), dtype=values.dtype)
    longer[: len(values)] = values
    return longer
