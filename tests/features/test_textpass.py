"""The text pass of random logs equals what plain Python says of them, line by line."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.features.figures import BaseFigures
from lo2dask.features.masks import MASKS
from lo2dask.features.textpass import BAGS, CODES, LINES, TextPass, TextTables, bags_schema
from lo2dask.parse.columns import FileKeys
from lo2dask.schema import TokenKinds
from lo2dask.sources.tree import SourceFile
from tests.examples import examples

from .plain import PlainFeatures, lines_of, logs, plain_features, plain_line, read_events, texts_of


def keys(count: int) -> FileKeys:
    names = [f"light-oauth2-oauth2-token-{number}.log" for number in range(count)]
    return FileKeys.of(
        [SourceFile(name, "", 0, 1, 0, "run_1", "correct", name, "log", "token", normal=True) for name in names]
    )


def pass_over(
    blocks: list[pa.Table], n_files: int, tokens: str, window_ms: int = 0
) -> tuple[TextTables, np.ndarray, pa.Table]:
    """Run the text pass; return its tables, the files that have a row, and their sequences."""
    text, base = TextPass(n_files, MASKS, TokenKinds.of(tokens), True, window_ms=window_ms), BaseFigures(n_files)
    for events in blocks:
        base.add(events)
        text.add(events)
    sequences = base.table(keys(n_files))
    return text.tables(sequences, base.rows()), base.rows(), sequences


def counted(bag: list[dict]) -> Counter:
    assert [pair["token"] for pair in bag] == sorted((pair["token"] for pair in bag), key=str.encode)
    return Counter({pair["token"]: pair["count"] for pair in bag})


def check_row(row: dict, plain: PlainFeatures, texts: list[str]) -> None:
    assert counted(row["e_words"]) == plain.words
    assert counted(row["e_trigrams"]) == plain.trigrams
    assert counted(row["e_words_raw"]) == plain.raw_words
    assert counted(row["e_trigrams_raw"]) == plain.raw_trigrams
    assert row["n_error"] == sum(plain.errors.values())
    assert row["errors_by_logger"] == [{"token": name, "count": count} for name, count in sorted(plain.errors.items())]
    assert row["n_exception"] == len(plain.exceptions)
    assert row["first_exception"] == (plain.exceptions or [None])[0]
    assert row["n_threads"] == len(plain.threads)
    assert row["e_event_id_len"] == len(texts)
    assert row["e_words_len"] == sum(plain.raw_words.values())
    assert row["e_trigrams_len"] == sum(plain.raw_trigrams.values())
    assert row["e_chars_len"] == sum(map(len, texts))


@examples(80)
@given(st.lists(logs, min_size=1, max_size=3), st.sampled_from(["fill", "drop", "keep"]))
def test_rows_equal_those_of_plain_python(contents: list[str], policy: str) -> None:
    blocks = read_events(contents, policy)
    tables, rows, _ = pass_over(blocks, len(contents), "both")
    assert tables.bags.schema.names == bags_schema(TokenKinds.of("both")).names
    texts = [[text for events in blocks for text in texts_of(events, number)] for number in range(len(contents))]
    assert rows.tolist() == [number for number, own in enumerate(texts) if own]
    for number, row in zip(rows.tolist(), tables.bags.to_pylist(), strict=True):
        check_row(row, plain_features(texts[number]), texts[number])


@examples(60)
@given(st.lists(logs, min_size=1, max_size=3))
def test_lines_are_numbered_once_and_counted(contents: list[str]) -> None:
    blocks = read_events(contents)
    tables, rows, _ = pass_over(blocks, len(contents), "masked")
    assert (tables.lines.schema, tables.codes.schema) == (LINES, CODES)
    texts = [text for events in blocks for text in lines_of(events)]
    pairs = list(zip(tables.lines["line"].to_pylist(), tables.lines["message"].to_pylist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert [pairs[code] for code in tables.codes["line"].to_pylist()] == [plain_line(text) for text in texts]
    assert tables.lines["n_events"].to_pylist() == [Counter(map(plain_line, texts))[pair] for pair in pairs]
    for number, row in zip(rows.tolist(), tables.bags.to_pylist(), strict=True):
        own = Counter(plain_line(text) for events in blocks for text in texts_of(events, number))
        assert {pairs[cell["line"]]: cell["count"] for cell in row["lines"]} == own


@examples(40)
@given(st.lists(logs, min_size=1, max_size=2))
def test_lines_know_when_they_were_first_seen(contents: list[str]) -> None:
    blocks = read_events(contents)
    tables, _, _ = pass_over(blocks, len(contents), "masked")
    stamps = [stamp for events in blocks for stamp in events["m_timestamp"].to_pylist()]
    for number, first in enumerate(tables.lines["first_seen"].to_pylist()):
        own = [stamp for stamp, code in zip(stamps, tables.codes["line"].to_pylist(), strict=True) if code == number]
        assert first == min((stamp for stamp in own if stamp), default=None)


@examples(40)
@given(st.lists(logs, min_size=1, max_size=3), st.integers(1, 7), st.sampled_from(["masked", "raw", "both"]))
def test_blocks_of_any_size_give_the_same(contents: list[str], size: int, tokens: str) -> None:
    blocks = read_events(contents)
    pieces = [
        events.slice(start, size).combine_chunks() for events in blocks for start in range(0, events.num_rows, size)
    ]
    (one, _, sequences), (many, _, other) = (pass_over(found, len(contents), tokens) for found in (blocks, pieces))
    assert sequences.equals(other)
    # Trigrams of a block that is all ASCII and of one that is not are counted in two ways, and are the same.
    assert one.bags.drop(["lines"]).equals(many.bags.drop(["lines"]))
    keys = [("line", "ascending"), ("message", "ascending")]
    assert one.lines.sort_by(keys).equals(many.lines.sort_by(keys))
    named = [found.lines["line"].take(found.codes["line"]).to_pylist() for found in (one, many)]
    assert named[0] == named[1]
    for left, right in zip(one.counted, many.counted, strict=True):
        assert left.sort_by("token").equals(right.sort_by("token"))


@examples(40)
@given(st.lists(logs, min_size=1, max_size=2), st.sampled_from(["masked", "raw"]))
def test_one_kind_of_tokens_is_that_of_both(contents: list[str], tokens: str) -> None:
    blocks = read_events(contents)
    one, both = (pass_over(blocks, len(contents), kind)[0].bags for kind in (tokens, "both"))
    assert one.schema.names == BAGS.names
    for name in ("e_words", "e_trigrams"):
        other = f"{name}_raw" if tokens == "raw" else name
        assert one[name].combine_chunks().to_pylist() == both[other].combine_chunks().to_pylist()


def test_a_batch_without_a_line_leaves_empty_tables() -> None:
    tables, rows, sequences = pass_over([], 2, "both")
    assert (len(rows), sequences.num_rows, tables.bags.num_rows, tables.lines.num_rows) == (0, 0, 0, 0)
    assert tables.codes.num_rows == 0
    text = TextPass(1, MASKS, TokenKinds.of("masked"), False)
    text.add(read_events(["10:00:00.000 x"])[0].slice(0, 0))
    assert not text.numbers


@pytest.mark.parametrize("gap", [0, 999, 1000, 90_500])
def test_durations_and_rates_are_of_the_kept_lines(gap: int) -> None:
    log = f"10:00:00.000 a\n10:{gap // 60_000:02}:{gap // 1000 % 60:02}.{gap % 1000:03} b"
    tables, _, sequences = pass_over(read_events([log]), 1, "masked")
    row, sequence = tables.bags.to_pylist()[0], sequences.to_pylist()[0]
    assert (sequence["duration_ms"], sequence["duration_sec"], sequence["seq_len"]) == (gap, gap // 1000, 2)
    assert row["rate"] == 2000 / max(gap, 1)
