"""Options that every command takes, and the groups that several commands share."""

import re
from dataclasses import dataclass
from pathlib import Path

from lo2dask.errors import InputError
from lo2dask.options.base import Options, opt

CONTINUATION_POLICIES = ("fill", "drop", "merge", "keep")
TOKEN_KINDS = ("masked", "raw", "both")
# The commands that work on a cluster.
WORKING = ("load", "train", "explain", "score", "grid", "verify")


@dataclass(frozen=True, kw_only=True)
class ProgramOptions(Options):
    """Where options come from, and what is printed."""

    config: Path | None = opt(
        None, "YAML file with the same names as the flags; a flag on the command line wins", local=True
    )
    quiet: bool = opt(False, "print errors only")
    log_format: str = opt("text", "form of progress and log lines", choices=("text", "json"))
    debug: bool = opt(False, "show the traceback of an error, how long starting took, and all that a run has to tell")


@dataclass(frozen=True, kw_only=True)
class WritingOptions(Options):
    """How a folder is shared with other commands."""

    wait: bool = opt(False, "wait for another command that writes the same folder, instead of ending")

    @property
    def folder_mode(self) -> int | None:
        """The rights of folders that the command makes; None leaves them to the umask."""
        return None


@dataclass(frozen=True, kw_only=True)
class OutputOptions(WritingOptions):
    """How an output folder is made and shared with other commands."""

    mode: str = opt("0700", "rights of a new output folder, in octal: logs may hold passwords and tokens")

    def __post_init__(self) -> None:
        """Check that the owner can use the folder.

        Raises
        ------
        InputError : no rights in octal, or the owner lacks one.
        """
        super().__post_init__()
        if not re.fullmatch(r"0?[0-7]{3,4}", self.mode) or int(self.mode, 8) & 0o700 != 0o700:
            raise InputError(f"--mode: {self.mode!r} is not a mode that lets you write; write it as 0700 or 0750")

    @property
    def folder_mode(self) -> int:
        """The rights of a new output folder."""
        return int(self.mode, 8)


@dataclass(frozen=True, kw_only=True)
class ClusterOptions(ProgramOptions):
    """How workers are started and reached: none of these changes a single byte of the tables."""

    workers: int = opt(
        0,
        "worker processes; 0 = one per core of this machine (none for up to 500 logs of 64 MB together), or as the "
        "cluster file says",
        unit="processes",
        minimum=0,
        main=(*WORKING, "run", "plan", "check"),
    )
    threads_per_worker: int = opt(1, "threads of each worker", unit="threads", minimum=1)
    memory_limit: str = opt("auto", "memory of each worker, as 2GB; auto = an equal share of what is free")
    tls_folder: Path | None = opt(
        None,
        "folder of ca.pem, cert.pem and key.pem for tls://; a cluster file has its own made",
        local=True,
        main=("check",),
    )
    insecure: bool = opt(False, "allow unprotected traffic between machines: whoever reaches it can run code as you")


@dataclass(frozen=True, kw_only=True)
class CommonOptions(ClusterOptions):
    """How a command runs: none of these changes a single byte of the tables."""

    cluster: str = opt(
        "local",
        "where to run: local, tcp://host:port, tls://host:port or FILE.yaml (see cluster/)",
        main=(*WORKING, "run"),
    )
    resume: bool = opt(
        True,
        "resume where an earlier run stopped; --no-resume starts over",
        main=tuple(name for name in WORKING if name != "load"),
    )
    strict: bool = opt(False, "exit with 3 if anything was rejected")

    def __post_init__(self) -> None:
        """Check; for workers that may have another current folder, make relative paths absolute."""
        super().__post_init__()
        if self.cluster == "local":
            return
        for name, value in self.absolute_paths().items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, kw_only=True)
