"""Column names and Arrow schemas of every table; seq_id is built only here.

Tables carry plain strings on disk. In memory the columns of :data:`DICTIONARY` are dictionary-encoded, which is
what keeps a 70-byte seq_id on every event cheap. Times are in UTC, to the microsecond.
"""

import re
from dataclasses import dataclass

import pyarrow as pa

from lo2dask.domain import CORRECT

_NORMAL = re.compile(CORRECT + r"(?:[_-]?\d+)?")

# The version of everything in an output folder, raised with a table's or a state file's form. Folders without it: 1.
LAYOUT_VERSION = 7

TIME = pa.timestamp("us", "UTC")

KEY_FIELDS = [
    pa.field("seq_id", pa.string()),
    pa.field("run", pa.string()),
    pa.field("test_case", pa.string()),
    pa.field("service", pa.string()),
    pa.field("normal", pa.bool_()),
    pa.field("anomaly", pa.bool_()),
]
KEYS = [field.name for field in KEY_FIELDS]

# Columns of few distinct values, or of values that repeat: dictionary-encoded in memory and in Parquet.
DICTIONARY = (
    *("seq_id", "run", "test_case", "service", "thread", "correlation_id", "level", "logger", "method", "m_message"),
    "e_event_drain_id",
    *("metric_name", "job", "instance", "labels"),
)

EVENTS = pa.schema(
    [
        *KEY_FIELDS,
        pa.field("line_no", pa.int64()),
        pa.field("m_timestamp", TIME),
        pa.field("m_message", pa.string()),
        pa.field("thread", pa.string()),
        pa.field("correlation_id", pa.string()),
        pa.field("level", pa.string()),
        pa.field("logger", pa.string()),
        pa.field("method", pa.string()),
        pa.field("is_continuation", pa.bool_()),
        pa.field("e_words_len", pa.int32()),
        pa.field("e_trigrams_len", pa.int32()),
        pa.field("e_chars_len", pa.int32()),
        pa.field("e_lines_len", pa.int32()),
    ]
)
DRAIN_ID = pa.field("e_event_drain_id", pa.string())
NORMALIZED = pa.field("e_message_normalized", pa.string())

SEQUENCES = pa.schema(
    [
        *KEY_FIELDS,
        pa.field("start_time", TIME),
        pa.field("end_time", TIME),
        pa.field("duration_ms", pa.int64()),
        # The same figure under its former name, for one version longer.
        pa.field("duration", pa.int64()),
        pa.field("duration_sec", pa.int64()),
        pa.field("seq_len", pa.int64()),
    ]
)

BAG = pa.list_(pa.struct([pa.field("token", pa.string()), pa.field("count", pa.int32())]))
# The same in memory, with each distinct token once.
CODED_BAG = pa.list_(
    pa.struct([pa.field("token", pa.dictionary(pa.int32(), pa.string())), pa.field("count", pa.int32())])
)
TOKEN_LIST = pa.list_(pa.string())

# Numeric columns of the enhanced table, beyond seq_len and the durations.
FEATURES = pa.schema(
    [
        pa.field("e_event_id_len", pa.int64()),
        pa.field("e_words_len", pa.int64()),
        pa.field("e_trigrams_len", pa.int64()),
        pa.field("e_chars_len", pa.int64()),
        pa.field("n_error", pa.int64()),
        pa.field("n_exception", pa.int64()),
        pa.field("n_templates", pa.int64()),
        pa.field("n_threads", pa.int64()),
        pa.field("rate", pa.float64()),
    ]
)
NUMERIC = ("seq_len", "duration_ms", "duration", "duration_sec", *FEATURES.names)

# What a sequence is turned into, and the column that holds it. The raw ones are there under ``--tokens both`` alone.
MAIN = {"words": "e_words", "trigrams": "e_trigrams", "templates": "e_templates"}
RAW = {"words_raw": "e_words_raw", "trigrams_raw": "e_trigrams_raw"}
REPRESENTATIONS = MAIN | RAW
# Former names of bag columns, which options and model keys still take.
FORMER_NAMES = {"e_event_drain_id": "e_templates"}
STATEMENTS_BAG = "e_statements"
# All bags that models read.
BAGS = REPRESENTATIONS | {"statements": STATEMENTS_BAG}

