"""Hand-made tables of an output folder, written by the tables' own writer."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from lo2dask import schema
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import write_part

Bags = dict[tuple[str, str, str], dict[str, int]]


def write_bags(root: Path, bags: Bags, templates: dict[str, str], parts: int = 2) -> Layout:
    """Write lo2_sequences_enhanced.parquet, all but keys and templates null, and lo2_templates.parquet."""
    layout = Layout(root)
    rows = [
        {
            **{"run": run, "test_case": case, "service": service, "seq_id": f"{run}__{case}__{service}"},
            **{"normal": schema.is_normal(case), "anomaly": not schema.is_normal(case)},
            "e_templates": [{"token": token, "count": count} for token, count in sorted(bag.items())],
        }
        for (run, case, service), bag in bags.items()
    ]
    for part in range(parts):
        table = pa.Table.from_pylist(rows[part::parts], schema.ENHANCED)
        write_part(layout.enhanced / f"part-{part:06d}.parquet", table, schema.ENHANCED)
    named = [{"e_event_drain_id": token, "template": text} for token, text in templates.items()]
    write_table(layout.templates, named, schema.TEMPLATES)
    return layout


def write_table(folder: Path, rows: list[dict], of: pa.Schema) -> None:
    """Write a table of one part."""
    write_part(folder / "part-000000.parquet", pa.Table.from_pylist(rows, of), of)


RUNS = tuple(f"light-oauth2-data-17195{n}" for n in (92986, 94842, 98442))
BAD = "get_token_page_400_no_page"
LOG = "light-oauth2-oauth2-refresh-token-1.log"
STATEMENT = (
    'ERROR c.networknt.handler.LightHttpHandler setExchangeStatus - {"statusCode":400,"code":"ERR11000",'
    '"message":"VALIDATOR_REQUEST_PARAMETER_QUERY_MISSING"}'
)
TEXT = f"16:41:07.120 [XNIO-1 task-2]  Jx5cAQSRQ {STATEMENT}"


def clock(second: int) -> datetime:
    """So many seconds after 16:41 of the day of the runs."""
    return datetime(2024, 6, 28, 16, 41, tzinfo=UTC) + timedelta(seconds=second)


def finding(run: str = RUNS[0], **changes) -> dict:
    """A row of lo2_findings.parquet."""
    row = {
        **{"run": run, "test_case": BAD, "service": "refresh-token", "start": clock(7), "end": clock(19)},
        **{"score": 9.5, "margin": 7.0, "p": 0.0625, "kind": "error_excess", "statement_id": "s173"},
        **{"statement": STATEMENT, "e_event_drain_id": "e73", "count": 33, "normal_max": 2},
        "evidence": [{"path": f"/logs/{run}/{BAD}/{LOG}", "line_no": 812, "time": clock(7), "text": TEXT}],
    }
    return row | changes


def notice(run: str = RUNS[0], service: str = "key") -> dict:
    """A notice: a service without a line."""
    empty = dict.fromkeys(schema.FINDINGS.names)
    return empty | {"run": run, "test_case": BAD, "service": service, "kind": "silent", "evidence": []}


def write_findings(root: Path, rows: list[dict], bad: tuple[str, ...] = RUNS[:1]) -> Layout:
    """Write findings, and three runs of sequences with a correct case each, some with an error case."""
    layout = Layout(root)
    write_table(layout.findings, rows, schema.FINDINGS)
    cases = [(run, "correct") for run in RUNS] + [(run, BAD) for run in bad]
    sequences = [
        {
            **{"run": run, "test_case": case, "service": service, "seq_id": f"{run}__{case}__{service}"},
            **{"normal": case == "correct", "anomaly": case != "correct", "seq_len": 100},
            **{"start_time": clock(0), "end_time": clock(60)},
        }
        for run, case in sorted(cases)
        for service in ("key", "refresh-token")
    ]
    write_table(layout.sequences, sequences, schema.SEQUENCES)
    return layout