class LoadingOptions(OutputOptions, CommonOptions):
    """What to read of the raw tree and how to read it."""

    output_dir: Path = opt(Path("result/lo2"), "folder for all tables", writes=True, main=True)
    layout: str = opt(
        "auto",
        "how the tree names runs, test cases and services: lo2, or a path such as {run}/{test_case}/{service}.log, in "
        "which * is any text and ** any folders; auto = lo2 if there is a log of LO2, else "
        "{run}/{test_case}/**/{service} where a folder of the second level is normal, else {run}/**/{service}",
        affects="load",
        main=("load", "run"),
    )
    include: tuple[str, ...] = opt(
        (), "read only files whose path below the root, or name, is like one of these globs", affects="load"
    )
    exclude: tuple[str, ...] = opt(
        (), "leave out files whose path below the root, or name, is like one of these globs", affects="load"
    )
    runs_matching: tuple[str, ...] = opt((), "read only runs whose names are like one of these globs", affects="load")
    test_cases: tuple[str, ...] = opt(
        (),
        "read only test cases whose names are like one of these globs; the normal ones must be named too",
        affects="load",
    )
    exclude_test_cases: tuple[str, ...] = opt(
        (), "leave out test cases whose names are like one of these globs", affects="load"
    )
    normal: tuple[str, ...] = opt(
        ("correct",),
        "globs of the test cases that are normal, of runs where the layout has no test cases; correct "
        "takes correct_1 too; if no folder of a layout other than lo2 is, nothing is labelled",
        affects="load",
        main=("load", "run"),
    )
    labels: Path | None = opt(
        None,
        "CSV of labels in place of names: run[, test_case][, service][, start, end], label (normal or anything else)",
        local=True,
        affects="load",
        main=("load", "run"),
    )
    runs: int = opt(0, "the first N runs by name; 0 or less = all", unit="runs", affects="load", main=("load",))
    errors_per_run: int = opt(
        -1,
        "error cases drawn per run in addition to correct; negative = all",
        unit="cases",
        affects="load",
    )
    service_types: tuple[str, ...] = opt(
        (), "services to read, separated by space or comma; none given = all", affects="load"
    )
    single_service: str = opt("", "read this one service only", affects="load")
    single_error_type: str = opt(
        "", "read one error type in addition to correct: its name, or random for a drawn one", affects="load"
    )
    allow_duplicates: bool = opt(
        True, "let several runs draw the same error case", off="--no-duplicates", affects="load"
    )
    sample_seed: int = opt(42, "seed of every draw and sample", affects="load")
    follow_links: bool = opt(False, "follow links that lead out of the raw tree; others are followed anyway")
    format: str = opt(
        "auto",
        "what a line looks like: the name of a format (see `lo2dask formats`), FILE.yaml with your own, or auto, "
        "which takes for each service the one that most of its lines have",
        affects="load",
        main=("load", "run"),
    )
    timezone: str = opt("UTC", "the zone of times that have none, as Europe/Helsinki", affects="load")
    trim_init_lines: bool | None = opt(
        None, "drop the start-up lines of each log, which in LO2 give the label away",
        fallback="on for --layout lo2, off for others", affects="load",
    )  # fmt: skip
    init_lines_to_skip: int = opt(
        100, "raw lines that trimming drops of a log that has more", unit="lines", minimum=0, affects="load"
    )
    continuation_lines: str = opt(
        "fill",
        "lines without a time: fill = time of the line above, drop, merge into the event above, keep without a time",
        choices=CONTINUATION_POLICIES,
        affects="load",
    )
    balance_correct: bool = opt(
        False, "keep the first 1/7.05 of each correct log, as the LO2 paper does", affects="load"
    )
    save_parquet: bool = opt(True, "write lo2_sequences.parquet and, by enhancing, lo2_sequences_enhanced.parquet")
    save_base_sequences: bool = opt(True, "write lo2_sequences.parquet (implied by --save-parquet)")
    save_events: bool = opt(False, "write lo2_events.parquet, one row per line kept", affects="load", main=("load",))
    enhance: bool = opt(True, "enhance as the last step of load; --no-enhance leaves it to train")
    load_metrics: bool = opt(False, "write lo2_metrics.parquet and lo2_traces.parquet")
    metric_names: tuple[str, ...] = opt((), "metrics to read, by name; none given = all", affects="metrics")
    partition_size: str = opt(
        "64MB", "raw bytes of one batch, the unit of work, as 16MB or 1GB", size=True, affects="load"
    )
    enhancer_run_batch: int = opt(0, "accepted for the predecessor's sake; without effect", unit="runs")
    head: int = opt(5, "rows of the sequence table shown at the end", unit="rows", minimum=0)


