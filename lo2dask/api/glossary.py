"""What each table and column is; the reference of the tables is made from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa

from lo2dask import schema
from lo2dask.explanation.explanations import FINISHED
from lo2dask.features.glossary import COLUMNS, Column
from lo2dask.models.runs import RUNS


@dataclass(frozen=True)
class TableNote:
    """A table: what it is called on disk, one row per what, who writes it, its columns with their meaning."""

    name: str
    row: str
    written_by: str
    schema: pa.Schema
    own: Mapping[str, Column]

    @property
    def columns(self) -> dict[str, Column]:
        """Each column's unit and meaning."""
        known = {**COLUMNS, **_SHARED, **self.own}
        return {name: known[name] for name in self.schema.names}


def _named(**meanings: str) -> dict[str, Column]:
    """Make columns from texts; "unit: meaning" where the text has a unit."""
    parts = {name: text.rpartition(" | ") for name, text in meanings.items()}
    return {name: Column(unit, meaning) for name, (unit, _, meaning) in parts.items()}


_SHARED = _named(
    e_event_drain_id="template id, see lo2_templates",
    line_no="number of the line in its log, from 1; of a rotated log over all of its files, the oldest first",
    path="log file; `path:member` in a tar",
    statement_id="statement id, see lo2_statements",
    statement="text of the statement: a normalised line after its header",
    split="`train` or `holdout`: which part of the split the row is in; `unused` without a score",
    rank="place by score over all rows, 1 is the highest; equal scores have one place",
    pred_ano="1: flagged as an anomaly, 0: not, null: no score",
    n_events="events | how many",
)
TABLES: tuple[TableNote, ...] = (
    TableNote(
        "lo2_sequences", "log file (a sequence): run, test case and service", "load", schema.SEQUENCES, {}
    ),
    TableNote(
        "lo2_sequences_enhanced", "sequence, with figures and bags of tokens", "load, or train where it is out of date",
        schema.TokenKinds.of("both").enhanced(), {},
    ),
    TableNote("lo2_events", "line kept", "load --save-events", pa.schema([*schema.EVENTS, schema.DRAIN_ID]), _named(
        m_timestamp="UTC | time of the line; under `--continuation-lines fill`, of the event that it continues",
        m_message="the line from its level on; the whole line where it has no header",
        thread="thread in the header; null without a header",
        correlation_id="correlation id in the header, empty where the header has none; null without a header",
        level="level in the header; null without a header",
        logger="logger in the header; null without a header",
        method="method in the header; null without a header",
        is_continuation="whether the line continues the event above it",
        e_words_len="words | spaces + 1",
        e_trigrams_len="trigrams | overlapping runs of three characters",
        e_chars_len="characters | length of the line",
        e_lines_len="lines | lines of the event: 1, or more under `--continuation-lines merge`",
    )),
    TableNote("lo2_templates", "Drain template of the whole tree", "load", schema.TEMPLATES, _named(
        template="text, `<*>` where lines differ",
        n_sequences="sequences | that have it",
        first_seen="UTC | earliest time of a line of it",
    )),
    TableNote("lo2_statements", "distinct normalised line after its header", "load", schema.STATEMENTS, _named(
        text="the normalised line",
        level="level it begins with; null for a continuation line",
        logger="logger; null for a continuation line",
        method="method; null for a continuation line",
        is_continuation="whether its lines continue an event",
    )),
    TableNote("lo2_vocabulary", "token of the whole tree", "load", schema.VOCABULARY, _named(
        representation="words, trigrams, templates, and of `--tokens both` words_raw, trigrams_raw",
        token="the token",
        document_frequency="sequences | that have it",
        count="occurrences | over all sequences",
    )),
    TableNote("lo2_rejects", "input that was not used", "load, score", schema.REJECTS, _named(
        path="the file that it is about",
        member="member of a tar; empty outside one",
        stage="load or metrics",
        reason="kind of the reason, a few words",
        detail="what is wrong in full, and the way out",
    )),
    TableNote("lo2_metrics", "metric sample", "load --load-metrics", schema.METRICS, _named(
        metric_name="name of the metric",
        job="Prometheus job", instance="Prometheus instance", labels="the other labels, as JSON",
        timestamp="UTC | time of the sample", value="the value",
    )),
    TableNote("lo2_traces", "span", "load --load-metrics", schema.TRACES, _named(
        trace_id="id of the trace", span_id="id of the span", operation="name of the operation",
        start="UTC | when it began", end="UTC | when it ended", tags="the tags, as JSON",
    )),
    TableNote("lo2_findings", "case that stands out, the strongest first; notices", "train, score",
              schema.FINDINGS, _named(
        service="the service that stands out most",
        start="UTC | begin of the first unusual window of that service; of a notice the line before the silence",
        end="UTC | end of the last one; of a notice the first line after it, or the last one of the case",
        score="the excess of the service; null for notices",
        margin="score less that of the next service",
        p="share of normal cases that score as high, this one counted among them (conformal p)",
        kind="error_excess, unseen or lack; a notice has silent: the service has no log here, but in every normal case "
        "(where nothing is labelled, in nearly all), fewer: it has fewer logs (replicas) than each of them, stopped: "
        "its log ends long before the last line of the case, or "
        "paused: it says nothing for long (both for over 10 s and 5 times the longest of at least 3 normal runs), or "
        "repeated: it has one statement more than 5 times as often as any of them, and is no finding by what it says",
        count="lines | of the statement in this log; of fewer, logs of the service",
        rate="occurrences a minute | of the statement that the log lacks; null for other kinds",
        normal_rate="occurrences a minute | of the statement in the logs compared with, their median; null for others",
        normal_max="lines | of the statement in the normal log that has most (.9 of them, where some may hold faults); "
        "of fewer, logs of the service in each normal case",
        evidence="the first lines of the statement: path, line_no, time, text (without white space at its ends)",
    )),
    TableNote("lo2_windows", "unusual second of a log (`--window`)", "train, score", schema.WINDOWS, _named(
        window_start="UTC | where it begins", window_end="UTC | where it ends",
        score="1 is the oddest second of normal logs; an alarm is over 1.25",
        component="what speaks for it: unseen, errors, gap or run",
        first_line="number of its first line in the file", last_line="number of its last line in the file",
    )),
    TableNote("lo2_timeline", "ten seconds of a service", "train, score", schema.TIMELINE, _named(
        start="UTC | where they begin", n_error="events | of an error level",
        score="the largest score of a window in them",
    )),
    TableNote("lo2_lines", "unusual line, at most 1,000 a case; after the first 500 findings their evidence alone",
              "train, score", schema.LINES, _named(
        time="UTC | time of the line", score="how unusual; from 10 on no normal log has such a line; "
              "0: evidence outside the windows that were read",
        text="the line as it stands in the file, without white space at its ends",
        line_no="number of the line in the file `path`, from 1",
    )),
    TableNote("predictions of a model", "sequence", "train (`predictions(model)` in Python), score, explain",
              schema.PREDICTIONS, _named(
        score="the model's score, higher is more anomalous; null where no model is for the service; in the files of "
        "`score` and `explain` the column is `score_<model>`",
        rank="place by score over all rows, 1 is the highest; in those files `rank_<model>`",
        score_held_out="the score; of a training normal that of the model without its run, where the model has one",
    )),
    TableNote("lo2_if_predictions", "sequence", "train", schema.IF_PREDICTIONS, _named(
        score_if="score of the Isolation Forest, higher is more anomalous",
        rank_if="place by score, 1 is the highest",
        pred_if_threshold="the same as pred_ano: there is one alert limit",
    )),
    TableNote("<model>_runs", "case: run and test case", "train, score", RUNS, _named(
        score_run="the largest calibrated score of its services",
        p="share of normal cases, their run unseen by the model, that score as high (conformal)",
        top_service="the service that `excess` names; null where none stands out",
        n_services="services | with a score",
    )),
    TableNote("<model>_explanations", "flagged sequence", "explain", FINISHED, _named(
        score="the model's score",
        explained="whether it was drawn for SHAP (`--shap-sample`)",
        features="the strongest features: name, value, contribution",
        evidence="whether its log was read: read, beyond limit, gone",
        lines="its lines that are new or more frequent than in normal logs",
        missing="tokens that normal logs have and it lacks",
        nearest_normal="seq_id of the nearest normal sequence of its service",
        nearest_type="whether that is a labelled normal of the training part, or a sequence that was not flagged",
        similarity="cosine of the two, 1 is equal",
        words_gained="words that the nearest normal has not", words_lost="words that only the nearest normal has",
        templates_gained="templates that the nearest normal has not",
        templates_lost="templates that only the nearest normal has",
    )),
)  # fmt: skip
BY_NAME: Mapping[str, TableNote] = MappingProxyType({note.name: note for note in TABLES})
