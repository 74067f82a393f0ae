"""What stands out, read back from lo2_findings.parquet."""

from dataclasses import dataclass
from pathlib import Path

from lo2dask.findings.read import (
    Finding,
    count_learned,
    list_services,
    matching,
    measure_cases,
    read_cases,
    read_findings,
    was_sought,
)
from lo2dask.options import FindingsOptions
from lo2dask.tables.layout import Layout
from lo2dask.tables.state import check_exists


@dataclass(frozen=True)
class FindingsSummary:
    """The chosen findings and notices, and how many there are.

    ``cases``, ``runs``, ``normals`` (normal cases) and ``labelled`` (cases with a label) count what was scored,
    ``learned`` the cases that it was compared with, ``standing`` the cases that stand out;
    ``total`` counts the findings of the chosen run and service, of which ``findings`` are the first;
    ``numbers`` count them from 1 among all findings, as show takes them.
    ``average_precision`` is that of the cases' excess, beside the share of anomalous ones, which chance reaches; None
    where the labels have one class. Without ``is_sought`` no model has looked for findings.
    """

    root: Path
    cases: int
    runs: int
    normals: int
    labelled: int
    learned: int
    standing: int
    total: int
    findings: tuple[Finding, ...]
    numbers: tuple[int, ...]
    notices: tuple[Finding, ...]
    average_precision: float | None = None
    prevalence: float | None = None
    is_sought: bool = True


def findings(options: FindingsOptions) -> FindingsSummary:
    """Read the first findings of a folder, or of one run or service of it.

    Raises
    ------
    InputError : no command has made the table of findings, or there is no such run or service.
    """
    layout = Layout(options.root)
    check_exists(layout)
    rows = list(read_findings(layout))
    cases = read_cases(layout)
    known = {run for run, _ in cases} | {row.run for row in rows}
    runs = set(matching(options.run, known, "run")) if options.run else known
    services = list_services(layout) | {row.service for row in rows}
    if options.service and services:
        matching(options.service, services, "service")
    precision, prevalence = measure_cases(layout)
    numbered = enumerate(rows, 1)  # the notices come last
    chosen = [(n, row) for n, row in numbered if row.run in runs and options.service in ("", row.service)]
    found = [(n, row) for n, row in chosen if not row.is_notice]
    return FindingsSummary(
        root=options.root,
        cases=len(cases),
        runs=len({run for run, _ in cases}),
        normals=sum(label is True for label in cases.values()),
        labelled=sum(label is not None for label in cases.values()),
        learned=count_learned(layout, sum(label is True for label in cases.values())),
        standing=len({row.case for row in rows if not row.is_notice}),
        total=len(found),
        findings=tuple(row for _, row in found[: options.limit or None]),
        numbers=tuple(number for number, _ in found[: options.limit or None]),
        notices=tuple(row for _, row in chosen if row.is_notice),
        average_precision=precision,
        prevalence=prevalence,
        is_sought=was_sought(layout),
    )
