"""What the features of a log are, line by line in plain Python, and random logs to compare with."""

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa

from lo2dask.features.masks import MASKS, Mask
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.ingest.batch import read_blocks
from lo2dask.parse.chunks import Reading
from lo2dask.parse.columns import FileKeys
from lo2dask.parse.events import EventParser, LinePolicy
from lo2dask.parse.raw_lines import raw_line
from lo2dask.sources.tree import SourceFile
from lo2dask.vocabulary.counts import TokenCounts
from tests.parse.reference import HEADER

EXCEPTION = re.compile(r"(?m)^(?:Caused by: )?((?:[A-Za-z_$][\w$]*\.)+[\w$]*(?:Exception|Error))\b", re.ASCII)
words = st.text(st.sampled_from("aB0.=ä€😀\t"), max_size=5)
messages = st.one_of(
    st.lists(words, min_size=1, max_size=5).map(" ".join),
    st.sampled_from(
        [
            "user 96bce40c-3e1e-41df-ac31-34e16e0a46b8 at 172.18.0.5",
            'code = keNUio1dQP-rs6SyE15iUw, "1"',
            "Handler@756fad98 66c2c2bd took 1.5",
            "until Jun 28, 2024 4:29:43 PM, then 2024-06-28T16:29:43Z",
        ]
    ),
)
headers = st.builds(
    "10:00:{:02}.{:03} [{}]  {} {} {} doIt - ".format,
    st.integers(0, 2),
    st.integers(0, 3),
    st.sampled_from(["XNIO-1 task-2", "XNIO-1 task-3", "main", "", "hz._hz.thread-8"]),
    st.sampled_from(["", "f3ZRcnoES_G80IVuBDezBA", "x"]),
    st.sampled_from(["INFO ", "DEBUG", "ERROR", "ERROR"]),
    st.sampled_from(["c.n.Handler", "c.n.Other"]),
)
bare = st.sampled_from(["", "10:00:02.000 no header ", "\tat ", "Caused by: java.sql.SQLException: ", "a.b.MyError "])
lines = st.builds("{}{}".format, st.one_of(headers, headers, bare), messages)
logs = st.lists(lines, max_size=12).map("\n".join)


def plain_words(text: str) -> Counter:
    return Counter(word for line in text.split("\n") for word in line.split(" "))


def plain_trigrams(text: str) -> Counter:
    return Counter(line[i : i + 3] for line in text.split("\n") for i in range(len(line) - 2))


def plain_mask(text: str, masks: Sequence[Mask] = MASKS) -> str:
    for mask in masks:
        text = re.sub(mask.pattern, mask.replacement, text, flags=re.ASCII)
    return text


def plain_line(text: str) -> tuple[str, str]:
    """Return a line normalised, and its part after the header."""
    header = HEADER.match(text)
    if not header:
        return plain_mask(text), plain_mask(text)
    body = plain_mask(text[header.start(3) :])
    return f"<TIME> {plain_mask(f'[{header[1]}]')}  {'<CID>' if header[2] else ''} {body}", body


@dataclass
class PlainFeatures:
    """What the text pass says of one log, added up line by line."""

    words: Counter = field(default_factory=Counter)
    trigrams: Counter = field(default_factory=Counter)
    raw_words: Counter = field(default_factory=Counter)
    raw_trigrams: Counter = field(default_factory=Counter)
    lines: Counter = field(default_factory=Counter)
    threads: set = field(default_factory=set)
    errors: Counter = field(default_factory=Counter)
    exceptions: list = field(default_factory=list)

    def add(self, text: str) -> None:
        line, body = plain_line(text)
        self.words += plain_words(line)
        self.trigrams += plain_trigrams(line)
        self.raw_words += plain_words(text)
        self.raw_trigrams += plain_trigrams(text)
        self.lines[line] += 1
        self.exceptions += EXCEPTION.findall(body)
        if header := HEADER.match(text):
            self.threads.add(header[1])
            if header[3] == "ERROR":
                self.errors[header[4]] += 1


def plain_features(texts: Iterable[str]) -> PlainFeatures:
    found = PlainFeatures()
    for text in texts:
        found.add(text)
    return found


def read_events(contents: Sequence[str], policy: str = "fill", line_format: LineFormat = LO2) -> list[pa.Table]:
    """Write logs and parse them as one batch; return its blocks of events."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, content in enumerate(contents):
            path = Path(folder) / f"light-oauth2-oauth2-token-{number}.log"
            path.write_text(content, encoding="utf-8")
            size = path.stat().st_size
            files.append(
                SourceFile(str(path), "", 0, size, 0, "run_1", "correct", path.name, "log", "token", normal=True)
            )
        line_policy = LinePolicy(0, policy, False, line_format)
        parser = EventParser(FileKeys.of(files), line_policy, Reading(), with_text=True)
        return list(read_blocks(parser, files))


def lines_of(events: pa.Table, line_format: LineFormat = LO2) -> list[str]:
    """Return the raw lines of events."""
    return raw_line(events, line_format).to_pylist()


def texts_of(events: pa.Table, number: int) -> list[str]:
    """Return the texts of the events of one of the batch's files."""
    codes = events["seq_id"].combine_chunks().indices
    return raw_line(events).filter(pa.compute.equal(codes, number)).to_pylist()


def as_counters(counts: TokenCounts) -> list[Counter]:
    """Return the counts of each row by token; no token may have two columns."""
    tokens = counts.tokens.to_pylist()
    assert len(set(tokens)) == len(tokens)
    matrix = counts.counts
    rows = [slice(matrix.indptr[row], matrix.indptr[row + 1]) for row in range(matrix.shape[0])]
    columns = [np.asarray(tokens, dtype=object)[matrix.indices[row]].tolist() for row in rows]
    found = [Counter() for _ in rows]
    for counter, names, row in zip(found, columns, rows, strict=True):
        for name, value in zip(names, matrix.data[row].tolist(), strict=True):
            counter[name] += value
    return found
