"""One options class per command; a command that calls others has their options too."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from lo2dask.domain import SERVICES
from lo2dask.errors import InputError
from lo2dask.options.base import opt
from lo2dask.options.common import (
    ClusterOptions,
    CommonOptions,
    EnhancingOptions,
    ForestOptions,
    HoldoutOptions,
    LoadingOptions,
    OutputOptions,
    ProgramOptions,
    WritingOptions,
)

REQUIRED = dataclasses.MISSING
DEFAULT_ALGORITHMS = ("lr", "dt", "xgb", "if", "oov", "drift")
DEFAULT_MODELS = ("excess", "event_lr_words", "event_dt_trigrams", "sequence_lr_numeric", "sequence_shap_lr_words")
SYNTH_FORMATS = (
    "lo2", "logback", "log4j", "clock", "spring", "python", "syslog", "klog", "access", "apache-error", "json",
    "logfmt", "timed", "plain",
)  # fmt: skip
RUN_MODELS = ("excess", "event_lr_words", "event_xgb_words")


@dataclass(frozen=True, kw_only=True)
class SynthOptions(WritingOptions, ProgramOptions):
    """`lo2dask synth`: an LO2-shaped tree."""

    out: Path = opt(
        REQUIRED, "folder to write; new, empty, or written by synth before", argument=True, local=True, writes=True
    )
    runs: int = opt(5, "runs to write", unit="runs", minimum=1, main=True)
    errors_per_run: int = opt(
        2, "error cases per run in addition to correct, drawn; negative = all 53", unit="cases", main=True
    )
    test_cases: tuple[str, ...] = opt((), "error cases to write instead of drawn ones", main=True)
    services: tuple[str, ...] = opt((), "services to write; none given = all seven", choices=SERVICES, main=True)
    scale: float = opt(
        0.2,
        "bytes per file as a share of the published size (token log of 60 s: 3.5 MB)",
        unit="of the published size",
        minimum=1e-4,
        main=True,
    )
    layout: str = opt(
        "v1", "which of the published layouts to write", choices=("v1", "v2", "guide", "sample"), main=True
    )
    format: str = opt(
        "lo2", "the line format of the services' logs, one of those that `lo2dask formats` lists", choices=SYNTH_FORMATS
    )
    with_metrics: bool = opt(False, "write metric and trace files too", main=True)
    tar: bool = opt(False, "write each run as one uncompressed tar", main=True)
    faults: bool = opt(False, "add one of each kind of bad input", main=True)
    seed: int = opt(42, "seed of everything drawn", main=True)
    jobs: int = opt(0, "processes; 0 = one per core", unit="processes", minimum=0)
    epoch: int = opt(
        1_719_592_986, "end (v1) or start (v2) of the first run", unit="seconds since 1970, UTC", minimum=0
    )


@dataclass(frozen=True, kw_only=True)
class WarmupOptions(ProgramOptions):
    """`lo2dask warmup`: compile ahead."""


@dataclass(frozen=True, kw_only=True)
class ExtractOptions(WritingOptions, ProgramOptions):
    """`lo2dask extract`: archived runs to a raw tree."""

    src: Path = opt(
        REQUIRED, "folder of archived runs (.tar, .tar.gz, .zip of tars), or one archive", argument=True, local=True
    )
    out: Path = opt(REQUIRED, "folder for the raw tree", argument=True, local=True, writes=True)
    mode: str = opt(
        "newest",
        "order of the runs by their epoch; every2 takes every second one, from the oldest",
        choices=("newest", "oldest", "random", "every2"),
        main=True,
    )
    split: int = opt(1, "chunks to cut the runs into", unit="chunks", minimum=1, main=True)
    chunk: int = opt(0, "unpack this chunk alone, from 1; 0 = all, one after another", minimum=0, main=True)
    count: int = opt(0, "the first N runs in the order of --mode; 0 = all", unit="runs", minimum=0, main=True)
    errors_per_run: int = opt(
        -1, "error cases drawn per run in addition to correct; negative = all", unit="cases", main=True
    )
    jobs: int = opt(0, "processes; 0 = one per core", unit="processes", minimum=0, main=True)
    seed: int = opt(42, "seed of every draw")
    dry_run: bool = opt(False, "print what would be unpacked, and how large it is; write nothing", main=True)
    max_ratio: int = opt(200, "stop at an archive that unpacks to over so many times its size", unit="times", minimum=1)
    max_bytes: str = opt(
        "", "unpack no more than this, as 500GB; none given = what fits on the disk", size=True, main=True
    )
    resume: bool = opt(True, "leave out the runs that are there already; --no-resume unpacks them again", main=True)
    strict: bool = opt(False, "exit with 3 if anything was rejected")


@dataclass(frozen=True, kw_only=True)
class LoadOptions(LoadingOptions, EnhancingOptions):
    """`lo2dask load`: raw tree to Parquet."""

    root: Path = opt(REQUIRED, "raw tree: a folder of runs")
    dry_run: bool = opt(False, "print what would be read, and the memory and disk that it needs; write nothing")


@dataclass(frozen=True, kw_only=True)
class ModellingOptions(ForestOptions, HoldoutOptions):
    """What is fitted, measured and saved."""

    phase: str = opt(
        "full", "how far to go: enhancers, if (Isolation Forest) or full", choices=("enhancers", "if", "full")
    )
    services_truth: Path | None = opt(
        None,
        "CSV file that names the service that fails (columns test_case, service and perhaps run), for the figures on "
        "services; those of LO2's error cases are known",
    )
    save_if: Path | None = opt(
        None,
        "the forest's predictions: a folder of Parquet parts, or one file where the name ends with .csv or .csv.gz",
        fallback="ROOT/lo2_if_predictions.parquet",
    )
    overwrite_if: bool = opt(False, "replace predictions at --save-if that this output folder did not write")
    save_model: Path | None = opt(
        None, "write the forest's bundle (model, vectorizer, what is needed to score) here", main=("train",)
    )
    load_model: Path | None = opt(None, "score with this bundle instead of fitting a forest")
    overwrite_model: bool = opt(False, "replace a bundle whose content differs; only bundles of lo2dask are")
    save_sup_models: Path | None = opt(
        None, "folder for the bundles of the registry models", writes=True, main=("train",)
    )
    models: tuple[str, ...] = opt(
        DEFAULT_MODELS, "registry models, separated by comma; see `lo2dask models`", main=True
    )
    excess_threshold: float = opt(
        3.0, "a run is a finding where a service's excess is over this", unit="standard deviations", minimum=0.0
    )
    per_service: bool = opt(False, "fit one model per service; excess compares by service anyway")
    report_precision_at: int | None = opt(
        None, "report the precision among the first k by score", unit="rows", minimum=1
    )
    report_fp_alpha: float | None = opt(
        None,
        "report the false positives among the first share of rows by score",
        unit="share",
        minimum=0.0,
        maximum=1.0,
    )
    report_psi: bool = opt(False, "report the population stability index of training against hold-out scores")
    metrics_dir: Path | None = opt(None, "folder of the measures", fallback="ROOT/metrics", writes=True)
    dump_metadata: bool = opt(False, "write model.yml next to the bundle, or in ROOT/models without one")
    save_enhancers: bool = opt(False, "make sure that lo2_sequences_enhanced.parquet is there and current")
    enhancers_output_dir: Path | None = opt(None, "folder of the enhanced table", fallback="ROOT", writes=True)
    overwrite_enhancers: bool = opt(False, "replace an enhanced table whose content differs")
    oov_counts: bool = opt(
        False, "let oov count occurrences of unknown words, as the predecessor did, not distinct ones"
    )


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ModellingOptions, EnhancingOptions):
    """`lo2dask train`: enhancement, Isolation Forest, registry models, measures."""

    root: Path = opt(Path("result/lo2"), "folder that load wrote", writes=True, main=True)
    raw_root: Path | None = opt(None, "the raw tree, if it has moved since load")
    sample_seed: int = opt(42, "seed of every draw and sample")


@dataclass(frozen=True, kw_only=True)
class ExplainingOptions(ForestOptions, HoldoutOptions):
    """What is explained, and within which bounds."""

    shap_sample: int = opt(
        0, "rows explained for the plots, a seeded sample; 0 = all", unit="rows", minimum=0, main=("explain",)
    )
    shap_background: int = opt(
        256, "rows of the background distribution; 0 = the whole training part", unit="rows", minimum=0
    )
    shap_feature_threshold: int = opt(0, "skip SHAP over this many features; 0 = off", unit="features", minimum=0)
    shap_cell_threshold: int = opt(
        0, "skip SHAP over this many cells (rows x features); 0 = off", unit="cells", minimum=0
    )
    evidence_limit: int = opt(
        500, "flagged sequences whose lines are read, besides those of findings: a seeded draw by service and test "
        "case, of all models together; 0 = all", unit="rows", minimum=0,
    )  # fmt: skip
    nn_source: str = opt(
        "if", "model whose flagged sequences get a nearest normal neighbour: if or a model key", main=("explain",)
    )
    nn_top_k: int = opt(
        0, "flagged sequences that get a neighbour, highest score first; 0 = all", unit="rows", minimum=0
    )
    nn_normal_sample: int = opt(
        20_000, "normal sequences to compare with, a seeded draw by service and test case; 0 = all", unit="rows",
        minimum=0,
    )  # fmt: skip
    nn_normals: str = opt(
        "labelled",
        "which sequences count as normal: labelled ones of the training part (unflagged ones where there is none), or "
        "predicted: all that the model does not flag",
        choices=("labelled", "predicted"),
        main=("explain",),
    )
    sup_models: tuple[str, ...] = opt(
        (), "registry models to explain; none given = those that train kept", main=("explain",)
    )


@dataclass(frozen=True, kw_only=True)
class ExplainOptions(ExplainingOptions):
    """`lo2dask explain`: SHAP, neighbours, false positives and negatives."""

    root: Path = opt(Path("result/lo2"), "folder that load and train wrote", writes=True, main=True)
    seq_id: str = opt(
        "", "tell what was explained of this sequence (run__test_case__log) and do nothing else", main=True
    )
    load_model: Path | None = opt(None, "explain this bundle of the forest")
    load_sup_models: Path | None = opt(None, "folder of bundles to explain instead of those that train kept")
    sample_seed: int = opt(42, "seed of every draw and sample")


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(OutputOptions, CommonOptions):
    """`lo2dask score`: a saved model applied to new runs."""

    bundle: Path = opt(REQUIRED, "bundle to score with, as train --save-model or --save-sup-models writes it")
    root: Path = opt(REQUIRED, "raw tree of the new runs: a folder of runs; labels are not needed")
    output_dir: Path = opt(Path("result/lo2_score"), "folder for predictions and run scores", writes=True, main=True)
    trust: bool = opt(
        False, "load a bundle whose hash is missing or wrong, or of another layout: loading runs its code", main=True
    )
    partition_size: str = opt("64MB", "raw bytes of one batch, the unit of work", size=True)
    predict_batch_size: int = opt(50_000, "rows scored at once", unit="rows", minimum=1)
    fail_on_findings: bool = opt(
        False, "exit with 4 if anything stands out, for use in CI; notices do not count", main=True
    )


@dataclass(frozen=True, kw_only=True)
class GridOptions(HoldoutOptions, EnhancingOptions):
    """`lo2dask grid`: every service, representation and model, on several hold-outs, in one table."""

    root: Path = opt(Path("result/lo2"), "folder that load wrote", writes=True, main=True)
    raw_root: Path | None = opt(None, "the raw tree, if it has moved since load")
    algorithms: tuple[str, ...] = opt(
        DEFAULT_ALGORITHMS, "algorithms of the registry, separated by comma; see `lo2dask models`", main=True
    )
    representations: tuple[str, ...] = opt(
        ("words", "templates"),
        "what the models read",
        choices=("words", "trigrams", "templates", "words_raw", "trigrams_raw", "numeric", "all"),
        main=True,
    )
    seeds: int = opt(3, "seeds; each draws its own hold-out and seeds its models", unit="seeds", minimum=1, main=True)
    sample_seed: int = opt(42, "the first seed; the others count up from it", main=True)
    leave_error_types_out: bool = opt(
        False, "hold out each error type in turn, with the normal runs that the first seed draws, instead of --seeds"
    )


@dataclass(frozen=True, kw_only=True)
class ReportOptions(WritingOptions, CommonOptions):
    """`lo2dask report`: what there is and what is missing, as Markdown and as one page."""

    root: Path = opt(Path("result/lo2"), "folder that load, train and explain wrote", writes=True, main=True)
    open: bool = opt(False, "open the page in this machine's browser", main=True)
    trust: bool = opt(False, "read models in an output folder that belongs to another user: reading runs their code")


@dataclass(frozen=True, kw_only=True)
class FindingsOptions(ProgramOptions):
    """`lo2dask findings`: what stands out."""

    root: Path = opt(REQUIRED, "folder that train or run wrote, or that score wrote its scores into", argument=True)
    run: str = opt("", "findings of this run alone: its name, or how it begins or ends")
    service: str = opt("", "findings of this service alone")
    limit: int = opt(10, "findings to show, the most certain first; 0 = all", unit="findings", minimum=0)
    format: str = opt(
        "text",
        "form of the findings: text for the terminal's width, json with one object a line, or csv",
        choices=("text", "json", "csv"),
    )


@dataclass(frozen=True, kw_only=True)
class ShowOptions(ProgramOptions):
    """`lo2dask show`: one case, with its services, windows and lines."""

    root: Path = opt(REQUIRED, "folder that train or run wrote, or that score wrote its scores into", argument=True)
    case: str = opt(
        REQUIRED, "case to show, as RUN/CASE; how the names begin or end is enough where it fits one alone; also the "
        "number of a finding, or a seq_id", argument=True,
    )  # fmt: skip
    service: str = opt("", "show this service alone")
    around: int = opt(
        5, "lines to show before and after each line, read from the raw logs", unit="lines", minimum=0, maximum=1000
    )


@dataclass(frozen=True, kw_only=True)
class ServeMcpOptions(ProgramOptions):
    """`lo2dask serve-mcp`: questions about a folder, for programs that speak MCP."""

    root: Path = opt(REQUIRED, "folder that train or run wrote, or that score wrote its scores into", argument=True)
    max_rows: int = opt(50, "most rows of each list in an answer", unit="rows", minimum=1, maximum=1000)
    max_chars: int = opt(
        20_000, "most characters of an answer; what is left out is counted", unit="characters", minimum=1000,
        maximum=200_000,
    )  # fmt: skip
    raw_lines: bool = opt(
        True, "read lines around unusual ones from raw logs, below the loaded tree alone; --no-raw-lines: tables only"
    )


@dataclass(frozen=True, kw_only=True)
class AuditOptions(ProgramOptions):
    """`lo2dask audit`: what tells the classes apart without being an error."""

    root: Path = opt(REQUIRED, "folder that load or run wrote", argument=True)
    html: Path | None = opt(None, "the page to write", fallback="ROOT/audit.html")
    seed: int = opt(42, "seed of the permutations and of every draw", minimum=0)
    limit: int = opt(
        20_000, "words of each service to compare, drawn where there are more; 0 = all", unit="words", minimum=0
    )


@dataclass(frozen=True, kw_only=True)
class PlanOptions(CommonOptions):
    """`lo2dask plan`: time, memory and disk for a size."""

    bytes: str = opt(REQUIRED, "raw logs to plan for, as 650GB", size=True)
    from_: Path | None = opt(None, "output folder of an earlier run, whose rates are taken", main=True)
    calibrate: bool = opt(
        False, "measure this machine first: half a minute of made-up logs through all stages", main=True
    )
    save_events: bool = opt(False, "plan for load --save-events", main=True)
    partition_size: str = opt("64MB", "raw bytes of one batch, the unit of work", size=True)
    memory_budget: str = opt("2GB", "memory of one fit, as 500MB or 2GB", size=True, main=True)


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(CommonOptions):
    """`lo2dask verify`: whether an output folder adds up."""

    output_dir: Path = opt(REQUIRED, "folder that load and the later commands wrote", argument=True)
    checksums: bool = opt(
        True, "read every file again and compare its checksum; --no-checksums compares sizes alone", main=True
    )


@dataclass(frozen=True, kw_only=True)
class RunOptions(LoadingOptions, EnhancingOptions, ModellingOptions, ExplainingOptions):
    """`lo2dask run`: load, train, explain and report in one go."""

    root: Path = opt(REQUIRED, "raw tree: a folder of runs")
    models: tuple[str, ...] = opt(RUN_MODELS, "registry models, separated by comma; see `lo2dask models`", main=True)
    head: int = opt(0, "rows of the sequence table shown before the findings", unit="rows", minimum=0)
    fail_on_findings: bool = opt(
        False, "exit with 4 if anything stands out, for use in CI; notices do not count", main=True
    )
    shap_sample: int = opt(
        2_000, "rows explained for the plots, a seeded sample; 0 = all", unit="rows of each model", minimum=0
    )

    def __post_init__(self) -> None:
        """Check that findings are looked for where their absence is to mean something.

        Raises
        ------
        InputError : they are not.
        """
        super().__post_init__()
        if self.fail_on_findings and ("excess" not in self.models or self.phase != "full"):
            raise InputError("--fail-on-findings: nothing looks for findings; add excess to --models, --phase full")


@dataclass(frozen=True, kw_only=True)
class CheckOptions(ClusterOptions):
    """`lo2dask cluster check`: is a cluster fit for the work."""

    file: str = opt(REQUIRED, "cluster file, or local, tcp://host:port or tls://host:port", argument=True)
    root: Path | None = opt(None, "folder that the work will read; its bandwidth is measured", main=True)
    output_dir: Path | None = opt(None, "folder that the work will write; a token goes through it both ways", main=True)
    memory_budget: str = opt("2GB", "memory that each worker must have, as for train", size=True, main=True)
