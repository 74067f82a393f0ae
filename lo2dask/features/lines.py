"""One block of event rows to what all features come from: its distinct statements, normalised lines and their counts.

Identifiers stand almost all in a line's head (time, thread, correlation id) or are masked, so a block of 64 MB has a
few hundred distinct normalised lines: everything textual is done on those, and counts travel by sparse products.
"""

import functools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.features.heads import Heads
from lo2dask.features.masks import Mask, normalise
from lo2dask.features.trigrams import count_line_trigrams, count_text_trigrams, count_trigrams
from lo2dask.features.words import count_words
from lo2dask.parse.raw_lines import raw_line
from lo2dask.vocabulary.counts import TokenCounts, count_pairs, distinct, join_counts
from lo2dask.vocabulary.texts import text_sizes, whole

TIME, CORRELATION = "<TIME>", "<CID>"


@dataclass(frozen=True)
class TextBlock:
    """The text of some event rows.

    ``sequence`` is the row of each line's sequence (0 to ``n_sequences`` - 1). ``statement`` numbers each line's text
    after its head in ``statements``, which are distinct; ``line`` its whole normalised text in
    ``lines``, whose part after the head is ``bodies``.
    """

    n_sequences: int
    sequence: Ints
    statement: Ints
    statements: pa.Array
    line: Ints
    lines: pa.Array
    bodies: pa.Array
    headed: Bools

    @functools.cached_property
    def by_line(self) -> sparse.csr_matrix:
        """Count each sequence's normalised lines: (sequences x lines), int32."""
        return count_pairs(self.sequence, self.line, (self.n_sequences, len(self.lines)))


def read_text(events: pa.Table, masks: tuple[Mask, ...]) -> tuple[Ints, TextBlock]:
    """Take the text of event rows (parse.columns.TEXT).

    Returns the batch-wide seq_id codes of the block's sequences, ascending, and the block, whose rows follow them.
    """
    codes, sequence = distinct(_codes(events["seq_id"]))
    messages = whole(events["m_message"])
    statement, statements = messages.indices.to_numpy().astype(np.int64), messages.dictionary.cast(pa.string())
    # A line with a well-formed head has a thread, if only an empty one.
    headed = pc.is_valid(whole(events["thread"])).to_numpy(zero_copy_only=False)
    bodies = normalise(statements, masks)
    body = bodies.indices.to_numpy()[statement]
    kinds, kind = _heads(events, headed, masks)
    pairs, line = distinct(kind * max(len(bodies.dictionary), 1) + body)
    line_kind, line_body = np.divmod(pairs, max(len(bodies.dictionary), 1))
    texts = bodies.dictionary.take(pa.array(line_body))
    lines = pc.binary_join_element_wise(kinds.take(pa.array(line_kind)), texts, "")
    return codes, TextBlock(
        len(codes), sequence, statement, statements, line, lines, texts, headed,
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
    heads = Heads.of(events, block.headed, block.sequence, block.n_sequences)
    by_statement = count_pairs(block.sequence, block.statement, (block.n_sequences, len(block.statements)))
    words = count_words(block.statements, by_statement)
    texts = [TokenCounts(by_statement, block.statements), *heads.texts(block.statements, block.statement[block.headed])]
    trigrams = count_text_trigrams(texts, words.tokens)
    if trigrams is None:
        trigrams = count_line_trigrams(whole(raw_line(events)), block.sequence, block.n_sequences)
    return {"e_words": join_counts([*heads.words(), words]), "e_trigrams": trigrams}


def _heads(events: pa.Table, headed: Bools, masks: tuple[Mask, ...]) -> tuple[pa.Array, Ints]:
    """Normalise the heads: the few distinct ones, and which of them each line has ("" without a head)."""
    thread = whole(events["thread"])
    threads = thread.dictionary if len(thread.dictionary) else pa.array([""])
    distinct = normalise(pc.binary_join_element_wise("[", threads.cast(pa.string()), "]", ""), masks)
    kind = distinct.indices.to_numpy()[thread.indices.fill_null(0).to_numpy()].astype(np.int64)
    kind = 2 * kind + (text_sizes(whole(events["correlation_id"])) > 0)
    kinds = [
        f"{TIME} {text}  {CORRELATION if cid else ''} " for text in distinct.dictionary.to_pylist() for cid in (0, 1)
    ]
    return pa.array([*kinds, ""], pa.string()), np.where(headed, kind, len(kinds))


def _codes(column: pa.ChunkedArray) -> Ints:
    return whole(column).indices.to_numpy()
