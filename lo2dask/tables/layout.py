"""Where every table and file lies below an output folder."""

from dataclasses import dataclass
from pathlib import Path

PART = "part-{:06d}.parquet"


def part_name(index: int) -> str:
    """Name the part of a batch: the names sort as the batches do."""
    return PART.format(index)


def part_index(name: str) -> int:
    """Return the batch of a part from its name."""
    return int(name.removeprefix("part-").removesuffix(".parquet"))


@dataclass(frozen=True)
class Layout:
    """All paths below one output folder; a table is a folder of parts."""

    root: Path

    @property
    def events(self) -> Path:
        """One row per line kept."""
        return self.root / "lo2_events.parquet"

    @property
    def sequences(self) -> Path:
        """One row per run, test case and service."""
        return self.root / "lo2_sequences.parquet"

    @property
    def enhanced(self) -> Path:
        """The sequences with figures and bags."""
        return self.root / "lo2_sequences_enhanced.parquet"

    @property
    def templates(self) -> Path:
        """One row per Drain template."""
        return self.root / "lo2_templates.parquet"

    @property
    def statements(self) -> Path:
        """One row per distinct normalised line after its header."""
        return self.root / "lo2_statements.parquet"

    @property
    def vocabulary(self) -> Path:
        """One row per token of the whole tree."""
        return self.root / "lo2_vocabulary.parquet"

    @property
    def metrics(self) -> Path:
        """One row per metric sample."""
        return self.root / "lo2_metrics.parquet"

    @property
    def traces(self) -> Path:
        """One row per span."""
        return self.root / "lo2_traces.parquet"

    @property
    def rejects(self) -> Path:
        """One row per input that was not used."""
        return self.root / "lo2_rejects.parquet"

    @property
    def if_predictions(self) -> Path:
        """The Isolation Forest's scores."""
        return self.root / "lo2_if_predictions.parquet"

    @property
    def findings(self) -> Path:
        """One row per case that stands out, then notices."""
        return self.root / "lo2_findings.parquet"

    @property
    def windows(self) -> Path:
        """One row per second of a service that is unusual."""
        return self.root / "lo2_windows.parquet"

    @property
    def timeline(self) -> Path:
        """One row per ten seconds of a service."""
        return self.root / "lo2_timeline.parquet"

    @property
    def lines(self) -> Path:
        """The most unusual lines of the findings and of the oddest other cases."""
        return self.root / "lo2_lines.parquet"

    def answers(self) -> tuple[Path, ...]:
        """The tables of what stands out."""
        return self.findings, self.windows, self.timeline, self.lines

    @property
    def report(self) -> Path:
        """The report as a page."""
        return self.root / "report.html"

    @property
    def report_text(self) -> Path:
        """The report as Markdown."""
        return self.root / "report.md"

    @property
    def explainability(self) -> Path:
        """Folder of phase F."""
        return self.root / "explainability"

    @property
    def measures(self) -> Path:
        """Folder of the measures."""
        return self.root / "metrics"

    @property
    def internal(self) -> Path:
        """Manifest, records, models and what else only lo2dask reads."""
        return self.root / "_lo2dask"

    @property
    def manifest(self) -> Path:
        """One row per file of the raw tree."""
        return self.internal / "manifest"

    @property
    def text(self) -> Path:
        """What the text pass leaves for the second half of enhancement."""
        return self.internal / "text"

    @property
    def counts(self) -> Path:
        """The tokens that the text pass counted in each part, until enhancement has spilled them."""
        return self.text / "counts"

    def counted(self, part: str) -> Path:
        """Those of one part, given by its file name."""
        return (self.counts / part).with_suffix(".arrow")

    @property
    def window_counts(self) -> Path:
        """The statements of each window of each log, one row per sequence."""
        return self.text / "windows"

    @property
    def startup(self) -> Path:
        """The words of each log's first lines, for the leakage line."""
        return self.text / "startup"

    @property
    def spill(self) -> Path:
        """What tasks spill for one another where the workers share no other folder; it goes with the stage."""
        return self.internal / "spill"

    @property
    def models(self) -> Path:
        """Bundles that train keeps."""
        return self.internal / "models"

    @property
    def predictions(self) -> Path:
        """One folder of parts per model."""
        return self.internal / "predictions"

    @property
    def template_state(self) -> Path:
        """The frozen Drain templates."""
        return self.internal / "templates.json"

    @property
    def template_mapping(self) -> Path:
        """The template and the statement of each distinct message."""
        return self.internal / "template_of_message.parquet"

    @property
    def split(self) -> Path:
        """Which sequences train held out."""
        return self.internal / "split.json"

    def record(self, stage: str, index: int) -> Path:
        """Return the record of one batch of a stage."""
        return self.internal / "records" / stage / f"{index:06d}.json"

    def marker(self, stage: str) -> Path:
        """Return the file that says that a stage is done, with which options."""
        return self.internal / f"{stage}.json"
