"""One block of event rows to what all features come from: its distinct statements, normalised lines and their counts.

Identifiers stand almost all in a line's header (time, thread, correlation id) or are masked, so a block of 64 MB has a
few hundred distinct normalised lines: everything textual is done on those, and counts travel by sparse products.
"""

import functools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.features.headers import Headers
from lo2dask.features.masks import Mask, normalise
from lo2dask.features.trigrams import count_line_trigrams, count_text_trigrams, count_trigrams
from lo2dask.features.words import count_words
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.parse.columns import FILE
from lo2dask.parse.raw_lines import raw_line
from lo2dask.vocabulary.counts import TokenCounts, count_pairs, distinct, join_counts
from lo2dask.vocabulary.texts import text_sizes, whole


@dataclass(frozen=True)
class TextBlock:
    """The text of some event rows.

    ``sequence`` is the row of each line's sequence (0 to ``n_sequences`` - 1). ``statement`` numbers each line's text
    after its header in ``statements``; ``line`` its whole normalised text in ``lines``, whose part
    after the header is ``bodies``.
    """

    n_sequences: int
    sequence: Ints
    statement: Ints
    statements: pa.Array
    line: Ints
    lines: pa.Array
    bodies: pa.Array
    headed: Bools
    line_format: LineFormat = LO2

    @functools.cached_property
    def by_line(self) -> sparse.csr_matrix:
        """Count each sequence's normalised lines: (sequences x lines), int32."""
        return count_pairs(self.sequence, self.line, (self.n_sequences, len(self.lines)))


def read_text(events: pa.Table, masks: tuple[Mask, ...], line_format: LineFormat = LO2) -> tuple[Ints, TextBlock]:
    """Take the text of event rows (parse.columns.TEXT).

    Returns the numbers of the block's files within their batch, ascending, and the block, whose rows follow them.
    """
    files, sequence = distinct(events[FILE.name].to_numpy().astype(np.int64))
    messages = whole(events["m_message"])
    statement, statements = messages.indices.to_numpy().astype(np.int64), messages.dictionary.cast(pa.string())
    # A line with a whole header has a thread, if only an empty one.
    headed = pc.is_valid(whole(events["thread"])).to_numpy(zero_copy_only=False)
    bodies = normalise(statements, masks)
    body = bodies.indices.to_numpy()[statement]
    headers, header = _mask_headers(events, headed, masks, line_format)
    pairs, line = distinct(header * max(len(bodies.dictionary), 1) + body)
    line_header, line_body = np.divmod(pairs, max(len(bodies.dictionary), 1))
    texts = bodies.dictionary.take(pa.array(line_body))
    lines = pc.binary_join_element_wise(headers.take(pa.array(line_header)), texts, "")
    return files, TextBlock(
        len(files), sequence, statement, statements, line, lines, texts, headed, line_format,
    )  # fmt: skip


def masked_counts(block: TextBlock) -> dict[str, TokenCounts]:
    """Count words and trigrams of the normalised lines by sequence."""
    trigrams = count_text_trigrams([TokenCounts(block.by_line, block.lines)])
    if trigrams is None:
        wide = count_trigrams(block.lines)
        trigrams = TokenCounts((block.by_line @ wide.counts).tocsr(), wide.tokens)
    return {"e_words": count_words(block.lines, block.by_line), "e_trigrams": trigrams}


def raw_counts(block: TextBlock, events: pa.Table) -> dict[str, TokenCounts]:
    """Count words and trigrams of the lines as they stand, by sequence.

    ``events`` are the block's rows (columns m_message, m_timestamp, thread, correlation_id).
    """
    if not block.line_format.has_separable_header:
        return _count_whole(block, whole(raw_line(events, block.line_format)))
    headers = Headers.read(events, block.headed, block.sequence, block.n_sequences, block.line_format)
    by_statement = count_pairs(block.sequence, block.statement, (block.n_sequences, len(block.statements)))
    words = count_words(block.statements, by_statement)
    texts = [
        TokenCounts(by_statement, block.statements),
        *headers.texts(block.statements, block.statement[block.headed]),
    ]
    trigrams = count_text_trigrams(texts, words.tokens)
    if trigrams is None:
        lines = whole(raw_line(events, block.line_format))
        trigrams = count_line_trigrams(lines, block.sequence, block.n_sequences)
    return {"e_words": join_counts([*headers.words(), words]), "e_trigrams": trigrams}


def _count_whole(block: TextBlock, messages: pa.Array) -> dict[str, TokenCounts]:
    """Count words and trigrams of whole lines: the way of every format, if not the fastest."""
    by_line = count_pairs(block.sequence, np.arange(len(messages)), (block.n_sequences, len(messages)))
    trigrams = count_line_trigrams(messages, block.sequence, block.n_sequences)
    return {"e_words": count_words(messages, by_line), "e_trigrams": trigrams}


def _mask_headers(
    events: pa.Table, headed: Bools, masks: tuple[Mask, ...], line_format: LineFormat
) -> tuple[pa.Array, Ints]:
    """Normalise the headers: the few distinct ones, and which of them each line has ("" without a header)."""
    thread = whole(events["thread"])
    threads = thread.dictionary if len(thread.dictionary) else pa.array([""])
    masked = normalise(line_format.frame_threads(threads.cast(pa.string())), masks)
    code = masked.indices.to_numpy()[thread.indices.fill_null(0).to_numpy()].astype(np.int64)
    code = 2 * code + (text_sizes(whole(events["correlation_id"])) > 0)
    headers = line_format.mask_headers(masked.dictionary.to_pylist())
    return pa.array([*headers, ""], pa.string()), np.where(headed, code, len(headers))
