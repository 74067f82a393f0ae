import hashlib
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import joblib
import pytest
import yaml
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import CountVectorizer

from lo2dask.errors import InputError
from lo2dask.models import bundle, registry
from lo2dask.options import ForestOptions
from lo2dask.tables.layout import Layout

from .conftest import fit_entry, make


class Trap:
    """Leaves a file after when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def _content(key="event_lr_words", **changes):
    spec = registry.forest_spec(ForestOptions()) if key == "if" else registry.spec(key)
    fitted = fit_entry(spec, make(spec))
    content = {"key": key, "model": fitted.model, "vectorizer": None, "spec": spec.to_plain(), "options": {"seed": 42}}
    return content | {"scoring": fitted.scoring, "versions": bundle.versions(), "data_fingerprint": "abc"} | changes


def _hash(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_hash_beside_it_is_what_sha256sum_reads(tmp_path):
    path = tmp_path / "deep" / "m.joblib"
    assert bundle.save(path, _content())
    assert bundle.hash_path(path).read_text() == f"{_hash(path)}  m.joblib\n"
    assert not list(path.parent.glob(".*.tmp"))


def test_the_same_content_is_left_alone_and_another_is_refused(tmp_path):
    path = tmp_path / "m.joblib"
    bundle.save(path, _content())
    before = path.stat().st_mtime_ns
    assert not bundle.save(path, _content(record={"seconds": 1.5}))
    assert path.stat().st_mtime_ns == before
    with pytest.raises(InputError, match="--overwrite-model"):
        bundle.save(path, _content(setup={"seed": 43}))
    assert bundle.save(path, _content(setup={"seed": 43}), overwrite=True)
    assert bundle.load(path)["setup"] == {"seed": 43}


def test_a_damaged_file_of_the_same_content_is_not_taken_for_done(tmp_path):
    path = tmp_path / "m.joblib"
    bundle.save(path, _content())
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="--overwrite-model"):
        bundle.save(path, _content())


def test_a_missing_or_wrong_hash_is_refused_before_anything_is_unpickled(tmp_path):
    path, sprung = tmp_path / "m.joblib", tmp_path / "sprung"
    bundle.save(path, {"key": "x", "model": Trap(sprung)})
    good = bundle.hash_path(path).read_text()
    bundle.hash_path(path).write_text("0" * 64 + "  m.joblib\n")
    with pytest.raises(InputError, match="--trust"):
        bundle.load(path)
    bundle.hash_path(path).unlink()
    with pytest.raises(InputError, match=r"m\.joblib\.sha256 is missing.*--trust"):
        bundle.load(path)
    assert not sprung.exists()
    bundle.hash_path(path).write_text(good)
    bundle.load(path)
    assert sprung.exists(), "the trap does work"


def test_another_layout_is_refused_before_anything_is_unpickled(tmp_path):
    path, sprung = tmp_path / "m.joblib", tmp_path / "sprung"
    messages = (f"this version reads {bundle.LAYOUT}.*--trust", "no bundle of lo2dask", "no bundle of lo2dask")
    for head, message in zip(({"layout": bundle.LAYOUT + 1}, {"key": "x"}, {}), messages, strict=True):
        joblib.dump({**head, "model": Trap(sprung)}, path)
        bundle.hash_path(path).write_text(_hash(path))
        with pytest.raises(InputError, match=message):
            bundle.load(path)
    assert not sprung.exists()


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("pair", [(IsolationForest(), CountVectorizer()), [IsolationForest(), 1], IsolationForest()])
def test_a_pair_of_the_predecessor_is_named_and_trust_is_not_advised(tmp_path, pair, trust):
    path = tmp_path / "lo2_if.joblib"
    joblib.dump(pair, path)
    bundle.hash_path(path).write_text(_hash(path))
    with pytest.raises(InputError) as error:
        bundle.load(path, trust)
    assert "no bundle" in str(error.value) if isinstance(pair, list) else "LO2_samples.py" in str(error.value)
    assert "--trust" not in str(error.value)


def test_a_broken_file_is_named_though_it_is_trusted(tmp_path):
    path = tmp_path / "m.joblib"
    bundle.save(path, _content())
    data = path.read_bytes()
    broken = [b"", b"notes, and no bundle", b"PK\x03\x04", b"\x80\x05.", b"\x1f\x8b\x08rest", b"x\x9cbroken", b"0" * 99]
    broken += [bytes([byte]) + b"ab 1\n." for byte in range(256) if byte not in b"ci"]
    for content in (*broken, *(data[:length] for length in range(0, len(data), max(len(data) // 150, 1)))):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{path}.*no bundle.*fit it again"):
            bundle.load(path, trust=True)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("given", [".", "_lo2dask", "_lo2dask/models/if.joblib", "_lo2dask/explain/a/models/b.joblib"])
def test_models_of_another_user_are_read_only_with_trust(tmp_path, given):
    for name in ("models/if.joblib", "explain/a/models/b.joblib"):
        path = tmp_path / "_lo2dask" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    bundle.check_owner(tmp_path, trust=False)
    os.chown(tmp_path / given, 12345, -1)
    with pytest.raises(InputError, match=r"uid 12345.*--trust"):
        bundle.check_owner(tmp_path, trust=False)
    bundle.check_owner(tmp_path, trust=True)


def test_trust_skips_the_checks_but_not_the_question_whether_it_is_a_bundle(tmp_path):
    path = tmp_path / "m.joblib"
    bundle.save(path, _content())
    bundle.hash_path(path).unlink()
    assert bundle.load(path, trust=True)["key"] == "event_lr_words"
    joblib.dump([1, 2], path)
    with pytest.raises(InputError, match="no bundle"):
        bundle.load(path, trust=True)
    with pytest.raises(InputError, match="no such bundle"):
        bundle.load(tmp_path / "none.joblib")


def test_other_versions_are_warned_of(tmp_path, caplog):
    path = tmp_path / "m.joblib"
    bundle.save(path, _content(versions=bundle.versions() | {"numpy": "1.0"}))
    bundle.load(path)
    assert "numpy 1.0" in caplog.text


@pytest.mark.parametrize(
    "key", ["event_xgb_words", *(pytest.param(key, marks=pytest.mark.thorough) for key in ("event_rarity_words", "if"))]
)
def test_model_and_vectorizer_load_in_a_process_without_lo2dask(key, tmp_path):
    path = tmp_path / "m.joblib"
    bundle.save(path, _content(key))
    code = (
        "import sys, joblib\n"
        "sys.modules['lo2dask'] = None\n"
        f"found = joblib.load({str(path)!r})\n"
        "assert found['model'] is not None and not [m for m in sys.modules if m.startswith('lo2dask.')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_model_yml_names_all_that_a_reader_asks_for(tmp_path):
    content = _content("if")
    bundle.save(tmp_path / "lo2_if.joblib", content)
    bundle.write_model_yml(tmp_path / "model.yml", content, tmp_path / "lo2_if.joblib")
    found = yaml.safe_load((tmp_path / "model.yml").read_text())
    assert found["contamination"] == 0.1
    assert found["parameters"] == {"n_estimators": 200, "max_samples": "auto"}
    assert found["sha256"] == _hash(tmp_path / "lo2_if.joblib")
    assert found["data_fingerprint"] == "abc"
    assert found["versions"]["scikit-learn"]
    assert found["git_commit"] == bundle.git_commit()
    assert found["versions"]["lo2dask"]


def test_the_commit_is_that_of_lo2dask_and_of_no_other_repository(tmp_path, monkeypatch):
    package, shell = tmp_path / "checkout" / "lo2dask", tmp_path / "shell"
    commits = []
    for folder in (package.parent, shell):
        folder.mkdir()
        git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", folder.name], check=True)
        commits.append(subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout)
    monkeypatch.chdir(shell)
    monkeypatch.setenv("GIT_DIR", str(shell / ".git"))
    assert bundle.git_commit(package) == commits[0].strip() != commits[1].strip()
    installed = package.parent / "venv" / "site-packages" / "lo2dask"
    installed.mkdir(parents=True)
    assert bundle.git_commit(installed) is None


def test_options_that_shape_no_model_make_no_other_content(tmp_path):
    path = tmp_path / "m.joblib"
    bundle.save(path, _content(options={"report_psi": False}))
    assert not bundle.save(path, _content(options={"report_psi": True}))


def test_the_owner_is_asked_while_another_command_removes_models(tmp_path: Path) -> None:
    """A folder or a model may be gone between its listing and the question."""
    internal = Layout(tmp_path).internal
    over = threading.Event()

    def write_and_remove() -> None:
        while not over.is_set():
            for name in "abc":
                (internal / name / "deep").mkdir(parents=True)
                (internal / name / "deep" / "model.joblib").write_bytes(b"x")
            shutil.rmtree(internal)

    thread = threading.Thread(target=write_and_remove)
    thread.start()
    try:
        for _ in range(400):
            bundle.check_owner(tmp_path, trust=False)
    finally:
        over.set()
        thread.join()