ENHANCED = pa.schema(
    [
        *SEQUENCES,
        *FEATURES,
        pa.field("first_exception", pa.string()),
        pa.field("errors_by_logger", BAG),
        *(pa.field(name, BAG) for name in (*MAIN.values(), STATEMENTS_BAG)),
    ]
)

TEMPLATES = pa.schema(
    [
        pa.field("e_event_drain_id", pa.string()),
        pa.field("template", pa.string()),
        pa.field("n_events", pa.int64()),
        pa.field("n_sequences", pa.int64()),
        pa.field("first_seen", TIME),
    ]
)
STATEMENTS = pa.schema(
    [
        pa.field("statement_id", pa.string()),
        pa.field("text", pa.string()),
        pa.field("level", pa.string()),
        pa.field("logger", pa.string()),
        pa.field("method", pa.string()),
        pa.field("is_continuation", pa.bool_()),
        pa.field("e_event_drain_id", pa.string()),
        pa.field("n_events", pa.int64()),
    ]
)
VOCABULARY = pa.schema(
    [
        pa.field("representation", pa.string()),
        pa.field("token", pa.string()),
        pa.field("document_frequency", pa.int64()),
        pa.field("count", pa.int64()),
    ]
)
MANIFEST = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("member", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("size", pa.int64()),
        pa.field("mtime_ns", pa.int64()),
        pa.field("run", pa.string()),
        pa.field("test_case", pa.string()),
        pa.field("name", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("service", pa.string()),
        pa.field("problem", pa.string()),
        pa.field("selected", pa.bool_()),
        pa.field("why", pa.string()),
        pa.field("normal", pa.bool_()),
        # Of a compressed or rotated log, the oldest first.
        pa.field("parts", pa.list_(pa.struct([pa.field("path", pa.string()), pa.field("size", pa.int64())]))),
    ]
)
REJECTS = pa.schema([pa.field(name, pa.string()) for name in ("path", "member", "stage", "reason", "detail")])

METRICS = pa.schema(
    [
        pa.field("run", pa.string()),
        pa.field("test_case", pa.string()),
        pa.field("normal", pa.bool_()),
        pa.field("anomaly", pa.bool_()),
        pa.field("metric_name", pa.string()),
        pa.field("job", pa.string()),
        pa.field("instance", pa.string()),
        pa.field("labels", pa.string()),
        pa.field("timestamp", TIME),
        pa.field("value", pa.float64()),
    ]
)
TRACES = pa.schema(
    [
        pa.field("run", pa.string()),
        pa.field("test_case", pa.string()),
        pa.field("service", pa.string()),
        pa.field("normal", pa.bool_()),
        pa.field("anomaly", pa.bool_()),
        pa.field("trace_id", pa.string()),
        pa.field("span_id", pa.string()),
        pa.field("operation", pa.string()),
        pa.field("start", TIME),
        pa.field("end", TIME),
        pa.field("tags", pa.string()),
    ]
)
PREDICTIONS = pa.schema(
    [
        *KEY_FIELDS,
        pa.field("pred_ano", pa.int8()),
        pa.field("score", pa.float64()),
        # Of a training normal the score by a model without its run, where the model has one; else the same score.
        pa.field("score_held_out", pa.float64()),
        pa.field("rank", pa.int64()),
        pa.field("split", pa.string()),
    ]
)
IF_PREDICTIONS = pa.schema(
    [
        *KEY_FIELDS,
        pa.field("pred_ano", pa.int8()),
        pa.field("score_if", pa.float64()),
        pa.field("rank_if", pa.int64()),
        pa.field("pred_if_threshold", pa.int8()),
        pa.field("split", pa.string()),
    ]
)

