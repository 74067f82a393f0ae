"""The README's first command and the guide's three commands on made-up data: every artefact of the guide, with rows."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

TABLES = (
    "lo2_sequences.parquet",
    "lo2_sequences_enhanced.parquet",
    "lo2_templates.parquet",
    "lo2_vocabulary.parquet",
    "lo2_if_predictions.parquet",
)
MODELS = ("event_lr_words", "event_dt_trigrams", "event_xgb_words", "sequence_shap_lr_words")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, program: Callable[..., Any]) -> Path:
    """What `lo2dask synth` makes, small: three runs, so that one can be held out and two remain."""
    out = tmp_path_factory.mktemp("end") / "lo2-synth"
    done = program("synth", out, "--runs", 3, "--errors-per-run", 2, "--scale", 0.02, "--quiet")
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def result(tree: Path, program: Callable[..., Any]) -> Path:
    """The README's first command."""
    out = tree.parent / "result"
    done = program("run", "--root", tree, "--output-dir", out, "--save-events")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "Warning" not in done.stderr
    begins = (" out (excess", "\ntrust: ", "\n\nmodels, log by log, measured", "\nreport: ")
    parts = [done.stdout.index(text) for text in begins]
    assert parts == sorted(parts)
    verdicts = [line.split(":")[1] for line in done.stdout.splitlines() if line.startswith("trust: ")]
    assert len(verdicts) == len(set(verdicts)) > 1
    assert not any(text in done.stdout for text in ("tables: ", "no better than a model on", "explained:"))
    assert done.stdout.splitlines()[-1].startswith(f"report: {out}/report.html; tables and models: {out}; all in ")
    return out


def has_rows(paths: Iterable[Path]) -> None:
    """Each table has rows for pandas and polars alike."""
    for path in paths:
        rows = len(pd.read_parquet(path))
        assert rows > 0, path
        assert pl.scan_parquet(path).select(pl.len()).collect().item() == rows, path


def check_explained(folder: Path, keys: Iterable[str], source: str) -> None:
    for key in keys:
        assert json.loads((folder / f"metrics_{key}.json").read_text())
        if (folder / f"{key}_shap_guard.txt").is_file():
            assert "--shap-" in (folder / f"{key}_shap_guard.txt").read_text()
        else:
            for name in (f"{key}_shap_summary.png", f"{key}_shap_bar.png"):
                assert (folder / name).read_bytes().startswith(b"\x89PNG"), name
            assert (folder / f"{key}_top_features.txt").read_text().strip()
        assert (folder / f"{key}_false_positives.txt").is_file()
        assert (folder / f"{key}_false_negatives.txt").is_file()
        has_rows([folder / f"{key}_predictions.parquet"])
    mapping = pd.read_csv(folder / f"{source}_nn_mapping.csv")
    assert list(mapping.columns) == ["anomalous_id", "normal_id", "similarity", "normal_type"]
    assert len(mapping) > 0


def test_every_table_has_rows(result: Path) -> None:
    has_rows(result / name for name in (*TABLES, "lo2_events.parquet"))
    rejects = pd.read_parquet(result / "lo2_rejects.parquet")
    assert list(rejects.columns) == ["path", "member", "stage", "reason", "detail"]


def test_measures_come_from_a_holdout(result: Path) -> None:
    for path in sorted((result / "metrics").glob("*.json")):
        measured = json.loads(path.read_text())
        assert measured["holdout"], path
    assert len(pd.read_csv(result / "metrics" / "if_metrics.csv")) > 0


def test_the_bundle_of_run(result: Path) -> None:
    bundle = joblib.load(result / "models" / "lo2_if.joblib")
    assert {"model", "vectorizer"} <= set(bundle)
    assert (result / "models" / "lo2_if.joblib.sha256").is_file()
    assert "contamination" in (result / "models" / "model.yml").read_text()


def test_explanations_of_run(result: Path) -> None:
    check_explained(result / "explainability", ["if", "event_lr_words", "event_xgb_words"], "if")


def test_the_report_of_run(result: Path, command: Callable[..., Any]) -> None:
    assert "<html" in (result / "report.html").read_text()
    before = (result / "report.md").read_text()
    answer = command("report", "--root", result)
    assert answer.code == 0, answer.err
    assert str(result / "report.html") in answer.out
    assert (result / "report.md").read_text() == before


@pytest.mark.usefixtures("serially")
def test_tars_are_unpacked_and_metrics_loaded(tmp_path: Path, command: Callable[..., Any]) -> None:
    packed, tree, out = tmp_path / "packed", tmp_path / "tree", tmp_path / "out"
    made = ["synth", packed, "--runs", 2, "--errors-per-run", 1, "--scale", 0.005, "--tar", "--with-metrics", "--quiet"]
    assert command(*made).code == 0
    first = command("extract", packed, tree, "--split", 2, "--chunk", 1)
    assert first.code == 0, first.err
    assert "1 run" in first.out
    rest = command("extract", packed, tree)
    assert "there already: 1 run" in rest.out
    loading = command("load", "--root", tree, "--output-dir", out, "--load-metrics", "--no-enhance", "--workers", 0)
    assert loading.code == 0, loading.err
    assert "metrics: " in loading.out
    has_rows([out / "lo2_metrics.parquet", out / "lo2_traces.parquet", out / "lo2_sequences.parquet"])


