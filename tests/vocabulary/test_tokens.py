"""Words and trigrams of sequences equal a brute-force count, raw and masked, ASCII or not, merged or not."""

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.features.bags import add_blocks, from_bags, from_token_lists, to_bags, to_token_lists
from lo2dask.features.lines import masked_counts, raw_counts, read_text
from lo2dask.features.masks import MASKS, normalise
from lo2dask.features.textpass import TextPass
from lo2dask.features.trigrams import count_trigrams
from lo2dask.features.words import count_words
from lo2dask.ingest.batch import read_blocks
from lo2dask.parse.chunks import Reading
from lo2dask.parse.columns import FileKeys
from lo2dask.parse.events import EventParser, LinePolicy
from lo2dask.parse.raw_lines import raw_line
from lo2dask.schema import TokenKinds
from lo2dask.sources.tree import SourceFile
from lo2dask.vocabulary.counts import TokenCounts
from tests.examples import examples

words = st.text(st.sampled_from("aB0.=ä€😀\t"), max_size=5)
texts = st.lists(words, min_size=1, max_size=5).map(" ".join)
heads = st.sampled_from(
    [
        "10:00:00.000 [XNIO-1 task-2]  f3ZRcnoES_G80IVuBDezBA DEBUG c.n.Handler doIt - ",
        "10:00:00.001 [XNIO-1 task-3]  f3ZRcnoES_G80IVuBDezBA ERROR c.n.Other run -",
        "10:00:02.000 [hz._hzInstance_1_dev.partition-operation.thread-8]   INFO  c.n.Map load - ",
        "10:00:02.000 not a header - ",
        "10:00:02.000 [main]  x \u00c4\u00c4 a b - ",
        "\tat ",
    ]
)
lines = st.builds("{}{}".format, heads, texts)
logs = st.lists(lines, max_size=12).map("\n".join)


def count(row: TokenCounts, number: int) -> Counter:
    start, stop = row.counts.indptr[number], row.counts.indptr[number + 1]
    tokens = row.tokens.take(pa.array(row.counts.indices[start:stop])).to_pylist()
    assert len(set(tokens)) == len(tokens)
    return Counter(dict(zip(tokens, row.counts.data[start:stop].tolist(), strict=True)))


def brute_words(text: str) -> Counter:
    return Counter(word for line in text.split("\n") for word in line.split(" "))


def brute_trigrams(text: str) -> Counter:
    return Counter(line[i : i + 3] for line in text.split("\n") for i in range(len(line) - 2))


@examples(100)
@given(st.lists(st.lists(texts, min_size=1, max_size=3).map("\n".join), min_size=1, max_size=6))
def test_texts(many: list[str]) -> None:
    found_words, found_trigrams = count_words(pa.array(many)), count_trigrams(pa.array(many))
    for number, text in enumerate(many):
        assert count(found_words, number) == brute_words(text)
        assert count(found_trigrams, number) == brute_trigrams(text)


def events_of(contents: list[str], policy: str) -> list[pa.Table]:
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, content in enumerate(contents):
            path = Path(folder) / f"light-oauth2-oauth2-token-{number}.log"
            path.write_text(content, encoding="utf-8")
            size = path.stat().st_size
            files.append(
                SourceFile(str(path), "", 0, size, 0, "run_1", "correct", path.name, "log", "token", normal=True)
            )
        parser = EventParser(FileKeys.of(files), LinePolicy(0, policy, False), Reading(), with_text=True)
        return list(read_blocks(parser, files))


@examples(100)
@given(st.lists(logs, min_size=1, max_size=3), st.sampled_from(["fill", "merge", "drop"]))
def test_raw_bags(contents: list[str], policy: str) -> None:
    for events in events_of(contents, policy):
        codes, block = read_text(events, MASKS)
        messages = raw_line(events).combine_chunks()
        counted = raw_counts(block, events)
        owner = events["seq_id"].combine_chunks().indices.to_pylist()
        for row, code in enumerate(codes.tolist()):
            own = [text for text, of in zip(messages.to_pylist(), owner, strict=True) if of == code]
            assert count(counted["e_words"], row) == sum(map(brute_words, own), Counter())
            assert count(counted["e_trigrams"], row) == sum(map(brute_trigrams, own), Counter())


