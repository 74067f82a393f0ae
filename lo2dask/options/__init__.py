"""Frozen option classes, one per command: the only place where a default is written."""

from lo2dask.options.base import Options, fingerprint, flag_name, plain
from lo2dask.options.commands import (
    DEFAULT_MODELS,
    AuditOptions,
    CheckOptions,
    ExplainOptions,
    ExtractOptions,
    FindingsOptions,
    GridOptions,
    LoadOptions,
    PlanOptions,
    ReportOptions,
    RunOptions,
    ScoreOptions,
    ServeMcpOptions,
    ShowOptions,
    SynthOptions,
    TrainOptions,
    VerifyOptions,
    WarmupOptions,
)
from lo2dask.options.common import (
    ClusterOptions,
    CommonOptions,
    EnhancingOptions,
    ForestOptions,
    HoldoutOptions,
    LoadingOptions,
    WritingOptions,
)
