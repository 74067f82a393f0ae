"""An output folder: its tables, its findings, and the figures of the command that wrote it."""

import html
import logging
from itertools import islice
from pathlib import Path
from typing import Any

from lo2dask.api.tables import Table
from lo2dask.errors import InputError
from lo2dask.findings.read import Finding, count_findings, has_findings, read_findings
from lo2dask.options.paths import is_local, to_path
from lo2dask.storage import entries
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths
from lo2dask.tables.records import Stage
from lo2dask.training.units import BASELINE, TRAIN

logger = logging.getLogger(__name__)

_FINDINGS_SHOWN = 10
# Characters of a statement that a notebook shows.
_LONGEST = 120


class Folder:
    """An output folder of lo2dask; each table is a method, and its parts are read when they are asked for.

    ``summary`` holds the figures of the command that returned this (None for :func:`open_folder`); they are attributes
    of this object as well, where no table has the name: ``result.seconds``.
    """

    def __init__(self, root: Path, summary: Any = None) -> None:
        """Keep where the tables are, for workers and a later working directory too."""
        self.root, self.summary = root.absolute() if is_local(root) else root, summary

    def __getattr__(self, name: str) -> Any:
        """Return a figure of the command."""
        if name.startswith("_") or self.summary is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.summary, name)

    def sequences(self) -> Table:
        """One row per log file: run, test case, service, label, times, length."""
        return self._table("sequences")

    def enhanced(self) -> Table:
        """The sequences with figures, words, trigrams, templates and statements."""
        return self._table("sequences_enhanced")

    def events(self) -> Table:
        """One row per line kept, where load kept them (``save_events=True``)."""
        return self._table("events")

    def templates(self) -> Table:
        """One row per Drain template."""
        return self._table("templates")

    def statements(self) -> Table:
        """One row per distinct normalised line."""
        return self._table("statements")

    def vocabulary(self) -> Table:
        """One row per token: in how many sequences, how often."""
        return self._table("vocabulary")

    def metrics(self) -> Table:
        """One row per sample, where load read them (``load_metrics=True``)."""
        return self._table("metrics")

    def traces(self) -> Table:
        """One row per span, where load read them."""
        return self._table("traces")

    def rejects(self) -> Table:
        """What could not be used, and why."""
        return self._table("rejects")

    def findings(self) -> Table:
        """What stands out: one row per case, the strongest first."""
        return self._table("findings")

    def windows(self) -> Table:
        """The unusual seconds of each service."""
        return self._table("windows")

    def timeline(self) -> Table:
        """Lines and errors of each service in steps of ten seconds."""
        return self._table("timeline")

    def lines(self) -> Table:
        """The most unusual lines of each case."""
        return self._table("lines")

    def models(self) -> list[str]:
        """Return the keys of the models of the last training that have predictions, or of those that scored here."""
        earlier = self._earlier()
        return [key for key in self._predictions() if key not in earlier]

    def predictions(self, model: str) -> Table:
        """Return what a model says of each sequence: score, rank, label.

        In a folder of ``score`` the columns are ``score_<model>`` and ``rank_<model>``.

        Raises
        ------
        InputError : there is no such model; names those there are.
        """
        found = self._predictions()
        if model not in found:
            raise InputError(f"{self.root}: no predictions of {model!r}; there are: {', '.join(found) or 'none'}")
        return self._of_model(f"predictions of {model}", found[model], model)

    def runs(self, model: str) -> Table:
        """Return what a model says of each run and test case: score, p, label.

        Raises
        ------
        InputError : there are no run scores of such a model.
        """
        return self._of_model(f"{model}_runs", self.root / f"{model}_runs.parquet", model)

    def explanations(self, model: str) -> Table:
        """Return why a model flags what it flags, where explain has run: one row per flagged sequence.

        Raises
        ------
        InputError : there are no explanations of such a model.
        """
        name = f"{model}_explanations"
        return self._of_model(name, Layout(self.root).explainability / f"{name}.parquet", model)

    def _predictions(self) -> dict[str, Path]:
        """Find the predictions of each model; ``score`` names the files after bundles, a column after the model."""
        folder = Layout(self.root).predictions
        if folder.is_dir():
            return {name: folder / name for name in sorted(entry.name for entry in entries(folder) if entry.is_dir())}
        names = sorted(entry.name for entry in entries(self.root)) if self.root.is_dir() else []
        tables = [_table(name, self.root / name) for name in names if name.endswith("_predictions.parquet")]
        return {
            column.removeprefix("score_"): self.root / table.name
            for table in tables
            for column in table.column_names
            if column.startswith("score_")
        }

    def _earlier(self) -> set[str]:
        """Return the models that only an earlier training has made; baselines are in no list of one."""
        record = Stage(Layout(self.root), TRAIN).read()
        last = {line["key"] for line in record.summary["models"]} if record else set()
        return {key for key in self._predictions() if record and key not in last and not key.startswith(BASELINE)}

    def _of_model(self, name: str, folder: Path, model: str) -> Table:
        table = _table(name, folder)
        if model in self._earlier():
            logger.warning("model %s is of an earlier training, the last one has none: train it for a new one", model)
        return table

    @property
    def report(self) -> Path | None:
        """The page report.html, where one was written."""
        path = Layout(self.root).report
        return path if path.is_file() else None

    def __repr__(self) -> str:
        """Name the folder and how much stands out."""
        layout = Layout(self.root)
        told = f", {count_findings(layout)} findings" if has_findings(layout) else ""
        return f"<{type(self).__name__} {self.root}{told}>"

    def _repr_html_(self) -> str:
        """Show the first findings in a notebook."""
        layout = Layout(self.root)
        total = count_findings(layout)
        # The notices come last.
        found = [*islice(read_findings(layout), min(total, _FINDINGS_SHOWN))] if total else []
        head = "<tr><th>" + "</th><th>".join(("run", "case", "service", "when", "what", "score")) + "</th></tr>"
        rows = "".join(map(_row, found))
        more = f"<p>{total - len(found)} more</p>" if total > len(found) else ""
        told = f"<table>{head}{rows}</table>{more}" if found else "<p>no findings</p>"
        return f"<p><b>{html.escape(str(self.root))}</b></p>{told}"

    def _table(self, name: str) -> Table:
        return _table(f"lo2_{name}", self.root / f"lo2_{name}.parquet")


def open_folder(root: str | Path) -> Folder:
    """Open a folder that commands have written.

    Raises
    ------
    InputError : there is no folder of lo2dask.
    """
    folder = Folder(to_path(root))
    if not folder.root.exists():
        raise InputError(f"{root}: no such folder")
    if not Layout(folder.root).internal.is_dir():
        raise InputError(f"{root}: no folder that lo2dask has written")
    return folder


def _table(name: str, folder: Path) -> Table:
    parts = tuple(part_paths(folder))
    if not parts:
        raise InputError(f"{folder} is not there: the command that makes it has not run, or not with that option")
    return Table(name, parts)


def _row(found: Finding) -> str:
    when = f"{found.start:%Y-%m-%d %H:%M:%S}" if found.start else ""
    statement = found.statement or ""
    what = f"{found.count or ''} × {statement[:_LONGEST]}{'…' if len(statement) > _LONGEST else ''}"
    cells = (found.run, found.test_case, found.service, when, what, f"{found.score:.1f}")
    return "<tr><td>" + "</td><td>".join(html.escape(str(cell)) for cell in cells) + "</td></tr>"