@examples(100)
@given(st.lists(logs, min_size=1, max_size=3), st.sampled_from(["fill", "merge"]))
def test_masked_bags_are_raw_bags_of_normalised_lines(contents: list[str], policy: str) -> None:
    for events in events_of(contents, policy):
        codes, block = read_text(events, MASKS)
        counted = masked_counts(block)
        normalised = block.lines.take(pa.array(block.line)).to_pylist()
        for row in range(len(codes)):
            own = [text for text, of in zip(normalised, block.sequence.tolist(), strict=True) if of == row]
            assert count(counted["e_words"], row) == sum(map(brute_words, own), Counter())
            assert count(counted["e_trigrams"], row) == sum(map(brute_trigrams, own), Counter())


def test_normalised_line_is_the_masked_line() -> None:
    """The head, masked by its position, reads like the masks would have left it."""
    line = "16:29:40.148 [XNIO-1 task-4]  f3ZRcnoES_G80IVuBDezBA DEBUG c.n.Handler doIt - code = 7 at 172.18.0.5"
    (events,) = events_of([line], "fill")
    _, block = read_text(events, MASKS)
    assert block.lines.to_pylist() == [
        "<TIME> [XNIO-<NUM> task-<NUM>]  <CID> DEBUG c.n.Handler doIt - code = <NUM> at <IP>"
    ]
    assert block.lines.to_pylist() == normalise(pa.array([line]), MASKS).to_pylist()


def test_blocks_add_up() -> None:
    lines = [f"10:00:0{n % 7}.000 [main]  x{n % 3:021} DEBUG a.B c - take {n % 5} of ä{n}" for n in range(40)]
    (whole,) = events_of(["\n".join(lines), "\n".join(lines[:9])], "fill")
    sequences = pa.table({"seq_id": ["a", "b"], "seq_len": [40, 9], "duration_ms": [0, 0]})
    together, apart = (TextPass(2, MASKS, TokenKinds.of(tokens), False) for tokens in ("masked", "masked"))
    together.add(whole)
    for start in range(0, whole.num_rows, 7):
        apart.add(whole.slice(start, 7).combine_chunks())
    rows = np.arange(2)
    first, second = together.tables(sequences, rows), apart.tables(sequences, rows)
    assert first.bags.drop(["lines"]).equals(second.bags.drop(["lines"]))
    assert first.lines.equals(second.lines)


bags = st.lists(st.dictionaries(words, st.integers(1, 9), max_size=5), min_size=1, max_size=5)


@given(bags)
@examples(60)
def test_bags_go_there_and_back(many: list[dict[str, int]]) -> None:
    flat = [Counter(bag) for bag in many]
    tokens = sorted({token for bag in many for token in bag}, reverse=True)
    dense = np.array([[bag[token] for token in tokens] for bag in flat], dtype=np.int32).reshape(len(many), -1)
    from scipy import sparse

    column = to_bags(TokenCounts(sparse.csr_matrix(dense), pa.array(tokens, pa.string())))
    for bag, pairs in zip(many, column.to_pylist(), strict=True):
        assert [pair["token"] for pair in pairs] == sorted(bag, key=str.encode)
        assert {pair["token"]: pair["count"] for pair in pairs} == bag
    for back in (from_bags(column), from_bags(pa.chunked_array([column])), from_token_lists(to_token_lists(column))):
        assert [count(back, row) for row in range(len(many))] == flat
    assert [count(from_bags(column.slice(1)), row) for row in range(len(many) - 1)] == flat[1:]


def test_no_slab_gives_empty_bags() -> None:
    assert to_bags(add_blocks([], 3)).to_pylist() == [[], [], []]


@pytest.mark.parametrize("text", ["", " ", "ab", "\n", "a\n\nb"])
def test_short_texts(text: str) -> None:
    assert count(count_words(pa.array([text])), 0) == brute_words(text)
    assert count(count_trigrams(pa.array([text])), 0) == brute_trigrams(text)
