"""Whole trees: the same bytes every time, every layout, tars, targets that must not be touched."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lo2dask.commands.formats import try_formats
from lo2dask.domain import SERVICES
from lo2dask.errors import InputError
from lo2dask.formats.presets import PRESETS
from lo2dask.options import SynthOptions
from lo2dask.options.commands import SYNTH_FORMATS
from lo2dask.synthesis import SynthSummary, tree, write_tree

from .conftest import contents

Make = Callable[..., SynthOptions]


def written(options: SynthOptions) -> dict[str, bytes]:
    write_tree(options)
    return dict(contents(options.out))


def test_same_options_same_bytes(options: Make, tmp_path: Path) -> None:
    first = written(options(out=tmp_path / "a", with_metrics=True))
    assert written(options(out=tmp_path / "b", with_metrics=True)) == first
    assert written(options(out=tmp_path / "c", with_metrics=True, seed=43)) != first


def test_processes_change_no_byte(options: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = written(options(out=tmp_path / "a"))
    monkeypatch.setattr(tree, "IN_PROCESS_BYTES", 0)
    assert written(options(out=tmp_path / "b", jobs=2)) == alone


def test_a_file_does_not_depend_on_its_neighbours(options: Make, tmp_path: Path) -> None:
    everything = written(options(out=tmp_path / "a", errors_per_run=3))
    some = written(options(out=tmp_path / "b", errors_per_run=3, services=("token",), runs=1))
    logs = [path for path in some if "oauth2-token" in path]
    assert len(logs) == 4
    assert all(some[path] == everything[path] for path in logs)


@pytest.mark.parametrize(
    ("layout", "log"),
    [
        ("v1", "light-oauth2-data-1719592986/correct/light-oauth2-oauth2-token-1.log"),
        ("v2", "LO2_run_1719592986/correct/light-oauth2-oauth2-token-1.log"),
        ("guide", "run_0001/correct/oauth2-oauth2-token.log"),
        ("sample", "logs/light-oauth2-data-1719592986/correct/light-oauth2-oauth2-token-1.log"),
    ],
)
def test_layouts(options: Make, layout: str, log: str) -> None:
    files = written(options(layout=layout))
    assert log in files
    service_logs = [path for path in files if "oauth2-oauth2-" in path]
    assert len(service_logs) == 2 * 3 * len(SERVICES)
    beside = {"locust.log", "light-oauth2-mysqldb-1.log", "jaeger-container.log"}
    assert beside <= {path.rsplit("/", 1)[1] for path in files if "/correct/" in path}
    assert any(path.endswith("prerun results/locust.log") for path in files)


@pytest.mark.parametrize("layout", ["v1", "sample"])
def test_tar_holds_what_the_folder_holds(options: Make, tmp_path: Path, layout: str) -> None:
    folder = written(options(out=tmp_path / "folder", layout=layout, with_metrics=True))
    write_tree(options(out=tmp_path / "tar", layout=layout, with_metrics=True, tar=True))
    home = tmp_path / "tar" / ("logs" if layout == "sample" else "")
    members = {}
    for path in sorted(home.glob("*.tar")):
        with tarfile.open(path, "r:") as tar:
            for member in tar.getmembers():
                members[f"{'logs/' if layout == 'sample' else ''}{member.name}"] = tar.extractfile(member).read()
    assert members == {
        path: content
        for path, content in folder.items()
        if "light-oauth2-data" in path and "/" in path and not path.startswith("metrics/")
    }
    tables = [path for path in folder if path.startswith("metrics/")]
    assert all((tmp_path / "tar" / path).read_bytes() == folder[path] for path in tables)


def test_tars_are_the_same_every_time(options: Make, tmp_path: Path) -> None:
    assert written(options(out=tmp_path / "a", tar=True)) == written(options(out=tmp_path / "b", tar=True))


def test_summary_adds_up(options: Make) -> None:
    told = []
    chosen = options(runs=3, errors_per_run=1)
    summary = write_tree(chosen, lambda *step: told.append(step))
    files = [content for path, content in contents(chosen.out) if not path.startswith(".")]
    assert isinstance(summary, SynthSummary)
    assert (summary.runs, summary.test_cases, summary.files) == (3, 6, len(files))
    assert summary.bytes == sum(map(len, files))
    assert 0 < sum(size for _, _, size in told) <= summary.bytes
    assert [(done, total) for done, total, _ in told] == [(done, len(told)) for done in range(1, len(told) + 1)]


def test_named_test_cases_and_all_of_them(options: Make, tmp_path: Path) -> None:
    named = written(options(out=tmp_path / "a", test_cases=("delete_token_404", "correct"), runs=1))
    assert {path.split("/")[1] for path in named if "/" in path and "data" in path} == {"correct", "delete_token_404"}
    every = written(options(out=tmp_path / "b", errors_per_run=-1, runs=1, scale=0.001, services=("key",)))
    assert sum(path.endswith("key-1.log") for path in every) == 54


def test_tree_of_its_own_is_replaced(options: Make) -> None:
    before = written(options(runs=3))
    after = written(options(runs=1, seed=1))
    assert len(after) < len(before)


def test_folder_of_others_is_left_alone(options: Make, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "thesis.tex").write_text("do not touch")
    with pytest.raises(InputError, match="not empty.*another folder"):
        write_tree(options())
    assert [path for path, _ in contents(tmp_path / "tree")] == ["thesis.tex"]


def test_file_as_target(options: Make, tmp_path: Path) -> None:
    (tmp_path / "tree").write_text("a file")
    with pytest.raises(InputError, match="is a file"):
        write_tree(options())


def test_unknown_test_case_lists_the_known(options: Make) -> None:
    with pytest.raises(InputError, match="'delete_everything'.*delete_token_404"):
        write_tree(options(test_cases=("delete_everything",)))


def test_unknown_service_and_layout(options: Make) -> None:
    with pytest.raises(InputError, match="refresh-token"):
        options(services=("tokens",))
    with pytest.raises(InputError, match="guide"):
        options(layout="v3")


def test_metrics_can_be_read(options: Make) -> None:
    files = written(options(runs=1, errors_per_run=0, layout="v2", with_metrics=True))
    metrics = {path: content for path, content in files.items() if "/metrics/metric_" in path}
    assert len(metrics) >= 20
    values = []
    for path, content in metrics.items():
        for series in json.loads(content):
            assert path.endswith(f"metric_{series['metric']['__name__']}.json")
            assert series["values"][1][0] - series["values"][0][0] == 1
            values += [value for _, value in series["values"]]
    assert {"NaN", "+Inf", "-Inf"} & set(values)
    assert all(isinstance(float(value), float) for value in values)
    spans = files[next(path for path in files if path.endswith("traces_oauth2-token-service.csv"))]
    assert spans.startswith(b"Trace ID,Span ID,Operation Name,Start Time,End Time,Tags\n")


def test_table_of_the_sample_layout(options: Make) -> None:
    files = written(options(runs=1, layout="sample", with_metrics=True))
    rows = [line.split(",") for line in files["metrics/light-oauth2-data-1719592986.csv"].decode().splitlines()]
    assert (len(rows) - 1, {len(row) for row in rows}) == (172, {1127})
    assert len(set(rows[0])) == 1127
    cases = {path.split("/")[2] for path in files if "oauth2-oauth2" in path}
    assert {row[rows[0].index("test_name")] for row in rows[1:]} == cases


def test_faults(options: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lo2dask.synthesis.faults.LONG_LINE_BYTES", 100_000)
    chosen = options(faults=True)
    write_tree(chosen)
    run = chosen.out / "light-oauth2-data-1700000000"
    logs = {path.name.removeprefix("light-oauth2-oauth2-"): path for path in (run / "correct").glob("*.log")}
    assert logs["client-1.log"].stat().st_size == 0
    assert logs["refresh-token-1.log"].is_dir()
    assert b"\0" in logs["key-1.log"].read_bytes()
    assert max(map(len, logs["token-1.log"].read_bytes().splitlines())) > 100_000
    with pytest.raises(UnicodeDecodeError):
        logs["service-1.log"].read_bytes().decode()
    with pytest.raises(json.JSONDecodeError):
        json.loads((run / "correct/metrics/metric_node_load1.json").read_bytes())
    with pytest.raises(tarfile.ReadError), tarfile.open(chosen.out / "light-oauth2-data-1700003600.tar") as tar:
        tar.getmembers()
    irregular = run / "get_token_404"
    assert (irregular / "loop").resolve() == run.resolve()
    assert not (irregular / "light-oauth2-oauth2-token-1.log").exists()
    assert (irregular / "light-oauth2-oauth2-code-1.log").stat().st_mode & 0o777 == 0
    write_tree(options())
    assert not run.exists()


def test_every_preset_can_be_made() -> None:
    assert set(SYNTH_FORMATS) == set(PRESETS)


@pytest.mark.parametrize("form", sorted(set(SYNTH_FORMATS) - {"lo2", "plain"}))
def test_other_line_forms_are_read_as_such(options: Make, tmp_path: Path, form: str) -> None:
    write_tree(options(out=tmp_path / form, format=form))
    log = max((tmp_path / form).rglob("*token*.log"), key=lambda path: path.stat().st_size)
    best = try_formats(log)[0]
    assert best.kind.name == form
    assert best.headed > 0.7 * best.lines, "stack traces have no header"
