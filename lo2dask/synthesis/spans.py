"""Jaeger exports of a test case: one table of spans a service, mostly single spans of the database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from lo2dask.synthesis.identifiers import hex_ids
from lo2dask.synthesis.streams import stream
from lo2dask.synthesis.timeline import CasePlan, RunPlan

HEADER: Final = "Trace ID,Span ID,Operation Name,Start Time,End Time,Tags"
SPANS: Final = 20
TRACED: Final = ("oauth2-client-service", "oauth2-token-service")
"""Services of which Jaeger saw spans; of the rest there is a header at most."""

_OPERATIONS: Final = (
    ("SELECT", "service", "SELECT * FROM service WHERE service_id = ?"),
    ("UPDATE", "service", "UPDATE service SET service_type = ? WHERE service_id = ?"),
    ("DELETE", "service", "DELETE FROM service WHERE service_id = ?"),
    ("SELECT", "client", "SELECT * FROM client WHERE client_id = ?"),
)


def trace_files(seed: int, run: RunPlan, case: CasePlan) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the trace tables of a test case."""
    yield "traces_jaeger-all-in-one.csv", (HEADER + "\n").encode()
    for service in TRACED:
        lines = [HEADER, *_spans(case, stream(seed, run.name, case.name, service))]
        yield f"traces_{service}.csv", ("\n".join(lines) + "\n").encode()


def _spans(case: CasePlan, rng: np.random.Generator) -> Iterator[str]:
    traces, spans = hex_ids(rng, SPANS, 32), hex_ids(rng, SPANS, 16)
    offsets = np.sort(rng.integers(0, case.seconds * 1_000_000, SPANS)).tolist()
    for trace, span, offset in zip(traces, spans, offsets, strict=True):
        verb, table, statement = _OPERATIONS[int(rng.integers(0, len(_OPERATIONS)))]
        begin = datetime.fromtimestamp(case.start, UTC) + timedelta(microseconds=offset)
        end = begin + timedelta(microseconds=int(rng.integers(120, 4000)))
        tags = {
            "db.user": "mysqluser",
            "db.connection_string": "mysql://mysqldb:3306",
            "db.system": "mysql",
            "db.statement": statement,
            "db.operation": verb,
            "db.sql.table": table,
            "db.name": "oauth2",
            "net.peer.port": 3306,
            "thread.name": f"hz._hzInstance_1_dev.partition-operation.thread-{int(rng.integers(0, 16))}",
            "span.kind": "client",
        }
        times = f"{begin.isoformat(timespec='microseconds')},{end.isoformat(timespec='microseconds')}"
        yield f'{trace.decode()},{span.decode()},{verb} oauth2.{table},{times},"{tags}"'
