"""What a report shows, as plain records: collected by the command, drawn and written by this room."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

HOLDOUT = "hold-out"
Floats = npt.NDArray[np.float64]
Case = tuple[str, str]


@dataclass(frozen=True)
class Coverage:
    """Sequences by run (rows, perhaps several runs in one) and test case: how many there are, and could be."""

    runs: tuple[str, ...]
    cases: tuple[str, ...]
    there: npt.NDArray[np.int64]
    possible: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Histogram:
    """Scores in bins of equal width: ``edges`` (n + 1,), and the rows of each class in each bin."""

    edges: Floats
    normal: npt.NDArray[np.int64]
    anomaly: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Curves:
    """Points of the ROC curve (false and true positive rate) and of precision over recall; over which rows."""

    over: str
    roc: tuple[Floats, Floats]
    precision_recall: tuple[Floats, Floats]


@dataclass(frozen=True)
class Confusion:
    """Flagged and all sequences by test case (rows) and service (columns); over which rows."""

    over: str
    cases: tuple[str, ...]
    services: tuple[str, ...]
    flagged: npt.NDArray[np.int64]
    total: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Line:
    """One log line: its file and number, its time, its text, and why it is shown."""

    path: str
    line_no: int
    time: str
    text: str
    why: str = ""


@dataclass(frozen=True)
class Mark:
    """An unusual window on a track: left end and width as shares of the track, and what it is in words."""

    left: float
    width: float
    text: str


@dataclass(frozen=True)
class Track:
    """A service over time: lines and error lines a second in each bin, and its unusual windows."""

    service: str
    rates: Floats
    errors: Floats
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Timeline:
    """The services of a case under each other, over the same time; ``left_out`` of them are not shown."""

    start: str
    end: str
    tracks: tuple[Track, ...]
    left_out: int = 0


@dataclass(frozen=True)
class Change:
    """A template that a case and its nearest normal have in different numbers."""

    service: str
    template_id: str
    template: str
    here: int
    there: int


@dataclass(frozen=True)
class Nearest:
    """The normal case that is most like a finding's, and what differs: lines new here, missing here, in other numbers.

    ``left_out`` counts the differences that are not listed.
    """

    run: str
    test_case: str
    distance: float
    new: tuple[Change, ...]
    missing: tuple[Change, ...]
    changed: tuple[Change, ...]
    left_out: int = 0

    @property
    def groups(self) -> Sequence[tuple[str, tuple[Change, ...], str]]:
        """Title, differences and the words for none, of each group."""
        return (
            ("New lines: only here", self.new, "Every template of this case is in the normal one too."),
            ("Missing lines: only in the normal case", self.missing, "Nothing of the normal case is absent."),
            ("Changed counts: in both, in other numbers", self.changed, "No count differs by much."),
        )


@dataclass(frozen=True)
class Opinion:
    """What another model says of a case, with the lines that it points at; ``note`` says why there are none."""

    model: str
    text: str
    lines: tuple[Line, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """One case that stands out: what, where, when, why, and how to see for oneself."""

    anchor: str
    number: int
    run: str
    test_case: str
    service: str
    time: str
    error_type: str
    why: str
    facts: str
    statement: str = ""
    template_id: str = ""
    evidence: tuple[Line, ...] = ()
    absent: str = ""
    lines: tuple[Line, ...] = ()
    timeline: Timeline | None = None
    nearest: Nearest | None = None
    opinions: tuple[Opinion, ...] = ()


@dataclass(frozen=True)
class Notice:
    """What is said of a service in a case (``text``) and flags nothing: that it is silent, ends early, pauses, repeats.

    ``line`` is the last one before the silence, or the first that is repeated.
    """

    run: str
    test_case: str
    text: str
    line: Line | None = None


@dataclass(frozen=True)
class Findings:
    """The findings to show, the strongest first, how many there are, and how to make them where there are none."""

    headline: str
    items: tuple[Finding, ...] = ()
    total: int = 0
    notices: tuple[Notice, ...] = ()
    notices_total: int = 0
    trust: str = ""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """A service in a run or several: its highest score as a multiple of the threshold, in words, and its finding."""

    ratio: float | None
    text: str
    anchor: str = ""


@dataclass(frozen=True)
class HeatRow:
    """A run, or several neighbouring ones, with a cell for each service."""

    name: str
    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class HeatMap:
    """Runs by services; ``runs`` of them are in its rows, several in one where there are many."""

    services: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    runs: int
    threshold: float


@dataclass(frozen=True)
class TemplateRow:
    """A template by label: sequences that have it among the normal and the anomalous ones, and how they compare."""

    template_id: str
    template: str
    normal: int
    anomalous: int
    lift: float


@dataclass(frozen=True)
class TemplateDifferences:
    """The templates that tell the labels apart best, more frequent and rarer among anomalies, of so many sequences."""

    normal: int
    anomalous: int
    more: tuple[TemplateRow, ...]
    less: tuple[TemplateRow, ...]


@dataclass(frozen=True)
class ModelReport:
    """One model: train's measures (None where there are none), its charts, how many it flags."""

    key: str
    measures: dict[str, Any]
    fit: dict[str, Any]
    rows: int
    flagged: int
    threshold: float | None
    histogram: Histogram | None
    curves: Curves | None
    confusion: Confusion | None
    note: str
    features: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True)
class FileLine:
    """One artefact: its path below the folder, its purpose, whether it exists, the command that makes it."""

    path: str
    purpose: str
    exists: bool
    command: str


@dataclass(frozen=True)
class ReportData:
    """All that a report shows; tables are lists of rows of text."""

    root: str
    findings: Findings = Findings("Nothing was searched yet")
    heat: HeatMap | None = None
    templates: TemplateDifferences | str = ""
    flow: tuple[tuple[str, str], ...] = ()
    read: tuple[tuple[str, str], ...] = ()
    rejects: tuple[tuple[str, str, str], ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    coverage: Coverage | None = None
    models: tuple[ModelReport, ...] = ()
    files: tuple[FileLine, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = field(default=())
