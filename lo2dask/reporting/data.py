"""What a report shows, as plain records: collected by the command, drawn and written by this room."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

HOLDOUT = "hold-out"
Floats = npt.NDArray[np.float64]


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
    """One log line: its file and number, its text, how many of the sequence are alike, and why it is shown."""

    path: str
    line_no: int
    time: str
    text: str
    alike: int
    why: str = ""


@dataclass(frozen=True)
class Flagged:
    """One flagged sequence with its strongest features and lines, and what differs from its nearest normal."""

    model: str
    seq_id: str
    run: str
    test_case: str
    service: str
    anomaly: bool
    split: str
    score: float
    rank: int
    features: tuple[tuple[str, float, float], ...]
    lines: tuple[Line, ...]
    nearest: str = ""
    similarity: float = 0.0
    nearest_lines: tuple[Line, ...] = ()
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    nearest_name: str = "nearest normal"


@dataclass(frozen=True)
class ModelReport:
    """One model: train's measures (None where there are none), its charts, how many it flags."""

    key: str
    measures: dict[str, Any]
    fit: dict[str, Any]
    rows: int
    flagged: int
    histogram: Histogram | None
    curves: Curves | None
    confusion: Confusion | None
    plots: tuple[bytes, bytes] | None
    note: str
    features: tuple[tuple[str, str, str], ...]


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
    flow: tuple[tuple[str, str], ...] = ()
    read: tuple[tuple[str, str], ...] = ()
    rejects: tuple[tuple[str, str, str], ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    coverage: Coverage | None = None
    models: tuple[ModelReport, ...] = ()
    flagged: tuple[Flagged, ...] = ()
    flagged_total: int = 0
    files: tuple[FileLine, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = field(default=())
