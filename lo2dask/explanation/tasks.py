"""What workers do in an explanation: each function reads a group of parts and returns one small summary to merge."""

import functools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lo2dask import schema
from lo2dask.buffers.columns import is_true, strings
from lo2dask.buffers.visible import token_label
from lo2dask.explanation.draw import Ids, Lowest, RowCut, mask_drawn
from lo2dask.explanation.evidence_draw import EvidenceDraw
from lo2dask.explanation.explanations import EXPLANATIONS, RowFeatures, explanation_table, list_features
from lo2dask.explanation.linear import background_sums
from lo2dask.explanation.matching import count_strata
from lo2dask.explanation.merged_parts import Names, Rows, Subject, columns_of, explainer_of, read_rows_of
from lo2dask.explanation.shap_values import Explainer, Sample, sample_of
from lo2dask.explanation.summary import Floats, ShapSums
from lo2dask.models.evaluate import Scored, evaluate
from lo2dask.storage import source_of
from lo2dask.tables import groups
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part, read_rows, write_part

TOP_FEATURES = 10  # of each flagged sequence
PLOT_ROWS = 500


@dataclass(frozen=True)
class RowLimits:
    """How many rows are drawn for what; 0 = all."""

    background: int = 0
    shap: int = 0
    flagged: int = 0


@dataclass(frozen=True)
class Survey:
    """Summary of the predictions of some parts.

    ``background`` draws among training rows, ``shap`` among all, ``plot`` among all for the plots, ``flagged`` by rank
    among those flagged; ``normals`` counts the normals of each type by stratum.
    """

    background: Lowest
    shap: Lowest
    plot: Lowest
    flagged: Lowest
    normals: dict[str, Counter[str]]

    def merge(self, other: "Survey") -> "Survey":
        """Join the survey of other parts."""
        names = ("background", "shap", "plot", "flagged")
        drawn: dict[str, Any] = {name: getattr(self, name).merge(getattr(other, name)) for name in names}
        return Survey(**drawn, normals={of: self.normals[of] + other.normals[of] for of in self.normals})


@dataclass(frozen=True)
class ShapJob:
    """How rows are explained: which are summed up, which are kept for the plots, against which mean (a file).

    Of the flagged ones, those that are summed up and those that get ``evidence`` have their features listed.
    """

    counted: RowCut | None
    plotted: RowCut | None
    mean: Path | None
    evidence: EvidenceDraw


@dataclass(frozen=True)
class ShapPiece:
    """Summary of the SHAP values of some parts; ``unexplained``: listed rows without values; the values' meaning."""

    sums: ShapSums
    sample: Sample
    unexplained: int
    meaning: str

    def merge(self, other: "ShapPiece") -> "ShapPiece":
        """Join the values of other parts."""
        return ShapPiece(
            self.sums.merge(other.sums),
            self.sample.merge(other.sample, PLOT_ROWS),
            self.unexplained + other.unexplained,
            self.meaning,
        )


@dataclass(frozen=True)
class BeeswarmData:
    """The rows kept for the plots, explained: phi and feature values of some features, (rows, features) each."""

    phi: Floats
    values: Floats


def survey(names: Names, subject: Subject, limits: RowLimits) -> Survey:
    """Survey the predictions of some parts, and copy them to the explainability folder."""
    return functools.reduce(Survey.merge, (_survey_part(name, subject, limits) for name in names))


def sum_background(names: Names, subject: Subject, cut: RowCut | None) -> Floats:
    """Sum up the training rows that are the background; see linear.background_sums."""
    chosen = ((part, part.training & mask_drawn(cut, part.hashes, part.ids)) for part in read_rows_of(names, subject))
    return functools.reduce(np.add, (background_sums(part.matrix, mask) for part, mask in chosen))


def explain_parts(names: Names, subject: Subject, job: ShapJob) -> ShapPiece:
    """Explain some parts; write the strongest features of their flagged sequences."""
    explainer = explainer_of(subject, job.mean)
    pieces = (_explain_rows(rows, subject, job, explainer) for rows in read_rows_of(names, subject))
    return functools.reduce(ShapPiece.merge, pieces)


def list_flagged(names: Names, subject: Subject) -> int:
    """Write the flagged sequences of a model that has no SHAP values, without features; return their number."""
    total = 0
    for name in names:
        table = subject.read_predictions(name)
        flagged = table.filter(pa.array(table["pred_ano"].fill_null(0).to_numpy() == 1))
        nothing = RowFeatures(np.zeros(flagged.num_rows + 1, np.int64), [], np.zeros(0), np.zeros(0))
        table = explanation_table(flagged, np.zeros(flagged.num_rows, dtype=bool), nothing)
        total += write_part(subject.scratch("features") / subject.part_name(name), table, EXPLANATIONS)
    return total