# What stands out: a row per case (run and test case) that ``excess`` flags, the strongest first; after them notices
# (without a score): services that have lines in every normal run and none in a case, that are silent for long there, or
# that repeat a statement.
EVIDENCE = pa.list_(
    pa.struct(
        [
            pa.field("path", pa.string()),
            pa.field("line_no", pa.int64()),
            pa.field("time", TIME),
            pa.field("text", pa.string()),
        ]
    )
)
FINDINGS = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("run", "test_case", "service")),
        *(pa.field(name, TIME) for name in ("start", "end")),
        *(pa.field(name, pa.float64()) for name in ("score", "margin", "p")),
        *(pa.field(name, pa.string()) for name in ("kind", "statement_id", "statement", "e_event_drain_id")),
        *(pa.field(name, pa.int64()) for name in ("count", "normal_max")),
        *(pa.field(name, pa.float64()) for name in ("rate", "normal_rate")),
        pa.field("evidence", EVIDENCE),
    ]
)
# Windows of a second (--window) that score above 0.5; 1 is the oddest window of normal logs.
WINDOWS = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("run", "test_case", "service")),
        *(pa.field(name, TIME) for name in ("window_start", "window_end")),
        pa.field("n_events", pa.int64()),
        pa.field("score", pa.float64()),
        *(pa.field(name, pa.string()) for name in ("component", "statement", "e_event_drain_id")),
        *(pa.field(name, pa.int64()) for name in ("first_line", "last_line")),
        pa.field("seq_id", pa.string()),
    ]
)
TIMELINE = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("run", "test_case", "service")),
        pa.field("start", TIME),
        *(pa.field(name, pa.int64()) for name in ("n_events", "n_error")),
        pa.field("score", pa.float64()),
    ]
)
LINES = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("run", "test_case", "service", "path")),
        pa.field("line_no", pa.int64()),
        pa.field("time", TIME),
        pa.field("score", pa.float64()),
        *(pa.field(name, pa.string()) for name in ("statement", "text")),
    ]
)


@dataclass(frozen=True)
class TokenKinds:
    """Which lines words and trigrams are counted of: normalised ones, lines as they stand, or both.

    Where there are both, the normalised ones have the main columns and the others columns of their own.
    """

    masked: bool
    raw: bool

    @classmethod
    def of(cls, option: str) -> "TokenKinds":
        """Read ``--tokens``: masked, raw or both."""
        return cls(option != "raw", option != "masked")

    @property
    def both(self) -> bool:
        """Whether there are raw bags next to the masked ones."""
        return self.masked and self.raw

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds by name: masked, raw."""
        return tuple(name for name in ("masked", "raw") if getattr(self, name))

    @property
    def representations(self) -> dict[str, str]:
        """The representations of the tables, each with its bag column."""
        return REPRESENTATIONS if self.both else MAIN

    @property
    def counted(self) -> tuple[str, ...]:
        """The representations whose tokens the text pass counts: words and trigrams."""
        return tuple(name for name in self.representations if name != "templates")

    @property
    def raw_columns(self) -> dict[str, str]:
        """Map each main bag column to the one of raw tokens, where both are there."""
        return dict(zip(MAIN.values(), RAW.values(), strict=False)) if self.both else {}

    def enhanced(self, lists: bool = False) -> pa.Schema:
        """Return the enhanced table's schema; ``lists`` makes full token lists of all bags (``--keep-token-lists``)."""
        fields = [*ENHANCED, *(pa.field(name, BAG) for name in self.raw_columns.values())]
        bags = self.representations.values() if lists else ()
        return pa.schema([pa.field(f.name, TOKEN_LIST if f.name in bags else f.type) for f in fields])


def seq_id(run: str, test_case: str, log_name: str) -> str:
    """Build ``<run>__<test_case>__<log file without .log>``, the key of a sequence."""
    return f"{run}__{test_case}__{log_name.removesuffix('.log')}"


def is_normal(test_case: str) -> bool:
    """Return whether a test case is normal: ``correct``, or one of several by number, ``correct_1``."""
    return _NORMAL.fullmatch(test_case) is not None


def in_memory(schema: pa.Schema) -> pa.Schema:
    """Return the schema as tasks hold it: low-cardinality string columns dictionary-encoded."""
    encoded = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [pa.field(f.name, encoded) if f.name in DICTIONARY and f.type == pa.string() else f for f in schema]
    )
