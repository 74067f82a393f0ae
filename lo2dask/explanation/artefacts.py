"""The files that an explanation writes: their names and their text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lo2dask.explanation.summary import Feature
from lo2dask.storage import write_bytes, write_text
from lo2dask.tables.parts import part_paths


@dataclass(frozen=True)
class Artefacts:
    """Paths of one model's files in the explainability folder; ``model`` is its key."""

    folder: Path
    model: str

    def path(self, name: str) -> Path:
        """Return ``<model>_<name>``."""
        return self.folder / f"{self.model}_{name}"

    @property
    def metrics(self) -> Path:
        """Measures and what was explained."""
        return self.folder / f"metrics_{self.model}.json"

    @property
    def predictions(self) -> Path:
        """Table of one row per sequence."""
        return self.path("predictions.parquet")

    @property
    def explanations(self) -> Path:
        """Table of one row per flagged sequence."""
        return self.path("explanations.parquet")

    @property
    def plots(self) -> tuple[Path, Path]:
        """Summary and bar plot."""
        return self.path("shap_summary.png"), self.path("shap_bar.png")

    @property
    def notes(self) -> tuple[Path, Path]:
        """The notes written instead of plots when a guard fired, or when the model has no explainer."""
        return self.path("shap_guard.txt"), self.path("shap_skipped.txt")

    def list_files(self, shap: str, has_neighbours: bool) -> list[Path]:
        """List the files of an explained model but its explanations; ``shap`` is done, guarded or skipped."""
        texts = [self.path("false_positives.txt"), self.path("false_negatives.txt")]
        texts += [*self.plots, self.path("top_features.txt")] if shap == "done" else [self.notes[shap == "skipped"]]
        texts += [self.path("nn_mapping.csv")] if has_neighbours else []
        return [self.metrics, *part_paths(self.predictions), *texts]

    def write_shap(self, plots: tuple[bytes, bytes], features: str) -> None:
        """Write plots and feature list, and remove the note that an earlier run left instead of them."""
        for path, data in zip(self.plots, plots, strict=True):
            write_bytes(path, data)
        write_text(self.path("top_features.txt"), features)
        for note in self.notes:
            note.unlink(missing_ok=True)

    def write_note(self, text: str, *, guarded: bool) -> None:
        """Write why there is no plot, and remove what an earlier run left."""
        chosen, other = self.notes if guarded else self.notes[::-1]
        for stale in (*self.plots, self.path("top_features.txt"), other):
            stale.unlink(missing_ok=True)
        write_text(chosen, text)


def top_features_text(model: str, meaning: str, rows: tuple[int, int], features: Sequence[Feature]) -> str:
    """Write the list of the features with the largest mean abs(SHAP value), largest first.

    ``rows`` are the sequences explained and those that are not, because their values do not add up to the output.
    """
    lines = [
        f"Features of {model} with the largest mean |SHAP value|",
        f"SHAP value: {meaning}. Positive = more anomalous.",
        f"{rows[0]} sequences explained, {rows[1]} not explained (their values do not add up to the output).",
        "",
        f"{'rank':>4}  {'mean |SHAP|':>12}  {'mean SHAP':>12}  feature",
    ]
    for rank, feature in enumerate(features, 1):
        figures = f"{feature.mean_absolute:>12.6g}  {feature.mean_signed:>+12.6g}"
        lines.append(f"{rank:>4}  {figures}  {feature.label}")
    lines += [] if features else ["no feature has a share in any score"]
    return "\n".join(lines) + "\n"


def skip_note(model: str, algorithm: str, reason: str) -> str:
    """Write why a model has no SHAP values, and what to do instead."""
    return (
        f"SHAP left out: {model} ({algorithm}) has no explainer. {reason}\n"
        f"Its flagged sequences can be compared with their nearest normal ones: --nn-source {model}.\n"
    )


def not_fitted_note(model: str, reason: str) -> str:
    """Write why there is nothing to explain."""
    return f"SHAP left out: {model} could not be fitted: {reason}.\nUse other training data, or another hold-out.\n"