def explain_sample(subject: Subject, sample: Path, mean: Path | None, names: list[str]) -> BeeswarmData:
    """Explain the rows kept for the plots (a file) by some features; those that the model does not know stay 0."""
    rows = sparse.csr_matrix(sparse.load_npz(source_of(sample)))
    explainer = explainer_of(subject, mean)
    column_of = {name: column for column, name in enumerate(columns_of(subject).names)}
    known = np.array([name in column_of for name in names], dtype=bool)
    columns = np.array([column_of[name] for name in names if name in column_of], dtype=np.int64)
    phi, values = np.zeros((2, rows.shape[0], len(names)))
    phi[:, known], values[:, known] = explainer.values(rows, columns), rows[:, columns].toarray()
    return BeeswarmData(phi, values)


def feature_labels(subject: Subject, names: list[str]) -> list[str]:
    """Return the labels of features: a template's id comes with its text."""
    tokens = columns_of(subject).tokens
    if "templates" not in tokens:
        return [token_label(name) for name in names]
    prefix = "templates:" if len(tokens) > 1 else ""
    texts = {f"{prefix}{name}": text for name, text in template_texts(subject.layout).items()}
    return [token_label(f"{name}: {texts[name]}" if name in texts else name) for name in names]


def template_texts(layout: Layout) -> dict[str, str]:
    """Return the text of each template id."""
    tables = [read_rows(path) for path in part_paths(layout.templates)]
    rows = [row for table in tables for row in table.select(["e_event_drain_id", "template"]).to_pylist()]
    return {row["e_event_drain_id"]: row["template"] for row in rows}


def measure_predictions(folder: Path) -> dict[str, Any]:
    """Measure a model from its predictions, as train does, where train wrote its measures to another folder."""
    columns = ["anomaly", "score", "pred_ano", "service", "test_case", "split"]
    table = pa.concat_tables([read_part(path, columns) for path in part_paths(folder)])
    y, score, label = is_true(table["anomaly"]), table["score"].to_numpy(), table["pred_ano"].fill_null(0).to_numpy()
    side = pc.if_else(pc.is_valid(table["anomaly"]), strings(table["split"]), "unused")
    return evaluate(Scored(y, score, label, table["service"], table["test_case"], side))


def _survey_part(name: str, subject: Subject, limits: RowLimits) -> Survey:
    table = subject.read_predictions(name)
    _copy_predictions(table, name, subject)
    part = Rows(groups.Group((name,), (table.num_rows,)), table, sparse.csr_matrix((0, 0)), subject.seed)
    keys, ids = part.hashes, part.ids
    pick = functools.partial(_lowest, ids=ids)
    return Survey(
        pick(limits.background, keys, part.training),
        pick(limits.shap, keys, np.ones(len(ids), bool)),
        pick(PLOT_ROWS, keys, np.ones(len(ids), bool)),
        pick(limits.flagged, part.ranks, part.flagged),
        count_strata(table),
    )


def _lowest(limit: int, keys: npt.NDArray[Any], rows: npt.NDArray[np.bool_], ids: Ids) -> Lowest:
    return Lowest.of(limit, keys[rows].tolist(), ids[rows].tolist())


def _copy_predictions(table: pa.Table, name: str, subject: Subject) -> None:
    renamed = {"score": f"score_{subject.key}", "rank": f"rank_{subject.key}"}
    fields = [pa.field(renamed.get(f.name, f.name), f.type) for f in schema.PREDICTIONS]
    named = table.select(schema.PREDICTIONS.names).rename_columns([f.name for f in fields])
    write_part(subject.artefacts.predictions / subject.part_name(name), named, pa.schema(fields))


def _explain_rows(part: Rows, subject: Subject, job: ShapJob, explainer: Explainer) -> ShapPiece:
    counted = mask_drawn(job.counted, part.hashes, part.ids)
    flagged = part.flagged
    listed = flagged & (counted | job.evidence.mask(part.predictions, subject.layout))
    sums, top = explainer.explain(part.matrix, counted, listed, TOP_FEATURES)
    shares = list_features(top, part.matrix[listed], columns_of(subject).names).spread(listed[flagged])
    explained = np.zeros(len(listed), dtype=bool)
    explained[listed] = top.explained
    table = explanation_table(part.predictions.filter(pa.array(flagged)), explained[flagged], shares)
    part.parts.write(subject.scratch("features"), table, EXPLANATIONS, np.flatnonzero(flagged))
    plotted = counted & mask_drawn(job.plotted, part.hashes, part.ids)
    sample = sample_of(part.matrix[plotted], part.hashes[plotted], part.ids[plotted], PLOT_ROWS)
    return ShapPiece(sums, sample, int((~top.explained).sum()), explainer.meaning)
