"""Writes the detector's tables by hand: a few findings, or as many as a page must bear."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from lo2dask import schema
from lo2dask.models.runs import RUNS
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import write_part

START = datetime(2024, 6, 28, 16, 41, 7, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SERVICES = ("token", "user")
THRESHOLD = 3.0


def write_rows(path: Path, rows: list[dict], kind: pa.Schema) -> None:
    write_part(path / "part-000000.parquet", pa.Table.from_pylist(rows, schema=kind), kind)


def write_findings(layout: Layout, flagged: Sequence[tuple[str, str]], normals: Sequence[tuple[str, str]], text: str):
    """Write all tables of the detector; ``text`` stands wherever a log's text may stand."""
    findings = [finding(case, number, text) for number, case in enumerate(flagged)]
    write_rows(layout.findings, [*findings, silent(normals[0])], schema.FINDINGS)
    write_rows(layout.windows, [row for case in flagged for row in windows(case, text)], schema.WINDOWS)
    write_rows(layout.timeline, [row for case in flagged for row in timeline(case)], schema.TIMELINE)
    write_rows(layout.lines, [row for case in flagged for row in lines(case, text)], schema.LINES)
    cases = [*((case, False) for case in flagged), *((case, True) for case in normals)]
    write_rows(layout.root / "excess_runs.parquet", [run(*pair) for pair in cases], RUNS)
    predictions = [prediction(*pair, service) for pair in cases for service in SERVICES]
    write_rows(layout.predictions / "excess", predictions, schema.PREDICTIONS)


def finding(case: tuple[str, str], number: int, text: str) -> dict:
    """A finding; by turns an excess of errors, an unseen line, and a lack that has no line to show."""
    kind = ("error_excess", "unseen", "lack")[number % 3]
    line = {"path": f"{'/'.join(case)}/user.log", "line_no": 812 + number, "time": START, "text": f"ERROR {text}"}
    return {
        **dict(zip(("run", "test_case"), case, strict=True)),
        "service": "user",
        "start": START,
        "end": START + 12 * SECOND,
        "score": 30.0 - number / 100,
        "margin": 11.0,
        "p": 0.1,
        "kind": kind,
        "statement_id": "s1",
        "statement": f"ERROR ERR1201{number % 3} {text}",
        "e_event_drain_id": "e1",
        "count": 33,
        "normal_max": 2 if kind == "error_excess" else 0,
        "evidence": [] if kind == "lack" else [line],
    }


def silent(case: tuple[str, str]) -> dict:
    return {"run": case[0], "test_case": case[1], "service": "token", "kind": "silent", "evidence": []}


def windows(case: tuple[str, str], text: str) -> list[dict]:
    names = dict(zip(("run", "test_case"), case, strict=True))
    made = []
    for second, score, component in ((3, 21.5, "unseen"), (7, 1.4, "gap"), (9, 0.8, "run")):
        start = START + second * SECOND
        times = {"window_start": start, "window_end": start + SECOND}
        found = {"n_events": 5, "score": score, "component": component, "statement": text, "service": "user"}
        made.append({**names, **times, **found, "first_line": 1, "last_line": 5})
    return made


def timeline(case: tuple[str, str]) -> list[dict]:
    names = dict(zip(("run", "test_case"), case, strict=True))
    return [
        {
            **names,
            "service": service,
            "start": START + 10 * step * SECOND,
            "n_events": 120,
            "n_error": step,
            "score": 0.3,
        }
        for service in SERVICES
        for step in range(6)
    ]


def lines(case: tuple[str, str], text: str) -> list[dict]:
    names = dict(zip(("run", "test_case"), case, strict=True))
    path = f"{'/'.join(case)}/user.log"
    return [
        {
            **names,
            "service": "user",
            "path": path,
            "line_no": n,
            "time": START,
            "score": float(n),
            "text": f"{n} {text}",
        }
        for n in range(1, 9)
    ]


def run(case: tuple[str, str], normal: bool) -> dict:
    return {
        **dict(zip(("run", "test_case"), case, strict=True)),
        "normal": normal,
        "anomaly": not normal,
        "pred_ano": int(not normal),
        "score_run": 1.0 if normal else 30.0,
        "rank": 1,
        "top_service": None if normal else "user",
        "n_services": len(SERVICES),
    }


def prediction(case: tuple[str, str], normal: bool, service: str) -> dict:
    stands_out = service == "user" and not normal
    return {
        **dict(zip(("run", "test_case"), case, strict=True)),
        "seq_id": f"{'__'.join(case)}__{service}",
        "service": service,
        "normal": normal,
        "anomaly": not normal,
        "pred_ano": int(stands_out),
        "score": 30.0 if stands_out else 0.0,
        "score_held_out": 30.0 if stands_out else 2.99,
        "rank": 1,
        "split": "train" if normal else "holdout",
    }
