"""What stands out, read back from lo2_findings.parquet."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lo2dask.findings.read import (
    Case,
    Finding,
    count_learned,
    list_services,
    matching,
    measure_cases,
    read_cases,
    read_findings,
    was_sought,
)
from lo2dask.findings.suspects import Named, Suspect, find_suspects
from lo2dask.options import FindingsOptions
from lo2dask.tables.layout import Layout
from lo2dask.tables.state import check_exists

_NOTICES = 3


@dataclass(frozen=True)
class FindingsSummary:
    """The chosen findings and notices, and how many there are.

    ``cases``, ``runs``, ``normals`` (normal cases) and ``labelled`` (cases with a label) count what was scored,
    ``learned`` the cases that it was compared with, ``standing`` the cases that stand out;
    ``total`` counts the findings of the chosen run and service, of which ``findings`` are the first;
    ``numbers`` count them from 1 among all findings, as show takes them; of notices ``most_notices`` are to be shown.
    ``average_precision`` is that of the cases' excess, beside the share of anomalous ones, which chance reaches; None
    where the labels have one class. ``suspects`` are cases without a finding that something speaks for, where nothing
    is labelled. Without ``is_sought`` no model has looked for findings.
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
    most_notices: int
    average_precision: float | None = None
    prevalence: float | None = None
    is_sought: bool = True
    suspects: tuple[Suspect, ...] = ()


def findings(options: FindingsOptions) -> FindingsSummary:
    """Read the first findings of a folder, or of one run or service of it.

    Raises
    ------
    InputError : no command has made the table of findings, or there is no such run or service.
    """
    layout = Layout(options.root)
    check_exists(layout)
    cases = read_cases(layout)
    runs, standing = _look_over(layout, options, cases)
    precision, prevalence = measure_cases(layout)
    total, found, notices = 0, [], []
    for number, row in enumerate(read_findings(layout), 1):  # the notices come last
        if row.run not in runs or options.service not in ("", row.service):
            continue
        if row.is_notice:
            notices.append(row)
            continue
        total += 1
        if total <= options.limit or not options.limit:
            found.append((number, row))
    labelled = sum(label is not None for label in cases.values())
    learned = count_learned(layout, sum(label is True for label in cases.values()))
    return FindingsSummary(
        root=options.root,
        cases=len(cases),
        runs=len({run for run, _ in cases}),
        normals=sum(label is True for label in cases.values()),
        labelled=labelled,
        learned=learned,
        standing=len(standing),
        total=total,
        findings=tuple(row for _, row in found),
        numbers=tuple(number for number, _ in found),
        notices=tuple(notices),
        most_notices=len(notices) if not options.limit else _NOTICES,
        average_precision=precision,
        prevalence=prevalence,
        is_sought=was_sought(layout),
        suspects=find_suspects(layout, standing, runs, options.service) if learned and not labelled else (),
    )


def _look_over(layout: Layout, options: FindingsOptions, cases: Iterable[Case]) -> tuple[set[str], set[Named]]:
    """Return the chosen runs, and the cases that stand out, each with its service; the service is checked.

    Raises
    ------
    InputError : no command has made the table of findings, or there is no such run or service.
    """
    known, services, standing = {run for run, _ in cases}, list_services(layout), set()
    for row in read_findings(layout):
        known.add(row.run)
        services.add(row.service)
        if not row.is_notice:
            standing.add((*row.case, row.service))
    if options.service and services:
        matching(options.service, services, "service")
    return set(matching(options.run, known, "run")) if options.run else known, standing
