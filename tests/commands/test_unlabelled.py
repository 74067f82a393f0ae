"""Trees of a shop, whose runs are labelled in one way or not at all: from load to findings, report and score."""

import pytest

from lo2dask.commands.audit import audit
from lo2dask.commands.findings import findings
from lo2dask.commands.load import load
from lo2dask.commands.report import write_report
from lo2dask.commands.score import score
from lo2dask.commands.show import show
from lo2dask.commands.train import train
from lo2dask.commands.verify import verify
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.options import (
    AuditOptions,
    FindingsOptions,
    LoadOptions,
    ScoreOptions,
    ShowOptions,
    TrainOptions,
    VerifyOptions,
)
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_rows

USUAL = ("cart {n} opened", "user {n} logged in", "cache refreshed")
FAULT = "ERROR [w-1] shop.Pay - gateway timeout after {n} ms"


def _log(service, run, lines):
    rows = [f"INFO [w-{n % 3}] shop.{service} - {USUAL[(n + run) % 3].format(n=n * 7)}" for n in range(lines)]
    return [f"2026-03-0{run + 1} 09:{n // 60:02}:{n % 60:02},{n % 10}00 {row}" for n, row in enumerate(rows)]


def shop(root, names, faulty=5, lacking=None):
    """Write runs of two services; the pay service of one run logs a new error, of another a usual line is missing."""
    for run, name in enumerate(names):
        for service in ("cart", "pay"):
            lines = _log(service, run, 90 + run)
            if service == "pay" and run == faulty:
                lines[40:60] = [line[:24] + FAULT.format(n=n) for n, line in enumerate(lines[40:60])]
            if service == "cart" and run == lacking:
                lines = [line for line in lines if "cache" not in line]
            path = root / name / f"{service}.log"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return root


RUNS = [f"run-{n}" for n in range(6)]
CASES = [*(f"run-{n}/correct{f'_{n}' * (n > 0)}" for n in range(5)), "run-5/pay_fails"]


@pytest.mark.parametrize(
    ("names", "loading", "labels"),
    [
        (RUNS, {}, [None] * 6),
        pytest.param(RUNS, {"labels": "labels.csv"}, [True] * 5 + [False], marks=pytest.mark.thorough),
        pytest.param(CASES, {}, [True] * 5 + [False], marks=pytest.mark.thorough),
        pytest.param(
            [*(f"good-{n}" for n in range(5)), "odd-5"],
            {"normal": ("good*",)},
            [True] * 5 + [False],
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_each_kind_of_tree_goes_from_load_to_findings_report_and_score(names, loading, labels, tmp_path):
    raw, out = shop(tmp_path / "raw", names), tmp_path / "out"
    if "labels" in loading:
        rows = [f"{run},{'normal' if number < 5 else 'timeout'}" for number, run in enumerate(RUNS)]
        (tmp_path / "labels.csv").write_text("\n".join(["run,label", *rows]), encoding="utf-8")
        loading = {"labels": tmp_path / "labels.csv"}
    load(LoadOptions(root=raw, output_dir=out, **loading), Session.serial())
    options = TrainOptions(root=out, models=("excess", "event_lr_words"), skip_if=True, save_sup_models=tmp_path / "m")
    trained = train(options, Session.serial())
    runs = read_rows([out / "excess_runs.parquet" / "part-000000.parquet"]).sort_by("run")
    assert runs["normal"].to_pylist() == labels
    assert runs["pred_ano"].to_pylist() == [0] * 5 + [1]
    assert runs["top_service"].to_pylist()[-1] == "pay"
    found = findings(FindingsOptions(root=out))
    assert [(row.service, row.kind) for row in found.findings] == [("pay", "unseen")]
    assert len(found.findings[0].evidence) == 5
    assert show(ShowOptions(root=out, case="1")).normal == labels[-1]
    assert write_report(out).html.is_file()
    assert not verify(VerifyOptions(output_dir=out), Session.serial()).problems
    is_open = labels[0] is None
    assert any("nothing is labelled normal" in note for note in trained.notes) == is_open
    assert ("event_lr_words" in [line.key for line in trained.models]) == (not is_open)
    if is_open:
        with pytest.raises(InputError, match="audit needs labels"):
            audit(AuditOptions(root=out))
    new = shop(tmp_path / "new", ["next-0", "next-1"] if "/" not in names[0] else ["n-0/correct", "n-1/x"], faulty=1)
    scored = ScoreOptions(bundle=tmp_path / "m" / "excess.joblib", root=new, output_dir=tmp_path / "scored", trust=True)
    score(scored, Session.serial())
    standing = findings(FindingsOptions(root=tmp_path / "scored")).findings
    assert [row.run for row in standing] == ["n-1" if "/" in names[0] else "next-1"]


def test_a_log_that_lacks_a_usual_line_is_found_without_labels_and_its_rates_are_told(tmp_path):
    out = tmp_path / "out"
    load(LoadOptions(root=shop(tmp_path / "raw", RUNS, None, 3), output_dir=out), Session.serial())
    train(TrainOptions(root=out, models=("excess",), skip_if=True), Session.serial())
    (row,) = findings(FindingsOptions(root=out)).findings
    assert (row.run, row.service, row.kind, row.statement, row.count) == (
        "run-3",
        "cart",
        "lack",
        "INFO shop.cart - cache refreshed",
        0,
    )
    assert row.rate == 0
    assert row.normal_rate > 10
    assert not row.evidence


def test_a_reference_is_named_by_glob_or_file_and_all_else_is_judged_by_it(tmp_path):
    out = tmp_path / "out"
    load(LoadOptions(root=shop(tmp_path / "raw", RUNS), output_dir=out), Session.serial())
    listed = tmp_path / "runs.csv"
    listed.write_text("label,run\nx,run-0\nx,run-1\nx,run-2\n", encoding="utf-8")
    for given in (("run-[012]",), (str(listed),)):
        train(TrainOptions(root=out, models=("excess",), skip_if=True, reference=given), Session.serial())
        table = read_rows(part_paths(Layout(out).predictions / "excess"), ["run", "split"])
        sides = dict(zip(table["run"].to_pylist(), table["split"].to_pylist(), strict=True))
        assert sides == {name: "train" if name in RUNS[:3] else "holdout" for name in RUNS}
    for given, why in (("nix*", "no run is like that"), (str(tmp_path / "bad.txt"), "is no run")):
        (tmp_path / "bad.txt").write_text("run-9\n", encoding="utf-8")
        with pytest.raises(InputError, match=why):
            train(TrainOptions(root=out, models=("excess",), skip_if=True, reference=(given,)), Session.serial())
    with pytest.raises(InputError, match="all models of --models need labels"):
        train(TrainOptions(root=out, models=("event_lr_words",), skip_if=True), Session.serial())
    assert not verify(VerifyOptions(output_dir=out)).problems  # what was there is left as it was


def test_start_up_lines_are_kept_unless_the_layout_is_lo2s(tmp_path):
    raw = shop(tmp_path / "raw", RUNS[:2], None)
    assert load(LoadOptions(root=raw, output_dir=tmp_path / "a"), Session.serial()).lines["trimmed"] == 0
    trimmed = LoadOptions(root=raw, output_dir=tmp_path / "b", trim_init_lines=True, init_lines_to_skip=10)
    assert load(trimmed, Session.serial()).lines["trimmed"] == 40