def test_a_second_run_goes_on_and_changes_nothing(result: Path, tree: Path, command: Callable[..., Any]) -> None:
    tables = {path: path.read_bytes() for path in result.rglob("*.parquet") if path.is_file()}
    answer = command("run", "--root", tree, "--output-dir", result, "--save-events", "--workers", 2, "--debug")
    assert answer.code == 0, answer.err
    assert all(text in answer.out for text in ("tables: ", "measures: ", "bundle: ", "explained:", "files: "))
    assert {path: path.read_bytes() for path in result.rglob("*.parquet") if path.is_file()} == tables


@pytest.mark.usefixtures("serially")
def test_the_three_commands_of_the_guide(
    tree: Path, tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Section 5 as it stands, but for the root; every artefact of section 6 lies where the guide says."""
    lines = [
        f"load --root {tree} --runs 5 --errors-per-run 1 --service-types code token refresh-token --save-parquet "
        "--save-events --save-base-sequences --output-dir demo/result/lo2",
        "train --phase full --root demo/result/lo2 --if-item e_words "
        "--if-numeric seq_len,duration_sec,e_words_len,e_trigrams_len --if-contamination 0.15 "
        "--if-holdout-fraction 0.2 --report-precision-at 200 --report-fp-alpha 0.01 "
        f"--save-model models/lo2_if.joblib --dump-metadata --models {','.join(MODELS)} "
        "--metrics-dir demo/result/lo2/metrics --save-enhancers",
        f"explain --root demo/result/lo2 --skip-if --sup-models {','.join(MODELS)} "
        "--nn-source sequence_shap_lr_words --nn-top-k 50 --shap-sample 200 --shap-background 256 "
        "--shap-feature-threshold 2000 --shap-cell-threshold 2000000 --sup-holdout-fraction 0.2",
    ]
    monkeypatch.chdir(tmp_path)
    for line in lines:
        answer = command(*line.split(), "--workers", 0)
        assert answer.code == 0, answer.err
    root = tmp_path / "demo" / "result" / "lo2"
    has_rows(root / name for name in (*TABLES, "lo2_events.parquet"))
    assert {path.stem for path in (root / "metrics").glob("*.json")} >= {"if_metrics", *MODELS}
    measured = json.loads((root / "metrics" / "if_metrics.json").read_text())
    assert "precision" in json.dumps(measured)
    assert joblib.load(tmp_path / "models" / "lo2_if.joblib")["model"] is not None
    assert (tmp_path / "models" / "model.yml").is_file()
    check_explained(root / "explainability", MODELS, "sequence_shap_lr_words")
    assert (root / "explainability" / "event_lr_words_shap_bar.png").is_file()


@pytest.mark.usefixtures("serially")
def test_the_bundle_scores_new_runs(result: Path, tree: Path, command: Callable[..., Any]) -> None:
    out = tree.parent / "scored"
    line = ["score", "--bundle", result / "models" / "lo2_if.joblib", "--root", tree, "--output-dir", out]
    answer = command(*line, "--workers", 0)
    assert answer.code == 0, answer.err
    has_rows([out / "lo2_if_predictions.parquet", out / "if_runs.parquet"])
    assert "all done before" in command(*line).out


@pytest.mark.thorough
def test_the_real_slice(sample_root: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    """Errors occur in one run alone: measures that need both classes are null with the reason, and no error.

    The log that an error case fails in is flagged, and the line that says why is among its first lines.
    """
    out = tmp_path / "out"
    line = ["run", "--root", sample_root / "v1", "--output-dir", out, "--save-events", "--workers", 0]
    answer = command(*line, "--models", "event_lr_words,event_oov_words")
    assert answer.code == 0, answer.err
    has_rows(out / name for name in TABLES)
    measured = json.loads((out / "metrics" / "event_lr_words.json").read_text())
    assert measured["holdout"]["auc_roc"] is not None or measured["holdout"]["reason"]
    flagged = pq.read_table(out / "explainability" / "event_oov_words_explanations.parquet").to_pylist()
    lines = {row["test_case"]: str(row["lines"][:3]) for row in flagged}
    assert "ERR11000" in lines["get_token_page_400_no_page"]
    assert "ERR12011" in lines["register_user_400_no_password"]


@pytest.mark.thorough
def test_names_and_lines_with_umlauts_where_the_locale_is_c(
    tmp_path: Path, program: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONUTF8", "PYTHONIOENCODING", "LANG", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("COLUMNS", "200")
    for case in ("correct", "größe_404"):
        log = tmp_path / f"Läufe/run_0001/{case}/light-oauth2-oauth2-token-1.log"
        log.parent.mkdir(parents=True)
        text = "".join(f"21:25:0{n}.000 [main]   DEBUG a.b.C d - Schlüssel {n} € passt\n" for n in range(3))
        log.write_text(text, encoding="utf-8")
    load = ("load", "--root", "Läufe", "--output-dir", "Aus-Ü", "--save-events", "--workers", 1)
    said = ""
    for line in (load, ("report", "--root", "Aus-Ü")):
        done = program(*line, cwd=tmp_path, encoding="utf-8")
        assert done.returncode == 0, done.stderr
        said += done.stdout + done.stderr
    assert "run_0001__größe_404__" in said
    assert "Aus-Ü/report.html" in said
    assert not any(odd in said for odd in ("Traceback", "?", "\\udc", "\ufffd"))
    events = pq.read_table(tmp_path / "Aus-Ü" / "lo2_events.parquet").to_pylist()
    assert {row["test_case"] for row in events} == {"correct", "größe_404"}
    assert sum("Schlüssel" in row["m_message"] and "€" in row["m_message"] for row in events) == 6
    assert "größe_404" in (tmp_path / "Aus-Ü" / "report.html").read_text(encoding="utf-8")