@dataclass(frozen=True, kw_only=True)
class EnhancingOptions(WritingOptions, CommonOptions):
    """How text becomes tokens, templates and features."""

    tokens: str = opt(
        "masked",
        "bags from normalised text, from the line as it stands, or both in one pass: e_words_raw and e_trigrams_raw "
        "then stand next to the normalised ones",
        choices=TOKEN_KINDS,
        affects="enhance",
    )
    mask_file: Path | None = opt(
        None, "YAML list of masks that are added to, or replace, those of `lo2dask masks`", local=True
    )
    keep_normalized: bool = opt(False, "keep e_message_normalized in lo2_events.parquet", affects="enhance")
    keep_token_lists: bool = opt(
        False, "store each sequence's tokens as full lists, as the predecessor did", affects="enhance"
    )
    max_features: int = opt(
        100_000, "tokens of each representation in lo2_vocabulary.parquet", unit="tokens", minimum=1, affects="enhance"
    )
    windows: bool = opt(True, "tell which seconds of each log are unusual (lo2_windows.parquet)", affects="enhance")
    window: str = opt("1s", "length of a window, as 500ms or 10s", affects="enhance")

    def __post_init__(self) -> None:
        """Check the length of a window.

        Raises
        ------
        InputError : it is no time in ms or s, or not from 100 ms to an hour.
        """
        super().__post_init__()
        if not 100 <= _parse_ms(self.window) <= 3_600_000:
            raise InputError(f"--window {self.window}: use a time from 100ms to 3600s, such as 1s")

    @property
    def window_ms(self) -> int:
        """The length of a window in ms; 0 without windows."""
        return _parse_ms(self.window) if self.windows else 0


@dataclass(frozen=True, kw_only=True)
class ForestOptions(WritingOptions, CommonOptions):
    """The Isolation Forest's own options; explain takes them too."""

    if_item: str = opt(
        "e_words",
        "column the forest reads: e_words, e_trigrams, e_templates, e_words_raw or e_trigrams_raw (of tables "
        "loaded with --tokens both), a numeric column, or none",
        main=("train",),
    )
    if_numeric: tuple[str, ...] = opt((), "numeric columns of the forest in addition to --if-item, separated by comma")
    if_contamination: float = opt(
        0.1, "share of training rows beyond the threshold", unit="of the rows", minimum=0.0, maximum=0.5
    )
    if_n_estimators: int = opt(200, "trees of the forest", unit="trees", minimum=1)
    if_max_samples: str = opt("auto", "rows each tree is grown on: auto = min(256, rows), a count or a share")
    if_holdout_fraction: float = opt(
        0.0, "share of the newest normal sequences held out from the forest", unit="of them", minimum=0.0, maximum=0.9
    )
    if_threshold_percentile: float | None = opt(
        None,
        "the forest's alert limit: this percentile of the scores of the hold-out's normal sequences, else of the "
        "training part's; a value of at most 1 is a fraction (0.995 = 99.5)",
        unit="percent",
        minimum=0,
        maximum=100,
    )
    skip_if: bool = opt(False, "leave out the Isolation Forest")


@dataclass(frozen=True, kw_only=True)
class HoldoutOptions(WritingOptions, CommonOptions):
    """What is held out from the registry models, and the bounds of each fit."""

    sup_holdout_fraction: float = opt(
        0.2, "share of each bucket's newest groups held out", unit="of them", minimum=0.0, maximum=0.9
    )
    sup_holdout_min_groups: int = opt(1, "groups held out of each bucket at the least", unit="groups", minimum=0)
    sup_holdout_shuffle: bool = opt(False, "hold out drawn groups instead of the newest")
    holdout_by: str = opt(
        "run",
        "hold out whole runs, groups of (service, run, test case), or whole error types; or nothing, and leave out one "
        "run (loro) or a fifth of the runs (folds) at a time to measure; where a side lacks a class, train chooses",
        choices=("run", "group", "test-case", "loro", "folds"),
        main=("train", "grid"),
    )
    reference: tuple[str, ...] = opt(
        (), "runs to compare with, labelled or not: globs of their names, or a text or CSV file that lists them; all "
        "others are held out; none given = the normal runs, all runs where nothing is labelled",
    )  # fmt: skip
    predict_batch_size: int = opt(50_000, "rows scored at once", unit="rows", minimum=1)
    memory_budget: str = opt(
        "2GB", "memory of one fit, as 500MB or 2GB; a sample is drawn to meet it", size=True, main=("train",)
    )
    disable_memory_guard: bool = opt(
        False, "do not cap depth, trees, leaves and features, nor fit samples to the budget"
    )
    list_models: bool = opt(False, "list the registry and end")
    trust: bool = opt(False, "read models in an output folder that belongs to another user: reading runs their code")


def _parse_ms(text: str) -> int:
    """Read a time such as 500ms or 1s in ms; -1 where it is none."""
    found = re.fullmatch(r"(\d{1,7})(ms|s)", text.strip())
    return int(found[1]) * (1 if found[2] == "ms" else 1000) if found else -1
