"""What each column of lo2_sequences_enhanced.parquet means, and its unit; README's table is made from it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Column(NamedTuple):
    """Unit ("" for text and marks) and meaning of a column."""

    unit: str
    meaning: str


COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        "seq_id": Column("", "`<run>__<test case>__<log file without .log>`: one log file is one sequence"),
        "run": Column("", "folder of the run"),
        "test_case": Column("", "folder of the test case; `correct` is normal traffic"),
        "service": Column("", "short name of the service that wrote the log"),
        "normal": Column("", "label of the case: normal by `--labels`, or a folder like `--normal`; null without one"),
        "anomaly": Column("", "the opposite of normal: the label; null where there is none"),
        "start_time": Column("UTC", "earliest time of a line kept; empty where no line has one"),
        "end_time": Column("UTC", "latest time of a line kept"),
        "duration_ms": Column("milliseconds", "end_time - start_time"),
        "duration": Column("milliseconds", "duration_ms under its former name, for one version longer"),
        "duration_sec": Column("whole seconds", "duration, rounded down"),
        "seq_len": Column("events", "lines kept; under `--continuation-lines merge`, events"),
        "e_event_id_len": Column("events", "events with a template id: all of them, so equal to seq_len"),
        "e_words_len": Column("words", "sum over the lines of their words: spaces + 1"),
        "e_trigrams_len": Column("trigrams", "sum over the lines of their overlapping runs of three characters"),
        "e_chars_len": Column("characters", "sum over the lines of their characters"),
        "n_error": Column("events", "events of level ERROR"),
        "n_exception": Column("lines", "lines that begin with the name of an exception, `Caused by:` or not"),
        "n_templates": Column("templates", "distinct templates"),
        "n_threads": Column("threads", "distinct threads"),
        "rate": Column("events per second", "seq_len / duration, of at least a millisecond"),
        "first_exception": Column("", "full name of the first exception; empty without one"),
        "errors_by_logger": Column("events", "loggers with their events of level ERROR, sorted by logger"),
        "e_words": Column("occurrences", "words with their counts, sorted by word; normalised unless `--tokens raw`"),
        "e_trigrams": Column("occurrences", "trigrams with their counts, sorted; within a line, of the same text"),
        "e_templates": Column("events", "template ids (`lo2_templates.parquet`) with their counts, sorted"),
        "e_statements": Column("events", "statement ids (`lo2_statements.parquet`) with their counts, sorted"),
        "e_words_raw": Column("occurrences", "`--tokens both` only: words of the lines as they stand, like e_words"),
        "e_trigrams_raw": Column("occurrences", "`--tokens both` only: trigrams of the lines as they stand"),
    }
)
