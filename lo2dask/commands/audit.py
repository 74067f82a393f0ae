"""Does anything but the errors tell the classes apart? Answered without training a model."""

from dataclasses import dataclass
from pathlib import Path

from lo2dask.audit.cases import read_cases
from lo2dask.audit.checks import DRAWS, LEAK, Check, run_checks
from lo2dask.audit.duplicates import find_duplicates
from lo2dask.audit.page import AuditPage, render
from lo2dask.audit.permute import draw_labels
from lo2dask.audit.words import Bound, find_words
from lo2dask.ingest.text import load_fingerprint
from lo2dask.options import AuditOptions, fingerprint
from lo2dask.storage import write_text
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import read_load
from lo2dask.tables.records import Key, Stage, StageType
from lo2dask.tables.state import check_exists

AUDIT = StageType("audit", "the audit is done again")
# Cases that are looked at; of more, whole runs are drawn.
MOST_CASES = 5_000


@dataclass(frozen=True)
class AuditSummary:
    """What the checks found in which cases; ``total`` counts the folder's cases, of which ``cases`` were looked at.

    ``left_out`` counts the words that ``--limit`` left out.
    """

    root: Path
    html: Path
    runs: int
    cases: int
    total: int
    normal: int
    left_out: int
    draws: int
    checks: tuple[Check, ...]

    @property
    def page(self) -> AuditPage:
        """What the page shows."""
        return AuditPage(str(self.root), self.runs, self.cases, self.total, self.normal, self.left_out, self.checks)

    @property
    def leaks(self) -> int:
        """How many of the checks accuse."""
        return sum(check.state == LEAK for check in self.checks)


def audit(options: AuditOptions) -> AuditSummary:
    """Look for what tells normal cases from anomalous ones without being an error, and write the page about it.

    Raises
    ------
    InputError : nothing was loaded into the folder, or by another version.
    """
    layout = Layout(options.root)
    check_exists(layout)
    loaded = (read_load(layout) or {}).get("options", {})
    cases = read_cases(layout, MOST_CASES, options.seed)
    labels = draw_labels(cases.run, cases.normal, DRAWS, options.seed)
    tables = find_words(layout, cases, labels, Bound(options.limit, options.seed))
    duplicates = find_duplicates(cases, options.seed)
    checks = run_checks(cases, duplicates, tables, loaded, labels)
    html = options.html or options.root / "audit.html"
    summary = AuditSummary(
        root=options.root,
        html=html,
        runs=len({run for run, _ in cases.names}),
        cases=len(cases.names),
        total=cases.total,
        normal=int(cases.normal.sum()),
        left_out=tables.left_out,
        draws=DRAWS,
        checks=tuple(checks),
    )
    if options.html:
        write_text(html, render(summary.page))
        return summary
    stage = Stage(layout, AUDIT)
    stage.invalidate()
    write_text(html, render(summary.page))
    stage.commit(Key(load_fingerprint(layout), fingerprint([options.seed, options.limit])), [html], {})
    return summary
