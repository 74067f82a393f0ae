"""Column names and Arrow schemas of every table; seq_id is built only here.

Tables carry plain strings on disk. In memory the columns of :data:`DICTIONARY` are dictionary-encoded, which is
what keeps a 70-byte seq_id on every event cheap.
"""

import pyarrow as pa

from lo2dask.domain import CORRECT

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
    *("seq_id", "run", "test_case", "service", "thread", "correlation_id", "level", "logger", "method"),
    "e_event_drain_id",
    *("metric_name", "job", "instance", "labels"),
)

EVENTS = pa.schema(
    [
        *KEY_FIELDS,
        pa.field("line_no", pa.int64()),
        pa.field("m_timestamp", pa.timestamp("ms")),
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
        pa.field("start_time", pa.timestamp("ms")),
        pa.field("end_time", pa.timestamp("ms")),
        pa.field("duration", pa.int64()),
        pa.field("duration_sec", pa.int64()),
        pa.field("seq_len", pa.int64()),
    ]
)

BAG = pa.list_(pa.struct([pa.field("token", pa.string()), pa.field("count", pa.int32())]))
TOKEN_LIST = pa.list_(pa.string())

# Numeric columns of the enhanced table, beyond seq_len, duration and duration_sec.
FEATURES = pa.schema(
    [
        pa.field("e_event_id_len", pa.int64()),
        pa.field("e_words_len", pa.int64()),
        pa.field("e_trigrams_len", pa.int64()),
        pa.field("n_error", pa.int64()),
        pa.field("n_exception", pa.int64()),
        pa.field("n_templates", pa.int64()),
        pa.field("n_threads", pa.int64()),
        pa.field("rate", pa.float64()),
    ]
)
BAG_COLUMNS = ("e_words", "e_trigrams", "e_event_drain_id")
# What every enhanced table has, and what stands next to it under ``--tokens both``: bags of the lines as they stand.
MAIN = {"words": "e_words", "trigrams": "e_trigrams", "templates": "e_event_drain_id"}
RAW = {"words_raw": "e_words_raw", "trigrams_raw": "e_trigrams_raw"}
REPRESENTATIONS = MAIN | RAW
NUMERIC = ("seq_len", "duration", "duration_sec", *FEATURES.names)

ENHANCED = pa.schema(
    [
        *SEQUENCES,
        *FEATURES,
        pa.field("first_exception", pa.string()),
        pa.field(
            "errors_by_logger", pa.list_(pa.struct([pa.field("token", pa.string()), pa.field("count", pa.int32())]))
        ),
        *(pa.field(name, BAG) for name in BAG_COLUMNS),
    ]
)
ENHANCED_BOTH = pa.schema([*ENHANCED, *(pa.field(name, BAG) for name in RAW.values())])

TEMPLATES = pa.schema(
    [
        pa.field("e_event_drain_id", pa.string()),
        pa.field("template", pa.string()),
        pa.field("n_events", pa.int64()),
        pa.field("n_sequences", pa.int64()),
        pa.field("first_seen", pa.timestamp("ms")),
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
    ]
)
REJECTS = pa.schema([pa.field(name, pa.string()) for name in ("path", "member", "stage", "reason", "detail")])

LABELS = pa.map_(pa.string(), pa.string())
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
        pa.field("timestamp", pa.timestamp("ms")),
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
        pa.field("start", pa.timestamp("us")),
        pa.field("end", pa.timestamp("us")),
        pa.field("tags", pa.string()),
    ]
)
PREDICTIONS = pa.schema(
    [
        *KEY_FIELDS,
        pa.field("pred_ano", pa.int8()),
        pa.field("score", pa.float64()),
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


def seq_id(run: str, test_case: str, log_name: str) -> str:
    """Build ``<run>__<test_case>__<log file without .log>``, the key of a sequence."""
    return f"{run}__{test_case}__{log_name.removesuffix('.log')}"


def is_normal(test_case: str) -> bool:
    """Return whether a test case is normal: only ``correct`` is."""
    return test_case == CORRECT


def representations(tokens: str) -> dict[str, str]:
    """Return the representations of tables made with ``--tokens``, each with its bag column."""
    return REPRESENTATIONS if tokens == "both" else MAIN


def enhanced(tokens: str, lists: bool = False) -> pa.Schema:
    """Return the enhanced table's schema under ``--tokens`` and ``--keep-token-lists``.

    ``both`` adds e_words_raw and e_trigrams_raw; ``lists`` makes full token lists of all bags.
    """
    fields = ENHANCED_BOTH if tokens == "both" else ENHANCED
    bags = REPRESENTATIONS.values() if lists else ()
    return pa.schema([pa.field(f.name, TOKEN_LIST if f.name in bags else f.type) for f in fields])


def in_memory(schema: pa.Schema) -> pa.Schema:
    """Return the schema as tasks hold it: low-cardinality string columns dictionary-encoded."""
    encoded = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [pa.field(f.name, encoded) if f.name in DICTIONARY and f.type == pa.string() else f for f in schema]
    )
