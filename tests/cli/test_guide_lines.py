"""The command lines of the guide's section 5, word for word, with the program's name in place of the script's."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lo2dask.options import ExplainOptions, LoadOptions, TrainOptions

MODELS = ("event_lr_words", "event_dt_trigrams", "event_xgb_words", "sequence_shap_lr_words")

LOADER = """
  --root "/data/lo2" \
  --runs 5 \
  --errors-per-run 1 \
  --service-types code token refresh-token \
  --save-parquet \
  --save-events \
  --save-base-sequences \
  --output-dir demo/result/lo2
"""
SAMPLES = """
  --phase full \
  --root demo/result/lo2 \
  --if-item e_words \
  --if-numeric seq_len,duration_sec,e_words_len,e_trigrams_len \
  --if-contamination 0.15 \
  --if-holdout-fraction 0.2 \
  --report-precision-at 200 \
  --report-fp-alpha 0.01 \
  --save-model models/lo2_if.joblib \
  --dump-metadata \
  --models event_lr_words,event_dt_trigrams,event_xgb_words,sequence_shap_lr_words \
  --metrics-dir demo/result/lo2/metrics \
  --save-enhancers
"""
PHASE_F = """
  --root demo/result/lo2 \
  --skip-if \
  --sup-models event_lr_words,event_dt_trigrams,event_xgb_words,sequence_shap_lr_words \
  --nn-source sequence_shap_lr_words \
  --nn-top-k 50 \
  --shap-sample 200 \
  --shap-background 256 \
  --shap-feature-threshold 2000 \
  --shap-cell-threshold 2000000 \
  --sup-holdout-fraction 0.2
"""


def test_loader(parsed: Callable[..., Any]) -> None:
    assert parsed("load", *shlex.split(LOADER)) == LoadOptions(
        root=Path("/data/lo2"), runs=5, errors_per_run=1, service_types=("code", "token", "refresh-token"),
        save_parquet=True, save_events=True, save_base_sequences=True, output_dir=Path("demo/result/lo2"),
    )  # fmt: skip


def test_samples(parsed: Callable[..., Any]) -> None:
    assert parsed("train", *shlex.split(SAMPLES)) == TrainOptions(
        phase="full", root=Path("demo/result/lo2"), if_item="e_words",
        if_numeric=("seq_len", "duration_sec", "e_words_len", "e_trigrams_len"), if_contamination=0.15,
        if_holdout_fraction=0.2, report_precision_at=200, report_fp_alpha=0.01,
        save_model=Path("models/lo2_if.joblib"), dump_metadata=True, models=MODELS,
        metrics_dir=Path("demo/result/lo2/metrics"), save_enhancers=True,
    )  # fmt: skip


def test_phase_f(parsed: Callable[..., Any]) -> None:
    assert parsed("explain", *shlex.split(PHASE_F)) == ExplainOptions(
        root=Path("demo/result/lo2"), skip_if=True, sup_models=MODELS, nn_source="sequence_shap_lr_words",
        nn_top_k=50, shap_sample=200, shap_background=256, shap_feature_threshold=2000,
        shap_cell_threshold=2_000_000, sup_holdout_fraction=0.2,
    )  # fmt: skip


def test_flags_of_section_7(parsed: Callable[..., Any]) -> None:
    loading = parsed("load", *shlex.split("--root r --single-service token --no-duplicates --load-metrics"))
    assert (loading.single_service, loading.allow_duplicates, loading.load_metrics) == ("token", False, True)
    assert parsed("load", "--root", "r", "--allow-duplicates").allow_duplicates is True
    training = parsed("train", *shlex.split("--if-max-samples 256 --if-threshold-percentile 99.5 --skip-if"))
    assert (training.if_max_samples, training.if_threshold_percentile, training.skip_if) == ("256", 99.5, True)
    explaining = parsed("explain", *shlex.split("--nn-normal-sample 100 --shap-sample 50 --predict-batch-size 1000"))
    assert (explaining.nn_normal_sample, explaining.shap_sample, explaining.predict_batch_size) == (100, 50, 1000)


def test_defaults_are_those_of_the_options(parsed: Callable[..., Any]) -> None:
    assert parsed("load", "--root", "r") == LoadOptions(root=Path("r"))
    assert parsed("train") == TrainOptions()
    assert parsed("explain") == ExplainOptions()
