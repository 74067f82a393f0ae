"""Commands as functions: keywords, the user's own cluster, errors in the words of the caller."""

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import psutil
import pytest
from distributed import Client, LocalCluster

import lo2dask
from lo2dask.api.folder import Folder
from lo2dask.execute.session import Session


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as made, Client(made) as one:
        yield one


def load(tree: Path, output: Path, **more: Any) -> Folder:
    found: Folder = lo2dask.load(root=tree, output_dir=output, service_types=["code", "token"], **more)
    return found


def workers() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_an_open_client_is_used_and_left_as_it_was(tiny_tree: Path, tmp_path: Path, client: Client) -> None:
    before, processes = dict(dask.config.config), workers()
    loaded = load(tiny_tree, tmp_path / "out")
    assert len(loaded.sequences()) == 8
    assert workers() == processes
    assert dask.config.config == before
    assert client.status == "running"
    assert client.submit(os.getpid).result() in processes
    assert not any("lo2dask" in name for name in client.run(lambda dask_worker: list(dask_worker.plugins)).popitem()[1])


def test_a_client_can_be_given(
    tiny_tree: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lo2dask.execute.cluster.start_client", lambda *_: pytest.fail("another cluster is started"))
    load(tiny_tree, tmp_path / "out", client=client)
    trained = lo2dask.train(root=tmp_path / "out", models="excess", skip_if=True, client=client)
    assert trained.models() == ["baseline_seq_len_sup", "excess"]


@pytest.mark.thorough
def test_relative_paths_hold_for_workers_that_were_started_elsewhere(
    tiny_tree: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's workers run where pytest was started."""
    tree = Path(os.path.relpath(tiny_tree, tmp_path))
    labels = tmp_path / "labels.csv"
    runs = sorted(path.name for path in tiny_tree.iterdir() if (path / "correct").is_dir())
    labels.write_text("\n".join(["run,test_case,label", *(f"{r},,error\n{r},correct,normal" for r in runs)]))
    monkeypatch.chdir(tmp_path)
    out = Path("out")
    assert load(tree, out, labels="labels.csv", client=client).root == tmp_path / "out"
    trained = lo2dask.train(
        root=out, models="excess", raw_root=tree, metrics_dir="m", save_model="b.joblib", client=client
    )
    lo2dask.explain(root=out, client=client, nn_top_k=1)
    lo2dask.score(root=tree, bundle="b.joblib", output_dir="scores", client=client)
    lo2dask.report(root=out)
    made = {"labels.csv", "out", "m", "b.joblib", "b.joblib.sha256", "model.yml", "scores"}
    assert {path.name for path in tmp_path.iterdir()} == made
    read = lo2dask.open(out).sequences().scan("dask")
    assert client.compute(read.shape[0]).result() == len(trained.sequences()) == 8


def test_calls_share_the_cluster_of_a_block(tiny_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lo2dask.api.calls.find_client", lambda: None)
    with lo2dask.cluster(workers=1) as shared:
        load(tiny_tree, tmp_path / "one")
        own = shared.client
        load(tiny_tree, tmp_path / "two")
        assert shared.client is own
    assert own.status == "closed"


def test_an_asynchronous_client_is_refused(tiny_tree: Path, tmp_path: Path) -> None:
    class Asynchronous:
        asynchronous = True

    with pytest.raises(lo2dask.InputError, match="is asynchronous"):
        load(tiny_tree, tmp_path / "out", client=Asynchronous())


def test_an_options_object_may_be_given_with_a_session(tiny_tree: Path, tmp_path: Path) -> None:
    options = lo2dask.LoadOptions(root=tiny_tree, output_dir=tmp_path / "out")
    loaded = lo2dask.load(options, Session.serial(options))
    assert loaded.root == tmp_path / "out"
    assert loaded.enhanced().column_names[:2] == ["seq_id", "run"]
    assert loaded.summary.sequences == len(loaded.sequences())
    assert loaded.seconds > 0


def test_errors_name_keywords(tmp_path: Path) -> None:
    with pytest.raises(lo2dask.InputError, match=r"^root=/none: no such folder"):
        lo2dask.load(root="/none", output_dir=tmp_path)
    with pytest.raises(lo2dask.InputError, match=r"^workers: -1 is out of range"):
        lo2dask.plan(bytes="1GB", workers=-1)
    with pytest.raises(lo2dask.InputError, match=r"^workers: 'x' is no whole number$"):
        lo2dask.load(root="/none", output_dir=tmp_path, workers="x")
    with pytest.raises(lo2dask.InputError, match=r"^enhance: 'no' is neither True nor False$"):
        lo2dask.load(root="/none", output_dir=tmp_path, enhance="no")


def test_errors_name_what_switches_an_option_off(tiny_tree: Path, tmp_path: Path) -> None:
    one, other = (
        lo2dask.LoadOptions(root=tiny_tree, output_dir=tmp_path / "out", partition_size=size)
        for size in ("64MB", "1MB")
    )
    lo2dask.load(one, Session.serial(one))
    with pytest.raises(lo2dask.InputError, match=r"choose another output_dir, or start over there with resume=False$"):
        lo2dask.load(other, Session.serial(other))


@pytest.mark.parametrize("value", [1.0, True, None, b"1"])
def test_what_is_no_text_is_named(value: object) -> None:
    with pytest.raises(lo2dask.InputError, match=r"^case: .+ is no text$"):
        lo2dask.show(root="result", case=value)


def test_numbers_of_numpy_are_taken_for_pythons() -> None:
    given = {"sample_seed": np.int64(3), "report_precision_at": np.int64(5), "if_contamination": np.float32(0.25)}
    options = lo2dask.TrainOptions(root="x", skip_if=np.bool_(True), models=(np.str_("excess"),), **given)
    assert json.loads(json.dumps(options.affecting("train") | {name: getattr(options, name) for name in given}))
    values = (options.sample_seed, options.report_precision_at, options.if_contamination, options.skip_if)
    assert values == (3, 5, 0.25, True)
    assert [type(value) for value in (*values, *options.models)] == [int, int, float, bool, str]


def test_keywords_are_checked() -> None:
    with pytest.raises(TypeError, match=r"load\(\) has no keyword 'rot'; did you mean root\?"):
        lo2dask.load(rot="x")
    with pytest.raises(TypeError, match=r"plan\(\) needs bytes=\.\.\."):
        lo2dask.plan()
    with pytest.raises(TypeError, match="not str"):
        lo2dask.load("tree")
    with pytest.raises(TypeError, match="needs no cluster"):
        lo2dask.show(root="x", client=object())
    with pytest.raises(TypeError, match=r"load\(\) takes a Dask client as client=\.\.\., not int"):
        lo2dask.load(root="x", output_dir="y", client=3)


@pytest.mark.parametrize("name", lo2dask._FUNCTIONS)
def test_help_lists_every_keyword(name: str) -> None:
    function = getattr(lo2dask, name)
    assert function is getattr(lo2dask, name)
    words = inspect.signature(function).parameters
    for keyword in words:
        assert keyword == "options" or f"\n{keyword} : " in function.__doc__, keyword
    assert ("client" in words) == (name not in ("synth", "extract", "show", "list_findings", "audit_folder"))


def test_a_script_without_a_guard_is_told_in_one_line(tiny_tree: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import lo2dask\nlo2dask.load(root={str(tiny_tree)!r}, output_dir={str(tmp_path / 'out')!r}, workers=1)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "InputError" in done.stderr.splitlines()[-1]
    assert 'the script needs `if __name__ == "__main__":` before this call' in done.stderr.splitlines()[-1]
